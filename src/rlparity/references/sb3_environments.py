"""The worlds that Stable-Baselines3 learns in, and the books kept between the two.

A family of environments with a way of its own has a room with the same functions: see `reference_atari`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecEnvWrapper

from rlparity.environments.episode_statistics import EpisodeStatistics
from rlparity.environments.gymnasium_env import make_single
from rlparity.training.recorder import OnEpisodes, Recorder

DEPARTURES: list[str] = []
Paid = Callable[[DummyVecEnv, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def make(environment: str, n_envs: int) -> DummyVecEnv:
    """Scalar worlds side by side."""
    return DummyVecEnv([partial(make_single, environment)] * n_envs)


def paid(worlds: DummyVecEnv, rewards: np.ndarray, dones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the books are told of a step: raw rewards (N,), and which games stopped (N,) bool."""
    return rewards.astype(np.float64), dones


def present(env: VecEnv) -> VecEnv:
    """The worlds as the model sees them."""
    return env


class RecordedEnvironments(VecEnvWrapper):
    """Keeps the books between SB3 and its worlds, and stops the clock exactly where our own loop does:
    an evaluation comes after any update and before the step that would follow it."""

    venv: DummyVecEnv

    def __init__(
        self,
        venv: DummyVecEnv,
        before_step: Callable[[int], None],
        rows: Recorder,
        watch: OnEpisodes,
        paid: Paid = paid,
    ):
        super().__init__(venv)
        self._books, self._paid = EpisodeStatistics(1, venv.num_envs), paid
        self._before_step, self._rows, self._watch = before_step, rows, watch

    @property
    def env_step(self) -> int:
        """Environment steps so far."""
        return self._books.env_step

    @env_step.setter
    def env_step(self, value: int) -> None:
        self._books.env_step = value

    def reset(self) -> Any:
        """Start all worlds anew."""
        return self.venv.reset()

    def step_async(self, actions: np.ndarray) -> None:
        """Pass the actions on, after an evaluation that is due."""
        self._before_step(self._books.env_step)
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """Book what the worlds pay."""
        obs, rewards, dones, infos = self.venv.step_wait()
        raw, stopped = self._paid(self.venv, rewards, dones)
        self._books.add(raw[None], stopped[None])
        ended = self._books.pop()
        self._rows.ended(ended)
        self._watch(self._books.env_step, ended)
        return obs, rewards, dones, infos
