"""Count the records of reports that training with the code and settings of now would not make."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.provenance import fingerprint


def count(report: Path) -> int:
    """How many records beside the plan.json of a report its cells do not accept, fingerprinted anew.

    A run.json that cannot be read counts. Not counted are unfinished records, records of candidates, and
    cells whose environment is not installed.
    """
    try:
        plan = json.loads((report / "plan.json").read_text(encoding="utf-8"))
        cells = list(plan.get("cells", []))
    except (OSError, ValueError, RecursionError, AttributeError, TypeError):
        return 0  # not a report; rendering it names the file
    return sum(_stale(report, json.dumps(cell)) for cell in cells)


def counts(reports: Path) -> dict[str, int]:
    """The same for every report of a folder, by name."""
    return {file.parent.name: count(file.parent) for file in sorted(reports.glob("*/plan.json"))}


def _stale(report: Path, text: str) -> bool:
    try:
        cell = Cell.from_json(text)
    except (KeyError, TypeError, AttributeError):
        return False  # a plan of another version, whose cells cannot be compared
    file = report / "records" / Path(*cell.folder.parts[1:]) / "run.json"
    if cell.candidate or not file.is_file():
        return False
    try:
        cell = replace(cell, fingerprint=fingerprint.of(cell))
    except UserError:
        return False
    try:
        run = json.loads(file.read_text(encoding="utf-8"))
        return run.get("status") != "unfinished" and not cell.accepts(run)
    except (OSError, ValueError, RecursionError, AttributeError, TypeError):
        return True
