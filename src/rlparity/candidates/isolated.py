"""Train a Python candidate in its own process, so that a crash or hang of it fails only its seed."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rlparity import records
from rlparity.candidates import process_group, settings
from rlparity.cell import Cell
from rlparity.training.recorder import Recorder

RESULT, HEARTBEAT = "result.json", "heartbeat.json"
HARD_LIMIT = 10  # times the limit inside the process, for code that cannot be interrupted there
TIME_LIMIT_S = 600.0


def run(cell: Cell, folder: Path, recorder: Recorder) -> tuple[str, ...]:
    """Train the one seed of a cell in another process, and add its rows to the recorder; returns notes.

    After an exception, a crash of the interpreter or a hang the seed has failed. Output of the candidate goes
    to `candidate.log`. It runs in an empty folder, which is removed with everything in it.
    """
    base = Path(cell.candidate.get("folder", ".")).resolve()
    limit = float(cell.candidate.get("time_limit_s", TIME_LIMIT_S))
    entry = absolute(cell.candidate["entry"], base)
    inner = dataclasses.replace(cell, candidate={**cell.candidate, "entry": entry})
    recorder.start()
    notes: tuple[str, ...] = settings.keep(cell, folder)
    with process_group.folder() as exchange, process_group.folder() as work:
        (exchange / "cell.json").write_text(inner.to_json(), encoding="utf-8")
        heartbeat = (folder / HEARTBEAT).resolve()
        command = [sys.executable, "-m", "rlparity", "attempt"]
        command += ["--into", str(exchange), "--heartbeat", str(heartbeat)]
        variables = process_group.environment(base)
        try:
            log = folder / "candidate.log"
            process_group.run(command, work, log, HARD_LIMIT * limit, variables, heartbeat)
            notes = settings.keep(cell, folder, answer=_read(recorder, exchange))
        except process_group.Stopped as stopped:
            recorder.failed[cell.seeds[0]] = f"its process {stopped}"
        finally:
            heartbeat.unlink(missing_ok=True)
    recorder.finish()
    return notes


def absolute(entry: str, base: Path) -> str:
    """`folder/module.py:FACTORY` with an absolute path; an entry with a module name as it is."""
    place, _, name = entry.rpartition(":")
    return f"{(base / place).resolve()}:{name}" if place.endswith(".py") else entry


def train(exchange: Path, heartbeat: Path) -> None:
    """In the other process: train the cell of `exchange/cell.json`, and write its rows to that folder."""
    from rlparity.candidates import entry_point
    from rlparity.errors import UserError
    from rlparity.runs.progress import Display

    cell = Cell.from_json((exchange / "cell.json").read_text(encoding="utf-8"))
    recorder, display = Recorder(cell), Display(cell, heartbeat)
    stated: list[Any] = []
    try:
        entry_point.run(cell, display, recorder=recorder, stated=stated)
    except UserError as error:
        recorder.failed[cell.seeds[0]] = str(error)
    finally:
        display.close()
    for kind in records.SCHEMAS:
        records.write(exchange, kind, getattr(recorder, kind))
    failed = recorder.failed.get(cell.seeds[0])
    result = {"failed": failed, "evaluation_time_s": recorder.evaluation_time_s}
    result["answer"] = stated[0] if stated else None
    records.write_bytes(exchange / RESULT, json.dumps(result, default=_plain).encode())


def _plain(value: Any) -> Any:
    """A value of an answer that JSON does not have: an array as a list or number, others as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _read(recorder: Recorder, exchange: Path) -> Any:
    """Add what the other process has written, and return the candidate's answer; Stopped if it wrote no
    result."""
    if not (exchange / RESULT).is_file():
        raise process_group.Stopped("ended without a result")
    result = json.loads((exchange / RESULT).read_text(encoding="utf-8"))
    for kind in records.SCHEMAS:
        getattr(recorder, kind).extend(pq.read_table(exchange / f"{kind}.parquet").to_pylist())
    recorder.evaluation_time_s = result["evaluation_time_s"]
    if result["failed"] is not None:
        recorder.failed[recorder.cell.seeds[0]] = result["failed"]
    return result["answer"]
