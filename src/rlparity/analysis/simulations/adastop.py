"""AdaStop (Mathieu et al. 2023, arXiv 2306.10882) on draws that the group-sequential design was judged on.

AdaStop asks for a difference alone, by permutations, and both arms grow together: its reference has as many
seeds as the judged arm. The package `adastop` is no dependency of rlparity.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from rlparity.analysis.group_sequential import design
from rlparity.analysis.group_sequential.design import BETTER, UNDECIDED, WORSE
from rlparity.analysis.simulations import sequential
from rlparity.analysis.simulations.pools import Pool
from rlparity.analysis.statistics import Array
from rlparity.errors import UserError

DRAWS, PERMUTATIONS = 200, 500


def measure(pools: Iterable[tuple[Pool, Array, float]], draws: int = DRAWS) -> Iterator[dict[str, Any]]:
    """Rows of the table `adastop`. Raises UserError where the package is not installed."""
    try:
        package = importlib.import_module("adastop")
    except ImportError:
        raise UserError("calibrate: --adastop needs the package adastop (pip install adastop)") from None
    for stream, (pool, floor, share) in enumerate(pools):
        x, y = (arm[:draws] for arm in sequential.drawn(pool, "pool", sequential.DRAWS, stream))
        distance = abs(pool.scores.mean() - floor.mean())
        for shift in sequential.SHIFTS:
            found = [
                judged(package, one + shift * share * distance, other, seed)
                for seed, (one, other) in enumerate(zip(x, y, strict=True))
            ]
            verdict = np.array([[word] for word, _ in found])
            about = {"pool": str(pool.arm), "draws_from": "pool", "shift": shift, "pairs": 1}
            about |= {"asked": sequential.DIFFERENCE, "design": "adastop"}
            numbers = {"seeds": np.mean([seeds for _, seeds in found])}
            yield about | sequential.shares(shift, verdict) | numbers


def judged(package: Any, x: Array, y: Array, seed: int) -> tuple[int, int]:
    """Verdict on a pair, and the seeds of each arm that it took."""
    step, looks = design.SEEDS[0], len(design.SEEDS)
    compare = package.MultipleAgentsComparator(n=step, K=looks, B=PERMUTATIONS, alpha=design.ALPHA, seed=seed)
    for seeds in design.SEEDS:
        compare.partial_compare({"judged": x[:seeds], "reference": y[:seeds]}, verbose=False)
        if compare.is_finished:
            break
    (word,) = compare.decisions.values()
    return {"larger": BETTER, "smaller": WORSE}.get(word, UNDECIDED), seeds
