"""Whether draws that should have nothing to do with each other are the same, or depend on each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rlparity.cell import Cell
from rlparity.suites.hyperparameters import Algorithm

DEVIATIONS = 7.0  # of a correlation of independent draws, which has a deviation of 1 / sqrt(n)
SURE = 0.9999  # a correlation that few draws do not reach by chance
FEW = 6  # draws, of which even that says nothing


def cell(named: Algorithm, seeds: Sequence[int], environment: str = "contract", **fields: Any) -> Cell:
    """A cell that names random streams, for agents that are built without a training."""
    return Cell("contract", environment, "scratch", named.name, named.agent, tuple(seeds), 1000, **fields)


def related(a: Tensor, b: Tensor) -> bool:
    """Whether two sets of draws of one size repeat or mirror each other, scaled or not."""
    x, y = a.double().flatten(), b.double().flatten()
    if len(x) < FEW:
        return False
    return abs(correlation(x, y)) > min(DEVIATIONS / math.sqrt(len(x)), SURE)


def correlation(x: Tensor, y: Tensor) -> float:
    """Of two vectors; 1 where both are constant."""
    x, y = x - x.mean(), y - y.mean()
    size = float(x.norm() * y.norm())
    return float(x @ y) / size if size > 0 else float(torch.equal(x, y))
