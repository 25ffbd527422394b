"""Suites with candidates are compared with all that is shipped of their references."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from validating import question, ship

from rlparity.arms import OURS, SB3
from rlparity.runs import pending
from rlparity.shipped_records import pool
from rlparity.suites import suite
from rlparity.suites.suite import Suite
from rlparity.validation import request

pytestmark = pytest.mark.usefixtures("in_checkout")
THEIRS = {"theirs": {"against": "ppo", "command": "python learn.py {seed}"}}


@pytest.fixture
def reports(tiny: Path, tmp_path: Path) -> Path:
    """Shipped: seeds 0 to 5 of PPO, and a random agent."""
    ship(request.plan(question(tiny)), tmp_path / "reports")
    return tmp_path / "reports"


def resolve(**changes: Any) -> Suite:
    keys = {
        "name": "mine", "title": "Mine", "environments": ["CartPole-v1"], "algorithms": ["ppo"],
        "implementations": [SB3], "seeds": ["0-1"], "budgets": {"default": 4000}, "references": "shipped",
        "evaluation": {"points": 4, "episodes": 2, "final_episodes": 2}, "candidates": THEIRS,
    }  # fmt: skip
    return suite.resolve({**keys, **changes}, "Bad suite")


def arms(found: Suite) -> dict[str, list[int]]:
    table: dict[str, list[int]] = {}
    for cell in found.cells:
        table.setdefault(f"{cell.implementation}/{cell.algorithm}", []).extend(cell.seeds)
    return table


def test_all_valid_seeds_and_the_floor_are_taken_without_agents_of_ours(reports: Path) -> None:
    plain = resolve()
    assert arms(plain) == {"sb3/ppo": [0, 1], "theirs/ppo": [0, 1]}
    found = pool.widened(plain, reports)
    assert arms(found) == {"sb3/ppo": [*range(6)], "theirs/ppo": [0, 1], "scratch/random": [*range(6)]}
    assert found.plan()["environments"]["CartPole-v1"]["algorithms"] == ["random", "ppo"]
    assert "random" in found.plan()["algorithms"] and all(cell.suite == "mine" for cell in found.cells)


@pytest.mark.parametrize(
    "changes",
    [
        {"references": "train"},
        {"candidates": {}},
        {"budgets": {"default": 5000}},
        {
            "hyperparameters": {"ppo": {"gamma": 0.5}},
            "algorithms": ["random", "ppo"],
            "implementations": [OURS, SB3],
        },
    ],
)
def test_others_stay_as_they_are(reports: Path, changes: dict[str, Any]) -> None:
    plain = resolve(**changes)
    assert pool.widened(plain, reports) == plain


def test_stale_and_damaged_records_are_not_taken(reports: Path) -> None:
    for seed in (3, 4):
        (folder,) = reports.glob(f"*/records/CartPole-v1/sb3/ppo/seeds-{seed}-{seed}")
        text = (folder / "run.json").read_text()
        if seed == 3:
            (folder / "run.json").write_text(text.replace('"fingerprint": "', '"fingerprint": "x'))
        else:
            (folder / "episodes.parquet").write_bytes(b"x")
    assert arms(pool.widened(resolve(), reports))["sb3/ppo"] == [0, 1, 2, 5]


def test_the_floor_of_the_suite_is_enough(reports: Path) -> None:
    plain = resolve(algorithms=["random", "ppo"], implementations=[OURS, SB3])
    found = arms(pool.widened(plain, reports))
    assert found["scratch/random"] == [0, 1] and found["sb3/ppo"] == [*range(6)]


def test_the_shipped_floor_is_restored_not_trained(reports: Path, tmp_path: Path) -> None:
    found, results = pool.widened(resolve(), reports), tmp_path / "results"
    pool.take_floor(found, results, reports)
    waiting = {f"{cell.implementation}/{cell.algorithm}" for cell in pending.update(found.cells, results)}
    assert waiting == {"sb3/ppo", "theirs/ppo"}


def test_a_seed_that_is_shipped_by_several_reports_is_one_cell(reports: Path, tiny: Path) -> None:
    ship(replace(request.plan(question(tiny))), reports.parent / "again")
    (reports.parent / "again" / "shipped").rename(reports / "other")
    found = pool.widened(resolve(), reports)
    assert len({cell.folder for cell in found.cells}) == len(found.cells)
    assert arms(found)["scratch/random"] == [*range(6)]


def test_records_of_another_version_are_left_out(reports: Path) -> None:
    runs = {
        "scratch/random": lambda cell: cell | {"another": 1},
        "sb3/ppo/seeds-4-4": lambda cell: {key: cell[key] for key in cell if key != "seeds"},
    }
    for arm, change in runs.items():
        for file in reports.glob(f"*/records/CartPole-v1/{arm}/**/run.json"):
            run = json.loads(file.read_text())
            file.write_text(json.dumps({**run, "cell": change(run["cell"])}))
    assert arms(pool.widened(resolve(), reports)) == {"sb3/ppo": [0, 1, 2, 3, 5], "theirs/ppo": [0, 1]}
