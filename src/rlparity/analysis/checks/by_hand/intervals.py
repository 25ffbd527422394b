"""Intervals that reports show, and boundaries of group-sequential tests, beside sums and closed forms."""

from __future__ import annotations

import math

import numpy as np

from rlparity.analysis.checks import distributions as exact
from rlparity.analysis.checks.check import Group, inside, missing, near, true
from rlparity.analysis.group_sequential.boundaries import Looks
from rlparity.analysis.intervals import methods, rule

CHECKS = Group()
EIGHT = [9.0, 1.0, 4.0, 30.0, 6.0, 5.0, 2.0, 11.0]  # ordered: 1 2 | 4 5 6 9 | 11 30


@CHECKS
def of_means() -> None:
    """Intervals of a mean are Student's, of a trimmed mean Yuen's from the winsorised deviation."""
    for level in (0.95, 0.9):
        middle = float(exact.mean(EIGHT))
        half = exact.t_quantile((1 + level) / 2, 7) * math.sqrt(exact.variance(EIGHT) / 8)
        near("of the mean", methods.student(EIGHT, level), (middle - half, middle + half), 1e-7)
        pulled = [4.0, 4, 4, 5, 6, 9, 9, 9]  # two values of either end become their neighbours
        error = math.sqrt(7 * exact.variance(pulled) / (4 * 3))
        half = exact.t_quantile((1 + level) / 2, 3) * error
        near("of the trimmed mean", methods.trimmed_t(EIGHT, level), (6 - half, 6 + half), 1e-7)
    missing("of one seed", *methods.student([3.0]))


def _below(count: int, n: int, share: float = 0.5) -> float:
    """P(B <= count), B binomial."""
    return math.fsum(math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(count + 1))


@CHECKS
def of_medians() -> None:
    """The interval of a median has order statistics that the binomial distribution allows."""
    for n in (5, 6, 9, 15, 30):
        x = np.arange(n, dtype=float)
        k = max(k for k in range(n // 2) if 1 - 2 * _below(k, n) >= 0.93)
        near(
            f"ranks of {n}", methods.order_statistics(np.random.default_rng(0).permutation(x)), (k, n - 1 - k)
        )
    missing("of four seeds", *methods.order_statistics([1.0, 2.0, 3.0, 4.0]))


@CHECKS
def of_shares() -> None:
    """The ends of an interval of a share make the count just not too rare."""
    for count, n in ((0, 5), (2, 5), (7, 20), (20, 20)):
        low, high = (float(end) for end in methods.clopper_pearson(count, n))
        near("lower end", low if not count else 1 - _below(count - 1, n, low), 0 if not count else 0.025)
        near("upper end", high if count == n else _below(count, n, high), 1 if count == n else 0.025)
    lows, highs = rule.of_share(np.array([[1, 0, 0, 1, 0], [0, 0, 0, 0, 0]]))
    near("of rows", [lows[0], highs[0], lows[1]], [*map(float, methods.clopper_pearson(2, 5)), 0.0])


@CHECKS
def of_improvement() -> None:
    """An end of the interval of P(X > Y) is 1.96 of its own standard errors from the estimate."""
    n, m, estimate = 7, 12, 0.7
    more = (n + m) / 2 - 1
    for end in methods.newcombe(estimate, n, m):
        p = float(end)
        variance = p * (1 - p) * (1 + more * (1 - p) / (2 - p) + more * p / (1 + p)) / (n * m)
        near("distance in errors", abs(p - estimate) / math.sqrt(variance), 1.959964, 1e-5)
    low, high = methods.newcombe(1.0, 5, 5)
    true("of all pairs", 0.4 < low < 0.8 and high == 1.0)
    mirrored = methods.newcombe(1 - estimate, n, m)
    near("mirrored", (1 - mirrored[1], 1 - mirrored[0]), methods.newcombe(estimate, n, m), 1e-6)


@CHECKS
def of_spacings() -> None:
    """Intervals by spacings hold the mean of seeds between bounds, do not leave these, and mirror."""
    x = np.array([0.1, 0.4, 0.5, 0.9, 1.0, 1.0])
    low, high = methods.spacings(x, 0.95, 0.0, (0.0, 1.0))
    true("within the bounds", 0 <= low < x.mean() < high <= 1)
    other = methods.spacings(1 - x, 0.95, 0.0, (0.0, 1.0))
    near("mirrored", (1 - other[1], 1 - other[0]), (low, high), 0.03)
    missing("of a mean without bounds", methods.spacings(x, 0.95, 0.0)[0])
    all_there = methods.spacings(np.ones(5), 0.95, 0.0, (0.0, 1.0))
    # all at the bound: the lower end is the 2.5 % quantile of the largest share below, 0.025^(1/5)
    near("all at a bound", all_there, (0.025 ** (1 / 5), 1.0), 0.02)


@CHECKS
def shown() -> None:
    """What is shown lies around its estimate and within reach; too few seeds have none."""
    rng = np.random.default_rng(2)
    for n in (5, 10, 20):
        for estimate, statistic in (("mean", np.mean), ("median", np.median)):
            x = rng.normal(5, 2, n)
            low, high = rule.of_estimate(estimate, x)
            inside(f"{estimate} of {n}", float(statistic(x)), float(low), float(high))
            moved = rule.of_estimate(estimate, 10 * x + 3)
            near("moved", moved, (10 * low + 3, 10 * high + 3))
    for n in (1, 2):
        missing(f"of {n}", *rule.of_estimate("mean", rng.normal(size=n)))
    near("cut at the bounds", rule.of_estimate("mean", [1.0, 2.0, 99.0, 30.0, 7.0], (0.0, 100.0))[0], 0.0)
    x, y = rng.normal(5, 2, 7), rng.normal(3, 1, 9)
    wanted = exact.welch(list(map(float, x)), list(map(float, y))).interval(0.9)
    near("of a difference", rule.of_difference(x, y, 0.9), wanted, 1e-7)
    missing("of a difference of four", *rule.of_difference(x[:4], y))
    missing("of a difference at a bound", *rule.of_difference(x, y, 0.9, (float(min(x)), 99.0)))
    missing("of an improvement of four", *rule.of_improvement(x[:4], y))


@CHECKS
def boundaries() -> None:
    """Boundaries of looks are those of Jennison and Turnbull's tables, and together spend the error."""
    near("one look", Looks((1.0,)).shaped(lambda t: 1.0, 0.05), [1.959964], 1e-5)
    five = Looks((0.2, 0.4, 0.6, 0.8, 1.0))
    near("Pocock, five looks", five.shaped(lambda t: 1.0, 0.05)[0], 2.413, 5e-4)  # table 2.1
    near(
        "O'Brien and Fleming, five looks", five.shaped(lambda t: t**-0.5, 0.05)[-1], 2.040, 5e-4
    )  # table 2.3
    for name in ("obrien-fleming", "pocock", "linear"):
        for sides in (1, 2):
            looks = Looks((0.25, 0.5, 1.0), sides)
            crossed = looks.crossing(looks.spending(name, 0.05))
            near(f"error of {name}, {sides} sides", float(crossed.sum()), 0.05, 1e-4)
    spent = Looks((0.25, 0.5, 1.0)).crossing(Looks((0.25, 0.5, 1.0)).spending("linear", 0.05))
    near("linear spending", spent, [0.0125, 0.0125, 0.025], 1e-4)
    alone = Looks((1.0,)).crossing([1.959964], drift=2.8)
    near(
        "power of one look",
        float(alone[0]),
        exact.normal_below(2.8 - 1.959964) + exact.normal_below(-2.8 - 1.959964),
        1e-5,
    )
