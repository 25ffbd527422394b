"""Against published numbers: what is comparable, and what counts as replicated."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from synthetic import PUBLISHED

from rlparity.analysis import attainable, tables
from rlparity.analysis.published import comparison, human_normalized, numbers, paper_table
from rlparity.arms import Arm
from rlparity.errors import UserError
from rlparity.metrics import Metric

pytestmark = pytest.mark.paper

ZOO = {
    "source_id": "zoo",
    "algorithm": "ppo",
    "environment": "CartPole-v1",
    "metric": "mean episode return",
    "value": 500.0,
    "spread": 0.0,
    "spread_kind": "sd",
    "seeds": 1,
    "frames_or_steps": 100000,
    "protocol": "one trained agent, 300 episodes; deterministic policy",
    "reference": "a document",
    "provenance": "primary",
    "low": np.nan,
    "high": np.nan,
    "configuration": "ppo",
}
MODES = ["deterministic", "sampled"]
HOPPER = ZOO | {"environment": "Hopper-v5", "value": 2500.0, "frames_or_steps": 1_000_000}
MUJOCO = {"InvertedPendulum", "InvertedDoublePendulum", "Reacher", "Swimmer", "Hopper"}
MUJOCO |= {"HalfCheetah", "Walker2d", "Ant", "Humanoid"}


def test_same_version_budget_and_protocol_is_comparable():
    assert paper_table.differences(ZOO, "CartPole-v1", 100000, MODES) == []


@pytest.mark.parametrize(
    ("change", "differs"),
    [
        ({"environment": "CartPole-v0"}, ["environment version"]),
        ({"frames_or_steps": 50000}, ["budget"]),
        ({"frames_or_steps": float("nan")}, ["budget"]),
        ({"protocol": "mean of the last 100 training episodes"}, ["evaluation protocol"]),
        ({"protocol": float("nan")}, ["evaluation protocol"]),
        ({"environment": "CartPole-v0", "frames_or_steps": 1}, ["environment version", "budget"]),
        ({"environment": "CartPole"}, ["environment version"]),
        ({"metric": "max average return"}, ["evaluation protocol"]),
        ({"metric": "final average return"}, ["evaluation protocol"]),
        ({"metric": "average return"}, ["evaluation protocol"]),
    ],
)
def test_what_differs_is_named(change, differs):
    assert paper_table.differences(ZOO | change, "CartPole-v1", 100000, MODES) == differs


def test_an_arm_that_never_acts_deterministically_is_another_protocol():
    assert paper_table.differences(ZOO, "CartPole-v1", 100000, ["sampled"]) == ["evaluation protocol"]


OURS = np.array([98.0, 99.0, 100.0, 101.0, 102.0])


def judged(ours, floor=0.0, margin=0.2, **change):
    """Verdict, reason and numbers of one published row, alone in its family."""
    row = ZOO | {"value": 100.0} | change
    found = {**paper_table.compare(row, np.asarray(ours), floor, margin), "published_seeds": row["seeds"]}
    found |= {"differs_in": "", "p_holm": found["p_difference"], "failed_seeds": ""}
    return (*paper_table.decide(found), found)


def test_one_published_seed_has_the_error_of_one_of_ours():
    """s^2 = 2.5, so the variance is 2.5 (1 / 5 + 1) = 3 with 4 degrees: 90 % is +- 2.1318 sqrt(3) = 3.692."""
    word, reason, found = judged(OURS)
    assert (word, reason) == ("REPLICATED", "")
    assert found["ci90_high"] == -found["ci90_low"] == pytest.approx(2.131847 * 3**0.5)
    assert found["margin"] == 20.0 and found["ci_high"] == pytest.approx(100 + 2.776445 * 0.5**0.5)
    assert judged(OURS, margin=0.0369)[0] == "UNDECIDED" and judged(OURS, margin=0.037)[0] == "REPLICATED"


@pytest.mark.parametrize(
    ("change", "variance", "df"),
    [
        ({"seeds": np.nan}, 0.5, 4),
        ({"seeds": 4}, 0.5 + 2.5 / 4, 4),
        ({"seeds": 4, "spread": np.nan}, 0.5 + 2.5 / 4, 4),
        ({"seeds": 4, "spread": 2.0}, 0.5 + 1, 1.5**2 / (0.5**2 / 4 + 1 / 3)),
        ({"seeds": 4, "spread": 1.0, "spread_kind": "se"}, 0.5 + 1, 1.5**2 / (0.5**2 / 4 + 1 / 3)),
        ({"seeds": 4, "spread": 3.182446, "spread_kind": "ci95"}, 1.5, 1.5**2 / (0.5**2 / 4 + 1 / 3)),
        ({"seeds": 4, "spread": 2.0, "spread_kind": "unstated"}, 0.5 + 2.5 / 4, 4),
        ({"seeds": 1, "spread": 2.0}, 0.5 + 2.5, 4),  # over episodes
    ],
)
def test_the_published_number_has_an_error_of_its_own(change, variance, df):
    if change.get("seeds") == 4 and "spread" not in change:
        change = change | {"spread_kind": "none"}
    found = judged(OURS, **change)[2]
    assert found["ci90_high"] == pytest.approx(scipy.stats.t.ppf(0.95, df) * variance**0.5, rel=1e-5)


def test_a_published_interval_is_a_spread():
    row = ZOO | {"value": 100.0, "spread": np.nan, "seeds": 4, "spread_kind": "ci95"}
    ends = judged(OURS, **row | {"low": 100 - 3.182446, "high": 100 + 3.182446})[2]
    assert ends["ci90_high"] == pytest.approx(judged(OURS, **row | {"spread": 3.182446})[2]["ci90_high"])


def test_a_difference_is_shown_or_not():
    """100 against 140 with 10 published seeds: t = 40 / sqrt(2.5 (1 / 5 + 1 / 10)) = 46 is a difference."""
    assert judged(OURS, value=140.0, seeds=10, spread=np.nan)[0] == "NOT REPLICATED"
    assert judged(OURS, value=60.0, seeds=10, spread=np.nan)[0] == "NOT REPLICATED"
    wide = 100 + 10 * (OURS - 100)
    word, reason, _ = judged(wide, value=120.0, seeds=10, spread=np.nan)
    assert word == "UNDECIDED" and reason.endswith("would decide if the expectations are the same")


def test_where_seeds_are_not_stated_only_the_number_is_compared():
    word, reason, _ = judged(OURS, value=101.0, seeds=np.nan)
    assert word == "REPLICATED" and "against the number" in reason
    word, reason, found = judged(OURS, value=300.0, seeds=np.nan)
    assert word == "UNDECIDED" and "against the number" in reason and np.isnan(found["p_difference"])


def test_a_wider_spread_never_replicates():
    """The fault of the earlier rule: DQN's 410 [334, 487] replicated a published 500."""
    rng = np.random.default_rng(1)
    shape = rng.normal(size=12)
    shape -= shape.mean()
    for value in (100.0, 110.0, 125.0):
        words = [judged(100 + scale * shape, value=value)[0] for scale in (1, 3, 10, 30, 100, 300)]
        assert words == sorted(words, key=lambda word: word != "REPLICATED")
    assert judged(410 + 163 * shape, value=500.0)[0] == "UNDECIDED"


