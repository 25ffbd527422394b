"""AdaStop (Mathieu et al. 2023, arXiv 2306.10882) on draws that the group-sequential design was judged on.

AdaStop asks for a difference alone, by permutations, and both arms grow together: its reference has as many
seeds as the judged arm. The package `adastop` is no dependency of rlparity.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rlparity.analysis import tables
from rlparity.analysis.group_sequential import design
from rlparity.analysis.group_sequential.design import BETTER, UNDECIDED, WORSE
from rlparity.analysis.simulations import sequential
from rlparity.analysis.simulations.pools import Judged, judged
from rlparity.analysis.statistics import Array
from rlparity.errors import UserError

DRAWS, PERMUTATIONS = 200, 500


def measure(report: Path, into: Path, draws: int = DRAWS) -> pd.DataFrame:
    """Write `into/adastop.csv` from the references of a suite's report, and return it.

    Raises UserError where the package is not installed.
    """
    try:
        package = importlib.import_module("adastop")
    except ImportError:
        raise UserError("calibrate: --adastop needs the package adastop (pip install adastop)") from None
    table = tables.frame("adastop", list(_rows(package, judged(report, design.ENDPOINT), draws)))
    tables.write_csv(into, "adastop", table)
    return table


def _rows(package: Any, references: Sequence[Judged], draws: int) -> Iterator[dict[str, Any]]:
    for stream, reference in enumerate(references):
        x, y = (arm[:draws] for arm in sequential.drawn(reference.pool, "pool", sequential.DRAWS, stream))
        for shift in sequential.SHIFTS:
            found = [
                decided(package, one + shift * sequential.margin(reference), other, seed)
                for seed, (one, other) in enumerate(zip(x, y, strict=True))
            ]
            verdict = np.array([[word] for word, _ in found])
            about = {"pool": str(reference.pool.arm), "draws_from": "pool", "shift": shift, "pairs": 1}
            about |= {"asked": sequential.DIFFERENCE, "design": "adastop"}
            numbers = {"seeds": np.mean([seeds for _, seeds in found])}
            yield about | sequential.shares(shift, verdict) | numbers


def decided(package: Any, x: Array, y: Array, seed: int) -> tuple[int, int]:
    """Verdict on a pair, and the seeds of each arm that it took."""
    step, looks = design.SEEDS[0], len(design.SEEDS)
    compare = package.MultipleAgentsComparator(n=step, K=looks, B=PERMUTATIONS, alpha=design.ALPHA, seed=seed)
    for seeds in design.SEEDS:
        compare.partial_compare({"judged": x[:seeds], "reference": y[:seeds]}, verbose=False)
        if compare.is_finished:
            break
    (word,) = compare.decisions.values()
    return {"larger": BETTER, "smaller": WORSE}.get(word, UNDECIDED), seeds
