"""Logged returns on equal terms with the arms they are compared with, worked out by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rlparity.analysis import logged_returns, tables
from rlparity.analysis.checks.check import Group, missing, near, same
from rlparity.analysis.checks.made_up import NAN, PLACE, only, rows
from rlparity.analysis.verdicts import verdicts

CHECKS = Group()
THEIRS, SB3, RANDOM = ("theirs", "ppo", PLACE), ("sb3", "ppo", PLACE), ("scratch", "random", PLACE)
NAMES = ("implementation", "algorithm", "environment")
Who = tuple[str, str, str]
BUDGET, POINTS = 100, 10


def about(kind: str = "logs", floor: bool = True) -> dict[str, Any]:
    """A plan with a candidate of logs, its reference, and a random agent with a shorter budget."""
    budgets = {THEIRS: BUDGET, SB3: BUDGET} | ({RANDOM: 20} if floor else {})
    cells = [
        {
            **dict(zip(NAMES, who, strict=True)),
            "budget": budget,
            "evaluation": {"points": POINTS, "modes": []},
        }
        for who, budget in budgets.items()
    ]
    cells[0]["candidate"] = {kind: "x"}
    algorithms = {"ppo": {"reference": "ppo"}} | ({"random": {"reference": None}} if floor else {})
    return {
        "cells": cells,
        "algorithms": algorithms,
        "margin": 0.2,
        "environments": {PLACE: {"algorithms": list(algorithms), "threshold": None}},
    }


Logs = Mapping[tuple[Who, int], Sequence[tuple[float, float]]]  # (who, seed) -> (step, value)


def scored(
    evaluated: Logs, trained: Logs | None = None, failed: Sequence[tuple[Who, int]] = (), **plan: Any
) -> pd.DataFrame:
    """The table of scores on the candidate's terms."""
    points = [
        {
            **dict(zip(NAMES, who, strict=True)),
            "metric": "return",
            "seed": seed,
            "clock": step,
            "value": value,
        }
        | {"protocol": "sampled" if who == RANDOM else "deterministic", "env_step": step}
        for (who, seed), curve in evaluated.items()
        for step, value in curve[::-1]
    ]
    ended = [
        {**dict(zip(NAMES, who, strict=True)), "seed": seed, "env_step": step, "episode_return": value}
        | {"episode_length": 1}
        for (who, seed), curve in (trained or {}).items()
        for step, value in curve
    ]
    runs = [
        {
            **dict(zip(NAMES, who, strict=True)),
            "seed": seed,
            "status": "failed" if (who, seed) in failed else "done",
        }
        for who, seed in dict.fromkeys([*evaluated, *(trained or {})])
    ]
    columns = [*NAMES, "metric", "protocol", "seed", "env_step", "clock", "value"]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "episodes.parquet"
        tables.frame("episodes", ended).to_parquet(file)
        return logged_returns.score(
            pd.DataFrame(points, columns=columns), file, pd.DataFrame(runs), about(**plan)
        )


def _value(found: pd.DataFrame, who: Who, endpoint: str, seed: int = 0) -> float:
    line = only(found, **dict(zip(NAMES, who, strict=True)), endpoint=endpoint, seed=seed)
    same("terms", line["terms"], "theirs")
    return float(line["value"])


@CHECKS
def on_their_grid() -> None:
    """All arms are scored on the candidate's own steps, the reference between its own by a straight line."""
    found = scored(
        {
            (THEIRS, 0): [(10, 4.0), (30, 8.0), (60, 2.0)],
            (SB3, 0): [(0, 0.0), (20, 20.0), (50, 50.0), (100, 0.0)],
            (RANDOM, 0): [(0, 1.0), (10, 3.0), (20, 11.0)],
        }
    )
    near("final of theirs", _value(found, THEIRS, "final"), 2.0)
    near("area of theirs", _value(found, THEIRS, "auc"), (20 * 6 + 30 * 5) / 50)
    near("final of the reference", _value(found, SB3, "final"), 40.0)  # 50 falls to 0 in 50 steps
    near("area of the reference", _value(found, SB3, "auc"), (20 * 20 + 30 * 35) / 50)
    near("final of the floor", _value(found, RANDOM, "final"), 5.0)
    near("area of the floor", _value(found, RANDOM, "auc"), 5.0)


@CHECKS
def common_stretch() -> None:
    """Seeds that log at different steps are scored where all of them are known, on all of their steps."""
    found = scored(
        {
            (THEIRS, 0): [(0, 0.0), (40, 4.0), (80, 8.0)],
            (THEIRS, 1): [(20, 2.0), (60, 14.0), (100, 0.0)],
            (SB3, 0): [(0, 1.0), (100, 1.0)],
            (SB3, 1): [(0, 1.0), (70, 1.0)],  # ends before theirs
        }
    )
    near("area of seed 0", _value(found, THEIRS, "auc"), 5.0)  # 2 to 8 from 20 to 80
    near("final of seed 0", _value(found, THEIRS, "final"), 8.0)
    # 2 at 20, 8 at 40, 14 at 60, 7 at 80
    near("area of seed 1", _value(found, THEIRS, "auc", 1), (5 + 11 + 10.5) / 3)
    near("final of seed 1", _value(found, THEIRS, "final", 1), 7.0)
    near("the reference", _value(found, SB3, "auc"), 1.0)
    missing("a reference that ends before", _value(found, SB3, "auc", 1), _value(found, SB3, "final", 1))


