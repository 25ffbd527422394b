"""A training of one of our own agents, with all that passed between agent and worlds written down."""

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
from rlparity.environments import base as tasks
from rlparity.environments.base import Role
from rlparity.nn.networks import Network
from rlparity.training import run as train
from rlparity.training.recorder import Recorder
from rlparity.transitions import Episode, Step

POISON_AFTER = 10  # steps of the worlds


class Choice(NamedTuple):
    """One call of `act`."""

    obs: Tensor  # as the agent saw them
    explore: Tensor | None  # uniform numbers, or none: deterministically
    action: Tensor
    greedy: Tensor | None  # the deterministic action, where it was asked for, too


class Shown(NamedTuple):
    """One step of the worlds themselves."""

    before: Tensor  # what the worlds showed, (S, N, *obs)
    action: Tensor
    step: Step
    after: Tensor  # what they showed next, resets included
    choice: Choice | None  # where the action came from


@dataclass
class Round:
    """Worlds from a start on."""

    seeds: list[list[int]]  # (S, N)
    start: Tensor
    shown: list[Shown] = field(default_factory=list)

    def actions(self, s: int, n: int) -> list[Any]:
        """What one world was told, as scalar environments take it."""
        return [shown.action[s, n].numpy() for shown in self.shown]


class Learned(NamedTuple):
    """One call of `update`."""

    time: int  # steps of the worlds observed before
    arguments: tuple[Any, ...]
    values: tuple[Tensor, Tensor] | None  # V of the rollout's observations and of what followed, (S, N, T)


@dataclass
class Log:
    """One training."""

    cell: Cell
    rows: Recorder
    tasks: list[Watched] = field(default_factory=list)  # those of training, then those of evaluations
    agent: Any = None
    choices: list[Choice] = field(default_factory=list)  # in training
    observed: list[Step] = field(default_factory=list)  # as the agent saw them
    learned: list[Learned] = field(default_factory=list)
    initial: dict[str, Tensor] = field(default_factory=dict)  # parameters before training
    last: Choice | None = None

    @classmethod
    def empty(cls) -> Log:
        """Of worlds that are watched without an agent."""
        cell = Cell("", "", "", "", "", (), 0)
        return cls(cell, Recorder(cell))

    @property
    def training(self) -> Round:
        """The worlds that the agent learned in."""
        return self.tasks[0].rounds[0]


class Watched:
    """A task, watched; see `rlparity.tasks.Env`."""

    def __init__(self, task: tasks.Env, seeds: Sequence[Sequence[int]], log: Log, poison: int | None = None):
        self._task, self._log, self._poison, self.spec = task, log, poison, task.spec
        self.rounds: list[Round] = []
        self._began(seeds)

    def _began(self, seeds: Sequence[Sequence[int]]) -> None:
        self.rounds.append(Round([list(row) for row in seeds], self._task.obs.clone()))

    @property
    def obs(self) -> Tensor:
        """What the next action answers to."""
        return self._task.obs

    def reset(self, seeds: Sequence[Sequence[int]]) -> None:
        """Start all worlds anew."""
        self._task.reset(seeds)
        self._began(seeds)

    def step(self, action: Tensor, live: np.ndarray | None = None) -> Step:
        """Act."""
        before, told = self._task.obs.clone(), action.clone()
        step = self._task.step(action, live)
        if self._poison is not None and len(self.rounds[-1].shown) >= POISON_AFTER:
            step.reward[self._poison] = torch.nan
        shown = Shown(before, told, _copy(step), self._task.obs.clone(), self._log.last)
        self.rounds[-1].shown.append(shown)
        return step

    def pop_episodes(self) -> list[Episode]:
        """The games that ended."""
        return self._task.pop_episodes()

    def close(self) -> None:
        """Close the task."""
        self._task.close()


class WatchedAgent:
    """An agent, watched; see `rlparity.agents.Agent`."""

    def __init__(self, agent: Any, log: Log, closely: bool):
        self._agent, self._log, self._closely = agent, log, closely
        self.uniforms = agent.uniforms
        if closely and hasattr(agent, "update"):
            self._update, agent.update = agent.update, self.update

    @property
    def alive(self) -> Tensor:
        """(S,) bool."""
        alive: Tensor = self._agent.alive
        return alive

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """Act."""
        greedy = None
        if self._closely and self._log.initial and explore is not None:
            greedy = self._agent.act(obs)
        action: Tensor = self._agent.act(obs, explore)
        numbers = None if explore is None else explore.clone()
        self._log.last = Choice(obs.clone(), numbers, action.clone(), greedy)
        return action

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Learn."""
        assert self._log.last is not None
        self._log.choices.append(self._log.last)
        self._log.observed.append(_copy(step))
        metrics: dict[str, Tensor] = self._agent.observe(step)
        return metrics

    def update(self, *arguments: Any, **keywords: Any) -> Any:
        """Take a gradient step, of whose batch a copy is kept."""
        copies = tuple(_copy(x) for x in arguments)
        self._log.learned.append(Learned(len(self._log.observed), copies, self._values(arguments[0])))
        return self._update(*arguments, **keywords)

    @torch.no_grad()
    def _values(self, batch: Any) -> tuple[Tensor, Tensor] | None:
        """Of the rollout that a batch was made of, before anything is learned from it."""
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


def run(cell: Cell, evaluate: bool = True, closely: bool = False, poison: int | None = None) -> Log:
    """Train a cell through `train.run`, watched; `closely`, with the deterministic alternative of every
    action and the batch of every update. The `poison`-th seed is paid NaN after a while."""
    log = Log(cell, Recorder(cell))
    make: Callable[..., tasks.Env] = tasks.make
    build = agents.build

    def make_watched(environment: str, seeds: Sequence[Sequence[int]], role: Role = "training") -> Watched:
        poisoned = poison if role == "training" else None
        log.tasks.append(Watched(make(environment, seeds, role), seeds, log, poisoned))
        return log.tasks[-1]

    def build_watched(*arguments: Any) -> WatchedAgent:
        log.agent = build(*arguments)
        log.initial = {name: value.clone() for name, value in agents.state_dict(log.agent).items()}
        return WatchedAgent(log.agent, log, closely)

    with mock.patch.object(tasks, "make", make_watched), mock.patch.object(agents, "build", build_watched):
        log.rows = train.run(cell, evaluate=evaluate)
    return log


def _copy(value: Any) -> Any:
    """Tensors of tuples and lists, which somebody may write to later."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_copy, value))
    return [_copy(item) for item in value] if isinstance(value, list) else value
