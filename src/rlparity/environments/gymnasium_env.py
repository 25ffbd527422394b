"""Any registered Gymnasium environment with array observations, as S x N scalar environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.utils.seeding import np_random
from torch import Tensor

from rlparity.environments.base import EnvSpec, Role
from rlparity.environments.episode_statistics import EpisodeStatistics
from rlparity.errors import UserError
from rlparity.transitions import Episode, Step


def make(environment: str, seeds: Sequence[Sequence[int]], role: Role = "training") -> GymnasiumEnv:
    """S x N environments made by `gymnasium.make`."""
    return GymnasiumEnv(environment, seeds)


def make_single(environment: str) -> gym.Env:
    """One scalar environment, as a user of Gymnasium would make it."""
    return gym.make(environment, disable_env_checker=True)


class GymnasiumEnv:
    """S x N scalar environments, reset in the step in which they end; see `rlparity.environments.base.Env`.

    Continuous actions are clipped to their bounds, as Stable-Baselines3 does. What a simulator holds can not
    be saved in general, so `snapshot` keeps how it came about: each environment's generator as it was before
    the last reset, and the actions since.
    """

    def __init__(self, environment: str, seeds: Sequence[Sequence[int]]):
        self._shape = (len(seeds), len(seeds[0]))
        self._envs = [make_single(environment) for row in seeds for _ in row]
        space, actions = self._envs[0].observation_space, self._envs[0].action_space
        if not isinstance(space, gym.spaces.Box):
            raise UserError(f"{environment}: observations are {space}; only Box is supported")
        self.spec = EnvSpec(*self._shape, space.shape, **_actions(environment, actions))
        shape, ends = self.spec.action_shape, (self.spec.action_low, self.spec.action_high)
        self._bounds = [np.array(end, dtype=np.float32).reshape(shape) for end in ends if end]
        self.reset(seeds)

    def reset(self, seeds: Sequence[Sequence[int]]) -> None:
        """Reset all."""
        self._statistics = EpisodeStatistics(*self._shape)
        flat = [seed for row in seeds for seed in row]
        self._rngs: list[Any] = [None] * len(flat)
        self._since: list[list[np.ndarray]] = [[] for _ in flat]
        starts = [self._start(i, seed) for i, seed in enumerate(flat)]
        self._set_obs(np.stack(starts).astype(np.float32))

    def _start(self, i: int, seed: int | None = None) -> np.ndarray:
        """Reset environment i, and store the generator that it is reset with."""
        env = self._envs[i]
        rng = env.np_random if seed is None else np_random(seed)[0]
        self._rngs[i], self._since[i] = rng.bit_generator.state, []
        return env.reset(seed=seed)[0]

    def _set_obs(self, obs: np.ndarray) -> None:
        self._obs, self.obs = obs, self._view(obs)

    def _view(self, obs: np.ndarray) -> Tensor:
        return torch.from_numpy(obs).view(*self._shape, *self.spec.obs_shape)

    def step(self, action: Tensor, live: np.ndarray | None = None) -> Step:
        """Act in the live environments (S, N); the others stand still, with reward 0."""
        m = len(self._envs)
        actions = action.reshape(m, *self.spec.action_shape).numpy()
        if self.spec.n_actions is None:
            actions = np.clip(actions, *self._bounds)
        next_obs, obs = self._obs.copy(), self._obs.copy()
        reward = np.zeros(m)
        ended, last = np.zeros(m, dtype=bool), np.zeros(m, dtype=bool)
        acting = range(m) if live is None else np.flatnonzero(live).tolist()
        for i in acting:
            self._since[i].append(actions[i])
            next_obs[i], reward[i], ended[i], cut, _ = self._envs[i].step(actions[i])
            obs[i] = next_obs[i]
            if ended[i] or cut:
                last[i] = True
                obs[i] = self._start(i)
        before = self.obs
        self._set_obs(obs)
        self._statistics.add(reward.reshape(self._shape), last.reshape(self._shape))
        floats = torch.from_numpy(np.stack((reward, ~ended, last)).astype(np.float32)).view(3, *self._shape)
        return Step(before, action, floats[0], floats[1], floats[2], self._view(next_obs))

    def snapshot(self) -> dict[str, Any]:
        """Generators before the last reset, and the actions since."""
        since = [np.stack(actions) if actions else None for actions in self._since]
        return {"rngs": self._rngs, "since": since, "statistics": self._statistics.snapshot()}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Replay the same reset, then the same actions, in every environment."""
        self._rngs, obs = list(state["rngs"]), self._obs.copy()
        for i, (env, rng, actions) in enumerate(zip(self._envs, self._rngs, state["since"], strict=True)):
            env.np_random.bit_generator.state = rng
            obs[i] = env.reset()[0]
            self._since[i] = [] if actions is None else list(actions)
            for action in self._since[i]:
                obs[i] = env.step(action)[0]
        self._statistics.resume(state["statistics"])
        self._set_obs(obs)

    def pop_episodes(self) -> list[Episode]:
        """The episodes that ended since the last call."""
        return self._statistics.pop()

    def close(self) -> None:
        """Close every environment."""
        for env in self._envs:
            env.close()


def _actions(environment: str, space: gym.Space) -> dict[str, Any]:
    """The fields of `EnvSpec` that say what an action is."""
    if isinstance(space, gym.spaces.Discrete):
        if space.start != 0:
            raise UserError(f"{environment}: actions start at {space.start}; only 0 is supported")
        return {"n_actions": int(space.n)}
    if not isinstance(space, gym.spaces.Box):
        raise UserError(f"{environment}: actions are {space}; only Discrete and Box are supported")
    low, high = (tuple(map(float, bound.ravel())) for bound in (space.low, space.high))
    return {"n_actions": None, "action_shape": space.shape, "action_low": low, "action_high": high}
