"""What `restore` says of records that it does not take. Records are invented."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from invented import write_run
from resolved import resolve

from rlparity.cell import Cell
from rlparity.shipped_records import restore
from rlparity.suites.suite import Suite

pytestmark = pytest.mark.usefixtures("in_checkout")


@pytest.fixture
def suite() -> Suite:
    return resolve(algorithms=["ppo"], implementations=["scratch"], seeds=["0-1"])


def shipped(reports: Path, report: str, cell: Cell, **changes: Any) -> Path:
    """A record of older sources."""
    return write_run(reports / report, json.loads(cell.to_json()), fingerprint="older", **changes)


def said(suite: Suite, folder: Path) -> list[str]:
    return str(restore.restore(suite, folder / "results", folder / "reports")).splitlines()


def test_records_of_another_suite_with_other_settings_are_not_shipped(suite: Suite, tmp_path: Path) -> None:
    (cell,) = suite.cells
    shipped(tmp_path / "reports", "other", replace(cell, suite="other", budget=99))
    assert said(suite, tmp_path) == ["0 restored, 0 there already, 0 stale, 1 not shipped"]
    found = restore.shipped(tmp_path / "reports")
    assert restore.choose(cell, found, suite.parts(cell)) == (None, None)
    _, reason = restore.choose(cell, found, suite.parts(cell), others=True)
    assert reason is not None and reason.startswith("budget is 4096, was 99; ")


@pytest.mark.parametrize("trained_for", ["other", "made-up"])
def test_records_with_the_same_settings_are_stale_whatever_suite_they_are_of(
    trained_for: str, suite: Suite, tmp_path: Path
) -> None:
    (cell,) = suite.cells
    shipped(tmp_path / "reports", "other", replace(cell, suite=trained_for))
    line, summary = said(suite, tmp_path)
    assert line.startswith(f"stale    {cell.folder}: ") and "budget" not in line
    assert summary == "0 restored, 0 there already, 1 stale, 0 not shipped"


@pytest.mark.parametrize(("report", "trained_for"), [("made-up", "other"), ("other", "made-up")])
def test_the_suites_own_records_with_other_settings_are_stale(
    report: str, trained_for: str, suite: Suite, tmp_path: Path
) -> None:
    (cell,) = suite.cells
    shipped(tmp_path / "reports", report, replace(cell, suite=trained_for, budget=99))
    assert said(suite, tmp_path)[0].startswith(f"stale    {cell.folder}: budget is 4096, was 99")


STRANGE = {
    "a list": [],
    "no cell": {"cell": None},
    "seeds": {"cell": {"seeds": 3}},
    "nested seeds": {"cell": {"seeds": [[0]]}},
    "true": {"cell": {"seeds": [True]}},
    "hashes": {"hashes": []},
    "vouched": {"vouched": [3]},
    "versions": {"versions": "2.0"},
}


@pytest.mark.parametrize("kind", [*STRANGE, "deep", "a folder", "no text"])
def test_a_file_that_is_no_run_is_left_out(kind: str, suite: Suite, tmp_path: Path) -> None:
    """So one damaged file keeps no cell from its record."""
    (cell,) = suite.cells
    file = shipped(tmp_path / "reports", "made-up", cell)
    made = json.loads(file.read_text())
    if kind == "deep":
        file.write_text("[" * 100_000)
    elif kind == "a folder":
        file.unlink()
        file.mkdir()
    elif kind == "no text":
        file.write_bytes(b"\xff")
    else:
        strange = STRANGE[kind]
        file.write_text(json.dumps({**made, **strange} if isinstance(strange, dict) else strange))
    assert said(suite, tmp_path) == ["0 restored, 0 there already, 0 stale, 1 not shipped"]
