"""Whether draws that should have nothing to do with each other are the same, or depend on each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rlparity.cell import Cell
from rlparity.suites.hyperparameters import Algorithm

DEVIATIONS = 7.0  # of a correlation of independent draws, which has a deviation of 1 / sqrt(n)
SURE = 0.9999  # a correlation that few draws do not reach by chance
FEW = 6  # draws, of which even that says nothing
MANY = 64  # slices along an axis that are compared pair by pair
CHANCE = 1e-7  # with which a right distribution is called wrong
SHARED = 0.02  # share of equal numbers in two streams; by chance it is below 0.001
ENOUGH = 5_000  # numbers that a distribution is judged by


def cell(named: Algorithm, seeds: Sequence[int], environment: str = "contract") -> Cell:
    """A cell that names random streams, for agents that are built without a training."""
    return Cell("contract", environment, "scratch", named.name, named.agent, tuple(seeds), 1000)


def related(a: Tensor, b: Tensor) -> bool:
    """Whether two sets of draws of one size repeat or mirror each other, scaled or not."""
    x, y = a.double().flatten(), b.double().flatten()
    if len(x) < FEW:
        return False
    return abs(correlation(x, y)) > min(DEVIATIONS / math.sqrt(len(x)), SURE)


def correlation(x: Tensor, y: Tensor) -> float:
    """Of two vectors; 1 where both are the same constants."""
    x, y = x - x.mean(), y - y.mean()
    size = float(x.norm() * y.norm())
    return float(x @ y) / size if size > 0 else float(torch.equal(x, y))


def dependent(draws: Tensor, axes: Sequence[str]) -> str | None:
    """Describe the axis along which draws (one axis for each name) most clearly repeat or depend on each
    other. Single precision numbers are taken for fine enough not to come twice by chance."""
    assert draws.dim() == len(axes), (draws.shape, axes)
    worst, problem = 1.0, None
    for i, name in enumerate(axes):
        slices = draws.movedim(i, 0).flatten(1)[:MANY]
        if len(slices) < 2:
            continue
        if draws.dtype == torch.float32 and slices.shape[1] > 1 and len(slices.unique(dim=0)) < len(slices):
            problem = problem or f"the numbers of one {name} are those of another"
        if slices.shape[1] < FEW:
            continue
        z = slices.double() - slices.double().mean(1, keepdim=True)
        size = z.norm(dim=1)
        if (size == 0).any():
            return f"all numbers of one {name} are the same"
        found = ((z @ z.T) / (size[:, None] * size)).fill_diagonal_(0).abs()
        excess = float(found.max()) / min(DEVIATIONS / math.sqrt(slices.shape[1]), SURE)
        if excess > worst:
            a, b = divmod(int(found.argmax()), len(slices))
            worst = excess
            problem = f"{name} {a + 1} and {name} {b + 1} have a correlation of {float(found.max()):.2f}"
    return problem


def overlap(a: Tensor, b: Tensor) -> float:
    """Share of the numbers of the shorter of two streams that the other one has, too."""
    x, y = (np.unique(part.flatten()[:ENOUGH].numpy()) for part in (a, b))
    return len(np.intersect1d(x, y)) / max(min(len(x), len(y)), 1)


def repeats(draws: Tensor) -> bool:
    """Whether a stream (T,) of uniform numbers has the same ones again and again."""
    numbers = draws.numpy()
    return len(np.unique(numbers)) < (1 - SHARED) * len(numbers)


def misshapen(draws: Tensor, kind: str) -> str | None:
    """Describe draws that are not uniform in [0, 1), or not standard normal."""
    numbers = draws.double().flatten()[:ENOUGH].numpy()
    if kind == "uniform" and not (numbers.min() >= 0 and numbers.max() < 1):
        return f"numbers of {numbers.min():.3g} to {numbers.max():.3g} are not in [0, 1)"
    law = numbers if kind == "uniform" else torch.special.ndtr(torch.from_numpy(numbers)).numpy()
    if far_from_uniform(law):
        return f"numbers of mean {numbers.mean():.3f} and deviation {numbers.std():.3f} are not {kind}"
    return None


def far_from_uniform(numbers: np.ndarray) -> bool:
    """The test of Kolmogorov and Smirnov, whether numbers are not uniform in [0, 1], with the bound of
    Massart 1990 for the largest distance of their distribution, exp(-2 n d^2) on either side."""
    ordered, n = np.sort(numbers), len(numbers)
    steps = np.arange(n + 1) / n
    apart = max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max())
    return bool(apart > math.sqrt(-math.log(CHANCE / 2) / 2 / n))
