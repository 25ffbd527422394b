"""Environments in which a contract is looked at, and plain Gymnasium to hold them against."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.wrappers import RecordEpisodeStatistics

NAMESPACE = "Cut"


def is_atari(environment: str) -> bool:
    """Whether it is a game under a preset, which plain Gymnasium does not know."""
    return environment.startswith("ALE/")


@cache
def cut(environment: str, steps: int) -> str:
    """Register `environment` with a time limit of `steps`; its id. Atari games stay as they are."""
    if is_atari(environment):
        return environment
    made = plain(environment)  # imports the module of "module:Id"
    made.close()
    assert made.spec is not None
    name = f"{NAMESPACE}/{made.spec.name}{steps}-v{made.spec.version or 0}"
    gym.registry[name] = dataclasses.replace(made.spec, id=name, max_episode_steps=steps)
    return name


def plain(environment: str) -> gym.Env:
    """One environment, as a user of Gymnasium makes it."""
    return gym.make(environment, disable_env_checker=True)


class Moment(NamedTuple):
    """One step of a scalar environment, as Gymnasium says it."""

    action: Any
    obs: np.ndarray  # that the action answers to
    next_obs: np.ndarray  # the true successor
    reward: float
    ended: bool
    cut: bool
    game: tuple[float, int] | None  # return and length, at the last step of a game


def replay(environment: str, seed: int, actions: Sequence[Any], first_game: bool = False) -> list[Moment]:
    """The same actions in a plain environment, reset whenever a game is over, or only until one is."""
    env: gym.Env = RecordEpisodeStatistics(plain(environment))
    obs, _ = env.reset(seed=seed)
    moments = []
    for action in actions:
        after, reward, ended, over, info = env.step(action)
        game = None
        if ended or over:
            game = float(info["episode"]["r"]), int(info["episode"]["l"])
        moments.append(Moment(action, obs, after, float(reward), bool(ended), bool(over), game))
        if first_game and game is not None:
            break
        obs = env.reset()[0] if game is not None else after
    env.close()
    return moments


@cache
def starts_vary(environment: str) -> bool:
    """Whether games begin in different states; those of Atari may show the same screen at first."""
    if is_atari(environment):
        return False
    env = plain(environment)
    first, second = (env.reset(seed=seed)[0] for seed in (1, 2))
    env.close()
    return not np.array_equal(first, second)