def test_no_number_of_seeds_overcomes_one_published_seed():
    """With s = 20 and one published seed the error stays above 20, and the margin is 20."""
    word, reason, found = judged(100 + 20 * (OURS - 100) / np.std(OURS, ddof=1))
    assert (word, found["seeds_needed"]) == ("UNDECIDED", "none")
    assert reason == "no number of our seeds up to 1,000 would decide"
    many = judged(100 + 30 * (OURS - 100) / np.std(OURS, ddof=1), seeds=50, spread=np.nan)[2]
    assert 5 < int(many["seeds_needed"]) < 100


def test_too_few_seeds_or_no_random_agent_is_undecided():
    assert judged(OURS[:4])[:2] == ("UNDECIDED", "fewer than 5 seeds")
    assert judged(OURS, np.array([]))[:2] == ("UNDECIDED", "no random agent in the suite")
    assert judged(OURS[:0])[2]["seeds"] == 0
    assert judged(np.full(5, 100.0))[:2] == ("UNDECIDED", "our seeds have no spread")


CARTPOLE = (1.0, 500.0)


def at_the_ceiling(n, bounds=CARTPOLE, **change):
    row = ZOO | change
    found = paper_table.compare(row, np.full(n, bounds[1]), 22.0, 0.2, bounds)
    about = {"published_seeds": row["seeds"], "differs_in": "", "p_holm": found["p_difference"]}
    return (*paper_table.decide({**found, **about, "failed_seeds": ""}), found)


