"""Estimators over seeds and their intervals, on numbers worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np

from rlparity.analysis import attainable, live_checks, statistics
from rlparity.analysis.checks.check import Group, inside, missing, near, same, true
from rlparity.analysis.checks.distributions import t_quantile
from rlparity.metrics import RETURN, Metric

CHECKS = Group()
VALUES = [7.0, -3.0, 41.0, 2.5, 11.0, 2.5, -19.0, 5.0, 100.0, 0.0, 8.0, 1.0, -2.0]
NAN = float("nan")


@CHECKS
def interquartile_mean() -> None:
    """The inter-quartile mean cuts n // 4 values from either end."""
    for n in range(1, len(VALUES) + 1):
        kept = sorted(map(Fraction, VALUES[:n]))[n // 4 : n - n // 4]
        near(f"IQM of {n}", statistics.iqm(VALUES[:n]), float(sum(kept) / len(kept)))
        near(
            f"IQM of {n}, of a table", statistics.STATISTICS["iqm"](VALUES[:n]), float(sum(kept) / len(kept))
        )
    near("IQM by rows", statistics.iqm([[1, 2, 3, 100], [-9, 4, 6, 7]], axis=-1), [2.5, 5.0])
    near("IQM by columns", statistics.iqm([[1, -9], [2, 4], [3, 6], [100, 7]], axis=0), [2.5, 5.0])


@CHECKS
def mean_and_median() -> None:
    """Mean and median are those of the values."""
    near("mean", statistics.STATISTICS["mean"]([1.0, 2.0, 6.0, 11.0]), 5.0)
    near("median of an even number", statistics.STATISTICS["median"]([11.0, 1.0, 6.0, 2.0]), 4.0)
    near("median of an odd number", statistics.STATISTICS["median"]([11.0, 1.0, 6.0]), 6.0)
    for name, wanted in {"mean": [5.0, 0.0], "median": [4.0, -1.0]}.items():
        values = [[1.0, 2.0, 6.0, 11.0], [-4.0, -1.0, -1.0, 6.0]]
        near(f"{name} by rows", statistics.STATISTICS[name](values, axis=-1), wanted)
    same("statistics", list(statistics.STATISTICS), ["iqm", "mean", "median"])


def _quantiles(values: list[float], of: str, shares: tuple[float, ...]) -> list[float]:
    """Of a statistic of all n^n resamples, each as likely."""

    def value(drawn: tuple[float, ...]) -> float:
        ordered, n = sorted(drawn), len(drawn)
        if of == "mean":
            return sum(drawn) / n
        if of == "median":
            return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2
        return sum(ordered[n // 4 : n - n // 4]) / (n - 2 * (n // 4))

    every = sorted(map(value, product(values, repeat=len(values))))
    return [every[min(int(share * len(every)), len(every) - 1)] for share in shares]


@CHECKS
def resampling() -> None:
    """A bootstrap interval has the quantiles of all n^n resamples, up to their chance."""
    values = [0.0, 3.0, 10.0, 28.0, 70.0]
    for name, statistic in statistics.STATISTICS.items():
        for level in (0.95, 0.9, 0.5):
            tail = (1 - level) / 2
            slack = 5.2 * (tail * (1 - tail) / 2000) ** 0.5
            low, high = statistics.bootstrap_interval(statistic, np.array(values), level=level)
            ends = _quantiles(values, name, (tail - slack, tail + slack, 1 - tail - slack, 1 - tail + slack))
            inside(f"lower end of the {level:.0%} interval of the {name}", float(low), *ends[:2])
            inside(f"upper end of the {level:.0%} interval of the {name}", float(high), *ends[2:])


@CHECKS
def strata() -> None:
    """Seeds are resampled within their stratum, rows together, and the same call gives the same interval."""
    pooled = statistics.pooled(np.mean)
    near("pooled mean", pooled([1.0, 2.0], [6.0, 7.0, 9.0]), 5.0)
    near("pooled IQM", statistics.pooled(statistics.iqm)([1.0, 100.0], [6.0, -50.0]), 3.5)
    low, high = statistics.bootstrap_interval(pooled, np.full(5, 3.0), np.full(7, 20.0))
    near("interval of strata without a spread", [low, high], [(15 + 140) / 12] * 2)
    for end in statistics.bootstrap_interval(np.mean, np.array([4.0])):
        missing("interval of one seed", end)
    for end in statistics.bootstrap_interval(pooled, np.array([4.0, 5.0]), np.array([4.0])):
        missing("interval with a stratum of one seed", end)
    same(
        "shape of one seed's",
        [x.shape for x in statistics.bootstrap_interval(np.mean, np.ones((3, 1)))],
        [(3,)] * 2,
    )
    rng = np.random.default_rng(5)
    x = rng.normal(size=(3, 9))
    both = statistics.bootstrap_interval(np.mean, x)
    again = statistics.bootstrap_interval(np.mean, x)
    near("the same call", again, both, 0.0)
    near("a row among others", np.array(both)[:, 1], statistics.bootstrap_interval(np.mean, x[1]), 1e-12)
    near(
        "a shifted and scaled row",
        np.array(statistics.bootstrap_interval(np.mean, 5 * x + 2)),
        5 * np.array(both) + 2,
    )
    more = statistics.bootstrap_interval(np.mean, np.repeat(x, 4, axis=-1))
    true(
        "more seeds of the same values narrow an interval",
        np.all(more[1] - more[0] < 0.75 * (both[1] - both[0])),
    )


@CHECKS
def improvement() -> None:
    """The probability of improvement counts pairs that are larger, and ties half."""
    x, y = [1.0, 2.0, 5.0], [2.0, 2.0, 0.0, 7.0]
    wanted = Fraction(sum(2 * (a > b) + (a == b) for a in x for b in y), 2 * 12)
    near("P(X > Y)", statistics.probability_of_improvement(x, y), float(wanted))
    near("P(Y > X)", statistics.probability_of_improvement(y, x), float(1 - wanted))
    near("P of all larger", statistics.probability_of_improvement([5.0, 6.0], [1.0, 2.0, 3.0]), 1.0)
    near("P of equal", statistics.probability_of_improvement([5.0] * 3, [5.0] * 2), 0.5)
    near("P by rows", statistics.probability_of_improvement([x, x[::-1]], [y, y[::-1]]), [float(wanted)] * 2)


@CHECKS
def area() -> None:
    """The area under a curve weighs each stretch by its steps and is in the value's unit."""
    # 10 to 20: mean 3; 20 to 50: mean 6; over 40 steps: (30 + 180) / 40
    near("area", statistics.area_under_curve([10, 20, 50], [2.0, 4.0, 8.0]), 5.25)
    near("area of a constant", statistics.area_under_curve([3, 4, 90, 91], [-7.0] * 4), -7.0)
    near("area of two points", statistics.area_under_curve([0, 100], [1.0, 5.0]), 3.0)
    missing("area of one point", statistics.area_under_curve([5], [1.0]))
    missing("area of none", statistics.area_under_curve([], []))


@CHECKS
def threshold() -> None:
    """The time to a threshold is the first evaluation that is at least as good, or missing."""
    steps, values = [0, 10, 25, 40], [1.0, 5.0, 3.0, 9.0]
    for limit, wanted in {5.0: 10, 5.5: 40, 0.5: 0, 1.0: 0, 9.0: 40, 9.5: NAN}.items():
        near(f"time to {limit}", statistics.time_to_threshold(steps, values, limit), wanted)
    for limit, wanted in {3.0: 10, 0.5: NAN, 1.0: 40, 9.5: 0, 4.9: 10}.items():
        near(
            f"time down to {limit}",
            statistics.time_to_threshold(steps, [9.0, 3.0, 5.0, 1.0], limit, -1),
            wanted,
        )


@CHECKS
def censored() -> None:
    """A censored time counts as later than all others; the median is missing where half or more are."""
    cases = {(5.0,): 5.0, (4.0, 1.0): 2.5, (1.0, NAN, 3.0): 3.0, (NAN, 1.0, 2.0, 3.0): 2.5, (NAN,): NAN}
    cases |= {(1.0, NAN, 2.0, NAN): NAN, (NAN, NAN, 3.0): NAN, (9.0, NAN, 7.0, 8.0, NAN): 9.0}
    for times, wanted in cases.items():
        near(f"median of {times}", statistics.censored_median(times), wanted)


@CHECKS
def reachable() -> None:
    """Intervals do not run beyond what rewards and time limits allow."""
    pendulum = 200 * (np.pi**2 + 6.4 + 0.004)
    bounds: dict[str, tuple[float, float]] = {
        "CartPole-v1": (1, 500),
        "Acrobot-v1": (-500, 0),
        "MountainCar-v0": (-200, -1),
    }
    bounds |= {
        "Pendulum-v1": (-pendulum, 0),
        "InvertedPendulum-v5": (0, 1000),
        "ALE/Pong-v5@nature": (-21, 21),
    }
    bounds |= {"Hopper-v5": (-np.inf, np.inf), "ALE/Breakout-v5@nature": (-np.inf, np.inf)}
    for environment, wanted in bounds.items():
        near(f"bounds of {environment}", attainable.values(environment, RETURN), wanted)
    error = Metric("error", "fraction wrong", -1, 1.0)
    near("bounds of another metric", attainable.values("CartPole-v1", error), (-np.inf, np.inf))
    near("interval within", attainable.clipped((3.0, 4.0), (1.0, 9.0)), (3.0, 4.0))
    near("interval beyond", attainable.clipped((-3.0, 14.0), (1.0, 9.0)), (1.0, 9.0))
    near("missing ends", attainable.clipped((NAN, 14.0), (1.0, 9.0)), (NAN, 9.0))


@CHECKS
def one_more_seed() -> None:
    """A prediction interval is Student's of one more value."""
    x = [1.0, 2.0, 3.0, 4.0, 10.0]  # mean 4, variance 12.5
    for level in (0.999, 0.9):
        half = t_quantile((1 + level) / 2, 4) * (12.5 * (1 + 1 / 5)) ** 0.5
        near(f"{level:.1%} interval", live_checks.prediction_interval(x, level), (4 - half, 4 + half), 1e-7)
    near("of 99.9 %", live_checks.prediction_interval(x), live_checks.prediction_interval(x, 0.999))
    near("interval of one", live_checks.prediction_interval([3.0]), (-np.inf, np.inf))
