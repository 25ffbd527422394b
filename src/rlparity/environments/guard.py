"""Watch a user's environments in training: exceptions and numbers that are not finite, with seed and step.

The guard passes everything on unchanged. It is put around what `gymnasium.make` makes of an id, in all arms.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from rlparity.cell import is_configured
from rlparity.errors import UserError

SHORT = 16  # numbers of an observation that are looked at one by one


@dataclass(frozen=True)
class Fault:
    """What went wrong in an environment: `steps` steps after it was reset with `seed`."""

    seed: int | None
    steps: int
    what: str


class Broken(UserError):
    """An exception in an environment's own code."""

    def __init__(self, environment: str, fault: Fault):
        super().__init__(f"environment {environment!r}: {fault.what}")
        self.fault = fault


Note = Callable[[Fault], None]
_noted: Note | None = None  # takes the faults of this process, while environments are watched


class Guard(gym.Wrapper):
    """Raise `Broken` for exceptions and what is no step; note the first number that is not finite."""

    def __init__(self, env: gym.Env, environment: str, noted: Note):
        super().__init__(env)
        self._environment, self._noted = environment, noted
        self._seed: int | None = None
        self._steps, self._found = 0, False
        self._shape = env.observation_space.shape

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Reset; steps are counted from the last one with a seed."""
        if seed is not None:
            self._seed, self._steps, self._found = seed, 0, False
        try:
            begun = self.env.reset(seed=seed, options=options)
        except Exception as error:
            raise self._broken(f"reset raised {summary(error)}") from error
        if not (isinstance(begun, tuple) and len(begun) == 2):
            raise self._broken(f"reset returned {shown(begun)}; expected an observation and a dict")
        self._check_shape("reset", begun[0])
        if not is_finite(begun[0]):
            self._note(f"an observation of reset is not finite: {shown(begun[0])}")
        return begun

    def step(self, action: Any) -> Any:
        """Step; returns what the environment returns."""
        self._steps += 1
        try:
            stepped = self.env.step(action)
        except Exception as error:
            raise self._broken(f"step({shown(action)}) raised {summary(error)}") from error
        if not (isinstance(stepped, tuple) and len(stepped) == 5):
            raise self._broken(f"step returned {shown(stepped)}; expected five values")
        try:
            finite = math.isfinite(stepped[1])
        except (TypeError, ValueError, OverflowError):
            raise self._broken(f"step returned reward = {shown(stepped[1])}; expected one number") from None
        self._check_shape("step", stepped[0])
        if not finite:
            self._note(f"the reward is {stepped[1]}")
        elif not is_finite(stepped[0]):
            self._note(f"an observation is not finite: {shown(stepped[0])}")
        return stepped

    def _check_shape(self, call: str, obs: Any) -> None:
        """Broken for another shape than that of the space, or for what is no array of numbers."""
        if isinstance(obs, np.ndarray) and obs.shape == self._shape and obs.dtype.kind in "fiub":
            return
        try:
            shape = np.asarray(obs, dtype=np.float64).shape
        except (TypeError, ValueError):
            raise self._broken(f"{call} returned an observation that is no array: {shown(obs)}") from None
        if shape != self._shape:
            raise self._broken(
                f"{call} returned an observation of shape {shape}; its space says {self._shape}"
            )

    def _broken(self, what: str) -> Broken:
        return Broken(self._environment, Fault(self._seed, self._steps, what))

    def _note(self, what: str) -> None:
        if not self._found:
            self._found = True
            self._noted(Fault(self._seed, self._steps, what))


def is_finite(obs: Any) -> bool:
    """Whether all numbers of an observation are finite; others than arrays of floats are."""
    if not isinstance(obs, np.ndarray) or obs.dtype.kind != "f":
        return isinstance(obs, np.ndarray) or bool(np.isfinite(np.asarray(obs, dtype=np.float64)).all())
    if obs.ndim == 1 and obs.size <= SHORT:  # in half of the time
        return all(map(math.isfinite, obs.tolist()))
    return bool(np.isfinite(obs).all())


def shown(value: Any, most: int = 80) -> str:
    """A value in one short line."""
    plain = str(value) if isinstance(value, np.generic) else repr(value)
    text = np.array2string(value, threshold=6) if isinstance(value, np.ndarray) else plain
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}..."


def summary(error: BaseException, most: int = 300) -> str:
    """An exception in one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= most else f"{text[:most]}..."


def guarded(env: gym.Env, environment: str) -> gym.Env:
    """The environment with a guard while environments are watched; else itself."""
    return env if _noted is None else Guard(env, environment, _noted)


@contextmanager
def watching(environment: str, note: Note = lambda fault: None) -> Iterator[list[Fault]]:
    """Watch the environments of an id that are made meanwhile; the list has faults as they come, and `note`
    is called with each.

    Environments of this project, which `gymnasium.make` does not make, are not watched.
    """
    global _noted
    faults: list[Fault] = []

    def noted(fault: Fault) -> None:
        faults.append(fault)
        note(fault)

    before, _noted = _noted, noted
    registered = None if is_configured(environment) else _registered(environment)
    try:
        if registered is not None:
            gym.registry[registered.id] = dataclasses.replace(
                registered,
                entry_point=partial(_make, registered, environment),
                max_episode_steps=None,
                order_enforce=False,
                disable_env_checker=True,
                additional_wrappers=(),
            )
        yield faults
    finally:
        _noted = before
        if registered is not None:
            gym.registry[registered.id] = registered


def _registered(environment: str) -> EnvSpec | None:
    module, _, name = environment.rpartition(":")
    try:
        if module:
            import_module(module)
        return gym.spec(name)
    except Exception:  # of no id of Gymnasium, or of a module that is not here
        return None


def _make(spec: EnvSpec, environment: str, **kwargs: Any) -> gym.Env:
    return guarded(gym.make(spec, disable_env_checker=True, **kwargs), environment)