@CHECKS
def in_training() -> None:
    """Returns in training are means over equal stretches of the budget; the last tenth is the final one."""
    curve = [(4, 1.0), (10, 3.0), (11, 10.0), (35, 20.0), (95, 5.0), (100, 9.0)]
    # stretches 1 to 10: 2, 10, (15), 20, then a line from 20 at 4 to 7 at 10
    wanted = [2, 10, 15, 20, *(20 - 13 / 6 * k for k in range(1, 6)), 7]
    steps, values = (pd.Series(column) for column in zip(*curve, strict=True))
    near("stretches", logged_returns.stretches(steps, values, 100, 10), wanted)
    near("one episode", logged_returns.stretches(pd.Series([50]), pd.Series([4.0]), 100, 4), [4.0] * 4)
    near(
        "beyond the budget",
        logged_returns.stretches(pd.Series([1, 120]), pd.Series([4.0, 8.0]), 100, 2),
        [4, 8],
    )
    near(
        "at the ends",
        logged_returns.stretches(pd.Series([0, 50, 51]), pd.Series([1.0, 3.0, 7.0]), 100, 2),
        [2, 7],
    )
    other = [(step, 2 * value) for step, value in curve]
    found = scored({}, {(THEIRS, 0): curve, (SB3, 0): other, (RANDOM, 0): [(2, 3.0), (20, 7.0)]})
    same("endpoints", set(found.endpoint), {"training_auc", "training_final"})
    near("area", _value(found, THEIRS, "training_auc"), sum(wanted) / 10)
    near("final", _value(found, THEIRS, "training_final"), 7.0)
    near("the reference's", _value(found, SB3, "training_auc"), sum(wanted) / 5)
    near("the floor's, by its own budget", _value(found, RANDOM, "training_auc"), 5.0)  # a line from 3 to 7


@CHECKS
def failures() -> None:
    """A failed seed has no score; an arm without evaluations only returns in training."""
    found = scored(
        {
            (THEIRS, 0): [(0, 4.0), (100, 8.0)],
            (THEIRS, 1): [(0, 4.0), (100, 8.0)],
            (SB3, 0): [(0, 1.0), (100, 3.0)],
        },
        failed=[(THEIRS, 1), (SB3, 0)],
    )
    near("a seed that ended", _value(found, THEIRS, "auc"), 6.0)
    missing("failed seeds", _value(found, THEIRS, "auc", 1), _value(found, SB3, "final"))


@CHECKS
def who_is_logged() -> None:
    """Candidates of logs and commands are scored on their terms, entry points and references are not."""
    for kind, count in {"logs": 1, "command": 1, "entry": 0}.items():
        found = logged_returns.logged(about(kind))
        same(f"candidates of {kind}", len(found), count)
        if found:
            same("its arms", (found[0].candidate, found[0].others()), (THEIRS, [SB3, RANDOM]))
            same("its protocol", (found[0].budget, found[0].points), (BUDGET, POINTS))
    same("without a random agent", logged_returns.logged(about(floor=False))[0].others(), [SB3])


@CHECKS
def curves() -> None:
    """Curves of returns in training stand at the ends of stretches, of the candidate and its reference."""
    rows_ = [
        {
            **dict(zip(NAMES, who, strict=True)),
            "seed": 0,
            "env_step": step,
            "episode_return": value,
            "episode_length": 1,
        }
        for who in (THEIRS, SB3, RANDOM)
        for step, value in ((10, 1.0), (100, 10.0))
    ]
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "episodes.parquet"
        tables.frame("episodes", rows_).to_parquet(file)
        found = logged_returns.curves(file, about())
    same("arms", sorted(set(found.implementation)), ["sb3", "theirs"])
    mine = found[found.implementation == "theirs"]
    near("steps", mine["env_step"], range(10, 101, 10))
    near("values", mine["value"], range(1, 11))
    same("protocol", set(mine.protocol), {"training"})


@CHECKS
def judged_on_their_terms() -> None:
    """A candidate of logs is judged by scores on its own terms, others by their own."""
    levels = {THEIRS: 60.0, SB3: 100.0, RANDOM: 0.0}
    own = [
        {
            **dict(zip(NAMES, who, strict=True)),
            "metric": "return",
            "seed": seed,
            "endpoint": "auc",
            "value": level + seed,
        }
        for who, level in levels.items()
        for seed in range(5)
    ]
    equal = tables.frame("scores", own).assign(terms="theirs")
    usual = tables.frame(
        "scores", [{**one, "value": NAN if one["implementation"] == "theirs" else 1e6} for one in own]
    )
    found = verdicts(usual, about(), equal).to_dict("records")
    same("verdict", next((line["endpoint"], line["verdict"]) for line in found), ("auc", "WORSE"))
    near(
        "means",
        [found[0]["mean_implementation"], found[0]["mean_reference"], found[0]["mean_random"]],
        [62, 102, 2],
    )
    same("without their terms", rows(usual.to_dict("records"), about())[0]["verdict"], "NO VERDICT")
