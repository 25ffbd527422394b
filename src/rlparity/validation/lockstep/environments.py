"""The worlds of a lock-step run: Stable-Baselines3 learns in them, and ours hears of every step."""

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
from rlparity.validation.lockstep.cases import Case


class Ended(NamedTuple):
    """An episode of SB3's."""

    episode_return: float  # sum of rewards as the world paid them, float64
    cut: bool  # by the time limit


class Listener(Protocol):
    """Who hears of SB3's steps."""

    def chosen(self, obs: np.ndarray, actions: np.ndarray) -> None:
        """SB3 has learned from its last step and chosen the next actions, (N, *obs) and (N, *action)."""

    def stepped(self, step: Step, ended: list[Ended]) -> None:
        """The worlds have answered, (1, N, ...); SB3 has not learned from it yet."""


class Worlds(VecEnvWrapper):
    """SB3's worlds, with a listener.

    They are handed actions in float32, as they would be without lock-step: worlds show their state in
    float32, so that of two actions a rounding error apart one may, now and then, be seen to lead elsewhere.
    """

    venv: DummyVecEnv

    def __init__(self, case: Case, listener: Listener):
        limit = {} if case.time_limit is None else {"max_episode_steps": case.time_limit}
        make = partial(gym.make, case.environment, disable_env_checker=True, **limit)
        super().__init__(DummyVecEnv([make] * case.n_envs))
        self._listener, self._returns = listener, np.zeros(case.n_envs)

    def reset(self) -> Any:
        """Start all worlds anew."""
        self._obs: Any = self.venv.reset()
        return self._obs

    def step_async(self, actions: np.ndarray) -> None:
        """Pass the actions on."""
        self._listener.chosen(self._obs, actions)
        self._actions = actions
        self.venv.step_async(actions.astype(np.float32) if actions.dtype == np.float64 else actions)

    def step_wait(self) -> Any:
        """What the worlds answer; rewards are rounded to float32, in which our tasks have them."""
        obs, rewards, dones, infos = self.venv.step_wait()
        self._returns += rewards
        rewards = rewards.astype(np.float32).astype(np.float64)
        cut = np.array([info["TimeLimit.truncated"] for info in infos])
        true = [info.get("terminal_observation", o) for info, o in zip(infos, obs, strict=True)]
        fields = (self._obs, self._actions, rewards, ~dones | cut, dones, np.stack(true))
        step = doubles(Step(*(torch.from_numpy(np.array(x))[None] for x in fields)))
        ended = [Ended(float(self._returns[n]), bool(cut[n])) for n in np.flatnonzero(dones)]
        self._returns[dones] = 0
        self._listener.stepped(step, ended)
        self._obs = obs
        return obs, rewards, dones, infos


def doubles(step: Step) -> Step:
    """All but whole numbers in float64."""
    return Step(*(x if x.dtype == torch.int64 else x.double() for x in step))


@contextmanager
def time_limit(case: Case) -> Iterator[None]:
    """Our task of CartPole cuts games when SB3's worlds do."""
    if case.time_limit is None:
        yield
        return
    with patch.object(cartpole, "TIME_LIMIT", case.time_limit):
        yield
