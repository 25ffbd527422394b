"""Table `paper`: our final values against published numbers.

NOT COMPARABLE where environment version, budget or evaluation protocol differ or are not stated in the
source. Of the others, REPLICATED if the 90 % interval of the difference of ours and the published value lies
within the margin, NOT REPLICATED if it does not and the difference is shown at 5 %, adjusted over the
comparable rows (Holm), else UNDECIDED, with the seeds that would decide. The margin is the suite's fraction
of the published value's distance from the floor, the random agent of most metrics. `comparison` has the error
of the difference; the protocols of the sources are in docs/method/published-numbers.md.

Atari games have the same version where the source emulates them as our preset does, under any name; that, and
whether it counts steps or frames, is in `atari.csv`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from rlparity.analysis import attainable, plans, statistics, tables
from rlparity.analysis.intervals import rule
from rlparity.analysis.plans import Plan
from rlparity.analysis.published import comparison
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
            bounds = attainable.values(environment, metric)
            tested = compare(row, arms(final, arm), arms.floor(final), margin, bounds, str(metric.floor))
            rows.append({**_source(row, environment), **ours, **tested, "differs_in": ", ".join(differs)})
    family = [np.nan if row["differs_in"] else row["p_difference"] for row in rows]
    for row, p in zip(rows, statistics.holm(family), strict=True):
        row["p_holm"] = p
        row["verdict"], row["reason"] = decide(row)
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

    "ALE/Pong-v5@nature" becomes "Pong", and so does Gym's "PongNoFrameskip-v4". The namespace MinAtar stays:
    its games are named as those of Atari.
    """
    name = environment if environment.startswith("MinAtar/") else re.split(r"[/:]", environment)[-1]
    return re.sub(r"((NoFrameskip|Deterministic)?-v\d+)(@\w+)?$", "", name)


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


def compare(
    row: Mapping[str, Any],
    ours: statistics.Array,
    floor: Floor,
    margin: float,
    bounds: tuple[float, float] = attainable.ANYTHING,
    floor_name: str = RANDOM,
) -> dict[str, Any]:
    """The numbers behind a verdict on one published value, and in `reason` any reason against one.

    From our final values (n,), the floor, the suite's margin, and the lowest and highest value there can be.
    """
    n, nan = len(ours), float("nan")
    tolerance = margin * abs(row["value"] - mean(floor))
    other = comparison.theirs(row)
    ends = rule.of_estimate("mean", ours, bounds)
    found: dict[str, Any] = {
        "ours": float(ours.mean()) if n else nan,
        "seeds": n,
        "margin": tolerance,
        "ci_low": float(ends[0]),
        "ci_high": float(ends[1]),
        "difference": float(ours.mean()) - other.value if n else nan,
        **dict.fromkeys(("ci90_low", "ci90_high", "p_difference"), nan),
        "seeds_needed": "",
        "reason": "",
    }
    if not np.size(floor):
        return found | {"reason": f"no {floor_name} agent in the suite"}
    if n < FEWEST:
        return found | {"reason": f"fewer than {FEWEST} seeds"}
    if not np.isfinite(tolerance):
        return found | {"reason": "the margin is not known"}
    bounded = comparison.at_a_bound(ours, other, bounds)
    if bounded is None and np.ptp(ours) == 0:
        return found | {"reason": "our seeds have no spread"}
    if bounded is not None and not bounded.known:
        return found | {"reason": "our seeds have no spread that could stand for the published one"}
    compared = bounded or comparison.compare(ours, other)
    low, high = attainable.clipped(compared.interval(1 - 2 * comparison.ALPHA), _reach(other, bounds))
    if not np.isnan(other.seeds):  # else the number's own error is not known
        found["p_difference"] = compared.p_difference
    if max(abs(low), abs(high)) >= tolerance:
        if isinstance(compared, comparison.AtABound):
            needed = compared.seeds_needed(tolerance)
        else:
            needed = comparison.seeds_needed(float(ours.std(ddof=1)), other, tolerance)
        found["seeds_needed"] = "none" if needed is None else str(max(needed, FEWEST))
    return found | {"ci90_low": low, "ci90_high": high}


def _reach(other: comparison.Theirs, bounds: tuple[float, float]) -> tuple[float, float]:
    """Lowest and highest difference there can be: from the number itself where its error is not known, else
    from its expectation, which lies within the bounds as ours does."""
    if np.isnan(other.seeds):
        return bounds[0] - other.value, bounds[1] - other.value
    return bounds[0] - bounds[1], bounds[1] - bounds[0]


def decide(row: Mapping[str, Any]) -> tuple[str, str]:
    """Verdict and reason, from the numbers of a row.

    A failed seed has no score, and to leave it out may flatter or harm ours: no verdict rests on the others.
    """
    if row["differs_in"]:
        return "NOT COMPARABLE", row["reason"]
    if row["reason"]:
        return "UNDECIDED", row["reason"]
    remark = _NUMBER if np.isnan(row["published_seeds"]) else ""
    word = "UNDECIDED"
    if max(abs(row["ci90_low"]), abs(row["ci90_high"])) < row["margin"]:
        word = "REPLICATED"
    elif row["p_holm"] < comparison.ALPHA:
        word = "NOT REPLICATED"
    if word != "UNDECIDED":
        failed = row["failed_seeds"]
        return ("UNDECIDED", f"{word} but for failed seeds ({failed})") if failed else (word, remark)
    needed = row["seeds_needed"]
    if needed == "none":
        told = f"no number of our seeds up to {comparison.MOST:,} would decide"
    elif int(needed) > row["seeds"]:
        told = f"{needed} seeds of ours would decide if the expectations are the same"
    else:
        told = "neither is shown"
    return "UNDECIDED", "; ".join(filter(None, [remark, told]))


_NUMBER = "against the number, not its expectation: its seeds are not stated"


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
