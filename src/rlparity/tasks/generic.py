"""Any registered Gymnasium environment with array observations, as S x N scalar environments."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from rlparity.errors import UserError
from rlparity.records import Episode, Step
from rlparity.tasks import TaskSpec
from rlparity.tasks.books import Books


def make(environment: str, seeds: Sequence[Sequence[int]]) -> GymTask:
    """S x N worlds made by `gymnasium.make`."""
    return GymTask(environment, seeds)


def make_single(environment: str) -> gym.Env:
    """One scalar environment, as a user of Gymnasium would make it."""
    return gym.make(environment, disable_env_checker=True)


class GymTask:
    """S x N scalar environments, reset in the step in which they end; see `rlparity.tasks.Task`."""

    def __init__(self, environment: str, seeds: Sequence[Sequence[int]]):
        self._shape = (len(seeds), len(seeds[0]))
        self._envs = [make_single(environment) for row in seeds for _ in row]
        space, actions = self._envs[0].observation_space, self._envs[0].action_space
        if not isinstance(space, gym.spaces.Box):
            raise UserError(f"{environment}: observations are {space}; only Box is supported")
        discrete = isinstance(actions, gym.spaces.Discrete)
        if discrete and actions.start != 0:  # type: ignore[attr-defined]
            raise UserError(f"{environment}: actions start at {actions.start}; only 0 is supported")  # type: ignore[attr-defined]
        self.spec = TaskSpec(
            *self._shape,
            space.shape,
            n_actions=int(actions.n) if discrete else None,  # type: ignore[attr-defined]
            action_shape=() if discrete else actions.shape,  # type: ignore[arg-type]
        )
        self.reset(seeds)

    def reset(self, seeds: Sequence[Sequence[int]]) -> None:
        """Start all worlds anew."""
        self._books = Books(*self._shape)
        flat = [seed for row in seeds for seed in row]
        starts = [env.reset(seed=seed)[0] for env, seed in zip(self._envs, flat, strict=True)]
        self._obs = np.stack(starts).astype(np.float32)
        self.obs = self._view(self._obs)

    def _view(self, obs: np.ndarray) -> Tensor:
        return torch.from_numpy(obs).view(*self._shape, *self.spec.obs_shape)

    def step(self, action: Tensor, live: np.ndarray | None = None) -> Step:
        """Act in the live worlds (S, N); the others stand still and pay nothing."""
        m = len(self._envs)
        actions = action.reshape(m, *self.spec.action_shape).numpy()
        next_obs, obs = self._obs.copy(), self._obs.copy()
        reward = np.zeros(m)
        ended, last = np.zeros(m, dtype=bool), np.zeros(m, dtype=bool)
        worlds = range(m) if live is None else np.flatnonzero(live).tolist()
        for i in worlds:
            next_obs[i], reward[i], ended[i], cut, _ = self._envs[i].step(actions[i])
            obs[i] = next_obs[i]
            if ended[i] or cut:
                last[i] = True
                obs[i] = self._envs[i].reset()[0]
        before, self.obs, self._obs = self.obs, self._view(obs), obs
        self._books.add(reward.reshape(self._shape), last.reshape(self._shape))
        floats = torch.from_numpy(np.stack((reward, ~ended, last)).astype(np.float32)).view(3, *self._shape)
        return Step(before, action, *floats, self._view(next_obs))  # type: ignore[call-arg]

    def pop_episodes(self) -> list[Episode]:
        """The games that ended since the last call."""
        return self._books.pop()

    def close(self) -> None:
        """Close every environment."""
        for env in self._envs:
            env.close()
