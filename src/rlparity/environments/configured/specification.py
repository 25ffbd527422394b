"""Make environments from ids with keys: `gymnasium.make` with keyword arguments, then the wrappers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

from rlparity import registry
from rlparity.environments.base import Role
from rlparity.environments.configured import ids
from rlparity.environments.gymnasium_env import GymnasiumEnv
from rlparity.errors import UserError

OWN = "rlparity.environments.configured.wrappers"  # wrappers of this project, by plain names


def make(environment: str, seeds: Sequence[Sequence[int]], role: Role = "training") -> GymnasiumEnv:
    """S x N environments of such an id."""
    return GymnasiumEnv(specification(environment), seeds)


def specification(environment: str) -> EnvSpec:
    """What `gymnasium.make` takes in place of an id: everything is in its entry point."""
    return EnvSpec(
        id=ids.parse(environment).base.rpartition(":")[2],
        entry_point=partial(make_single, environment),
        order_enforce=False,
        disable_env_checker=True,
    )


def make_single(environment: str) -> gym.Env:
    """One scalar environment, with its keyword arguments, time limit and wrappers."""
    made = ids.parse(environment)
    limit = {} if made.max_episode_steps is None else {"max_episode_steps": made.max_episode_steps}
    env = gym.make(made.base, disable_env_checker=True, **limit, **made.kwargs)
    for wrapper in made.wrappers:
        env = find(wrapper.name)(env, **wrapper.kwargs)
    watched: gym.Env = registry.part("guard")(env, environment)
    return watched


def find(name: str) -> Callable[..., gym.Env]:
    """The wrapper class of a name: of `module:Class`, of gymnasium.wrappers, or of this project."""
    module, colon, inner = name.rpartition(":")
    places = [module] if colon else ["gymnasium.wrappers", OWN]
    for place in places:
        with contextlib.suppress(ModuleNotFoundError, AttributeError):
            found: Any = getattr(import_module(place), inner)
            if isinstance(found, type) and issubclass(found, gym.Wrapper):
                return found
    known = "a class of gymnasium.wrappers, FlattenAction, or module:Class"
    raise UserError(f"wrapper {name!r} is no gymnasium.Wrapper that can be found; allowed: {known}")
