"""Which cells are still to be trained. Each cell's file `cell.json` is the input of its training job.

Snakemake compares the times of input and output files. So `cell.json` is made newer than records of another
fingerprint, and older than records that are the cell's. That holds without `.snakemake`, Snakemake's own
notes, which may be lost and do not contain restored records.
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
from rlparity.errors import StorageError, UserError

CELL_FILE = "cell.json"
WRITTEN = "written"  # key of `cell.json`: when it was written
OUTPUTS = ("episodes.parquet", "evaluations.parquet", "progress.parquet", "run.json")


def update(cells: Iterable[Cell], results: Path) -> list[Cell]:
    """Write or renew `cell.json` of these cells; returns the cells that are still to be trained."""
    try:
        return [cell for cell in cells if not _update(cell, results / cell.folder)]
    except OSError as error:
        raise StorageError(f"{results}: cannot be written to: {error.strerror}") from None


def renew(cell: Cell, folder: Path) -> None:
    """Make `cell.json` newer than records, so that they are made again."""
    try:
        _write(cell, folder / CELL_FILE)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written to: {error.strerror}") from None


def up_to_date(cell: Cell, folder: Path) -> bool:
    """Whether a folder contains the records of a cell.

    A failed seed of a candidate counts as a record only if the time limit is still the same.
    """
    run = finished(folder)
    if run is None or not cell.accepts(run):
        return False
    if run.get("status") != "failed" or not cell.candidate:
        return True
    had = run["cell"]["candidate"].get("time_limit_s")
    return had == cell.candidate.get("time_limit_s")


def read(path: Path) -> Cell:
    """Read a cell from its `cell.json`."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None


def parse(text: str) -> Cell:
    """Read a cell from the text of `cell.json` or of `Cell.to_json`."""
    try:
        values = json.loads(text)
        values.pop(WRITTEN, None)
        return Cell.from_json(json.dumps(values))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"not a cell: {error}") from None


def failed_seeds(plan: Path, results: Path) -> list[str]:
    """One line for every seed of a plan that failed. Raises UserError where there is no plan."""
    if not plan.is_file():
        raise UserError(f"{plan}: missing; run `rlparity dev collect` first")
    lines = []
    for values in json.loads(plan.read_text(encoding="utf-8"))["cells"]:
        cell = Cell.from_json(json.dumps(values))
        run = finished(results / cell.folder) or {}
        for seed, reason in run.get("failed_seeds", {}).items():
            lines.append(f"{cell.folder}: seed {seed} failed: {reason}; the report has its rows until then")
    return lines


def complete(folder: Path) -> bool:
    """Whether a folder contains all files of a finished run."""
    return all((folder / name).is_file() for name in OUTPUTS)


def finished(folder: Path) -> dict[str, Any] | None:
    """`run.json` of a folder that contains all records; None if one is missing or `run.json` is damaged."""
    if not complete(folder):
        return None
    try:
        run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None
    return run if isinstance(run, dict) else None


def _update(cell: Cell, folder: Path) -> bool:
    """Whether the folder contains the records of the cell."""
    file = folder / CELL_FILE
    changed = _content(file) != json.loads(cell.to_json())
    if not complete(folder):
        if changed:
            _write(cell, file)
        return False
    oldest = min((folder / name).stat().st_mtime_ns for name in OUTPUTS)
    there = up_to_date(cell, folder)
    if changed or (not there and file.stat().st_mtime_ns <= oldest):
        _write(cell, file)
    if there and file.stat().st_mtime_ns > oldest:
        os.utime(file, ns=(oldest, oldest))
    return there


def _content(file: Path) -> Any:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(values, dict):
        values.pop(WRITTEN, None)
    return values


def _write(cell: Cell, file: Path) -> None:
    """Write `cell.json`, with the time: Snakemake compares checksums of small files."""
    values = {WRITTEN: datetime.now(UTC).isoformat(), **json.loads(cell.to_json())}
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    temporary.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(file)
