"""Which interval is shown: the table of choices, bounds, and that nothing else is shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rlparity.analysis import statistics, tables
from rlparity.analysis.intervals import methods, rule
from rlparity.analysis.simulations import coverage

pytestmark = pytest.mark.paper
CARTPOLE = (1.0, 500.0)
MEASURED = Path(__file__).parents[3] / "reports" / "calibration" / "coverage.csv"


def test_the_choices_are_those_that_follow_from_the_measured_table():
    assert coverage.choices(tables.read(MEASURED)) == rule.CHOSEN


def test_what_is_shown_held_in_the_measured_table():
    """Of all draws, at most 7 % show an interval that does not hold the truth of the pool."""
    found = tables.read(MEASURED)
    shown = found[found.method == coverage.SHOWN]
    assert len(shown) > 200 and shown.missed.max() < 1 - rule.HOLDS + 0.003


def test_below_the_smallest_measured_size_nothing_is_shown():
    for name in statistics.STATISTICS:
        for x in ([], [3.0], [3.0, 4.0]):
            assert np.isnan(rule.of_estimate(name, x)).all()
    assert np.isnan(rule.of_difference([1.0], [2.0, 3.0])).all()
    assert np.isnan(rule.of_improvement([1.0, 2.0], [2.0, 3.0, 4.0])).all()


def test_between_measured_sizes_the_smaller_one_counts():
    assert [rule.chosen("iqm", rule.INSIDE, n) for n in (2, 3, 4, 5, 19, 20, 60)] == [
        *("", "trimmed-t", "trimmed-t", "order", "order", "spacings", "spacings")
    ]


def test_a_mean_inside_the_bounds_is_students_and_cut_where_nothing_can_be():
    x = np.array([499.0, 350.0, 420.0, 300.0, 480.0])
    low, high = methods.student(x)
    assert high > 500.0
    assert rule.of_estimate("mean", x, CARTPOLE) == pytest.approx((low, 500.0))
    assert rule.of_estimate("mean", x) == pytest.approx((low, high))


def test_at_a_bound_the_mean_has_an_interval_of_its_own_and_with_three_seeds_none():
    x = np.array([500.0, 500.0, 200.0, 500.0, 500.0])
    low, high = rule.of_estimate("mean", x, CARTPOLE)
    expected = methods.spacings(x, trim=0.0, bounds=CARTPOLE)
    assert (float(low), float(high)) == (float(expected[0]), float(expected[1]))
    assert 200 < low < 440 < high < 500
    assert np.isnan(rule.of_estimate("mean", x[:3], CARTPOLE)).all()
    assert np.isnan(rule.of_estimate("mean", x)).all()  # equal values, at bounds that are not known


def test_rows_of_a_curve_are_judged_one_by_one():
    curve = np.array([[300.0, 320.0, 350.0, 310.0, 390.0], [500.0, 480.0, 500.0, 490.0, 470.0]])
    low, high = rule.of_estimate("iqm", curve, CARTPOLE)
    assert (low[0], high[0]) == (300.0, 390.0) and np.isnan([low[1], high[1]]).all()


def test_the_estimate_is_within_its_interval():
    rng = np.random.default_rng(0)
    for n in (3, 5, 10, 20):
        x = np.minimum(rng.normal(450, 60, (200, n)), 500.0)
        for name, statistic in statistics.STATISTICS.items():
            low, high = rule.of_estimate(name, x, CARTPOLE)
            known = np.isfinite(low)
            value = statistic(x, axis=-1)
            assert ((low <= value) & (value <= high))[known].all()
            assert (low[known] >= 1).all() and (high[known] <= 500).all()


def test_a_difference_has_welchs_interval_unless_a_seed_is_at_a_bound():
    x, y = np.array([1.0, 2.0, 4.0, 3.0, 6.0]), np.array([2.5, 2.0, 7.0, 5.0, 1.0])
    assert rule.of_difference(x, y, 0.9) == statistics.welch(x, y).interval(0.9)
    assert np.isnan(rule.of_difference(x, y, 0.9, (1.0, 9.0))).all()
    assert np.isnan(rule.of_difference(x, [5.0] * 5)).all()
    assert np.isnan(rule.of_difference(x[:3], y)).all()
    assert rule.of_difference(x, y, 0.9999, (0.0, 8.0)) == (-8.0, 8.0)


def test_deterministic_arms_have_no_error():
    assert rule.of_difference([5.0], [3.0], deterministic=(True, True)) == (2.0, 2.0)
    x = np.array([1.0, 2.0, 4.0, 3.0, 6.0])
    expected = methods.student(x - 3.0)
    assert rule.of_difference(x, [3.0], deterministic=(False, True)) == pytest.approx(expected)


def test_over_games_needs_ten_seeds():
    strata = np.arange(9.0), np.arange(20.0)
    assert np.isnan(rule.over_games(statistics.pooled(np.mean), *strata)).all()
    low, high = rule.over_games(statistics.pooled(np.mean), np.arange(10.0), np.arange(20.0))
    assert 4 < low < 8 < high < 11


def test_captions_say_where_coverage_was_measured():
    assert rule.promise(["CartPole-v1"]).startswith("Coverage measured on the pools of CartPole-v1")
    assert rule.promise(["CartPole-v1", "Hopper-v5"]).startswith("95 % is nominal; coverage measured on")
