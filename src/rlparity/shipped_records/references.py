"""References of a suite whose records are taken from the reports: which seeds, and which are trained here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.runs import pending
from rlparity.shipped_records import restore
from rlparity.shipped_records.restore import Shipped
from rlparity.suites.suite import Suite, arm_folder

TRAINED = 5  # seeds of a reference without valid records; below five seeds nothing is decided
NONE_SHIPPED = "no record of it is shipped"


def settled(
    suite: Suite, results: Path, reports: Path, say: Callable[[str], None] = lambda line: None
) -> Suite:
    """The suite with those seeds of its references of which valid records are in `reports` or `results`.

    Of a reference with fewer than `TRAINED` of them, that many seeds are trained: `Suite.unshipped` has the
    reason. `say` gets a line for every reference of which seeds were left out.
    """
    theirs = [cell for cell in suite.cells if suite.restored(cell)]
    if not theirs:
        return suite
    catalogue = restore.shipped(reports, suite.name)
    left_out: set[str] = set()
    unshipped = {}
    for arm in dict.fromkeys(map(arm_folder, theirs)):
        cells = [cell for cell in theirs if arm_folder(cell) == arm]
        reasons = {str(cell.folder): _missing(cell, suite, catalogue, results) for cell in cells}
        missing = Counter(reason for reason in reasons.values() if reason)
        if len(cells) - missing.total() >= min(TRAINED, len(cells)):
            left_out |= {folder for folder, reason in reasons.items() if reason}
            action = f"{missing.total()} of {len(cells)} seeds are left out"
        else:
            left_out |= {str(cell.folder) for cell in cells[TRAINED:]}
            unshipped[arm] = missing.most_common(1)[0][0]
            action = f"{min(TRAINED, len(cells))} seeds are trained"
        if missing:
            say(f"reference {arm}: {action}: {missing.most_common(1)[0][0]}")
    kept = tuple(cell for cell in suite.cells if str(cell.folder) not in left_out)
    return replace(suite, cells=kept, unshipped=unshipped)


def fill(suite: Suite, results: Path, reports: Path) -> int:
    """Copy the shipped records of a `settled` suite's references to `results`; returns how many were."""
    theirs = [cell for cell in suite.cells if suite.restored(cell)]
    waiting = [cell for cell in theirs if not pending.up_to_date(cell, results / cell.folder)]
    catalogue = restore.shipped(reports, suite.name) if waiting else []
    for cell in waiting:
        source = valid(cell, catalogue)
        if source is None:
            raise UserError(f"{cell.folder}: its shipped record is gone; give the command again")
        restore.take(source, results / cell.folder)
    return len(waiting)


def checked(suite: Suite) -> list[Cell]:
    """The first seed of each reference of a `settled` suite whose records are shipped: the live check."""
    if not suite.live_check:
        return []
    firsts: dict[str, Cell] = {}
    for cell in suite.cells:
        if suite.restored(cell):
            firsts.setdefault(arm_folder(cell), cell)
    return list(firsts.values())


def valid(cell: Cell, catalogue: Sequence[Shipped]) -> Shipped | None:
    """The record that a cell may take over: one of its own fingerprint before one that was vouched for."""
    mine = sorted(_of_cell(cell, catalogue), key=lambda one: one.run.get("fingerprint") != cell.fingerprint)
    return next((one for one in mine if cell.accepts(one.run) and one.damaged() is None), None)


def _missing(cell: Cell, suite: Suite, catalogue: Sequence[Shipped], results: Path) -> str | None:
    """Why there is no valid record of a cell; None if there is one."""
    if pending.up_to_date(cell, results / cell.folder) or valid(cell, catalogue) is not None:
        return None
    _, reason = restore.choose(cell, _of_cell(cell, catalogue), suite.parts(cell), others=True)
    return reason or NONE_SHIPPED


def _of_cell(cell: Cell, catalogue: Sequence[Shipped]) -> list[Shipped]:
    """The shipped records of a cell, up to date or not."""
    mine = restore.who(json.loads(cell.to_json()))
    return [one for one in catalogue if one.who == mine]