def test_all_seeds_at_the_ceiling():
    """With 20 of 20 at 500, at least 0.05^(1/20) = 86 % of all are, at 95 %: the mean is above 430."""
    word, reason, found = at_the_ceiling(20)
    share = 0.05 ** (1 / 20)
    assert (word, reason, found["seeds_needed"]) == ("REPLICATED", "", "")
    assert found["ci90_low"] == pytest.approx(share * 500 + (1 - share) * 1 - 500)
    assert found["ci90_high"] == 0.0
    words = {n: at_the_ceiling(n) for n in range(12, 17)}
    (needed,) = {int(found["seeds_needed"]) for word, _, found in words.values() if word == "UNDECIDED"}
    assert [words[n][0] for n in (needed - 1, needed)] == ["UNDECIDED", "REPLICATED"]
    assert words[needed - 1][1].startswith(f"{needed} seeds of ours")


def test_a_published_number_away_from_the_ceiling():
    """250 +- 5 of ten seeds is another value than 500 of twenty; 440 of one seed has no known error."""
    word, _, found = at_the_ceiling(20, value=250.0, spread=5.0, seeds=10)
    assert word == "NOT REPLICATED" and found["p_difference"] < 1e-4
    assert found["seeds_needed"] == "none"
    assert at_the_ceiling(20, value=480.0, spread=5.0, seeds=10)[0] == "REPLICATED"
    assert at_the_ceiling(20, value=440.0)[:2] == (
        "UNDECIDED",
        "our seeds have no spread that could stand for the published one",
    )
    assert at_the_ceiling(20, value=480.0, seeds=np.nan)[0] == "REPLICATED"
    word, reason, _ = at_the_ceiling(20, value=250.0, seeds=np.nan)
    assert word == "UNDECIDED" and "no number of our seeds" in reason


def test_the_interval_at_a_bound_holds_the_mean():
    """All of 20 seeds are at 500 with probability q^20: whichever q, it misses as rarely as it says."""
    for q in (0.5, 0.8, 0.86, 0.9, 0.99):
        truth = q * 500 + (1 - q) * 1 - 500
        low, _ = comparison.AtABound(20, 500.0, 1.0, comparison.Theirs(500.0, 1)).interval(0.9)
        wrong = q**20 if truth < low else 0.0  # the interval misses only if all seeds are at the bound
        assert wrong <= 0.05 + 1e-12


def test_no_verdict_rests_on_seeds_that_did_not_fail():
    scores, plan = suite("Hopper-v5", 1_000_000, [2480.0, 2490.0, 2500.0, 2510.0, 2520.0, np.nan], 0.0)
    scores.loc[scores.algorithm == "random", "value"] = 0.0
    rows = [HOPPER, HOPPER | {"value": 9000.0, "seeds": 10, "spread": np.nan}]
    found = paper_table.paper(scores, plan, pd.DataFrame(rows))
    assert found.verdict.tolist() == ["UNDECIDED"] * 2
    assert found.reason.tolist() == [
        "REPLICATED but for failed seeds (5)",
        "NOT REPLICATED but for failed seeds (5)",
    ]


def test_seeds_needed_where_power_falls_again():
    """With two published seeds Welch's degrees of freedom fall to one: 1,000 seeds show less than 30."""
    other = comparison.Theirs(100.0, 2, 2.0)
    needed = comparison.seeds_needed(10.0, other, 8.0)
    assert needed is not None and needed < 50


