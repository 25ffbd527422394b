"""A short training of a candidate with a trace of everything that it did to its environments."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np

from rlparity.candidates import entry_point
from rlparity.candidates.environments import Ended, Hung
from rlparity.candidates.protocol import Candidate, Factory
from rlparity.cell import Cell
from rlparity.training.recorder import OnEpisodes, Recorder, ignore
from rlparity.transitions import Episode


@dataclass
class TracedEnvironment:
    """A sub-environment and everything that was done to it."""

    index: int  # argument of `make_env`
    seeds: list[int | None] = field(default_factory=list)  # passed by the candidate, one for every reset
    stream: int | None = None  # seed of its generator at the first reset
    starts: list[np.ndarray] = field(default_factory=list)  # first observation of every episode
    abandoned: list[int] = field(default_factory=list)  # steps taken before each reset within an episode
    running: bool = False  # an episode has started and not ended
    steps: list[tuple[Any, np.ndarray, float, bool, bool]] = field(default_factory=list)


@dataclass
class Trace:
    """The trace of one training."""

    recorder: Recorder
    environments: list[TracedEnvironment] = field(default_factory=list)
    order: list[tuple[TracedEnvironment, int]] = field(default_factory=list)  # all steps, by time
    evaluated: list[np.ndarray] = field(default_factory=list)  # observations passed to `act` in evaluations
    candidate: Candidate | None = None
    broke: bool = False  # the candidate's code raised, or hung

    @property
    def stepped(self) -> list[TracedEnvironment]:
        """Sub-environments in which at least one step was taken."""
        return [env for env in self.environments if env.steps]

    @property
    def reason(self) -> str | None:
        """Why training failed; None if it did not."""
        return next(iter(self.recorder.failed.values()), None)

    def moments(self) -> Iterator[tuple[int, Any, float]]:
        """Index of the sub-environment, action and reward of every step, in the order of time."""
        for env, n in self.order:
            action, _, reward, _, _ = env.steps[n]
            yield env.index, action, reward

    def observations(self, at_most: int) -> np.ndarray:
        """At most this many observations of training, evenly spread: (B, *obs)."""
        seen = [obs for env in self.stepped for _, obs, *_ in env.steps]
        stride = max(len(seen) // at_most, 1)
        return np.stack(seen[::stride][:at_most])


class TracingWrapper(gym.Wrapper):
    """Records every reset and step of one sub-environment."""

    def __init__(self, env: gym.Env, traced: TracedEnvironment, trace: Trace):
        super().__init__(env)
        self._traced, self._trace = traced, trace

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode and record it."""
        obs, info = self.env.reset(seed=seed, options=options)
        traced = self._traced
        if not traced.seeds:
            traced.stream = self.env.unwrapped.np_random_seed
        traced.seeds.append(seed)
        traced.starts.append(np.array(obs))
        if traced.running:
            traced.abandoned.append(len(traced.steps))
        traced.running = True
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step and record it."""
        result = self.env.step(action)
        obs, reward, terminated, truncated, _ = result
        traced = self._traced
        self._trace.order.append((traced, len(traced.steps)))
        traced.steps.append(
            (np.array(action), np.array(obs), float(reward), bool(terminated), bool(truncated))
        )
        traced.running = not (terminated or truncated)
        return result


class TracedCandidate:
    """A candidate (`candidates.protocol.Candidate`) whose environments and evaluations are traced."""

    def __init__(self, candidate: Candidate, trace: Trace):
        self._candidate, self._trace = candidate, trace
        reported = getattr(candidate, "episode_returns", None)
        if reported is not None:
            self.episode_returns = reported

    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        """Train in traced environments."""

        def make_traced(i: int) -> gym.Env:
            self._trace.environments.append(TracedEnvironment(i))
            return TracingWrapper(make_env(i), self._trace.environments[-1], self._trace)

        try:
            with self._noting():
                self._candidate.train(make_traced, seed, budget)
        finally:
            self.__dict__.pop("episode_returns", None)
            if hasattr(self._candidate, "episode_returns"):  # it may be another list after training
                self.episode_returns = self._candidate.episode_returns

    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        """Choose actions in an evaluation and record its observations."""
        self._trace.evaluated.append(obs.copy())
        with self._noting():
            return self._candidate.act(obs, deterministic)

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit, Hung):
            self._trace.broke = True
            raise


class Enough(Ended):
    """The requested number of steps has been traced."""


def train(cell: Cell, factory: Factory, evaluate: bool = False, steps: int | None = None) -> Trace:
    """Train a candidate without showing its output; with `steps`, stop after so many environment steps."""
    trace = Trace(Recorder(cell))

    def traced_factory(obs: gym.Space, actions: gym.Space, hyperparameters: Mapping[str, Any]) -> Candidate:
        trace.broke = True  # until it is made
        trace.candidate = factory(obs, actions, hyperparameters)
        entry_point.need_methods(trace.candidate)
        trace.broke = False
        return TracedCandidate(trace.candidate, trace)

    def stop(env_step: int, episodes: Iterable[Episode]) -> None:
        if steps is not None and env_step >= steps:
            raise Enough

    on_episodes: OnEpisodes = ignore if steps is None else stop
    with silence(), contextlib.suppress(Enough):
        entry_point.train(cell, traced_factory, on_episodes, evaluate, trace.recorder)
    return trace


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Suppress what the candidate's code prints."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
