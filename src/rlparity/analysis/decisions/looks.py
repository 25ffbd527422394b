"""Pairs that are looked at with growing numbers of seeds, until they are decided.

The plan of such a suite has `looks`. Every look is worked out again from the scores of the seeds that it
has, by `group_sequential.design`, so the answer does not depend on when a look was taken. Both questions,
difference and equivalence, are asked of the primary endpoint. A secondary endpoint is asked once, at the
look at which its pair ended, by the boundaries of that look: as it might have been asked at each, its error
is controlled, too.

Equivalence is not asked at a look where a seed of either arm is at a bound of the metric, or the best or
worst score is shared: a few seeds that all reach the bound say little about those that do not, so no
interval is shown of them either (`intervals.rule`). Nothing is asked where neither arm has a spread.

The size of a family is known from the references alone: a pair whose reference has not learned, or has too
few seeds, does not count and is not looked at. A pair of which a seed failed is looked at no more, and is
undecided: what that seed would have scored is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rlparity.analysis import attainable, plans, tables
from rlparity.analysis.decisions import families
from rlparity.analysis.decisions.families import PRIMARY
from rlparity.analysis.decisions.obstacles import (
    AT_THE_CEILING,
    FEWEST,
    NOTHING_FINISHED,
    constant,
    obstacle,
)
from rlparity.analysis.group_sequential import design
from rlparity.analysis.group_sequential.design import Design, Sample
from rlparity.analysis.intervals import rule
from rlparity.analysis.plans import Plan
from rlparity.analysis.scores import Floor, Pair, Quantity, Scores
from rlparity.analysis.statistics import Array

NEITHER_FIXED = (False, False)  # no arm is declared deterministic
NONE_FINISHED = f"{NOTHING_FINISHED}: could not be judged"
WORDS = {design.EQUIVALENT: "EQUIVALENT", design.WORSE: "WORSE", design.BETTER: "BETTER"}


@dataclass
class Row:
    """A row of verdicts over the looks at its pair."""

    pair: Pair
    quantity: Quantity
    role: str
    difference: Array  # Z at each look, (K,); NaN where a look was not taken
    equivalence: Array  # of the two one-sided tests, likewise
    taken: int  # looks for which all seeds are there
    reference: int  # seeds of the reference
    obstacle: str  # why the pair is not looked at; empty if it is
    failed: str  # seeds that failed before the next look
    stuck: str = ""  # why there is nothing to see in the seeds of the last look: none, or all the same
    boundaries: tuple[Array, Array] = (np.array([]), np.array([]))  # of difference and equivalence, (K,)
    verdict: str = ""  # EQUIVALENT, WORSE or BETTER; empty while it is none of them
    look: int = 0  # the look at which it was decided, from 1
    family: int = 0  # rows of its family
    pair_ended: bool = False  # of a secondary row: whether its pair is looked at no more

    @property
    def is_open(self) -> bool:
        """Whether more seeds may decide it."""
        last = self.taken == len(self.difference)
        return not (self.verdict or self.obstacle or self.failed or self.pair_ended or last)

    @property
    def ended(self) -> int:
        """The look at which it was decided, else the last one that was taken."""
        return self.look or self.taken


def follow(rated: Sequence[tuple[Pair, Quantity, str]], arms: Scores, plan: Plan) -> list[Row]:
    """The rows of verdicts, of pairs, quantities and roles, with what became of them; none without looks."""
    if not plans.looks(plan):
        return []
    rows = [_row(*one, arms, plan) for one in rated]
    primary = [row for row in rows if row.role == PRIMARY]
    _decide(primary, plan)
    ends = {(row.pair, row.quantity.metric): row for row in primary}
    secondary = [row for row in rows if row.role != PRIMARY]
    for row in secondary:
        own = ends[row.pair, row.quantity.metric]
        if own.obstacle and not row.obstacle:
            row.obstacle = f"its pair was not looked at: {own.obstacle}"
        row.pair_ended = not own.is_open
        asked = np.arange(1, len(row.difference) + 1) == (0 if own.is_open else own.ended)
        row.difference, row.equivalence = (
            np.where(asked, z, np.nan) for z in (row.difference, row.equivalence)
        )
    _decide(secondary, plan)
    return rows


def _row(pair: Pair, quantity: Quantity, role: str, arms: Scores, plan: Plan) -> Row:
    """The Z of a row at each look for which all seeds are there."""
    looks, name = plans.looks(plan), str(quantity.metric.floor)
    _, y, floor = arms.compared(pair, quantity)
    against = obstacle(y, y, floor, name, NEITHER_FIXED, FEWEST)
    against = "" if against.startswith(AT_THE_CEILING) else against
    none = np.full(len(looks), np.nan)
    row = Row(pair, quantity, role, none, none.copy(), 0, len(y), against, "")
    scores, better = arms.by_seed(quantity, pair.judged), quantity.metric.better
    share = plans.margin(plan, pair.environment, quantity.metric)
    bounds = attainable.oriented(pair.environment, quantity.metric)
    for k, seeds in enumerate(() if against else looks):
        there = scores.reindex(seeds)
        lost = [seed for seed in seeds if seed in scores.index and np.isnan(scores[seed])]
        if lost and not plan.get("interim"):
            row.failed = ", ".join(map(str, lost))
            row.stuck = NONE_FINISHED if len(lost) == len(seeds) else ""
        if there.isna().any():
            break
        x = better * there.to_numpy(dtype=float)
        row.difference[k], row.equivalence[k] = _asked(x, y, floor, share, bounds)
        row.taken, row.stuck = k + 1, obstacle(x, y, floor, name, NEITHER_FIXED, FEWEST)
    return row


def _asked(
    x: Array, y: Array, floor: Floor, share: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Z of difference and equivalence; NaN for what is not asked of these scores, (n,) and (m,)."""
    if constant(x) and constant(y):
        return float("nan"), float("nan")
    difference, equivalence = design.z_scores(Sample.of(x), Sample.of(y), Sample.of(floor), share)
    bound = any(rule.at_a_bound(arm, bounds).item() for arm in (x, y))
    return float(difference), float("nan") if bound else float(equivalence)


