"""Train a Python candidate in its own process, so that a crash or hang of it fails only its seed.

Its training is recorded there, its evaluations here: see `examination`.
"""

from __future__ import annotations

import dataclasses
import json
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rlparity import records
from rlparity.candidates import examination, process_group, settings
from rlparity.cell import Cell
from rlparity.provenance import interpreters
from rlparity.runs import row_checks
from rlparity.training.recorder import Recorder

RESULT, HEARTBEAT, EPISODES = "result.json", "heartbeat.json", "episodes"
HARD_LIMIT = 10  # times the limit inside the process, for code that cannot be interrupted there
TIME_LIMIT_S = 600.0


def run(cell: Cell, folder: Path, recorder: Recorder) -> tuple[str, ...]:
    """Train the one seed of a cell in another process, and add its rows to the recorder; returns notes.

    After an exception, a crash of the interpreter or a hang the seed has failed, and if the rows cannot be
    those of the cell. Output of the candidate goes to `candidate.log`. It runs in an empty folder, which is
    removed with everything in it.
    """
    base = Path(cell.candidate.get("folder", ".")).resolve()
    limit = float(cell.candidate.get("time_limit_s", TIME_LIMIT_S))
    entry = absolute(cell.candidate["entry"], base)
    inner = dataclasses.replace(cell, candidate={**cell.candidate, "entry": entry})
    recorder.start()
    notes: tuple[str, ...] = settings.keep(cell, folder)
    with (
        process_group.folder() as exchange,
        process_group.folder(process_group.kept(cell, folder)) as work,
        _evaluating(recorder) as theirs,
    ):
        (exchange / "cell.json").write_text(inner.to_json(), encoding="utf-8")
        heartbeat = (folder / HEARTBEAT).resolve()
        command = [sys.executable, "-P", "-m", "rlparity", "dev", "attempt"]
        command += ["--into", str(exchange), "--heartbeat", str(heartbeat), "--link", str(theirs)]
        variables = process_group.environment(base)
        try:
            log = folder / "candidate.log"
            process_group.run(command, work, log, HARD_LIMIT * limit, variables, heartbeat, (theirs,))
            notes = settings.keep(cell, folder, answer=_read(recorder, exchange))
        except process_group.Stopped as stopped:
            recorder.failed[cell.seeds[0]] = f"its process {stopped}"
        finally:
            heartbeat.unlink(missing_ok=True)
    recorder.finish()
    _check(recorder)
    return notes


@contextmanager
def _evaluating(recorder: Recorder) -> Iterator[int]:
    """Evaluate in a thread for a process that is given the file descriptor; an error there is raised here."""
    ours, theirs = socket.socketpair()
    errors: list[BaseException] = []

    def serve() -> None:
        try:
            with Connection(ours.detach()) as link:
                examination.serve(recorder.cell, recorder, link)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with theirs:
        yield theirs.fileno()
    thread.join()
    if errors:
        raise errors[0]


def versions(cell: Cell) -> dict[str, str]:
    """Versions of all packages of this interpreter, which runs the candidate too."""
    base = Path(cell.candidate.get("folder", ".")).resolve()
    return interpreters.versions(sys.executable, process_group.environment(base))


def absolute(entry: str, base: Path) -> str:
    """`folder/module.py:FACTORY` with an absolute path; an entry with a module name as it is."""
    place, _, name = entry.rpartition(":")
    return f"{(base / place).resolve()}:{name}" if place.endswith(".py") else entry


def train(exchange: Path, heartbeat: Path, link: int) -> None:
    """In the other process: train the cell of `exchange/cell.json`, and write its episodes to that folder.

    `link` is a file descriptor, at whose other end evaluations are run and recorded.
    """
    from rlparity.candidates import entry_point
    from rlparity.errors import UserError
    from rlparity.runs.progress import Display

    cell = Cell.from_json((exchange / "cell.json").read_text(encoding="utf-8"))
    recorder, display = Recorder(cell), Display(cell, heartbeat)
    stated: list[Any] = []
    try:
        entry_point.run(
            cell, display, examination.Answers(Connection(link)), recorder=recorder, stated=stated
        )
    except UserError as error:
        recorder.failed[cell.seeds[0]] = str(error)
    finally:
        display.close()
    records.write(exchange, EPISODES, recorder.episodes)
    result = {"failed": recorder.failed.get(cell.seeds[0]), "env_step": recorder.env_step}
    result["answer"] = _as_json(stated[0]) if stated else None
    records.write_bytes(exchange / RESULT, json.dumps(result).encode())


def _as_json(answer: Any) -> Any:
    """A candidate's answer as JSON has it; text where it cannot, which is then noted as no answer."""
    try:
        return json.loads(json.dumps(answer, default=_plain))
    except (TypeError, ValueError, RecursionError) as error:
        return f"no JSON: {error}"


def _plain(value: Any) -> Any:
    """A value of an answer that JSON does not have: an array as a list or number, others as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _read(recorder: Recorder, exchange: Path) -> Any:
    """Add what the other process has written, and return the candidate's answer; Stopped if it wrote no
    result."""
    if not (exchange / RESULT).is_file():
        raise process_group.Stopped("ended without a result")
    result = json.loads((exchange / RESULT).read_text(encoding="utf-8"))
    recorder.episodes.extend(pq.read_table(exchange / f"{EPISODES}.parquet").to_pylist())
    recorder.env_step = result["env_step"]
    if result["failed"] is not None:
        recorder.failed[recorder.cell.seeds[0]] = result["failed"]
    return result["answer"]


def _check(recorder: Recorder) -> None:
    """Fail the seed if its rows cannot be those of the cell."""
    cell, seed = recorder.cell, recorder.cell.seeds[0]
    row_checks.check(recorder)
    if seed in recorder.failed:
        return
    problem = row_checks.bad_training(cell, recorder.episodes, recorder.env_step or 0)
    if problem := problem or row_checks.bad_evaluations(cell, recorder.evaluations):
        recorder.failed[seed] = problem
