"""The environments that a candidate trains in: their steps are counted and their episodes recorded.

Each is made by `gymnasium.make`, or, for Atari, with the reference's wrappers. Any wrappers of the candidate
come on top. So the records contain raw rewards of whole episodes, however the candidate scales, clips or
counts them.
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
from rlparity.environments import guard
from rlparity.environments.atari_presets import SIZE, STACK
from rlparity.seeding import Streams
from rlparity.training.recorder import OnEpisodes, Recorder
from rlparity.transitions import Episode

TOLERANCE = 1e-5  # share of the range of actions, for those that were rounded to float32


class Ended(BaseException):
    """Ends a candidate's training. Not an Exception, because candidates may catch those."""


class BudgetSpent(Ended):
    """The budget of environment steps is used up."""


class Misbehaved(Ended):
    """A candidate broke its contract; the message is one line."""


class Hung(Misbehaved):
    """Nothing happened for the whole of the time limit."""


def make(environment: str) -> gym.Env:
    """Make one sub-environment. Observations of Atari games are (4, 84, 84) bytes, the newest frame last;
    those of MinAtar (channels, 10, 10) booleans."""
    module: Any = import_module(registry.family(environment).reference)
    if not environment.startswith("ALE/"):
        made: gym.Env = module.make_single(environment)
        return made
    stacked = FrameStackObservation(module.make_single(environment), STACK, padding_type="zero")
    shown = spaces.Box(0, 255, (STACK, SIZE, SIZE), np.uint8)
    return TransformObservation(stacked, lambda frames: frames[..., 0], shown)


def _raw_reward(env: gym.Env, stopped: bool) -> tuple[float, bool]:
    """The raw reward of the last step of an Atari game, and whether the game is over; a lost life does not
    end it."""
    module: Any = import_module("rlparity.references.sb3_atari")
    raw, over = module.raw(SimpleNamespace(envs=[env]), np.zeros(1), np.array([stopped]))
    return float(raw[0]), bool(over[0])


class TrainingEnvironments:
    """Makes the sub-environments of one seed, counts their steps and records their episodes.

    `before_step` is called with the environment steps so far whenever all sub-environments in use have made
    the same number of steps, if the candidate steps them in turn. `progressed` is called after every step and
    reset, for the time limit.
    """

    def __init__(
        self,
        cell: Cell,
        recorder: Recorder,
        on_episodes: OnEpisodes,
        before_step: Callable[[int], None],
        progressed: Callable[[], None],
    ):
        self.env_step = 0
        self.raised: BaseException | None = None  # by this class, not by the candidate
        self._cell, self._recorder, self._on_episodes = cell, recorder, on_episodes
        self._before_step, self.progressed = before_step, progressed
        self._streams, self._pid = Streams(cell), os.getpid()
        self._stepped: set[RecordedEnvironment] = set()
        self._made: list[RecordedEnvironment] = []

    def make_env(self, i: int) -> gym.Env:
        """Make sub-environment i, counted from 0; each has its own seed for the first `reset()`."""
        seed = self._streams.environments("training", i + 1)[0][i]
        name = self._cell.environment
        env = RecordedEnvironment(make(name), i, seed, self, name.startswith("ALE/"))
        self._made.append(env)
        return env

    def before(self, env: RecordedEnvironment) -> None:
        """Prepare for a step of one sub-environment; Misbehaved in another process."""
        if os.getpid() != self._pid:
            raise Misbehaved("environments must be stepped in the process that trains, not in workers")
        self._stepped.add(env)
        if self.env_step % len(self._stepped) == 0:
            self._guarded(self._before_step, self.env_step)

    def after(self, index: int, ended: tuple[float, int] | None) -> None:
        """Count a step of one sub-environment; `ended`: return and length of an episode that is over."""
        self.env_step += 1
        episodes = [Episode(0, index, self.env_step, *ended)] if ended else []
        self._recorder.ended(episodes)
        self._guarded(self._on_episodes, self.env_step, episodes)
        self.progressed()

    def _guarded(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call; keep an exception for the next call, because the candidate may catch it."""
        if self.raised is not None:
            raise self.raised
        try:
            call(*arguments)
        except BaseException as error:
            self.raised = error
            raise

    def refuse(self, reason: str) -> None:
        """End training, because the candidate broke its contract."""
        self.raised = self.raised or Misbehaved(reason)
        raise self.raised

    def refuse_environment(self, what: str) -> None:
        """End training, because the environment is broken."""
        name, seed = self._cell.environment, self._cell.seeds[0]
        self.refuse(f"environment {name!r}, seed {seed}, environment step {self.env_step + 1:,}: {what}")

    def close(self) -> None:
        """Close every sub-environment."""
        for env in self._made:
            env.close()


class RecordedEnvironment(gym.Wrapper):
    """One sub-environment, with the return and length of its episode so far."""

    def __init__(self, env: gym.Env, index: int, seed: int, owner: TrainingEnvironments, lives: bool):
        super().__init__(env)
        self._index, self._owner = index, owner
        self._seed: int | None = seed
        self._lives = lives  # an episode of the learner may end before the game does
        self._return, self._length, self._over = 0.0, 0, True  # of the whole episode
        self._running = False  # for the learner: since a reset

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; the first one with our own seed, unless the candidate passes one."""
        chosen, self._seed = self._seed if seed is None else seed, None
        begun = self.env.reset(seed=chosen, options=options)
        if self._over or not self._lives:
            self._return, self._length, self._over = 0.0, 0, False
        self._running = True
        self._owner.progressed()
        return begun

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step, and add up the raw rewards."""
        self._owner.before(self)
        who = f"sub-environment {self._index}"
        if not self._running:
            self._owner.refuse(f"{who} was stepped before a reset, or after its episode had ended")
        if problem := bad_actions(np.asarray(action), self.env.action_space, bounded=True):
            self._owner.refuse(f"{who} was given {problem}")
        obs, reward, ended, cut, info = self._stepped(action)
        self._running = not (ended or cut)
        raw, self._over = float(reward), ended or cut
        if self._lives:
            raw, self._over = _raw_reward(self.env, ended or cut)
        self._return += raw
        self._length += 1
        self._owner.after(self._index, (self._return, self._length) if self._over else None)
        return obs, reward, ended, cut, info

    def _stepped(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """What the environment returns; its own faults are not the candidate's."""
        try:
            stepped = self.env.step(action)
        except Exception as error:
            self._owner.refuse_environment(f"step({guard.shown(action)}) raised {guard.summary(error)}")
        if not np.isfinite(float(stepped[1])):
            self._owner.refuse_environment(f"the reward is {stepped[1]}")
        if not guard.is_finite(stepped[0]):
            self._owner.refuse_environment(f"an observation is not finite: {guard.shown(stepped[0])}")
        return stepped


def bad_actions(
    actions: Any, space: gym.Space, batch: tuple[int, ...] = (), bounded: bool = False
) -> str | None:
    """What is wrong with actions of shape (*batch, *action), in words; None if the space contains them.

    Without `bounded`, components outside of their bounds are allowed.
    """
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
    slack = TOLERANCE * np.maximum(1.0, np.abs(space.high - space.low))
    wrong = (actions < space.low - slack) | (actions > space.high + slack)
    if not (bounded and wrong.any()):
        return None
    return f"{actions[wrong][0]:g}, outside of the bounds of actions; clip it (gymnasium.wrappers.ClipAction)"
