"""Reports of suites that are still in training."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rlparity.analysis import summarize, tables
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.playback import films
from rlparity.reporting.figures import draw as figures
from rlparity.reporting.pages.suite import report
from rlparity.runs import interim, pending, run_cell
from rlparity.shipped_records.restore import Shipped, choose, shipped
from rlparity.suites import suite
from rlparity.suites.suite import Suite
from rlparity.training import run as training
from rlparity.training.checkpointing import Checkpointer

pytestmark = pytest.mark.whole

PUBLISHED = Path(__file__).parents[2] / "workflow" / "resources" / "published"


class Killed(Exception):
    pass


@pytest.fixture
def part() -> Suite:
    raw = {
        "name": "part",
        "title": "Part",
        "environments": ["CartPole-v1"],
        "algorithms": ["random", "ppo", "dqn"],
        "implementations": ["scratch"],
        "seeds": ["0-1"],
        "budgets": {"default": 1024},
        "checkpoint_every": 256,
        "evaluation": {"points": 4, "episodes": 1, "final_episodes": 2},
    }
    return suite.resolve(raw, "test")


def cell_of(part: Suite, algorithm: str) -> Cell:
    (found,) = (cell for cell in part.cells if cell.algorithm == algorithm)
    return found


def collect(part: Suite, results: Path, reports: Path) -> list[str]:
    found = interim.gather(part, results)
    tables.collect(found.cells, results, reports, part.plan(), found.places)
    return found.lines


def interrupted(cell: Cell, folder: Path, at: int) -> None:
    def watch(env_step: int, ended: Iterable[Any]) -> None:
        if env_step >= at:
            raise Killed

    with pytest.raises(Killed):
        training.run(cell, watch, checkpointer=Checkpointer(cell, folder / "checkpoint"))


@pytest.fixture
def results(part: Suite, tmp_path: Path) -> Path:
    """The random agent to its end, PPO killed at 800 of 1,024 after a checkpoint at 768, DQN not begun."""
    results, random, ppo = tmp_path / "results", cell_of(part, "random"), cell_of(part, "ppo")
    run_cell.run_cell(random, results / random.folder)
    interrupted(ppo, results / ppo.folder, 800)
    return results


def test_an_interim_report_shows_how_far_training_came(part: Suite, results: Path, tmp_path: Path):
    ppo, reports = cell_of(part, "ppo"), tmp_path / "reports"
    before = {path: path.read_bytes() for path in (results / ppo.folder).rglob("*") if path.is_file()}
    assert collect(part, results, reports) == [f"{ppo.folder}: unfinished: environment step 768 of 1,024"]
    summarize.analyse(results / "part" / "tables", PUBLISHED, reports / "part")
    figures.draw(reports / "part")
    text = report.render(reports / "part")
    curve = pd.read_csv(reports / "part" / "seed_curves.csv").query("algorithm == 'ppo'")
    assert sorted(curve.env_step.unique()) == [0, 256, 512]  # a checkpoint comes before the evaluation there
    scores = pd.read_csv(reports / "part" / "scores.csv").set_index("algorithm")
    assert scores.loc["ppo"].value.isna().all() and set(scores.loc["ppo"].endpoint) == {"auc", "final"}
    assert scores.loc["random"].query("endpoint == 'final'").value.notna().all()
    page = (reports / "part" / "index.html").read_text()
    assert "<h1>Part (unfinished)</h1>" in page and "environment step 768 of 1,024" in page
    assert "Part (unfinished)" in text and "scratch dqn on CartPole-v1" in text
    assert "failed seeds" not in page.split("<dl")[0]
    text = (reports / "part" / "README.md").read_text()
    (row,) = (line for line in text.splitlines() if line.startswith("| ppo | from scratch | \N{EN DASH}"))
    assert row.split(" | ")[-2:] == ["0", "\N{EN DASH} |"]  # no final return of the sampled policy either
    assert "CartPole-v1, 2 seeds each, unfinished. Line:" in text
    after = {path: path.read_bytes() for path in (results / ppo.folder).rglob("*") if path.is_file()}
    assert before == after


def test_unfinished_records_are_not_used_as_finished(part: Suite, results: Path, tmp_path: Path):
    ppo, reports = cell_of(part, "ppo"), tmp_path / "reports"
    collect(part, results, reports)
    folder = reports / "part" / "records" / Path(*ppo.folder.parts[1:])
    run = json.loads((folder / "run.json").read_text())
    assert run["status"] == "unfinished" and run["env_step"] == 768
    assert not pending.up_to_date(ppo, results / ppo.folder)
    assert [one.run["cell"]["algorithm"] for one in shipped(reports)] == ["random"]
    source, _ = choose(ppo, [Shipped(folder, run)], part.parts(ppo))
    assert source is None
    whole = run_cell.run_cell(ppo, results / ppo.folder)
    assert whole["status"] == "done" and whole["times_resumed"] == 1
    assert [line for line in collect(part, results, reports) if "ppo" in line] == []


def test_films_are_of_finished_cells(part: Suite, results: Path, tmp_path: Path):
    dqn, reports = cell_of(part, "dqn"), tmp_path / "reports"
    run_cell.run_cell(dqn, results / dqn.folder)
    collect(part, results, reports)
    films.make("part", results, reports)
    made = json.loads((reports / "part" / "films" / "films.json").read_text())
    assert {entry["algorithm"] for entry in made["films"]} == {"dqn"} and len(made["films"]) == 3
    assert {entry["reason"] for entry in made["left_out"]} == {"its training has not ended"}


def test_nothing_yet_is_one_line(part: Suite, tmp_path: Path):
    with pytest.raises(UserError, match="no finished cell and no checkpoint of this suite yet"):
        collect(part, tmp_path / "results", tmp_path / "reports")


def test_a_damaged_checkpoint_is_one_line(part: Suite, results: Path, tmp_path: Path):
    state = results / cell_of(part, "ppo").folder / "checkpoint" / "state.pt"
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"state\.pt: not a readable checkpoint"):
        collect(part, results, tmp_path / "reports")