def _decide(rows: Sequence[Row], plan: Plan) -> None:
    """Give rows of one role their verdicts, looks and boundaries, family by family."""
    looked = [row for row in rows if not row.obstacle]
    alone = plans.family(plan) == families.ROW
    for members in [[row] for row in looked] if alone else [looked] * bool(looked):
        designs = [Design(row.reference, tuple(map(len, plans.looks(plan)))) for row in members]
        z = [np.stack([getattr(row, name) for row in members]) for name in ("difference", "equivalence")]
        found = design.run(designs, z[0][None], z[1][None])
        for row, verdict, look in zip(members, found.verdict[0], found.look[0], strict=True):
            row.verdict, row.look, row.family = WORDS.get(int(verdict), ""), int(look) + 1, len(members)
        for place, row in enumerate(members):
            row.boundaries = _boundaries(members, designs, place)


def _boundaries(members: Sequence[Row], designs: Sequence[Design], place: int) -> tuple[Array, Array]:
    """The boundaries of a row at each look, (K,) each, after the other rows were answered."""
    looks = len(members[place].difference)
    others = [row for other, row in enumerate(members) if other != place]
    found = []
    for sides, words in ((2, ("BETTER", "WORSE")), (1, ("EQUIVALENT",))):
        levels = design.levels(designs, sides, looks)
        answered = [
            sum(row.verdict in words and row.look <= look + 1 for row in others) for look in range(looks)
        ]
        found.append(np.array([levels[answered[look], place, look] for look in range(looks)]))
    return found[0], found[1]


def verdict(row: Row) -> tuple[str, str]:
    """EQUIVALENT, WORSE or BETTER, or nothing and the reason."""
    if row.verdict or row.obstacle:
        return row.verdict, row.obstacle
    n = f"look {row.taken} of {len(row.difference)}"
    if row.stuck and not row.is_open:
        return "", row.stuck
    if row.failed:
        return "", f"failed seeds {row.failed} after {n}: no further look"
    if row.is_open:
        return "", f"{n}: not decided yet"
    if row.pair_ended:
        return "", "not decided at the look that ended its pair"
    return "", f"not decided at the last of {len(row.difference)} looks"


def table(rows: Sequence[Row], plan: Plan) -> pd.DataFrame:
    """Table `looks`: a row for each look that a pair was given, by its primary endpoint."""
    found, looks = [], plans.looks(plan)
    for row in rows:
        shown: dict[str, Any] = row.pair.keys(row.quantity)
        information = Design(max(row.reference, 1), tuple(map(len, looks))).fractions
        for k in range(row.ended if row.role == PRIMARY else 0):
            found.append(
                {
                    **shown,
                    "look": k + 1,
                    "seeds_implementation": len(looks[k]),
                    "seeds_reference": row.reference,
                    "information": information[k],
                    "z_difference": row.difference[k] * row.quantity.metric.better,
                    "boundary_difference": row.boundaries[0][k],
                    "z_equivalence": row.equivalence[k],
                    "boundary_equivalence": row.boundaries[1][k],
                    "family_size": row.family,
                    "verdict": row.verdict if k + 1 == row.look else "",
                }
            )
    return tables.frame("looks", found)
