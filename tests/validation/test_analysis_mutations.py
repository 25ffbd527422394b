"""Mutations of the analysis: each changes what is made of the same records, and is taken back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import Suite

from rlparity.analysis import logged_returns, plans, statistics, summarize, tables, verdicts
from rlparity.analysis.intervals import methods
from rlparity.analysis.published import comparison, human_normalized, paper_table
from rlparity.analysis.scores import Pair, Quantity, Scores
from rlparity.analysis.sequential_tests import Case
from rlparity.arms import Arm
from rlparity.cell import Protocol
from rlparity.metrics import RETURN, Metric
from rlparity.validation.mutations.corpus import ANALYSIS
from rlparity.validation.mutations.mutation import Mutation, planted

ERROR = Metric("error", "share of the ceiling", better=-1)
ARM = {"implementation": "scratch", "algorithm": "ppo", "environment": "CartPole-v1"}
X, Y = np.array([3.0, 5.0, 4.0, 7.0, 5.5]), np.array([4.0, 4.5, 4.2, 4.4, 5.0, 4.1])
ROW = {
    "value": 4.0,
    "seeds": 10.0,
    "spread": 0.3,
    "spread_kind": "se",
    "low": np.nan,
    "high": np.nan,
    "metric": "mean episode return",
    "protocol": "deterministic policy",
    "environment": "Pong",
    "frames_or_steps": 4_000_000.0,
    "counted": "frames",
    "preset": "nature",
}


@cache
def records() -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Evaluations, runs and plan of a made-up suite with two metrics, in which a seed of each side failed."""
    failed = {("scratch", "ppo"): {2: "the loss was not finite"}, ("sb3", "ppo"): {4: "SB3 stopped"}}
    suite = Suite(
        algorithms=("ppo",),
        variants=(),
        seeds=7,
        protocol=Protocol(points=4, episodes=4, final_episodes=5),
        failed=failed,
        metrics=(RETURN, ERROR),
    )
    rows: dict[str, list[dict[str, Any]]] = {"episodes": [], "evaluations": [], "progress": []}
    runs = []
    for cell in suite.cells:
        lost = suite.failed.get((cell.implementation, cell.algorithm), {})
        for seed in cell.seeds:
            suite._seed(cell, seed, rows, stop=cell.budget // 2 if seed in lost else cell.budget)
            status = {"status": "failed" if seed in lost else "done", "budget": cell.budget}
            who = {name: getattr(cell, name) for name in ARM}
            runs.append({**who, "seed": seed, **status})
    return pd.DataFrame(rows["evaluations"]), pd.DataFrame(runs), suite.plan


def scored() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Points and scores of the made-up suite."""
    evaluations, runs, plan = records()
    points = summarize.evaluation_points(evaluations, plan)
    return points, summarize.score(points, runs, plan)


def drawn() -> Any:
    """Curves of an arm in which one seed was evaluated a little later than the others, and one failed."""
    points, _ = scored()
    points = points[(points["implementation"] == "scratch") & (points["algorithm"] == "ppo")]
    points = points[(points["protocol"] == "deterministic") & (points["metric"] == "return")]
    late = points["env_step"].where(points["seed"] != 1, points["env_step"] + 10)
    return summarize.curves(points.assign(env_step=late))


def welch() -> Any:
    found = statistics.welch(X, Y)
    ends = found.interval(0.9), found.interval(0.95)
    return found, ends, found.p_difference(), found.p_equivalence(2.0)


def judged() -> Any:
    """Verdicts on arms at the edges of the rules."""
    floor = np.array([1.0, 2.0, 1.5])
    near = np.array([3.9, 4.0, 4.1, 4.0, 4.05])  # lower than `near + 0.2`, and within the margin of it
    few, low = np.array([4.3, 4.2]), np.array([0.5, 9.0, 1.0, 2.0, 1.2])
    rows = []
    pairs = [
        (X, Y, floor),
        (near, near + 0.2, floor),
        (few, few + 0.1, floor),
        (X, low, floor),
        (Y - 3, Y, floor),
    ]
    for x, y, z in pairs:
        row = verdicts.tested(x, y, z, 0.2)
        row |= {"implementation": "scratch", "reference": "sb3/ppo", "p_holm": row["p_difference"]}
        rows.append((row, [verdicts.decide(row | {"failed_seeds": lost}) for lost in ("", "scratch 3")]))
    return rows


def compared() -> Any:
    """Floor and scores that pairs are compared by, for both metrics."""
    pair = Pair("CartPole-v1", Arm("scratch", "ppo"), Arm("sb3", "ppo"))
    arms = Scores(scored()[1])
    asked = [Quantity("CartPole-v1", m, end) for m in (RETURN, ERROR) for end in ("auc", "final")]
    return [(arms.compared(pair, one), arms.failed(one, pair.judged)) for one in asked]


def on_the_grid_of_logs() -> Any:
    """Endpoints of a candidate of logs, evaluated at other steps than its reference."""
    theirs, sb3 = ("theirs", "ppo", "CartPole-v1"), ("sb3", "ppo", "CartPole-v1")
    rows = [
        {**dict(zip(("implementation", "algorithm", "environment"), who, strict=True))}
        | {"metric": "return", "protocol": "deterministic", "seed": 0, "clock": step, "value": value}
        for who, curve in ((theirs, {0: 1, 40: 5, 100: 9}), (sb3, {0: 2, 50: 8, 100: 10}))
        for step, value in curve.items()
    ]
    one = logged_returns.Logged(theirs, sb3, None, 100, 4)
    ended = pd.Series([25, 50, 60, 100]), pd.Series([1.0, 2.0, 4.0, 8.0])
    return logged_returns._evaluated(one, pd.DataFrame(rows)), logged_returns.stretches(*ended, 100, 4)


def normalised() -> Any:
    environment = "ALE/Breakout-v5@nature"
    known = pd.DataFrame({"random": [10.0], "human": [90.0], "citation": "a set"}, index=["Breakout"])
    who = {"implementation": "scratch", "algorithm": "ppo", "environment": environment}
    keys = {**who, "metric": "return", "endpoint": "final"}
    scores = tables.frame("scores", [{**keys, "seed": s, "value": 20.0 + s} for s in range(3)])
    plan = {"environments": {environment: None}, "cells": [{**who, "budget": 1000}]}
    return human_normalized.human_normalised(scores, plan, known)


def case() -> Case:
    found = object.__new__(Case)
    found._looks, found._last = {1: 10, 2: 20, 3: 30}, ("auc", "final")
    return found


LOOKS: dict[str, Callable[[], Any]] = {
    "estimates": lambda: [statistic(np.arange(9.0) ** 2) for statistic in statistics.STATISTICS.values()],
    "bootstrap": lambda: statistics.bootstrap_interval(np.mean, X),
    "interval of a mean": lambda: methods.student(X),
    "welch": welch,
    "holm": lambda: statistics.holm([0.01, 0.04, 0.03, np.nan]),
    "seeds needed": lambda: statistics.seeds_needed(1.0, 1.0, 1.2),
    "verdicts": judged,
    "compared": compared,
    "area": lambda: statistics.area_under_curve([10, 20, 50], [1.0, 2.0, 5.0]),
    "threshold": lambda: statistics.time_to_threshold([0, 10, 20], [1.0, 5.0, 9.0], 5.0),
    "median": lambda: statistics.censored_median([10.0, 30.0, 20.0, np.nan, np.nan]),
    "improvement": lambda: statistics.probability_of_improvement([1.0, 2.0], [2.0, 0.0]),
    "profile": lambda: summarize.profiles(scored()[1], records()[2]),
    "logs": on_the_grid_of_logs,
    "published": lambda: comparison.compare(X, comparison.theirs(ROW)),
    "frames": lambda: paper_table.differences(ROW, "ALE/Pong-v5@nature", 1_000_000, ["deterministic"]),
    "budget": lambda: paper_table.differences(ROW, "ALE/Pong-v5@nature", 5, ["deterministic"]),
    "human": normalised,
    "margin": lambda: plans.margin(
        {"margin": 0.2, "environments": {"A": {"margins": {"return": 0.1}}}}, "A", RETURN
    ),
    "sequential": lambda: case().tests,
    "scores": lambda: scored()[1],
    "report": lambda: verdicts.verdicts(scored()[1], records()[2]),
    "curves": drawn,
}


def text(found: Any) -> str:
    """What a look found, to the last digit."""
    if isinstance(found, Mapping):
        return "\n".join(f"{key}: {text(value)}" for key, value in found.items())
    if isinstance(found, pd.DataFrame):
        made: str = found.to_csv()
        return made
    with np.printoptions(precision=17, threshold=100_000):
        return repr(found)


@cache
def plain() -> dict[str, str]:
    """What the unchanged analysis finds."""
    return {name: text(look()) for name, look in LOOKS.items()}


@pytest.mark.parametrize("mutation", ANALYSIS, ids=lambda mutation: mutation.id)
def test_it_changes_what_is_made_of_the_same_records(mutation: Mutation) -> None:
    true = plain()
    with planted(mutation):
        assert any(text(look()) != true[name] for name, look in LOOKS.items())


def test_nothing_is_trained_for_them() -> None:
    assert all(mutation.area == "analysis" and not mutation.pairs for mutation in ANALYSIS)
