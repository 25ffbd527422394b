"""The environments that Stable-Baselines3 learns in, recorded below the model.

A family of environments with wrappers of its own has a module with the same functions: see `sb3_atari`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper

from rlparity.environments.episode_statistics import EpisodeStatistics
from rlparity.environments.gymnasium_env import make_single

if TYPE_CHECKING:
    from rlparity.training.recorder import OnEpisodes, Recorder

DEPARTURES: list[str] = []
Raw = Callable[[DummyVecEnv, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def make(environment: str, n_envs: int) -> DummyVecEnv:
    """Scalar environments side by side."""
    return DummyVecEnv([partial(make_single, environment)] * n_envs)


def raw(environments: DummyVecEnv, rewards: np.ndarray, dones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw rewards (N,) of a step, and which episodes ended in it (N,) bool."""
    return rewards.astype(np.float64), dones


def present(env: VecEnv) -> VecEnv:
    """The environments as the model sees them."""
    return env


class RecordedEnvironments(VecEnvWrapper):
    """Record between SB3 and its environments, and evaluate exactly where our own loop does: after any update
    and before the step that would follow it."""

    venv: DummyVecEnv

    def __init__(
        self,
        venv: DummyVecEnv,
        before_step: Callable[[int], None],
        recorder: Recorder,
        on_episodes: OnEpisodes,
        raw: Raw = raw,
    ):
        super().__init__(venv)
        self._statistics, self._raw = EpisodeStatistics(1, venv.num_envs), raw
        self._before_step, self._recorder, self._on_episodes = before_step, recorder, on_episodes

    @property
    def env_step(self) -> int:
        """Environment steps so far."""
        return self._statistics.env_step

    @env_step.setter
    def env_step(self, value: int) -> None:
        self._statistics.env_step = value

    def reset(self) -> Any:
        """Reset all environments."""
        return self.venv.reset()

    def step_async(self, actions: np.ndarray) -> None:
        """Pass the actions on, after an evaluation that is due."""
        self._before_step(self._statistics.env_step)
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """Record rewards and episodes."""
        obs, rewards, dones, infos = self.venv.step_wait()
        raw_rewards, stopped = self._raw(self.venv, rewards, dones)
        self._statistics.add(raw_rewards[None], stopped[None])
        ended = self._statistics.pop()
        self._recorder.ended(ended)
        self._on_episodes(self._statistics.env_step, ended)
        return obs, rewards, dones, infos
