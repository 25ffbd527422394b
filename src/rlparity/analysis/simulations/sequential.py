"""Error rates and seeds of group-sequential designs, measured by drawing both arms from a pool.

Both arms are drawn independently with replacement, from the scores themselves or from a smooth fit to them,
and the judged arm is shifted: by nothing, where every difference is false; by exactly the margin, up or down,
where every equivalence is; and by two margins. The margin of a draw is a share of what its own reference
shows, as in a report. The same draws are judged with fixed numbers of seeds, by the same tests at one look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray

from rlparity.analysis import tables
from rlparity.analysis.group_sequential import design as sequential
from rlparity.analysis.group_sequential.boundaries import SPENDING
from rlparity.analysis.group_sequential.design import BETTER, EQUIVALENT, UNDECIDED, WORSE, Design, Sample
from rlparity.analysis.scores import Floor, mean
from rlparity.analysis.simulations.pools import SEED, Judged, Pool, judged
from rlparity.analysis.statistics import Array

DRAWS = 10_000
SHIFTS = (0.0, -1.0, 1.0, -2.0)  # margins by which the judged arm is better
SOURCES = ("pool", "smooth")
ALL = "all pools"  # a family of one pair from each
BOTH, DIFFERENCE, EQUIVALENCE = "both", "difference", "equivalence"  # what is asked
FIXED = "fixed"  # a design with one look


def measure(report: Path, into: Path, draws: int = DRAWS) -> pd.DataFrame:
    """Write `into/sequential.csv` from the references of a suite's report, and return it."""
    found = judged(report, sequential.ENDPOINT)
    table = tables.frame("sequential", list(rows(found, draws)))
    tables.write_csv(into, "sequential", table)
    return table


def rows(references: Sequence[Judged], draws: int = DRAWS) -> Iterator[dict[str, Any]]:
    """Rows of the table, of each reference alone, and of a family of one pair from each."""
    for source in SOURCES:
        arms = [drawn(one.pool, source, draws, stream) for stream, one in enumerate(references)]
        for shift in SHIFTS:
            scores = [
                scored(x + shift * margin(one), y, one.floor, one.margin)
                for one, (x, y) in zip(references, arms, strict=True)
            ]
            sizes = [y.shape[-1] for _, y in arms]
            families = [
                (str(one.pool.arm), [z], [size])
                for one, z, size in zip(references, scores, sizes, strict=True)
            ]
            together = [(ALL, scores, sizes)] if len(references) > 1 else []
            for name, members, seeds in [*families, *together]:
                about = {"pool": name, "draws_from": source, "shift": shift, "pairs": len(members)}
                yield from _rows(about | {"asked": BOTH}, members, seeds)
                if shift > -2:
                    alone = [_alone(z, shift == 0) for z in members]
                    about |= {"asked": DIFFERENCE if shift == 0 else EQUIVALENCE}
                    yield from _rows(about, alone, seeds)


def margin(one: Judged) -> float:
    """The true margin of a pool, in the metric's unit."""
    return one.margin * abs(float(one.pool.scores.mean()) - mean(one.floor))


def drawn(pool: Pool, source: str, draws: int, stream: int = 0) -> tuple[Array, Array]:
    """Both arms: as many seeds of the judged one as the last look has, of the reference as it has."""
    rng = np.random.default_rng([SEED, stream, SOURCES.index(source)])
    sizes = sequential.SEEDS[-1], len(pool.scores)
    x, y = (pool.scores[rng.integers(0, len(pool.scores), (draws, size))] for size in sizes)
    return (_smoothed(x, pool.scores, rng), _smoothed(y, pool.scores, rng)) if source == "smooth" else (x, y)


def scored(x: Array, y: Array, floor: Floor, share: float) -> tuple[Array, Array]:
    """Z of difference and of equivalence with the first n seeds of the judged arm, (R, K) each."""
    reference, zero = Sample.of(y), Sample.of(floor)
    found = [sequential.z_scores(Sample.of(x[:, :n]), reference, zero, share) for n in sequential.SEEDS]
    difference, equivalence = zip(*found, strict=True)
    return np.stack(difference, -1), np.stack(equivalence, -1)


