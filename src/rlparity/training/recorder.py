"""What a cell has to say, in the columns of `records.SCHEMAS`; no row is written by an agent."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from rlparity.cell import Cell
from rlparity.records import Episode
from rlparity.training.evaluation import Outcome

OnEpisodes = Callable[[int, Iterable[Episode]], None]  # environment steps so far, games that just ended
State = dict[str, Tensor]  # what a policy acts with: its parameters, and statistics that normalise
OnPolicy = Callable[[int, Callable[[], State]], None]  # environment steps so far, the policy just evaluated


def unwatched(env_step: int, ended: Iterable[Episode]) -> None:
    """Nobody looks."""


def unkept(env_step: int, state: Callable[[], State]) -> None:
    """Nobody wants the policy."""


@dataclass
class Recorder:
    """All that a cell has to say, in the columns of `records.SCHEMAS`."""

    cell: Cell
    keep: OnPolicy = unkept
    episodes: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    progress: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)  # seed -> reason
    evaluation_time_s: float = 0.0
    training_time_s: float = 0.0
    state: State = field(default_factory=dict)  # of the policy at the end

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """The first environment step is about to come."""
        self._started = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        """Wall time since the start, interruptions left out."""
        return time.perf_counter() - self._started

    def finish(self) -> None:
        """What was not evaluation was training."""
        self.training_time_s = self.elapsed_s - self.evaluation_time_s

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
        wall = self.elapsed_s
        values = {name: metric.tolist() for name, metric in sorted(metrics.items())}
        for s in range(len(self.cell.seeds)):
            for name, metric in {"evaluation_time_s": None, **values}.items():
                value = self.evaluation_time_s if metric is None else metric[s]
                self.progress.append(
                    {**self._row(s, env_step), "wall_time_s": wall, "metric": name, "value": value}
                )

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data, to go on from after an interruption."""
        kept = ("episodes", "evaluations", "progress", "failed", "evaluation_time_s")
        return {**{name: getattr(self, name) for name in kept}, "elapsed_s": self.elapsed_s}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`."""
        self._started = time.perf_counter() - state["elapsed_s"]
        for name in state.keys() - {"elapsed_s"}:
            setattr(self, name, state[name])

    def fail(self, seed_index: int, env_step: int, reason: str) -> None:
        """Freeze a seed: its rows so far are kept, none are added."""
        self.failed.setdefault(self.cell.seeds[seed_index], f"{reason} by environment step {env_step}")
