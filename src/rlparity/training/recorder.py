"""Collect what a run leaves behind, as rows of the tables in `rlparity.records`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from rlparity.cell import Cell
from rlparity.training import rows
from rlparity.training.evaluation import Outcome
from rlparity.training.loop import Evaluation, Stepped
from rlparity.transitions import Episode

OnEpisodes = Callable[[int, Iterable[Episode]], None]  # environment steps so far, episodes that just ended
State = dict[str, Tensor]  # what a policy acts with: its parameters, and statistics that normalise
OnPolicy = Callable[[int, Callable[[], State]], None]  # environment steps so far, the policy just evaluated


def ignore(env_step: int, episodes: Iterable[Episode]) -> None:
    """An `OnEpisodes` that does nothing."""


def ignore_policy(env_step: int, state: Callable[[], State]) -> None:
    """An `OnPolicy` that does nothing."""


@dataclass
class Recorder:
    """Rows of episodes, evaluations and progress, in the columns of `records.SCHEMAS`."""

    cell: Cell
    on_policy: OnPolicy = ignore_policy
    episodes: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    progress: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)  # seed -> reason
    evaluation_time_s: float = 0.0
    training_time_s: float = 0.0
    state: State = field(default_factory=dict)  # of the policy at the end
    env_step: int | None = None  # environment steps of each seed so far, where the training loop counts them

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start the clock: the first environment step follows."""
        self._started = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        """Wall time since the start, interruptions left out."""
        return time.perf_counter() - self._started

    def finish(self) -> None:
        """Stop the clock: what was not evaluation was training."""
        self.training_time_s = self.elapsed_s - self.evaluation_time_s

    def take(self, event: Stepped | Evaluation) -> None:
        """Record one event of the training loop. A seed that is no longer alive is frozen."""
        self.env_step = event.env_step
        if isinstance(event, Evaluation):
            self.evaluated(*event)
            return
        if not event.alive.all():
            for s in torch.nonzero(~event.alive).flatten().tolist():
                self.fail(s, event.env_step, "the loss was not finite")
        self.ended(event.episodes)

    def ended(self, episodes: Iterable[Episode]) -> None:
        """Record the episodes that ended in training."""
        self.episodes += rows.of_episodes(self.cell, self.failed, episodes)

    def evaluated(self, env_step: int, outcomes: Iterable[Outcome], metrics: Mapping[str, Tensor]) -> None:
        """Record one evaluation, and the metrics of the last update before it, each (S,)."""
        self.evaluations += rows.of_evaluation(self.cell, self.failed, env_step, outcomes)
        wall = self.elapsed_s
        table = {name: metric.tolist() for name, metric in sorted(metrics.items())}
        for s in range(len(self.cell.seeds)):
            for name, metric in {"evaluation_time_s": None, **table}.items():
                value = self.evaluation_time_s if metric is None else metric[s]
                measured = {"wall_time_s": wall, "metric": name, "value": value}
                self.progress.append({**rows.key(self.cell, s, env_step), **measured})

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data, to resume from."""
        names = ("episodes", "evaluations", "progress", "failed", "evaluation_time_s")
        return {**{name: getattr(self, name) for name in names}, "elapsed_s": self.elapsed_s}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`."""
        self._started = time.perf_counter() - state["elapsed_s"]
        for name in state.keys() - {"elapsed_s"}:
            setattr(self, name, state[name])

    def fail(self, seed_index: int, env_step: int, reason: str) -> None:
        """Freeze a seed: its rows so far are kept, none are added."""
        self.failed.setdefault(self.cell.seeds[seed_index], f"{reason} by environment step {env_step}")
