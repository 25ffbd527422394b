"""Pools of seeds that are drawn from with replacement, so that the truth of every draw is the pool's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rlparity.analysis import attainable, plans, tables
from rlparity.analysis.scores import ENDPOINTS, Floor, Quantity, Scores
from rlparity.analysis.statistics import Array
from rlparity.arms import Arm
from rlparity.metrics import RETURN, Metric

SMALLEST, SEED = 60, 20251104


class Pool(NamedTuple):
    """The scores of an arm, (n,), by one endpoint."""

    arm: Arm
    environment: str
    endpoint: str
    scores: Array
    reference: Arm | None  # that the arm is judged against
    metric: Metric = RETURN

    @property
    def bounds(self) -> tuple[float, float]:
        """What the metric can reach."""
        return attainable.values(self.environment, self.metric)

    @property
    def quantity(self) -> tuple[str, str, str]:
        """What the scores are of."""
        return self.environment, self.metric.name, self.endpoint

    def drawn(self, seeds: int, draws: int, arm: int = 0) -> Array:
        """Draws of seeds, (draws, seeds), the same for the same `arm`, 0 or 1, of a comparison."""
        rng = np.random.default_rng([SEED, seeds, arm])
        return self.scores[rng.integers(0, len(self.scores), (draws, seeds))]


def found(report: Path) -> list[Pool]:
    """Every learned arm of a suite's report that has enough seeds, by each endpoint."""
    return list(_found(report))


class Judged(NamedTuple):
    """A reference that arms are judged against, by one endpoint; larger scores are better."""

    pool: Pool
    floor: Floor
    margin: float  # of the suite, a share of the distance from floor to reference


def judged(report: Path, endpoint: str) -> list[Judged]:
    """Every reference among the pools of a suite's report, with its floor and margin."""
    plan = plans.read(report / "plan.json", "name the report of a suite")
    arms, references = Scores(tables.read(report / "scores.csv")), []
    for pool in found(report):
        if pool.endpoint == endpoint and pool.arm == pool.reference:
            better = pool.metric.better
            floor = better * arms.floor(Quantity(pool.environment, pool.metric, endpoint))
            margin = plans.margin(plan, pool.environment, pool.metric)
            references.append(Judged(pool._replace(scores=better * pool.scores), floor, margin))
    return references


def _found(report: Path) -> Iterator[Pool]:
    plan = plans.read(report / "plan.json", "name the report of a suite")
    arms = Scores(tables.read(report / "scores.csv"))
    for environment, about in plan["environments"].items():
        for metric in plans.metrics(plan, environment):
            for algorithm in about["algorithms"]:
                reference = plans.reference(plan, algorithm)
                if reference is None:
                    continue
                names = dict.fromkeys(
                    [reference.implementation, *arms.implementations(environment, algorithm)]
                )
                for arm in (Arm(name, algorithm) for name in names):
                    for endpoint in ENDPOINTS:
                        scores = arms(Quantity(environment, metric, endpoint), arm)
                        if len(scores) >= SMALLEST:
                            yield Pool(arm, environment, endpoint, scores, reference, metric)
