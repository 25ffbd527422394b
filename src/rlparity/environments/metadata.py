"""What a suite must know of an environment before anything is trained; needs Gymnasium, but not torch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from rlparity import registry
from rlparity.errors import UserError

SIMULATORS = {"box2d": "box2d", "mujoco": "mujoco"}  # family of Gymnasium's environments -> distribution


@dataclass(frozen=True)
class EnvironmentInfo:
    """The spaces of one environment, and who steps it."""

    actions: str  # "discrete", "continuous", or the name of a space that no agent knows
    observation_bytes: int  # of one observation, as the environment gives it
    observation_size: int  # numbers in one observation
    action_size: int  # numbers in one action
    threshold: float | None  # return at which Gymnasium calls it solved
    time_limit: int | None  # steps
    simulator: str | None  # distribution whose version matters besides Gymnasium's
    module: str | None  # the user's module that defines it
    image: tuple[int, int, int] | None = None  # channels, height and width of an observation that is one
    frame_bytes: int | None = None  # of the newest frame, where an observation is a stack of the last ones


@cache
def probe(environment: str) -> EnvironmentInfo:
    """What is known of an environment, by its family. Raises UserError where it cannot be made."""
    found: EnvironmentInfo = registry.load(registry.family(environment).probe)(environment)
    return found


def of_gymnasium(environment: str) -> EnvironmentInfo:
    """Make an environment once. `module:Id` imports the module first, as Gymnasium does."""
    import gymnasium

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env: Any = gymnasium.make(environment)
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"environment {environment!r} needs a package: {error}") from None
    except gymnasium.error.Error:
        known = "any id of gymnasium.registry, or 'module:Id'"
        raise UserError(unknown_environment(environment, gymnasium.registry, known)) from None
    except ImportError as error:
        raise UserError(f"environment {environment!r} cannot be imported: {error}") from None
    except ValueError:
        raise UserError(f"environment {environment!r} is no id; write Id or module:Id") from None
    try:
        return _spaces(env, environment)
    finally:
        env.close()


def _spaces(env: Any, environment: str) -> EnvironmentInfo:
    from gymnasium import spaces

    kinds = {spaces.Discrete: "discrete", spaces.Box: "continuous"}
    action = kinds.get(type(env.action_space), type(env.action_space).__name__)
    if not isinstance(env.observation_space, spaces.Box):
        name = type(env.observation_space).__name__
        raise UserError(
            f"environment {environment!r}: observations are a {name} space; only Box can be learned from"
        )
    if len(env.observation_space.shape) != 1:
        raise UserError(
            f"environment {environment!r}: observations are of shape {env.observation_space.shape}; "
            "only vectors can be learned from, and the images of Atari games (ALE/Pong-v5@nature) and MinAtar"
        )
    entry = env.spec.entry_point
    maker = entry.split(":")[0] if isinstance(entry, str) else entry.__module__
    if maker.startswith("ale_py."):
        raise UserError(f"environment {environment!r}: Atari games are named as in 'ALE/Pong-v5@nature'")
    own = maker.startswith("gymnasium.envs.")
    return EnvironmentInfo(
        actions=action,
        observation_bytes=_size(env.observation_space),
        observation_size=math.prod(env.observation_space.shape),
        action_size=math.prod(env.action_space.shape or ()),
        threshold=env.spec.reward_threshold,
        time_limit=env.spec.max_episode_steps,
        simulator=SIMULATORS.get(maker.split(".")[2]) if own else None,
        module=None if own else maker,
    )


def _size(space: Any) -> int:
    """Bytes of one element."""
    return math.prod(space.shape or ()) * space.dtype.itemsize if space.dtype is not None else 8


def unknown_environment(environment: str, known: Iterable[str], allowed: str, cutoff: float = 0.4) -> str:
    """The message for an id that is not known, with the closest one that is."""
    close = get_close_matches(environment, list(known), n=1, cutoff=cutoff)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown environment {environment!r}; choose {allowed}{hint}"
