"""Boundaries of group-sequential tests, by recursive numerical integration.

At look k the statistic Z_k is standard normal where there is nothing to find, and the correlation of Z_j and
Z_k is sqrt(t_j / t_k), t being the fraction of all information. The probability of crossing boundaries is
integrated from look to look (Armitage, McPherson and Rowe 1969), on the grid of Jennison and Turnbull 2000
(chapter 19). How much error each look may spend is a function of t (Lan and DeMets 1983).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.optimize
import scipy.stats

from rlparity.analysis.statistics import Array

GRID = 24  # r of Jennison and Turnbull: 12 r - 3 points of an integral
LEAST = 1e-14  # error below which nothing is spent at a look
FARTHEST = 9.0  # the largest finite boundary that is looked for


def obrien_fleming(t: float, alpha: float, sides: int = 2) -> float:
    """Error spent up to t: little at first (Lan and DeMets 1983)."""
    return 2 * sides * float(scipy.stats.norm.sf(scipy.stats.norm.isf(alpha / sides / 2) / math.sqrt(t)))


def pocock(t: float, alpha: float, sides: int = 2) -> float:
    """Error spent up to t: about the same at each look (Lan and DeMets 1983)."""
    return alpha * math.log(1 + (math.e - 1) * t)


def linear(t: float, alpha: float, sides: int = 2) -> float:
    """Error spent up to t: in proportion (Kim and DeMets 1987, power 1)."""
    return alpha * t


SPENDING: dict[str, Callable[[float, float, int], float]] = {
    "obrien-fleming": obrien_fleming,
    "pocock": pocock,
    "linear": linear,
}


@dataclass(frozen=True)
class Looks:
    """Fractions of all information at each look, rising to 1, and on how many sides a test rejects.

    Two-sided: where |Z| reaches the boundary; one-sided: where Z does.
    """

    fractions: tuple[float, ...]
    sides: int = 2

    def spending(self, function: str, alpha: float) -> Array:
        """Boundaries by which the error up to each look is that of a function of `SPENDING`, (K,).

        Infinite where a look has nothing to spend.
        """
        spent = [SPENDING[function](t, alpha, self.sides) for t in self.fractions]
        found: list[float] = []
        state = _State(self.sides)
        for t, error in zip(self.fractions, np.diff([0.0, *spent]), strict=True):
            found.append(self._solved(state, t, float(error)))
            state = state.after(t, found[-1])
        return np.array(found)

    @staticmethod
    def _solved(state: _State, t: float, error: float) -> float:
        if error < LEAST:
            return math.inf

        def too_much(boundary: float) -> float:
            return state.crossing(t, boundary) - error

        if too_much(FARTHEST) > 0:
            return math.inf
        return float(scipy.optimize.brentq(too_much, 0.0, FARTHEST, xtol=1e-9))

    def crossing(self, boundaries: Sequence[float] | Array, drift: float = 0.0) -> Array:
        """Probability that a boundary is first crossed at each look, (K,); `drift` is the mean of Z at 1."""
        state, found = _State(self.sides, drift), []
        for t, boundary in zip(self.fractions, boundaries, strict=True):
            found.append(state.crossing(t, float(boundary)))
            state = state.after(t, float(boundary))
        return np.array(found)

    def shaped(self, shape: Callable[[float], float], alpha: float) -> Array:
        """Boundaries c * shape(t) with a total error of alpha, (K,): Pocock's shape is 1, that of O'Brien and
        Fleming 1 / sqrt(t)."""
        form = np.array([shape(t) for t in self.fractions])

        def too_much(c: float) -> float:
            return float(self.crossing(c * form).sum()) - alpha

        return form * scipy.optimize.brentq(too_much, 0.5, 6.0, xtol=1e-9)


@dataclass(frozen=True)
class _State:
    """The distribution of S = Z sqrt(t) over what has not stopped yet: points, weights times density."""

    sides: int
    drift: float = 0.0  # the mean of S is drift * t
    t: float = 0.0
    points: Array | None = None  # None before the first look: all mass is at 0
    mass: Array | None = None

    def crossing(self, t: float, boundary: float) -> float:
        """Probability of reaching the boundary at the next look, at t."""
        if math.isinf(boundary):
            return 0.0
        sd, end = math.sqrt(t - self.t), boundary * math.sqrt(t)
        points, mass = self._current()
        centre = points + self.drift * (t - self.t)
        beyond = scipy.stats.norm.sf((end - centre) / sd)
        if self.sides == 2:
            beyond = beyond + scipy.stats.norm.cdf((-end - centre) / sd)
        return float(mass @ beyond)

    def after(self, t: float, boundary: float) -> _State:
        """The state once those that reach the boundary at t have stopped."""
        root = math.sqrt(t)
        high = min(boundary * root, self.drift * t + FARTHEST * root)
        low = -high if self.sides == 2 else self.drift * t - FARTHEST * root
        if self.sides == 2 and math.isinf(boundary):
            low = self.drift * t - FARTHEST * root
        new, weights = _grid(self.drift * t, root, low, high)
        points, mass = self._current()
        centre, sd = points + self.drift * (t - self.t), math.sqrt(t - self.t)
        density = scipy.stats.norm.pdf((new[:, None] - centre) / sd) @ mass / sd
        return _State(self.sides, self.drift, t, new, weights * density)

    def _current(self) -> tuple[Array, Array]:
        if self.points is None or self.mass is None:
            return np.zeros(1), np.ones(1)
        return self.points, self.mass


def _grid(centre: float, scale: float, low: float, high: float) -> tuple[Array, Array]:
    """Points from low to high, dense around the centre, and Simpson's weights."""
    i = np.arange(1, 6 * GRID)
    z = np.where(
        i < GRID,
        -3 - 4 * np.log(GRID / i),
        np.where(i <= 5 * GRID, -3 + 3 * (i - GRID) / (2 * GRID), 3 + 4 * np.log(GRID / (6 * GRID - i))),
    )
    ends = centre + scale * z
    ends = np.unique(np.concatenate([[low], ends[(ends > low) & (ends < high)], [high]]))
    widths = np.diff(ends)
    points = np.empty(2 * len(ends) - 1)
    points[::2], points[1::2] = ends, (ends[1:] + ends[:-1]) / 2
    weights = np.zeros_like(points)
    weights[:-2:2] += widths / 6
    weights[2::2] += widths / 6
    weights[1::2] = 4 * widths / 6
    return points, weights
