"""What an agent remembers: a rollout of the last steps, or a replay memory of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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

    def snapshot(self) -> dict[str, Any]:
        """The steps so far, each field in one piece (T, S, N, ...)."""
        return {"steps": [torch.stack(field) for field in zip(*self._steps, strict=True)]}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`."""
        fields = (field.unbind() for field in state["steps"])
        self._steps = [Step(*step) for step in zip(*fields, strict=True)]


class Replay:
    """A ring of the last `capacity` transitions of each seed (Lin 1992; Mnih et al. 2013, Algorithm 1).

    Transitions are numbered in the order they came in, so that a checkpoint can write the new ones only.
    """

    def __init__(self, capacity: int, n_seeds: int, n_envs: int):
        self.capacity = max(capacity // n_envs, 1) * n_envs  # whole rows of worlds, as SB3 counts it
        self.added = 0  # transitions of each seed ever
        self._shape = (n_seeds, self.capacity)
        self._fields: Step | None = None
        self._seed = torch.arange(n_seeds)[:, None]

    @property
    def size(self) -> int:
        """Transitions of each seed that it holds."""
        return min(self.added, self.capacity)

    def add(self, step: Step) -> None:
        """Remember one step of all worlds (S, N)."""
        n, start = step.reward.shape[1], self.added % self.capacity
        for ring, x in zip(self._rings(step), step, strict=True):
            ring[:, start : start + n] = x
        self.added += n

    def _rings(self, like: Sequence[Tensor]) -> Step:
        """Room for transitions of that kind, made when the first arrive."""
        if self._fields is None:
            self._fields = Step(*(x.new_empty(*self._shape, *x.shape[2:]) for x in like))
        return self._fields

    def sample(self, uniform: Tensor) -> Step:
        """Transitions drawn with replacement: uniform (S, B) in [0, 1) -> fields (S, B, ...)."""
        assert self._fields is not None
        index = (uniform.double() * self.size).long()
        flat = (index + self._seed * self.capacity).flatten()
        return Step(*(_rows(ring, flat).unflatten(0, index.shape) for ring in self._fields))

    def read(self, first: int, last: int) -> Step:
        """Transitions number `first` to `last` - 1, which it must still hold: (S, last - first, ...)."""
        assert self._fields is not None and self.added - self.size <= first <= last <= self.added
        index = torch.arange(first, last) % self.capacity
        return Step(*(ring[:, index] for ring in self._fields))

    def write(self, first: int, content: Sequence[Tensor]) -> None:
        """Put back what `read` gave, as transitions number `first` and on."""
        shape = (self._shape[0], content[0].shape[1])
        for ring, x in zip(self._rings(content), content, strict=True):
            if x.shape != (*shape, *ring.shape[2:]) or x.dtype != ring.dtype:
                raise ValueError(
                    f"transitions of shape {tuple(x.shape)}, expected {(*shape, *ring.shape[2:])}"
                )
            ring[:, torch.arange(first, first + shape[1]) % self.capacity] = x

    def snapshot(self) -> dict[str, Any]:
        """How many transitions came in; they themselves go through `read` and `write`."""
        return {"added": self.added}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`, once the transitions are put back."""
        self.added = state["added"]


class Trajectory(NamedTuple):
    """One whole game of one world: (T, ...)."""

    obs: Tensor
    action: Tensor
    reward: Tensor


class Trajectories:
    """Whole games, kept apart for each seed, whose games end at times of their own."""

    def __init__(self, n_seeds: int, n_envs: int, length: int = 512):
        self._time = torch.zeros(n_seeds, n_envs, dtype=torch.long)  # steps of the game so far
        self._seed, self._world = torch.arange(n_seeds)[:, None], torch.arange(n_envs)[None]
        self._length, self._running = length, Trajectory(*(torch.empty(0) for _ in range(3)))
        self.finished: list[list[Trajectory]] = [[] for _ in range(n_seeds)]

    def add(self, step: Step) -> None:
        """Remember one step of all worlds (S, N); games that stopped move to `finished`."""
        now = Trajectory(step.obs, step.action, step.reward)
        if not self._running.obs.numel():
            self._running = Trajectory(*(_room(x, self._length) for x in now))
        elif self._time.max() == self._running.reward.shape[2]:
            self._running = Trajectory(*(torch.cat([x, torch.empty_like(x)], 2) for x in self._running))
        for kept, x in zip(self._running, now, strict=True):
            kept[self._seed, self._world, self._time] = x
        self._time += 1
        for s, n in torch.nonzero(step.last).tolist():
            game = (x[s, n, : self._time[s, n]].clone() for x in self._running)
            self.finished[s].append(Trajectory(*game))
            self._time[s, n] = 0

    def pop(self, seed_index: int) -> list[Trajectory]:
        """The finished games of one seed, which are forgotten."""
        games, self.finished[seed_index] = self.finished[seed_index], []
        return games


def _rows(ring: Tensor, index: Tensor) -> Tensor:
    """Rows of a ring (S, capacity, ...) by their place in all of it: quicker than by two indices."""
    return ring.flatten(0, 1).index_select(0, index)


def _room(x: Tensor, length: int) -> Tensor:
    return torch.empty(*x.shape[:2], length, *x.shape[2:], dtype=x.dtype)
