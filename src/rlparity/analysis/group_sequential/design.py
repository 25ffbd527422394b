"""A pair of arms that is looked at with growing numbers of seeds, until it is decided.

The judged arm has 5, 10, ... seeds, the reference a number that does not change, so the information at a look
is 1 / (1 / n + 1 / m). At each look two questions are asked of one primary endpoint:

- is there a difference? two-sided;
- are the arms equivalent? two one-sided tests of "they differ by the margin or more", in one direction and in
  the other, each with all looks at level alpha; both must have reached their boundary at the same look.

Each t has one degree of freedom less than the smaller arm has seeds: with five seeds beside sixty, Welch's
estimate of them is too high too often for the small levels of a look. Its p is turned into a normal Z of the
same p, and compared with boundaries for Z (Jennison and Turnbull 2000, section 4.4).

Within a family of pairs Holm's
procedure runs over all looks: of m questions that are not answered yet, each has boundaries of level
alpha / m; what is answered leaves its level to the others (Maurer and Bretz 2013). So over all pairs and
looks together, and with any rule of stopping, a false difference, and likewise a false equivalence, has a
probability of at most alpha, as far as t has its distribution and both arms the same spread. The information
is known beforehand for equal spreads alone: where the judged arm's is much the larger one, the probability is
5.5 % for an alpha of 5 % (beside 60 seeds).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from rlparity.analysis.group_sequential.boundaries import Looks
from rlparity.analysis.statistics import Array

ENDPOINT = "auc"  # the endpoint that is looked at
SEEDS = (5, 10, 15, 20, 25, 30, 35, 40)  # of the judged arm, at each look
SPENDING = "pocock"
ALPHA = 0.05
UNDECIDED, EQUIVALENT, WORSE, BETTER = 0, 1, 2, 3


@dataclass(frozen=True)
class Design:
    """Looks, spending function and error of a family of `pairs`, each with `reference` seeds beside."""

    reference: int
    pairs: int = 1
    seeds: tuple[int, ...] = SEEDS
    spending: str = SPENDING
    alpha: float = ALPHA

    @property
    def fractions(self) -> tuple[float, ...]:
        """Information at each look, as a fraction of that at the last."""
        information = [1 / (1 / n + 1 / self.reference) for n in self.seeds]
        return tuple(one / information[-1] for one in information)

    @property
    def difference(self) -> Array:
        """Boundaries for |Z|, (pairs, K): row i is for when i of the pairs have been answered."""
        return _boundaries(self, 2)

    @property
    def equivalence(self) -> Array:
        """Boundaries for the smaller Z of the two one-sided tests, (pairs, K), likewise."""
        return _boundaries(self, 1)

    def nominal(self, sides: int) -> Array:
        """The p at which a single pair is decided at each look, (K,), of a test with so many sides."""
        z = self.difference[-1] if sides == 2 else self.equivalence[-1]
        return np.asarray(sides * scipy.stats.norm.sf(z))


@cache
def _boundaries(design: Design, sides: int) -> Array:
    looks = Looks(design.fractions, sides)
    levels = [design.alpha / (design.pairs - answered) for answered in range(design.pairs)]
    return np.array([looks.spending(design.spending, level) for level in levels])


@dataclass(frozen=True)
class Sample:
    """Means over the seeds of an arm, the variances of these means, and degrees of freedom: (...) each."""

    mean: Array
    error: Array
    df: float

    @staticmethod
    def of(scores: Array | float) -> Sample:
        """From scores (..., n), or a constant, which has no error."""
        if not isinstance(scores, np.ndarray):
            return Sample(np.asarray(float(scores)), np.zeros(()), np.inf)
        n = scores.shape[-1]
        return Sample(scores.mean(-1), scores.var(-1, ddof=1) / n, n - 1)


def z_scores(x: Sample, y: Sample, floor: Sample, share: float) -> tuple[Array, Array]:
    """Z of the difference, signed, and the smaller one of the two of equivalence; NaN without a spread.

    The margin is a `share` k of the distance from the floor f to the reference y, and as uncertain as these:
    "x is above y by the margin or more" is "x - (1 + k) y + k f is 0 or more", a contrast of three means with
    a standard error of its own; the other side likewise with (1 - k).
    """
    df = min(x.df, y.df)
    up = np.where(y.mean < floor.mean, -share, share)
    above = _contrast(df, (-1.0, x), (1 + up, y), (-up, floor))
    below = _contrast(df, (1.0, x), (up - 1, y), (-up, floor))
    return _contrast(df, (1.0, x), (-1.0, y)), np.minimum(above, below)


def _contrast(df: float, *terms: tuple[Array | float, Sample]) -> Array:
    """Z of a sum of means times factors."""
    variance = sum((factor**2 * sample.error for factor, sample in terms), np.zeros(()))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = sum((factor * sample.mean for factor, sample in terms), np.zeros(())) / np.sqrt(variance)
    return as_normal(t, df)


def as_normal(t: Array, df: float) -> Array:
    """The normal deviate that has as much probability beyond it as Student's t."""
    z = scipy.stats.norm.isf(scipy.stats.t.sf(np.abs(t), df))
    return np.asarray(np.sign(t) * np.minimum(z, 37.0))


@dataclass(frozen=True)
class Outcome:
    """What became of R families of M pairs."""

    verdict: NDArray[np.int64]  # (R, M): EQUIVALENT, WORSE, BETTER or UNDECIDED
    seeds: NDArray[np.int64]  # (R, M): seeds of the judged arm when it was decided, or the most there are


def run(design: Design, difference: Array, equivalence: Array) -> Outcome:
    """Decide families of pairs: Z of the difference and of equivalence, (R, M, K) each.

    NaN answers nothing. At one look equivalence is asked first; a pair that is decided is looked at no more,
    so the other question about it stays unanswered and goes on counting in its family.
    """
    families, pairs, looks = difference.shape
    verdict = np.zeros((families, pairs), dtype=np.int64)
    seeds = np.full((families, pairs), design.seeds[-1], dtype=np.int64)
    for look in range(looks):
        for boundaries, z, words in (
            (design.equivalence, equivalence[..., look], (EQUIVALENT, EQUIVALENT)),
            (design.difference, np.abs(difference[..., look]), (BETTER, WORSE)),
        ):
            while True:
                answered = np.isin(verdict, words).sum(-1)
                level = boundaries[np.minimum(answered, pairs - 1), look]
                now = (verdict == UNDECIDED) & (z >= level[:, None])
                if not now.any():
                    break
                word = np.where(difference[..., look] < 0, words[1], words[0])
                verdict, seeds = np.where(now, word, verdict), np.where(now, design.seeds[look], seeds)
    return Outcome(verdict, seeds)
