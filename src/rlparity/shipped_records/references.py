"""References of a suite whose records are taken from the reports: which seeds, and which are trained here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.provenance import fingerprint
from rlparity.runs import pending
from rlparity.shipped_records import restore
from rlparity.shipped_records.restore import Shipped
from rlparity.suites.suite import Suite, arm_folder, of_reference

TRAINED = 5  # seeds of a reference without valid records; below five seeds nothing is decided
NONE_SHIPPED = "no record of it is shipped"
TRAINED_HERE = "trained here before"


def settled(
    suite: Suite, results: Path, reports: Path, say: Callable[[str], None] = lambda line: None
) -> Suite:
    """The suite with those seeds of its references of which valid records are in `reports` or `results`.

    Of a reference with fewer than `TRAINED` shipped ones, that many seeds are trained: `Suite.unshipped` has
    the reason. The answer is the same before, while and after they are: what was trained in `results` does
    not count as shipped. `say` gets a line for every reference of which seeds were left out.
    """
    theirs = [cell for cell in suite.cells if suite.restored(cell)]
    if not theirs:
        return suite
    catalogue = restore.shipped(reports, suite.name)
    left_out: set[str] = set()
    unshipped = {}
    for arm in dict.fromkeys(map(arm_folder, theirs)):
        cells = [cell for cell in theirs if arm_folder(cell) == arm]
        own = {str(cell.folder) for cell in cells if trained_here(cell, results)}
        reasons = {str(cell.folder): _missing(cell, suite, catalogue, results) for cell in cells}
        missing = Counter(reason for reason in reasons.values() if reason)
        usable = own | {folder for folder, reason in reasons.items() if reason is None}
        if len(usable - own) >= min(TRAINED, len(cells)):
            lost = len(cells) - len(usable)
            action = f"{lost} of {len(cells)} seeds are left out" if lost else ""
        else:
            usable = own | {str(cell.folder) for cell in cells[:TRAINED]}
            unshipped[arm] = missing.most_common(1)[0][0] if missing else _told(suite, reports, arm)
            action = f"{len(usable)} seeds are trained" if usable - own else ""
        left_out |= reasons.keys() - usable
        if missing and action:
            say(f"reference {arm}: {action}: {missing.most_common(1)[0][0]}")
    kept = tuple(cell for cell in suite.cells if str(cell.folder) not in left_out)
    return replace(suite, cells=kept, unshipped=unshipped)


def trained_here(cell: Cell, results: Path) -> bool:
    """Whether a cell's records in `results` were trained there. Progress of training is not shipped."""
    folder = results / cell.folder
    if not pending.up_to_date(cell, folder):
        return False
    try:
        return pq.read_metadata(folder / "progress.parquet").num_rows > 0
    except (pa.ArrowException, OSError):
        return True  # a copy was written whole


def _told(suite: Suite, reports: Path, arm: str) -> str:
    """The reason that the suite's last report gives for training a reference, all of which is there now."""
    with suppress(OSError, ValueError, RecursionError, AttributeError):
        plan = json.loads((reports / suite.name / "plan.json").read_text(encoding="utf-8"))
        return str(plan.get("unshipped", {}).get(arm, TRAINED_HERE))
    return TRAINED_HERE


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
    restore.unmark(suite, [results / cell.folder for cell in waiting])
    return len(waiting)


def renewed(suite: Suite, results: Path) -> list[Cell]:
    """The references whose records in `results` are copies, where `--config references=train` asks to train
    them: their `cell.json` is made newer. Without `--config`, copies of `rlparity restore` count as trained.
    """
    if suite.narrowed.get("references") != "train":
        return []
    theirs = [cell for cell in suite.cells if of_reference(cell)]
    copies = [
        cell
        for cell in theirs
        if pending.up_to_date(cell, results / cell.folder) and not trained_here(cell, results)
    ]
    for cell in copies:
        pending.renew(cell, results / cell.folder)
    return copies


def checked(suite: Suite, results: Path) -> list[Cell]:
    """The first seed of each reference of a `settled` suite whose record is a shipped one: the live check.

    A seed that was trained in `results` would be compared with itself.
    """
    if not suite.live_check:
        return []
    firsts: dict[str, Cell] = {}
    for cell in suite.cells:
        arm = arm_folder(cell)
        if suite.restored(cell) and arm not in firsts and not trained_here(cell, results):
            firsts[arm] = cell
    return list(firsts.values())


def shipped_seeds(template: Cell, catalogue: Sequence[Shipped]) -> set[int]:
    """The seeds of a cell's arm that reports ship, each in a record of its own, up to date or not."""
    who = restore.who(json.loads(template.to_json()))[:3]
    return {one.who[3] for one in catalogue if one.who[:3] == who and len(one.who) == 4}


def of_seed(template: Cell, seed: int, suite: Suite) -> Cell:
    """The cell of another seed of an arm, with its fingerprint."""
    return marked(replace(template, seeds=(seed,)), suite)


def marked(cell: Cell, suite: Suite) -> Cell:
    """A cell with its fingerprint."""
    return replace(cell, fingerprint=fingerprint.text_hash(suite.parts(cell)))


def valid(cell: Cell, catalogue: Sequence[Shipped]) -> Shipped | None:
    """The record that a cell may take over: one of its own fingerprint before one that was vouched for."""
    mine = sorted(_of_cell(cell, catalogue), key=lambda one: one.run.get("fingerprint") != cell.fingerprint)
    return next((one for one in mine if cell.accepts(one.run) and one.damaged() is None), None)


def _missing(cell: Cell, suite: Suite, catalogue: Sequence[Shipped], results: Path) -> str | None:
    """Why there is no valid shipped record of a cell; None if there is one, or a copy of it."""
    copied = pending.up_to_date(cell, results / cell.folder) and not trained_here(cell, results)
    if copied or valid(cell, catalogue) is not None:
        return None
    _, reason = restore.choose(cell, _of_cell(cell, catalogue), suite.parts(cell), others=True)
    return reason or NONE_SHIPPED


def _of_cell(cell: Cell, catalogue: Sequence[Shipped]) -> list[Shipped]:
    """The shipped records of a cell, up to date or not."""
    mine = restore.who(json.loads(cell.to_json()))
    return [one for one in catalogue if one.who == mine]
