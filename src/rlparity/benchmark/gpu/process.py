"""A command in a group of processes of its own, asked to end before its time limit and killed at it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rlparity.runs.parent_death import end_with_parent

GRACE_S = 10.0  # for checkpoints, at most; a quarter of a shorter limit


class Ended(NamedTuple):
    """How a command ended."""

    status: int  # exit status; negative: the signal that ended it
    stopped: bool  # it was asked to end, because its time was over


def run(
    command: Sequence[str], where: Path, log: Path, limit_s: float, variables: Mapping[str, str]
) -> Ended:
    """Run a command in the folder `where`, its output at the end of `log`.

    Shortly before `limit_s` seconds all its processes are sent SIGINT, as by Ctrl-C, and at the limit
    SIGKILL. So they are when this function is left by an exception, and when this process is killed, they
    end with it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    grace = min(GRACE_S, limit_s / 4)
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, cwd=where, env=dict(variables), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            start_new_session=True, preexec_fn=_prepare,
        )  # fmt: skip
    stopped = True
    try:
        process.wait(limit_s - grace)
        stopped = False
    except subprocess.TimeoutExpired:
        pass
    finally:
        try:
            if stopped:
                _ask(process, grace)
        finally:  # also where Ctrl-C is pressed again
            _signal(process, signal.SIGKILL)
            process.wait()
    return Ended(process.returncode, stopped)


def _prepare() -> None:
    """In the new process: heed SIGINT, which processes in the background ignore; end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent(signal.SIGKILL)


def _ask(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Ask the group to end, and wait for the process that started the others."""
    _signal(process, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(patience_s)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