def test_a_difference_from_a_published_number_is_one_that_can_be():
    """No mean is above 500, so none is more than 10 above 490: Student's interval alone ends at 46."""
    ours = np.array([499.0, 499.5, 420.0, 480.0, 499.0])
    found = paper_table.compare(ZOO | {"value": 490.0, "seeds": np.nan}, ours, 22.0, 0.2, CARTPOLE)
    assert found["ci90_high"] == 10.0 and found["ci90_low"] > -60
    found = paper_table.compare(ZOO | {"value": 490.0, "seeds": 1.0}, ours, 22.0, 0.2, (470.0, 500.0))
    assert (found["ci90_low"], found["ci90_high"]) == (-30.0, 30.0)


def test_an_interval_does_not_run_beyond_what_can_be_reached():
    ours = np.array([500.0, 500.0, 500.0, 500.0, 200.0])
    found = paper_table.compare(ZOO, ours, 22.0, 0.2, CARTPOLE)
    assert 440 < found["ci_high"] < 500 and 1 < found["ci_low"] < 440 - 2.776445 * 60
    assert -499.0 <= found["ci90_low"] < found["ci_low"] / 2  # of the difference, theirs in it
    ours = np.array([499.0, 350.0, 420.0, 300.0, 480.0])
    found = paper_table.compare(ZOO, ours, 22.0, 0.2, CARTPOLE)
    assert found["ci_high"] == 500.0 and found["ci_low"] == pytest.approx(409.8 - 2.776445 * 37.829089)
    assert attainable.values("CartPole-v1", Metric("return", "return")) == CARTPOLE
    assert attainable.values("ALE/Pong-v5@nature", Metric("return", "return")) == (-21.0, 21.0)
    assert attainable.values("Hopper-v5", Metric("return", "return")) == attainable.ANYTHING
    assert attainable.values("CartPole-v1", Metric("minutes", "minutes")) == attainable.ANYTHING


@pytest.mark.parametrize(
    ("n", "n_pub", "known"), [(5, 1, False), (10, 3, False), (10, 3, True), (20, 10, True)]
)
def test_error_rates_where_both_sides_are_drawn(n, n_pub, known):
    """Ours and theirs drawn independently: at most 5 % replicate a difference of exactly the margin, and at
    most 5 % of equal expectations are called different."""
    rng, draws, margin = np.random.default_rng(n), 1000, 40.0 if n_pub == 1 else 12.0
    replicated = different = 0
    for _ in range(draws):
        theirs, ours = rng.normal(100, 10, n_pub), rng.normal(100, 10, n)
        other = comparison.Theirs(theirs.mean(), n_pub, theirs.std(ddof=1) if known else np.nan)
        replicated += max(map(abs, comparison.compare(ours + margin, other).interval(0.9))) < margin
        different += comparison.compare(ours, other).p_difference < 0.05
    error = 3 * (0.05 * 0.95 / draws) ** 0.5
    assert replicated / draws < 0.05 + error
    assert different / draws < 0.05 + error


def test_differences_are_adjusted_over_the_comparable_rows():
    """p = 0.03 alone is a difference, of two alike not; rows that are not comparable do not count."""
    ours = [96.0, 98.0, 100.0, 102.0, 104.0, 100.0]
    scores, plan = suite("Hopper-v5", 1_000_000, ours, 0.0)
    plan["margin"] = 0.01
    value = 100 + scipy.stats.t.isf(0.015, 5) * np.std(ours, ddof=1) * (1 / 6 + 1 / 10) ** 0.5
    known = HOPPER | {"value": value, "seeds": 10, "spread": np.nan}
    other = known | {"environment": "Hopper-v4"}
    alone = paper_table.paper(scores, plan, pd.DataFrame([known, other]))
    assert alone.verdict.tolist() == ["NOT REPLICATED", "NOT COMPARABLE"]
    assert alone.p_holm[0] == pytest.approx(0.03)
    both = paper_table.paper(scores, plan, pd.DataFrame([known, known, other]))
    assert both.verdict.tolist() == ["UNDECIDED", "UNDECIDED", "NOT COMPARABLE"]
    assert both.p_holm[0] == pytest.approx(0.06)


def test_environments_are_matched_without_namespace_and_version():
    names = ["ALE/Pong-v5@nature", "PongNoFrameskip-v4", "Pong-v5", "Pong"]
    assert {paper_table.base(name) for name in names} == {"Pong"}
    names = ["LunarLander-v3", "mine:Grid-v0", "Alien", "PongDeterministic-v4"]
    assert [paper_table.base(name) for name in names] == ["LunarLander", "Grid", "Alien", "Pong"]


