"""A time limit for a process, also if it hangs inside an extension module."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

GRACE_S = 60.0  # for a checkpoint


@contextmanager
def limited(seconds: float, folder: Path) -> Iterator[None]:
    """Send this process SIGTERM after that many seconds; 0: never. Only in the main thread.

    If it does not end within GRACE_S, it prints its traceback and ends with status 1.
    """
    if not seconds:
        yield
        return

    def ring(number: int, frame: object) -> None:
        print(f"rlparity: {folder}: the time limit of {seconds:g} s is over", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + GRACE_S, exit=True)  # from a C thread
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
