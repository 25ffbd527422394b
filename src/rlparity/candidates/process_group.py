"""Run a candidate's program in its own folder and process group, with a time limit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from rlparity.cell import Cell
from rlparity.errors import StorageError
from rlparity.runs.parent_death import end_with_parent

RAW = "raw"  # folder of raw logs that are kept
LOG_MIB = 64  # of output, after which a program is stopped
POLL_S, GRACE_S = 0.1, 5.0
UNSTARTED = "could not be started"  # the reason begins so if no program ran
REASONS = (UNSTARTED, "crashed by", "ended with", "printed more", "was stopped")  # beginnings of all reasons
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # 1: cells run in parallel


class Stopped(Exception):
    """The program failed or was stopped; the message is the reason, in one line."""


@contextmanager
def folder(keep: Path | None = None) -> Iterator[Path]:
    """An empty folder outside of the results, removed at the end; with `keep`, copied there before."""
    path = Path(tempfile.mkdtemp(prefix="rlparity-")).resolve()
    try:
        yield path
        if keep is not None:
            _copy(path, keep)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def kept(cell: Cell, records: Path) -> Path | None:
    """Where the raw logs of a cell go, beside its records; None if they are not kept."""
    return records / RAW if cell.candidate.get("keep_logs") else None


def _copy(path: Path, to: Path) -> None:
    """Copy a folder in place of an earlier one, links as links. StorageError where the disk is full."""
    shutil.rmtree(to, ignore_errors=True)
    try:
        shutil.copytree(path, to, symlinks=True)
    except shutil.Error as error:  # of some files
        reasons = "; ".join(str(each[2]) for each in error.args[0][:3])
        raise StorageError(f"{to}: raw logs cannot be kept ({reasons})") from None
    except OSError as error:
        raise StorageError(f"{to}: raw logs cannot be kept ({error.strerror})") from None


def environment(base: Path) -> dict[str, str]:
    """Environment variables for a program of `base`: modules are found there, this Python comes first, one
    thread."""
    paths = [str(base), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    python = str(Path(sys.executable).parent)
    found = {**dict.fromkeys(THREADS, "1"), **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return {**found, "PATH": os.pathsep.join([python, os.environ.get("PATH", os.defpath)])}


def run(
    command: Sequence[str],
    where: Path,
    log: Path,
    limit_s: float,
    variables: Mapping[str, str],
    heartbeat: Path | None,
    links: Sequence[int] = (),
) -> None:
    """Run a program in the folder `where` to its end, with its output in `log`; end all that it started.

    The limit counts from the start, or from the last change of the file `heartbeat`. `links` are open file
    descriptors that the program is given under the same numbers. Raises Stopped if the program fails, takes
    too long or prints too much.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out, _sigterm_raises():
        try:
            process = subprocess.Popen(
                command, cwd=where, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, pass_fds=links, preexec_fn=partial(end_with_parent, signal.SIGKILL),
            )  # fmt: skip
        except OSError as error:
            raise Stopped(f"{UNSTARTED}: {command[0]}: {error.strerror}") from None
        try:
            _wait(process, log, limit_s, heartbeat)
        finally:
            _end(process)
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        raise Stopped(f"crashed by signal {name}{_last_line(log)}")
    if process.returncode:
        raise Stopped(f"ended with status {process.returncode}{_last_line(log)}")


def _wait(process: subprocess.Popen[bytes], log: Path, limit_s: float, heartbeat: Path | None) -> None:
    since, beat = time.monotonic(), 0.0
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_S)
            return
        if log.stat().st_size > LOG_MIB * 2**20:
            raise Stopped(f"printed more than {LOG_MIB} MiB, and was stopped")
        with suppress(OSError):
            if heartbeat and (touched := heartbeat.stat().st_mtime) != beat:
                since, beat = time.monotonic(), touched
        if time.monotonic() - since > limit_s:
            raise Stopped(f"was stopped at the time limit of {limit_s:g} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End all processes that are left of the program's group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)


def _last_line(log: Path) -> str:
    """The last line that was printed; for a Python program that failed, the exception."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    shown = [line for line in lines if line]
    text = "".join(letter for letter in shown[-1] if letter.isprintable())[:200] if shown else ""
    return f": {text}" if text else ", and printed nothing"


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turn SIGTERM of this process into an exception, so that the program is ended before it."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: Any = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
