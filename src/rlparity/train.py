"""The one loop. It knows no algorithm, and writes no file: a cell goes in, its rows come out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rlparity import agents, tasks
from rlparity.cell import Cell
from rlparity.evaluate import Evaluator
from rlparity.rows import Rows, Watch, unwatched
from rlparity.seeding import Streams, Uniforms
from rlparity.tasks.normalise import Normalised


def run(cell: Cell, watch: Watch = unwatched, evaluate: bool = True) -> Rows:
    """Train the agent of a cell on all its seeds at once."""
    random = Streams(cell)
    task = tasks.make(cell.environment, random.environments("training", cell.n_envs))
    env: Any = task
    if cell.normalize:
        env = Normalised(task, cell.hyperparameters.get("gamma", 0.99))
    agent = agents.build(cell.agent, env.spec, dict(cell.hyperparameters), random, cell.budget)
    explore = Uniforms(random.generators("explore"), cell.n_envs, agent.uniforms)
    evaluator, rows = Evaluator(cell, random), Rows(cell)
    loop(agent, env, explore, rows, evaluator if evaluate else None, watch)
    evaluator.close()
    env.close()
    rows.state = dict(agent.state_dict())
    if cell.normalize:
        rows.state |= {f"normaliser.{name}": value for name, value in env.state_dict().items()}
    return rows


def loop(
    agent: agents.Agent,
    env: Any,
    explore: Uniforms,
    rows: Rows,
    evaluator: Evaluator | None,
    watch: Watch = unwatched,
) -> None:
    """Act, observe, evaluate whenever a point is crossed, and once more at the end."""
    budget, n_points = rows.cell.budget, rows.cell.evaluation.points
    metrics: dict[str, Tensor] = {}
    point = 0
    rows.start()
    for env_step in range(0, budget, rows.cell.n_envs):
        if evaluator and env_step * n_points >= point * budget:
            point = env_step * n_points // budget
            _evaluate(agent, env, rows, evaluator, point, env_step, metrics)
            point += 1
            if not agent.alive.any():
                break
        action = agent.act(env.obs, explore.next())
        metrics = agent.observe(env.step(action)) or metrics
        ended = env.pop_episodes()
        if not agent.alive.all():
            _freeze(agent, rows, env_step + rows.cell.n_envs)
        rows.ended(ended)
        watch(env_step + rows.cell.n_envs, ended)
    if evaluator and agent.alive.any():
        _evaluate(agent, env, rows, evaluator, n_points, budget, metrics)
    rows.finish()


def _evaluate(
    agent: agents.Agent,
    env: Any,
    rows: Rows,
    evaluator: Evaluator,
    point: int,
    env_step: int,
    metrics: Mapping[str, Tensor],
) -> None:
    started = time.perf_counter()
    view = env.view if isinstance(env, Normalised) else torch.Tensor.float
    outcomes = evaluator(agent, view, point)
    rows.evaluation_time_s += time.perf_counter() - started
    rows.evaluated(env_step, outcomes, metrics)


def _freeze(agent: agents.Agent, rows: Rows, env_step: int) -> None:
    for s in torch.nonzero(~agent.alive).flatten().tolist():
        rows.fail(s, env_step, "the loss was not finite")
