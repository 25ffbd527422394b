"""One published number against our seeds: the difference, its standard error, and what would decide.

An equivalence test, so that a wide interval replicates nothing. The published number has an error of its
own. Its spread over seeds is the source's where that is stated; a spread over episodes of one agent says
nothing about another training, so ours stands for it. Where the number of seeds is not stated, the number is
all that can be compared: then nothing is called NOT REPLICATED.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.stats

from rlparity.analysis import statistics
from rlparity.analysis.intervals import methods

ALPHA = 0.05
POWER = 0.8
MOST = 1000  # seeds that are looked at


@dataclass(frozen=True)
class Theirs:
    """What a source says of one number, larger values better or not."""

    value: float
    seeds: float = math.nan  # NaN: not stated
    sd: float = math.nan  # over seeds; NaN: not stated

    def error(self, sd: float) -> tuple[float, float]:
        """Variance of the published mean and its degrees of freedom, NaN where our `sd` stands for theirs."""
        if math.isnan(self.seeds):
            return 0.0, math.inf
        if math.isnan(self.sd):
            return sd**2 / self.seeds, math.nan  # as uncertain as ours
        return self.sd**2 / self.seeds, self.seeds - 1


def theirs(row: Mapping[str, Any]) -> Theirs:
    """From a row of `numbers.published`: a spread counts if it is over two seeds or more."""
    seeds, spread, kind = row["seeds"], row["spread"], row["spread_kind"]
    sd = math.nan
    if seeds >= 2:
        half = spread if not np.isnan(spread) else (row["high"] - row["low"]) / 2
        per_sd = {"sd": 1.0, "se": 1 / math.sqrt(seeds)}
        per_sd["ci95"] = float(scipy.stats.t.ppf(0.975, seeds - 1)) / math.sqrt(seeds)
        sd = half / per_sd[kind] if kind in per_sd else math.nan
    return Theirs(float(row["value"]), float(seeds), float(sd))


@dataclass(frozen=True)
class Comparison:
    """Ours minus theirs."""

    difference: float
    se: float
    df: float

    def interval(self, level: float) -> tuple[float, float]:
        """Confidence interval of the difference."""
        half = float(scipy.stats.t.ppf((1 + level) / 2, self.df)) * self.se
        return self.difference - half, self.difference + half

    @property
    def p_difference(self) -> float:
        """Two-sided p of "both have the same expectation"."""
        return float(2 * scipy.stats.t.sf(abs(self.difference) / self.se, self.df))


def compare(ours: statistics.Array, other: Theirs) -> Comparison:
    """From our final values (n,), n of 2 or more that are not all the same."""
    n, sd = len(ours), float(ours.std(ddof=1))
    return Comparison(float(ours.mean()) - other.value, *_error(n, sd, other))


def _error(n: float, sd: float, other: Theirs) -> tuple[float, float]:
    """Standard error and Welch's degrees of freedom with n seeds of ours."""
    own = sd**2 / n
    extra, df = other.error(sd)
    if math.isnan(df):
        return math.sqrt(own + extra), n - 1
    parts = own**2 / (n - 1) + (extra**2 / df if extra else 0.0)
    return math.sqrt(own + extra), (own + extra) ** 2 / parts


class AtABound:
    """Ours minus theirs where all our n seeds have the lowest or the highest value that there is.

    No seed of n has another value. If a share q of all trainings had this one, that would happen with
    probability q^n: so q is at least a^(1/n), with a confidence of 1 - a, and the others cannot be beyond the
    other bound. The error of the published number, where it has a known one, takes half of a.
    """

    def __init__(self, n: int, here: float, beyond: float, other: Theirs):
        """`here`: our value, at one bound; `beyond`: the other bound."""
        self._n, self._here, self._beyond, self._other = n, here, beyond, other
        self._variance, self._df = other.error(0.0)

    def _mean(self, tail: float) -> tuple[float, float]:
        """Ends of an interval of our mean: it is beyond either with a probability of at most `tail`."""
        share = tail ** (1 / self._n)
        low, high = sorted((share * self._here + (1 - share) * self._beyond, self._here))
        return low, high

    @property
    def known(self) -> bool:
        """Whether their error is known: of some seeds without a spread only where all are at our bound."""
        return not math.isnan(self._df) or self._other.value == self._here

    def interval(self, level: float) -> tuple[float, float]:
        """Confidence interval of the difference."""
        tail, half = (1 - level) / 2, 0.0
        if self._variance > 0:
            tail /= 2
            half = float(scipy.stats.t.ppf(1 - tail, self._df)) * math.sqrt(self._variance)
        low, high = self._mean(tail)
        return low - self._other.value - half, high - self._other.value + half

    @property
    def p_difference(self) -> float:
        """One minus the level of the widest interval without 0; 1 if there is none."""
        low, high = 0.0, 1.0  # p is above `low`, at most `high`
        for _ in range(40):
            middle = (low + high) / 2
            ends = self.interval(1 - middle)
            low, high = (low, middle) if ends[0] > 0 or ends[1] < 0 else (middle, high)
        return high

    def seeds_needed(self, tolerance: float) -> int | None:
        """Fewest seeds, all at the bound, that replicate; None above MOST."""
        for n in range(2, MOST + 1):
            again = AtABound(n, self._here, self._beyond, self._other)
            if max(map(abs, again.interval(1 - 2 * ALPHA))) < tolerance:
                return n
        return None


class SomeAtABound(AtABound):
    """The same where some of our seeds are at a bound; the interval is that of `methods.spacings`."""

    def __init__(self, ours: statistics.Array, bounds: tuple[float, float], other: Theirs):
        self._ours, self._bounds, self._sd = ours, bounds, float(ours.std(ddof=1))
        super().__init__(len(ours), bounds[1], bounds[0], other)
        self._variance, df = other.error(self._sd)
        self._df = len(ours) - 1 if math.isnan(df) else df

    def _mean(self, tail: float) -> tuple[float, float]:
        low, high = methods.spacings(self._ours, 1 - 2 * tail, 0.0, self._bounds)
        return float(low), float(high)

    def seeds_needed(self, tolerance: float) -> int | None:
        """Of seeds inside the bounds with this spread: a lower estimate."""
        return seeds_needed(self._sd, self._other, tolerance)


def at_a_bound(ours: statistics.Array, other: Theirs, bounds: tuple[float, float]) -> AtABound | None:
    """None where no seed of ours is at a bound, or a bound is not known."""
    if not np.isfinite(bounds).all() or not set(ours.tolist()) & set(bounds):
        return None
    if np.ptp(ours) > 0:
        return SomeAtABound(ours, bounds, other)
    here = float(ours[0])
    return AtABound(len(ours), here, bounds[0] if here == bounds[1] else bounds[1], other)


def seeds_needed(sd: float, other: Theirs, tolerance: float) -> int | None:
    """Fewest seeds of ours that replicate with 80 % power if the expectations are the same; None above MOST,
    and where the published number's own error is too large for any number. The power need not rise with the
    seeds: Welch's degrees of freedom fall to those of the published spread."""
    for n in range(2, MOST + 1):
        if statistics.power_of_equivalence(*_error(n, sd, other), tolerance, ALPHA) >= POWER:
            return n
    return None
