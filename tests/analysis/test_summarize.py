"""The stage `analyse` on a made-up suite: every CSV, its numbers recomputed from the records."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from synthetic import PUBLISHED, Suite, finish

from rlparity.analysis import summarize
from rlparity.analysis import tables as table
from rlparity.cell import Protocol
from rlparity.errors import UserError

CSVS = [
    "scores",
    "summary",
    "verdicts",
    "paper",
    "curves",
    "seed_curves",
    "profiles",
    "improvement",
    "thresholds",
    "cost",
]
WHO = {"implementation": "scratch", "algorithm": "ppo", "environment": "CartPole-v1"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A suite in which two seeds failed: 2 of scratch's PPO, 4 of SB3's A2C."""
    folder = tmp_path_factory.mktemp("suite")
    failed = {("scratch", "ppo"): {2: "the loss was not finite"}, ("sb3", "a2c"): {4: "SB3 stopped"}}
    finish(Suite(failed=failed, seeds=6), folder)
    return folder


@pytest.fixture(scope="module")
def tables(root):
    return {name: table.read(root / "reports" / "made-up" / f"{name}.csv") for name in CSVS}


@pytest.fixture(scope="module")
def evaluations(root):
    return table.read(root / "results" / "made-up" / "tables" / "evaluations.parquet")


def pick(frame, **keys):
    for name, value in keys.items():
        frame = frame[frame[name] == value]
    return frame


def test_scores_are_those_of_the_deterministic_rows(tables, evaluations):
    rows = pick(evaluations, **WHO, seed=0, protocol="deterministic")
    curve = rows.groupby("env_step")["value"].mean()
    scores = pick(tables["scores"], **WHO, seed=0).set_index("endpoint")["value"]
    assert scores["final"] == pytest.approx(curve[1000])
    steps = np.array(curve.index)
    area = sum((curve.iloc[i] + curve.iloc[i + 1]) / 2 * (steps[i + 1] - steps[i]) for i in range(20))
    assert scores["auc"] == pytest.approx(area / 1000)
    assert scores["time_to_threshold"] == steps[(curve >= 475).to_numpy()][0]


def test_random_is_scored_by_its_sampled_rows(tables, evaluations):
    rows = pick(evaluations, algorithm="random", seed=1, env_step=1000)
    assert set(rows.protocol) == {"sampled"}
    (final,) = pick(tables["scores"], algorithm="random", seed=1, endpoint="final")["value"]
    assert final == pytest.approx(rows.value.mean())


def test_failed_seeds_are_named_and_have_no_score(tables):
    failed = pick(tables["scores"], **WHO, seed=2).set_index("endpoint")["value"]
    assert math.isnan(failed["final"]) and math.isnan(failed["auc"])
    row = pick(tables["summary"], **WHO, endpoint="final", statistic="iqm").iloc[0]
    assert (row.seeds, row.failed_seeds) == (5, "2")
    verdicts = pick(tables["verdicts"], endpoint="auc").set_index("algorithm")
    assert verdicts.loc["ppo", "failed_seeds"] == "scratch 2"
    assert verdicts.loc["a2c", "failed_seeds"] == "sb3 4"
    assert verdicts.loc["ppo", "verdict"] == "INCONCLUSIVE"
    assert verdicts.loc["ppo", "reason"] == "EQUIVALENT but for failed seeds (scratch 2)"
    assert pick(tables["thresholds"], **WHO).iloc[0].failed_seeds == "2"


def test_curves_align_at_nominal_points(tables):
    """n_envs is 8: 50 is crossed at 56, 100 at 104, and so on; the curves have 50 and 100."""
    seeds = pick(tables["seed_curves"], **WHO, protocol="deterministic")
    assert sorted(seeds.env_step.unique()) == list(range(0, 1001, 50))
    curves = pick(tables["curves"], **WHO, protocol="deterministic")
    assert curves.env_step.tolist() == list(range(0, 1001, 50))
    assert curves.seeds.tolist() == [6] * 10 + [5] * 11  # the failed seed ends at half the budget
    values = np.sort(pick(seeds, env_step=50).value)
    assert curves.iloc[1].iqm == pytest.approx(values[1:5].mean())
    assert curves.iloc[1]["mean"] == pytest.approx(values.mean())
    assert (curves.ci_low <= curves.iqm).all() and (curves.iqm <= curves.ci_high).all()


def test_summary_of_the_final_return(tables):
    x = np.sort(pick(tables["scores"], implementation="sb3", algorithm="ppo", endpoint="final").value)
    rows = pick(tables["summary"], implementation="sb3", algorithm="ppo", endpoint="final").set_index(
        "statistic"
    )
    assert rows.estimate.to_dict() == pytest.approx(
        {"iqm": x[1:5].mean(), "mean": x.mean(), "median": (x[2] + x[3]) / 2}
    )
    assert ((rows.ci_low < rows.estimate) & (rows.estimate < rows.ci_high)).all()


