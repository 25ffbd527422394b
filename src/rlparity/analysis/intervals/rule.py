"""The one rule by which an interval is shown, or none: in tables, bands of curves and figures.

Of each estimate, the methods of `CANDIDATES` were measured on pools of seeds, from which draws were made (see
`analysis/simulations/coverage.py`). `CHOSEN` has the first in that order whose 95 % interval held the pool's
value in at least `HOLDS` of all draws from every pool; apart for draws inside the bounds of the metric and
for draws of which a seed is at a bound; none where no method did. An interval whose ends are the bounds
themselves rather than seeds says little: `spacings` must also leave out a quarter of what the metric can
reach. Between the sizes that were measured, the smaller one counts; below the smallest nothing is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlparity.analysis import statistics
from rlparity.analysis.attainable import ANYTHING, clipped
from rlparity.analysis.intervals import methods
from rlparity.analysis.statistics import Array

MEASURED_ON = "CartPole-v1"  # the environment of the pools behind CHOSEN
HOLDS = 0.93  # of draws, at a nominal 95 %
INFORMATIVE = 0.75  # of what a metric can reach: the widest interval that takes its ends from the bounds
SIZES = (3, 5, 10, 20)  # seeds in a draw
CANDIDATES = {  # in order of preference
    "mean": ("student", "spacings", "bootstrap-t"),
    "iqm": ("spacings", "order", "trimmed-t"),
    "median": ("order",),
    "difference": ("welch",),
    "improvement": ("newcombe",),
}
INSIDE, AT_A_BOUND = "inside", "at a bound"
CHOSEN: dict[tuple[str, str], dict[int, str]] = {  # (estimate, where) -> seeds -> method
    ("mean", INSIDE): {3: "student", 5: "student", 10: "student", 20: "student"},
    ("mean", AT_A_BOUND): {3: "", 5: "spacings", 10: "spacings", 20: "spacings"},
    ("iqm", INSIDE): {3: "trimmed-t", 5: "order", 10: "order", 20: "spacings"},
    ("iqm", AT_A_BOUND): {3: "", 5: "", 10: "spacings", 20: "spacings"},
    ("median", INSIDE): {3: "", 5: "order", 10: "order", 20: "order"},
    ("median", AT_A_BOUND): {3: "", 5: "order", 10: "order", 20: "order"},
    ("difference", INSIDE): {3: "", 5: "welch", 10: "welch", 20: "welch"},
    ("difference", AT_A_BOUND): {3: "", 5: "", 10: "", 20: ""},
    ("improvement", INSIDE): {3: "", 5: "newcombe", 10: "newcombe", 20: "newcombe"},
    ("improvement", AT_A_BOUND): {3: "newcombe", 5: "newcombe", 10: "newcombe", 20: "newcombe"},
}
Bounds = tuple[float, float]


def promise(environments: Iterable[str]) -> str:
    """On which seeds coverage was measured, for captions."""
    if set(environments) == {MEASURED_ON}:
        return f"Coverage measured on the pools of {MEASURED_ON} (report calibration)."
    return f"95 % is nominal; coverage measured on the pools of {MEASURED_ON} (report calibration)."


def chosen(estimate: str, where: str, seeds: int) -> str:
    """The method for so many seeds, those of the smaller arm; empty where none is shown."""
    by_size = CHOSEN[estimate, where]
    return by_size[max(size for size in by_size if size <= seeds)] if seeds >= min(by_size) else ""


def at_a_bound(x: ArrayLike, bounds: Bounds = ANYTHING, ties: bool = True) -> NDArray[np.bool_]:
    """Whether a seed of each row, (..., n), is at a bound, or two share the highest or lowest score.

    Means over many episodes rarely coincide where no bound makes them; so an environment's bounds need not be
    known. Returns that are whole numbers may tie by chance, which costs an interval that would hold. Seeds
    drawn with replacement have `ties` that mean nothing.
    """
    x = np.sort(np.asarray(x, dtype=float), -1)
    known: NDArray[np.bool_] = (x[..., 0] <= bounds[0]) | (x[..., -1] >= bounds[1])
    return known if not ties else known | (x[..., 0] == x[..., 1]) | (x[..., -1] == x[..., -2])


def of_estimate(
    estimate: str, x: ArrayLike, bounds: Bounds = ANYTHING, level: float = 0.95, ties: bool = True
) -> tuple[Array, Array]:
    """Interval of the mean, iqm or median over seeds: (..., n) -> lower and upper end, (...), NaN for none.

    `ties` as in `at_a_bound`.
    """
    x = np.asarray(x, dtype=float)
    low, high = np.full(x.shape[:-1], np.nan), np.full(x.shape[:-1], np.nan)
    if x.shape[-1] < min(SIZES):
        return low, high
    bound = at_a_bound(x, bounds, ties)
    for where, here in ((INSIDE, ~bound), (AT_A_BOUND, bound)):
        method = chosen(estimate, where, x.shape[-1])
        if method and here.any():
            reach = bounds if where == AT_A_BOUND else ANYTHING
            low[here], high[here] = compute(method, estimate, x[here], reach, level)
    value = statistics.STATISTICS[estimate](x, axis=-1)
    low, high = np.minimum(low, value), np.maximum(high, value)  # rounding
    return np.maximum(low, bounds[0]), np.minimum(high, bounds[1])


def compute(
    method: str, estimate: str, x: Array, bounds: Bounds = ANYTHING, level: float = 0.95
) -> tuple[Array, Array]:
    """Ends by one method, by its name in `CANDIDATES`; `bounds` are used by `spacings` alone."""
    if method == "spacings":
        trim = methods.TRIM if estimate == "iqm" else 0.0
        return methods.spacings(x, level, trim, bounds)
    return BY_NAME[method](x, level)


BY_NAME: dict[str, Callable[[Array, float], methods.Ends]] = {
    "student": methods.student,
    "trimmed-t": methods.trimmed_t,
    "order": methods.order_statistics,
    "bootstrap-t": methods.bootstrap_t,
}


def of_difference(
    x: ArrayLike,
    y: ArrayLike,
    level: float = 0.95,
    bounds: Bounds = ANYTHING,
    deterministic: tuple[bool, bool] = (False, False),
) -> tuple[float, float]:
    """Interval of the difference of the means of two arms, (n,) and (m,); NaN for none.

    `deterministic` says which arms are declared so: without a spread they have no error. Of two such arms the
    difference is exact.
    """
    arms = [np.asarray(arm, dtype=float) for arm in (x, y)]
    same = [len(arm) > 0 and bool(np.ptp(arm) == 0) for arm in arms]
    fixed = deterministic[0] and same[0], deterministic[1] and same[1]
    compared = statistics.welch(arms[0], arms[1], fixed)
    if compared.exact:
        return compared.interval(level)
    drawn = [arm for arm, known in zip(arms, fixed, strict=True) if not known]
    fewest = min(map(len, drawn))
    bound = fewest > 1 and any(at_a_bound(arm, bounds).item() for arm in drawn)
    if not compared.se > 0 or not chosen("difference", AT_A_BOUND if bound else INSIDE, fewest):
        return float("nan"), float("nan")
    reach = bounds[1] - bounds[0]
    return clipped(compared.interval(level), (-reach, reach))


def of_improvement(x: ArrayLike, y: ArrayLike, bounds: Bounds = ANYTHING) -> tuple[float, float]:
    """95 % interval of the probability that a seed of x, (n,), beats one of y, (m,); NaN for none."""
    arms = [np.asarray(arm, dtype=float) for arm in (x, y)]
    fewest = min(map(len, arms))
    bound = fewest > 1 and any(at_a_bound(arm, bounds).item() for arm in arms)
    if not chosen("improvement", AT_A_BOUND if bound else INSIDE, fewest):
        return float("nan"), float("nan")
    low, high = methods.newcombe(
        statistics.probability_of_improvement(arms[0], arms[1]), len(arms[0]), len(arms[1])
    )
    return float(low), float(high)


def of_share(above: ArrayLike) -> tuple[Array, Array]:
    """95 % interval of the share of seeds of which something is true: (..., n) -> lower and upper end.

    Exact for any number of seeds.
    """
    above = np.asarray(above)
    return methods.clopper_pearson(above.sum(-1), above.shape[-1])


def over_games(statistic: Callable[..., Array], *strata: ArrayLike) -> tuple[Array, Array]:
    """95 % interval of a statistic of several games, (..., seeds) each, from resamples of seeds in each game.

    None below ten seeds of a game. Coverage was measured on no pool of several games.
    """
    return statistics.bootstrap_interval(statistic, *strata, least=10)
