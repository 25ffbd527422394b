"""Scores by arm and quantity, and the pairs of arms that are compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from rlparity.analysis import plans, statistics
from rlparity.analysis.plans import Plan
from rlparity.arms import Arm
from rlparity.metrics import Metric

ENDPOINTS = ("auc", "final")  # the primary one first, unless the suite names the other
TRAINING = ("training_auc", "training_final")  # the same of returns in training, where a candidate logs them
Floor = statistics.Array | float  # scores of an arm that has learned nothing, (k,), or a constant
KEYS = ["environment", "implementation", "algorithm", "metric", "endpoint", "terms"]


class Quantity(NamedTuple):
    """What is compared: an endpoint of a metric in an environment, on the terms of a candidate or of none."""

    environment: str
    metric: Metric
    endpoint: str
    terms: str = ""


class Pair(NamedTuple):
    """An arm in an environment, and the one it is judged against."""

    environment: str
    judged: Arm
    reference: Arm

    def keys(self, quantity: Quantity) -> dict[str, str]:
        """The columns by which tables name the pair and what is compared."""
        return {
            "algorithm": self.judged.algorithm,
            "environment": self.environment,
            "metric": quantity.metric.name,
            "endpoint": quantity.endpoint,
            "implementation": self.judged.implementation,
            "reference": str(self.reference),
        }


class Scores:
    """The scores of every arm. Failed seeds have NaN.

    `equal` are scores on the terms of a candidate whose returns were logged elsewhere, its own and those of
    the arms it is compared with, as `logged_returns.score` makes them: the same columns, and `terms`, its
    name.
    """

    def __init__(self, scores: pd.DataFrame, equal: pd.DataFrame | None = None):
        rows = pd.concat([scores.assign(terms=""), *([] if equal is None else [equal])], ignore_index=True)
        self._arms = {key: part.set_index("seed")["value"] for key, part in rows.groupby(KEYS)}
        self._none = pd.Series([], dtype=float)

    def __call__(self, quantity: Quantity, arm: Arm) -> statistics.Array:
        """Scores of the seeds that have one, (n,), in the metric's unit."""
        return self._arm(quantity, arm).dropna().to_numpy()

    def floor(self, quantity: Quantity) -> Floor:
        """The floor of the metric: scores of the arm that has learned nothing, (k,), or a constant."""
        arm = plans.floor(quantity.metric)
        return self(quantity, arm) if arm else float(quantity.metric.floor)

    def compared(self, pair: Pair, quantity: Quantity) -> tuple[statistics.Array, statistics.Array, Floor]:
        """Scores of the judged arm, (n,), of its reference, (m,), and the floor, so that larger is better."""
        x, y = self(quantity, pair.judged), self(quantity, pair.reference)
        better = quantity.metric.better
        return better * x, better * y, better * self.floor(quantity)

    def by_seed(self, quantity: Quantity, arm: Arm) -> pd.Series:
        """Scores by seed, in the metric's unit; NaN where a seed failed or has not ended."""
        return self._arm(quantity, arm)

    def failed(self, quantity: Quantity, arm: Arm) -> str:
        """The seeds that have no score, as "3, 7"."""
        scores = self._arm(quantity, arm)
        return ", ".join(str(seed) for seed in scores.index[scores.isna()])

    def _arm(self, quantity: Quantity, arm: Arm) -> pd.Series:
        environment, metric, endpoint, terms = quantity
        return self._arms.get((environment, *arm, metric.name, endpoint, terms), self._none)

    def quantities(self, pair: Pair, plan: Plan) -> Iterator[Quantity]:
        """What a pair is judged by: endpoints of each metric, of a logged candidate on its own terms.

        The primary endpoint of each metric comes first.
        """
        terms, ends = pair.judged.implementation, sorted(ENDPOINTS, key=plans.primary(plan).__ne__)
        for metric in plans.metrics(plan, pair.environment):
            own = (Quantity(pair.environment, metric, name, terms) for name in (*ends, *TRAINING))
            logged = [quantity for quantity in own if not self._arm(quantity, pair.judged).empty]
            yield from logged or (Quantity(pair.environment, metric, name) for name in ends)

    def implementations(self, environment: str, algorithm: str) -> list[str]:
        """Implementations that have scores of a configuration in an environment, by name."""
        return sorted({key[1] for key in self._arms if (key[0], key[2]) == (environment, algorithm)})


def pairs(plan: Plan, scores: Scores) -> Iterator[Pair]:
    """All pairs that are judged, in the plan's order.

    An arm is judged against the reference of its configuration; and against the configuration that it
    differs from only in how it computes, of the same implementation.
    """
    only_references = plans.references(plan)
    for environment, about in plan["environments"].items():
        for algorithm in about["algorithms"]:
            reference, plain = plans.reference(plan, algorithm), plan["algorithms"][algorithm].get("plain")
            for implementation in scores.implementations(environment, algorithm):
                arm = Arm(implementation, algorithm)
                if reference not in (None, arm) and implementation not in only_references:
                    yield Pair(environment, arm, reference)
                if plain is not None and implementation in scores.implementations(environment, plain):
                    yield Pair(environment, arm, Arm(implementation, plain))


def mean(floor: Floor) -> float:
    """Mean of the floor; NaN where the suite has no such arm."""
    return float(np.mean(floor)) if np.size(floor) else float("nan")
