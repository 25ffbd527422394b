"""A suite's keys about comparisons: references, floors, margins, and what is declared deterministic."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from resolved import resolve

from rlparity import project_files, registry
from rlparity.analysis import plans
from rlparity.arms import Arm
from rlparity.errors import UserError
from rlparity.metrics import RETURN, Metric
from rlparity.suites import hyperparameters, suite, yaml_reader

CARTPOLE = "CartPole-v1"
ERROR = Metric("error", "fraction wrong", better=-1, floor=0.9)
RULES = Metric("score", "points", floor="reinforce")


def line(**changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        resolve(**changes)
    heading, *lines = str(caught.value).split("\n  - ")
    assert heading == "Bad suite:" and len(lines) == 1
    return lines[0]


def test_the_plan_says_who_the_reference_is() -> None:
    plan = resolve().plan()
    assert plan["algorithms"]["ppo"]["reference"] == {"implementation": "sb3", "algorithm": "ppo"}
    assert plan["algorithms"]["dqn-double"]["reference"] is None
    assert plans.reference(plan, "ppo") == Arm("sb3", "ppo") and plans.references(plan) == {"sb3"}


def test_a_plain_string_means_stable_baselines3() -> None:
    old = {"algorithms": {"ppo": {"reference": "ppo"}, "random": {}}}
    assert plans.reference(old, "ppo") == Arm("sb3", "ppo")
    assert plans.reference(old, "random") is None
    found = resolve(algorithms=["random", "dqn-double"], reference={"dqn-double": "dqn"})
    theirs = [(cell.implementation, cell.algorithm) for cell in found.cells if cell.implementation == "sb3"]
    assert set(theirs) == {("sb3", "dqn")} and len(theirs) == 5


def test_a_suite_may_judge_one_of_ours_against_another() -> None:
    ours = {"implementation": "scratch", "algorithm": "dqn"}
    found = resolve(algorithms=["random", "dqn-double", "dqn"], reference={"dqn-double": ours, "dqn": ours})
    assert {cell.implementation for cell in found.cells} == {"scratch"}
    plan = found.plan()
    assert plans.reference(plan, "dqn-double") == Arm("scratch", "dqn")
    assert plans.references(plan) == set()  # ours are judged, too


def logs(folder: Path) -> dict[str, Any]:
    """A candidate whose logs of two seeds lie in a folder."""
    for seed in range(2):
        (folder / f"{seed}.csv").write_text("env_step,episode_return\n4096,1.0\n")
    return {"against": "ppo", "logs": str(folder / "{seed}.csv")}


def test_a_suite_may_name_a_candidate_as_the_reference(tmp_path: Path) -> None:
    theirs = {"implementation": "theirs", "algorithm": "ppo"}
    brought = {"theirs": logs(tmp_path)}
    found = resolve(algorithms=["random", "ppo"], reference={"ppo": theirs}, candidates=brought)
    assert {cell.implementation for cell in found.cells} == {"scratch", "theirs"}
    assert plans.references(found.plan()) == {"theirs"}


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"pppo": "ppo"}, "reference: unknown key 'pppo'"),
        ({"ppo": "pppo"}, "reference.ppo: unknown reference 'pppo'"),
        (
            {"ppo": {"implementation": "sb4", "algorithm": "ppo"}},
            "reference.ppo.implementation: unknown implementation 'sb4'; choose from sb3, scratch",
        ),
        (
            {"ppo": {"implementation": "sb3", "algorithm": "pppo"}},
            "reference.ppo.algorithm: unknown reference 'pppo'",
        ),
        ({"ppo": {"implementation": "sb3"}}, "reference.ppo: missing key 'algorithm'"),
        ({"ppo": 3}, "reference.ppo: expected string or object, got 3"),
    ],
)
def test_a_reference_that_is_not_there_has_a_line(reference: dict[str, Any], expected: str) -> None:
    assert line(reference=reference).startswith(expected)


def test_the_plan_carries_metrics_and_margins(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = resolve().plan()
    about = plan["environments"][CARTPOLE]
    assert about["metrics"] == [asdict(RETURN)] and about["margins"] == {"return": 0.2}
    assert plans.metrics(plan, CARTPOLE) == (RETURN,) and plans.margin(plan, CARTPOLE, RETURN) == 0.2
    monkeypatch.setattr(registry, "metrics", lambda environment: (RETURN, ERROR))
    own = {"id": CARTPOLE, "margin": {"error": 0.01}}
    plan = resolve(margin=0.3, environments=[own, "Acrobot-v1"]).plan()
    assert plans.metrics(plan, CARTPOLE) == (RETURN, ERROR)
    assert plan["margin"] == 0.3
    assert plan["environments"][CARTPOLE]["margins"] == {"return": 0.3, "error": 0.01}
    assert plan["environments"]["Acrobot-v1"]["margins"] == {"return": 0.3, "error": 0.3}
    plan = resolve(environments=[{"id": CARTPOLE, "margin": 0.05}]).plan()
    assert plan["environments"][CARTPOLE]["margins"] == {"return": 0.05, "error": 0.05}


def test_a_plan_of_an_older_version_has_returns_and_one_margin() -> None:
    plan = {"margin": 0.1, "environments": {"x": {"threshold": 5.0}}}
    assert plans.metrics(plan, "x") == (RETURN,) and plans.margin(plan, "x", RETURN) == 0.1
    assert plans.threshold(plan, "x", RETURN) == 5.0 and plans.threshold(plan, "x", ERROR) is None
    assert not plans.deterministic(plan, Arm("scratch", "ppo"))


@pytest.mark.parametrize(
    ("margin", "expected"),
    [
        (2, "environments[0].margin: 2 is greater than the maximum of 1"),
        ({"return": 0}, "environments[0].margin.return: 0 is less than or equal to the minimum of 0"),
        ({"accuracy": 0.1}, "environments[0].margin: unknown metric 'accuracy'; choose from return"),
        ({}, "environments[0].margin: {} should be non-empty"),
    ],
)
def test_a_margin_that_cannot_be_has_a_line(margin: Any, expected: str) -> None:
    assert line(environments=[{"id": CARTPOLE, "margin": margin}]).startswith(expected)


def test_narrowing_keeps_the_floors_of_the_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = ["random", "reinforce", "ppo"]
    assert set(resolve({"algorithms": ["ppo"]}, algorithms=everything).algorithms) == {"random", "ppo"}
    for metrics, kept in (
        ((RULES,), {"reinforce", "ppo"}),
        ((ERROR,), {"ppo"}),
        ((RETURN, RULES), set(everything)),
    ):
        monkeypatch.setattr(registry, "metrics", lambda environment, metrics=metrics: metrics)
        assert set(resolve({"algorithms": ["ppo"]}, algorithms=everything).algorithms) == kept


def test_nothing_is_deterministic_unless_declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve().plan()["deterministic"] == []
    library = hyperparameters.library()
    declared = hyperparameters.replace(library.algorithms["ppo"], deterministic=True)
    changed = hyperparameters.replace(library, algorithms={**library.algorithms, "ppo": declared})
    monkeypatch.setattr(hyperparameters, "library", lambda: changed)
    brought = {"quiet": logs(tmp_path), "open": {**logs(tmp_path), "deterministic": True}}
    plan = resolve(candidates=brought).plan()
    assert plan["deterministic"] == ["scratch/ppo", "sb3/ppo", "open/ppo"]
    assert plans.deterministic(plan, Arm("sb3", "ppo")) and not plans.deterministic(plan, Arm("quiet", "ppo"))
    cells = [cell for cell in plan["cells"] if cell["implementation"] == "open"]
    assert cells and all(
        "deterministic" not in cell["candidate"] for cell in cells
    )  # no part of its fingerprint


def test_the_schema_has_the_default_margin() -> None:
    root = project_files.PROJECT / "workflow" / "schemas"
    schema = yaml_reader.read(root / "suite.schema.yaml")
    assert schema["properties"]["margin"]["default"] == suite.MARGIN
