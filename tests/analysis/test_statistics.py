"""Estimates, intervals and tests, by numbers worked on paper, against scipy, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from rlparity.analysis import statistics

pytestmark = pytest.mark.paper


def test_iqm_cuts_a_quarter_from_either_end():
    assert statistics.iqm([1, 2, 3, 4, 5, 6, 7, 100]) == 4.5  # 3, 4, 5, 6 stay
    assert statistics.iqm([0, 1, 2, 3, 100]) == 2.0  # 5 // 4 = 1 from either end
    assert statistics.iqm([1, 2, 9]) == 4.0  # 3 // 4 = 0: nothing is cut


def test_aggregates_of_several_tasks_are_those_of_rliable():
    """aggregate_iqm, _mean pool runs and tasks: 8 scores, of which 0.2, 0.4, 0.6 and 0.8 stay."""
    tasks = np.array([[0.0, 0.2, 0.4, 9.0]]), np.array([[-5.0, 0.6, 0.8, 1.0]])
    assert statistics.pooled(statistics.iqm)(*tasks) == pytest.approx(0.5)
    assert statistics.pooled(np.mean)(*tasks) == pytest.approx(7.0 / 8)


def test_probability_of_improvement_is_the_u_statistic_with_ties_half():
    x, y = [1.0, 2.0, 3.0], [2.0, 0.0]
    assert statistics.probability_of_improvement(x, y) == pytest.approx((1 + 1.5 + 2) / 6)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, 9), rng.integers(1, 6, 7)
    u = scipy.stats.mannwhitneyu(x, y, method="asymptotic").statistic
    assert statistics.probability_of_improvement(x, y) == pytest.approx(u / 63)


def test_bootstrap_interval_is_the_percentile_of_all_resamples():
    """Resamples of (0, 1) have mean 0 in a quarter of all cases, 1 in a quarter, 0.5 in half."""
    x = np.array([0.0, 1.0])
    assert statistics.bootstrap_interval(np.mean, x) == (0.0, 1.0)
    assert statistics.bootstrap_interval(np.mean, x, level=0.4) == (0.5, 0.5)


def test_bootstrap_resamples_within_strata():
    """Each stratum keeps its size: the mean of two constant ones never moves, pooled resampling would."""
    low, high = statistics.bootstrap_interval(statistics.pooled(np.mean), np.zeros(4), np.ones(2))
    assert low == high == pytest.approx(1 / 3)


def test_bootstrap_resamples_the_points_of_a_curve_together():
    """Each point gets the interval it has alone: the same seeds are drawn for all, and on every call."""
    rng = np.random.default_rng(1)
    curve = rng.normal(size=(3, 6))
    low, high = statistics.bootstrap_interval(statistics.iqm, curve)
    assert low.shape == high.shape == (3,)
    alone = [statistics.bootstrap_interval(statistics.iqm, point) for point in curve]
    assert list(zip(low, high, strict=True)) == alone


def test_interval_of_one_seed_is_unknown():
    assert np.isnan(statistics.bootstrap_interval(statistics.iqm, np.array([3.0]))).all()
    assert math.isnan(statistics.welch([1.0], [1.0, 2.0]).se)


def test_area_under_curve_is_in_units_of_return():
    assert statistics.area_under_curve([0, 100, 200], [7, 7, 7]) == 7
    assert statistics.area_under_curve([0, 1, 3], [0, 10, 10]) == pytest.approx((5 + 20) / 3)
    assert math.isnan(statistics.area_under_curve([0], [7]))


def test_time_to_threshold_is_the_first_crossing_or_censored():
    assert statistics.time_to_threshold([0, 10, 20, 30], [1, 5, 3, 9], 5) == 10
    assert math.isnan(statistics.time_to_threshold([0, 10], [1, 4.9], 5))
    assert statistics.censored_median([10, 30, 20, math.nan, math.nan]) == 30
    assert math.isnan(statistics.censored_median([10, 20, math.nan, math.nan]))


def test_welch_by_hand():
    """x = (1, 2, 3), y = (2, 4, 6): se^2 = 1/3 + 4/3, df = (5/3)^2 / ((1/9 + 16/9) / 2) = 50/17."""
    welch = statistics.welch([1, 2, 3], [2, 4, 6])
    assert welch.difference == -2
    assert welch.se == pytest.approx((5 / 3) ** 0.5)
    assert welch.df == pytest.approx(50 / 17)


def test_welch_agrees_with_scipy():
    rng = np.random.default_rng(2)
    x, y = rng.normal(0, 1, 8), rng.normal(1, 4, 5)
    welch, scipys = statistics.welch(x, y), scipy.stats.ttest_ind(x, y, equal_var=False)
    assert welch.p_difference() == pytest.approx(scipys.pvalue)
    assert welch.interval(0.9) == pytest.approx(tuple(scipys.confidence_interval(0.9)))
    lower = scipy.stats.ttest_ind(x + 3, y, equal_var=False, alternative="greater").pvalue
    upper = scipy.stats.ttest_ind(x - 3, y, equal_var=False, alternative="less").pvalue
    assert welch.p_equivalence(3) == pytest.approx(max(lower, upper))


def test_equivalence_holds_exactly_where_the_90_percent_interval_is_within_the_margin():
    welch = statistics.welch([1.0, 2.0, 4.0], [1.5, 2.5, 2.0])
    edge = max(abs(end) for end in welch.interval(0.9))
    assert welch.p_equivalence(edge * 1.001) < 0.05 < welch.p_equivalence(edge * 0.999)


def test_the_difference_of_deterministic_arms_is_exact():
    tenth = [0.1 + 0.2] * 7  # its mean rounds, its spread is still zero
    same = statistics.welch(tenth, tenth, (True, True))
    assert (same.p_difference(), same.interval(0.95), same.p_equivalence(0.001)) == (1.0, (0.0, 0.0), 0.0)
    apart = statistics.welch([500.0], [490.0], (True, True))
    assert (apart.p_difference(), apart.interval(0.9)) == (0.0, (10.0, 10.0))
    assert (apart.p_equivalence(11), apart.p_equivalence(9)) == (0.0, 1.0)


def test_zero_spread_of_other_arms_is_not():
    """All five of one arm above all of the other: of 252 ways to divide ten values 2 are as extreme."""
    same, apart = statistics.welch([500.0] * 5, [500.0] * 5), statistics.welch([500.0] * 5, [490.0] * 5)
    assert np.isnan([same.p_difference(), *same.interval(0.95), same.p_equivalence(1.0)]).all()
    assert apart.p_difference() == pytest.approx(2 / 252)
    assert np.isnan([*apart.interval(0.95), apart.p_equivalence(11)]).all()


def test_one_deterministic_arm_makes_it_the_one_sample_test():
    x = [1.0, 2.0, 4.0, 8.0]
    welch = statistics.welch(x, [3.0], (False, True))
    expected = scipy.stats.ttest_1samp(x, 3.0)
    assert welch.p_difference() == pytest.approx(expected.pvalue)
    assert (welch.difference, welch.df) == (0.75, 3)


def test_one_arm_without_spread_leaves_the_other_ones_degrees_of_freedom():
    assert statistics.welch([500.0] * 5, [1.0, 2.0, 4.0]).df == pytest.approx(2)


def test_holm_by_hand():
    """(0.01, 0.04, 0.03) -> 3 x 0.01, then 2 x 0.03, then no less than that."""
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])


def test_holm_counts_only_the_tests_that_were_made():
    assert statistics.holm([0.01, math.nan, 0.04]) == pytest.approx([0.02, math.nan, 0.04], nan_ok=True)
    assert statistics.holm([]).tolist() == []


def rejections(x, y):
    """Welch statistics of many experiments at once: (R, n), (R, m) -> differences, standard errors, df."""
    a, b = x.var(1, ddof=1) / x.shape[1], y.var(1, ddof=1) / y.shape[1]
    df = (a + b) ** 2 / (a**2 / (x.shape[1] - 1) + b**2 / (y.shape[1] - 1))
    return x.mean(1) - y.mean(1), np.sqrt(a + b), df


def test_false_differences_at_five_seeds_are_about_nominal():
    """20,000 experiments without a difference, spreads 1 and 3: the 5 % test finds one in 3 to 6 %."""
    rng = np.random.default_rng(3)
    difference, se, df = rejections(rng.normal(0, 1, (20000, 5)), rng.normal(0, 3, (20000, 5)))
    p = 2 * scipy.stats.t.sf(abs(difference) / se, df)
    assert 0.03 < (p < 0.05).mean() < 0.06
    assert p[0] == pytest.approx(statistics.Welch(difference[0], se[0], df[0]).p_difference())


@pytest.mark.parametrize(
    ("margin", "spreads"), [(80.0, (30.0, 60.0)), (80.0, (90.0, 90.0)), (40.0, (5.0, 60.0))]
)
def test_power_at_seeds_needed_is_80_percent(margin, spreads):
    n = statistics.seeds_needed(margin, *spreads)
    assert n is not None and n > 4
    rng = np.random.default_rng(4)
    power = {}
    for seeds in (n - 1, n):
        difference, se, df = rejections(*(rng.normal(0, spread, (20000, seeds)) for spread in spreads))
        power[seeds] = (scipy.stats.t.sf((margin - abs(difference)) / se, df) < 0.05).mean()
        assert power[seeds] == pytest.approx(statistics.tost_power(seeds, margin, *spreads), abs=0.03)
    assert 0.77 < power[n] < 0.9
    assert power[n - 1] < 0.82


@pytest.mark.parametrize("n", [2, 3, 10])
def test_power_integral_is_converged(n):
    """Against adaptive quadrature over the chi-square density."""
    margin, sd = 3.0, 1.0
    df, s, t = 2 * (n - 1), np.sqrt(2 / n), scipy.stats.t.ppf(0.95, 2 * (n - 1))

    def weighted(w):
        chance = 2 * scipy.stats.norm.cdf(margin / s - t * np.sqrt(w / df)) - 1
        return chance * scipy.stats.chi2.pdf(w, df)

    expected = scipy.integrate.quad(weighted, 0, df * (margin / (s * t)) ** 2)[0]
    assert statistics.tost_power(n, margin, sd, sd) == pytest.approx(expected, abs=1e-3)


def test_seeds_needed_at_the_ends():
    assert statistics.seeds_needed(10, 0, 0) == 2
    assert statistics.seeds_needed(0, 1, 1) is None
    assert statistics.seeds_needed(1, 30, 30) is None  # thousands
    assert statistics.seeds_needed(math.nan, 1, 1) is None
