"""Ways to compute an interval over seeds. Which of them is shown where is in `rule`.

Each takes scores (..., n) and gives the lower and upper end, (...): NaN where the method has no finite
interval. Sources: Student 1908; Tukey and McLaughlin 1963, Yuen 1974 (trimmed means); Efron 1979 (percentile
bootstrap), 1981 (bootstrap-t); Gaffke 2005, Learned-Miller and Thomas 2020 (arXiv 1905.06208)
for `spacings`; Clopper and Pearson 1934 for shares; Newcombe 2006 (method 5) for P(X > Y).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from rlparity.analysis import statistics
from rlparity.analysis.attainable import ANYTHING
from rlparity.analysis.statistics import Array

Ends = tuple[Array, Array]
TRIM = 0.25  # of either end, in an inter-quartile mean
SPACINGS = 5_000  # draws of uniform order statistics
RESAMPLES = 1_000  # of a bootstrap
LEAST = 0.93  # coverage of the median by order statistics that is near enough to 95 %


def student(x: ArrayLike, level: float = 0.95) -> Ends:
    """Of the mean, from n of 2 or more: x.mean() -+ t s / sqrt(n)."""
    return trimmed_t(x, level, trim=0.0)


def trimmed_t(x: ArrayLike, level: float = 0.95, trim: float = TRIM) -> Ends:
    """Of a trimmed mean, from its winsorised deviation; t has h - 1 degrees of freedom, h being left."""
    middle, error, df = _trimmed(np.asarray(x, dtype=float), trim)
    half = scipy.stats.t.ppf((1 + level) / 2, df) * error if df > 0 else np.full_like(middle, np.nan)
    return middle - half, middle + half


def _trimmed(x: Array, trim: float) -> tuple[Array, Array, int]:
    """Trimmed mean, its standard error, and degrees of freedom; 0 where too few values are left."""
    n, cut = x.shape[-1], int(x.shape[-1] * trim)
    x = np.sort(x, -1) if cut else x
    left = n - 2 * cut
    if left < 2:
        return np.full(x.shape[:-1], np.nan), np.full(x.shape[:-1], np.nan), 0
    middle = x[..., cut : n - cut].mean(-1)
    pulled_in = np.clip(x, x[..., cut, None], x[..., n - cut - 1, None]) if cut else x
    error = pulled_in.std(-1, ddof=1) * np.sqrt((n - 1) / (left * (left - 1)))
    return middle, np.where(np.ptp(pulled_in, axis=-1) == 0, 0.0, error), left - 1


def order_statistics(x: ArrayLike, level: float = 0.95, least: float = LEAST) -> Ends:
    """Of the median: the k-th values from either end, k as large as exact coverage allows.

    Between them is the median of any distribution with a probability of at least 1 - 2 P(B < k), B binomial
    (n, 1/2). At 95 % this may be `least`, so that five seeds have an interval: of 93.75 %.
    """
    x = np.sort(np.asarray(x, dtype=float), -1)
    n, least = x.shape[-1], least if level == 0.95 else level
    fitting = [k for k in range(n // 2) if 1 - 2 * scipy.stats.binom.cdf(k, n, 0.5) >= least]
    if not fitting:
        return np.full(x.shape[:-1], np.nan), np.full(x.shape[:-1], np.nan)
    return x[..., fitting[-1]], x[..., n - 1 - fitting[-1]]


def spacings(
    x: ArrayLike, level: float = 0.95, trim: float = TRIM, bounds: tuple[float, float] = ANYTHING
) -> Ends:
    """Of a mean or trimmed mean, from what may lie between and beyond the seeds, no value beyond `bounds`.

    The shares of the true distribution below the ordered seeds are distributed as n ordered uniform numbers
    U. Given U, the trimmed mean is at least that of a distribution which has all mass between two seeds at
    the lower one, and all below the first seed at the lower bound. The lower end is the (1 - level) / 2
    quantile of that over U; the upper end likewise. For the median this is the interval of order statistics,
    which is exact. For means that it is never too short is a conjecture, to which no counterexample is known.
    A trimmed mean needs no bounds where the outermost seeds are in its tails with that probability.
    """
    x = np.sort(np.asarray(x, dtype=float), -1)
    weights = _spacings(x.shape[-1], trim)
    tail = (1 - level) / 2
    ends = []
    for bound, beyond, quantile in ((bounds[0], 0, tail), (bounds[1], x.shape[-1], 1 - tail)):
        values = np.insert(x, beyond, bound if np.isfinite(bound) else 0.0, axis=-1)
        possible = values @ weights.T
        if not np.isfinite(bound):
            possible = np.where(weights[:, beyond] > 0, bound, possible)
        ends.append(np.quantile(possible, quantile, axis=-1, method="nearest"))
    none = ~(np.isfinite(ends[0]) & np.isfinite(ends[1]))
    return np.where(none, np.nan, ends[0]), np.where(none, np.nan, ends[1])


@cache
def _spacings(n: int, trim: float) -> Array:
    """Shares of the trimmed middle between n ordered uniform numbers, (SPACINGS, n + 1)."""
    rng = np.random.default_rng(statistics.SEED)
    inner = np.sort(rng.random((SPACINGS, n)), -1)
    edges = np.pad(inner, ((0, 0), (1, 1)), constant_values=(0, 1))
    return np.diff(np.clip(edges, trim, 1 - trim), axis=-1) / (1 - 2 * trim)


def percentile(statistic: Callable[..., Array], x: ArrayLike, level: float = 0.95) -> Ends:
    """Of any statistic: its quantiles over resamples of the seeds, the same resamples for every row."""
    x, tail = np.asarray(x, dtype=float), (1 - level) / 2
    values = statistic(x[..., _resamples(x.shape[-1])], axis=-1)
    low, high = np.quantile(values, (tail, 1 - tail), axis=-1)
    return low, high


def percentile_of_improvement(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Ends:
    """Of P(X > Y) + P(X = Y) / 2: its quantiles over resamples of both arms, (..., n) and (..., m)."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    better = 0.5 + 0.5 * np.sign(x[..., :, None] - y[..., None, :])
    drawn = []  # how often each seed of an arm is in a resample, as a share
    for seeds, one in ((x.shape[-1], 0), (y.shape[-1], 1)):
        chosen = _resamples(seeds, one)
        drawn.append((chosen[..., None] == np.arange(seeds)).sum(1) / seeds)
    values = ((better @ drawn[1].T) * drawn[0].T).sum(-2)
    tail = (1 - level) / 2
    low, high = np.quantile(values, (tail, 1 - tail), axis=-1)
    return low, high


