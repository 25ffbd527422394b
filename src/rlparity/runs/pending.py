"""What is still to be trained. Each cell's order, `cell.json`, is the input of its training.

Snakemake's own memory, `.snakemake`, may be lost, and knows nothing of records that were restored. So the
order's time says it: newer than the records if they belong to another fingerprint, older if they are the ones
that the order asks for.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rlparity.cell import Cell
from rlparity.errors import UserError

ORDER = "cell.json"
OUTPUTS = ("episodes.parquet", "evaluations.parquet", "progress.parquet", "run.json")


def place(cells: Iterable[Cell], results: Path) -> list[Cell]:
    """Write or renew the orders of these cells; returns the cells that are still to be trained."""
    try:
        return [cell for cell in cells if not _place(cell, results / cell.folder)]
    except OSError as error:
        raise UserError(f"{results}: cannot be written to: {error.strerror}") from None


def up_to_date(cell: Cell, folder: Path) -> bool:
    """Whether a folder holds the records that a cell asks for. That a candidate's seed failed holds only for
    the time limit that it had."""
    run = finished(folder)
    if run is None or not cell.accepts(run):
        return False
    if run.get("status") != "failed" or not cell.candidate:
        return True
    had = run["cell"]["candidate"].get("time_limit_s")
    return had == cell.candidate.get("time_limit_s")


def read(path: Path) -> Cell:
    """The cell that an order asks for."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def parse(text: str) -> Cell:
    """A cell as JSON, from an order or from `Cell.to_json`."""
    try:
        values = json.loads(text)
        values.pop("ordered", None)
        return Cell.from_json(json.dumps(values))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"not a cell: {error}") from None


def failed_seeds(plan: Path, results: Path) -> list[str]:
    """One line for every seed of a plan that was frozen."""
    lines = []
    for values in json.loads(plan.read_text(encoding="utf-8"))["cells"]:
        cell = Cell.from_json(json.dumps(values))
        run = finished(results / cell.folder) or {}
        for seed, reason in run.get("failed_seeds", {}).items():
            lines.append(f"{cell.folder}: seed {seed} failed: {reason}; the report has its rows up to there")
    return lines


def complete(folder: Path) -> bool:
    """Whether a folder has all files of a finished run."""
    return all((folder / name).is_file() for name in OUTPUTS)


def finished(folder: Path) -> dict[str, Any] | None:
    """`run.json` of a folder with all records in it, else None; None, too, if it says nothing."""
    if not complete(folder):
        return None
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    return run if isinstance(run, dict) else None


def _place(cell: Cell, folder: Path) -> bool:
    """Whether the folder holds the records that the cell asks for."""
    order = folder / ORDER
    changed = _content(order) != json.loads(cell.to_json())
    if not complete(folder):
        if changed:
            _write(cell, order)
        return False
    oldest = min((folder / name).stat().st_mtime_ns for name in OUTPUTS)
    there = up_to_date(cell, folder)
    if changed or (not there and order.stat().st_mtime_ns <= oldest):
        _write(cell, order)
    if there and order.stat().st_mtime_ns > oldest:
        os.utime(order, ns=(oldest, oldest))
    return there


def _content(order: Path) -> Any:
    try:
        values = json.loads(order.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(values, dict):
        values.pop("ordered", None)
    return values


def _write(cell: Cell, order: Path) -> None:
    """The time in it makes its content new, too: Snakemake compares checksums of small files."""
    values = {"ordered": datetime.now(UTC).isoformat(), **json.loads(cell.to_json())}
    order.parent.mkdir(parents=True, exist_ok=True)
    temporary = order.with_name(f".{order.name}.{uuid.uuid4().hex}")
    temporary.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(order)
