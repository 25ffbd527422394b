"""A replay memory of many transitions, and minibatches drawn from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlparity import registry
from rlparity.environments.base import EnvSpec
from rlparity.transitions import Step


class Replay:
    """A ring of the last `capacity` transitions of each seed (Lin 1992; Mnih et al. 2013, Algorithm 1).

    Transitions are numbered in the order they came in, so that a checkpoint can write the new ones only;
    number k lies at place k % capacity.
    """

    def __init__(self, capacity: int, n_seeds: int, n_envs: int):
        self.capacity = (
            max(capacity // n_envs, 1) * n_envs
        )  # whole rows of sub-environments, as SB3 counts it
        self.added = 0  # transitions of each seed ever
        self._n_seeds, self._n_envs = n_seeds, n_envs
        self._fields: Any = None  # rings (S, capacity, ...), a Step
        self._seed = torch.arange(n_seeds)[:, None]

    @property
    def size(self) -> int:
        """Transitions of each seed that it holds."""
        return min(self.added, self.capacity)

    def add(self, step: Step) -> None:
        """Add one step (S, N)."""
        self._append(step)

    def _append(self, fields: Sequence[Tensor]) -> None:
        """Put one row of sub-environments, each field (S, N, ...), at the end."""
        start = self.added % self.capacity
        for ring, x in zip(self._rings(fields), fields, strict=True):
            ring[:, start : start + self._n_envs] = x
        self.added += self._n_envs

    def _rings(self, like: Sequence[Tensor]) -> Any:
        """Rings for transitions of that kind, allocated when the first arrive."""
        if self._fields is None:
            self._fields = Step(*(self._ring(x) for x in like))
        return self._fields

    def _ring(self, like: Tensor) -> Tensor:
        return like.new_empty(self._n_seeds, self.capacity, *like.shape[2:])

    def drawable(self, n_steps: int = 1) -> tuple[int, int]:
        """Number of the first transition that may be drawn, and one past the last: those followed by
        `n_steps` - 1 more of the same sub-environment."""
        first = self.added - self.size
        return first, max(self.added - (n_steps - 1) * self._n_envs, first)

    def index(self, uniform: Tensor, n_steps: int = 1) -> Tensor:
        """Places drawn with replacement: uniform (S, B) in [0, 1) -> (S, B). Something must be `drawable`."""
        first, last = self.drawable(n_steps)
        assert last > first, "nothing to draw yet"
        drawn = (uniform.double() * (last - first)).long()
        return drawn if last - first == self.size else (first + drawn) % self.capacity

    def at(self, index: Tensor, n_steps: int = 1, gamma: float = 1.0) -> Step:
        """The transitions at places (S, B), each a window of up to `n_steps` steps of its sub-environment.

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
        """Where the next transition of the same sub-environment is."""
        first = self._seed * self.capacity
        return first + (place - first + self._n_envs) % self.capacity

    def _goes_on(self, place: Tensor) -> Tensor:
        """Whether the next transition of the same sub-environment belongs to the same episode."""
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
        """The number of transitions added; they themselves go through `read` and `write`."""
        return {"added": self.added}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`, once the transitions are put back."""
        self.added = state["added"]


def _take(ring: Tensor, place: Tensor) -> Tensor:
    """A ring (S, capacity, ...) at places (S, B) -> (S, B, ...)."""
    taken = ring.flatten(0, 1).index_select(0, place.flatten())
    return taken.view(*place.shape, *ring.shape[2:])


class Minibatch(NamedTuple):
    """Transitions drawn from a memory, fields (S, B, ...)."""

    step: Step
    weight: Tensor | float = 1.0  # (S, B), of each transition's loss
    place: Tensor | None = None  # (S, B), for `update_priorities`; None where there are none

    def split(self, n: int) -> list[Minibatch]:
        """n minibatches of equal size, of one that was drawn without weights."""
        if n == 1:
            return [self]
        assert self.place is None and not isinstance(self.weight, Tensor)
        return [Minibatch(Step(*fields)) for fields in zip(*(x.chunk(n, 1) for x in self.step), strict=True)]


class UniformSampler:
    """Draw from a memory with equal probability, in windows of up to `n_steps` steps."""

    def __init__(self, memory: Replay, n_steps: int, gamma: float):
        self.memory, self._n_steps, self._gamma = memory, n_steps, gamma

    def add(self, step: Step) -> None:
        """Add one step (S, N)."""
        self.memory.add(step)

    def draw(self, uniform: Tensor, progress: float) -> Minibatch:
        """Draw with uniform numbers (S, B), after a share `progress` of the budget."""
        index = self.memory.index(uniform, self._n_steps)
        return Minibatch(self.memory.at(index, self._n_steps, self._gamma))

    def update_priorities(self, batch: Minibatch, error: Tensor) -> None:
        """Learn the errors (S, B) of a drawn minibatch. They do not matter here."""


def build(spec: EnvSpec, config: Any) -> UniformSampler:
    """The replay memory that an agent's settings ask for, and how it is drawn from."""
    size = (config.buffer_size, spec.n_seeds, spec.n_envs)
    if len(spec.obs_shape) == 3:
        memory: Replay = registry.part("frame replay", spec.obs_shape)(*size, mapped=config.memory_mapped)
    else:
        memory = Replay(*size)
    if getattr(config, "prioritized", False):
        prioritized: UniformSampler = registry.part("prioritized")(memory, spec.n_seeds, config)
        return prioritized
    return UniformSampler(memory, config.n_steps, config.gamma)
