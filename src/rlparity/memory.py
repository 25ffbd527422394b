"""What an agent remembers: a rollout of the last steps, or a replay memory of many."""

from __future__ import annotations

import torch
from torch import Tensor

from rlparity.records import Step


class Rollout:
    """Consecutive steps of all worlds, until `n_steps` are there."""

    def __init__(self, n_steps: int):
        self.n_steps = n_steps
        self._steps: list[Step] = []

    def add(self, step: Step) -> bool:
        """Remember one step (S, N); true once the rollout is full."""
        self._steps.append(step)
        return len(self._steps) == self.n_steps

    def pop(self) -> Step:
        """The whole rollout as (S, N, T, ...), and an empty memory."""
        steps, self._steps = self._steps, []
        return Step(*(torch.stack(field, 2) for field in zip(*steps, strict=True)))


class Replay:
    """A ring of the last `capacity` transitions of each seed (Lin 1992; Mnih et al. 2013, Algorithm 1)."""

    def __init__(self, capacity: int, n_seeds: int, n_envs: int):
        self.capacity = max(capacity // n_envs, 1) * n_envs  # whole rows of worlds, as SB3 counts it
        self.size = 0
        self._next = 0
        self._shape = (n_seeds, self.capacity)
        self._fields: Step | None = None
        self._seed = torch.arange(n_seeds)[:, None]

    def add(self, step: Step) -> None:
        """Remember one step of all worlds (S, N)."""
        if self._fields is None:
            self._fields = Step(*(torch.empty(*self._shape, *x.shape[2:], dtype=x.dtype) for x in step))
        n = step.reward.shape[1]
        for ring, x in zip(self._fields, step, strict=True):
            ring[:, self._next : self._next + n] = x
        self._next = (self._next + n) % self.capacity
        self.size = min(self.size + n, self.capacity)

    def sample(self, uniform: Tensor) -> Step:
        """Transitions drawn with replacement: uniform (S, B) in [0, 1) -> fields (S, B, ...)."""
        assert self._fields is not None
        index = (uniform.double() * self.size).long()
        return Step(*(ring[self._seed, index] for ring in self._fields))
