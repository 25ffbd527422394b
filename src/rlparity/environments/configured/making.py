"""Make one environment from an id, with keys or without: keyword arguments, then wrappers. Needs no torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

import gymnasium as gym

from rlparity import registry
from rlparity.environments.configured import ids
from rlparity.errors import UserError

OWN = "rlparity.environments.configured.wrappers"  # wrappers of this project, by plain names


def make_single(environment: str, **keywords: Any) -> gym.Env:
    """One scalar environment, with its keyword arguments, time limit and wrappers; `keywords`, such as
    `render_mode`, change nothing in its steps."""
    made = ids.parse(environment)
    limit = {} if made.max_episode_steps is None else {"max_episode_steps": made.max_episode_steps}
    env = gym.make(made.base, disable_env_checker=True, **limit, **made.kwargs, **keywords)
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