def test_games_of_minatar_are_none_of_ataris():
    assert (
        paper_table.base("MinAtar/Breakout-v1")
        == paper_table.base("MinAtar/Breakout-v0")
        == "MinAtar/Breakout"
    )
    published = {
        paper_table.base(name) for name in ("BreakoutNoFrameskip-v4", "Breakout", "ALE/Breakout-v5@nature")
    }
    assert published == {"Breakout"}
    assert attainable.values("MinAtar/Breakout-v1", Metric("return", "return")) == (0.0, np.inf)


PONG = ZOO | {
    "environment": "PongNoFrameskip-v4",
    "value": 20.0,
    "frames_or_steps": 40_000_000,
    "preset": "nature",
    "counted": "frames",
}


@pytest.mark.parametrize(
    ("change", "environment", "differs"),
    [
        ({}, "ALE/Pong-v5@nature", []),
        ({"environment": "Pong"}, "ALE/Pong-v5@nature", []),
        ({}, "ALE/Pong-v5@machado", ["environment version"]),
        ({"preset": "human starts"}, "ALE/Pong-v5@nature", ["environment version"]),
        ({"preset": np.nan}, "ALE/Pong-v5@nature", ["environment version"]),
        ({"counted": "steps"}, "ALE/Pong-v5@nature", ["budget"]),
        ({"counted": "steps", "frames_or_steps": 10_000_000}, "ALE/Pong-v5@nature", []),
        ({"counted": "unclear", "frames_or_steps": 10_000_000}, "ALE/Pong-v5@nature", ["budget"]),
        ({"counted": np.nan, "frames_or_steps": 10_000_000}, "ALE/Pong-v5@nature", ["budget"]),
        ({"frames_or_steps": np.nan}, "ALE/Pong-v5@nature", ["budget"]),
        ({"protocol": "mean of last 100 training episodes"}, "ALE/Pong-v5@nature", ["evaluation protocol"]),
    ],
)
def test_an_atari_game_is_the_same_by_preset_and_its_frames_are_four_to_a_step(change, environment, differs):
    """Ours is ten million steps: forty million frames."""
    assert paper_table.differences(PONG | change, environment, 10_000_000, MODES) == differs


def test_published_atari_budgets_are_given_in_steps_and_frames():
    scores, plan = suite("ALE/Pong-v5@nature", 10_000_000, [18.0, 19.0, 20.0, 20.9, 20.5], -20.7)
    printed = {"counted": "unclear", "frames_or_steps": 10_000_000}
    rows = paper_table.paper(scores, plan, pd.DataFrame([PONG, PONG | printed])).to_dict("records")
    budgets = [(row["published_budget"], row["published_frames"]) for row in rows]
    np.testing.assert_array_equal(budgets, [(10_000_000, 40_000_000), (np.nan, 10_000_000)])
    assert [row["verdict"] for row in rows] == ["REPLICATED", "NOT COMPARABLE"]
    assert rows[0]["published_preset"] == "nature"
    scores, plan = suite("Hopper-v5", 1_000_000, [2500.0] * 5, 0.0)
    (row,) = paper_table.paper(scores, plan, pd.DataFrame([HOPPER])).to_dict("records")
    assert row["published_budget"] == 1_000_000 and np.isnan(row["published_frames"])


def test_every_shipped_atari_number_says_how_it_was_emulated_and_none_is_comparable():
    """Nature's 50 million are steps, PPO's 40 million frames, A3C's start as people did."""
    known = numbers.published(PUBLISHED)
    games = known[known.source_id.isin(pd.read_csv(PUBLISHED / numbers.ATARI).source_id)]
    games = games[games.environment.map(paper_table.base).isin(human_normalized.references(PUBLISHED).index)]
    assert len(games) > 600 and games.preset.notna().all()
    steps = {
        source: {paper_table.steps_there(row, "ALE/Pong-v5@nature") for row in part.to_dict("records")}
        for source, part in games.dropna(subset="frames_or_steps").groupby("source_id")
    }
    assert steps.pop("mnih2015_ext_table2") == {50e6}
    assert np.isnan(list(steps.pop("mnih2013_table1"))).all()
    assert set().union(*steps.values()) == {10e6}
    for row in games.to_dict("records"):
        ours = f"ALE/{paper_table.base(row['environment'])}-v5@nature"
        differs = paper_table.differences(row, ours, paper_table.steps_there(row, ours), MODES)
        assert "evaluation protocol" in differs
        elsewhere = row["source_id"] in ("mnih2016_a3c_tableS3", "mnih2013_table1")
        assert ("environment version" in differs) == ("budget" in differs) == elsewhere


