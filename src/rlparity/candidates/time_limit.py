"""A time limit for a candidate's code in this process."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

from rlparity.candidates.environments import Hung

REPEAT_S = 1.0  # until the exception is raised anew, if the code has caught it


class TimeLimit:
    """Raises `Hung` in the main thread once `seconds` have passed since the last `renew()`.

    It interrupts code that waits, sleeps or runs Python, but not a single call of a library that does not
    return. There is no limit in other threads, or on systems without SIGALRM.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._armed = False
        self._before: Any = None

    def __enter__(self) -> Self:
        self._armed = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGALRM")
        if self._armed:
            self._before = signal.signal(signal.SIGALRM, self._expired)
        self.renew()
        return self

    def __exit__(self, *_: object) -> None:
        if self._armed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
            self._armed = False

    def renew(self) -> None:
        """Count the seconds from now."""
        if self._armed:
            signal.setitimer(signal.ITIMER_REAL, self._seconds, REPEAT_S)

    def _expired(self, number: int, frame: FrameType | None) -> None:
        raise Hung(f"nothing happened for {self._seconds:g} s (time_limit_s), neither a step nor an end")
