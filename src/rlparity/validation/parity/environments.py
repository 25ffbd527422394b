"""Small, fast environments for comparing updates, in which episodes terminate and are truncated."""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv

from rlparity.environments.minatar.game import MinAtarGame

LIMIT = 20  # steps of an episode at most
SMALL_IMAGE = (4, 10, 10)  # channels, height, width


class Drift(gym.Env):
    """A drifting point that two components of action push; leaving the field terminates the episode. Actions
    are bounded by +-0.5, so that clipping has an effect."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,))
    action_space = gym.spaces.Box(-0.5, 0.5, (2,))
    _push = np.array([[1.0, 0.3], [-0.4, 0.8], [0.2, -0.6]])

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Start near the middle."""
        super().reset(seed=seed)
        self._place = self.np_random.normal(size=3) / 2
        return self._place.astype(np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move the point; the reward decreases with its distance from the middle."""
        self._place = 0.95 * self._place + self._push @ action + self.np_random.normal(size=3) / 5
        left = bool(abs(self._place[0]) > 1.5)
        return self._place.astype(np.float32), 1 - float(np.square(self._place).sum()) / 3, left, False, {}


class Constant(gym.Env):
    """An environment in which nothing changes, for learners whose batches are replaced."""

    def __init__(self, action_space: gym.Space, shape: tuple[int, ...] = (3,)):
        self.observation_space, self.action_space = gym.spaces.Box(-np.inf, np.inf, shape), action_space
        self._obs = np.zeros(shape, np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Return zeros."""
        return self._obs, {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Return zeros."""
        return self._obs, 0.0, False, False, {}


def _limited(continuous: bool) -> gym.Env:
    if continuous:
        return gym.wrappers.TimeLimit(Drift(), LIMIT)
    return gym.make("CartPole-v1", max_episode_steps=LIMIT, disable_env_checker=True)


def short_episodes(continuous: bool, n_envs: int, images: bool = False) -> DummyVecEnv:
    """CartPole or `Drift` with a short time limit, so that episodes terminate and are truncated; of `images`,
    MinAtar's Breakout."""
    if images:
        return DummyVecEnv([partial(MinAtarGame, "breakout", True, LIMIT)] * n_envs)
    return DummyVecEnv([partial(_limited, continuous)] * n_envs)


def constant(continuous: bool, n_envs: int, images: bool = False) -> DummyVecEnv:
    """`Constant` with three discrete actions or with actions of two components, vectors or small images."""
    actions: gym.Space = gym.spaces.Box(-2.0, 2.0, (2,)) if continuous else gym.spaces.Discrete(3)
    return DummyVecEnv([partial(Constant, actions, SMALL_IMAGE if images else (3,))] * n_envs)
