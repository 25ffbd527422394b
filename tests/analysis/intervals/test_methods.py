"""Ways to compute an interval: by numbers worked on paper, against scipy, and by exact coverage."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from rlparity.analysis import statistics
from rlparity.analysis.intervals import methods

pytestmark = pytest.mark.paper


def held(ends, truth):
    low, high = ends
    return float(((low <= truth) & (truth <= high)).mean())


def test_student_by_hand_and_by_scipy():
    """(1, 2, 3): mean 2, standard error 1 / sqrt(3), t(0.975, 2) = 4.3027."""
    low, high = methods.student([1, 2, 3])
    assert (low, high) == pytest.approx((2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-5)
    x = np.random.default_rng(0).normal(size=(4, 7))
    expected = scipy.stats.t.interval(0.9, 6, x.mean(-1), scipy.stats.sem(x, axis=-1))
    np.testing.assert_allclose(methods.student(x, 0.9), expected)
    assert np.isnan(methods.student([3.0])).all()


def test_trimmed_t_by_hand():
    """0, 1, 2, 3, 100: 1, 2 and 3 stay; winsorised 1, 1, 2, 3, 3, whose variance is 1; t has 2 degrees."""
    low, high = methods.trimmed_t([0, 1, 2, 3, 100])
    half = scipy.stats.t.ppf(0.975, 2) * (4 / (3 * 2)) ** 0.5
    assert (low, high) == pytest.approx((2 - half, 2 + half))


def test_students_coverage_of_normal_data_is_exact():
    """20,000 draws: the standard error of the share is 0.15 %."""
    rng = np.random.default_rng(1)
    for n in (3, 5, 10):
        assert held(methods.student(rng.normal(7, 3, (20_000, n))), 7) == pytest.approx(0.95, abs=0.006)


@pytest.mark.parametrize(("n", "places", "coverage"), [(5, 0, 0.9375), (10, 1, 0.978516), (20, 5, 0.958611)])
def test_order_statistics_cover_the_median_as_the_binomial_says(n, places, coverage):
    """Of any distribution: here an exponential one, whose median is log 2."""
    x = np.random.default_rng(2).exponential(size=(20_000, n))
    low, high = methods.order_statistics(x)
    ordered = np.sort(x, -1)
    assert (low == ordered[:, places]).all() and (high == ordered[:, n - 1 - places]).all()
    assert held((low, high), np.log(2)) == pytest.approx(coverage, abs=0.006)


def test_order_statistics_need_five_seeds():
    assert np.isnan(methods.order_statistics([1.0, 2.0, 3.0, 4.0])).all()
    assert np.isnan(methods.order_statistics([1.0, 2.0, 3.0, 4.0, 5.0], least=0.95)).all()


def test_spacings_of_seeds_that_are_all_at_a_bound():
    """The lower end is a^(1/n) of the way from the other bound, a = 2.5 %; the upper end is the bound."""
    for n in (3, 5, 20):
        low, high = methods.spacings(np.full(n, 500.0), trim=0.0, bounds=(0.0, 500.0))
        assert high == pytest.approx(500.0)
        assert low == pytest.approx(500 * 0.025 ** (1 / n), rel=0.06)


def test_spacings_hold_the_mean_of_bounded_data_however_skewed():
    """One in forty is 0, the others 1: Student's interval of ten seeds mostly has no width."""
    x = (np.random.default_rng(3).random((2000, 10)) > 1 / 40).astype(float)
    assert held(methods.student(x), 1 - 1 / 40) < 0.3
    assert held(methods.spacings(x, trim=0.0, bounds=(0.0, 1.0)), 1 - 1 / 40) > 0.95


def test_spacings_of_the_iqm_need_no_bounds_from_thirteen_seeds():
    """A quarter of the mass has no seed of n with probability 0.75^n: below 2.5 % from 13 on."""
    x = np.random.default_rng(4).normal(size=(500, 13))
    assert np.isnan(methods.spacings(x[:, :12])).all()
    assert held(methods.spacings(x), 0.0) > 0.95
    assert np.isnan(methods.spacings(x, trim=0.0)).all()


def test_bootstrap_t_needs_a_spread_and_holds_an_exponential_mean():
    assert np.isnan(methods.bootstrap_t(np.full(6, 2.0))).all()
    x = np.random.default_rng(5).exponential(size=(400, 10))
    wide, plain = held(methods.bootstrap_t(x), 1), held(methods.percentile(np.mean, x), 1)
    assert plain < 0.9 < wide


def test_percentile_bootstrap_is_the_quantile_of_all_resamples():
    """Resamples of (0, 1) have mean 0 in a quarter of all cases, 1 in a quarter, 0.5 in half."""
    assert methods.percentile(np.mean, np.array([0.0, 1.0])) == (0.0, 1.0)
    assert methods.percentile(np.mean, np.array([0.0, 1.0]), level=0.4) == (0.5, 0.5)


def test_percentile_bootstrap_of_the_improvement_is_that_of_scipy():
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=12), rng.normal(size=8)
    expected = statistics.bootstrap_interval(statistics.probability_of_improvement, x, y)
    found = methods.percentile_of_improvement(x, y)
    assert np.ravel(found) == pytest.approx(np.ravel(expected), abs=0.06)


def test_welch_is_that_of_statistics():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(3, 6)), rng.normal(1, 4, (3, 9))
    ends = np.transpose(methods.welch(x, y, 0.9))
    for row, one, other in zip(ends, x, y, strict=True):
        assert tuple(row) == pytest.approx(statistics.welch(one, other).interval(0.9))


def test_shares_are_those_of_scipy():
    for count in range(6):
        expected = scipy.stats.binomtest(count, 5).proportion_ci(method="exact")
        assert methods.clopper_pearson(count, 5) == pytest.approx((expected.low, expected.high))


def test_newcombe_by_hand():
    """At an end, 0.05 of 0.5 for instance, |end - estimate| is 1.96 of Hanley and McNeil's errors there."""
    low, high = methods.newcombe(np.array([0.5, 0.9, 1.0]), 10, 20)
    assert high[2] == pytest.approx(1.0) and low[0] + high[0] == pytest.approx(1.0)
    for end, estimate in ((low[0], 0.5), (high[0], 0.5), (low[1], 0.9), (low[2], 1.0)):
        more = 14 * (1 - end) / (2 - end) + 14 * end / (1 + end)
        error = (end * (1 - end) * (1 + more) / 200) ** 0.5
        assert abs(end - estimate) == pytest.approx(1.959964 * error)
