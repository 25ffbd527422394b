"""Does an implementation match its reference? One row for each (algorithm, environment, metric, endpoint).

A configuration that differs from another of the suite only in how it computes, as ppo-bfloat16 from ppo, is
judged against that one too, both of the same implementation.

In this order: EQUIVALENT if two one-sided tests at 5 % place the difference within the margin; else WORSE
or BETTER if its Holm-adjusted p over its family of tests (see `families`) is below 0.05; else INCONCLUSIVE.
EQUIVALENT is tested at 5 % for each row, not for all rows of a report together. Before that, INCONCLUSIVE
where there is nothing to judge by: an arm or the floor is missing, an arm has fewer than five seeds, or the
reference did not learn (is not more than three standard errors better than the floor, the random agent of
most metrics).

A difference is exact only where both arms are declared deterministic. Other arms whose seeds all have the
same value are at a bound of what can be measured: they get NO VERDICT at this endpoint and do not count in
Holm's family; the other endpoint, `auc` in most cases, decides.

With fewer than five seeds the reason says what the numbers look like, and how many seeds would decide.

Where a suite's seeds grow until its pairs are decided, `decisions.looks` decides instead, and there is no
p_holm.

A failed seed has no score. Leaving it out flatters the arm that lost it, so no verdict may rest on that: if
a seed of the implementation failed, EQUIVALENT and BETTER are withheld, if one of the reference failed,
EQUIVALENT and WORSE; the row is then INCONCLUSIVE, and names the seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rlparity.analysis import attainable, plans, scores, statistics, tables
from rlparity.analysis.decisions import families, looks, seeds_to_decide
from rlparity.analysis.decisions.families import NO_SPREAD, PRIMARY, SECONDARY
from rlparity.analysis.decisions.obstacles import (
    AT_THE_CEILING,
    FEWEST,
    NOTHING_FINISHED,
    NOTHING_LEARNED,
    RANDOM,
    TOO_FEW,
    constant,
    obstacle,
)
from rlparity.analysis.intervals import rule
from rlparity.analysis.plans import Plan
from rlparity.analysis.schemas import TABLES
from rlparity.analysis.scores import Floor, Pair, Quantity, Scores

NEITHER = "neither equivalence nor a difference is shown"  # the reason of an ordinary INCONCLUSIVE
ALPHA = 0.05
NO_VERDICT = "NO VERDICT"
UNDECIDED = "INCONCLUSIVE"
DID_NOT_LEARN = f"{UNDECIDED} ({NOTHING_LEARNED})"
STOCHASTIC = (False, False)  # neither implementation nor reference is declared deterministic
INTERVALS = (("ci90_low", "ci90_high"), ("ci95_low", "ci95_high"))
MEANS = ("mean_implementation", "mean_reference", "mean_random")


def verdicts(table: pd.DataFrame, plan: Plan, equal: pd.DataFrame | None = None) -> pd.DataFrame:
    """Table of verdicts from the table of scores, and those on the terms of candidates; see `Scores`."""
    arms = Scores(table, equal)
    rated = _rated(arms, plan)
    rows = [_row(arms, plan, pair, quantity) | {"role": role} for pair, quantity, role in rated]
    if plans.looks(plan):
        for row, followed in zip(rows, looks.follow(rated, arms, plan), strict=True):
            row |= _at_looks(row, followed)
    else:
        _at_once(rows, plans.family(plan))
    made = [in_units(row, quantity.metric.better) for row, (_, quantity, _) in zip(rows, rated, strict=True)]
    return tables.frame("verdicts", [{name: row[name] for name in TABLES["verdicts"]} for row in made])


def look_table(table: pd.DataFrame, plan: Plan, equal: pd.DataFrame | None = None) -> pd.DataFrame:
    """Table of looks, from the same; empty where numbers of seeds are fixed."""
    return looks.table(followed(table, plan, equal), plan)


def followed(table: pd.DataFrame, plan: Plan, equal: pd.DataFrame | None = None) -> list[looks.Row]:
    """What became of every row of verdicts at the looks of a suite; none where numbers of seeds are fixed."""
    arms = Scores(table, equal)
    return looks.follow(_rated(arms, plan), arms, plan)


def _rated(arms: Scores, plan: Plan) -> list[tuple[Pair, Quantity, str]]:
    """Pairs and quantities of the rows, with their roles."""
    rated = [
        (pair, quantity) for pair in scores.pairs(plan, arms) for quantity in arms.quantities(pair, plan)
    ]
    return [(*one, role) for one, role in zip(rated, _roles(rated), strict=True)]


def _at_once(rows: Sequence[dict[str, Any]], family: str) -> None:
    """Add verdicts with fixed numbers of seeds to rows."""
    with_more = [row | {"reason": row["otherwise"]} for row in rows]
    found = zip(families.adjusted(rows, family), families.adjusted(with_more, family), strict=True)
    for row, (now, later) in zip(rows, found, strict=True):
        row |= now
        row["verdict"], row["reason"] = decide(row)
        row["seeds_needed"], looks_like = _needed(row, later["family_size"])
        row["reason"] += looks_like


def _at_looks(row: Mapping[str, Any], found: looks.Row) -> dict[str, Any]:
    """The verdict of a row whose pair is looked at until it is decided. Its p values allow for none."""
    word, reason = looks.verdict(found)
    kept = {"p_holm": np.nan, "family_size": found.family, "seeds_needed": ""}
    if not word:
        return kept | dict(zip(("verdict", "reason"), _stopped(reason), strict=True))
    # A seed of ours that failed before the look has ended the looks undecided; a later one changes nothing.
    lost = [arm for arm in row["failed_seeds"].split("; ") if arm.partition(" ")[0] != row["implementation"]]
    verdict, reason = _unless_lost(word, {**row, "failed_seeds": "; ".join(lost)})
    return kept | {"verdict": verdict, "reason": reason}


def _roles(rated: Sequence[tuple[Pair, Quantity]]) -> Iterator[str]:
    """The first endpoint of each pair and metric is the primary one."""
    seen = set[tuple[Pair, str]]()
    for pair, quantity in rated:
        key = pair, quantity.metric.name
        yield SECONDARY if key in seen else PRIMARY
        seen.add(key)


def _row(arms: Scores, plan: Plan, pair: Pair, quantity: Quantity) -> dict[str, Any]:
    """The numbers of a row; `otherwise` is the reason against a verdict if two seeds were enough."""
    lost = {
        pair.judged.implementation: arms.failed(quantity, pair.judged),
        in_short(pair.judged.implementation, str(pair.reference)): arms.failed(quantity, pair.reference),
    }
    declared = (plans.deterministic(plan, pair.judged), plans.deterministic(plan, pair.reference))
    x, y, floor = arms.compared(pair, quantity)
    terms = (x, y, floor, plans.margin(plan, pair.environment, quantity.metric), declared)
    name = str(quantity.metric.floor)
    row, with_two = tested(*terms, name), tested(*terms, name, 2)  # the fewest seeds that have a spread
    row |= _shown(x, y, row["distance"], declared, attainable.oriented(pair.environment, quantity.metric))
    row["otherwise"] = with_two["reason"]
    row["sds"] = tuple(_sd(arm, fixed) for arm, fixed in zip((x, y), declared, strict=True))
    row["failed_seeds"] = "; ".join(f"{who} {seeds}" for who, seeds in lost.items() if seeds)
    return {**pair.keys(quantity), **row}


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


def _sd(arm: statistics.Array, fixed: bool) -> float:
    """Spread over seeds; NaN where it is not known."""
    if len(arm) > 1:
        return float(arm.std(ddof=1))
    return 0.0 if fixed and len(arm) else math.nan


def _needed(row: Mapping[str, Any], tests: int) -> tuple[str, str]:
    """Column `seeds_needed`, and with fewer seeds than the minimum what the row looks like, for its reason.

    `tests` is the size of the family with this row in it.
    """
    margin, sds, difference = row["margin"] * row["distance"], row["sds"], row["difference"]
    equivalence = seeds_to_decide.for_equivalence(margin, sds, FEWEST)
    if row["verdict"] != UNDECIDED:
        return "", ""
    if row["reason"] == NEITHER:
        seeds = zip((row["seeds_implementation"], row["seeds_reference"]), sds, strict=True)
        fewest = min((n for n, sd in seeds if sd > 0), default=0)
        return ("" if equivalence.isdigit() and int(equivalence) <= fewest else equivalence), ""
    if row["reason"] != TOO_FEW or row["otherwise"] or not tests:
        return "", ""
    word, _ = decide({**row, "reason": "", "p_holm": row["p_difference"]})
    if word == UNDECIDED:
        return equivalence, ""
    needed = (
        seeds_to_decide.for_equivalence(margin, sds, FEWEST, difference)
        if word == "EQUIVALENT"
        else seeds_to_decide.for_difference(difference, sds, FEWEST, ALPHA / tests)
    )
    return needed, f": looks {word}; {needed} seeds would decide"


def tested(
    x: statistics.Array,
    y: statistics.Array,
    floor: Floor,
    margin: float,
    deterministic: tuple[bool, bool] = STOCHASTIC,
    floor_name: str = RANDOM,
    fewest: int | None = None,
) -> dict[str, Any]:
    """What decides a row: means, intervals, p values, and the reason against a verdict, if there is one.

    From the scores of implementation (n,) and reference (m,), larger ones better. `deterministic` has the
    declarations of these two. `margin` and `smallest_margin` are fractions of the distance
    |mean(reference) - mean(floor)|. Below `fewest` seeds, `FEWEST` if not given, nothing is decided.
    """
    fixed = (deterministic[0] and constant(x), deterministic[1] and constant(y))
    welch = statistics.welch(x, y, fixed)
    (low, high), (ci95_low, ci95_high) = welch.interval(1 - 2 * ALPHA), welch.interval(0.95)
    means = [float(arm.mean()) if len(arm) else np.nan for arm in (x, y)] + [scores.mean(floor)]
    distance = abs(means[1] - means[2])
    reason = obstacle(x, y, floor, floor_name, fixed, fewest or FEWEST)
    if not reason and fixed != deterministic:
        reason = "an arm is declared deterministic, and its seeds differ"
    if not reason and welch.se == 0 and not welch.exact and abs(welch.difference) <= margin * distance:
        reason = NO_SPREAD
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


def in_short(implementation: str, reference: str) -> str:
    """The name of a reference beside its failed seeds: "sb3"; "scratch/ppo" if it is of `implementation`."""
    own, _, _ = reference.partition("/")
    return reference if own == implementation else own


def decide(row: Mapping[str, Any]) -> tuple[str, str]:
    """Verdict and reason, from a row that has all its numbers, and in `reason` any reason against one."""
    if reason := row["reason"]:
        return _stopped(reason)
    if row["p_equivalence"] < ALPHA:
        return _unless_lost("EQUIVALENT", row)
    if row["p_holm"] >= ALPHA:
        return UNDECIDED, NEITHER
    return _unless_lost("WORSE" if row["difference"] < 0 else "BETTER", row)


def _stopped(reason: str) -> tuple[str, str]:
    """The word for a reason against a verdict, and the reason."""
    words = {NOTHING_LEARNED: DID_NOT_LEARN, AT_THE_CEILING: NO_VERDICT, NOTHING_FINISHED: NO_VERDICT}
    return next((word for start, word in words.items() if reason.startswith(start)), UNDECIDED), reason


def _unless_lost(word: str, row: Mapping[str, Any]) -> tuple[str, str]:
    """A verdict, unless it rests on an arm that lost a seed, and no reason; else UNDECIDED and why."""
    judged, reference = row["implementation"], in_short(row["implementation"], row["reference"])
    rests_on = {"EQUIVALENT": {judged, reference}, "WORSE": {reference}, "BETTER": {judged}}[word]
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
