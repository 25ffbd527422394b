"""The error of a published number and of its difference from ours, and seeds that would decide."""

from __future__ import annotations

import math

import numpy as np

from rlparity.analysis.checks import distributions as exact
from rlparity.analysis.checks.by_hand.published import OURS, Row, printed
from rlparity.analysis.checks.check import Group, inside, near, same, true
from rlparity.analysis.checks.made_up import NAN
from rlparity.analysis.published import comparison

CHECKS = Group()


@CHECKS
def spreads() -> None:
    """A published spread is turned into a standard deviation over seeds by its kind."""
    cases: list[tuple[Row, float]] = [
        ({"seeds": 4.0, "spread": 6.0, "spread_kind": "sd"}, 6.0),
        ({"seeds": 4.0, "spread": 6.0, "spread_kind": "se"}, 12.0),
        ({"seeds": 5.0, "spread": 6.0, "spread_kind": "ci95"}, 6 * 5**0.5 / exact.t_quantile(0.975, 4)),
        (
            {"seeds": 5.0, "low": 10.0, "high": 22.0, "spread_kind": "ci95"},
            6 * 5**0.5 / exact.t_quantile(0.975, 4),
        ),
        ({"seeds": 5.0, "low": 10.0, "high": 22.0, "spread_kind": "sd"}, 6.0),
        ({"seeds": 5.0, "spread": 6.0, "spread_kind": "unstated"}, NAN),
        ({"seeds": 1.0, "spread": 6.0, "spread_kind": "sd"}, NAN),
        ({"spread": 6.0, "spread_kind": "sd"}, NAN),
        ({"seeds": 5.0}, NAN),
    ]
    for given, sd in cases:
        found = comparison.theirs(printed(50.0, **given))
        near(
            f"sd of {given}", [found.value, found.seeds, found.sd], [50.0, given.get("seeds", NAN), sd], 1e-7
        )


@CHECKS
def errors() -> None:
    """The error of the difference has both arms' variances, and Welch's degrees of freedom."""
    ours = np.array(OURS)
    cases = [  # theirs -> se^2, degrees of freedom
        (comparison.Theirs(90.0), 0.5, 4.0),
        (comparison.Theirs(90.0, 10.0), 0.5 + 0.25, 4.0),
        (comparison.Theirs(90.0, 1.0), 0.5 + 2.5, 4.0),
        (comparison.Theirs(90.0, 3.0, 3.0), 3.5, 3.5**2 / (0.5**2 / 4 + 3.0**2 / 2)),
        (comparison.Theirs(90.0, 3.0, 0.0), 0.5, 4.0),
    ]
    for other, variance, df in cases:
        found = comparison.compare(ours, other)
        near(
            f"difference, error, df of {other}",
            [found.difference, found.se, found.df],
            [10, variance**0.5, df],
        )
        for level in (0.9, 0.95):
            half = exact.t_quantile((1 + level) / 2, df) * variance**0.5
            near(f"{level:.0%} interval", found.interval(level), (10 - half, 10 + half), 1e-7)
        near("p", found.p_difference, 2 * exact.t_above(10 / variance**0.5, df), 1e-7)


@CHECKS
def all_at_a_bound() -> None:
    """Of n equal values at a bound, a share of at least a^(1/n) of all trainings is there."""
    bounds = (0.0, 500.0)
    found = comparison.at_a_bound(np.full(5, 500.0), comparison.Theirs(500.0), bounds)
    assert found is not None
    near("90 %", found.interval(0.9), ((0.05**0.2 - 1) * 500, 0.0))
    low = comparison.at_a_bound(np.zeros(8), comparison.Theirs(100.0), bounds)
    assert low is not None
    near("95 % at the lower bound", low.interval(0.95), (-100.0, (1 - 0.025 ** (1 / 8)) * 500 - 100))
    # 0 leaves the interval where (1 - (p / 2)^(1/8)) * 500 = 100
    near("p", low.p_difference, 2 * 0.8**8, 1e-6)
    near("p of the same value", found.p_difference, 1.0, 1e-6)
    both = comparison.at_a_bound(np.full(5, 500.0), comparison.Theirs(480.0, 4.0, 10.0), bounds)
    assert both is not None
    half = exact.t_quantile(0.975, 3) * 5
    near("with their error", both.interval(0.9), (0.025**0.2 * 500 - 480 - half, 20 + half), 1e-7)
    wanted = next(n for n in range(2, 1000) if (1 - 0.05 ** (1 / n)) * 500 < 50)
    same("seeds needed", found.seeds_needed(50.0), wanted)
    same("no number", both.seeds_needed(1.0), None)
    same("no bound", comparison.at_a_bound(np.full(5, 400.0), comparison.Theirs(500.0), bounds), None)
    same(
        "unknown bound", comparison.at_a_bound(np.full(5, 0.0), comparison.Theirs(5.0), (0.0, math.inf)), None
    )
    known = [
        comparison.AtABound(5, 500.0, 0.0, comparison.Theirs(value, 3.0)).known for value in (500.0, 480.0)
    ]
    same("their error is known", known, [True, False])


@CHECKS
def seeds() -> None:
    """Seeds of ours that would replicate are the fewest with a power of 80 %."""
    for other, error in (
        (comparison.Theirs(0.0), lambda n: (2.0 / n**0.5, n - 1.0)),
        (comparison.Theirs(0.0, 50.0), lambda n: (2.0 * (1 / n + 1 / 50) ** 0.5, n - 1.0)),
        (
            comparison.Theirs(0.0, 60.0, 3.0),
            lambda n: ((4 / n + 0.15) ** 0.5, (4 / n + 0.15) ** 2 / (16 / n**2 / (n - 1) + 0.15**2 / 59)),
        ),
    ):
        n = comparison.seeds_needed(2.0, other, 1.5)
        true(f"a number for {other}", n is not None)
        assert n is not None
        inside(f"power of {n}", exact.power_of_equivalence(*error(n), 1.5), 0.8 - 1e-4, 1)
        inside(f"power of {n - 1}", exact.power_of_equivalence(*error(n - 1), 1.5), 0, 0.8 + 1e-4)
    same("too uncertain a number", comparison.seeds_needed(2.0, comparison.Theirs(0.0, 3.0, 9.0), 1.5), None)
