"""CartPole as one array program. Barto, Sutton and Anderson 1983; Gymnasium's CartPole-v1, bit for bit.

Gymnasium's own vector form draws every reset from one generator, so that a seed's starts depend on its
neighbours; here each sub-environment has the generator that `gymnasium.make` would give it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium.utils.seeding import np_random
from torch import Tensor

from rlparity.compilation import entry
from rlparity.environments.base import EnvSpec, Role
from rlparity.environments.episode_statistics import EpisodeStatistics
from rlparity.transitions import Episode, Step

GRAVITY, MASS_POLE, TOTAL_MASS, HALF_LENGTH = 9.8, 0.1, 1.1, 0.5
POLE_MASS_LENGTH, FORCE, SECONDS = MASS_POLE * HALF_LENGTH, 10.0, 0.02
MAX_ANGLE, MAX_POSITION = 12 * 2 * np.pi / 360, 2.4
TIME_LIMIT = 500
RESETS = 32  # starts drawn at once from a sub-environment's generator


def make(environment: str, seeds: Sequence[Sequence[int]], role: Role = "training") -> CartPole:
    """S x N cart-poles."""
    return CartPole(seeds)


def accelerate(state: np.ndarray, action: np.ndarray) -> np.ndarray:
    """One Euler step of the equations of motion: state (4, M) float64, action (M,) of {0, 1} -> (4, M)."""
    new = np.empty_like(state)
    _euler(state, action, np.cos(state[2]), np.sin(state[2]), new)  # NumPy's, to the last bit
    return new


@entry
def _euler(state, action, cosines, sines, new) -> None:  # type: ignore[no-untyped-def]
    for i in range(state.shape[1]):
        x, x_dot, theta, theta_dot = state[0, i], state[1, i], state[2, i], state[3, i]
        cos, sin = cosines[i], sines[i]
        force = FORCE if action[i] == 1 else -FORCE
        temp = (force + POLE_MASS_LENGTH * (theta_dot * theta_dot) * sin) / TOTAL_MASS
        theta_acc = (GRAVITY * sin - cos * temp) / (
            HALF_LENGTH * (4.0 / 3.0 - MASS_POLE * (cos * cos) / TOTAL_MASS)
        )
        x_acc = temp - POLE_MASS_LENGTH * theta_acc * cos / TOTAL_MASS
        new[0, i] = x + SECONDS * x_dot
        new[1, i] = x_dot + SECONDS * x_acc
        new[2, i] = theta + SECONDS * theta_dot
        new[3, i] = theta_dot + SECONDS * theta_acc


@entry
def _ends(state, elapsed, fell, last) -> bool:  # type: ignore[no-untyped-def]
    """Count a step, and write where the pole fell and where the episode is over; whether any is."""
    found = False
    for i in range(len(elapsed)):
        elapsed[i] += 1
        fell[i] = abs(state[0, i]) > MAX_POSITION or abs(state[2, i]) > MAX_ANGLE
        last[i] = fell[i] or elapsed[i] >= TIME_LIMIT
        found = found or last[i]
    return found


class CartPole:
    """S x N cart-poles; see `rlparity.environments.base.Env`."""

    def __init__(self, seeds: Sequence[Sequence[int]]):
        self.spec = EnvSpec(len(seeds), len(seeds[0]), (4,), n_actions=2)
        self._shape = (self.spec.n_seeds, self.spec.n_envs)
        self.reset(seeds)

    def reset(self, seeds: Sequence[Sequence[int]]) -> None:
        """Reset all carts."""
        self._statistics = EpisodeStatistics(*self._shape)
        self._ones, self._reward = np.ones(self._shape), torch.ones(self._shape)
        self._rng = [np_random(seed)[0] for row in seeds for seed in row]
        self._starts = np.empty((len(self._rng), RESETS, 4))
        self._next_start = np.full(len(self._rng), RESETS)
        self._elapsed = np.zeros(len(self._rng), dtype=np.int64)
        self._state = np.empty((4, len(self._rng)))
        for i in range(len(self._rng)):
            self._state[:, i] = self._start(i)
        self.obs = self._observe(self._state)

    def _start(self, i: int) -> np.ndarray:
        if self._next_start[i] == RESETS:
            self._starts[i] = self._rng[i].uniform(-0.05, 0.05, size=(RESETS, 4))
            self._next_start[i] = 0
        self._next_start[i] += 1
        return self._starts[i, self._next_start[i] - 1]

    def _observe(self, state: np.ndarray) -> Tensor:
        return torch.from_numpy(state.T.astype(np.float32)).view(*self._shape, 4)

    def step(self, action: Tensor, live: np.ndarray | None = None) -> Step:
        """Push all carts: action (S, N) of {0, 1}."""
        state = accelerate(self._state, action.reshape(-1).numpy())
        ends = np.empty((2, len(self._elapsed)), dtype=bool)
        fell, last = ends
        over = _ends(state, self._elapsed, fell, last)
        obs, next_obs = self.obs, self._observe(state)
        self.obs = next_obs
        if over:
            for i in np.flatnonzero(last).tolist():
                state[:, i] = self._start(i)
            self._elapsed[last] = 0
            self.obs = self._observe(state)
        self._state = state
        self._statistics.add(self._ones, last.reshape(self._shape))
        discount, stopped = torch.from_numpy(ends).view(2, *self._shape).float()
        return Step(obs, action, self._reward, 1 - discount, stopped, next_obs)

    def pop_episodes(self) -> list[Episode]:
        """The episodes that ended since the last call."""
        return self._statistics.pop()

    def snapshot(self) -> dict[str, Any]:
        """Generators, the starts drawn from them, and every cart's state and time."""
        return {
            "rngs": [rng.bit_generator.state for rng in self._rng],
            "starts": self._starts,
            "next_start": self._next_start,
            "elapsed": self._elapsed,
            "state": self._state,
            "statistics": self._statistics.snapshot(),
        }

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`."""
        for rng, content in zip(self._rng, state["rngs"], strict=True):
            rng.bit_generator.state = content
        self._starts[:], self._next_start[:] = state["starts"], state["next_start"]
        self._elapsed[:], self._state[:] = state["elapsed"], state["state"]
        self._statistics.resume(state["statistics"])
        self.obs = self._observe(self._state)

    def close(self) -> None:
        """Nothing is held."""
