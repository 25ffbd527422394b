"""Welch's test, equivalence, Holm's correction, power and numbers of seeds, beside independent formulas."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from rlparity.analysis import statistics
from rlparity.analysis.checks import distributions as exact
from rlparity.analysis.checks.check import Group, inside, missing, near, same, true
from rlparity.analysis.decisions import families, seeds_to_decide

CHECKS = Group()
PAIRS = (
    ([1.0, 2.0, 3.0, 4.0, 10.0], [2.0, 2.5, 3.0]),
    ([100.0, 90.0, 130.0], [80.0, 85.0, 70.0, 60.0, 61.0, 84.0, 77.0]),
    ([5.0, 6.0, 7.0, 8.0, 9.0], [-1.0, 0.0, 1.0, 2.0, 3.0]),  # equal spreads: 8 degrees of freedom
    ([0.25, -0.5], [0.25, 0.5, 8.0, -8.0]),
)
NAN = float("nan")


@CHECKS
def difference_of_means() -> None:
    """Welch's difference, error and degrees of freedom are those of exact fractions."""
    for x, y in PAIRS:
        found, wanted = statistics.welch(x, y), exact.welch(x, y)
        near("difference", found.difference, wanted.difference)
        near("standard error", found.se, wanted.se)
        near("degrees of freedom", found.df, wanted.df)
    near("degrees of freedom of equal spreads and sizes", statistics.welch(*PAIRS[2]).df, 8.0)


@CHECKS
def p_values() -> None:
    """p of a difference and of equivalence, and intervals, are Student's, both ways round."""
    for x, y in PAIRS:
        for a, b in ((x, y), (y, x)):
            found, wanted = statistics.welch(a, b), exact.welch(a, b)
            near("p of a difference", found.p_difference(), wanted.p(), 1e-7)
            for level in (0.9, 0.95):
                near(f"{level:.0%} interval", found.interval(level), wanted.interval(level), 1e-7)
            for margin in (0.5, 3.0, 40.0):
                p = found.p_equivalence(margin)
                near(f"p of equivalence within {margin}", p, wanted.p_equivalence(margin), 1e-7)
    # 5 % two one-sided tests and the 90 % interval decide alike
    found = statistics.welch(*PAIRS[2])
    edge = max(map(abs, found.interval(0.9)))
    near("p of equivalence at the end of the 90 % interval", found.p_equivalence(edge), 0.05, 1e-7)
    low, high = found.interval(0.95)
    near("the middle of an interval", (low + high) / 2, 6.0)
    near("p where 0 is at the end of the 95 % interval", _shifted(-low), 0.05, 1e-7)


def _shifted(by: float) -> float:
    x, y = PAIRS[2]
    return statistics.welch([value + by for value in x], y).p_difference()


@CHECKS
def without_a_spread() -> None:
    """Arms without a spread have the permutation test's p; only declared ones an exact difference."""
    flat = statistics.welch([5.0] * 3, [4.0] * 7)
    near("p of 3 and 7 values", flat.p_difference(), 2 / math.comb(10, 3))
    near("p of 5 and 5 values", statistics.welch([5.0] * 5, [9.0] * 5).p_difference(), 2 / 252)
    near("p of 1000 and 1 and 1 of few", statistics.welch([1.0] * 2, [0.0] * 2).p_difference(), 1 / 3)
    missing("interval, p", *flat.interval(0.9), flat.p_equivalence(10.0))
    missing("p of equal values", statistics.welch([5.0] * 5, [5.0] * 5).p_difference())
    both = statistics.welch([5.0], [4.0], (True, True))
    near("exact interval", both.interval(0.95), (1.0, 1.0))
    near("exact p", [both.p_difference(), both.p_equivalence(1.5), both.p_equivalence(1.0)], [0, 0, 1])
    near("exact p of equal", statistics.welch([4.0], [4.0], (True, True)).p_difference(), 1.0)
    one = statistics.welch([5.0], [1.0, 2.0, 3.0, 4.0], (True, False))  # one-sample t test, 3 degrees
    near("one-sample", [one.difference, one.se, one.df], [2.5, math.sqrt(5 / 3 / 4), 3.0])
    one = statistics.welch([1.0, 2.0, 3.0, 4.0], [5.0, 5.0], (False, True))
    near("one-sample, other arm", [one.difference, one.se, one.df], [-2.5, math.sqrt(5 / 3 / 4), 3.0])
    few = statistics.welch([5.0], [1.0, 2.0, 3.0])
    near("difference of too few", few.difference, 3.0)
    missing("numbers of too few", few.se, few.p_difference(), *few.interval(0.9), few.p_equivalence(9.0))
    missing("difference of none", statistics.welch([], [1.0, 2.0]).difference)
    third = 0.1 + 0.2  # its mean over three seeds is rounded
    same("error of equal values", statistics.welch([third] * 3, [third] * 5).se, 0.0)


