"""The training loop. It knows no algorithm, records nothing and writes no file: it yields what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlparity import registry
from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.environments import base as environments
from rlparity.seeding import Streams, Uniforms
from rlparity.training.evaluation import Evaluator, Outcome, View
from rlparity.transitions import Episode


class Stepped(NamedTuple):
    """One environment step of every sub-environment has been taken and learned from."""

    env_step: int  # environment steps of each seed so far
    episodes: list[Episode]  # that ended in it
    alive: Tensor  # (S,) bool; false: the seed's loss was not finite


class Evaluation(NamedTuple):
    """One point of the cell's evaluation protocol."""

    env_step: int
    outcomes: list[Outcome]
    metrics: dict[str, Tensor]  # of the last update, each (S,)


@dataclass
class Training:
    """A cell in training, between two steps: all that resuming it depends on."""

    agent: agents.Agent
    env: Any  # an `environments.base.Env`, or one that normalises
    explore: Uniforms
    budget: int  # environment steps of each seed
    n_points: int  # evaluations before the one at the end
    env_step: int = 0
    point: int = 0  # the next evaluation
    metrics: dict[str, Tensor] = field(default_factory=dict)

    def evaluation_is_due(self) -> bool:
        """Whether the next point of the protocol has been reached; skipped points are left out."""
        due = self.env_step * self.n_points >= self.point * self.budget
        if due:
            self.point = self.env_step * self.n_points // self.budget
        return due

    def view(self, obs: Tensor) -> Tensor:
        """Raw observations (S, N, *obs) as the agent sees them."""
        seen: Tensor = self.env.view(obs) if hasattr(self.env, "view") else obs.float()
        return seen


Evaluate = Callable[[Training], Evaluation]


def build(cell: Cell, random: Streams) -> Training:
    """The agent of a cell and its environments, before the first step."""
    env: Any = environments.make(cell.environment, random.environments("training", cell.n_envs))
    if cell.normalize:
        env = registry.part("normalization")(env, cell.hyperparameters.get("gamma", 0.99))
    with torch.device(cell.device):
        agent = agents.build(cell.agent, env.spec, dict(cell.hyperparameters), random, cell.budget)
    if cell.device != "cpu":
        agent = registry.part("device")(agent, cell.device)
    explore = Uniforms(random.generators("explore"), cell.n_envs, agent.uniforms)
    return Training(agent, env, explore, cell.budget, cell.evaluation.points)


def evaluation(training: Training, evaluator: Evaluator, view: View) -> Evaluation:
    """Evaluate the agent at `training.point`; `view` is `training.view`, or what calls it."""
    outcomes = evaluator(training.agent, view, training.point)
    return Evaluation(min(training.env_step, training.budget), outcomes, training.metrics)


def loop(training: Training, evaluate: Evaluate | None) -> Iterator[Stepped | Evaluation]:
    """Act, observe, evaluate at every point of the protocol and once more at the end."""
    agent, env = training.agent, training.env
    while training.env_step < training.budget and agent.alive.any():
        if evaluate and training.evaluation_is_due():
            yield evaluate(training)
            training.point += 1
        action = agent.act(env.obs, training.explore.next())
        training.metrics = agent.observe(env.step(action)) or training.metrics
        training.env_step += env.spec.n_envs
        yield Stepped(training.env_step, env.pop_episodes(), agent.alive)
    if evaluate and agent.alive.any():
        training.point = training.n_points
        yield evaluate(training)
