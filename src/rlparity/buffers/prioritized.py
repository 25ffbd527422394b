"""Proportional prioritised replay. Schaul et al. 2016, arXiv:1511.05952, section 3.

`PrioritizedSampler` stands between an agent and its `Replay`; `Priorities` are the sum trees.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.buffers.replay import Minibatch, Replay, UniformSampler


class Priorities:
    """Priorities p^alpha of the transitions of a ring, in one sum tree for each seed (appendix B.2.1).

    In a tree, node 1 is the root, 2i and 2i + 1 are below i, and the leaves are the places of the ring. A sum
    is always made anew from the two below it, so that no rounding errors pile up.
    """

    def __init__(self, capacity: int, n_seeds: int, exponent: float = 0.6, epsilon: float = 1e-6):
        """`capacity` places; `exponent` is alpha, 0 is uniform; p = |TD error| + `epsilon`."""
        self.capacity = capacity
        self._exponent, self._epsilon = exponent, epsilon
        self._depth = (capacity - 1).bit_length()
        self._leaves = 1 << self._depth
        self._tree = np.zeros((n_seeds, 2 * self._leaves))
        self._largest = np.ones(n_seeds)  # p^alpha of any transition so far; p_1 = 1 (Algorithm 1, line 2)
        self._first = self._last = 0  # transitions that may be drawn, by number
        self._seed = np.arange(n_seeds)[:, None]

    def cover(self, first: int, last: int) -> None:
        """Transitions number `first` to `last` - 1 may be drawn; neither number ever falls. Those that could
        not before get the largest priority so far (Algorithm 1, line 6); those before `first` are forgotten.
        """
        assert self._first <= first <= last <= first + self.capacity and self._last <= last
        self._fill(self._first, first, np.zeros_like(self._largest))
        self._fill(max(first, self._last), last, self._largest)
        self._first, self._last = first, last

    def _fill(self, first: int, last: int, value: np.ndarray) -> None:
        """Give transitions `first` to `last` - 1 one value for each seed."""
        while first < last:
            start = first % self.capacity
            n = min(last - first, self.capacity - start)
            low, high = start + self._leaves, start + n - 1 + self._leaves
            self._tree[:, low : high + 1] = value[:, None]
            while low > 1:
                low, high = low // 2, high // 2
                below = self._tree[:, 2 * low : 2 * high + 2]
                self._tree[:, low : high + 1] = below[:, ::2] + below[:, 1::2]
            first += n

    def index(self, uniform: Tensor) -> Tensor:
        """Draw places: uniform (S, B) in [0, 1) -> (S, B). The k-th comes from the k-th of B equal parts of
        the sum of all priorities (appendix B.2.1)."""
        assert self._last > self._first, "nothing to draw yet"
        draws = uniform.cpu().numpy().astype(np.float64)
        n = draws.shape[1]
        rest = ((np.arange(n) + draws) / n * self._tree[:, 1:2]).flatten()
        own, node = np.repeat(self._seed * self._leaves, n), np.ones(rest.shape, dtype=np.int64)
        pairs = self._tree.reshape(-1, 2)  # what is below each node; those of a seed's from `own` on
        for _ in range(self._depth):
            left, right = pairs.take(own + node, axis=0).T
            turn = (rest >= left) & (right > 0)  # rounding may leave more than there is
            rest, node = rest - turn * left, 2 * node + turn
        return torch.from_numpy(node.reshape(draws.shape) - self._leaves).to(uniform.device)

    def weights(self, index: Tensor, correction: float) -> Tensor:
        """Importance weights of drawn places (S, B) -> float32 (S, B): (N P(i))^-beta over the largest in the
        minibatch (section 3.4); `correction` is beta. N and the sum of all priorities cancel out."""
        p = self._tree[self._seed, index.cpu().numpy() + self._leaves]
        weights = (p / p.min(1, keepdims=True)) ** -correction
        return torch.from_numpy(weights.astype(np.float32)).to(index.device)

    def update(self, index: Tensor, error: Tensor) -> None:
        """New priorities for the places (S, B) drawn last, from their TD errors (S, B); where one is not
        finite, the priority stays."""
        node = index.cpu().numpy() + self._leaves
        p = np.abs(error.detach().cpu().numpy().astype(np.float64)) + self._epsilon
        p = np.where(np.isfinite(p), p**self._exponent, self._tree[self._seed, node])
        self._largest = np.maximum(self._largest, p.max(1))
        self._tree[self._seed, node] = p  # of a place drawn twice, the last counts
        node, own = node.flatten(), np.repeat(self._seed * self._leaves, index.shape[1])
        pairs, sums = self._tree.reshape(-1, 2), self._tree.reshape(-1)
        for _ in range(self._depth):
            node = node // 2
            sums[2 * own + node] = pairs.take(own + node, axis=0).sum(1)

    def snapshot(self) -> dict[str, Any]:
        """All but the sums."""
        leaves = self._tree[:, self._leaves : self._leaves + self.capacity]
        return {"leaves": leaves, "largest": self._largest, "covered": [self._first, self._last]}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`."""
        self._tree[:, self._leaves : self._leaves + self.capacity] = state["leaves"]
        for low in (1 << level for level in reversed(range(self._depth))):
            below = self._tree[:, 2 * low : 4 * low]
            self._tree[:, low : 2 * low] = below[:, ::2] + below[:, 1::2]
        self._largest = state["largest"].copy()
        self._first, self._last = state["covered"]


class PrioritizedSampler(UniformSampler):
    """Draw transitions by their last error (Algorithm 1)."""

    def __init__(self, memory: Replay, n_seeds: int, config: Any):
        """`config` has `n_steps`, `gamma`, `priority_exponent` (alpha) and `priority_correction` (beta)."""
        super().__init__(memory, config.n_steps, config.gamma)
        self.priorities = Priorities(memory.capacity, n_seeds, config.priority_exponent)
        self._correction = config.priority_correction

    def draw(self, uniform: Tensor, progress: float) -> Minibatch:
        """Draw with uniform numbers (S, B); beta rises linearly to 1 with `progress`."""
        self.priorities.cover(*self.memory.drawable(self._n_steps))
        index = self.priorities.index(uniform)
        beta = self._correction + (1 - self._correction) * progress
        step = self.memory.at(index, self._n_steps, self._gamma)
        return Minibatch(step, self.priorities.weights(index, beta), index)

    def update_priorities(self, batch: Minibatch, error: Tensor) -> None:
        """New priorities from the TD errors (S, B) of a drawn minibatch."""
        if batch.place is not None:
            self.priorities.update(batch.place, error)
