"""Verdicts from made-up scores, each case of the rule with numbers worked on paper."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from rlparity import columns, table, verdict

pytestmark = pytest.mark.paper

RANDOM = [20.0, 22.0, 18.0, 20.0, 20.0]
TIGHT = [-2.0, -1.0, 0.0, 1.0, 2.0]  # variance 2.5
WIDE = [-200.0, -100.0, 0.0, 100.0, 200.0]


def around(mean, spread=TIGHT):
    return [mean + value for value in spread]


def judge(ours, reference, random=RANDOM, others=()):
    """The row of `ppo`, endpoint auc; `others` are more algorithms with (name, ours, reference)."""
    arms = [("ppo", ours, reference), *others]
    rows = []
    for name, x, y in arms:
        for implementation, values in (("scratch", x), ("sb3", y)):
            rows += scored(implementation, name, values)
    rows += scored("scratch", "random", random)
    plan = {
        "margin": 0.2,
        "algorithms": {name: {"agent": name, "reference": name} for name, _, _ in arms},
        "environments": {"CartPole-v1": {"algorithms": [name for name, _, _ in arms]}},
    }
    if random:
        plan["algorithms"]["random"] = {"agent": "random", "reference": None}
        plan["environments"]["CartPole-v1"]["algorithms"].append("random")
    made = verdict.verdicts(table.frame("scores", rows), plan)
    return made.iloc[0]


def scored(implementation, algorithm, values):
    who = {"implementation": implementation, "algorithm": algorithm, "environment": "CartPole-v1"}
    return [{**who, "seed": seed, "endpoint": "auc", "value": value} for seed, value in enumerate(values)]


def test_equivalent_within_the_margin():
    """Distance 120 - 20 = 100, margin 20; difference 5 with standard error 1 on 8 degrees of freedom."""
    row = judge(around(125), around(120))
    assert (row.verdict, row.reason) == ("EQUIVALENT", "")
    assert (row.difference, row.distance, row.margin) == (5.0, 100.0, 0.2)
    assert row.ci90_high == pytest.approx(5 + 1.859548)
    assert row.smallest_margin == pytest.approx(0.06859548)  # "equivalent within 7 %"
    assert row.p_difference < 0.05  # significant, and still equivalent: that comes first
    assert (row.seeds_implementation, row.seeds_reference) == (5, 5)
    assert (row.implementation, row.reference, row.endpoint) == ("scratch", "sb3/ppo", "auc")


@pytest.mark.parametrize(("ours", "word"), [(60, "WORSE"), (180, "BETTER")])
def test_a_difference_beyond_the_margin(ours, word):
    row = judge(around(ours), around(120))
    assert row.verdict == word
    assert row.p_equivalence > 0.05


def test_non_significance_is_never_equality():
    row = judge(around(300, WIDE), around(310, WIDE))
    assert row.p_difference > 0.5
    assert (row.verdict, row.reason) == ("INCONCLUSIVE", "neither equivalence nor a difference is shown")
    assert int(row.seeds_needed) > 5


def test_a_difference_must_survive_holm_over_all_rows():
    """p is 0.02 alone; among three rows of which the others are not significant it is 0.06."""
    ours, reference = (
        around(66, [-30.0, -15.0, 0.0, 15.0, 30.0]),
        around(110, [-30.0, -15.0, 0.0, 15.0, 30.0]),
    )
    alone = judge(ours, reference)
    assert 0.01 < alone.p_difference < 0.05
    assert (alone.verdict, alone.p_holm) == ("WORSE", alone.p_difference)
    dull = (around(300, WIDE), around(300, WIDE))
    among = judge(ours, reference, others=[("a2c", *dull), ("dqn", *dull)])
    assert among.p_holm == pytest.approx(3 * alone.p_difference)
    assert among.verdict == "INCONCLUSIVE"


def test_reference_that_did_not_learn():
    """Three standard errors are 3 sqrt(2.5/5 + 2/5) = 2.85: 2 above random is within, 3 is not."""
    assert judge(around(60), around(22)).verdict == "INCONCLUSIVE (reference did not learn)"
    assert judge(around(60), around(23)).verdict == "BETTER"


def test_reference_that_fell_below_random_did_not_learn():
    assert judge(around(-100), around(-100)).verdict == "INCONCLUSIVE (reference did not learn)"


def test_everything_stuck_at_the_floor_did_not_learn():
    row = judge([-200.0] * 5, [-200.0] * 5, random=[-200.0] * 5)
    assert row.verdict == "INCONCLUSIVE (reference did not learn)"
    assert math.isnan(row.smallest_margin)


@pytest.mark.parametrize("short", [0, 1])
def test_below_five_seeds_nothing_is_decided(short):
    arms = [around(120), around(120)]
    arms[short] = arms[short][:4]
    row = judge(*arms)
    assert (row.verdict, row.reason) == ("INCONCLUSIVE", "fewer than 5 seeds")
    assert row.p_equivalence < 0.05  # the numbers are there all the same


def test_zero_spread_is_exact():
    same = judge([500.0] * 5, [500.0] * 5)
    assert (same.verdict, same.smallest_margin, same.seeds_needed) == ("EQUIVALENT", 0.0, "2")
    assert judge([403.0] * 5, [500.0] * 5).verdict == "WORSE"  # 97 > 0.2 x 480
    assert judge([405.0] * 5, [500.0] * 5).verdict == "EQUIVALENT"


def test_a_suite_without_random_agent_or_reference_says_so():
    row = judge(around(120), around(120), random=[])
    assert (row.verdict, row.reason) == ("INCONCLUSIVE", "no random agent in the suite")
    assert (row.difference, math.isnan(row.smallest_margin), row.seeds_needed) == (0.0, True, "")
    row = judge(around(120), [])
    assert (row.verdict, row.reason) == ("INCONCLUSIVE", "no finished run of the reference")
    assert math.isnan(row.difference)


def test_failed_seeds_are_named_and_do_not_flatter():
    ours, reference = [*around(125), math.nan], [*around(120), 120.0]
    row = judge(ours, reference)
    assert (row.failed_seeds, row.seeds_implementation) == ("scratch 5", 5)
    assert (row.verdict, row.reason) == ("INCONCLUSIVE", "EQUIVALENT but for failed seeds (scratch 5)")
    better = [*around(180), math.nan]
    assert judge(better, reference).reason == "BETTER but for failed seeds (scratch 5)"
    assert judge([*around(60), math.nan], reference).verdict == "WORSE"  # its lost seeds would not help it


def test_failed_seeds_of_the_reference_do_not_condemn():
    reference = [*around(120), math.nan]
    assert judge(around(60), reference).reason == "WORSE but for failed seeds (sb3 5)"
    assert judge(around(180), reference).verdict == "BETTER"


def test_more_seeds_than_anyone_has():
    assert judge(around(40, WIDE), around(40, WIDE), random=[0.0, 1.0, 2.0]).seeds_needed == ">1000"


def test_both_endpoints_are_judged_and_time_to_threshold_is_not():
    rows = []
    for endpoint in ("time_to_threshold", "final", "auc"):
        for implementation, algorithm, mean in (
            ("scratch", "ppo", 99),
            ("sb3", "ppo", 99),
            ("scratch", "random", 9),
        ):
            for row in scored(implementation, algorithm, around(mean)):
                rows.append({**row, "endpoint": endpoint})
    plan = {
        "margin": 0.2,
        "algorithms": {"random": {"agent": "random"}, "ppo": {"agent": "ppo", "reference": "ppo"}},
        "environments": {"CartPole-v1": {"algorithms": ["random", "ppo"]}},
    }
    made = verdict.verdicts(table.frame("scores", rows), plan)
    assert made.endpoint.tolist() == [
        "auc",
        "final",
    ]  # the primary one first; random has no reference, no verdict


@pytest.mark.probes
def test_false_equivalence_at_the_margin_is_at_most_nominal():
    """In 400 suites whose true difference is the margin itself, about one in twenty passes."""
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(400):
        x, y = rng.normal(100 - 20, 15, 10), rng.normal(100, 15, 10)
        hits += verdict.compare(x, y, np.zeros(5), 0.2)["p_equivalence"] < 0.05
    assert 4 <= hits <= 34


def test_empty_suite_gives_an_empty_table():
    plan = {"margin": 0.2, "algorithms": {}, "environments": {}}
    made = verdict.verdicts(table.frame("scores", []), plan)
    assert isinstance(made, pd.DataFrame) and made.empty and list(made) == list(columns.TABLES["verdicts"])
