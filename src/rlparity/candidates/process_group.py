"""Where other people's programs run: in a folder and a process group of their own, for a limited time."""

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

from rlparity.runs.parent_death import end_with_parent

LOG_MIB = 64  # of output, after which a program is stopped
POLL_S, GRACE_S = 0.1, 5.0
UNSTARTED = "could not be started"  # how the reason begins where no program ran
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # cells run side by side


class Stopped(Exception):
    """The program did not come to a good end; the message says why, in one line."""


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder away from all results, removed in the end."""
    path = Path(tempfile.mkdtemp(prefix="rlparity-")).resolve()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def environment(base: Path) -> dict[str, str]:
    """Variables for a program called from `base`: its modules found, this Python first, one thread."""
    paths = [str(base), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    python = str(Path(sys.executable).parent)
    found = {**dict.fromkeys(THREADS, "1"), **os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    return {**found, "PATH": os.pathsep.join([python, os.environ.get("PATH", os.defpath)])}


def run(
    words: Sequence[str],
    where: Path,
    log: Path,
    limit_s: float,
    variables: Mapping[str, str],
    pulse: Path | None,
) -> None:
    """Run a program in `where` to its end, its output in `log`. What it started goes with it.

    The limit counts from the start, or, with `pulse`, from the last change of that file. Raises Stopped.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out, _ends_with_us():
        try:
            process = subprocess.Popen(
                words, cwd=where, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, preexec_fn=partial(end_with_parent, signal.SIGKILL),
            )  # fmt: skip
        except OSError as error:
            raise Stopped(f"{UNSTARTED}: {words[0]}: {error.strerror}") from None
        try:
            _watch(process, log, limit_s, pulse)
        finally:
            _end(process)
    if process.returncode < 0:
        name = signal.Signals(-process.returncode).name
        raise Stopped(f"crashed by signal {name}{_last_words(log)}")
    if process.returncode:
        raise Stopped(f"ended with status {process.returncode}{_last_words(log)}")


def _watch(process: subprocess.Popen[bytes], log: Path, limit_s: float, pulse: Path | None) -> None:
    moved, beat = time.monotonic(), 0.0
    while True:
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_S)
            return
        if log.stat().st_size > LOG_MIB * 2**20:
            raise Stopped(f"printed more than {LOG_MIB} MiB, and was stopped")
        with suppress(OSError):
            if pulse and (touched := pulse.stat().st_mtime) != beat:
                moved, beat = time.monotonic(), touched
        if time.monotonic() - moved > limit_s:
            raise Stopped(f"was stopped at the time limit of {limit_s:g} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End whatever is left of the program's process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)


def _last_words(log: Path) -> str:
    """The last line that was printed, which in Python is the exception."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    shown = [line for line in lines if line]
    text = "".join(letter for letter in shown[-1] if letter.isprintable())[:200] if shown else ""
    return f": {text}" if text else ", and printed nothing"


@contextmanager
def _ends_with_us() -> Iterator[None]:
    """SIGTERM ends this process as an exception, so that the program is ended first."""

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
