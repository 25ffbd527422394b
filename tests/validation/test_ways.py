"""Planted bugs as a user brings them: our agents as candidates, the trials of the ways, and their table."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from rlparity.__main__ import main as command_line
from rlparity.errors import UserError
from rlparity.objectives import targets
from rlparity.reporting.pages import sensitivity as page
from rlparity.reporting.pages import sensitivity_ways
from rlparity.validation.checks import Check
from rlparity.validation.mutations import corpus
from rlparity.validation.parity import candidate_cases, candidate_checks
from rlparity.validation.sensitivity import plan as sensitivity_plan
from rlparity.validation.sensitivity import run as sensitivity
from rlparity.validation.sensitivity.plan import WAYS, Trial
from rlparity.validation.sensitivity.trial import done
from rlparity.validation.sensitivity.ways import program, trial
from rlparity.validation.sensitivity.ways.own_agent import OwnAgentWithUpdate
from rlparity.validation.sensitivity.ways.planted_code import NotMutated, PlantedCode

torch.set_num_threads(1)


def parity(mutation: str, configuration: str, actions: str = "discrete") -> dict[str, Check]:
    """Checks of few updates of our agent as a candidate, by name."""
    planted = PlantedCode(corpus.find(mutation) if mutation else None)
    compared = candidate_cases.of(configuration, actions)
    agent = compared[0].case.algorithm

    def factory(*given: Any) -> Any:
        return OwnAgentWithUpdate(agent, planted, *given)

    found = candidate_checks.check(factory, compared, True, True, updates=(1,))
    return {check.name: check for check in found}


@pytest.mark.probes
@pytest.mark.parametrize(
    ("configuration", "actions"), [("ppo", "discrete"), ("trpo", "continuous"), ("sac", "continuous")]
)
def test_our_agents_pass_as_candidates(configuration: str, actions: str) -> None:
    found = parity("", configuration, actions)
    assert [check for check in found.values() if not check.passed] == []
    assert any("advantages" in name for name in found) == (configuration != "sac")


@pytest.mark.probes
@pytest.mark.parametrize(
    ("mutation", "agent", "name"),
    [
        ("P1", "ppo", "ppo, advantages: ends (float32)"),
        ("P5", "ppo", "ppo, advantages: time limits (float32)"),
        ("R5 missing", "a2c", "a2c, advantages: ends (float32)"),
        ("P18", "ppo", "ppo, entropy bonus (float32)"),
    ],
)
def test_a_bug_in_what_is_made_of_a_rollout_is_caught(mutation: str, agent: str, name: str) -> None:
    found = parity(mutation, agent)
    assert not found[name].passed and found[f"{agent}, default (float32)"].passed


@pytest.mark.parametrize("mutation", [each.id for each in corpus.CORPUS])
def test_a_mutation_is_put_in_place_and_taken_away(mutation: str) -> None:
    """Several times, and in the order of its replacements."""
    planted = PlantedCode(corpus.find(mutation))
    places = [(owner, name) for owner, name, *_ in planted._places]
    before = [getattr(owner, name) for owner, name in places]
    with planted.active():
        first = [getattr(owner, name) for owner, name in places]
        with planted.active(False):
            assert [getattr(owner, name) for owner, name in places] == before
        assert [getattr(owner, name) for owner, name in places] == first != before
    assert [getattr(owner, name) for owner, name in places] == before
    with planted.active():
        assert [getattr(owner, name) for owner, name in places] == first


def test_environments_that_are_not_the_candidates_run_without_the_mutation() -> None:
    planted, seen = PlantedCode(corpus.find("P1")), list[bool]()
    original = targets.gae

    class Watched(SimpleNamespace):
        def step(self, action: Any) -> None:
            seen.append(targets.gae is original)

        reset = step

    env = NotMutated.__new__(NotMutated)
    env.env, env._planted = Watched(), planted  # type: ignore[assignment]
    with planted.active():
        assert targets.gae is not original
        env.step(0)
        assert targets.gae is not original
    assert seen == [True]


# --- trials


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (Trial("P11", "ppo", "CartPole-v1", "contract", "entry"), "is given the validator's environments"),
        (Trial("AT8 twice", "ppo", "ALE/Pong-v5@nature", "contract", "command"), "Atari is left out"),
        (Trial("P20", "ppo", "Reacher-v5", "statistics", "logs"), "run on CartPole-v1 only"),
        (Trial("D11", "dqn-double", "CartPole-v1", "statistics", "logs"), "no reference of dqn-double"),
    ],
)
def test_what_cannot_be_brought_is_not_run(made: Trial, message: str) -> None:
    with pytest.raises(UserError, match=message):
        trial.checks(made, {"references": {"CartPole-v1": "classic"}, "seeds": 5})


def test_the_program_logs_what_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "POINTS", 2)
    program.main(["none", "ppo", "CartPole-v1", "0-1", "600", str(tmp_path)])
    for seed in (0, 1):
        lines = (tmp_path / f"seed-{seed}" / "episodes.csv").read_text().splitlines()
        assert lines[0] == "env_step,episode_return,episode_length" and len(lines) > 10
        with np.load(tmp_path / f"seed-{seed}" / "evaluations.npz") as file:
            assert file["timesteps"].tolist()[-1] == 600 and file["results"].shape == (3, program.EPISODES)


SUITE = """
kind: sensitivity
name: few
title: A few
layers: [contract]
ways: [entry-update, entry]
mutations: [P1, P5, F1]
time_limits: {contract: 60, parity: 60, lockstep: 60, statistics: 60}
statistics: {seeds: 10, looks: 1, margin: 0.2, references: {CartPole-v1: classic}}
"""


def load(tmp_path: Path) -> sensitivity_plan.Plan:
    (tmp_path / "few.yaml").write_text(SUITE)
    return sensitivity_plan.load(tmp_path / "few.yaml")


def test_ways_need_statistics(tmp_path: Path) -> None:
    (tmp_path / "few.yaml").write_text(SUITE.partition("statistics: {seeds")[0])
    with pytest.raises(UserError, match="missing key 'statistics', which `ways` need"):
        sensitivity_plan.load(tmp_path / "few.yaml")


def test_an_unknown_way_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(tmp_path)
    folders = ["--results", str(tmp_path), "--reports", str(tmp_path)]
    assert command_line(["dev", "sensitivity", str(tmp_path / "few.yaml"), "--ways", "logs", *folders]) != 0
    assert "unknown way 'logs'; choose from entry, entry-update" in capsys.readouterr().err


def test_trials_of_ways_are_run_alone_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, made = load(tmp_path), list[Trial]()

    def attempt(one: Trial, *_: Any) -> Any:
        made.append(one)
        return done(one.mutation == "P1" and one.layer == "parity", 2.0, "because")

    monkeypatch.setattr(sensitivity, "attempt", attempt)
    assert {one.way for one in plan.trials()} == {""}
    said: list[str] = []
    sensitivity.Runner(plan, tmp_path, tmp_path).run(1, said.append, ["entry-update"])
    assert {(one.way, one.layer) for one in made} == {("entry-update", "parity")} and len(made) == 5
    assert "P1 ppo CartPole-v1 entry-update parity: caught (2 s)" in said[2]
    sensitivity.Runner(plan, tmp_path, tmp_path).run(1, said.append, ["entry-update"])
    assert len(made) == 5  # nothing is tried again
    rows = json.loads((tmp_path / "few" / "candidates.json").read_text())["trials"]
    waiting = [row for row in rows if row["reason"] == sensitivity.UNFINISHED]
    assert {row["way"] for row in waiting} == {"entry"} and len(rows) == 2 * len(waiting) == 10
    assert not (tmp_path / "few" / "trials.json").exists()
    assert sensitivity.UNFINISHED == sensitivity_ways.UNFINISHED


# --- the page


def outcomes(rows: list[tuple[str, str, str, str, Any]]) -> dict[str, Any]:
    """A suite's outcomes; each row is (bug, kind, way, layer, caught or the reason why it was not run)."""
    found = []
    for bug, kind, way, layer, caught in rows:
        ran = isinstance(caught, bool)
        found.append(
            {
                "bug": bug,
                "kind": kind,
                "way": way,
                "layer": layer,
                "agent": "ppo",
                "environment": "CartPole-v1",
            }
            | {
                "title": f"does {bug}",
                "source": "own",
                "hides": "",
                "evidence": "",
                "seconds": 1.0 if ran else None,
            }
            | {"status": "done" if ran else "not run", "caught": caught if ran else None}
            | {"reason": "" if ran else caught}
        )
    made = {"cpu": "a chip", "cores": 2}
    suite = {"title": "Bugs", "description": "All.", "layers": ["contract", "parity"]}
    return {
        "suite": suite,
        "hardware": made,
        "versions": {"torch": "2"},
        "git": {"commit": "c", "dirty": False},
    } | {"trials": found}


