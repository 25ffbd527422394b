"""The result of one check of a layer of validation, and what all layers share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
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
    ran: bool = True  # False: the candidate's code ended by an error or a hang, which says nothing of it

    def __str__(self) -> str:
        verdict = "pass" if self.passed else "FAIL"
        return f"{verdict} {self.layer}: {self.name}" + (f" ({self.detail})" if self.detail else "")


def timed(layer: str, name: str, run: Callable[[], Answer]) -> Check:
    """Run a check and time it. A check that raises has failed; the exception is its evidence."""
    started = time.perf_counter()
    try:
        passed, detail = run()
    except Exception as error:
        text = str(error).strip().splitlines()
        passed, detail = False, f"{type(error).__name__}: {text[0] if text else 'no message'}"
    return Check(layer, name, passed, detail, time.perf_counter() - started)


def duplicates(records: Mapping[int, object]) -> str:
    """Name the seeds whose records equal those of an earlier seed; empty if there are none."""
    first: dict[str, int] = {}
    found = []
    for seed, content in records.items():
        other = first.setdefault(json.dumps(content), seed)
        found += [f"seed {seed} has the same records as seed {other}"] if other != seed else []
    return "; ".join(found)