@CHECKS
def step_down() -> None:
    """Holm's adjusted p are (m - k + 1) p, rising, at most 1, by the order of p."""
    near("three", statistics.holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    near("with a missing one", statistics.holm([0.04, NAN, 0.01]), [0.04, NAN, 0.02])
    near("at most 1", statistics.holm([0.9, 0.6, 0.4, 0.001]), [1.0, 1.0, 1.0, 0.004])
    near("rising", statistics.holm([0.02, 0.0201, 0.0202]), [0.06, 0.06, 0.06])
    near("ties", statistics.holm([0.02, 0.02, 0.5]), [0.06, 0.06, 0.5])
    near("one", statistics.holm([0.03]), [0.03])
    near("none", statistics.holm([NAN, NAN]), [NAN, NAN])
    same("of nothing", len(statistics.holm([])), 0)
    given = [0.2, 0.1]
    statistics.holm(given)
    same("what was given", given, [0.2, 0.1])


def _family(role: str, p: float, reason: str = "") -> dict[str, object]:
    return {"role": role, "p_difference": p, "reason": reason}


@CHECKS
def families_of_tests() -> None:
    """Primary and secondary endpoints are families apart, of the rows that can be decided."""
    rows = [
        _family("primary", 0.01),
        _family("secondary", 0.02),
        _family("primary", 0.04),
        _family("primary", 0.001, "reference did not learn"),
        _family("secondary", 0.9),
        _family("primary", 0.03, families.NO_SPREAD),
        _family("primary", NAN),
    ]
    found = families.adjusted(rows)
    near("p", [row["p_holm"] for row in found], [0.03, 0.04, 0.06, NAN, 0.9, 0.06, NAN])
    same("sizes", [row["family_size"] for row in found], [3, 2, 3, 0, 2, 3, 0])
    found = families.adjusted(rows, "row")
    near("p of rows", [row["p_holm"] for row in found], [0.01, 0.02, 0.04, NAN, 0.9, 0.03, NAN])
    same("sizes of rows", [row["family_size"] for row in found], [1, 1, 1, 0, 1, 1, 0])


SPREADS = ((5, 1.0, 1.0), (8, 2.0, 0.5), (20, 0.0, 3.0), (12, 1.0, 4.0))


@CHECKS
def error_of_seeds() -> None:
    """Standard error and degrees of freedom of n seeds in each arm are Welch's."""
    for n, a, b in SPREADS:
        wanted = math.sqrt(a * a / n + b * b / n)
        df = (a * a + b * b) ** 2 / (a**4 + b**4) * (n - 1)
        near(f"error of {n}", statistics.welch_error(n, a, b), (wanted, df))


@CHECKS
def power() -> None:
    """Power of equivalence and of a difference are those of an integral over estimated spreads."""
    for n, a, b in SPREADS[1:]:
        se, df = math.sqrt((a * a + b * b) / n), (n - 1) * (a * a + b * b) ** 2 / (a**4 + b**4)
        for margin in (2.2 * se, 4.0 * se):
            for shift in (0.0, 0.6 * se):
                found = statistics.tost_power(n, margin, a, b, difference=shift)
                near(
                    f"power of equivalence, {n} seeds",
                    found,
                    exact.power_of_equivalence(se, df, margin, shift),
                    2e-4,
                )
                true(
                    "power does not depend on the sign",
                    abs(statistics.tost_power(n, margin, a, b, difference=-shift) - found) < 1e-9,
                )
        for shift, alpha in ((0.0, 0.05), (2.0 * se, 0.05), (-3.5 * se, 0.01)):
            found = statistics.power_of_difference(n, shift, a, b, alpha)
            near(
                f"power of a difference, {n} seeds",
                found,
                exact.power_of_difference(se, df, shift, alpha),
                2e-4,
            )
    near(
        "without a spread",
        [statistics.tost_power(5, 1.0, 0, 0, difference=d) for d in (0.0, 0.9, 1.0, -2.0)],
        [1, 1, 0, 0],
    )
    near("without a spread", [statistics.power_of_difference(5, d, 0, 0) for d in (0.0, 1.0)], [0, 1])


def _decides(what: str, found: str, power_at: Callable[[int], float]) -> None:
    n = int(found)
    inside(f"{what}: power of {n} seeds", power_at(n), 0.8 - 1e-4, 1.0)
    inside(f"{what}: power of one less", power_at(n - 1), 0.0, 0.8 + 1e-4)


@CHECKS
def seeds() -> None:
    """Seeds needed are the fewest with a power of 80 %."""
    for margin, a, b, shift in ((1.0, 1.0, 1.0, 0.0), (1.5, 2.0, 0.5, 0.4)):
        ss = a * a + b * b

        def error(n: int, ss: float = ss, a: float = a, b: float = b) -> tuple[float, float]:
            return math.sqrt(ss / n), (n - 1) * ss * ss / (a**4 + b**4)

        def equal(n: int, margin: float = margin, shift: float = shift) -> float:
            return exact.power_of_equivalence(*error(n), margin, shift)

        def differ(n: int) -> float:
            return exact.power_of_difference(*error(n), 2.0, 0.01)

        found = seeds_to_decide.for_equivalence(margin, (a, b), 5, shift)
        same("seeds and their text", str(statistics.seeds_needed(margin, a, b, difference=shift)), found)
        _decides("equivalence", found, equal)
        _decides("a difference", seeds_to_decide.for_difference(2.0, (a, b), 5, 0.01), differ)
    same("above the limit", statistics.seeds_needed(0.01, 1.0, 1.0), None)
    same("above a smaller limit", statistics.seeds_needed(1.0, 1.0, 1.0, limit=10), None)
    same("of an unknown spread", statistics.seeds_needed(1.0, NAN, 1.0), None)
    same("of a wide margin", statistics.seeds_needed(1e9, 1.0, 1.0), 2)
    same("at least five", seeds_to_decide.for_equivalence(1e9, (1.0, 1.0), 5), "5")
    same("too many", seeds_to_decide.for_equivalence(0.01, (1.0, 1.0), 5), ">1000")
    same("too many", seeds_to_decide.for_difference(0.001, (1.0, 1.0), 5, 0.05), ">1000")
    same("unknown", seeds_to_decide.for_equivalence(1.0, (1.0, NAN), 5), "")
    same("unknown", seeds_to_decide.for_difference(1.0, (NAN, 1.0), 5, 0.05), "")
    same("without a margin", seeds_to_decide.for_equivalence(0.0, (1.0, 1.0), 5), "")
    for least in range(2, 40):
        same("fewest", statistics.fewest_seeds(_enough_from(least)), least)


def _enough_from(least: int) -> Callable[[int], float]:
    """A power that reaches 80 % with `least` seeds."""
    return lambda n: 0.8 if n >= least else 0.79


@CHECKS
def equivalence_is_an_interval() -> None:
    """Equivalence at 5 % holds exactly where the 90 % interval lies within the margin."""
    rng = np.random.default_rng(11)
    for _ in range(40):
        x, y = rng.normal(0.2, 1, 6), rng.normal(0, 2, 9)
        found = statistics.welch(x, y)
        edge = max(map(abs, found.interval(0.9)))
        inside("p just within", found.p_equivalence(edge * 1.0001), 0.0, 0.05)
        inside("p just beyond", found.p_equivalence(edge * 0.9999), 0.05, 1.0)
