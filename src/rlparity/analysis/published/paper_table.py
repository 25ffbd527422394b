"""Table `paper`: our final values against published numbers.

REPLICATED if the published value lies within the margin of our 95 % interval, NOT REPLICATED if outside,
NOT COMPARABLE where environment version, budget or evaluation protocol differ or are not stated in the
source, and where the floor is missing, or we have fewer than five seeds: a wide interval would replicate
anything. The published value is the reference: the margin is the suite's fraction of its distance from the
floor, the random agent of most metrics. The protocols of the sources are in docs/method/published-numbers.md.

Atari games have the same version where the source emulates them as our preset does, under any name; that, and
whether it counts steps or frames, is in `atari.csv`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from rlparity.analysis import plans, statistics, tables
from rlparity.analysis.plans import Plan
from rlparity.analysis.published.numbers import AT_THE_END, BEST, measured
from rlparity.analysis.scores import Floor, Quantity, Scores, mean
from rlparity.analysis.verdicts import FEWEST, RANDOM
from rlparity.arms import Arm
from rlparity.environments.atari_ids import FRAMES, game
from rlparity.metrics import Metric


def paper(
    scores: pd.DataFrame, plan: Plan, known: pd.DataFrame, curves: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Table `paper`: every published row about an environment and a configuration of the suite, against each
    implementation that is not itself a reference. `known` is what `numbers.published` read; with the table
    `curves`, ours also stands as a "max average return" beside the published ones.
    """
    arms = Scores(scores)
    cells = {(c["environment"], c["implementation"], c["algorithm"]): c for c in plan["cells"]}
    rows = []
    for row, environment, metric, algorithm in _matches(plan, known):
        final, margin = Quantity(environment, metric, "final"), plans.margin(plan, environment, metric)
        for implementation in arms.implementations(environment, algorithm):
            if implementation in plans.references(plan):
                continue
            arm = Arm(implementation, algorithm)
            cell, failed = cells[environment, implementation, algorithm], arms.failed(final, arm)
            differs = differences(row, environment, cell["budget"], cell["evaluation"]["modes"])
            same = row["metric"] == BEST and not failed
            ours = {
                "algorithm": algorithm,
                "environment": environment,
                "metric": metric.name,
                "implementation": implementation,
                "budget": cell["budget"],
                "failed_seeds": failed,
                "ours_same_protocol": best(curves, environment, arm, metric) if same else np.nan,
            }
            judged = judge(row, arms(final, arm), arms.floor(final), margin, differs, str(metric.floor))
            rows.append({**_source(row, environment), **ours, **judged})
    return tables.frame("paper", rows)


def _matches(plan: Plan, known: pd.DataFrame) -> Iterator[tuple[dict[str, Any], str, Metric, str]]:
    """Each published row that is about an environment, a metric and a configuration of the plan."""
    for environment, about in plan["environments"].items():
        here = known[known.environment.map(base) == base(environment)]
        for metric in plans.metrics(plan, environment):
            for algorithm in about["algorithms"]:
                rows = here[(here.configuration == algorithm) & (here.metric.map(measured) == metric.name)]
                yield from ((row, environment, metric, algorithm) for row in rows.to_dict("records"))


def best(curves: pd.DataFrame | None, environment: str, arm: Arm, metric: Metric) -> float:
    """The "max average return" of an arm: the best mean over seeds of a deterministic evaluation.

    NaN without such evaluations, and where their seeds differ: the mean of those that are left is another
    quantity.
    """
    if curves is None:
        return float("nan")
    own = (curves.environment == environment) & (curves.metric == metric.name)
    own &= (curves.implementation == arm.implementation) & (curves.algorithm == arm.algorithm)
    points = curves[own & (curves.protocol == "deterministic")]
    if points["seeds"].nunique() != 1:
        return float("nan")
    return float(metric.better * (metric.better * points["mean"]).max())


def base(environment: str) -> str:
    """An environment id without namespace, version and preset.

    "ALE/Pong-v5@nature" becomes "Pong", and so does Gym's "PongNoFrameskip-v4".
    """
    return re.sub(r"((NoFrameskip|Deterministic)?-v\d+)(@\w+)?$", "", re.split(r"[/:]", environment)[-1])


def steps_there(row: Mapping[str, Any], environment: str) -> float:
    """The budget of a published row in environment steps; NaN where it is not stated."""
    if game(environment) is None or row.get("counted") == "steps":
        return float(row["frames_or_steps"])
    return float(row["frames_or_steps"]) / FRAMES if row.get("counted") == "frames" else float("nan")


def differences(row: Mapping[str, Any], environment: str, budget: int, modes: list[str]) -> list[str]:
    """What differs between a published row and ours; what the source does not state counts as different.

    Our protocol is that of the agent at the end of its budget, acting deterministically over whole episodes;
    the numbers of episodes and seeds are a matter of precision, not of protocol.
    """
    final = row["metric"] in (AT_THE_END, measured(row["metric"]))
    at_the_end = final and "deterministic policy" in str(row["protocol"])
    same = at_the_end and "deterministic" in modes
    atari = game(environment)
    here, there = (atari.preset, row.get("preset")) if atari else (environment, row["environment"])
    return [
        *(["environment version"] if there != here else []),
        *(["budget"] if steps_there(row, environment) != budget else []),
        *([] if same else ["evaluation protocol"]),
    ]


def judge(
    row: Mapping[str, Any],
    ours: statistics.Array,
    floor: Floor,
    margin: float,
    differs: list[str],
    floor_name: str = RANDOM,
) -> dict[str, Any]:
    """Verdict on one published value, from our final values (n,), the floor and the suite's margin."""
    low, high = statistics.mean_interval(ours)
    tolerance = margin * abs(row["value"] - mean(floor))
    if not np.size(floor):
        differs = [*differs, f"no {floor_name} agent in the suite"]
    if len(ours) < FEWEST:
        differs = [*differs, f"fewer than {FEWEST} seeds"]
    within = low - tolerance <= row["value"] <= high + tolerance
    verdict = "NOT COMPARABLE" if differs else "REPLICATED" if within else "NOT REPLICATED"
    return {
        "ours": float(ours.mean()) if len(ours) else float("nan"),
        "ci_low": low,
        "ci_high": high,
        "verdict": verdict,
        "differs_in": ", ".join(differs),
        "seeds": len(ours),
        "margin": tolerance,
    }


def _source(row: Mapping[str, Any], environment: str) -> dict[str, Any]:
    steps = steps_there(row, environment)
    atari = {
        "published_preset": row.get("preset"),
        "published_frames": row["frames_or_steps"] if np.isnan(steps) else FRAMES * steps,
    }
    return {
        "source": row["source_id"],
        "published": row["value"],
        "published_metric": row["metric"],
        "published_spread": row["spread"],
        "published_low": row["low"],
        "published_high": row["high"],
        "published_algorithm": row["algorithm"],
        "published_environment": row["environment"],
        "published_budget": steps,
        "published_protocol": row["protocol"],
        "published_seeds": row["seeds"],
        "spread_kind": row["spread_kind"],
        "citation": row["reference"],
        "provenance": row["provenance"],
        **(atari if game(environment) else {}),
    }
