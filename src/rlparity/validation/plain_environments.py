"""Plain Gymnasium environments, which replay the actions that a contract check compares."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import RecordEpisodeStatistics

from rlparity.cell import is_configured
from rlparity.environments.configured import ids, making
from rlparity.environments.minatar.game import make_single

NAMESPACE = "Cut"


def is_atari(environment: str) -> bool:
    """Whether it is an Atari game under a preset, which plain Gymnasium does not know."""
    return environment.startswith("ALE/")


def is_minatar(environment: str) -> bool:
    """Whether it is a game of MinAtar, which plain Gymnasium does not know either."""
    return environment.startswith("MinAtar/")


@cache
def with_time_limit(environment: str, n_steps: int) -> str:
    """Register `environment` with a time limit of `n_steps`; returns the new id. Games of Atari and MinAtar
    keep theirs."""
    if is_atari(environment) or is_minatar(environment):
        return environment
    if is_configured(environment):
        return ids.write(dataclasses.replace(ids.parse(environment), max_episode_steps=n_steps))
    made = plain(environment)  # imports the module of "module:Id"
    made.close()
    assert made.spec is not None
    name = f"{NAMESPACE}/{made.spec.name}{n_steps}-v{made.spec.version or 0}"
    gym.registry[name] = dataclasses.replace(made.spec, id=name, max_episode_steps=n_steps)
    return name


def plain(environment: str) -> gym.Env:
    """One environment, as a user of Gymnasium makes it; games of MinAtar as the reference gets them."""
    if is_minatar(environment):
        return make_single(environment)
    if is_configured(environment):
        return making.make_single(environment)
    return gym.make(environment, disable_env_checker=True)


def ends_within(
    n_steps: int, ends: Any, state: np.ndarray, elapsed: np.ndarray, fell: np.ndarray, last: np.ndarray
) -> bool:
    """In place of the compiled `ends` of our CartPole: its time limit is `n_steps`, less than its own."""
    ends(state, elapsed, fell, last)
    last |= elapsed >= n_steps
    return bool(last.any())


class PlainStep(NamedTuple):
    """One step of a single environment, as Gymnasium returns it."""

    action: Any
    obs: np.ndarray  # before the action
    next_obs: np.ndarray  # the true successor, also at the end of an episode
    reward: float
    terminated: bool
    truncated: bool
    episode: tuple[float, int] | None  # return and length, at the last step of an episode


def replay(
    environment: str, seed: int, actions: Sequence[Any], first_episode: bool = False
) -> list[PlainStep]:
    """Take the same actions in a plain environment, which is reset after every episode; with `first_episode`,
    stop at the end of the first one."""
    env: gym.Env = RecordEpisodeStatistics(plain(environment))
    obs, _ = env.reset(seed=seed)
    steps = []
    for action in actions:
        after, reward, terminated, truncated, info = env.step(action)
        episode = None
        if terminated or truncated:
            episode = float(info["episode"]["r"]), int(info["episode"]["l"])
        steps.append(PlainStep(action, obs, after, float(reward), bool(terminated), bool(truncated), episode))
        if first_episode and episode is not None:
            break
        obs = env.reset()[0] if episode is not None else after
    env.close()
    return steps


@cache
def starts_vary(environment: str) -> bool:
    """Whether episodes start from different states. Atari games may start with the same screen."""
    if is_atari(environment):
        return False
    env = plain(environment)
    first, second = (env.reset(seed=seed)[0] for seed in (1, 2))
    env.close()
    return not np.array_equal(first, second)