def suite(environment, budget, returns, chance, modes=MODES):
    """Scores and plan of PPO and a random agent in one environment."""
    arm = {"implementation": "scratch", "algorithm": "ppo", "environment": environment}
    final = {**arm, "metric": "return", "endpoint": "final"}
    scores = [{**final, "seed": k, "value": value} for k, value in enumerate(returns)]
    scores += [{**row, "algorithm": "random", "value": chance} for row in scores]
    cell = {**arm, "budget": budget, "evaluation": {"modes": modes}}
    plan = {
        "margin": 0.2,
        "algorithms": {"random": {"agent": "random"}, "ppo": {"agent": "ppo", "reference": "ppo"}},
        "environments": {environment: {"algorithms": ["random", "ppo"]}},
        "cells": [cell, cell | {"algorithm": "random"}],
    }
    return tables.frame("scores", scores), plan


@pytest.mark.parametrize(
    ("change", "verdict", "differs"),
    [
        ({}, "REPLICATED", ""),
        ({"value": 3500.0}, "NOT REPLICATED", ""),  # beyond 2500 + 0.2 x 3500
        ({"environment": "Hopper-v4"}, "NOT COMPARABLE", "environment version"),
        ({"environment": "Hopper-v1"}, "NOT COMPARABLE", "environment version"),
        ({"frames_or_steps": 2_000_000}, "NOT COMPARABLE", "budget"),
        ({"metric": "max average return"}, "NOT COMPARABLE", "evaluation protocol"),
        (
            {"environment": "Hopper-v3", "frames_or_steps": np.nan, "protocol": "last 100 training episodes"},
            "NOT COMPARABLE",
            "environment version, budget, evaluation protocol",
        ),
    ],
)
def test_only_a_number_of_our_version_budget_and_protocol_is_judged(change, verdict, differs):
    """Ours is 2500 on average, random 0: 2500 is replicated whatever its spread."""
    scores, plan = suite("Hopper-v5", 1_000_000, [2480.0, 2490.0, 2500.0, 2510.0, 2520.0], 0.0)
    (row,) = paper_table.paper(scores, plan, pd.DataFrame([HOPPER | change])).to_dict("records")
    assert (row["verdict"], row["differs_in"]) == (verdict, differs)
    assert row["published_environment"] == (HOPPER | change)["environment"]
    assert row["environment"] == "Hopper-v5"


def test_ours_by_the_protocol_of_a_best_evaluation():
    """Means over seeds are 10, 30, 20 at three points, and 50 by the sampled policy: the best is 30."""
    scores, plan = suite("Hopper-v5", 1_000_000, [20.0] * 5, 0.0)
    known = pd.DataFrame([HOPPER, HOPPER | {"metric": "max average return"}])
    arm = {"implementation": "scratch", "algorithm": "ppo", "environment": "Hopper-v5", "metric": "return"}
    modes = ["deterministic"] * 3 + ["sampled"]
    points = zip([10.0, 30.0, 20.0, 50.0], [0, 1, 2, 2], modes, strict=True)
    curves = pd.DataFrame(
        [{**arm, "protocol": mode, "env_step": t, "mean": mean, "seeds": 5} for mean, t, mode in points]
    )
    rows = paper_table.paper(scores, plan, known, curves).set_index("published_metric")
    assert rows.ours_same_protocol["max average return"] == 30.0
    assert np.isnan(rows.ours_same_protocol["mean episode return"])
    assert paper_table.paper(scores, plan, known).ours_same_protocol.isna().all()
    curves.loc[2, "seeds"] = 4  # a seed failed: the mean of the others is another quantity
    assert paper_table.paper(scores, plan, known, curves).ours_same_protocol.isna().all()


