"""The environments that a candidate trains in, and the books kept between the two.

Each is what `gymnasium.make` gives, or the reference's wrappers around an Atari game, below whatever the
candidate puts on top. So the books hold raw rewards of whole games however it scales, clips or counts them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import FrameStackObservation, TransformObservation

from rlparity import registry
from rlparity.cell import Cell
from rlparity.environments.atari_presets import SIZE, STACK
from rlparity.environments.gymnasium_env import make_single
from rlparity.seeding import Streams
from rlparity.training.recorder import OnEpisodes, Recorder
from rlparity.transitions import Episode

TOLERANCE = 1e-5  # of a bound of actions, for those that were rounded to float32


class Ended(BaseException):
    """Ends a candidate's training. Not an Exception, which a candidate's own code may well catch."""


class BudgetSpent(Ended):
    """The next environment step would be one too many."""


class Misbehaved(Ended):
    """What a candidate did that it must not do, in one line."""


def make(environment: str) -> gym.Env:
    """One sub-environment. An Atari game shows (4, 84, 84) bytes, the newest frame last."""
    if not environment.startswith("ALE/"):
        return make_single(environment)
    room: Any = import_module(registry.family(environment).reference)
    stacked = FrameStackObservation(room.make_single(environment), STACK, padding_type="zero")
    shown = spaces.Box(0, 255, (STACK, SIZE, SIZE), np.uint8)
    return TransformObservation(stacked, lambda frames: frames[..., 0], shown)


def _paid(env: gym.Env, stopped: bool) -> tuple[float, bool]:
    """What an Atari game paid in a step, raw, and whether it is over: a lost life ends nothing here."""
    atari: Any = import_module("rlparity.references.sb3_atari")
    raw, over = atari.raw(SimpleNamespace(envs=[env]), np.zeros(1), np.array([stopped]))
    return float(raw[0]), bool(over[0])


class Ledger:
    """Counts the steps of all sub-environments of one seed, and books the games that end.

    `before_step` is called with the environment steps so far whenever all sub-environments in use have made
    the same number of steps, as far as the candidate steps them in turn; `moved` after every call that came
    back, for whoever waits for signs of life.
    """

    def __init__(
        self,
        cell: Cell,
        rows: Recorder,
        watch: OnEpisodes,
        before_step: Callable[[int], None],
        moved: Callable[[], None],
    ):
        self.env_step = 0
        self.raised: BaseException | None = None  # by these books, not by the candidate
        self._cell, self._rows, self._watch = cell, rows, watch
        self._before_step, self.moved = before_step, moved
        self._streams, self._pid = Streams(cell), os.getpid()
        self._stepped: set[Booked] = set()
        self._made: list[Booked] = []

    def make_env(self, i: int) -> gym.Env:
        """Sub-environment i, 0 and up; its first `reset()` without a seed has a stream of its own."""
        seed = self._streams.environments("training", i + 1)[0][i]
        env = Booked(make(self._cell.environment), i, seed, self, self._cell.environment.startswith("ALE/"))
        self._made.append(env)
        return env

    def before(self, env: Booked) -> None:
        """A sub-environment is about to step."""
        if os.getpid() != self._pid:
            raise Misbehaved("environments must be stepped in the process that trains, not in workers")
        self._stepped.add(env)
        if self.env_step % len(self._stepped) == 0:
            self._guarded(self._before_step, self.env_step)

    def after(self, index: int, ended: tuple[float, int] | None) -> None:
        """A sub-environment has stepped; `ended` is the return and length of a game that is over."""
        self.env_step += 1
        games = [Episode(0, index, self.env_step, *ended)] if ended else []
        self._rows.ended(games)
        self._guarded(self._watch, self.env_step, games)
        self.moved()

    def _guarded(self, call: Callable[..., None], *arguments: Any) -> None:
        """Remember what a call of ours raises: a candidate may swallow it."""
        if self.raised is not None:
            raise self.raised
        try:
            call(*arguments)
        except BaseException as error:
            self.raised = error
            raise

    def refuse(self, reason: str) -> None:
        """End training for what the candidate did."""
        self.raised = self.raised or Misbehaved(reason)
        raise self.raised

    def close(self) -> None:
        """Close every sub-environment."""
        for env in self._made:
            env.close()


class Booked(gym.Wrapper):
    """One sub-environment with its running game."""

    def __init__(self, env: gym.Env, index: int, seed: int, ledger: Ledger, lives: bool):
        super().__init__(env)
        self._index, self._ledger = index, ledger
        self._seed: int | None = seed
        self._lives = lives  # what stops for the learner may go on
        self._return, self._length, self._over = 0.0, 0, True  # of the whole game
        self._running = False  # since a reset, for the learner

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin a game; the first one from our own stream, unless the candidate brings a seed."""
        chosen, self._seed = self._seed if seed is None else seed, None
        begun = self.env.reset(seed=chosen, options=options)
        if self._over or not self._lives:
            self._return, self._length, self._over = 0.0, 0, False
        self._running = True
        self._ledger.moved()
        return begun

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Book what the environment pays."""
        self._ledger.before(self)
        who = f"sub-environment {self._index}"
        if not self._running:
            self._ledger.refuse(f"{who} was stepped before a reset, or after its game had ended")
        if problem := bad_actions(np.asarray(action), self.env.action_space, bounded=True):
            self._ledger.refuse(f"{who} was given {problem}")
        obs, reward, ended, cut, info = self.env.step(action)
        self._running = not (ended or cut)
        paid, self._over = (float(reward), ended or cut) if not self._lives else _paid(self.env, ended or cut)
        self._return += paid
        self._length += 1
        self._ledger.after(self._index, (self._return, self._length) if self._over else None)
        return obs, reward, ended, cut, info


def bad_actions(
    actions: Any, space: gym.Space, batch: tuple[int, ...] = (), bounded: bool = False
) -> str | None:
    """What is wrong with actions of shape (*batch, *action), in words; None if they are of the space.
    Components outside of their bounds are only wrong where `bounded`."""
    discrete = isinstance(space, spaces.Discrete)
    shape = (*batch, *(space.shape or ()))
    expected = f"{'integers' if discrete else 'floats'} of shape {shape}" if shape else "an integer"
    if not isinstance(actions, np.ndarray):
        return f"a {type(actions).__name__} for actions; expected a numpy array, {expected}"
    if actions.dtype.kind not in ("iu" if discrete else "fiu") or actions.shape != shape:
        return f"{actions.dtype} of shape {actions.shape} for actions; expected {expected}"
    if not np.isfinite(actions).all():
        return f"actions that are not finite, such as {actions[~np.isfinite(actions)][0]}"
    if isinstance(space, spaces.Discrete):
        low, high = int(space.start), int(space.start + space.n - 1)
        wrong = (actions < low) | (actions > high)
        return f"action {actions[wrong][0]}; allowed are {low} to {high}" if wrong.any() else None
    assert isinstance(space, spaces.Box)
    room = TOLERANCE * np.maximum(1.0, np.abs(space.high - space.low))
    wrong = (actions < space.low - room) | (actions > space.high + room)
    if not (bounded and wrong.any()):
        return None
    return f"{actions[wrong][0]:g}, outside of the bounds of actions; clip it (gymnasium.wrappers.ClipAction)"
