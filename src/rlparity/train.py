"""The one loop. It knows no algorithm, and writes no file: a cell goes in, its rows come out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rlparity import agents, tasks
from rlparity.cell import Cell
from rlparity.evaluate import Evaluator, Outcome
from rlparity.records import Episode
from rlparity.seeding import Streams, Uniforms
from rlparity.tasks.normalise import Normalised

Watch = Callable[[int, Iterable[Episode]], None]  # environment steps so far, games that just ended


def unwatched(env_step: int, ended: Iterable[Episode]) -> None:
    """Nobody looks."""


@dataclass
class Rows:
    """All that a cell has to say, in the columns of `records.SCHEMAS`."""

    cell: Cell
    episodes: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    progress: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)  # seed -> reason
    evaluation_time_s: float = 0.0
    training_time_s: float = 0.0
    state: dict[str, Tensor] = field(default_factory=dict)  # what `play` needs

    def __post_init__(self) -> None:
        self._started = time.perf_counter()

    def _row(self, seed_index: int, env_step: int) -> dict[str, Any]:
        cell = self.cell
        names = {
            "implementation": cell.implementation,
            "algorithm": cell.algorithm,
            "environment": cell.environment,
        }
        return {**names, "seed": cell.seeds[seed_index], "env_step": env_step}

    def ended(self, episodes: Iterable[Episode]) -> None:
        """Book the games that ended in training."""
        for s, _, env_step, total, length in episodes:
            if self.cell.seeds[s] not in self.failed and env_step <= self.cell.budget:
                self.episodes.append(
                    {**self._row(s, env_step), "episode_return": total, "episode_length": length}
                )

    def evaluated(self, env_step: int, outcomes: Iterable[Outcome], metrics: Mapping[str, Tensor]) -> None:
        """Book one evaluation, and the metrics of the last update before it, each (S,)."""
        for s, episode, protocol, total, length in outcomes:
            if self.cell.seeds[s] not in self.failed:
                self.evaluations.append(
                    {
                        **self._row(s, env_step),
                        "episode": episode,
                        "protocol": protocol,
                        "episode_return": total,
                        "episode_length": length,
                    }
                )
        wall = time.perf_counter() - self._started
        values = {name: metric.tolist() for name, metric in sorted(metrics.items())}
        for s in range(len(self.cell.seeds)):
            for name, metric in {"evaluation_time_s": None, **values}.items():
                value = self.evaluation_time_s if metric is None else metric[s]
                self.progress.append(
                    {**self._row(s, env_step), "wall_time_s": wall, "metric": name, "value": value}
                )

    def fail(self, seed_index: int, env_step: int, reason: str) -> None:
        """Freeze a seed: its rows so far are kept, none are added."""
        self.failed.setdefault(self.cell.seeds[seed_index], f"{reason} by environment step {env_step}")


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
    started = time.perf_counter()
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
    rows.training_time_s = time.perf_counter() - started - rows.evaluation_time_s


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
