"""Coverage measured on made-up pools of which the answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rlparity.analysis import tables
from rlparity.analysis.intervals import rule
from rlparity.analysis.simulations import coverage
from rlparity.analysis.simulations.pools import Pool
from rlparity.arms import Arm

pytestmark = pytest.mark.probes
NORMAL = 300 + 40 * np.random.default_rng(0).standard_normal(200)
CEILING = np.append(np.full(59, 500.0), 180.0)


def pool(scores, endpoint="auc", name="sb3"):
    return Pool(Arm(name, "ppo"), "CartPole-v1", endpoint, scores, Arm("sb3", "ppo"))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    pools = [pool(NORMAL), pool(CEILING, "final")]
    rows = [*coverage.estimates(pools, 1000), *coverage.comparisons(pools, 300)]
    return tables.frame("coverage", rows)


def test_students_interval_of_a_normal_pool_holds_and_the_bootstrap_does_not(table):
    rows = table[(table.endpoint == "auc") & (table.estimator == "mean")].set_index(["method", "seeds"])
    for seeds in rule.SIZES:
        assert rows.loc[("student", seeds), "coverage"] == pytest.approx(0.95, abs=0.03)
        assert rows.loc[("shown", seeds), "coverage"] == pytest.approx(0.95, abs=0.06)
    assert rows.loc[("percentile", 3), "coverage"] < 0.85


def test_at_a_ceiling_student_fails_and_what_is_shown_holds(table):
    """One seed of sixty is not at 500: ten draws have it with probability 1 - (59/60)^10 = 15 %."""
    rows = table[(table.endpoint == "final") & (table.estimator == "mean")].set_index(["method", "seeds"])
    assert rows.loc[("student", 10), "coverage"] == pytest.approx(0.15, abs=0.04)
    assert rows.loc[("student", 10), "draws_from"] == rule.AT_A_BOUND
    assert rows.loc[("shown", 10), "coverage"] > 0.95 and rows.loc[("shown", 10), "shown"] == 1
    assert rows.loc[("shown", 3), "shown"] == 0 and rows.loc[("shown", 3), "missed"] == 0


def test_an_arm_and_itself_differ_by_nothing(table):
    rows = table[(table.estimator == "difference") & (table.method == "welch") & (table.endpoint == "auc")]
    assert rows[rows.seeds == rows.seeds_other].coverage.between(0.9, 1).all()
    chances = table[(table.estimator == "improvement") & (table.method == "newcombe")]
    assert chances[chances.seeds >= 10].coverage.min() > 0.9


def test_choices_follow_from_coverage_and_width():
    row = {"estimator": "mean", "draws_from": rule.INSIDE, "shown": 1.0, "width": 1.0, "reach": 10.0}
    rows = [row | {"seeds": n, "method": "student", "coverage": 0.95 if n > 3 else 0.92} for n in rule.SIZES]
    rows += [row | {"seeds": n, "method": "spacings", "coverage": 0.99, "width": 8.0} for n in rule.SIZES]
    found = coverage.choices(pd.DataFrame(rows))
    assert found["mean", rule.INSIDE] == {3: "", 5: "student", 10: "student", 20: "student"}
    rows[4] |= {"width": 7.0}
    assert coverage.choices(pd.DataFrame(rows))["mean", rule.INSIDE][3] == "spacings"
    assert found["mean", rule.AT_A_BOUND] == dict.fromkeys(rule.SIZES, "")
