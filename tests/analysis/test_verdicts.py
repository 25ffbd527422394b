"""Verdicts from made-up scores, each case of the rule with numbers worked on paper."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from rlparity.analysis import schemas, tables, verdicts

pytestmark = pytest.mark.paper

RANDOM = [20.0, 22.0, 18.0, 20.0, 20.0]
TIGHT = [-2.0, -1.0, 0.0, 1.0, 2.0]  # variance 2.5
WIDE = [-200.0, -100.0, 0.0, 100.0, 200.0]


def around(mean, spread=TIGHT):
    return [mean + value for value in spread]


def judge(ours, reference, random=RANDOM, others=(), metric=None, **plan_keys):
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
        **plan_keys,
    }
    if metric:
        plan["environments"]["CartPole-v1"]["metrics"] = [metric]
        rows = [{**row, "metric": metric["name"]} for row in rows]
    if random:
        plan["algorithms"]["random"] = {"agent": "random", "reference": None}
        plan["environments"]["CartPole-v1"]["algorithms"].append("random")
    made = verdicts.verdicts(tables.frame("scores", rows), plan)
    return made.iloc[0]


def scored(implementation, algorithm, values):
    who = {"implementation": implementation, "algorithm": algorithm, "environment": "CartPole-v1"}
    who["metric"] = "return"
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


def test_a_difference_must_survive_holm_over_its_family():
    """p is 0.02 alone; among three rows of which the others are not significant it is 0.06."""
    ours, reference = (
        around(66, [-30.0, -15.0, 0.0, 15.0, 30.0]),
        around(110, [-30.0, -15.0, 0.0, 15.0, 30.0]),
    )
    alone = judge(ours, reference)
    assert 0.01 < alone.p_difference < 0.05
    assert (alone.verdict, alone.p_holm) == ("WORSE", alone.p_difference)
    dull = (around(400, WIDE), around(400, WIDE))
    among = judge(ours, reference, others=[("a2c", *dull), ("dqn", *dull)])
    assert among.p_holm == pytest.approx(3 * alone.p_difference)
    assert (among.verdict, among.family_size) == ("INCONCLUSIVE", 3)
    own = judge(ours, reference, others=[("a2c", *dull), ("dqn", *dull)], family="row")
    assert (own.verdict, own.p_holm, own.family_size) == ("WORSE", own.p_difference, 1)


def test_reference_that_did_not_learn():
    """Three standard errors are 3 sqrt(2.5/5 + 2/5) = 2.85: 2 above random is within, 3 is not."""
    assert judge(around(60), around(22)).verdict == "INCONCLUSIVE (reference did not learn)"
    assert judge(around(60), around(23)).verdict == "BETTER"


def test_reference_that_fell_below_random_did_not_learn():
    assert judge(around(-100), around(-100)).verdict == "INCONCLUSIVE (reference did not learn)"


def test_everything_stuck_at_the_floor_did_not_learn():
    row = judge([-200.0] * 5, [-200.0] * 5, random=[-200.0] * 5)
    assert row.verdict == "INCONCLUSIVE (reference did not learn)"
    assert row.reason == "reference did not learn: all at the floor, 5 and 5 seeds"
    assert math.isnan(row.smallest_margin)


def test_an_arm_without_a_finished_seed_could_not_be_judged():
    row = judge([math.nan] * 5, around(120))
    assert (row.verdict, row.reason) == ("NO VERDICT", "no finished seed: could not be judged")
    assert row.failed_seeds == "scratch 0, 1, 2, 3, 4" and math.isnan(row.p_holm)


@pytest.mark.parametrize("short", [0, 1])
def test_below_five_seeds_nothing_is_decided(short):
    arms = [around(120), around(120)]
    arms[short] = arms[short][:4]
    row = judge(*arms)
    looks = "fewer than 5 seeds: looks EQUIVALENT; 5 seeds would decide"
    assert (row.verdict, row.reason, row.seeds_needed) == ("INCONCLUSIVE", looks, "5")
    assert row.p_equivalence < 0.05  # the numbers are there all the same
    assert (math.isnan(row.p_holm), row.family_size) == (True, 0)


def test_equal_values_at_the_ceiling_get_no_verdict():
    """Nor do they count in the family: the p of the other row stays what it is alone."""
    dull = ("dqn", around(366, WIDE), around(410, WIDE))
    row = judge([500.0] * 5, [500.0] * 6, others=[dull])
    assert (row.verdict, row.reason) == ("NO VERDICT", "all at the ceiling, 5 and 6 seeds")
    assert np.isnan([row.p_difference, row.p_holm, row.p_equivalence, row.smallest_margin]).all()
    assert (row.difference, row.seeds_needed) == (0.0, "")
    beside = judge(*dull[1:], others=[("dqn", [500.0] * 5, [500.0] * 5)])
    assert beside.p_holm == beside.p_difference


def test_one_seed_below_the_ceiling_is_a_spread():
    """Mean 496 of five against 500: |-4| + 2.13 x 4 = 12.5 is within 0.2 x 480."""
    row = judge([500.0] * 4 + [480.0], [500.0] * 5)
    assert row.verdict == "EQUIVALENT" and row.p_equivalence < 0.05
    assert np.isnan([row.ci90_low, row.ci95_high, row.smallest_margin]).all()  # at the ceiling none holds


EXACT = {"deterministic": ["scratch/ppo", "sb3/ppo"]}


def test_the_difference_of_two_deterministic_arms_is_exact():
    same = judge([500.0] * 5, [500.0] * 5, **EXACT)
    assert (same.verdict, same.smallest_margin, same.p_difference) == ("EQUIVALENT", 0.0, 1.0)
    assert judge([403.0], [500.0], **EXACT).verdict == "WORSE"  # 97 > 0.2 x 480; one seed tells all
    assert judge([405.0], [500.0], **EXACT).verdict == "EQUIVALENT"


def test_one_deterministic_arm_does_not_make_it_exact():
    row = judge([500.0] * 5, [500.0], deterministic=["sb3/ppo"])
    assert (row.verdict, row.reason) == ("NO VERDICT", "all at the ceiling, 5 and 1 seeds")
    row = judge(around(120), [118.0], deterministic=["sb3/ppo"])  # one-sample t on 4 degrees of freedom
    assert row.ci90_high == pytest.approx(2 + 2.131847 * math.sqrt(0.5))
    assert row.verdict == "EQUIVALENT"


def test_a_declaration_that_the_seeds_contradict_decides_nothing():
    row = judge(around(125), around(120), **EXACT)
    assert (row.verdict, row.reason) == (
        "INCONCLUSIVE",
        "an arm is declared deterministic, and its seeds differ",
    )


def test_arms_without_spread_that_differ():
    """Beyond the margin, all five below all five: p = 2 / 252. Within it nothing is known."""
    row = judge([403.0] * 5, [500.0] * 5)
    assert (row.verdict, row.p_difference) == ("WORSE", pytest.approx(2 / 252))
    row = judge([405.0] * 5, [500.0] * 5)
    assert (row.verdict, row.reason) == (
        "INCONCLUSIVE",
        "no arm has a spread over seeds, and they differ by less than the margin",
    )


ERROR = {"name": "error", "unit": "fraction wrong", "better": -1, "floor": 0.9}
SMALL = [value / 1000 for value in TIGHT]  # standard error of a mean of five: 0.0007


@pytest.mark.parametrize(
    ("ours", "word"), [(0.1, "EQUIVALENT"), (0.105, "EQUIVALENT"), (0.5, "WORSE"), (0.1 - 0.19, "BETTER")]
)
def test_a_metric_where_lower_is_better_with_a_constant_floor(ours, word):
    """Reference 0.1, floor 0.9: the distance is 0.8, the margin 0.16."""
    row = judge(around(ours, SMALL), around(0.1, SMALL), random=[], metric=ERROR)
    assert (row.metric, row.verdict, row.reason) == ("error", word, "")
    assert row.distance == pytest.approx(0.8) and row.mean_random == 0.9
    assert (row.mean_implementation, row.mean_reference) == pytest.approx((ours, 0.1))
    assert row.difference == pytest.approx(ours - 0.1)  # in the metric's unit
    assert row.ci95_low < row.ci90_low < row.difference < row.ci90_high < row.ci95_high


def test_a_reference_at_a_constant_floor_did_not_learn():
    """Its mean must be more than three of its own standard errors, 0.0021, better than 0.9."""
    for mean, word in (
        (0.897, "EQUIVALENT"),
        (0.8985, verdicts.DID_NOT_LEARN),
        (0.95, verdicts.DID_NOT_LEARN),
    ):
        row = judge(around(mean, SMALL), around(mean, SMALL), random=[], metric=ERROR, margin=0.9)
        assert row.verdict == word, mean


def test_a_floor_may_be_another_configuration():
    floor = ERROR | {"floor": "untrained"}
    row = judge(around(0.1, SMALL), around(0.1, SMALL), random=[], metric=floor)
    assert row.reason == "no untrained agent in the suite"
    untrained = ("untrained", around(0.8, SMALL), [])
    row = judge(around(0.1, SMALL), around(0.1, SMALL), random=[], metric=floor, others=[untrained])
    assert (row.verdict, row.mean_random) == ("EQUIVALENT", pytest.approx(0.8))


def test_a_margin_of_its_own_for_an_environment_and_metric():
    plan = {"environments": {"CartPole-v1": {"algorithms": ["ppo", "random"], "margins": {"return": 0.05}}}}
    plan["algorithms"] = {"ppo": {"reference": "ppo"}, "random": {}}
    row = judge(around(125), around(120), random=[], **plan)
    assert row.margin == 0.05


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
    assert judge(around(400, WIDE), around(400, WIDE), margin=0.001).seeds_needed == ">1000"


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
    made = verdicts.verdicts(tables.frame("scores", rows), plan)
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
        hits += verdicts.tested(x, y, np.zeros(5), 0.2)["p_equivalence"] < 0.05
    assert 4 <= hits <= 34


def test_empty_suite_gives_an_empty_table():
    plan = {"margin": 0.2, "algorithms": {}, "environments": {}}
    made = verdicts.verdicts(tables.frame("scores", []), plan)
    assert isinstance(made, pd.DataFrame) and made.empty and list(made) == list(schemas.TABLES["verdicts"])
