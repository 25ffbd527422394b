"""A Python candidate in a process of its own: whatever it does to that, its cell comes to an end."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pyarrow.parquet as pq

from rlparity import records
from rlparity.candidates import process_group
from rlparity.cell import Cell
from rlparity.training.recorder import Recorder

RESULT, PULSE = "rows.json", "heartbeat.json"
HARD_LIMIT = (
    10  # times the limit that the candidate's own process keeps, for what cannot be interrupted there
)
TIME_LIMIT_S = 600.0


def run(cell: Cell, folder: Path, rows: Recorder) -> tuple[str, ...]:
    """Train the one seed of a cell in another process and fill `rows` with what that booked; returns notes.

    An exception, a crash of the interpreter and a hang are the reason why the seed failed. What it prints is
    in `candidate.log`, and the folder that it runs in is removed with all that it wrote there.
    """
    base = Path(cell.candidate.get("folder", ".")).resolve()
    limit = float(cell.candidate.get("time_limit_s", TIME_LIMIT_S))
    entry = absolute(cell.candidate["entry"], base)
    inner = dataclasses.replace(cell, candidate={**cell.candidate, "entry": entry})
    rows.start()
    with process_group.folder() as books, process_group.folder() as work:
        (books / "cell.json").write_text(inner.to_json(), encoding="utf-8")
        pulse = (folder / PULSE).resolve()
        command = [
            sys.executable,
            "-m",
            "rlparity",
            "attempt",
            "--into",
            str(books),
            "--heartbeat",
            str(pulse),
        ]
        variables = process_group.environment(base)
        try:
            process_group.run(command, work, folder / "candidate.log", HARD_LIMIT * limit, variables, pulse)
            _take(rows, books)
        except process_group.Stopped as stopped:
            rows.failed[cell.seeds[0]] = f"its process {stopped}"
        finally:
            pulse.unlink(missing_ok=True)
    rows.finish()
    return ()


def absolute(entry: str, base: Path) -> str:
    """`folder/module.py:FACTORY` from anywhere; other entries are found on Python's path."""
    place, _, name = entry.rpartition(":")
    return f"{(base / place).resolve()}:{name}" if place.endswith(".py") else entry


def train(books: Path, heartbeat: Path) -> None:
    """The other process: train the cell in `books/cell.json`, and leave there what was booked."""
    from rlparity.candidates import entry_point
    from rlparity.errors import UserError
    from rlparity.runs.progress import Display

    cell = Cell.from_json((books / "cell.json").read_text(encoding="utf-8"))
    rows, display = Recorder(cell), Display(cell, heartbeat)
    try:
        entry_point.run(cell, display, rows=rows)
    except UserError as error:
        rows.failed[cell.seeds[0]] = str(error)
    finally:
        display.close()
    for kind in records.SCHEMAS:
        records.write(books, kind, getattr(rows, kind))
    told = {"failed": rows.failed.get(cell.seeds[0]), "evaluation_time_s": rows.evaluation_time_s}
    records.write_bytes(books / RESULT, json.dumps(told).encode())


def _take(rows: Recorder, books: Path) -> None:
    if not (books / RESULT).is_file():
        raise process_group.Stopped("ended without a result")
    told = json.loads((books / RESULT).read_text(encoding="utf-8"))
    for kind in records.SCHEMAS:
        getattr(rows, kind).extend(pq.read_table(books / f"{kind}.parquet").to_pylist())
    rows.evaluation_time_s = told["evaluation_time_s"]
    if told["failed"] is not None:
        rows.failed[rows.cell.seeds[0]] = told["failed"]
