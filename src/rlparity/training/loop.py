"""The one loop. It knows no algorithm, and writes no file: a cell goes in, its rows come out."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.environments import base as tasks
from rlparity.environments.normalization import Normalised
from rlparity.seeding import Streams, Uniforms
from rlparity.training import device_placement
from rlparity.training.evaluation import Evaluator
from rlparity.training.recorder import OnEpisodes, Recorder, State, unwatched

if TYPE_CHECKING:
    from rlparity.training.checkpointing import Checkpointer


@dataclass
class Training:
    """A cell in training, between two steps: all that going on from here depends on."""

    agent: agents.Agent
    env: Any  # a task, or a Normalised one
    explore: Uniforms
    rows: Recorder
    env_step: int = 0  # environment steps of each seed
    point: int = 0  # the next of the protocol's evaluations
    metrics: dict[str, Tensor] = field(default_factory=dict)  # of the last update, each (S,)


def run(
    cell: Cell,
    watch: OnEpisodes = unwatched,
    evaluate: bool = True,
    checkpointer: Checkpointer | None = None,
    rows: Recorder | None = None,
) -> Recorder:
    """Train the agent of a cell on all its seeds at once; a keeper lets it survive interruptions.

    Who hands in empty `rows` has those of every step so far when `watch` ends the training by an exception.
    """
    random = Streams(cell)
    env: Any = tasks.make(cell.environment, random.environments("training", cell.n_envs))
    if cell.normalize:
        env = Normalised(env, cell.hyperparameters.get("gamma", 0.99))
    with torch.device(cell.device):
        learner = agents.build(cell.agent, env.spec, dict(cell.hyperparameters), random, cell.budget)
    agent = device_placement.place(learner, cell.device)
    explore = Uniforms(random.generators("explore"), cell.n_envs, agent.uniforms)
    evaluator, rows = Evaluator(cell, random), rows or Recorder(cell)
    training = Training(agent, env, explore, rows)
    rows.start()
    if checkpointer:
        checkpointer.restore(training)
    try:
        loop(training, evaluator if evaluate else None, watch, checkpointer)
    finally:
        evaluator.close()
        env.close()
    rows.state = _state(training)
    return rows


def _state(training: Training) -> State:
    """What the policy acts with, by now."""
    state, env = dict(training.agent.state_dict()), training.env
    if isinstance(env, Normalised):
        state |= {f"normaliser.{name}": value for name, value in env.state_dict().items()}
    return state


def loop(
    training: Training,
    evaluator: Evaluator | None = None,
    watch: OnEpisodes = unwatched,
    checkpointer: Checkpointer | None = None,
) -> None:
    """Act, observe, evaluate whenever a point is crossed, and once more at the end."""
    agent, env, rows = training.agent, training.env, training.rows
    budget, n_envs, n_points = rows.cell.budget, rows.cell.n_envs, rows.cell.evaluation.points
    while training.env_step < budget:
        if checkpointer:
            checkpointer(training)
        if evaluator and training.env_step * n_points >= training.point * budget:
            training.point = training.env_step * n_points // budget
            _evaluate(training, evaluator, checkpointer)
            training.point += 1
            if not agent.alive.any():
                break
        action = agent.act(env.obs, training.explore.next())
        training.metrics = agent.observe(env.step(action)) or training.metrics
        training.env_step += n_envs
        ended = env.pop_episodes()
        if not agent.alive.all():
            _freeze(training)
        rows.ended(ended)
        watch(training.env_step, ended)
    if agent.alive.any():
        if checkpointer:
            checkpointer(training)
        if evaluator:
            training.point = n_points
            _evaluate(training, evaluator, checkpointer)
    rows.finish()


def _evaluate(training: Training, evaluator: Evaluator, checkpointer: Checkpointer | None) -> None:
    """Evaluate at `training.point`."""
    started = time.perf_counter()
    env, rows = training.env, training.rows
    seen = env.view if isinstance(env, Normalised) else torch.Tensor.float

    def view(obs: Tensor) -> Tensor:
        if checkpointer and checkpointer.asked is not None:
            checkpointer.end(training, checkpointer.asked)
        return seen(obs)

    outcomes = evaluator(training.agent, view, training.point)
    rows.evaluation_time_s += time.perf_counter() - started
    rows.evaluated(min(training.env_step, rows.cell.budget), outcomes, training.metrics)
    rows.keep(training.env_step, lambda: _state(training))


def _freeze(training: Training) -> None:
    rows = training.rows
    for s in torch.nonzero(~training.agent.alive).flatten().tolist():
        rows.fail(s, training.env_step, "the loss was not finite")
