"""Error rates and power of the verdict, measured on many seeds of one implementation.

Two disjoint draws of its seeds differ by chance alone: a verdict that calls them different is wrong, one that
calls them equivalent shows the power.

Drawing without replacement from a finite pool, the variance of the difference of two disjoint means is that
of two fresh samples with the pool's variance, so no correction is needed. The shares of draws from one pool
are estimates for that pool: other seeds would give another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.stats

from rlparity.analysis import plans, statistics, tables
from rlparity.analysis.decisions import families
from rlparity.analysis.decisions.families import PRIMARY, SECONDARY
from rlparity.analysis.scores import ENDPOINTS, Floor, Quantity, Scores, mean
from rlparity.analysis.verdicts import ALPHA, decide, tested
from rlparity.errors import UserError
from rlparity.metrics import RETURN, Metric

SMALLEST_POOL = 60  # seeds
SIZES = (5, 10, 20)  # of draws, for false differences
CURVE = (5, 7, 10, 15, 20, 25, 30)  # of draws, for the power
MARGINS = (0.05, 0.1, 0.2, 0.3, 0.5)
DRAWS, SEED = 2000, 20251104


class Pool(NamedTuple):
    """All scores of a reference, and the floor, by endpoint; larger ones are better."""

    algorithm: str
    environment: str
    scores: dict[str, statistics.Array]  # (n,) in the same order of seeds
    floor: dict[str, Floor]
    margin: float  # of the suite
    metric: Metric = RETURN

    @property
    def size(self) -> int:
        return len(self.scores[ENDPOINTS[0]])

    def draw(self, rng: np.random.Generator, seeds: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices of two disjoint draws, (seeds,) each."""
        both = rng.permutation(self.size)[: 2 * seeds]
        return both[:seeds], both[seeds:]


