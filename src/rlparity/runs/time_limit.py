"""A time limit for a process, which holds even where it hangs inside an extension module."""

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
    """Ask for an end as SIGTERM does once the seconds are over; a process that does not heed it within
    GRACE_S says where it hangs and ends with status 1. 0: no limit. For the main thread."""
    if not seconds:
        yield
        return

    def ring(number: int, frame: object) -> None:
        print(f"rlparity: {folder}: the time limit of {seconds:g} s is over", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + GRACE_S, exit=True)  # from a thread that needs no interpreter
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
