"""How often 95 % intervals hold the truth, measured by drawing seeds from a pool with replacement.

The truth of a draw is the statistic of the whole pool, of a pair of pools the difference of their means or
the probability of improvement. Every method of `rule.CANDIDATES` is measured, the percentile bootstrap that
reports showed before, and what is shown now. The shares are those of these pools.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray

from rlparity.analysis import attainable, statistics, tables
from rlparity.analysis.intervals import methods, rule
from rlparity.analysis.simulations import pools
from rlparity.analysis.simulations.pools import Pool
from rlparity.analysis.statistics import Array
from rlparity.errors import UserError

DRAWS = 10_000
SLOW = {"spacings": 5, "bootstrap-t": 10, "percentile": 10}  # of these methods one draw in so many
CHUNK = 200  # draws at a time
BEFORE, SHOWN = "percentile", "shown"  # what reports showed before, and what they show
EVERYWHERE = "all"
LEVEL = 0.95
Interval = Callable[..., tuple[Array, Array]]  # of draws (R, n), or (R, n) and (R, m)


def measure(report: Path, into: Path, draws: int = DRAWS) -> pd.DataFrame:
    """Write `into/coverage.csv` from the scores of a suite's report, and return it.

    Raises UserError where no arm of the suite has `pools.SMALLEST` seeds.
    """
    found = pools.found(report)
    if not found:
        raise UserError(f"{report}: no arm has {pools.SMALLEST} seeds; run the suite pool")
    table = tables.frame("coverage", [*estimates(found, draws), *comparisons(found, draws)])
    tables.write_csv(into, "coverage", table)
    return table


def estimates(found: Iterable[Pool], draws: int = DRAWS) -> Iterator[dict[str, Any]]:
    """Rows about mean, median and inter-quartile mean of one arm."""
    for pool in found:
        for seeds in rule.SIZES:
            x = pool.drawn(seeds, draws)
            bound = _at_a_bound(x, pool)
            known = pool.bounds if bound.mean() > 0.5 else attainable.ANYTHING  # what methods may use
            for name, statistic in statistics.STATISTICS.items():
                about = _about(pool, str(pool.arm), name, seeds, seeds)
                truth = float(statistic(pool.scores))
                ways: dict[str, Interval] = {
                    method: partial(_one_way, method, name, known) for method in rule.CANDIDATES[name]
                }
                yield from _rows(about, ways, (x,), bound, truth, pool.bounds)
                before: Interval = partial(methods.percentile, statistic)
                shown: Interval = partial(_shown, name, pool.bounds)
                yield from _rows(about, {BEFORE: before, SHOWN: shown}, (x,), bound, truth, pool.bounds, True)


def _one_way(method: str, name: str, bounds: rule.Bounds, x: Array) -> tuple[Array, Array]:
    return rule.compute(method, name, x, bounds)


def _shown(name: str, bounds: rule.Bounds, x: Array) -> tuple[Array, Array]:
    return rule.of_estimate(name, x, bounds, ties=False)


def comparisons(found: Iterable[Pool], draws: int = DRAWS) -> Iterator[dict[str, Any]]:
    """Rows about pairs of arms: each with its reference, and each reference with itself.

    The other arm has as many seeds, or as many as its pool.
    """
    pairs = list(_pairs(list(found)))
    for one, other in pairs:
        for seeds in rule.SIZES:
            for beside in (seeds, len(other.scores)):
                x, y = one.drawn(seeds, draws), other.drawn(beside, draws, 1)
                bound = _at_a_bound(x, one) | _at_a_bound(y, other)
                who, reach = f"{one.arm} and {other.arm}", one.bounds[1] - one.bounds[0]
                about = _about(one, who, "difference", seeds, beside)
                truth, bounds = float(one.scores.mean() - other.scores.mean()), (-reach, reach)
                yield from _rows(about, {"welch": methods.welch}, (x, y), bound, truth, bounds)
                shown = partial(_shown_comparison, "difference", methods.welch, one)
                yield from _rows(about, {SHOWN: shown}, (x, y), bound, truth, bounds, True)
                about |= {"estimator": "improvement"}
                chance = float(statistics.probability_of_improvement(one.scores, other.scores))
                yield from _rows(about, {"newcombe": _newcombe}, (x, y), bound, chance, (0.0, 1.0))
                shown = partial(_shown_comparison, "improvement", _newcombe, one)
                ways: dict[str, Interval] = {BEFORE: methods.percentile_of_improvement, SHOWN: shown}
                yield from _rows(about, ways, (x, y), bound, chance, (0.0, 1.0), True)


def _pairs(found: list[Pool]) -> Iterator[tuple[Pool, Pool]]:
    for one in found:
        for other in found:
            if one.quantity == other.quantity and one.reference == other.arm:
                yield one, other


def _shown_comparison(estimate: str, way: Interval, pool: Pool, x: Array, y: Array) -> tuple[Array, Array]:
    """What `rule.of_difference` and `rule.of_improvement` show, of many draws at once."""
    bound, fewest = _at_a_bound(x, pool) | _at_a_bound(y, pool), min(x.shape[-1], y.shape[-1])
    here, beyond = (rule.chosen(estimate, where, fewest) for where in (rule.INSIDE, rule.AT_A_BOUND))
    none = np.where(bound, not beyond, not here)
    low, high = way(x, y)
    return np.where(none, np.nan, low), np.where(none, np.nan, high)


def _newcombe(x: Array, y: Array) -> tuple[Array, Array]:
    return methods.newcombe(statistics.probability_of_improvement(x, y), x.shape[-1], y.shape[-1])


def _at_a_bound(x: Array, pool: Pool) -> NDArray[np.bool_]:
    """Ties are none: seeds are drawn more than once."""
    return rule.at_a_bound(x, pool.bounds, ties=False)


def _about(pool: Pool, who: str, estimator: str, seeds: int, beside: int) -> dict[str, Any]:
    return {
        "pool": who,
        "environment": pool.environment,
        "metric": pool.metric.name,
        "estimator": estimator,
        "endpoint": pool.endpoint,
        "seeds": seeds,
        "seeds_other": beside,
        "nominal": LEVEL,
    }


def _rows(
    about: dict[str, Any],
    ways: dict[str, Interval],
    arms: tuple[Array, ...],
    bound: NDArray[np.bool_],
    truth: float,
    bounds: tuple[float, float],
    everywhere: bool = False,
) -> Iterator[dict[str, Any]]:
    """A row for each way, of the draws inside the bounds or of those at one, whichever most draws are.

    With `everywhere` it is of all draws.
    """
    most, taken = (rule.AT_A_BOUND, bound) if bound.mean() > 0.5 else (rule.INSIDE, ~bound)
    where, taken = (EVERYWHERE, np.ones_like(bound)) if everywhere else (most, taken)
    for name, interval in ways.items():
        count = max(len(taken) // SLOW.get(_method(name, about, most), 1), 1)
        some = [arm[:count][taken[:count]] for arm in arms]
        parts = [
            interval(*(arm[start : start + CHUNK] for arm in some)) for start in range(0, len(some[0]), CHUNK)
        ]
        low, high = (np.clip(np.concatenate(ends), *bounds) for ends in zip(*parts, strict=True))
        yield {**about, "method": name, "draws_from": where, **_shares(low, high, truth, bounds)}


def _method(name: str, about: dict[str, Any], most: str) -> str:
    """The name of a method; of what is shown, that of the method in most draws."""
    if name != SHOWN:
        return name
    return rule.chosen(about["estimator"], most, min(about["seeds"], about["seeds_other"]))


def _shares(low: Array, high: Array, truth: float, bounds: tuple[float, float]) -> dict[str, Any]:
    shown, slack = np.isfinite(low) & np.isfinite(high), 1e-9 * (1 + abs(truth))
    held = shown & (low <= truth + slack) & (truth - slack <= high)
    known = scipy.stats.binomtest(int(held.sum()), int(shown.sum())) if shown.any() else None
    ends = known.proportion_ci(method="wilson") if known else None
    return {
        "draws": len(shown),
        "shown": shown.mean(),
        "coverage": held.sum() / shown.sum() if known else np.nan,
        "ci_low": ends.low if ends else np.nan,
        "ci_high": ends.high if ends else np.nan,
        "missed": (shown & ~held).mean(),
        "width": np.median((high - low)[shown]) if known else np.nan,
        "reach": bounds[1] - bounds[0],
    }


def choices(coverage: pd.DataFrame) -> dict[tuple[str, str], dict[int, str]]:
    """The table `rule.CHOSEN` that follows from the measured one."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for estimate, candidates in rule.CANDIDATES.items():
        for where in (rule.INSIDE, rule.AT_A_BOUND):
            rows = coverage[(coverage.estimator == estimate) & (coverage.draws_from == where)]
            found[estimate, where] = {
                size: next((name for name in candidates if _holds(rows[rows.seeds == size], name)), "")
                for size in rule.SIZES
            }
    return found


def _holds(rows: pd.DataFrame, method: str) -> bool:
    """Whether a method has an interval in nearly every draw from every pool, and it holds the truth."""
    rows = rows[rows.method == method]
    wide = (rows.width > rule.INFORMATIVE * rows.reach).any() and method == "spacings"
    return bool(len(rows) and (rows.shown > 0.99).all() and (rows.coverage >= rule.HOLDS).all()) and not wide
