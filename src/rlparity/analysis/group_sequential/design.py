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

from collections.abc import Sequence
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
    """Looks at a pair whose reference has `reference` seeds, with a spending function and the error of its
    family.
    """

    reference: int
    seeds: tuple[int, ...] = SEEDS
    spending: str = SPENDING
    alpha: float = ALPHA

    @property
    def fractions(self) -> tuple[float, ...]:
        """Information at each look, as a fraction of that at the last."""
        information = [1 / (1 / n + 1 / self.reference) for n in self.seeds]
        return tuple(one / information[-1] for one in information)

    def difference(self, tests: int = 1) -> Array:
        """Boundaries for |Z| at each look, (K,), where the pair has one of so many parts of alpha."""
        return _boundaries(self, 2, tests)

    def equivalence(self, tests: int = 1) -> Array:
        """Boundaries for the smaller Z of the two one-sided tests, (K,), likewise."""
        return _boundaries(self, 1, tests)

    def nominal(self, sides: int) -> Array:
        """The p at which a single pair is decided at each look, (K,), of a test with so many sides."""
        return np.asarray(sides * scipy.stats.norm.sf(_boundaries(self, sides, 1)))


@cache
def _boundaries(design: Design, sides: int, tests: int) -> Array:
    return Looks(design.fractions, sides).spending(design.spending, design.alpha / tests)


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
    value = sum((factor * sample.mean for factor, sample in terms), np.zeros(()))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(variance > 0, value / np.sqrt(variance), np.nan)
    return as_normal(t, df)


def as_normal(t: Array, df: float) -> Array:
    """The normal deviate that has as much probability beyond it as Student's t."""
    z = scipy.stats.norm.isf(scipy.stats.t.sf(np.abs(t), df))
    return np.asarray(np.sign(t) * np.minimum(z, 37.0))


@dataclass(frozen=True)
class Outcome:
    """What became of R families of M pairs."""

    verdict: NDArray[np.int64]  # (R, M): EQUIVALENT, WORSE, BETTER or UNDECIDED
    look: NDArray[np.int64]  # (R, M): the look at which it was decided, from 0; -1 where it was not


def run(designs: Sequence[Design], difference: Array, equivalence: Array) -> Outcome:
    """Decide families of pairs: Z of the difference and of equivalence, (R, M, K) each, K the most looks of
    any.

    `designs` are those of the M pairs. NaN answers nothing. At one look equivalence is asked first; a pair
    that is decided is looked at no more, so the other question about it stays unanswered and goes on
    counting in its family.
    """
    families, pairs, looks = difference.shape
    verdict = np.zeros((families, pairs), dtype=np.int64)
    decided = np.full((families, pairs), -1, dtype=np.int64)
    questions = (
        (levels(designs, 1, looks), equivalence, (EQUIVALENT, EQUIVALENT)),
        (levels(designs, 2, looks), np.abs(difference), (BETTER, WORSE)),
    )
    for look in range(looks):
        for boundaries, z, words in questions:
            while True:
                answered = np.minimum(np.isin(verdict, words).sum(-1), pairs - 1)
                now = (verdict == UNDECIDED) & (z[..., look] >= boundaries[answered, :, look])
                if not now.any():
                    break
                word = np.where(difference[..., look] < 0, words[1], words[0])
                verdict, decided = np.where(now, word, verdict), np.where(now, look, decided)
    return Outcome(verdict, decided)


def levels(designs: Sequence[Design], sides: int, looks: int) -> Array:
    """Boundaries of a family's M pairs, (M, M, K): [i] where i of them are answered; infinite beyond a
    pair's looks.
    """
    found = np.full((len(designs), len(designs), looks), np.inf)
    for answered, pair in np.ndindex(found.shape[:2]):
        one = _boundaries(designs[pair], sides, len(designs) - answered)
        found[answered, pair, : len(one)] = one
    return found
