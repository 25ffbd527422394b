"""Estimates over seeds, their intervals, and the tests behind a verdict. Pure functions of numpy arrays.

Seeds are resampled, never episodes: episodes of one trained agent say nothing about another training.
Sources: Agarwal et al. 2021 (arXiv 2108.13264) for the inter-quartile mean, stratified bootstrap, performance
profiles and probability of improvement, in rliable's definitions; Welch 1947 for the difference of means;
Schuirmann 1987 for two one-sided tests; Holm 1979.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.integrate
import scipy.stats
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
RESAMPLES = 2000
SEED = 20240229  # every interval starts its generator anew: rows do not depend on their neighbours


def iqm(x: ArrayLike, axis: int = -1) -> Array:
    """Inter-quartile mean: n // 4 of n values are cut from either end, the rest averaged."""
    return scipy.stats.trim_mean(x, 0.25, axis=axis)


STATISTICS: dict[str, Callable[..., Array]] = {"iqm": iqm, "mean": np.mean, "median": np.median}


def bootstrap_interval(
    statistic: Callable[..., Array],
    *strata: ArrayLike,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    least: int = 2,
) -> tuple[Array, Array]:
    """Percentile interval of `statistic(*strata, axis=-1)`, by resampling seeds within each stratum.

    Each stratum is (..., seeds); leading axes (points of a curve) are resampled together. Returns the lower
    and upper ends, (...), NaN where a stratum has fewer than `least` seeds.
    """
    if min(np.shape(stratum)[-1] for stratum in strata) < least:
        nothing = np.full(np.shape(strata[0])[:-1], np.nan)
        return nothing, nothing
    interval = scipy.stats.bootstrap(
        strata,
        statistic,
        n_resamples=resamples,
        vectorized=True,
        axis=-1,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return interval.low, interval.high


def pooled(statistic: Callable[..., Array]) -> Callable[..., Array]:
    """The statistic of all strata together, as rliable aggregates runs over tasks."""
    return lambda *strata, axis=-1: statistic(np.concatenate(strata, axis=axis), axis=axis)


def probability_of_improvement(x: ArrayLike, y: ArrayLike, axis: int = -1) -> Array:
    """P(X > Y) + P(X = Y) / 2, the Mann-Whitney U over n m: (..., n), (..., m) -> (...)."""
    x, y = np.moveaxis(np.asarray(x), axis, -1), np.moveaxis(np.asarray(y), axis, -1)
    return 0.5 + 0.5 * np.sign(x[..., :, None] - y[..., None, :]).mean((-2, -1))


def area_under_curve(env_step: ArrayLike, value: ArrayLike) -> float:
    """Trapezoidal area divided by the span of `env_step`, so in the unit of `value`: (P,), (P,) -> scalar."""
    step = np.asarray(env_step, dtype=float)
    if len(step) < 2:
        return float("nan")
    return float(scipy.integrate.trapezoid(value, step) / (step[-1] - step[0]))


def time_to_threshold(env_step: ArrayLike, value: ArrayLike, threshold: float, better: int = 1) -> float:
    """First environment step at which the value is at least as good; NaN where there is none (censored).

    `better` is -1 where lower values are better.
    """
    reached = np.flatnonzero(better * np.asarray(value) >= better * threshold)
    return float(np.asarray(env_step)[reached[0]]) if len(reached) else float("nan")


def censored_median(x: ArrayLike) -> float:
    """Median of times of which NaN ones are only known to be later; NaN where half or more are."""
    median = np.median(np.nan_to_num(np.asarray(x, dtype=float), nan=np.inf))
    return float(median) if np.isfinite(median) else float("nan")


@dataclass(frozen=True)
class Welch:
    """A difference of two means with unequal variances.

    Where no arm has a spread, t is not defined. If both arms are deterministic, the difference is exact. If
    not, its p is that of the permutation test, NaN for equal values, and there is neither an interval nor a
    test of equivalence.
    """

    difference: float  # mean of x minus mean of y
    se: float  # standard error; NaN where an arm has too few seeds
    df: float  # Welch-Satterthwaite degrees of freedom
    exact: bool = False  # whether both arms are deterministic
    sizes: tuple[int, int] = (0, 0)  # seeds of x and y

    def p_difference(self) -> float:
        """Two-sided p of "the means are equal"; NaN for equal values without a spread."""
        if self.se > 0 or math.isnan(self.se):
            return float(2 * scipy.stats.t.sf(abs(self.difference) / self.se, self.df))
        if self.exact:
            return float(self.difference == 0)
        return (
            float("nan") if self.difference == 0 else min(1.0, 2 / math.comb(sum(self.sizes), self.sizes[0]))
        )

    def interval(self, level: float) -> tuple[float, float]:
        """Confidence interval of the difference."""
        if self.se == 0:
            ends = self.difference if self.exact else float("nan")
            return ends, ends
        half = float(scipy.stats.t.ppf((1 + level) / 2, self.df)) * self.se
        return self.difference - half, self.difference + half

    def p_equivalence(self, margin: float) -> float:
        """Larger p of the two one-sided tests of "the means differ by `margin` or more" (TOST)."""
        if self.se == 0:
            return float(abs(self.difference) >= margin) if self.exact else float("nan")
        return float(scipy.stats.t.sf((margin - abs(self.difference)) / self.se, self.df))


def welch(x: ArrayLike, y: ArrayLike, deterministic: tuple[bool, bool] = (False, False)) -> Welch:
    """Welch's difference of means: (n,), (m,).

    An arm that is `deterministic` has no spread, so one value suffices: with one such arm this is the
    one-sample t test, with two the difference is exact.
    """
    arms = [np.asarray(arm, dtype=float) for arm in (x, y)]
    sizes = len(arms[0]), len(arms[1])
    difference = float(arms[0].mean() - arms[1].mean()) if min(sizes) else float("nan")
    known = [len(arm) > (0 if fixed else 1) for arm, fixed in zip(arms, deterministic, strict=True)]
    if not all(known):
        return Welch(difference, float("nan"), float("nan"))
    variances = [0.0 if fixed else _sd(arm) ** 2 for arm, fixed in zip(arms, deterministic, strict=True)]
    a, b = (variance / size for variance, size in zip(variances, sizes, strict=True))
    if a + b == 0:
        return Welch(difference, 0.0, float(sum(sizes) - 2), all(deterministic), sizes)
    shares = ((part / (a + b)) ** 2 / (size - 1) for part, size in zip((a, b), sizes, strict=True) if part)
    return Welch(difference, float(np.sqrt(a + b)), float(1 / sum(shares)))


def _sd(x: Array) -> float:
    """Sample standard deviation; exactly zero for equal values, even if their mean is rounded."""
    return 0.0 if np.ptp(x) == 0 else float(x.std(ddof=1))


def holm(p: Sequence[float] | Array) -> Array:
    """Holm's step-down adjusted p-values; NaN ones are no members of the family and stay NaN."""
    adjusted = np.array(p, dtype=float)
    members = np.flatnonzero(~np.isnan(adjusted))
    order = members[np.argsort(adjusted[members], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * adjusted[order]), 1.0)
    return adjusted


def tost_power(
    n: int, margin: float, sd_x: float, sd_y: float, alpha: float = 0.05, difference: float = 0.0
) -> float:
    """Power of the equivalence test with n seeds in each arm, for a true difference.

    The estimated difference d is normal with standard error s, and its estimated variance is s^2 w / df, w
    chi-square with Welch's df. Given w, the test succeeds where |d| < h = margin - t s sqrt(w / df), with
    probability Phi((h - difference) / s) + Phi((h + difference) / s) - 1; this is integrated over the
    quantiles of w: Owen's exact power of two one-sided tests (Phillips 1990), with Satterthwaite's degrees
    of freedom.
    """
    if sd_x == sd_y == 0:
        return float(margin > abs(difference))
    return power_of_equivalence(*welch_error(n, sd_x, sd_y), margin, alpha, difference)


def welch_error(n: int, sd_x: float, sd_y: float) -> tuple[float, float]:
    """Standard error of a difference of means of n seeds each, and Satterthwaite's degrees of freedom."""
    a, b = sd_x**2, sd_y**2
    return math.sqrt((a + b) / n), (n - 1) * (a + b) ** 2 / (a**2 + b**2)


def power_of_equivalence(
    se: float, df: float, margin: float, alpha: float = 0.05, difference: float = 0.0
) -> float:
    """As `tost_power`, from the standard error of the difference and its degrees of freedom."""
    t = scipy.stats.t.ppf(1 - alpha, df)
    widest = scipy.stats.chi2.cdf(df * (margin / (se * t)) ** 2, df)  # beyond this quantile it never succeeds

    def succeeds(quantile: Array) -> Array:
        half = margin / se - t * np.sqrt(scipy.stats.chi2.ppf(quantile, df) / df)
        ends = scipy.stats.norm.cdf([half - difference / se, half + difference / se])
        return ends.sum(0) - 1

    return float(scipy.integrate.fixed_quad(succeeds, 0, widest, n=50)[0])


def power_of_difference(n: int, difference: float, sd_x: float, sd_y: float, alpha: float = 0.05) -> float:
    """Power of Welch's two-sided test with n seeds in each arm, for a true difference; as `tost_power`."""
    if sd_x == sd_y == 0:
        return float(difference != 0)
    se, df = welch_error(n, sd_x, sd_y)
    t = scipy.stats.t.ppf(1 - alpha / 2, df)

    def succeeds(quantile: Array) -> Array:
        least = t * np.sqrt(scipy.stats.chi2.ppf(quantile, df) / df)
        return scipy.stats.norm.sf([least - difference / se, least + difference / se]).sum(0)

    return float(scipy.integrate.fixed_quad(succeeds, 0, 1, n=50)[0])


def seeds_needed(
    margin: float,
    sd_x: float,
    sd_y: float,
    power: float = 0.8,
    alpha: float = 0.05,
    limit: int = 1000,
    difference: float = 0.0,
) -> int | None:
    """Fewest seeds per arm (at least 2) that show equivalence with this power, for a true difference.

    None above `limit`, and where the margin or a spread is not known.
    """
    if not np.isfinite([margin, sd_x, sd_y]).all():
        return None
    return fewest_seeds(lambda n: tost_power(n, margin, sd_x, sd_y, alpha, difference), power, limit)


def fewest_seeds(power_at: Callable[[int], float], power: float = 0.8, limit: int = 1000) -> int | None:
    """The least n of at least 2 with `power_at(n) >= power`, which does not fall with n; None above limit."""
    if power_at(limit) < power:
        return None
    low, high = 1, limit  # the power at `low` is too small or unknown, at `high` it suffices
    while high - low > 1:
        middle = (low + high) // 2
        if power_at(middle) < power:
            low = middle
        else:
            high = middle
    return high
