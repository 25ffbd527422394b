"""Records of the reference and of the random agent for `rlparity validate`: restored, refused, or trained."""

from __future__ import annotations

from pathlib import Path

import pytest
from validating import SUITE, question, ship

from rlparity.validation import request, statistics

pytestmark = pytest.mark.usefixtures("in_checkout")


def test_shipped_references_are_restored(tiny: Path, tmp_path: Path) -> None:
    plan = request.plan(question(tiny))
    ship(plan, tmp_path / "reports")
    there = statistics.references(plan, tmp_path / "results", tmp_path / "reports")
    assert [cell.seeds[0] for cell in there.cells] == [*range(6)] and not there.refused and not there.waiting
    assert statistics.floor(plan, tmp_path / "results", tmp_path / "reports") == []


def test_seeds_that_other_reports_ship_are_used_too(tiny: Path, tmp_path: Path) -> None:
    ship(request.plan(question(tiny)), tmp_path / "reports")
    tiny.write_text(SUITE.replace("seeds: [0-5]", "seeds: [0-1]"))
    there = statistics.references(request.plan(question(tiny)), tmp_path / "results", tmp_path / "reports")
    assert [cell.seeds[0] for cell in there.cells] == [*range(6)]


def test_stale_references_are_refused_by_what_differs(tiny: Path, tmp_path: Path) -> None:
    plan = request.plan(question(tiny))
    theirs = next(cell for cell in plan.cells if cell.implementation == "sb3")
    old = {**plan.parts(theirs)["versions"], "torch": "2.0.1"}
    ship(plan, tmp_path / "reports", fingerprint="0", versions=old)
    there = statistics.references(plan, tmp_path / "results", tmp_path / "reports")
    now = plan.parts(theirs)["versions"]["torch"]
    (line,) = there.refused
    assert not there.cells and f"torch is {now}, was 2.0.1" in line and "seeds 0, 1, 2, 3, 4, 5" in line
    trained = request.plan(question(tiny, references="train"))
    there = statistics.references(trained, tmp_path / "results", tmp_path / "reports")
    assert [cell.seeds[0] for cell in there.waiting] == [*range(6)]
