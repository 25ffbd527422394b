"""Atari as Stable-Baselines3 plays it: its own `AtariWrapper`, four frames stacked, channels first.

The emulator has the options of the preset, as in `environments.atari`. Episodes are recorded below SB3's
wrappers, where rewards are raw and a lost life ends nothing. What AtariWrapper does by itself at a reset
(no-ops and FIRE, after a lost life too) is no step of the agent and does not count in the length of a game;
the rewards meanwhile do count in its return.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import ale_py
import gymnasium as gym
import numpy as np
from stable_baselines3.common.atari_wrappers import AtariWrapper
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecTransposeImage

from rlparity.environments.atari_presets import FRAME_SKIP, SIZE, STACK, parse

gym.register_envs(ale_py)

DEPARTURES = [
    "AtariWrapper pools two frames in colour, then turns them grey (our environment: the other way round)",
    "it plays FIRE and the action after it at every start (our environment: FIRE alone, with `nature` alone)",
    "after a lost life it plays a no-op and these, and restarts the stack of frames (ours goes on)",
]


class Game(gym.Wrapper):
    """Add up the rewards of one game between the steps of an agent, each of which is several frames."""

    def __init__(self, env: gym.Env):
        super().__init__(env)
        self._running = 0.0  # raw rewards of the running game that are not recorded yet
        self._over: float | None = None  # the same of a game that is over

    def reset(self, **keywords: Any) -> tuple[Any, dict[str, Any]]:
        """Begin a game."""
        self._running = 0.0
        return super().reset(**keywords)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One frame."""
        obs, reward, ended, cut, info = super().step(action)
        self._running += float(reward)
        if (ended or cut) and self._over is None:  # else it ended before the agent's first step
            self._over, self._running = self._running, 0.0
        return obs, reward, ended, cut, info

    def pop(self) -> tuple[float, bool]:
        """Raw rewards since the last call, up to the end of the game if it came, and whether it did."""
        reward, over = (self._running, False) if self._over is None else (self._over, True)
        if over:
            self._over = None  # rewards of the next game so far come with its first step
        else:
            self._running = 0.0
        return reward, over


def make(environment: str, n_envs: int) -> DummyVecEnv:
    """Games side by side, each in SB3's wrapper with the options of the preset."""
    return DummyVecEnv([partial(make_single, environment)] * n_envs)


def make_single(environment: str) -> gym.Env:
    """One game as `AtariWrapper` shows it: (84, 84, 1) bytes. The frame cap is a truncation."""
    game, preset = parse(environment)
    env = gym.make(
        game,
        frameskip=1,  # AtariWrapper repeats actions itself
        repeat_action_probability=preset.repeat_action_probability,
        full_action_space=preset.full_action_space,
        max_num_frames_per_episode=preset.max_frames,
        disable_env_checker=True,
    )
    return AtariWrapper(
        Game(env),
        noop_max=preset.noop_max,
        frame_skip=FRAME_SKIP,
        screen_size=SIZE,
        terminal_on_life_loss=preset.terminal_on_life_loss,
        clip_reward=preset.clip_reward,
    )


def raw(environments: DummyVecEnv, rewards: np.ndarray, dones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Raw rewards (N,) since the step before, and which games are over (N,) bool, lives left or not."""
    totals, over = zip(*(_game(env).pop() for env in environments.envs), strict=True)
    return np.array(totals), np.array(over)


def _game(env: gym.Env) -> Game:
    while not isinstance(env, Game):
        assert isinstance(env, gym.Wrapper)
        env = env.env
    return env


def present(env: VecEnv) -> VecEnv:
    """Stacks of four frames, the newest last, (4, 84, 84) bytes."""
    return VecTransposeImage(VecFrameStack(env, STACK))
