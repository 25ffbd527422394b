"""One copy of an environment that is stepped: everything that it returns is checked."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from rlparity.environments.guard import is_finite, shown, summary

LARGEST = 1e18  # of a reward: squared errors of returns overflow float32 from 1.8e19 on
SLACK = 1e-4  # share of a bound that an observation may be beyond it without a note


class Refused(Exception):
    """An environment cannot be trained in; the message is one line."""


class Outcome(NamedTuple):
    """What one step or reset has given."""

    obs: np.ndarray
    reward: float = 0.0
    ended: bool = False
    cut: bool = False

    def same(self, other: Outcome) -> str:
        """What differs from another outcome, in a word; empty where nothing does."""
        if not np.array_equal(self.obs, other.obs):
            return "observation"
        if self.reward != other.reward:
            return "reward"
        return "end of the episode" if self[2:] != other[2:] else ""


class Copy:
    """One environment. `now` is called before each call with what is about to be done."""

    def __init__(self, make: Callable[[], gym.Env], now: Callable[[str], None], notes: list[str]):
        self._now, self._notes = now, notes
        now("making it")
        try:
            self.env = make()
        except Exception as error:
            raise Refused(f"cannot be made: {summary(error)}") from error
        self._space = self.env.observation_space
        self._kept: tuple[np.ndarray, np.ndarray] | None = None  # the last observation, and its copy
        self._seed, self._steps = 0, 0

    def reset(self, seed: int | None = None) -> Outcome:
        """Reset; Refused for what is no pair of an observation and an info."""
        if seed is not None:
            self._seed, self._steps = seed, 0
        call = f"reset({'' if seed is None else f'seed={seed}'})"
        self._now(call)
        try:
            begun = self.env.reset(seed=seed)
        except Exception as error:
            raise Refused(f"{self._place(call)} raised {summary(error)}{_why_reset(self.env)}") from error
        self._refuse_reuse()
        if not (isinstance(begun, tuple) and len(begun) == 2 and isinstance(begun[1], dict)):
            raise Refused(
                f"reset returned {_kind(begun)}; Gymnasium's returns an observation and a dict, info"
            )
        return Outcome(self._observation(begun[0], call))

    def step(self, action: Any) -> Outcome:
        """Step; Refused for what is not Gymnasium's five values, each of its kind."""
        self._steps += 1
        call = f"step({shown(action)})"
        self._now(call)
        try:
            stepped = self.env.step(action)
        except Exception as error:
            raise Refused(f"{self._place(call)} raised {summary(error)}{self._why(action)}") from error
        if not (isinstance(stepped, tuple) and len(stepped) == 5):
            raise Refused(_not_five(stepped))
        obs, reward, ended, cut, info = stepped
        for name, value in (("terminated", ended), ("truncated", cut)):
            if not isinstance(value, bool | np.bool_) and not (
                isinstance(value, int | np.integer) and value in (0, 1)
            ):
                raise Refused(f"{self._place(call)} returned {name} = {_kind(value)}; expected true or false")
        if not isinstance(info, dict):
            raise Refused(f"{self._place(call)} returned info = {_kind(info)}; expected a dict")
        found = self._observation(obs, call)
        return Outcome(found, self._reward(reward, call), bool(ended), bool(cut))

    def close(self) -> None:
        """Close it; Refused if that fails."""
        self._now("close()")
        try:
            self.env.close()
        except Exception as error:
            raise Refused(f"close raised {summary(error)}") from error

    def _place(self, call: str) -> str:
        where = f"seed {self._seed}, step {self._steps}: " if self._steps else f"seed {self._seed}: "
        return where + call

    def _observation(self, obs: Any, call: str) -> np.ndarray:
        try:
            found = np.asarray(obs)
        except (ValueError, TypeError) as error:
            raise Refused(f"{self._place(call)} returned an observation that is no array: {error}") from None
        if found.dtype.kind not in "biuf":
            raise Refused(f"{self._place(call)} returned {_kind(obs)} as observation; expected numbers")
        if found.shape != self._space.shape:
            raise Refused(
                f"{self._place(call)} returned an observation of shape {found.shape}; its space says "
                f"{self._space.shape}"
            )
        if not is_finite(found):
            raise Refused(f"{self._place(call)} returned an observation that is not finite: {shown(found)}")
        with np.errstate(over="ignore"):
            if found.dtype.kind == "f" and not is_finite(found.astype(np.float32)):
                raise Refused(f"{self._place(call)} returned an observation beyond float32: {shown(found)}")
        self._note_bounds(found)
        self._kept = (found, found.copy())
        return self._kept[1]

    def _note_bounds(self, obs: np.ndarray) -> None:
        low, high = (np.asarray(getattr(self._space, end), dtype=np.float64) for end in ("low", "high"))
        slack = SLACK * np.maximum(1.0, np.where(np.isfinite(high - low), high - low, 1.0))
        wrong = (obs < low - slack) | (obs > high + slack)
        if wrong.any() and not self._notes:
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            self._notes.append(
                f"component {at[0] if len(at) == 1 else at} of an observation is {obs[at]:g}, outside of its "
                f"space's bounds {low[at]:g} to {high[at]:g}; nothing clips it"
            )

    def _reward(self, reward: Any, call: str) -> float:
        try:
            found = math.nan if np.ndim(reward) else float(reward)
            scalar = not np.ndim(reward) and not isinstance(reward, str)
        except (TypeError, ValueError):
            scalar = False
        if not scalar:
            raise Refused(f"{self._place(call)} returned reward = {_kind(reward)}; expected one number")
        if not math.isfinite(found):
            raise Refused(f"{self._place(call)} returned reward = {found}; expected a finite number")
        if abs(found) > LARGEST:
            raise Refused(
                f"{self._place(call)} returned reward = {found:g}; float32 cannot hold the squares of "
                f"returns beyond {LARGEST:g}, scale it"
            )
        return found

    def _refuse_reuse(self) -> None:
        """Refused if the array of the last observation is used for another one, which reset has written."""
        if self._kept is not None and not np.array_equal(*self._kept):
            raise Refused(
                "reset changes the array of the observation that step returned last, the end of an episode; "
                "return a copy"
            )

    def _why(self, action: Any) -> str:
        """More about an exception in step, from what the innermost environment returns."""
        try:
            bare = self.env.unwrapped
            bare.reset(seed=0)
            stepped: Any = bare.step(action)
        except Exception:
            return ""
        bad = not (isinstance(stepped, tuple) and len(stepped) == 5)
        return f" ({_not_five(stepped)})" if bad else ""


def _not_five(stepped: Any) -> str:
    number = f"{len(stepped)} values" if isinstance(stepped, tuple) else _kind(stepped)
    return (
        f"step returned {number}; Gymnasium's returns five: observation, reward, terminated, truncated, info"
    )


def _why_reset(env: gym.Env) -> str:
    """More about an exception in reset: the arguments that it does not take."""
    try:
        taken = inspect.signature(env.unwrapped.reset).parameters
    except (TypeError, ValueError):
        return ""
    anything = any(one.kind == inspect.Parameter.VAR_KEYWORD for one in taken.values())
    lacking = [name for name in ("seed", "options") if name not in taken and not anything]
    return (
        f" (its reset takes no {' and no '.join(lacking)}; Gymnasium's is reset(seed, options))"
        if lacking
        else ""
    )


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if value is None:
        return "None"
    return (
        f"a {type(value).__name__} of {len(value)}"
        if isinstance(value, tuple)
        else f"{shown(value)}, a {type(value).__name__}"
    )