@cache
def _resamples(n: int, arm: int = 0) -> NDArray[np.int64]:
    """Which seeds of n are in each resample, (RESAMPLES, n)."""
    return np.random.default_rng([statistics.SEED, arm]).integers(0, n, (RESAMPLES, n))


def bootstrap_t(x: ArrayLike, level: float = 0.95) -> Ends:
    """Of the mean: Student's, with the quantiles of t over resamples of the seeds.

    A resample without a spread has an infinite t; NaN where a quantile is infinite.
    """
    x = np.asarray(x, dtype=float)
    middle, error, df = _trimmed(x, 0.0)
    if not df:
        return middle, middle
    again, spread, _ = _trimmed(x[..., _resamples(x.shape[-1])], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.nan_to_num((again - middle[..., None]) / spread, nan=0.0, posinf=np.inf, neginf=-np.inf)
        tail = (1 - level) / 2
        low, high = np.quantile(t, (tail, 1 - tail), axis=-1, method="nearest")
        ends = middle - high * error, middle - low * error
    none = ~(np.isfinite(ends[0]) & np.isfinite(ends[1])) | (error == 0)
    return np.where(none, np.nan, ends[0]), np.where(none, np.nan, ends[1])


def welch(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Ends:
    """Of the difference of two means: (..., n), (..., m); NaN where neither arm has a spread."""
    (one, a, df), (other, b, other_df) = (_trimmed(np.asarray(arm, dtype=float), 0.0) for arm in (x, y))
    with np.errstate(divide="ignore", invalid="ignore"):
        together = (a**2 + b**2) ** 2 / (a**4 / df + b**4 / other_df)
    half = scipy.stats.t.ppf((1 + level) / 2, together) * np.sqrt(a**2 + b**2)
    return one - other - half, one - other + half


def clopper_pearson(successes: ArrayLike, n: int, level: float = 0.95) -> Ends:
    """Of a share: counts (...), of n; never too short."""
    count, tail = np.asarray(successes, dtype=float), (1 - level) / 2
    low = scipy.stats.beta.ppf(tail, count, n - count + 1)
    high = scipy.stats.beta.ppf(1 - tail, count + 1, n - count)
    return np.where(count == 0, 0.0, low), np.where(count == n, 1.0, high)


def newcombe(chance: ArrayLike, n: int, m: int, level: float = 0.95) -> Ends:
    """Of P(X > Y), estimated as `chance` (...) from n and m seeds: all values that are not too far from it.

    Too far: by z standard errors, after Hanley and McNeil's variance at the value itself, in Newcombe's form.
    """
    estimate, z = np.asarray(chance, dtype=float), scipy.stats.norm.ppf((1 + level) / 2)
    more = (n + m) / 2 - 1

    def too_far(value: Array) -> Array:
        shape = 1 + more * (1 - value) / (2 - value) + more * value / (1 + value)
        return (value - estimate) ** 2 > z**2 * value * (1 - value) * shape / (n * m)

    ends = []
    for outer in (0.0, 1.0):
        inside, outside = estimate.copy(), np.full_like(estimate, outer)
        for _ in range(50):
            middle = (inside + outside) / 2
            away = too_far(middle)
            inside, outside = np.where(away, inside, middle), np.where(away, middle, outside)
        ends.append(outside)
    return ends[0], ends[1]
