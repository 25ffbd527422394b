"""The request of `rlparity validate`: names, references and the suite that follows from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from validating import SUITE, question

from rlparity.errors import UserError
from rlparity.validation import request

pytestmark = pytest.mark.usefixtures("in_checkout")


@pytest.mark.parametrize(
    ("kind", "text", "name"),
    [
        ("entry", "their_ppo:make", "their_ppo"),
        ("entry", "lab.agents.ppo:Agent", "ppo"),
        ("entry", "folder/Their PPO.py:make", "their-ppo"),
        ("command", "python cleanrl/ppo.py --seed {seed}", "ppo"),
        ("command", "python -m lab.train --seed {seed}", "lab"),
        ("command", "train --seed {seed}", "train"),
        ("logs", "runs/{environment}__ppo__{seed}__*", "runs"),
        ("logs", "/data/old/monitor.csv", "monitor"),
        ("logs", "*", "logs"),
    ],
)
def test_a_candidate_without_a_name_is_called_after_what_it_is(kind: str, text: str, name: str) -> None:
    assert request.name_of(kind, text) == name


def test_returns_are_described_by_keys() -> None:
    found = request.returns(["tag=charts/x", "columns.env_step=step", "n_envs=4", "deterministic=false"])
    expected = {"tag": "charts/x", "columns": {"env_step": "step"}, "n_envs": 4, "deterministic": False}
    assert found == expected
    with pytest.raises(UserError, match="columns is 3 already"):
        request.returns(["columns=3", "columns.env_step=step"])
    with pytest.raises(UserError, match="write KEY=VALUE"):
        request.returns(["tag"])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sb3/pop", "unknown configuration 'pop'"),
        ("cleanrl/ppo", "only references of sb3"),
        ("npg", "unknown"),
    ],
)
def test_what_cannot_be_a_reference_is_one_line(text: str, line: str) -> None:
    with pytest.raises(UserError, match=line):
        request.configuration(text)
    assert request.configuration("sb3/ppo") == request.configuration("ppo") == "ppo"


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("  - CartPole-v1\n", "  - 3\n", "environments[0]: expected string or object, got 3"),
        ("algorithms: [random, a2c]", "algorithms: 5", "environments[1].algorithms: expected array, got 5"),
        ("title: Tiny", "hyperparameters: {ppo: 3}", "hyperparameters.ppo: expected object, got 3"),
        (SUITE, "[]", "expected a mapping"),
    ],
)
def test_a_suite_of_another_shape_is_refused_in_one_line(
    tiny: Path, before: str, after: str, line: str
) -> None:
    tiny.write_text(SUITE.replace(before, after))
    with pytest.raises(UserError, match=re.escape(line)):
        request.plan(question(tiny, environments=["CartPole-v1"]))
    with pytest.raises(UserError, match=re.escape(line)):
        request.reference_settings("sb3/ppo", "CartPole-v1", str(tiny))


def test_the_plan_holds_candidate_reference_and_random_agent(tiny: Path) -> None:
    plan = request.plan(question(tiny, name="theirs", seeds=["0-2"]))
    arms: dict[str, list[int]] = {}
    for cell in plan.cells:
        arms.setdefault(f"{cell.implementation}/{cell.algorithm}", []).extend(cell.seeds)
    assert arms == {"scratch/random": [*range(6)], "sb3/ppo": [*range(6)], "theirs/ppo": [0, 1, 2]}
    assert plan.name == "validate-theirs" and list(plan.environments) == ["CartPole-v1"]


def test_a_suite_without_the_configuration_is_refused(tiny: Path) -> None:
    with pytest.raises(UserError, match="no environment has 'sac' among its algorithms"):
        request.plan(question(tiny, against="sac"))
    with pytest.raises(UserError, match="unknown environment 'Acrobot-v1'; choose from CartPole-v1"):
        request.plan(question(tiny, environments=["Acrobot-v1"]))
