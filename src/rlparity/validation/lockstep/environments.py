"""Environments of a lock-step run: Stable-Baselines3 learns in them, a listener receives every step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, Protocol
from unittest.mock import patch

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper

from rlparity.environments import cartpole
from rlparity.transitions import Step
from rlparity.validation import plain_environments
from rlparity.validation.lockstep.cases import Case


class FinishedEpisode(NamedTuple):
    """An episode of SB3."""

    episode_return: float  # sum of raw rewards, float64
    truncated: bool  # by the time limit


class Listener(Protocol):
    """The receiver of SB3's steps."""

    def chosen(self, obs: np.ndarray, actions: np.ndarray) -> None:
        """Called when SB3 has learned from its last step and chosen actions; (N, *obs) and (N, *action)."""

    def stepped(self, step: Step, ended: list[FinishedEpisode]) -> None:
        """Called after a step (1, N, ...), before SB3 learns from it."""


class SharedEnvs(VecEnvWrapper):
    """SB3's environments, with a listener.

    They receive actions in float32, as without lock-step: their observations are float32, so that two actions
    a rounding error apart in float64 may lead to different observations.
    """

    venv: DummyVecEnv

    def __init__(self, case: Case, listener: Listener):
        limit = {} if case.time_limit is None else {"max_episode_steps": case.time_limit}
        make = partial(gym.make, case.environment, disable_env_checker=True, **limit)
        super().__init__(DummyVecEnv([make] * case.n_envs))
        self._listener, self._returns = listener, np.zeros(case.n_envs)

    def reset(self) -> Any:
        """Reset all environments."""
        self._obs: Any = self.venv.reset()
        return self._obs

    def step_async(self, actions: np.ndarray) -> None:
        """Show the actions to the listener, then pass them on."""
        self._listener.chosen(self._obs, actions)
        self._actions = actions
        self.venv.step_async(actions.astype(np.float32) if actions.dtype == np.float64 else actions)

    def step_wait(self) -> Any:
        """Take the step and show it to the listener, with rewards in float32 as in our environments."""
        obs, rewards, dones, infos = self.venv.step_wait()
        self._returns += rewards
        rewards = rewards.astype(np.float32).astype(np.float64)
        truncated = np.array([info["TimeLimit.truncated"] for info in infos])
        successors = [info.get("terminal_observation", o) for info, o in zip(infos, obs, strict=True)]
        fields = (self._obs, self._actions, rewards, ~dones | truncated, dones, np.stack(successors))
        step = doubles(Step(*(torch.from_numpy(np.array(x))[None] for x in fields)))
        ended = [FinishedEpisode(float(self._returns[n]), bool(truncated[n])) for n in np.flatnonzero(dones)]
        self._returns[dones] = 0
        self._listener.stepped(step, ended)
        self._obs = obs
        return obs, rewards, dones, infos


def doubles(step: Step) -> Step:
    """Convert all but integers to float64."""
    return Step(*(x if x.dtype == torch.int64 else x.double() for x in step))


@contextmanager
def time_limit(case: Case) -> Iterator[None]:
    """Give our CartPole the time limit of SB3's environments."""
    if case.time_limit is None:
        yield
        return
    ends = partial(plain_environments.ends_within, case.time_limit, cartpole._ends)
    with patch.object(cartpole, "_ends", ends):
        yield
