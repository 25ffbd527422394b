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


def at_a_bound(
    ours: statistics.Array, other: Theirs, bounds: tuple[float, float]
) -> tuple[float, float] | None:
    """90 % interval of the difference where all our seeds have the lowest or the highest value that there is.

    No seed of n has another value, so at least 0.05^(1/n) of all trainings have this one, with a confidence
    of 95 %, and the others cannot be beyond the other bound. The error of the published number, where its
    spread is stated, widens the interval. None where the value is at no bound, or the other is not known.
    """
    here = float(ours[0])
    if here not in bounds or not np.isfinite(bounds).all():
        return None
    share = ALPHA ** (1 / len(ours))
    worst = share * here + (1 - share) * (bounds[0] if here == bounds[1] else bounds[1])
    low, high = sorted((worst - other.value, here - other.value))
    variance, df = other.error(0.0)
    half = float(scipy.stats.t.ppf(1 - ALPHA, df)) * math.sqrt(variance) if variance > 0 else 0.0
    return low - half, high + half


def seeds_at_a_bound(tolerance: float, bounds: tuple[float, float]) -> int:
    """Fewest seeds with which `at_a_bound` lies within the tolerance, if the published value is the bound."""
    return math.ceil(math.log(ALPHA) / math.log1p(-min(tolerance / (bounds[1] - bounds[0]), 1 - 1e-12)))


def seeds_needed(sd: float, other: Theirs, tolerance: float) -> int | None:
    """Fewest seeds of ours that replicate with 80 % power if the expectations are the same; None above MOST,
    and where the published number's own error is too large for any number."""

    def power(n: int) -> float:
        return statistics.power_of_equivalence(*_error(n, sd, other), tolerance, ALPHA)

    if not power(MOST) >= POWER:
        return None
    low, high = 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high
