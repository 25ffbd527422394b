"""Families of tests, and the seeds that would decide: numbers worked on paper."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from rlparity.analysis import plans, statistics, tables, verdicts
from rlparity.analysis.decisions import families

pytestmark = pytest.mark.paper

FLOOR = [20.0, 22.0, 18.0, 20.0, 20.0]
FIVE, FOUR, THREE = [-2.0, -1.0, 0.0, 1.0, 2.0], [-30.0, -10.0, 10.0, 30.0], [-1.0, 0.0, 1.0]


def around(mean, spread=FIVE):
    return [mean + value for value in spread]


def report(arms, **keys):
    """Verdicts by (algorithm, endpoint) on arms {algorithm: {endpoint: (ours, reference)}}."""
    rows = []
    for algorithm, ends in {**arms, "random": {"auc": (FLOOR, []), "final": (FLOOR, [])}}.items():
        for endpoint, pair in ends.items():
            for implementation, values in zip(("scratch", "sb3"), pair, strict=True):
                who = {"implementation": implementation, "algorithm": algorithm, "environment": "CartPole-v1"}
                who |= {"metric": "return", "endpoint": endpoint}
                rows += [{**who, "seed": seed, "value": value} for seed, value in enumerate(values)]
    plan = {
        "margin": 0.2,
        "algorithms": {name: {"reference": name} for name in arms} | {"random": {}},
        "environments": {"CartPole-v1": {"algorithms": [*arms, "random"]}},
        **keys,
    }
    made = verdicts.verdicts(tables.frame("scores", rows), plan)
    return made.set_index(["algorithm", "endpoint"]).sort_index()


def rows(p, role="primary", reason=""):
    return [{"p_difference": value, "role": role, "reason": reason} for value in p]


def test_three_p_values_by_hand():
    """In order 0.01 x 3, 0.03 x 2, 0.04 x 1, none smaller than the one before it: 0.03, 0.06, 0.06."""
    found = families.adjusted(rows([0.01, 0.04, 0.03]))
    assert [row["p_holm"] for row in found] == pytest.approx([0.03, 0.06, 0.06])
    assert [row["family_size"] for row in found] == [3, 3, 3]


def test_five_p_values_by_hand_and_two_apart():
    """0.005 x 5, 0.011 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1: 0.025, 0.044, 0.06, 0.06, 0.04 and so 0.06.

    Two secondary ones have a family of their own, 0.01 x 2 and 0.04; three rows have none.
    """
    table = [*rows([0.04, 0.005, 0.03, 0.02, 0.011]), *rows([0.04, 0.01], "secondary")]
    table += [*rows([0.001], reason=verdicts.NOTHING_LEARNED), *rows([0.001], reason=verdicts.TOO_FEW)]
    table += rows([math.nan], reason="all at the ceiling, 5 and 5 seeds")
    found = families.adjusted(table)
    expected = [0.06, 0.025, 0.06, 0.06, 0.044, 0.04, 0.02, *[math.nan] * 3]
    assert [row["p_holm"] for row in found] == pytest.approx(expected, nan_ok=True)
    assert [row["family_size"] for row in found] == [5] * 5 + [2] * 2 + [0] * 3


def test_with_rows_as_families_nothing_is_adjusted():
    found = families.adjusted([*rows([0.04, 0.005]), *rows([0.03], reason=verdicts.TOO_FEW)], "row")
    assert [row["p_holm"] for row in found] == pytest.approx([0.04, 0.005, math.nan], nan_ok=True)
    assert [row["family_size"] for row in found] == [1, 1, 0]


WORSE = (around(66, [-30.0, -15.0, 0.0, 15.0, 30.0]), around(110, [-30.0, -15.0, 0.0, 15.0, 30.0]))  # p 0.02
SAME = (around(120), around(120))


@pytest.mark.parametrize(
    "idle",
    [
        (around(60), around(21)),  # the reference is within three standard errors of the floor
        (around(60, THREE), around(120)),  # three seeds
        ([500.0] * 5, [500.0] * 5),  # all at the ceiling
        (around(60), []),  # no reference
    ],
)
def test_arms_that_cannot_decide_anything_do_not_hide_what_is_worse(idle):
    ends = {"auc": WORSE, "final": SAME}
    alone = report({"ppo": ends})
    beside = report({"ppo": ends} | {f"idle{place}": {"auc": idle, "final": idle} for place in range(10)})
    pd.testing.assert_frame_equal(beside.loc[["ppo"]], alone)
    assert alone.verdict["ppo", "auc"] == "WORSE" and 0.01 < alone.p_holm["ppo", "auc"] < 0.05
    assert set(beside.family_size.drop("ppo")) == {0} and beside.p_holm.drop("ppo").isna().all()


def test_membership_is_read_from_the_reference_and_not_from_ours():
    """Ours at the floor counts, a reference at the floor does not, whatever ours is."""
    found = report({"ppo": {"auc": (around(20), around(120))}, "a2c": {"auc": (around(120), around(20))}})
    assert found.family_size["ppo", "auc"] == 1 and found.family_size["a2c", "auc"] == 0


def test_endpoints_have_families_of_their_own():
    found = report({name: {"auc": SAME, "final": WORSE} for name in ("ppo", "a2c")})
    assert found.role.xs("auc", level=1).tolist() == ["primary"] * 2
    assert found.role.xs("final", level=1).tolist() == ["secondary"] * 2
    assert found.family_size.tolist() == [2] * 4
    assert found.p_holm["ppo", "final"] == pytest.approx(2 * found.p_difference["ppo", "final"])


def test_a_suite_may_name_the_final_value_as_primary():
    found = report({"ppo": {"auc": WORSE, "final": SAME}}, primary="final")
    assert found.role.to_dict() == {("ppo", "auc"): "secondary", ("ppo", "final"): "primary"}
    assert plans.primary({}) == "auc" and plans.family({}) == "report"


def seeds_of(ours, reference, **keys):
    row = report({"ppo": {"auc": (ours, reference)}} | keys.pop("others", {}), **keys).loc["ppo", "auc"]
    return row.verdict, row.reason, row.seeds_needed


def test_a_decided_row_needs_no_seeds():
    assert seeds_of(*SAME) == ("EQUIVALENT", "", "")
    assert seeds_of(*WORSE) == ("WORSE", "", "")
    assert seeds_of(around(180), around(120)) == ("BETTER", "", "")


def test_neither_does_one_that_more_seeds_would_not_help():
    assert seeds_of(around(60), around(21))[1:] == (verdicts.NOTHING_LEARNED, "")
    assert seeds_of([500.0] * 5, [500.0] * 5)[2] == ""
    spread = 12 / np.std([-1, 1] * 5, ddof=1) * np.array([-1, 1] * 5)  # 7 seeds would do without a difference
    assert statistics.seeds_needed(20, 12, 12) == 7
    assert seeds_of(109 + spread, 120 + spread) == ("INCONCLUSIVE", verdicts.NEITHER, "")


def test_no_number_is_below_five():
    """Equivalence would take 3 seeds if there were no difference."""
    tight = [value / 2 for value in THREE]
    assert statistics.seeds_needed(20, 0.5, 0.5) < 5
    assert seeds_of(around(121, tight), around(120, tight))[2] == "5"
    assert seeds_of(around(60, tight), around(120, tight))[2] == "5"


def test_with_four_seeds_it_looks_worse():
    """Difference of 1.9 deviations: t 2.69 on 6 degrees, p 0.036; power 0.75 at 5 seeds, 0.84 at 6.

    With a second test in the family the level is 2.5 %, and 7 seeds are needed.
    """
    low, high = around(120 - 1.9 * np.std(FOUR, ddof=1), FOUR), around(120, FOUR)
    look = "fewer than 5 seeds: looks {}; {} seeds would decide"
    assert seeds_of(low, high) == ("INCONCLUSIVE", look.format("WORSE", 6), "6")
    assert seeds_of(high, low)[1] == look.format("BETTER", 6)
    assert seeds_of(low, high, others={"a2c": {"auc": SAME}})[1] == look.format("WORSE", 7)
    assert seeds_of(low, high, others={"a2c": {"auc": SAME}}, family="row")[1] == look.format("WORSE", 6)


def test_numbers_that_show_nothing_look_like_nothing():
    verdict, reason, needed = seeds_of(around(110, FOUR), around(120, FOUR))
    assert (verdict, reason) == ("INCONCLUSIVE", verdicts.TOO_FEW) and int(needed) > 5
    assert seeds_of([60.0], [120.0]) == ("INCONCLUSIVE", verdicts.TOO_FEW, "")
    assert seeds_of(around(60, THREE), around(21, THREE)) == ("INCONCLUSIVE", verdicts.TOO_FEW, "")
    lost = [*around(121, THREE), math.nan]
    assert seeds_of(lost, around(120, THREE))[1] == verdicts.TOO_FEW  # a lost seed might have changed it


@pytest.mark.parametrize("n", [5, 6, 12])
def test_power_of_a_difference_is_that_of_student(n):
    """With equal spreads Welch's degrees are Student's: the noncentral t."""
    t, shift = scipy.stats.t.ppf(0.975, 2 * n - 2), 1.9 * math.sqrt(n / 2)
    exact = scipy.stats.nct.sf(t, 2 * n - 2, shift) + scipy.stats.nct.cdf(-t, 2 * n - 2, shift)
    assert statistics.power_of_difference(n, -1.9, 1, 1) == pytest.approx(exact, abs=1e-4)


def test_power_of_equivalence_at_the_margin_is_the_level():
    assert statistics.tost_power(20, 1.0, 0.3, 0.3, difference=1.0) == pytest.approx(0.05, abs=1e-3)
    assert statistics.tost_power(20, 1.0, 1.0, 1.0, difference=-0.3) == pytest.approx(
        statistics.tost_power(20, 1.0, 1.0, 1.0, difference=0.3)
    )
