"""One check of the analysis, and how found numbers are held against wanted ones.

Wanted numbers come from exact fractions, closed forms and sums written out here, never from the code that is
checked.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from rlparity.errors import UserError


class Check(NamedTuple):
    """The result of one check."""

    name: str  # what must hold, in words
    passed: bool
    detail: str  # the first number that is off, one line
    seconds: float

    def __str__(self) -> str:
        return f"{'pass' if self.passed else 'FAIL'} {self.name}" + (f": {self.detail}" * (not self.passed))


class Differs(Exception):
    """A number is not what it must be; the message has both."""


Body = Callable[[], None]


class Group(list[Body]):
    """The checks of one module, in the order of its text; as a decorator it adds one."""

    def __call__(self, body: Body) -> Body:
        self.append(body)
        return body


def run(body: Body) -> Check:
    """Run a check. Its name is the first line of its docstring; one that raises has failed."""
    started, detail = time.perf_counter(), ""
    try:
        body()
    except Differs as error:
        detail = str(error)
    except Exception as error:
        detail = f"it raised {type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
    name = inspect.getdoc(body) or body.__name__
    return Check(name.splitlines()[0].rstrip("."), not detail, detail, time.perf_counter() - started)


def near(what: str, found: Any, wanted: Any, tolerance: float = 1e-9) -> None:
    """Raise Differs unless numbers are equal up to rounding (relative, absolute around 0); NaN equals NaN."""
    a, b = np.asarray(found, dtype=float), np.asarray(wanted, dtype=float)
    if a.shape != b.shape or not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
        raise Differs(f"{what} is {_short(a)}, not {_short(b)}")


def same(what: str, found: Any, wanted: Any) -> None:
    """Raise Differs unless both are equal."""
    if found != wanted:
        raise Differs(f"{what} is {found!r}, not {wanted!r}")


def missing(what: str, *found: Any) -> None:
    """Raise Differs unless all are NaN."""
    for value in found:
        if not math.isnan(float(value)):
            raise Differs(f"{what} is {value}, not missing")


def inside(what: str, found: float, low: float, high: float) -> None:
    """Raise Differs unless low <= found <= high."""
    if not low <= found <= high:
        raise Differs(f"{what} is {found:.10g}, not from {low:.10g} to {high:.10g}")


def true(what: str, condition: Any) -> None:
    """Raise Differs unless the condition holds."""
    if not condition:
        raise Differs(f"not so: {what}")


def refused(what: str, body: Callable[[], Any]) -> None:
    """Raise Differs unless it raises UserError."""
    try:
        body()
    except UserError:
        return
    raise Differs(f"{what} was not refused")


def row(what: str, found: Mapping[str, Any], **wanted: Any) -> None:
    """Hold columns of a row against wanted values: numbers up to rounding, None as missing."""
    for key, value in wanted.items():
        if value is None:
            missing(f"{what}, {key},", found[key])
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            near(f"{what}, {key},", found[key], value)
        else:
            same(f"{what}, {key},", found[key], value)


def _short(x: Any) -> str:
    return " ".join(f"{value:.10g}" for value in np.ravel(x)[:6])


def at_most(share: float, trials: int, level: float = 1e-6) -> int:
    """Largest count that is no evidence, at `level`, of more than this share of so many trials."""
    return trials - at_least(1 - share, trials, level)


def at_least(share: float, trials: int, level: float = 1e-6) -> int:
    """Least count that is no evidence, at `level`, of less than this share: from sums of the binomial."""
    below = 0.0
    for count in range(trials + 1):
        below += _binomial(count, trials, share)
        if below > level:
            return count
    return trials


def _binomial(count: int, trials: int, share: float) -> float:
    if share in (0, 1):
        return float(count == trials * share)
    ways = math.lgamma(trials + 1) - math.lgamma(count + 1) - math.lgamma(trials - count + 1)
    return math.exp(ways + count * math.log(share) + (trials - count) * math.log1p(-share))


def flat(groups: Iterable[Group]) -> list[Body]:
    """The checks of all groups."""
    return [body for group in groups for body in group]
