"""Student's t, the normal and the chi distribution by quadrature, and Welch's test by exact fractions.

Only elementary functions are used, so that nothing is shared with the code that is checked.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

NODES, WEIGHTS = np.polynomial.legendre.leggauss(120)


def integral(f: Callable[[float], float], low: float, high: float) -> float:
    """Gauss-Legendre quadrature with 120 points."""
    middle, half = (low + high) / 2, (high - low) / 2
    return half * math.fsum(w * f(middle + half * x) for x, w in zip(NODES, WEIGHTS, strict=True))


def t_above(t: float, df: float) -> float:
    """P(T > t). With sin(a) = t / sqrt(df + t^2), the density of a is proportional to cos(a)^(df - 1)."""
    whole = math.sqrt(math.pi) * math.exp(math.lgamma(df / 2) - math.lgamma((df + 1) / 2))
    tail = integral(lambda a: math.cos(a) ** (df - 1), math.atan(abs(t) / math.sqrt(df)), math.pi / 2) / whole
    return tail if t >= 0 else 1 - tail


def t_quantile(share: float, df: float) -> float:
    """The t of which `share` of all values are below, share > 1/2, by bisection."""
    low, high = 0.0, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_above(middle, df) > 1 - share else (low, middle)
    return (low + high) / 2


def normal_below(z: float) -> float:
    """The normal distribution function."""
    return (1 + math.erf(z / math.sqrt(2))) / 2


def over_spreads(df: float, power: Callable[[float], float]) -> float:
    """Mean of `power(u)` over u = s / sigma, the estimated over the true spread: u^2 df is chi-square."""
    log = math.log(2) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)

    def weighted(u: float) -> float:
        return math.exp(log + (df - 1) * math.log(u) - df * u * u / 2) * power(u)

    spread = 12 / math.sqrt(2 * df)
    ends = [max(1e-9, 1 - spread), max(0.02, 1 - spread / 4), 1.0, 1 + spread / 4, 1 + spread]
    return sum(integral(weighted, low, high) for low, high in itertools.pairwise(ends))


def power_of_equivalence(se: float, df: float, margin: float, shift: float = 0.0) -> float:
    """Of two one-sided tests at 5 %, for a true difference `shift`."""
    t = t_quantile(0.95, df)
    widest = margin / (t * se)

    def weighted(u: float) -> float:
        half = (margin - t * u * se) / se
        return normal_below(half - shift / se) - normal_below(-half - shift / se)

    # beyond `widest` the test never succeeds; a kink would spoil the quadrature, so it ends there
    log = math.log(2) + df / 2 * math.log(df / 2) - math.lgamma(df / 2)
    end = min(widest, 1 + 12 / math.sqrt(2 * df))
    parts = np.linspace(1e-9, end, 9)
    return sum(
        integral(
            lambda u: math.exp(log + (df - 1) * math.log(u) - df * u * u / 2) * weighted(u),
            float(low),
            float(high),
        )
        for low, high in itertools.pairwise(parts)
    )


def power_of_difference(se: float, df: float, shift: float, alpha: float = 0.05) -> float:
    """Of the two-sided t test, for a true difference `shift`."""
    t = t_quantile(1 - alpha / 2, df)

    def power(u: float) -> float:
        return normal_below(shift / se - t * u) + normal_below(-shift / se - t * u)

    return over_spreads(df, power)


class Exact(NamedTuple):
    """Welch's numbers of two arms."""

    difference: float
    se: float
    df: float

    def p(self) -> float:
        """Two-sided p of no difference."""
        return 2 * t_above(abs(self.difference) / self.se, self.df)

    def p_equivalence(self, margin: float) -> float:
        """Larger p of two one-sided tests."""
        return t_above((margin - abs(self.difference)) / self.se, self.df)

    def interval(self, level: float) -> tuple[float, float]:
        """Of the difference."""
        half = t_quantile((1 + level) / 2, self.df) * self.se
        return self.difference - half, self.difference + half


def mean(x: Sequence[float]) -> Fraction:
    """The mean as a fraction."""
    return sum(map(Fraction, x), Fraction(0)) / len(x)


def variance(x: Sequence[float]) -> Fraction:
    """The sample variance as a fraction: sum of squares over n - 1."""
    middle = mean(x)
    return sum(((Fraction(value) - middle) ** 2 for value in x), Fraction(0)) / (len(x) - 1)


def welch(x: Sequence[float], y: Sequence[float]) -> Exact:
    """Welch's test of two arms with a spread."""
    a, b = variance(x) / len(x), variance(y) / len(y)
    df = (a + b) ** 2 / (a**2 / (len(x) - 1) + b**2 / (len(y) - 1))
    return Exact(float(mean(x) - mean(y)), math.sqrt(a + b), float(df))
