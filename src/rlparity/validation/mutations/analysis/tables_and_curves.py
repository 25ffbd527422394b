"""Bugs of the analysis: scores, curves and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rlparity.validation.mutations.analysis.modules import module
from rlparity.validation.mutations.mutation import MutationSet, Patch

if TYPE_CHECKING:
    import pandas as pd

bug = MutationSet(source="own", area="analysis")


@bug(
    "J1",
    "the area under a curve is the mean of its points, however far apart they are",
    hides="points at equal distances, in part",
)
def j1(patch: Patch) -> None:
    statistics = module("statistics")

    def area(env_step: Any, value: Any) -> float:
        return float(np.mean(value)) if len(env_step) > 1 else float("nan")

    patch.replace(statistics, "area_under_curve", area)


@bug(
    "J2",
    "the area under a curve is divided by its last step, not by its span",
    hides="curves that start at step 0",
)
def j2(patch: Patch) -> None:
    statistics = module("statistics")

    def around(area: Any, env_step: Any, value: Any) -> float:
        step = np.asarray(env_step, dtype=float)
        return float(area(env_step, value) * (step[-1] - step[0]) / step[-1]) if len(step) > 1 else np.nan

    patch.wrap(statistics, "area_under_curve", around)


@bug("J3", "the area under a curve is a sum of rectangles, each as high as its right end")
def j3(patch: Patch) -> None:
    statistics = module("statistics")

    def area(env_step: Any, value: Any) -> float:
        step, value = np.asarray(env_step, dtype=float), np.asarray(value, dtype=float)
        if len(step) < 2:
            return float("nan")
        return float((np.diff(step) * value[1:]).sum() / (step[-1] - step[0]))

    patch.replace(statistics, "area_under_curve", area)


@bug("J4", "seeds that never reach a threshold are left out of the median time")
def j4(patch: Patch) -> None:
    statistics = module("statistics")

    def median(x: Any) -> float:
        x = np.asarray(x, dtype=float)
        return float("nan") if np.isnan(x).all() else float(np.nanmedian(x))

    patch.replace(statistics, "censored_median", median)


@bug("J5", "a threshold is reached only by values above it, not by those at it")
def j5(patch: Patch) -> None:
    statistics = module("statistics")

    def around(time: Any, env_step: Any, value: Any, threshold: float, better: int = 1) -> float:
        found: float = time(env_step, value, np.nextafter(threshold, better * np.inf), better)
        return found

    patch.wrap(statistics, "time_to_threshold", around)


@bug(
    "J6",
    "seeds with equal scores count as lost in the probability of improvement",
    hides="scores that differ",
)
def j6(patch: Patch) -> None:
    statistics = module("statistics")

    def probability(x: Any, y: Any, axis: int = -1) -> Any:
        x, y = np.moveaxis(np.asarray(x), axis, -1), np.moveaxis(np.asarray(y), axis, -1)
        return (x[..., :, None] > y[..., None, :]).mean((-2, -1))

    patch.replace(statistics, "probability_of_improvement", probability)


@bug("J7", "a performance profile counts seeds at tau as above it")
def j7(patch: Patch) -> None:
    summarize, plans = module("summarize"), module("plans")

    def around(profiles: Any, scores: pd.DataFrame, plan: Any) -> Any:
        found = profiles(scores, plan)
        final = scores[(scores["endpoint"] == "final") & scores["value"].notna()]
        keys = ["implementation", "algorithm", "environment", "metric"]
        values = {key: part["value"].to_numpy() for key, part in final.groupby(keys)}
        shares = []
        for row in found.to_dict("records"):
            better = plans.better(plan, row["environment"], row["metric"])
            x = values[tuple(row[key] for key in keys)]
            shares.append((better * x >= better * row["tau"]).mean())
        return found.assign(fraction=shares)

    patch.wrap(summarize, "profiles", around)


@bug(
    "J8",
    "every evaluation episode counts as a seed: arms have ten times as many",
    source="the error that Henderson et al. 2018 and Agarwal et al. 2021 warn of",
)
def j8(patch: Patch) -> None:
    scores = module("scores")
    patch.wrap(scores.Scores, "__call__", lambda scores, self, *which: np.repeat(scores(self, *which), 10))


@bug("J9", "the value of an evaluation is the median of its episodes, not the mean")
def j9(patch: Patch) -> None:
    summarize = module("summarize")

    def around(points: Any, evaluations: pd.DataFrame, plan: Any) -> Any:
        keys = [name for name in evaluations.columns if name not in ("episode", "value", "size")]
        middle = evaluations.groupby(keys, observed=True)["value"].transform("median")
        return points(evaluations.assign(value=middle), plan)

    patch.wrap(summarize, "evaluation_points", around)


@bug("J10", "the floor is the reference's own arm", hides="metrics with a constant floor")
def j10(patch: Patch) -> None:
    scores = module("scores")

    def around(compared: Any, self: Any, pair: Any, quantity: Any) -> Any:
        x, y, _ = compared(self, pair, quantity)
        return x, y, y

    patch.wrap(scores.Scores, "compared", around)


@bug(
    "J11",
    "the floor of the final value is that of the area under the curve",
    hides="floors that do not learn, in part",
)
def j11(patch: Patch) -> None:
    scores = module("scores")

    def around(floor: Any, self: Any, quantity: Any) -> Any:
        return floor(self, quantity._replace(endpoint="auc"))

    patch.wrap(scores.Scores, "floor", around)


@bug("J12", "larger values count as better whatever the metric", hides="returns")
def j12(patch: Patch) -> None:
    scores = module("scores")

    def compared(self: Any, pair: Any, quantity: Any) -> Any:
        return self(quantity, pair.judged), self(quantity, pair.reference), self.floor(quantity)

    patch.replace(scores.Scores, "compared", compared)


@bug("J13", "a seed that failed keeps its last evaluation as its final score")
def j13(patch: Patch) -> None:
    summarize = module("summarize")

    def around(endpoints: Any, curve: Any, run: Any, *rest: Any) -> Any:
        if run["status"] == "failed" and len(curve):
            run = {**run, "status": "done", "budget": curve["clock"].max()}
        return endpoints(curve, run, *rest)

    patch.wrap(summarize, "_endpoints", around)


@bug("J14", "failed seeds are named nowhere")
def j14(patch: Patch) -> None:
    scores = module("scores")
    patch.wrap(scores.Scores, "failed", lambda failed, self, *which: failed(self, *which)[:0])


@bug(
    "J15",
    "points of seeds are aligned by their number, not by their environment step",
    hides="seeds that are evaluated at the same steps",
)
def j15(patch: Patch) -> None:
    summarize = module("summarize")

    def around(curves: Any, points: pd.DataFrame) -> Any:
        who = ["environment", "implementation", "algorithm", "metric", "protocol"]
        steps = {key: np.sort(part["env_step"].unique()) for key, part in points.groupby(who)}
        place = points.groupby([*who, "seed"]).cumcount()
        keys = list(points[who].itertuples(index=False, name=None))
        at = [steps[key][i] for key, i in zip(keys, place, strict=True)]
        return curves(points.assign(env_step=at))

    patch.wrap(summarize, "curves", around)


@bug(
    "J16",
    "an average over seeds at a point takes in those that have failed since as zeros",
    hides="suites without failed seeds",
)
def j16(patch: Patch) -> None:
    summarize = module("summarize")

    def around(curves: Any, points: pd.DataFrame) -> Any:
        who = ["environment", "implementation", "algorithm", "metric", "protocol"]
        full = [
            part.pivot_table(index=[*who, "env_step"], columns="seed", values="value")
            .fillna(0.0)
            .stack()
            .rename("value")
            .reset_index()
            for _, part in points.groupby(who)
        ]
        return curves(summarize.pd.concat(full, ignore_index=True))

    patch.wrap(summarize, "curves", around)


MUTATIONS = bug.mutations
