"""A candidate in a short training, with all that it did to its environments written down."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from rlparity import candidate
from rlparity.candidate import Candidate, Factory
from rlparity.candidate_worlds import Ended
from rlparity.cell import Cell
from rlparity.records import Episode
from rlparity.rows import Rows, Watch, unwatched


@dataclass
class World:
    """One sub-environment, as it was used."""

    index: int  # what `make_env` was called with
    seeds: list[int | None] = field(default_factory=list)  # of every reset, as the candidate gave them
    stream: int | None = None  # what seeded its generator at the first reset
    starts: list[np.ndarray] = field(default_factory=list)  # observations that games began with
    abandoned: list[int] = field(default_factory=list)  # how many steps came before a reset in mid-game
    running: bool = False  # a game has begun and not ended
    steps: list[tuple[Any, np.ndarray, float, bool, bool]] = field(default_factory=list)


@dataclass
class Trace:
    """One training of a candidate."""

    rows: Rows
    worlds: list[World] = field(default_factory=list)
    order: list[tuple[World, int]] = field(default_factory=list)  # whose n-th step came when
    asked: list[np.ndarray] = field(default_factory=list)  # what `act` was asked in evaluations
    made: Candidate | None = None

    @property
    def stepped(self) -> list[World]:
        """Sub-environments that were used for more than a look at their spaces."""
        return [world for world in self.worlds if world.steps]

    @property
    def reason(self) -> str | None:
        """Why it failed, if it did."""
        return next(iter(self.rows.failed.values()), None)

    def moments(self) -> Iterator[tuple[int, Any, float]]:
        """Sub-environment, action and reward of every step, in the order of time."""
        for world, n in self.order:
            action, _, reward, _, _ = world.steps[n]
            yield world.index, action, reward

    def observations(self, at_most: int) -> np.ndarray:
        """Different observations of training, at most so many: (B, *obs)."""
        seen = [obs for world in self.stepped for _, obs, *_ in world.steps]
        stride = max(len(seen) // at_most, 1)
        return np.stack(seen[::stride][:at_most])


class Spy(gym.Wrapper):
    """Writes down what is done to one sub-environment."""

    def __init__(self, env: gym.Env, world: World, trace: Trace):
        super().__init__(env)
        self._world, self._trace = world, trace

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin a game."""
        obs, info = self.env.reset(seed=seed, options=options)
        world = self._world
        if not world.seeds:
            world.stream = self.env.unwrapped.np_random_seed
        world.seeds.append(seed)
        world.starts.append(np.array(obs))
        if world.running:
            world.abandoned.append(len(world.steps))
        world.running = True
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Go on."""
        result = self.env.step(action)
        obs, reward, ended, cut, _ = result
        world = self._world
        self._trace.order.append((world, len(world.steps)))
        world.steps.append((np.array(action), np.array(obs), float(reward), bool(ended), bool(cut)))
        world.running = not (ended or cut)
        return result


class Spied:
    """A candidate as the trainer sees it, whose environments are watched; see `candidate.Candidate`."""

    def __init__(self, made: Candidate, trace: Trace):
        self._made, self._trace = made, trace
        reported = getattr(made, "episode_returns", None)
        if reported is not None:
            self.episode_returns = reported

    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        """Train in environments that are watched."""

        def make_watched(i: int) -> gym.Env:
            self._trace.worlds.append(World(i))
            return Spy(make_env(i), self._trace.worlds[-1], self._trace)

        try:
            self._made.train(make_watched, seed, budget)
        finally:
            self.__dict__.pop("episode_returns", None)
            if hasattr(self._made, "episode_returns"):  # it may be another list by now
                self.episode_returns = self._made.episode_returns

    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        """Act in an evaluation."""
        self._trace.asked.append(obs.copy())
        return self._made.act(obs, deterministic)


class Enough(Ended):
    """As many steps as somebody wants to see."""


def train(cell: Cell, factory: Factory, evaluate: bool = False, steps: int | None = None) -> Trace:
    """Train a candidate, silently; with `steps`, only so many of the budget."""
    trace = Trace(Rows(cell))

    def watched_factory(obs: gym.Space, actions: gym.Space, hyperparameters: Mapping[str, Any]) -> Candidate:
        trace.made = factory(obs, actions, hyperparameters)
        candidate.need_methods(trace.made)
        return Spied(trace.made, trace)

    def stop(env_step: int, ended: Iterable[Episode]) -> None:
        if steps is not None and env_step >= steps:
            raise Enough

    watch: Watch = unwatched if steps is None else stop
    with silence(), contextlib.suppress(Enough):
        candidate.train(cell, watched_factory, watch, evaluate, trace.rows)
    return trace


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """What other people's code prints is not ours to show."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
