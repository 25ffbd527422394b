"""Does an implementation match its reference? One row for each (algorithm, environment, endpoint).

A configuration that differs from another of the suite only in how it computes, as ppo-bfloat16 from ppo, is
judged against that one too, both of the same implementation: does the difference change the learning?

In this order: EQUIVALENT if two one-sided tests at 5 % place the difference within the margin; else WORSE
or BETTER if its Holm-adjusted p over all rows of the report, both endpoints, is below 0.05; else
INCONCLUSIVE. Before that, INCONCLUSIVE where there is nothing to judge by: an arm or the random agent is
missing, an arm has fewer than five seeds, or the reference did not learn (is not more than three standard
errors above the random agent).

A failed seed has no score. Leaving it out flatters the arm that lost it, so no verdict may rest on that: if
a seed of the implementation failed, EQUIVALENT and BETTER are withheld, if one of the reference failed,
EQUIVALENT and WORSE; the row is then INCONCLUSIVE, and names the seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from rlparity.analysis import statistics, tables

ENDPOINTS = ("auc", "final")  # the primary one first
TRAINING = ("training_auc", "training_final")  # the same of returns in training, where a candidate logs them
REFERENCE = "sb3"  # the implementation that references are of
FEWEST = 5  # seeds per arm below which nothing is decided
ALPHA = 0.05
DID_NOT_LEARN = "INCONCLUSIVE (reference did not learn)"


class Pair(NamedTuple):
    """An implementation of a named configuration in an environment, and what it is judged against."""

    environment: str
    algorithm: str
    implementation: str
    reference: str  # implementation/algorithm

    @property
    def judge(self) -> tuple[str, str]:
        """Implementation and algorithm of the reference."""
        implementation, _, algorithm = self.reference.partition("/")
        return implementation, algorithm


class Scores:
    """The scores of every arm, by endpoint. Failed seeds have NaN.

    `equal` are scores on the terms of a candidate whose returns were logged elsewhere, its own and those of
    the arms that it meets, as `comparable.score` makes them: the same columns, and `terms`, its name.
    """

    def __init__(self, scores: pd.DataFrame, equal: pd.DataFrame | None = None):
        keys = ["terms", "environment", "implementation", "algorithm", "endpoint"]
        rows = pd.concat([scores.assign(terms=""), *([] if equal is None else [equal])], ignore_index=True)
        self._arms = {key: part.set_index("seed")["value"] for key, part in rows.groupby(keys)}
        self._none = pd.Series([], dtype=float)

    def __call__(
        self, environment: str, implementation: str, algorithm: str, endpoint: str, terms: str = ""
    ) -> statistics.Array:
        """Scores of the seeds that have one, (n,)."""
        return self._arm(terms, environment, implementation, algorithm, endpoint).dropna().to_numpy()

    def failed(
        self, environment: str, implementation: str, algorithm: str, endpoint: str, terms: str = ""
    ) -> str:
        """The seeds that have none, as "3, 7"."""
        arm = self._arm(terms, environment, implementation, algorithm, endpoint)
        return ", ".join(str(seed) for seed in arm.index[arm.isna()])

    def _arm(self, *key: str) -> pd.Series:
        return self._arms.get(key, self._none)

    def judged(self, pair: Pair) -> Iterator[tuple[str, str]]:
        """The endpoints that a pair is judged by, and on whose terms."""
        here = (pair.environment, pair.implementation, pair.algorithm)
        own = [name for name in (*ENDPOINTS, *TRAINING) if (pair.implementation, *here, name) in self._arms]
        yield from ((name, pair.implementation if own else "") for name in own or ENDPOINTS)

    def implementations(self, environment: str, algorithm: str) -> list[str]:
        """Those with scores of a configuration in an environment, by name."""
        return sorted({key[2] for key in self._arms if (key[1], key[3]) == (environment, algorithm)})


def random_agent(plan: Mapping[str, Any]) -> str | None:
    """Name of the configuration that acts at random, if the suite has one."""
    return next((name for name, entry in plan["algorithms"].items() if entry["agent"] == "random"), None)


def pairs(plan: Mapping[str, Any], scores: Scores) -> Iterator[Pair]:
    """All that is to be judged, in the plan's order."""
    for environment, task in plan["environments"].items():
        for algorithm in task["algorithms"]:
            reference, plain = (plan["algorithms"][algorithm].get(key) for key in ("reference", "plain"))
            for implementation in scores.implementations(environment, algorithm):
                if reference is not None and implementation != REFERENCE:
                    yield Pair(environment, algorithm, implementation, f"{REFERENCE}/{reference}")
                if plain is not None and implementation in scores.implementations(environment, plain):
                    yield Pair(environment, algorithm, implementation, f"{implementation}/{plain}")