def test_every_reference_is_judged_and_nothing_else(tables):
    verdicts = tables["verdicts"]
    assert list(zip(verdicts.algorithm, verdicts.endpoint, verdicts.reference, strict=True)) == [
        ("a2c", "auc", "sb3/a2c"),
        ("a2c", "final", "sb3/a2c"),
        ("ppo", "auc", "sb3/ppo"),
        ("ppo", "final", "sb3/ppo"),
    ]
    assert set(verdicts.implementation) == {"scratch"} and set(verdicts.margin) == {0.2}


def test_profiles_fall_from_one_to_zero(tables):
    for _, rows in tables["profiles"].groupby(["implementation", "algorithm"]):
        assert rows.fraction.iloc[0] == 1 and rows.fraction.is_monotonic_decreasing
        assert rows.tau.is_monotonic_increasing and len(rows) == summarize.TAUS
        assert ((rows.ci_low <= rows.fraction) & (rows.fraction <= rows.ci_high)).all()
    assert tables["profiles"].groupby("implementation").fraction.min().eq(0).all()


def test_improvement_counts_pairs_of_seeds(tables):
    scores = pick(tables["scores"], algorithm="ppo", endpoint="final").dropna()
    ours = pick(scores, implementation="scratch").value
    wins = [(x > y) + 0.5 * (x == y) for x in ours for y in pick(scores, implementation="sb3").value]
    row = pick(tables["improvement"], algorithm="ppo", endpoint="final").iloc[0]
    assert row.probability == pytest.approx(np.mean(wins))
    assert row.ci_low <= row.probability <= row.ci_high


def test_thresholds_count_censored_seeds(tables):
    for row in tables["thresholds"].itertuples():
        times = pick(
            tables["scores"],
            implementation=row.implementation,
            algorithm=row.algorithm,
            endpoint="time_to_threshold",
        ).value
        assert (row.reached, row.seeds, row.threshold) == (times.notna().sum(), 6, 475)
        assert math.isnan(row.median_env_step) == (2 * row.reached <= row.seeds)
    assert pick(tables["thresholds"], algorithm="random").reached.tolist() == [0]


def test_cost_is_per_seed_whatever_the_block(tables):
    """Made up: 4000 steps per second, 0.5 s of evaluation per seed, 1.5 s to start a process."""
    cost = tables["cost"].set_index(["implementation", "algorithm"])
    assert cost.loc[("scratch", "ppo"), "wall_time_per_seed_s"] == pytest.approx(0.25 + 0.5 + 1.5 / 6)
    assert cost.loc[("sb3", "ppo"), "wall_time_per_seed_s"] == pytest.approx(0.25 + 0.5 + 1.5)
    assert cost.steps_per_second.eq(4000).all() and cost.seeds.eq(6).all()


def test_paper_has_the_zoos_rows(tables):
    rows = pick(tables["paper"], source="sb3_zoo_benchmark").set_index("algorithm")
    assert rows.published.to_dict() == {"a2c": 500.0, "ppo": 500.0}
    assert set(rows.verdict) == {"NOT COMPARABLE"} and set(rows.differs_in) == {"budget"}


def test_same_tables_same_bytes(root):
    report = root / "reports" / "made-up"
    before = {name: (report / f"{name}.csv").read_bytes() for name in CSVS}
    summarize.analyse(root / "results" / "made-up" / "tables", PUBLISHED, report)
    assert {name: (report / f"{name}.csv").read_bytes() for name in CSVS} == before


def test_a_comparable_number_is_replicated(tmp_path):
    """With RL Zoo's budget of 100,000 steps, PPO's 500 is comparable, and ours is within the margin."""
    protocol = Protocol(points=4, episodes=2, final_episodes=5)
    report = finish(Suite(algorithms=("ppo",), variants=(), budget=100000, protocol=protocol), tmp_path)
    rows = table.read(report / "paper.csv").set_index("source")
    assert rows.loc["sb3_zoo_benchmark", "verdict"] == "REPLICATED"
    assert rows.loc["cleanrl_docs_benchmark/ppo", "differs_in"] == "budget, evaluation protocol"


def test_a_worse_implementation_is_found(tmp_path):
    protocol = Protocol(points=10, episodes=5, final_episodes=20)
    report = finish(Suite(shift={"ppo": 150.0}, variants=(), protocol=protocol), tmp_path)
    verdicts = table.read(report / "verdicts.csv")
    assert verdicts.set_index(["algorithm", "endpoint"]).verdict.to_dict() == {
        ("a2c", "auc"): "EQUIVALENT",
        ("a2c", "final"): "EQUIVALENT",
        ("ppo", "auc"): "WORSE",
        ("ppo", "final"): "WORSE",
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"implementations": ("scratch",)}, "no finished run of the reference"),
        ({"random": False}, "no random agent in the suite"),
        ({"seeds": 1}, "fewer than 5 seeds"),
    ],
)
def test_lesser_suites_still_give_tables(tmp_path, change, reason):
    protocol = Protocol(points=4, episodes=2, final_episodes=3)
    report = finish(Suite(protocol=protocol, budget=80, **change), tmp_path)
    verdicts = table.read(report / "verdicts.csv")
    assert set(verdicts.verdict) == {"INCONCLUSIVE"} and set(verdicts.reason) == {reason}
    assert not table.read(report / "scores.csv").empty
    assert not table.read(report / "curves.csv").empty


