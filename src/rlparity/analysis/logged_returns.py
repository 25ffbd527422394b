"""Candidates whose returns come from logs, scored on equal terms with the arms they are compared with.

Logged evaluations are at environment steps of their own: every arm is scored on that grid, the reference's
curve interpolated linearly. The arm of the floor, such as the random agent, does not learn and may have a
shorter budget: its score is the mean of its evaluations. Logged training returns are compared with the
training returns in the reference's `episodes.parquet`: means over equal stretches of the budget, as many as
the protocol has evaluations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rlparity.analysis import plans, statistics, tables
from rlparity.analysis.columns.column import ARM
from rlparity.analysis.plans import Plan
from rlparity.analysis.scores import ENDPOINTS, TRAINING
from rlparity.metrics import RETURN

LAST = 0.1  # of the budget, over which the final training return is averaged
FLOOR = plans.floor(RETURN)  # logs have returns alone
Who = tuple[str, str, str]  # implementation, algorithm, environment
Values = dict[str, dict[tuple[Who, int], float]]  # endpoint -> (who, seed) -> score


class Logged(NamedTuple):
    """A candidate of logs in one environment, and the arms it is compared with there."""

    candidate: Who
    reference: Who
    floor: Who | None
    budget: int
    points: int

    def others(self) -> list[Who]:
        """Reference and floor."""
        return [self.reference] + ([self.floor] if self.floor else [])


def logged(plan: Plan) -> list[Logged]:
    """The candidates of a plan that come as commands or logs."""
    found: dict[Who, Logged] = {}
    for cell in plan.get("cells", ()):
        if not {"command", "logs"} & cell.get("candidate", {}).keys():
            continue
        environment, reference = cell["environment"], plans.reference(plan, cell["algorithm"])
        if reference is not None:
            who = (cell["implementation"], cell["algorithm"], environment)
            floor = (*FLOOR, environment) if FLOOR and FLOOR.algorithm in plan["algorithms"] else None
            asked = cell["budget"], cell["evaluation"]["points"]
            found[who] = Logged(who, (*reference, environment), floor, *asked)
    return list(found.values())


def score(points: pd.DataFrame, episodes: Path, runs: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Columns of table `scores` and `terms`, a candidate's name: its scores, and those of the reference and
    the floor on the same terms.

    `points` are mean values of evaluations as `summarize.evaluation_points` gives them; `episodes`, the table
    of training episodes, is read if there are such candidates.
    """
    rows: list[dict[str, Any]] = []
    found = logged(plan)
    trained = tables.read(episodes) if found else pd.DataFrame()
    for one in found:
        budgets = {tuple(cell[key] for key in ARM): cell["budget"] for cell in plan["cells"]}
        for who in one.others():
            budgets.setdefault(who, one.budget)
        kinds = _evaluated(one, points), _trained(one, trained, budgets)
        values = _of_all_seeds(kinds, one.candidate, _finished(runs, one.candidate))
        for who in (one.candidate, *one.others()):
            rows += ({**row, "terms": one.candidate[0]} for row in _scores(who, values, runs))
    terms = pd.Series([row.pop("terms") for row in rows], dtype=str)
    return tables.frame("scores", rows).assign(terms=terms)


def _finished(runs: pd.DataFrame, who: Who) -> set[int]:
    own = runs[_is(runs, who)]
    return set(own[own["status"] == "done"]["seed"])


def _of_all_seeds(kinds: Sequence[Values], who: Who, finished: set[int]) -> Values:
    """The endpoints that all finished seeds of a candidate have: some may have logged evaluations, or returns
    in training, alone. All endpoints if neither kind or each has all seeds."""
    found = [kind for kind in kinds if kind]
    whole = [kind for kind in found if all(finished <= _seeds(end, who) for end in kind.values())]
    return {name: values for kind in (whole or found) for name, values in kind.items()}


def _seeds(values: Mapping[tuple[Who, int], float], who: Who) -> set[int]:
    return {seed for one, seed in values if one == who}


