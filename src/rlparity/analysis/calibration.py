"""How often the verdict errs, measured: two disjoint draws of one implementation's own seeds differ by
chance alone, so whatever calls them different is wrong, and what calls them equivalent shows the power.

Drawing without replacement from a finite pool, the variance of the difference of two disjoint means is that
of two fresh samples with the pool's variance, so no correction is needed. The shares of draws from one pool
are estimates for that pool: other seeds would give another one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.stats

from rlparity.analysis import statistics, tables
from rlparity.analysis.verdicts import ALPHA, ENDPOINTS, REFERENCE, Scores, decide, random_agent, tested
from rlparity.errors import UserError

SMALLEST_POOL = 60  # seeds
SIZES = (5, 10, 20)  # of draws, for false differences
CURVE = (5, 7, 10, 15, 20, 25, 30)  # of draws, for the power
MARGINS = (0.05, 0.1, 0.2, 0.3, 0.5)
DRAWS, SEED = 2000, 20251104


class Pool(NamedTuple):
    """All scores of a reference, and of the random agent, by endpoint."""

    algorithm: str
    environment: str
    scores: dict[str, statistics.Array]  # (n,) in the same order of seeds
    random: dict[str, statistics.Array]  # (k,)

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
    margin = _plan(report)["margin"]
    differences = [row for pool in found for row in false_differences(pool, margin, draws)]
    curves = [row for pool in found for row in power(pool, draws)]
    made = {"false_differences": differences, "power": curves}
    frames = {name: tables.frame(name, rows) for name, rows in made.items()}
    for name, frame in frames.items():
        tables.write_csv(into, name, frame)
    return frames["false_differences"], frames["power"]


def pools(report: Path) -> Iterator[Pool]:
    """Every reference of a suite's report that has enough seeds, failed ones left out."""
    plan, scores = _plan(report), tables.read(report / "scores.csv")
    random, arms = random_agent(plan), Scores(scores)
    for environment in plan["environments"]:
        for algorithm in plan["algorithms"]:
            own = {end: arms(environment, REFERENCE, algorithm, end) for end in ENDPOINTS}
            if random is not None and min(map(len, own.values())) >= SMALLEST_POOL:
                floor = {end: arms(environment, "scratch", random, end) for end in ENDPOINTS}
                yield Pool(algorithm, environment, own, floor)


def _plan(report: Path) -> dict[str, Any]:
    try:
        plan: dict[str, Any] = json.loads((report / "plan.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{report}: not the report of a suite ({error})") from None
    return plan


def false_differences(pool: Pool, margin: float, draws: int = DRAWS) -> Iterator[dict[str, Any]]:
    """Rows of the table: verdicts on pairs of disjoint draws, decided as in a report of this one pair."""
    for seeds in SIZES:
        rng = np.random.default_rng(SEED)
        said: dict[str, list[tuple[str, float]]] = {end: [] for end in ENDPOINTS}
        for _ in range(draws):
            x, y = pool.draw(rng, seeds)
            for end, verdict in _report(pool, x, y, margin).items():
                said[end].append(verdict)
        words = {end: np.array([word for word, _ in rows]) for end, rows in said.items()}
        raw = {end: np.array([p < ALPHA for _, p in rows]) for end, rows in said.items()}
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


def _report(pool: Pool, x: np.ndarray, y: np.ndarray, margin: float) -> dict[str, tuple[str, float]]:
    """Verdict and unadjusted p of each endpoint, in a report that has these two rows."""
    rows = [tested(pool.scores[end][x], pool.scores[end][y], pool.random[end], margin) for end in ENDPOINTS]
    for row, p in zip(rows, statistics.holm([row["p_difference"] for row in rows]), strict=True):
        row |= {"p_holm": p, "implementation": "drawn", "reference": REFERENCE, "failed_seeds": ""}
    return {end: (decide(row)[0], row["p_difference"]) for end, row in zip(ENDPOINTS, rows, strict=True)}


def power(pool: Pool, draws: int = DRAWS) -> Iterator[dict[str, Any]]:
    """Rows of the table: how often a draw is called EQUIVALENT or WORSE if shifted by 0, 1 and 2 margins."""
    for end in ENDPOINTS:
        scores = pool.scores[end]
        sd = float(scores.std(ddof=1))
        distance = abs(float(scores.mean() - pool.random[end].mean()))
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
    lowered = [statistics.Welch(test.difference - shift, test.se, test.df) for test in tests]
    equivalent = np.array([test.p_equivalence(width) < ALPHA for test in lowered])
    worse = np.array([test.difference < 0 and test.p_difference() < ALPHA for test in lowered])
    return float(equivalent.mean()), float((worse & ~equivalent).mean())