def verdicts(
    scores: pd.DataFrame, plan: Mapping[str, Any], equal: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Table of verdicts from the table of scores, and those on the terms of candidates; see `Scores`."""
    arms, random = Scores(scores, equal), random_agent(plan)
    rows = []
    for pair in pairs(plan, arms):
        here = pair.environment
        for endpoint, terms in arms.judged(pair):
            x = arms(here, pair.implementation, pair.algorithm, endpoint, terms)
            y = arms(here, *pair.judge, endpoint, terms)
            z = arms(here, "scratch", random, endpoint, terms) if random else np.array([])
            lost = {
                pair.implementation: arms.failed(here, pair.implementation, pair.algorithm, endpoint, terms),
                in_short(pair.reference): arms.failed(here, *pair.judge, endpoint, terms),
            }
            names = {"algorithm": pair.algorithm, "environment": here, "endpoint": endpoint}
            names |= {"implementation": pair.implementation, "reference": pair.reference}
            failed = "; ".join(f"{who} {seeds}" for who, seeds in lost.items() if seeds)
            rows.append({**names, **compare(x, y, z, plan["margin"]), "failed_seeds": failed})
    for row, p in zip(rows, statistics.holm([row["p_difference"] for row in rows]), strict=True):
        row["p_holm"] = p
        row["verdict"], row["reason"] = decide(row)
    return tables.frame("verdicts", rows)


def compare(
    x: statistics.Array, y: statistics.Array, random: statistics.Array, margin: float
) -> dict[str, Any]:
    """The numbers of one row, from the scores of implementation (n,), reference (m,) and random agent (k,).

    `margin` and `smallest_margin` are fractions of the distance |mean(reference) - mean(random)|.
    """
    row = tested(x, y, random, margin)
    distance, sds = row["distance"], [float(arm.std(ddof=1)) if len(arm) > 1 else np.nan for arm in (x, y)]
    known = np.isfinite([distance, *sds]).all()
    needed = statistics.seeds_needed(margin * distance, sds[0], sds[1]) if known else 0
    return row | {"seeds_needed": ">1000" if needed is None else str(needed or "")}


def tested(
    x: statistics.Array, y: statistics.Array, random: statistics.Array, margin: float
) -> dict[str, Any]:
    """The part of `compare` that decides: means, intervals, p values, and what stands in the way."""
    welch = statistics.welch(x, y)
    low, high = welch.interval(1 - 2 * ALPHA)
    ci95_low, ci95_high = welch.interval(0.95)
    means = [float(arm.mean()) if len(arm) else np.nan for arm in (x, y, random)]
    distance = abs(means[1] - means[2])
    return {
        "difference": welch.difference,
        "ci90_low": low,
        "ci90_high": high,
        "ci95_low": ci95_low,
        "ci95_high": ci95_high,
        "margin": margin,
        "smallest_margin": max(abs(low), abs(high)) / distance if distance > 0 else np.nan,
        "p_difference": welch.p_difference(),
        "p_equivalence": welch.p_equivalence(margin * distance),
        "seeds_implementation": len(x),
        "seeds_reference": len(y),
        "distance": distance,
        "mean_implementation": means[0],
        "mean_reference": means[1],
        "mean_random": means[2],
        "reason": _obstacle(x, y, random),
    }


def _obstacle(x: statistics.Array, y: statistics.Array, random: statistics.Array) -> str:
    """Why nothing can be decided; empty where something can."""
    if not len(y):
        return "no finished run of the reference"
    if not len(random):
        return "no random agent in the suite"
    if min(len(x), len(y)) < FEWEST:
        return f"fewer than {FEWEST} seeds"
    if len(random) < 2:
        return "fewer than 2 seeds of the random agent"
    above = statistics.welch(y, random)
    return "reference did not learn" if above.difference <= 3 * above.se else ""


def in_short(reference: str) -> str:
    """How the failed seeds of a reference are named: "sb3", or "scratch/ppo" where it is one of our own."""
    implementation, _, _ = reference.partition("/")
    return implementation if implementation == REFERENCE else reference


def decide(row: Mapping[str, Any]) -> tuple[str, str]:
    """Verdict and reason, from a row that has all its numbers, and in `reason` what stands in the way."""
    if row["reason"]:
        word = DID_NOT_LEARN if row["reason"] == "reference did not learn" else "INCONCLUSIVE"
        return word, row["reason"]
    reference = in_short(row["reference"])
    if row["p_equivalence"] < ALPHA:
        word, rests_on = "EQUIVALENT", {row["implementation"], reference}
    elif row["p_holm"] >= ALPHA:
        return "INCONCLUSIVE", "neither equivalence nor a difference is shown"
    elif row["difference"] < 0:
        word, rests_on = "WORSE", {reference}
    else:
        word, rests_on = "BETTER", {row["implementation"]}
    lost = [arm for arm in row["failed_seeds"].split("; ") if arm.partition(" ")[0] in rests_on]
    return ("INCONCLUSIVE", f"{word} but for failed seeds ({'; '.join(lost)})") if lost else (word, "")
