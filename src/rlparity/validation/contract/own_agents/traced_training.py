"""A training of one of our agents with a trace of everything between agent and environments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.environments import base as environments
from rlparity.environments.base import Role
from rlparity.nn.networks import Network
from rlparity.training import run as train
from rlparity.training.recorder import Recorder
from rlparity.transitions import Episode, Step

NAN_AFTER = 10  # steps of all sub-environments, before the rewards of `nan_seed` become NaN


class Choice(NamedTuple):
    """One call of `act`."""

    obs: Tensor  # as the agent received them
    explore: Tensor | None  # uniform numbers; None: act deterministically
    action: Tensor
    greedy: Tensor | None  # the deterministic action, if traced in detail


class TracedStep(NamedTuple):
    """One step of all sub-environments."""

    before: Tensor  # observations before the step, (S, N, *obs)
    action: Tensor
    step: Step
    after: Tensor  # observations after the step, resets included
    choice: Choice | None  # the call of `act` that the action is from


@dataclass
class Segment:
    """All steps from one reset of all sub-environments to the next."""

    seeds: list[list[int]]  # (S, N)
    start: Tensor  # first observations, (S, N, *obs)
    steps: list[TracedStep] = field(default_factory=list)

    def actions(self, s: int, n: int) -> list[Any]:
        """Actions of one sub-environment, as plain environments take them."""
        return [step.action[s, n].numpy() for step in self.steps]


class Update(NamedTuple):
    """One call of `update`."""

    time: int  # steps observed before
    arguments: tuple[Any, ...]
    values: tuple[Tensor, Tensor] | None  # V(obs) and V(next_obs) of the rollout, each (S, N, T)


@dataclass
class Log:
    """The trace of one training."""

    cell: Cell
    recorder: Recorder
    environments: list[TracedEnv] = field(
        default_factory=list
    )  # those of training, then those of evaluations
    agent: Any = None
    choices: list[Choice] = field(default_factory=list)  # in training
    observed: list[Step] = field(default_factory=list)  # as the agent received them
    updates: list[Update] = field(default_factory=list)
    initial: dict[str, Tensor] = field(default_factory=dict)  # parameters before training
    last: Choice | None = None

    @classmethod
    def empty(cls) -> Log:
        """An empty log, for environments that are traced without an agent."""
        cell = Cell("", "", "", "", "", (), 0)
        return cls(cell, Recorder(cell))

    @property
    def training(self) -> Segment:
        """The steps that the agent learned from."""
        return self.environments[0].segments[0]


class TracedEnv:
    """An environment (`environments.base.Env`) whose steps are traced."""

    def __init__(
        self, env: environments.Env, seeds: Sequence[Sequence[int]], log: Log, nan_seed: int | None = None
    ):
        self._env, self._log, self._nan_seed, self.spec = env, log, nan_seed, env.spec
        self.segments: list[Segment] = []
        self._start_segment(seeds)

    def _start_segment(self, seeds: Sequence[Sequence[int]]) -> None:
        self.segments.append(Segment([list(row) for row in seeds], self._env.obs.clone()))

    @property
    def obs(self) -> Tensor:
        """Observations before the next action, (S, N, *obs)."""
        return self._env.obs

    def reset(self, seeds: Sequence[Sequence[int]]) -> None:
        """Reset all sub-environments and start a segment."""
        self._env.reset(seeds)
        self._start_segment(seeds)

    def step(self, action: Tensor, live: np.ndarray | None = None) -> Step:
        """Take a step and record it; rewards of `nan_seed` become NaN after a while."""
        before, given = self._env.obs.clone(), action.clone()
        step = self._env.step(action, live)
        if self._nan_seed is not None and len(self.segments[-1].steps) >= NAN_AFTER:
            step.reward[self._nan_seed] = torch.nan
        traced = TracedStep(before, given, _copy(step), self._env.obs.clone(), self._log.last)
        self.segments[-1].steps.append(traced)
        return step

    def pop_episodes(self) -> list[Episode]:
        """Episodes that ended since the last call."""
        return self._env.pop_episodes()

    def close(self) -> None:
        """Close the environments."""
        self._env.close()


class TracedAgent:
    """An agent (`agents.base.Agent`) whose calls are traced."""

    def __init__(self, agent: Any, log: Log, in_detail: bool):
        self._agent, self._log, self._in_detail = agent, log, in_detail
        self.uniforms = agent.uniforms
        if in_detail and hasattr(agent, "update"):
            self._update, agent.update = agent.update, self.update

    @property
    def alive(self) -> Tensor:
        """(S,) bool."""
        alive: Tensor = self._agent.alive
        return alive

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """Choose actions and record them."""
        greedy = None
        if self._in_detail and self._log.initial and explore is not None:
            greedy = self._agent.act(obs)
        action: Tensor = self._agent.act(obs, explore)
        numbers = None if explore is None else explore.clone()
        self._log.last = Choice(obs.clone(), numbers, action.clone(), greedy)
        return action

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Record the step, then let the agent learn from it."""
        assert self._log.last is not None
        self._log.choices.append(self._log.last)
        self._log.observed.append(_copy(step))
        metrics: dict[str, Tensor] = self._agent.observe(step)
        return metrics

    def update(self, *arguments: Any, **keywords: Any) -> Any:
        """Record a copy of the batch, then update the agent."""
        copies = tuple(_copy(x) for x in arguments)
        self._log.updates.append(Update(len(self._log.observed), copies, self._values(arguments[0])))
        return self._update(*arguments, **keywords)

    @torch.no_grad()
    def _values(self, batch: Any) -> tuple[Tensor, Tensor] | None:
        """Values of the rollout behind an on-policy batch, before the update."""
        if not hasattr(batch, "advantage"):
            return None
        steps = self._log.observed[-self._agent.config.n_steps :]
        value = getattr(self._agent, "value", None) or self._critic
        fields = (torch.stack([getattr(step, name) for step in steps], 2) for name in ("obs", "next_obs"))
        obs, next_obs = (value(x.flatten(1, 2)).view(x.shape[:3]) for x in fields)
        return obs, next_obs

    def _critic(self, obs: Tensor) -> Tensor:
        value: Tensor = self._agent.critic("critic", obs)
        return value

    def saved(self) -> Mapping[str, Network]:
        """See `rlparity.agents.base.Agent`."""
        networks: Mapping[str, Network] = self._agent.saved()
        return networks