def test_the_shipped_numbers_are_read_and_lead_to_rows():
    """RL Zoo has PPO on LunarLander-v2 at 242.119 after a million steps: another version, another budget."""
    known = numbers.published(PUBLISHED)
    names = {"a2c", "dqn", "ppo", "trpo", "npg", "ddpg", "td3", "sac"}
    deep = {"dqn-2013", "dqn-double", "dqn-dueling", "dqn-prioritized"}
    assert set(known.configuration) == names | deep
    scores, plan = suite("LunarLander-v3", 200000, [200.0 + seed for seed in range(5)], -180.0)
    (row,) = paper_table.paper(scores, plan, known).to_dict("records")
    assert (row["source"], row["published"], row["published_environment"]) == (
        "sb3_zoo_benchmark",
        242.119,
        "LunarLander-v2",
    )
    assert (row["verdict"], row["differs_in"]) == ("NOT COMPARABLE", "environment version, budget")
    assert (row["ours"], row["seeds"], row["implementation"]) == (202.0, 5, "scratch")


def test_only_numbers_of_the_plans_metrics_are_compared(tmp_path):
    (tmp_path / numbers.NAMES).write_text("source_id,algorithm,configuration\nzoo,ppo,ppo\n")
    rows = [HOPPER, HOPPER | {"metric": "minutes", "value": 7.0}]
    pd.DataFrame(rows).to_csv(tmp_path / "zoo.csv", index=False)
    known = numbers.published(tmp_path)
    scores, plan = suite("Hopper-v5", 1_000_000, [2500.0] * 5, 0.0)
    assert paper_table.paper(scores, plan, known)["published"].tolist() == [2500.0]
    plan["environments"]["Hopper-v5"]["metrics"] = [MINUTES]
    scores = scores.assign(metric="minutes")
    assert paper_table.paper(scores, plan, known)["published"].tolist() == [7.0]


MINUTES = {"name": "minutes", "unit": "minutes", "better": -1, "floor": 10.0}


@pytest.mark.parametrize(
    ("ours", "floor", "verdict"),
    [
        (7.1, 10.0, "REPLICATED"),
        (7.1, 8.0, "REPLICATED"),
        (7.5, 10.0, "REPLICATED"),
        (7.5, 8.0, "NOT REPLICATED"),
    ],
)
def test_a_constant_floor_gives_the_margin_of_a_metric_where_lower_is_better(ours, floor, verdict):
    """Published is 7. A fifth of the distance to a floor of 10 is 0.6, to one of 8 it is 0.2."""
    values = [ours + change / 100 for change in (-1, 0, 0, 0, 1)]
    scores, plan = suite("Hopper-v5", 1_000_000, values, 0.0)
    plan["environments"]["Hopper-v5"]["metrics"] = [MINUTES | {"floor": floor}]
    known = pd.DataFrame([HOPPER | {"metric": "minutes", "value": 7.0}])
    (row,) = paper_table.paper(scores.assign(metric="minutes"), plan, known).to_dict("records")
    assert (row["metric"], row["verdict"], row["differs_in"]) == ("minutes", verdict, "")
    assert row["margin"] == pytest.approx(0.2 * abs(7 - floor))


def test_the_best_evaluation_is_the_lowest_where_lower_is_better():
    arm = {"environment": "x", "implementation": "scratch", "algorithm": "ppo", "metric": "minutes"}
    curves = pd.DataFrame(
        [{**arm, "protocol": "deterministic", "mean": mean, "seeds": 5} for mean in (9.0, 7.0)]
    )
    assert paper_table.best(curves, "x", Arm("scratch", "ppo"), Metric(**MINUTES)) == 7.0


def test_an_interval_is_read_as_its_two_ends(tmp_path):
    (tmp_path / numbers.NAMES).write_text("source_id,algorithm,configuration\nzoo,ppo,ppo\n")
    spreads = ["21..46", "-1.5..-0.25", "7.5", None]
    columns = list(numbers.NEEDED)
    rows = pd.DataFrame([ZOO | {"spread": spread} for spread in spreads])[columns]
    rows.to_csv(tmp_path / "a.csv", index=False)
    rows[3:].to_csv(tmp_path / "b.csv", index=False)
    known = numbers.published(tmp_path)[["spread", "low", "high"]]
    nan = np.nan
    expected = [[nan, 21, 46], [nan, -1.5, -0.25], [7.5, nan, nan], [nan, nan, nan], [nan, nan, nan]]
    np.testing.assert_array_equal(known.to_numpy(dtype=float), expected)


