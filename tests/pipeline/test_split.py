"""A suite with whole blocks and one with divided blocks: the same tables, verdicts, films and pages."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from resolved import BASE

from rlparity import project_files
from rlparity.__main__ import main
from rlparity.analysis import summarize, tables
from rlparity.playback import films
from rlparity.reporting.figures import draw
from rlparity.reporting.pages.suite import report
from rlparity.runs.run_cell import run_cell
from rlparity.shipped_records import restore
from rlparity.suites import suite

pytestmark = [pytest.mark.whole, pytest.mark.usefixtures("in_checkout")]
RAW: dict[str, Any] = {
    **BASE,
    "algorithms": ["random", "ppo", "dqn"],
    "seeds": ["0-2", "3-4"],
    "budgets": {"default": 1024},
    "evaluation": {"points": 2, "episodes": 2, "final_episodes": 2},
    "films": True,
}
NAME = str(RAW["name"])
TIMED = "cost.csv"  # the only table with times
PUBLISHED = project_files.PROJECT / project_files.PUBLISHED


def report_of(made: suite.Suite, folder: Path, draws: bool = True) -> Path:
    """Every stage after training, on the records in `folder / results`."""
    results, reports = folder / "results", folder / "reports"
    tables.collect(list(made.cells), results, reports, made.plan())
    films.make(NAME, results, reports)
    summarize.analyse(results / NAME / "tables", PUBLISHED, reports / NAME)
    if draws:
        draw.draw(reports / NAME)
    report.render(reports / NAME, 0)
    return reports / NAME


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Path]:
    """By split, a folder in which the suite is trained and reported."""
    found = {}
    for n in (1, 2):
        found[n], made = tmp_path_factory.mktemp(f"split-{n}"), suite.resolve({**RAW, "split": n}, NAME)
        for cell in made.cells:
            run_cell(cell, found[n] / "results" / cell.folder)
        report_of(made, found[n])
    return found


def csv(report: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in report.glob("*.csv") if file.name != TIMED}


def shown(report: Path) -> dict[str, bytes]:
    """Films and stills."""
    return {file.name: file.read_bytes() for file in (report / "films").glob("*.*g*")}


def test_tables_and_verdicts_are_the_same_bytes(trained: Mapping[int, Path]) -> None:
    whole, split = (csv(trained[n] / "reports" / NAME) for n in (1, 2))
    assert {"scores.csv", "verdicts.csv", "summary.csv", "curves.csv", "thresholds.csv"} <= whole.keys()
    assert len(whole["scores.csv"].splitlines()) > 50
    assert whole == split
    folders = [trained[n] / "results" / NAME / "CartPole-v1" / "scratch" / "ppo" for n in (1, 2)]
    blocks = [{path.name for path in folder.iterdir()} for folder in folders]
    assert blocks == [
        {"seeds-0-2", "seeds-3-4"},
        {"seeds-0-1", "seeds-2-2", "seeds-3-3", "seeds-4-4"},
    ]


def test_rows_of_the_tables_of_records_are_the_same(trained: Mapping[int, Path]) -> None:
    for name in ("episodes", "evaluations"):
        one, other = (trained[n] / "results" / NAME / "tables" / f"{name}.parquet" for n in (1, 2))
        assert one.read_bytes() == other.read_bytes()


def test_films_figures_and_numbers_on_the_page_are_the_same(trained: Mapping[int, Path]) -> None:
    whole, split = (trained[n] / "reports" / NAME for n in (1, 2))
    assert len(shown(whole)) >= 6 and shown(whole) == shown(split)
    drawn = {file.name for file in (whole / "figures").glob("*.svg") if "cost" not in file.name}
    assert len(drawn) > 3
    for name in drawn:
        assert (whole / "figures" / name).read_bytes() == (split / "figures" / name).read_bytes(), name
    one, other = (re.split(r"\n## ", (place / "README.md").read_text()) for place in (whole, split))
    timed = ("Cost", "Provenance")
    same = [part for part in one if not part.startswith(timed)]
    assert len(same) > 4 and same == [part for part in other if not part.startswith(timed)]


@pytest.mark.parametrize(("shipped", "wanted"), [(1, 2), (2, 1)])
def test_a_report_of_one_split_gives_the_records_and_films_of_another(
    shipped: int, wanted: int, trained: Mapping[int, Path], tmp_path: Path
) -> None:
    """Nothing is trained again, neither a block that is divided nor one that is put together."""
    made = suite.resolve({**RAW, "split": wanted}, NAME)
    shutil.copytree(trained[shipped] / "reports", tmp_path / "reports")
    done = str(restore.restore(made, tmp_path / "results", tmp_path / "reports"))
    assert done.splitlines()[-1] == f"{len(made.cells)} restored, 0 there already, 0 stale, 0 not shipped"
    again = report_of(made, tmp_path, draws=False)
    assert csv(again) == csv(trained[wanted] / "reports" / NAME)
    assert shown(again) == shown(trained[wanted] / "reports" / NAME)
    for cell in made.cells:
        if cell.implementation == "scratch":
            for name in ("episodes.parquet", "evaluations.parquet"):
                there = (tmp_path / "results" / cell.folder / name).read_bytes()
                assert there == (trained[wanted] / "results" / cell.folder / name).read_bytes()
    page = (again / "README.md").read_text()
    count = sum(cell.implementation == "scratch" for cell in made.cells)
    assert f"{count} of {len(made.cells)} records: rows of the same seeds in other blocks" in page
    taken = json.loads((again / "films" / "films.json").read_text())
    assert not taken["left_out"]


def test_a_plan_counts_cells_as_trained_whose_seeds_other_blocks_have(
    trained: Mapping[int, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(json.dumps(RAW))
    folders = ["--results", str(trained[2] / "results"), "--reports", str(tmp_path)]
    for split, missing in (("1", 0), ("2", 0), ("3", 0)):
        assert main(["plan", str(file), *folders, "--split", split]) == 0
        assert f"{missing} to train" in capsys.readouterr().out
    file.write_text(json.dumps({**RAW, "seeds": ["0-2", "3-5"]}))
    assert main(["plan", str(file), *folders, "--split", "1"]) == 0
    assert "5 to train" in capsys.readouterr().out  # three blocks with seed 5, and two of SB3's seeds