def run(cell: Cell, evaluate: bool = True, in_detail: bool = False, nan_seed: int | None = None) -> Log:
    """Train a cell with the loop of all trainings and return its trace. `in_detail` also records the
    deterministic alternative of every action and the batch of every update; the rewards of seed number
    `nan_seed` become NaN after a while."""
    log = Log(cell, Recorder(cell))
    make: Callable[..., environments.Env] = environments.make
    build = agents.build

    def make_traced(environment: str, seeds: Sequence[Sequence[int]], role: Role = "training") -> TracedEnv:
        broken = nan_seed if role == "training" else None
        log.environments.append(TracedEnv(make(environment, seeds, role), seeds, log, broken))
        return log.environments[-1]

    def build_traced(*arguments: Any) -> TracedAgent:
        log.agent = build(*arguments)
        log.initial = {name: value.clone() for name, value in agents.state_dict(log.agent).items()}
        return TracedAgent(log.agent, log, in_detail)

    with (
        mock.patch.object(environments, "make", make_traced),
        mock.patch.object(agents, "build", build_traced),
    ):
        log.recorder = train.run(cell, evaluate=evaluate)
    return log


def _copy(value: Any) -> Any:
    """Copy tensors within tuples and lists, because they may be overwritten later."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_copy, value))
    return [_copy(item) for item in value] if isinstance(value, list) else value