def _smoothed(arm: Array, scores: Array, rng: np.random.Generator) -> Array:
    """The smoothed bootstrap: a normal kernel (Silverman's width), shrunk so that mean and variance stay."""
    width = 0.9 * min(scores.std(), scipy.stats.iqr(scores) / 1.34) * len(scores) ** -0.2
    noisy = arm - scores.mean() + width * rng.standard_normal(arm.shape)
    return np.asarray(scores.mean() + noisy / np.sqrt(1 + width**2 / scores.var()))


def _alone(z: tuple[Array, Array], difference: bool) -> tuple[Array, Array]:
    """One question without the other: no pair ends by what is not asked."""
    nothing = np.full_like(z[0], np.nan)
    return (z[0], nothing) if difference else (nothing, z[1])


def _rows(
    about: dict[str, Any], members: list[tuple[Array, Array]], references: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """A row for each spending function, and for each fixed number of seeds, of a family of pairs.

    `references` are the numbers of seeds of their references.
    """
    difference, equivalence = (np.stack([z[k] for z in members], 1) for k in (0, 1))
    at_once = [
        _at_once(difference[..., look], equivalence[..., look]) for look in range(difference.shape[-1])
    ]
    for spending in SPENDING:
        designs = [Design(reference, spending=spending) for reference in references]
        found = sequential.run(designs, difference, equivalence)
        seeds = np.array(sequential.SEEDS)[found.look].mean()  # undecided: -1, the most
        fixed = _fixed(about, found.verdict, at_once)
        numbers = {"seeds": seeds, "fixed_seeds": fixed, "saved": 1 - seeds / fixed}
        yield about | {"design": spending} | shares(about["shift"], found.verdict) | numbers
    for n, verdict in zip(sequential.SEEDS, at_once, strict=True):
        numbers = {"seeds": float(n), "fixed_seeds": np.nan, "saved": np.nan}
        yield about | {"design": f"{FIXED} {n}"} | shares(about["shift"], verdict) | numbers


def _at_once(difference: Array, equivalence: Array) -> NDArray[np.int64]:
    """Verdicts with one look, Holm over the family: (R, M) each."""
    pairs = difference.shape[-1]
    once = [Design(1, seeds=(1,))] * pairs
    return sequential.run(once, difference[..., None], equivalence[..., None]).verdict


def _fixed(about: dict[str, Any], verdict: NDArray[np.int64], at_once: list[NDArray[np.int64]]) -> float:
    """The fewest seeds that find as often what there is to find, without looking on the way; NaN for none.

    With exactly one margin between the arms nothing is looked for.
    """
    wanted = {(0.0, BOTH): EQUIVALENT, (-2.0, BOTH): WORSE}.get((about["shift"], about["asked"]))
    share = (verdict == wanted).mean()
    enough = [
        n for n, once in zip(sequential.SEEDS, at_once, strict=True) if (once == wanted).mean() >= share
    ]
    return float(enough[0]) if enough and wanted is not None else float("nan")


def shares(shift: float, verdict: NDArray[np.int64]) -> dict[str, Any]:
    """Shares of verdicts over pairs, and of families in which one is false."""
    false = np.isin(verdict, [WORSE, BETTER] if shift == 0 else [EQUIVALENT])
    wrong: NDArray[np.bool_] = np.any(false, axis=-1, keepdims=True)[:, 0]
    ends = scipy.stats.binomtest(int(wrong.sum()), len(wrong)).proportion_ci(method="wilson")
    words = {"equivalent": EQUIVALENT, "worse": WORSE, "better": BETTER, "undecided": UNDECIDED}
    shares = {word: float((verdict == code).mean()) for word, code in words.items()}
    return {"draws": len(verdict), **shares, "wrong": wrong.mean(), "ci_low": ends.low, "ci_high": ends.high}
