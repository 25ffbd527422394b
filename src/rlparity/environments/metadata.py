"""What a suite must know of an environment before anything is trained; needs Gymnasium, but not torch."""

from __future__ import annotations

import math
import signal
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from rlparity import registry
from rlparity.cell import is_configured
from rlparity.environments.configured import ids
from rlparity.errors import UserError

LIMIT_S = 60.0  # for the import of a user's module, and for making an environment
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
    hint: str = ""  # what makes actions of a space that no agent knows into one that agents know
    wrapper_modules: tuple[str, ...] = ()  # of wrappers that are not Gymnasium's own
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

    from rlparity.environments.configured import making

    name = ids.base(environment)
    try:
        with warnings.catch_warnings(), _limited(environment):
            warnings.simplefilter("ignore")
            env: Any = making.make_single(environment)
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"environment {environment!r} needs a package: {error}") from None
    except gymnasium.error.Error:
        known = "any id of gymnasium.registry, or 'module:Id'"
        raise UserError(unknown_environment(name, gymnasium.registry, known)) from None
    except ImportError as error:
        raise UserError(f"environment {environment!r} cannot be imported: {error}") from None
    except ValueError:
        if name.count(":") > 1:
            raise UserError(f"environment {name!r} is no id; write Id or module:Id") from None
        raise
    try:
        return _spaces(env, environment)
    finally:
        env.close()


@contextmanager
def _limited(environment: str) -> Iterator[None]:
    """UserError after LIMIT_S; signals reach the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(*_: object) -> None:
        raise UserError(f"environment {environment!r}: making it did not come back within {LIMIT_S:g} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _spaces(env: Any, environment: str) -> EnvironmentInfo:
    from gymnasium import spaces

    kinds = {spaces.Discrete: "discrete", spaces.Box: "continuous"}
    observed, acted = (_space(env, f"{name}_space", environment) for name in ("observation", "action"))
    action, hint = kinds.get(type(acted), type(acted).__name__), ""
    if isinstance(acted, spaces.Box):
        _refuse_bounds(acted, environment)
    elif not isinstance(acted, spaces.Discrete) or acted.start != 0:
        action = action if type(acted) not in kinds else f"numbered from {acted.start}"
        hint = _flattened(environment, "FlattenAction", "numbers them from 0") if _is_finite(acted) else ""
    if not isinstance(observed, spaces.Box):
        raise UserError(
            f"environment {environment!r}: observations are a {type(observed).__name__} space; "
            f"only Box can be learned from{_flattening(observed, environment)}"
        )
    if len(observed.shape) != 1 or not observed.shape[0]:
        raise UserError(
            f"environment {environment!r}: observations are of shape {observed.shape}; only vectors can be "
            "learned from, and the images of Atari games (ALE/Pong-v5@nature) and MinAtar"
            f"{_flattening(observed, environment)}"
        )
    entry = env.unwrapped.spec.entry_point
    maker = entry.split(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
    if maker.startswith("ale_py."):
        raise UserError(f"environment {environment!r}: Atari games are named as in 'ALE/Pong-v5@nature'")
    own = maker.startswith("gymnasium.envs.")
    return EnvironmentInfo(
        actions=action,
        observation_bytes=_size(observed),
        observation_size=math.prod(observed.shape),
        action_size=math.prod(acted.shape or ()),
        threshold=env.spec.reward_threshold,
        time_limit=env.spec.max_episode_steps,
        simulator=SIMULATORS.get(maker.split(".")[2]) if own else None,
        module=None if own or not maker else maker,
        hint=hint,
        wrapper_modules=_wrapper_modules(environment),
    )


def _space(env: Any, name: str, environment: str) -> Any:
    """One of the two spaces of an environment. UserError where it is none of Gymnasium's."""
    from gymnasium import spaces

    space = getattr(env, name, None)
    if not isinstance(space, spaces.Space):
        raise UserError(
            f"environment {environment!r}: its {name} is {type(space).__name__}; expected one of "
            "gymnasium.spaces"
        )
    return space


def _refuse_bounds(space: Any, environment: str) -> None:
    """UserError for continuous actions that cannot be chosen: the random agent, squashed policies and
    Stable-Baselines3 need finite bounds."""
    import numpy as np

    where = f"environment {environment!r}: actions are {space}"
    if not np.isfinite([space.low, space.high]).all():
        raise UserError(f"{where}, without finite bounds; give its action_space finite ones")
    if space.dtype.kind != "f":
        raise UserError(f"{where}, integers; only floats or Discrete actions can be chosen")
    if len(space.shape) != 1 or not space.shape[0]:
        raise UserError(f"{where}, of shape {space.shape}; only vectors of actions can be chosen")
    if (space.low >= space.high).any():
        raise UserError(
            f"{where}, with a component that has no choice, since both of its bounds are the same"
        )


def _is_finite(space: Any) -> bool:
    from gymnasium import spaces

    if isinstance(space, spaces.Tuple):
        return all(map(_is_finite, space.spaces))
    if isinstance(space, spaces.Dict):
        return all(map(_is_finite, space.spaces.values()))
    return isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary)


def _flattening(space: Any, environment: str) -> str:
    """How an observation space becomes vectors; empty where Gymnasium's wrapper does not do that."""
    flat = space.is_np_flattenable and math.prod(space.shape or (1,))
    return _flattened(environment, "FlattenObservation", "makes them vectors") if flat else ""


def _flattened(environment: str, wrapper: str, effect: str) -> str:
    made = ids.parse(environment) if is_configured(environment) else ids.Configured(environment)
    names = [*(each.name for each in made.wrappers), wrapper]
    return f"; {{id: {made.base}, wrappers: [{', '.join(names)}]}} in a suite {effect}"


def _wrapper_modules(environment: str) -> tuple[str, ...]:
    """The modules of wrappers that are not Gymnasium's own, in the order of their names."""
    if not is_configured(environment):
        return ()
    from rlparity.environments.configured import making

    found = {making.find(each.name).__module__ for each in ids.parse(environment).wrappers}
    return tuple(sorted(name for name in found if not name.startswith("gymnasium.")))


def _size(space: Any) -> int:
    """Bytes of one element."""
    return math.prod(space.shape or ()) * space.dtype.itemsize if space.dtype is not None else 8


def unknown_environment(environment: str, known: Iterable[str], allowed: str, cutoff: float = 0.4) -> str:
    """The message for an id that is not known, with the closest one that is."""
    close = get_close_matches(environment, list(known), n=1, cutoff=cutoff)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"unknown environment {environment!r}; choose {allowed}{hint}"