def calibrate(report: Path, into: Path, draws: int = DRAWS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write `into/false_differences.csv` and `into/power.csv` from the scores of a suite's report.

    Returns both. Raises UserError where no reference of the suite has `SMALLEST_POOL` seeds.
    """
    found = list(pools(report))
    if not found:
        raise UserError(f"{report}: no reference has {SMALLEST_POOL} seeds; run the suite pool")
    differences = [row for pool in found for row in false_differences(pool, draws)]
    curves = [row for pool in found for row in power(pool, draws)]
    made = tables.frame("false_differences", differences), tables.frame("power", curves)
    for name, table in zip(("false_differences", "power"), made, strict=True):
        tables.write_csv(into, name, table)
    return made


def pools(report: Path) -> Iterator[Pool]:
    """Every reference of a suite's report that has enough seeds, failed ones left out."""
    plan = plans.read(report / "plan.json", "name the report of a suite")
    arms = Scores(tables.read(report / "scores.csv"))
    for environment in plan["environments"]:
        for reference in dict.fromkeys(plans.reference(plan, name) for name in plan["algorithms"]):
            if reference is None:
                continue
            for metric in plans.metrics(plan, environment):
                asked = [Quantity(environment, metric, end) for end in ENDPOINTS]
                scores = {one.endpoint: metric.better * arms(one, reference) for one in asked}
                floor = {one.endpoint: metric.better * arms.floor(one) for one in asked}
                if min(map(len, scores.values())) >= SMALLEST_POOL and min(map(np.size, floor.values())):
                    margin = plans.margin(plan, environment, metric)
                    yield Pool(reference.algorithm, environment, scores, floor, margin, metric)


def false_differences(pool: Pool, draws: int = DRAWS) -> Iterator[dict[str, Any]]:
    """Rows of the table: verdicts on pairs of disjoint draws, decided as in a report of this one pair."""
    for seeds in SIZES:
        rng = np.random.default_rng(SEED)
        found: dict[str, list[tuple[str, float]]] = {end: [] for end in ENDPOINTS}
        for _ in range(draws):
            x, y = pool.draw(rng, seeds)
            for end, verdict in _report(pool, x, y).items():
                found[end].append(verdict)
        words = {end: np.array([word for word, _ in rows]) for end, rows in found.items()}
        raw = {end: np.array([p < ALPHA for _, p in rows]) for end, rows in found.items()}
        called = {end: np.isin(word, ("WORSE", "BETTER")) for end, word in words.items()}
        equal = {end: word == "EQUIVALENT" for end, word in words.items()}
        for end in (*ENDPOINTS, "either"):
            parts = [called, raw, equal]
            wrong, alone, same = (
                part[end] if end in part else np.logical_or.reduce(list(part.values())) for part in parts
            )
            interval = scipy.stats.binomtest(int(wrong.sum()), draws).proportion_ci(method="wilson")
            yield {
                "algorithm": pool.algorithm,
                "environment": pool.environment,
                "metric": pool.metric.name,
                "seeds": seeds,
                "draws": draws,
                "endpoint": end,
                "different": wrong.mean(),
                "ci_low": interval.low,
                "ci_high": interval.high,
                "unadjusted": alone.mean(),
                "equivalent": same.mean(),
                "pool": pool.size,
            }


def _report(pool: Pool, x: np.ndarray, y: np.ndarray) -> dict[str, tuple[str, float]]:
    """Verdict and unadjusted p of each endpoint, in a report that has these two rows."""
    scores, floor, margin = pool.scores, pool.floor, pool.margin
    rows = [tested(scores[end][x], scores[end][y], floor[end], margin) for end in ENDPOINTS]
    for row, role in zip(rows, (PRIMARY, SECONDARY), strict=True):
        row |= {"role": role, "implementation": "drawn", "reference": "reference", "failed_seeds": ""}
    for row, found in zip(rows, families.adjusted(rows), strict=True):
        row |= found
    return {end: (decide(row)[0], row["p_difference"]) for end, row in zip(ENDPOINTS, rows, strict=True)}


def power(pool: Pool, draws: int = DRAWS) -> Iterator[dict[str, Any]]:
    """Rows of the table: how often a draw is called EQUIVALENT or WORSE if shifted by 0, 1 and 2 margins."""
    for end in ENDPOINTS:
        scores = pool.scores[end]
        sd = float(scores.std(ddof=1))
        distance = abs(float(scores.mean()) - mean(pool.floor[end]))
        for seeds in (size for size in CURVE if 2 * size <= pool.size):
            rng = np.random.default_rng(SEED)
            pairs = [pool.draw(rng, seeds) for _ in range(draws)]
            tests = [statistics.welch(scores[x], scores[y]) for x, y in pairs]
            for margin in MARGINS:
                width = margin * distance
                by_shift = [_rates(tests, shift * width, width) for shift in (0, 1, 2)]
                yield {
                    "algorithm": pool.algorithm,
                    "environment": pool.environment,
                    "metric": pool.metric.name,
                    "endpoint": end,
                    "margin": margin,
                    "seeds": seeds,
                    "draws": draws,
                    "equivalent": by_shift[0][0],
                    "planned": statistics.tost_power(seeds, width, sd, sd),
                    "equivalent_at_margin": by_shift[1][0],
                    "worse_at_margin": by_shift[1][1],
                    "worse_at_twice": by_shift[2][1],
                    "pool": pool.size,
                }


def _rates(tests: list[statistics.Welch], shift: float, width: float) -> tuple[float, float]:
    """Shares called EQUIVALENT and WORSE once the first arm of every test is lowered by `shift`."""
    lowered = [replace(test, difference=test.difference - shift) for test in tests]
    equivalent = np.array([test.p_equivalence(width) < ALPHA for test in lowered])
    worse = np.array([test.difference < 0 and test.p_difference() < ALPHA for test in lowered])
    return float(equivalent.mean()), float((worse & ~equivalent).mean())