def test_a_suite_of_references_only_has_no_verdicts(tmp_path):
    protocol = Protocol(points=4, episodes=2, final_episodes=3)
    report = finish(Suite(protocol=protocol, budget=80, implementations=("sb3",), random=False), tmp_path)
    assert table.read(report / "verdicts.csv").empty and table.read(report / "paper.csv").empty
    assert len(table.read(report / "scores.csv")) == 2 * 5 * 3


def test_an_environment_without_threshold_has_no_time_to_it(tmp_path):
    suite = Suite(protocol=Protocol(points=4, episodes=2, final_episodes=3), budget=80)
    suite.plan["environments"]["CartPole-v1"]["threshold"] = None
    report = finish(suite, tmp_path)
    assert table.read(report / "thresholds.csv").empty
    assert set(table.read(report / "scores.csv").endpoint) == {"final", "auc"}


def test_an_arm_whose_seeds_all_failed_is_shown(tmp_path):
    failed = {("scratch", "ppo"): dict.fromkeys(range(5), "the loss was not finite")}
    suite = Suite(protocol=Protocol(points=4, episodes=2, final_episodes=3), budget=80, failed=failed)
    report = finish(suite, tmp_path)
    row = pick(table.read(report / "summary.csv"), **WHO, endpoint="final", statistic="iqm").iloc[0]
    assert (row.seeds, row.failed_seeds) == (0, "0, 1, 2, 3, 4")
    row = pick(table.read(report / "verdicts.csv"), algorithm="ppo", endpoint="final").iloc[0]
    assert (row.verdict, row.seeds_implementation) == ("NO VERDICT", 0)


def test_a_failed_seed_has_no_score_even_if_it_was_evaluated_at_the_end():
    curve = pd.DataFrame(
        [
            {**WHO, "metric": "return", "seed": 0, "protocol": "deterministic", "clock": t, "value": 9.0}
            for t in (0, 8)
        ]
    )
    plan = {"environments": {"CartPole-v1": {"threshold": 5.0}}}
    for status, final in (("done", 9.0), ("failed", math.nan)):
        run = pd.DataFrame([{**WHO, "seed": 0, "status": status, "budget": 8}])
        scores = summarize.score(curve, run, plan).set_index("endpoint")["value"]
        assert scores.to_dict() == pytest.approx(
            {"final": final, "auc": final, "time_to_threshold": 0.0}, nan_ok=True
        )


PONG, BREAKOUT = "ALE/Pong-v5@nature", "ALE/Breakout-v5@nature"
LEVELS = {PONG: (-20.7, 14.6), BREAKOUT: (1.7, 30.5)}  # of random agent and human


def test_a_suite_of_atari_games_is_normalised_and_set_beside_dqn_2013(tmp_path):
    protocol = Protocol(points=4, episodes=2, final_episodes=20)
    suite = Suite(
        variants=(), environments=tuple(LEVELS), levels=LEVELS, spread=0.1, budget=80, protocol=protocol
    )
    report = finish(suite, tmp_path)
    rows = table.read(report / "human_normalised.csv")
    means = rows[rows.statistic == "mean"].set_index(["environment", "algorithm", "implementation"]).estimate
    for environment in (PONG, BREAKOUT, "ALE/*-v5@nature"):
        assert means[environment, "random", "scratch"] == pytest.approx(0, abs=0.05)
        assert means[environment, "ppo", "sb3"] == pytest.approx(1, abs=0.05)
    agents = table.read(report / "dqn2013.csv")
    assert agents[agents.game == "Pong"].algorithm.tolist()[-5:] == ["random", "a2c", "a2c", "ppo", "ppo"]
    narrowed = finish(Suite(variants=(), budget=80, protocol=protocol), tmp_path)
    assert narrowed == report and not {"human_normalised.csv", "dqn2013.csv"} & {
        f.name for f in report.iterdir()
    }


def test_nothing_collected_is_one_line(tmp_path):
    with pytest.raises(UserError, match="run the stage collect"):
        summarize.analyse(tmp_path, PUBLISHED, tmp_path / "report")


def test_the_nominal_point_of_a_budget_that_does_not_divide():
    """Budget 100 in 3 points: 33.3 and 66.7 are crossed at 34 and 68 by two environments."""
    plan = {"cells": [{**WHO, "budget": 100, "evaluation": {"points": 3}}]}
    rows = {**WHO, "metric": "return", "seed": 0, "protocol": "deterministic", "episode": 0, "value": 1.0}
    evaluations = pd.DataFrame([{**rows, "env_step": step} for step in (0, 34, 68, 100)])
    assert summarize.evaluation_points(evaluations, plan).env_step.tolist() == [0, 33, 66, 100]
