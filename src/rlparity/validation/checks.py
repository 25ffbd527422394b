"""What a layer of validation says: one line per thing that it looked at."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

TIME_LIMIT_S = 120.0  # of a candidate without a sign of life; `candidate["time_limit_s"]` of a cell
LAYERS = ("contract", "parity", "lockstep", "statistics")  # from seconds to hours


class Check(NamedTuple):
    """One thing that a layer looked at."""

    layer: str  # of LAYERS
    name: str  # what was looked at, in words
    passed: bool
    detail: str  # the evidence, one line: numbers, the first tensor that differs, ...
    seconds: float = 0.0

    def __str__(self) -> str:
        verdict = "pass" if self.passed else "FAIL"
        return f"{verdict} {self.layer}: {self.name}" + (f" ({self.detail})" if self.detail else "")


def timed(layer: str, name: str, look: Callable[[], tuple[bool, str]]) -> Check:
    """The check that `look` makes, which returns whether it passed, and its evidence; raising is failing."""
    started = time.perf_counter()
    try:
        passed, detail = look()
    except Exception as error:
        text = str(error).strip().splitlines()
        passed, detail = False, f"{type(error).__name__}: {text[0] if text else 'no message'}"
    return Check(layer, name, passed, detail, time.perf_counter() - started)