def test_the_shipped_intervals_hold_their_value():
    known = numbers.published(PUBLISHED)
    whole = known[known.low.notna()]
    assert set(whole.source_id) == {"henderson2018_table3"} and len(whole) == 12
    assert ((whole.low < whole.value) & (whole.value < whole.high)).all()


def test_no_shipped_number_is_of_gymnasiums_fifth_version():
    """So every one of them differs from a suite on -v5, whatever its budget and protocol."""
    known = numbers.published(PUBLISHED)
    rows = known[known.environment.map(paper_table.base).isin(MUJOCO)].to_dict("records")
    assert len(rows) > 250 and {paper_table.base(row["environment"]) for row in rows} == MUJOCO
    for row in rows:
        ours = f"{paper_table.base(row['environment'])}-v5"
        differs = paper_table.differences(row, ours, row["frames_or_steps"], ["deterministic"])
        assert differs[0] == "environment version"
        zoo = row["source_id"] == "sb3_zoo_benchmark"  # the one source with our protocol
        assert ("evaluation protocol" in differs) != zoo


def test_quotations_of_td3s_table_agree_with_it_and_are_not_counted_twice():
    """Tianshou prints one digit after the point, leaves off the version, and slipped once."""
    made = pd.read_csv(PUBLISHED / "td3_2018.csv")
    made = made[made.metric == "max average return"]
    quoted = pd.read_csv(PUBLISHED / "tianshou.csv")
    names = {
        "TD3: TD3 paper": "TD3",
        "DDPG: TD3 paper (DDPG)": "DDPG",
        "DDPG: TD3 paper (OurDDPG)": "Our DDPG",
    }
    quoted = quoted[quoted.algorithm.isin(names)].assign(name=lambda rows: rows.algorithm.map(names))
    both = quoted.merge(
        made.assign(environment=made.environment.map(paper_table.base)),
        left_on=["name", "environment"],
        right_on=["algorithm", "environment"],
    )
    assert len(both) == len(quoted) == 21
    other = both[(both.value_x - both.value_y).abs() > 0.051]
    columns = ["name", "environment", "value_x", "value_y"]
    assert other[columns].to_numpy().tolist() == [["DDPG", "Walker2d", 1843.6, 1843.85]]
    assert not set(numbers.published(PUBLISHED).algorithm) & set(names)


def test_every_named_algorithm_is_in_a_published_file():
    with (PUBLISHED / numbers.NAMES).open(newline="") as file:
        named = {(row["source_id"], row["algorithm"]) for row in csv.DictReader(file)}
    rows = [row for path in PUBLISHED.glob("*.csv") for row in csv.DictReader(path.open(newline=""))]
    assert named <= {(row["source_id"], row["algorithm"]) for row in rows if "value" in row}


def test_a_bad_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"configurations\.csv: missing"):
        numbers.published(tmp_path)
    (tmp_path / numbers.NAMES).write_text("source_id,algorithm,configuration\n")
    (tmp_path / "mine.csv").write_text("source_id,algorithm\nx,ppo\n")
    with pytest.raises(UserError, match=r"mine\.csv: lacks the column environment, metric, value"):
        numbers.published(tmp_path)
    (tmp_path / numbers.ATARI).write_text("source_id,preset,counted\nx,nature,steps\nx,machado,steps\n")
    with pytest.raises(UserError, match=r"atari\.csv: names x twice"):
        numbers.published(tmp_path)
    (tmp_path / numbers.ATARI).unlink()
    header = ",".join(numbers.NEEDED)
    (tmp_path / "mine.csv").write_text(f"{header}\nx,ppo,E-v0,m,many,,,,,,,\n")
    with pytest.raises(UserError, match=r"mine\.csv: not a table of published numbers"):
        numbers.published(tmp_path)