def _scores(who: Who, values: Values, runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of table `scores` of one arm; without a value where a seed failed."""
    ends = [end for end in (*ENDPOINTS, *TRAINING) if end in values] or list(TRAINING)
    own = runs[_is(runs, who)]
    failed = set(own[own["status"] != "done"]["seed"])
    keys = {**dict(zip(ARM, who, strict=True)), "metric": RETURN.name}
    for seed in sorted(set(own["seed"])):
        for end in ends:
            value = np.nan if seed in failed else values.get(end, {}).get((who, seed), np.nan)
            yield {**keys, "seed": seed, "endpoint": end, "value": value}


def curves(episodes: Path, plan: Plan) -> pd.DataFrame:
    """Columns of table `seed_curves`: mean training returns of these candidates and their references, by the
    environment step at which a stretch of the budget ends."""
    rows: list[dict[str, Any]] = []
    found = logged(plan)
    trained = tables.read(episodes) if found else pd.DataFrame()
    logging = [one for one in found if not trained[_is(trained, one.candidate)].empty]
    arms = {who: one for one in logging for who in (one.candidate, one.reference)}
    for who, one in arms.items():
        for seed, part in trained[_is(trained, who)].groupby("seed"):
            values = stretches(part["env_step"], part["episode_return"], one.budget, one.points)
            keys = {**dict(zip(ARM, who, strict=True)), "metric": RETURN.name, "protocol": "training"}
            ends = [one.budget * (k + 1) // one.points for k in range(one.points)]
            points = zip(ends, values, strict=True)
            rows += [{**keys, "seed": int(seed), "env_step": at, "value": value} for at, value in points]
    return tables.frame("seed_curves", rows)


def _is(frame: pd.DataFrame, who: Who) -> pd.Series:
    return (
        (frame["implementation"] == who[0])
        & (frame["algorithm"] == who[1])
        & (frame["environment"] == who[2])
    )


def _evaluated(one: Logged, points: pd.DataFrame) -> Values:
    """Endpoints of evaluations on the candidate's grid; none if it logged none."""
    points = points[points["metric"] == RETURN.name]
    own = points[_is(points, one.candidate)]
    if own.empty:
        return {}
    others = own["protocol"][own["protocol"] != "sampled"]
    protocol = "sampled" if others.empty else others.iloc[0]
    curves = dict(_curves(points, one.candidate, protocol))
    start = max(curve.index[0] for curve in curves.values())
    end = min(curve.index[-1] for curve in curves.values())
    steps = {step for curve in curves.values() for step in curve.index if start <= step <= end}
    grid = np.array(sorted(steps), dtype=float)
    if not len(grid):
        return {}
    found: Values = {"final": {}}
    for who in (one.candidate, *one.others()):
        for seed, curve in _curves(points, who, "sampled" if who == one.floor else protocol):
            if who == one.floor:
                value = np.full(len(grid), curve.mean())
            elif curve.index[-1] >= end:
                value = np.interp(grid, curve.index, curve)
            else:
                continue
            found["final"][who, seed] = float(value[-1])
            if len(grid) > 1:
                found.setdefault("auc", {})[who, seed] = statistics.area_under_curve(grid, value)
    return found


def _curves(points: pd.DataFrame, who: Who, protocol: str) -> Iterator[tuple[int, pd.Series]]:
    here = points[_is(points, who) & (points["protocol"] == protocol)]
    for seed, part in here.groupby("seed"):
        yield int(seed), part.set_index("clock")["value"].sort_index()


def _trained(one: Logged, episodes: pd.DataFrame, budgets: Mapping[Any, int]) -> Values:
    """Endpoints of returns in training; none if it logged none."""
    if episodes[_is(episodes, one.candidate)].empty:
        return {}
    found: Values = {name: {} for name in TRAINING}
    last = max(1, round(LAST * one.points))
    for who in (one.candidate, *one.others()):
        for seed, part in episodes[_is(episodes, who)].groupby("seed"):
            curve = stretches(part["env_step"], part["episode_return"], budgets[who], one.points)
            for name, value in zip(TRAINING, (curve.mean(), curve[-last:].mean()), strict=True):
                found[name][who, int(seed)] = float(value)
    return found


def stretches(env_step: pd.Series, value: pd.Series, budget: int, n: int) -> statistics.Array:
    """Mean return of the episodes that ended in each of n equal stretches of the budget, (n,).

    A stretch in which none ended is interpolated between its neighbours, or equals the nearest one.
    """
    place = np.clip(np.ceil(np.asarray(env_step) * n / budget).astype(int), 1, n)
    means = pd.Series(np.asarray(value, dtype=float)).groupby(place).mean()
    return np.interp(np.arange(1, n + 1), means.index, means)
