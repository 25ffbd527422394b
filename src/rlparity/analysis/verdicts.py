"""Does an implementation match its reference? One row for each (algorithm, environment, metric, endpoint).

A configuration that differs from another of the suite only in how it computes, as ppo-bfloat16 from ppo, is
judged against that one too, both of the same implementation.

In this order: EQUIVALENT if two one-sided tests at 5 % place the difference within the margin; else WORSE
or BETTER if its Holm-adjusted p over all rows of the report, both endpoints, is below 0.05; else
INCONCLUSIVE. Before that, INCONCLUSIVE where there is nothing to judge by: an arm or the floor is missing,
an arm has fewer than five seeds, or the reference did not learn (is not more than three standard errors
better than the floor, the random agent of most metrics).

A difference is exact only where both arms are declared deterministic. Other arms whose seeds all have the
same value are at a bound of what can be measured: they get NO VERDICT at this endpoint and do not count in
Holm's family; the other endpoint, `auc` in most cases, decides.

A failed seed has no score. Leaving it out flatters the arm that lost it, so no verdict may rest on that: if
a seed of the implementation failed, EQUIVALENT and BETTER are withheld, if one of the reference failed,
EQUIVALENT and WORSE; the row is then INCONCLUSIVE, and names the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rlparity.analysis import attainable, plans, scores, statistics, tables
from rlparity.analysis.intervals import rule
from rlparity.analysis.plans import Plan
from rlparity.analysis.scores import Floor, Pair, Quantity, Scores
from rlparity.metrics import RETURN

FEWEST = 5  # seeds per arm below which nothing is decided, unless it is deterministic
ALPHA = 0.05
NO_VERDICT = "NO VERDICT"
NOTHING_FINISHED = "no finished seed"  # the beginning of a reason
NOTHING_LEARNED = "reference did not learn"  # the beginning of a reason
AT_THE_CEILING = "all at the ceiling"  # the beginning of a reason
UNDECIDED = "INCONCLUSIVE"
DID_NOT_LEARN = f"{UNDECIDED} ({NOTHING_LEARNED})"
STOCHASTIC = (False, False)  # neither implementation nor reference is declared deterministic
RANDOM = str(RETURN.floor)
INTERVALS = (("ci90_low", "ci90_high"), ("ci95_low", "ci95_high"))
MEANS = ("mean_implementation", "mean_reference", "mean_random")


def verdicts(table: pd.DataFrame, plan: Plan, equal: pd.DataFrame | None = None) -> pd.DataFrame:
    """Table of verdicts from the table of scores, and those on the terms of candidates; see `Scores`."""
    arms = Scores(table, equal)
    rated = [
        (pair, quantity) for pair in scores.pairs(plan, arms) for quantity in arms.quantities(pair, plan)
    ]
    rows = [_row(arms, plan, *one) for one in rated]
    for row, p in zip(rows, statistics.holm([row["p_difference"] for row in rows]), strict=True):
        row["p_holm"] = p
        row["verdict"], row["reason"] = decide(row)
    made = [in_units(row, quantity.metric.better) for row, (_, quantity) in zip(rows, rated, strict=True)]
    return tables.frame("verdicts", made)


def _row(arms: Scores, plan: Plan, pair: Pair, quantity: Quantity) -> dict[str, Any]:
    lost = {
        pair.judged.implementation: arms.failed(quantity, pair.judged),
        in_short(pair.judged.implementation, str(pair.reference)): arms.failed(quantity, pair.reference),
    }
    declared = (plans.deterministic(plan, pair.judged), plans.deterministic(plan, pair.reference))
    margin = plans.margin(plan, pair.environment, quantity.metric)
    x, y, floor = arms.compared(pair, quantity)
    numbers = compare(x, y, floor, margin, declared, str(quantity.metric.floor))
    numbers |= _shown(
        x, y, numbers["distance"], declared, attainable.oriented(pair.environment, quantity.metric)
    )
    failed = "; ".join(f"{who} {seeds}" for who, seeds in lost.items() if seeds)
    return {**pair.keys(quantity), **numbers, "failed_seeds": failed}


def _shown(
    x: statistics.Array,
    y: statistics.Array,
    distance: float,
    declared: tuple[bool, bool],
    bounds: tuple[float, float],
) -> dict[str, float]:
    """The intervals that hold what they promise, and the smallest margin, which is an end of one; else NaN.

    The tests are Welch's all the same.
    """
    (low, high), wide = (rule.of_difference(x, y, level, bounds, declared) for level in (1 - 2 * ALPHA, 0.95))
    smallest = max(abs(low), abs(high)) / distance if distance > 0 else np.nan
    ends = {"ci90_low": low, "ci90_high": high, "ci95_low": wide[0], "ci95_high": wide[1]}
    return ends | {"smallest_margin": smallest}


def compare(
    x: statistics.Array,
    y: statistics.Array,
    floor: Floor,
    margin: float,
    deterministic: tuple[bool, bool] = STOCHASTIC,
    floor_name: str = RANDOM,
) -> dict[str, Any]:
    """The numbers of one row, from the scores of implementation (n,) and reference (m,), larger ones better.

    `deterministic` has the declarations of these two. `margin` and `smallest_margin` are fractions of the
    distance |mean(reference) - mean(floor)|.
    """
    row = tested(x, y, floor, margin, deterministic, floor_name)
    distance, sds = row["distance"], [float(arm.std(ddof=1)) if len(arm) > 1 else np.nan for arm in (x, y)]
    known = np.isfinite([distance, row["p_equivalence"], *sds]).all()
    needed = statistics.seeds_needed(margin * distance, sds[0], sds[1]) if known else 0
    return row | {"seeds_needed": ">1000" if needed is None else str(needed or "")}


def tested(
    x: statistics.Array,
    y: statistics.Array,
    floor: Floor,
    margin: float,
    deterministic: tuple[bool, bool] = STOCHASTIC,
    floor_name: str = RANDOM,
) -> dict[str, Any]:
    """The part of `compare` that decides: means, intervals, p values, and the reason against a verdict."""
    fixed = (deterministic[0] and _constant(x), deterministic[1] and _constant(y))
    welch = statistics.welch(x, y, fixed)
    (low, high), (ci95_low, ci95_high) = welch.interval(1 - 2 * ALPHA), welch.interval(0.95)
    means = [float(arm.mean()) if len(arm) else np.nan for arm in (x, y)] + [scores.mean(floor)]
    distance = abs(means[1] - means[2])
    reason = _obstacle(x, y, floor, floor_name, fixed)
    if not reason and fixed != deterministic:
        reason = "an arm is declared deterministic, and its seeds differ"
    if not reason and welch.se == 0 and not welch.exact and abs(welch.difference) <= margin * distance:
        reason = "no arm has a spread over seeds, and they differ by less than the margin"
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
        "reason": reason,
    }


def _constant(arm: statistics.Array) -> bool:
    return len(arm) > 0 and bool(np.ptp(arm) == 0)


def _obstacle(
    x: statistics.Array, y: statistics.Array, floor: Floor, floor_name: str, fixed: tuple[bool, bool]
) -> str:
    """The reason against any verdict, or none; `fixed` marks the arms that are deterministic."""
    given = np.ndim(floor) == 0  # a constant has no spread
    if not len(y):
        return "no finished run of the reference"
    if not len(x):
        return f"{NOTHING_FINISHED}: could not be judged"
    if not np.size(floor):
        return f"no {floor_name} agent in the suite"
    if any(len(arm) < FEWEST and not exact for arm, exact in zip((x, y), fixed, strict=True)):
        return f"fewer than {FEWEST} seeds"
    if np.size(floor) < 2 and not given:
        return f"fewer than 2 seeds of the {floor_name} agent"
    above = statistics.welch(y, np.atleast_1d(floor), (fixed[1], given))
    equal, seeds = _constant(np.concatenate([x, y])) and not all(fixed), f"{len(x)} and {len(y)} seeds"
    if above.difference <= 3 * above.se:
        return NOTHING_LEARNED + (f": all at the floor, {seeds}" if equal else "")
    return f"{AT_THE_CEILING}, {seeds}" if equal else ""


def in_short(implementation: str, reference: str) -> str:
    """The name of a reference beside its failed seeds: "sb3"; "scratch/ppo" if it is of `implementation`."""
    own, _, _ = reference.partition("/")
    return reference if own == implementation else own


def decide(row: Mapping[str, Any]) -> tuple[str, str]:
    """Verdict and reason, from a row that has all its numbers, and in `reason` any reason against one."""
    if reason := row["reason"]:
        words = {NOTHING_LEARNED: DID_NOT_LEARN, AT_THE_CEILING: NO_VERDICT, NOTHING_FINISHED: NO_VERDICT}
        return next((word for start, word in words.items() if reason.startswith(start)), UNDECIDED), reason
    reference = in_short(row["implementation"], row["reference"])
    if row["p_equivalence"] < ALPHA:
        word, rests_on = "EQUIVALENT", {row["implementation"], reference}
    elif row["p_holm"] >= ALPHA:
        return UNDECIDED, "neither equivalence nor a difference is shown"
    elif row["difference"] < 0:
        word, rests_on = "WORSE", {reference}
    else:
        word, rests_on = "BETTER", {row["implementation"]}
    lost = [arm for arm in row["failed_seeds"].split("; ") if arm.partition(" ")[0] in rests_on]
    return (UNDECIDED, f"{word} but for failed seeds ({'; '.join(lost)})") if lost else (word, "")


def in_units(row: Mapping[str, Any], better: int) -> dict[str, Any]:
    """A row of scores that were multiplied by `better`, with differences and means in the metric's unit."""
    if better > 0:
        return dict(row)
    turned = {name: -row[name] for name in ("difference", *MEANS)}
    for low, high in INTERVALS:
        turned |= {low: -row[high], high: -row[low]}
    return {**row, **turned}
