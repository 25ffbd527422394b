"""Stale records of a report are counted, and named at the top of its page and on the index."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from invented import fake_report, write_run

from rlparity.__main__ import main
from rlparity.cell import Cell, Protocol
from rlparity.provenance import fingerprint
from rlparity.shipped_records import stale

OTHER = "0123456789abcdef"


def planned(implementation: str, algorithm: str) -> Cell:
    cell = Cell(
        "tiny", "CartPole-v1", implementation, algorithm, algorithm, (0, 1), 1000, evaluation=Protocol()
    )
    return replace(cell, fingerprint=OTHER)  # as an older version planned it


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report of three cells, whose records the code of now made."""
    folder = fake_report(tmp_path / "reports" / "tiny", algorithms=("random", "ppo"), seeds=2)
    cells = [planned("scratch", "random"), planned("scratch", "ppo"), planned("sb3", "ppo")]
    plan = json.loads((folder / "plan.json").read_text())
    plan["cells"] = [json.loads(cell.to_json()) for cell in cells]
    (folder / "plan.json").write_text(json.dumps(plan))
    for cell in cells:
        record(folder, cell, fingerprint=fingerprint.of(cell))
    return folder


def record(folder: Path, cell: Cell, **changes: Any) -> None:
    write_run(folder, json.loads(cell.to_json()), **changes)


def test_records_of_the_code_of_now_are_not_stale(report: Path) -> None:
    assert stale.count(report) == 0


def test_a_record_is_stale_if_neither_it_nor_a_voucher_has_the_fingerprint_of_now(report: Path) -> None:
    cell = planned("scratch", "ppo")
    record(report, cell, fingerprint=OTHER)
    assert stale.count(report) == 1
    record(report, cell, fingerprint=OTHER, vouched=[{"fingerprint": fingerprint.of(cell)}])
    assert stale.count(report) == 0
    record(report, cell, fingerprint=OTHER, status="unfinished")
    assert stale.count(report) == 0


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", '{"vouched": 3}', "[" * 100_000], ids=lambda text: text[:9]
)
def test_a_damaged_record_is_stale_and_hides_no_other(text: str, report: Path) -> None:
    record(report, planned("sb3", "ppo"), fingerprint=OTHER)
    (file,) = (report / "records").glob("*/scratch/ppo/*/run.json")
    file.write_text(text)
    assert stale.count(report) == 2
    for plan in ("[]", "null", '{"cells": 3}', "[" * 100_000):
        (report / "plan.json").write_text(plan)
        assert stale.count(report) == 0


def test_a_setting_that_changed_in_the_plan_makes_the_record_stale(report: Path) -> None:
    plan = json.loads((report / "plan.json").read_text())
    plan["cells"][2]["hyperparameters"] = {"gamma": 0.5}
    (report / "plan.json").write_text(json.dumps(plan))
    assert stale.count(report) == 1


def test_folders_without_a_comparable_plan_have_none(report: Path, tmp_path: Path) -> None:
    assert stale.count(tmp_path / "nowhere") == 0
    plan = json.loads((report / "plan.json").read_text())
    for cell in plan["cells"]:
        del cell["evaluation"]
    (report / "plan.json").write_text(json.dumps(plan))
    assert stale.count(report) == 0


def test_the_page_its_twin_the_index_and_the_terminal_name_them(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--reports", str(report.parent)]
    pages = [report / "index.html", report / "README.md", report.parent / "index.html"]
    assert main(["dev", "render", "tiny", *where]) == main(["dev", "index", *where]) == 0
    assert "stale" not in capsys.readouterr().out
    assert not any("stale" in page.read_text() for page in pages)
    record(report, planned("scratch", "ppo"), fingerprint=OTHER)
    record(report, planned("sb3", "ppo"), fingerprint=OTHER)
    assert main(["dev", "render", "tiny", *where]) == main(["dev", "index", *where]) == 0
    line = "2 of the 3 records are stale: code or settings that training depends on have changed since."
    assert f"stale: {line} rlparity run tiny trains them again." in capsys.readouterr().out
    page, twin, index = (page.read_text() for page in pages)
    assert all(line in text for text in (page, twin, index))
    assert page.index(line) < page.index('class="answer"')
    assert twin.index(f"**{line} `rlparity run tiny` trains them again") < twin.index("\n> ")
    assert stale.counts(report.parent) == {"tiny": 2}
