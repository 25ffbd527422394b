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

    Transitions are numbered in the order they came in, so that a checkpoint can write the new ones only;
    number k lies at place k % capacity.
    """

    def __init__(self, capacity: int, n_seeds: int, n_envs: int):
        self.capacity = max(capacity // n_envs, 1) * n_envs  # whole rows of worlds, as SB3 counts it
        self.added = 0  # transitions of each seed ever
        self._n_seeds, self._n_envs = n_seeds, n_envs
        self._fields: Any = None  # rings (S, capacity, ...), a Step
        self._seed = torch.arange(n_seeds)[:, None]

    @property
    def size(self) -> int:
        """Transitions of each seed that it holds."""
        return min(self.added, self.capacity)

    def add(self, step: Step) -> None:
        """Remember one step of all worlds (S, N)."""
        self._append(step)

    def _append(self, fields: Sequence[Tensor]) -> None:
        """Put one row of all worlds, each field (S, N, ...), at the end."""
        start = self.added % self.capacity
        for ring, x in zip(self._rings(fields), fields, strict=True):
            ring[:, start : start + self._n_envs] = x
        self.added += self._n_envs

    def _rings(self, like: Sequence[Tensor]) -> Any:
        """Room for transitions of that kind, made when the first arrive."""
        if self._fields is None:
            self._fields = Step(*(self._room(x) for x in like))
        return self._fields

    def _room(self, like: Tensor) -> Tensor:
        return like.new_empty(self._n_seeds, self.capacity, *like.shape[2:])

    def drawable(self, n_steps: int = 1) -> tuple[int, int]:
        """Number of the first transition that may be drawn, and one past the last: those followed by
        `n_steps` - 1 more of the same world."""
        first = self.added - self.size
        return first, max(self.added - (n_steps - 1) * self._n_envs, first)

    def index(self, uniform: Tensor, n_steps: int = 1) -> Tensor:
        """Places drawn with replacement: uniform (S, B) in [0, 1) -> (S, B). Something must be `drawable`."""
        first, last = self.drawable(n_steps)
        assert last > first, "nothing to draw yet"
        drawn = (uniform.double() * (last - first)).long()
        return drawn if last - first == self.size else (first + drawn) % self.capacity

    def at(self, index: Tensor, n_steps: int = 1, gamma: float = 1.0) -> Step:
        """The transitions at places (S, B), each a window of up to `n_steps` steps of its world.

        A window stops where an episode does. `reward` is its sum of gamma^k r_k, `next_obs` what followed its
        last step, m - 1, and `discount` that step's times gamma^(m - 1): `reward + gamma * discount *
        max Q(next_obs)` is the target of m-step Q-learning (Sutton & Barto 2018, eq. 7.1).
        """
        start = index + self._seed * self.capacity
        end, reward, discount = self._windows(start, n_steps, gamma)
        obs, next_obs = self._ends(start, end)
        action, last = _take(self._fields.action, start), _take(self._fields.last, end)
        return Step(obs, action, reward, discount, last, next_obs)

    def sample(self, uniform: Tensor) -> Step:
        """Transitions drawn with replacement: uniform (S, B) in [0, 1) -> fields (S, B, ...)."""
        return self.at(self.index(uniform))

    # Below, a place counts through the rings of all seeds: quicker to take than by two indices.

    def _windows(self, start: Tensor, n_steps: int, gamma: float) -> tuple[Tensor, Tensor, Tensor]:
        """Place of the last step, sum of rewards and discount of the windows that begin at `start` (S, B)."""
        reward, power = _take(self._fields.reward, start), 1.0
        if n_steps == 1:
            return start, reward, _take(self._fields.discount, start)
        place, end, on, factor = start, start, self._goes_on(start), torch.ones_like(reward)
        for _ in range(n_steps - 1):
            place, power = self._after(place), power * gamma
            reward = torch.where(on, reward + power * _take(self._fields.reward, place), reward)
            end, factor = torch.where(on, place, end), torch.where(on, power, factor)
            on = on & self._goes_on(place)
        return end, reward, factor * _take(self._fields.discount, end)

    def _after(self, place: Tensor) -> Tensor:
        """Where the next transition of the same world is."""
        first = self._seed * self.capacity
        return first + (place - first + self._n_envs) % self.capacity

    def _goes_on(self, place: Tensor) -> Tensor:
        """Whether the next transition of the same world belongs to the same episode."""
        return _take(self._fields.last, place) == 0

    def _ends(self, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        """What was seen before the transitions at `start`, and after those at `end`."""
        return _take(self._fields.obs, start), _take(self._fields.next_obs, end)

    def read(self, first: int, last: int) -> Sequence[Tensor]:
        """Transitions number `first` to `last` - 1, which it must still hold: (S, last - first, ...)."""
        assert self._fields is not None and self.added - self.size <= first <= last <= self.added
        index = torch.arange(first, last) % self.capacity
        return type(self._fields)(*(ring[:, index] for ring in self._fields))

    def write(self, first: int, content: Sequence[Tensor]) -> None:
        """Put back what `read` gave, as transitions number `first` and on."""
        shape = (self._n_seeds, content[0].shape[1])
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


def _take(ring: Tensor, place: Tensor) -> Tensor:
    """A ring (S, capacity, ...) at places (S, B) -> (S, B, ...)."""
    taken = ring.flatten(0, 1).index_select(0, place.flatten())
    return taken.view(*place.shape, *ring.shape[2:])


def _room(x: Tensor, length: int) -> Tensor:
    return torch.empty(*x.shape[:2], length, *x.shape[2:], dtype=x.dtype)
