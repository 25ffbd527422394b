"""The result of one check of a layer of validation, and what all layers share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rlparity import registry

TIME_LIMIT_S = 120.0  # of a candidate without a sign of life; `candidate["time_limit_s"]` of a cell
LAYERS = (*registry.LAYERS, "statistics")  # from seconds to hours
Answer = tuple[bool, str]  # whether a check passed, and its evidence in one line
Say = Callable[[str], None]  # shows a line to the user


class NotRun(Exception):
    """A layer could not be run; the message gives the reason in one line."""


class Check(NamedTuple):
    """The result of one check."""

    layer: str  # of LAYERS
    name: str  # the property that was checked, in words
    passed: bool
    detail: str  # the evidence, one line: numbers, the first tensor that differs, ...
    seconds: float = 0.0
    looked: bool = True  # False: it was not looked at, and `detail` is the reason
    ran: bool = True  # False: an error, a hang or an unreadable log, which says nothing of the implementation

    def __str__(self) -> str:
        verdict = "pass" if self.passed else "FAIL"
        verdict = verdict if self.looked else "not looked at"
        return f"{verdict} {self.layer}: {self.name}" + (f" ({self.detail})" if self.detail else "")


def timed(layer: str, name: str, run: Callable[[], Answer], may_decline: bool = False) -> Check:
    """Run a check and time it. A check that raises has failed; the exception is its evidence.

    With `may_decline`, a candidate that raises NotImplementedError does not offer what was asked for, and was
    not looked at.
    """
    started = time.perf_counter()
    try:
        passed, detail = run()
    except Exception as error:
        if may_decline and isinstance(error, NotImplementedError):
            return not_looked_at(layer, name, f"declined: {_first_line(error)}")
        passed, detail = False, f"{type(error).__name__}: {_first_line(error)}"
    return Check(layer, name, passed, detail, time.perf_counter() - started)


def not_looked_at(layer: str, name: str, reason: str) -> Check:
    """What a layer did not look at, and why; it neither passes nor fails."""
    return Check(layer, name, True, reason, looked=False)


def unseen(checks: Sequence[Check]) -> str:
    """What was not looked at, in one clause; empty if there is nothing."""
    names = [check.name for check in checks if not check.looked]
    return f"{', '.join(names)} not looked at" if names else ""


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else "no message"


def duplicates(records: Mapping[int, object]) -> str:
    """Name the seeds whose records equal those of an earlier seed; empty if there are none."""
    first: dict[str, int] = {}
    found = []
    for seed, content in records.items():
        other = first.setdefault(json.dumps(content), seed)
        found += [f"seed {seed} has the same records as seed {other}"] if other != seed else []
    return "; ".join(found)
