"""A time limit for code that is not ours and may never come back."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

from rlparity.candidates.environments import Misbehaved

AGAIN_S = 1.0  # until it is told again, if it goes on all the same


class Patience:
    """Raises `Misbehaved` where the main thread is, once `seconds` have passed without a sign of life.

    It reaches code that waits, sleeps or runs Python, and none that stays inside one call of a library for
    ever. In other threads, and where there is no SIGALRM, there is no limit.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._armed = False
        self._before: Any = None

    def __enter__(self) -> Self:
        self._armed = threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGALRM")
        if self._armed:
            self._before = signal.signal(signal.SIGALRM, self._lost)
        self.moved()
        return self

    def __exit__(self, *_: object) -> None:
        if self._armed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._before)
            self._armed = False

    def moved(self) -> None:
        """There was a sign of life."""
        if self._armed:
            signal.setitimer(signal.ITIMER_REAL, self._seconds, AGAIN_S)

    def _lost(self, number: int, frame: FrameType | None) -> None:
        raise Misbehaved(
            f"nothing happened for {self._seconds:g} s (time_limit_s), neither a step nor an end"
        )