def test_the_table_of_ways(tmp_path: Path) -> None:
    later = sensitivity_ways.UNFINISHED
    direct = [
        (bug, "bug", "", layer, True) for bug in ("P1", "P2", "P3", "P4") for layer in ("contract", "parity")
    ]
    brought = [
        ("", "", "entry", "contract", False),
        ("P1", "bug", "entry", "contract", False),
        ("P1", "bug", "entry-update", "parity", True),
        ("P2", "bug", "entry", "contract", True),
        ("P2", "bug", "entry-update", "parity", False),
        ("P3", "bug", "entry", "contract", False),
        ("P3", "bug", "entry-update", "parity", False),
        ("P4", "bug", "entry", "contract", "no"),
        ("P4", "bug", "entry-update", "parity", "no"),
        ("F1", "refactoring", "entry", "contract", False),
        ("F1", "refactoring", "entry-update", "parity", False),
        *((bug, "bug", "command", "contract", later) for bug in ("P1", "P2", "P3", "P4")),
        *((bug, "bug", "logs", "statistics", later) for bug in ("P1", "P2", "P3", "P4")),
    ]
    results, report = tmp_path / "results", tmp_path / "report"
    results.mkdir()
    (results / "trials.json").write_text(json.dumps(outcomes(direct)))
    (results / "candidates.json").write_text(json.dumps(outcomes(brought)))
    page.render(results, report)
    text = (report / "README.md").read_text()
    for line in (
        "| our own agents | contract, parity | 4 | 4 | 100.0 % | - | - | 0 | 0 |",
        "| Python entry point | contract | 3 | 1 | 33.3 % | 0 of 1 | - | 1 | 0 |",
        "| its `update` and `prepare` alone | parity | 3 | 1 | 33.3 % | 0 of 1 | - | 1 | 0 |",
        "| the same with `update` and `prepare` | contract, parity | 3 | 2 | 66.7 % | 0 of 1 | - | 1 | 0 |",
        "| command | contract | 0 | 0 | - | - | - | 0 | 4 |",
        "| the same with `update` and `prepare` | P3 | does P3 | ppo, CartPole-v1 |",
    ):
        assert line.replace("| - ", f"| {sensitivity_ways.NONE} ") in text, line
    lines = (report / "candidates.csv").read_text().splitlines()
    assert lines[0].startswith("bug,way,layer,caught,seconds,") and len(lines) == 1 + len(brought) - 1
    (results / "trials.json").unlink()
    (report / "README.md").unlink()
    page.render(results, report)  # from the tables of the report
    assert (report / "README.md").read_text() == text


def test_every_way_has_trials() -> None:
    assert {pair for looks in sensitivity_ways.LOOKS.values() for pair in looks} == {
        (way, layer) for way, layers in WAYS.items() for layer in layers
    }
