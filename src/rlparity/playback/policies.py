"""Policies that the report of a suite carries, so that restored records can be watched.

One for every environment, implementation and algorithm: that of the smallest seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.playback import films, shipped_policy
from rlparity.provenance import fingerprint
from rlparity.records import write_bytes
from rlparity.shipped_records import live_check, retrain

PLAN = "plan.json"


def ship(suite: str, results: Path, reports: Path) -> str:
    """Put policies of trainings in `results` into the report, and remove those of other records; a line."""
    shipped = bytes_ = 0
    for cell, shelf, run in _shelves(suite, reports):
        if not shipped_policy.is_valid(shelf, run):
            _take(cell, shelf, run, results)
        if shipped_policy.is_valid(shelf, run):
            shipped, bytes_ = shipped + 1, bytes_ + (shelf / shipped_policy.FILE).stat().st_size
        else:
            (shelf / shipped_policy.FILE).unlink(missing_ok=True)
    return f"{shipped} policies, {bytes_ / 2**20:.1f} MiB"


def _take(cell: Cell, shelf: Path, run: dict[str, Any], results: Path) -> None:
    """Take a policy from the training of the cell, of its live check, or as it was restored."""
    folder = results / cell.folder
    for place in (folder, live_check.folder_of(cell, results)):
        state = shipped_policy.trained(cell, place, run)
        if state is not None:
            shipped_policy.save(shelf, state, shipped_policy.evaluations_of(run)[0])
            return
    if shipped_policy.is_valid(folder, run):
        write_bytes(shelf / shipped_policy.FILE, (folder / shipped_policy.FILE).read_bytes())


def retrained(suite: str, reports: Path, algorithms: Sequence[str], say: Callable[[str], None]) -> list[str]:
    """Train the seeds again whose policies a report lacks, and put these into it where all rows are the same.

    Returns a line for each policy that could not be had. `algorithms`: only these; all if empty.
    """
    lost = []
    for cell, shelf, run in _shelves(suite, reports):
        if shipped_policy.is_valid(shelf, run) or (algorithms and cell.algorithm not in algorithms):
            continue
        alone = replace(cell, seeds=cell.seeds[:1], suite=suite)
        alone = replace(alone, fingerprint=fingerprint.of(alone))
        if reason := _not_current(cell, run):
            lost.append(f"{cell.folder}: {reason}")
            continue
        finding, state = retrain.whole(alone, shelf)
        if finding.difference is not None:
            lost.append(f"{cell.folder}: this machine makes other rows: {finding.difference}")
        else:
            size = shipped_policy.save(shelf, state, shipped_policy.evaluations_of(run)[0])
            about = f"seed {alone.seeds[0]}, {finding.rows} equal rows, {size / 1024:,.0f} KiB"
            kept = "" if (shelf / shipped_policy.FILE).is_file() else ", too large to be shipped"
            say(f"{cell.folder}: {about}{kept}")
    return lost


def _not_current(cell: Cell, run: dict[str, Any]) -> str:
    """Why a record cannot be trained again, if it cannot."""
    if not replace(cell, fingerprint=fingerprint.of(cell)).accepts(run):
        return "its record is of other code, settings or packages"
    return f"seed {cell.seeds[0]} failed" if str(cell.seeds[0]) in run.get("failed_seeds", {}) else ""


def _shelves(suite: str, reports: Path) -> Iterator[tuple[Cell, Path, dict[str, Any]]]:
    """Of each arm of a report the cell that is shown, the folder of its records there, and run.json."""
    file = reports / suite / PLAN
    try:
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: not the plan of a report ({error})") from None
    for cell in films.chosen(cells):
        shelf = reports / suite / "records" / Path(*cell.folder.parts[1:])
        if not cell.candidate and (shelf / "run.json").is_file():
            yield cell, shelf, json.loads((shelf / "run.json").read_text(encoding="utf-8"))
