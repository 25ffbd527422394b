"""Bugs of the analysis: returns from logs, published numbers and what a plan says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rlparity.validation.mutations.analysis.modules import module
from rlparity.validation.mutations.mutation import MutationSet, Patch

if TYPE_CHECKING:
    import pandas as pd

bug = MutationSet(source="own", area="analysis")


@bug(
    "J17",
    "a logged candidate and its reference are compared point by point, not at equal steps",
    hides="grids that are the same",
)
def j17(patch: Patch) -> None:
    logged_returns = module("logged_returns")

    def around(curves: Any, points: pd.DataFrame, who: Any, protocol: str) -> Any:
        found = list(curves(points, who, protocol))
        yield from ((seed, curve.set_axis(np.arange(len(curve)))) for seed, curve in found)

    patch.wrap(logged_returns, "_curves", around)


@bug("J18", "an episode that ends with a stretch of the budget counts in the next one")
def j18(patch: Patch) -> None:
    logged_returns = module("logged_returns")

    def around(stretches: Any, env_step: Any, *rest: Any) -> Any:
        return stretches(np.asarray(env_step) + 1, *rest)

    patch.wrap(logged_returns, "stretches", around)


@bug(
    "J19",
    "a published standard error is taken for a deviation over seeds",
    hides="sources that state a deviation",
)
def j19(patch: Patch) -> None:
    comparison = module("published.comparison")

    def around(theirs: Any, row: Any) -> Any:
        return theirs({**row, "spread_kind": "sd" if row["spread_kind"] == "se" else row["spread_kind"]})

    patch.wrap(comparison, "theirs", around)


@bug("J20", "a published number has no error of its own", hides="sources of many seeds")
def j20(patch: Patch) -> None:
    comparison = module("published.comparison")
    patch.replace(comparison.Theirs, "error", lambda self, sd: (0.0, float("inf")))


@bug(
    "J21",
    "budgets that a source counts in frames are taken for environment steps",
    source="Machado et al. 2018, on frames and steps",
    hides="all but Atari games",
)
def j21(patch: Patch) -> None:
    paper_table = module("published.paper_table")

    def steps(row: Any, environment: str) -> float:
        return float(row["frames_or_steps"])

    patch.replace(paper_table, "steps_there", steps)


@bug(
    "J22",
    "human-normalised scores are divided by the human's score, not by its distance from random's",
    hides="random scores of 0",
)
def j22(patch: Patch) -> None:
    summarize = module("summarize")
    human_normalized = module("published.human_normalized")

    def around(normalised: Any, scores: Any, plan: Any, known: pd.DataFrame) -> Any:
        return normalised(scores, plan, known.assign(human=known["human"] + known["random"]))

    patch.wrap(human_normalized, "human_normalised", around)
    patch.replace(summarize, "human_normalised", human_normalized.human_normalised)


@bug("J23", "a published row is judged though its budget is another")
def j23(patch: Patch) -> None:
    paper_table = module("published.paper_table")

    def around(differences: Any, *arguments: Any) -> list[str]:
        return [one for one in differences(*arguments) if one != "budget"]

    patch.wrap(paper_table, "differences", around)


@bug(
    "J24",
    "the margin of an environment of its own is ignored: the suite's counts",
    hides="suites with one margin",
)
def j24(patch: Patch) -> None:
    plans = module("plans")
    patch.replace(plans, "margin", lambda plan, environment, metric: float(plan["margin"]))


MUTATIONS = bug.mutations
