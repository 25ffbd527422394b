"""A complete, made-up results tree: what a suite leaves behind, without training.

`Suite(...).write(results)` writes the records of every cell; `.cells` and `.plan` are what `table.collect`
wants, and `finish` runs the two stages up to the CSVs of a report.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rlparity.analysis import summarize, tables
from rlparity.analysis.columns.column import ARM
from rlparity.cell import Cell, Protocol
from rlparity.metrics import RETURN, Metric
from rlparity.records import write, write_bytes

PUBLISHED = Path(__file__).parents[2] / "workflow" / "resources" / "published"
RANDOM_RETURN, CEILING = 22.0, 500.0


@dataclass
class Suite:
    """CartPole-v1 with five seeds: a scratch block per algorithm, single-seed sb3 cells, a random agent."""

    name: str = "made-up"
    algorithms: tuple[str, ...] = ("a2c", "ppo")
    variants: tuple[str, ...] = ("reinforce",)  # configurations without a reference
    environments: tuple[str, ...] = ("CartPole-v1",)
    implementations: tuple[str, ...] = ("scratch", "sb3")
    random: bool = True
    seeds: int = 5
    budget: int = 1000
    protocol: Protocol = field(default_factory=lambda: Protocol(modes=("deterministic", "sampled")))
    shift: Mapping[str, float] = field(default_factory=dict)  # algorithm -> return that scratch lacks
    spread: float = 15.0  # standard deviation of a seed's plateau
    levels: Mapping[str, tuple[float, float]] = field(default_factory=dict)  # task -> random return, plateau
    failed: Mapping[tuple[str, str], Mapping[int, str]] = field(default_factory=dict)  # arm -> seed -> reason
    metrics: tuple[Metric, ...] = (RETURN,)  # of every environment; all but the return are errors
    threshold: float = 475.0  # of the first of them

    def __post_init__(self) -> None:
        random = ("random",) if self.random else ()
        names = (*random, *self.variants, *self.algorithms)
        self.cells = [
            cell
            for environment in self.environments
            for name in names
            for cell in self._blocks(environment, name)
        ]
        self.plan: dict[str, Any] = {
            "name": self.name,
            "title": "Made up",
            "description": "Learning curves from a formula.",
            "margin": 0.2,
            "references": "train",
            "algorithms": {name: self._algorithm(name) for name in names},
            "environments": {name: self._environment(name, list(names)) for name in self.environments},
            "cells": [json.loads(cell.to_json()) for cell in self.cells],
        }

    def _algorithm(self, name: str) -> dict[str, Any]:
        reference = name if name in self.algorithms else None
        return {"title": name.upper(), "agent": name, "reference": reference, "options": {}}

    def _environment(self, name: str, names: list[str]) -> dict[str, Any]:
        setting = {
            "source": "made up",
            "differs": "all",
            "n_envs": 8,
            "normalize": False,
            "hyperparameters": {},
        }
        settings = {name: setting for name in names}
        threshold = None if name in self.levels else self.threshold
        about = {"threshold": threshold, "time_limit": 500, "algorithms": names, "settings": settings}
        if self.metrics != (RETURN,):
            about["metrics"] = [asdict(metric) for metric in self.metrics]
        return about

    def _blocks(self, environment: str, algorithm: str) -> list[Cell]:
        def cell(implementation: str, seeds: tuple[int, ...]) -> Cell:
            modes = ("sampled",) if algorithm == "random" else self.protocol.modes
            protocol = Protocol(**asdict(self.protocol) | {"modes": modes})
            who = (self.name, environment, implementation, algorithm, algorithm, seeds, self.budget)
            return Cell(*who, n_envs=8, evaluation=protocol, fingerprint=f"{environment}-{algorithm}")

        blocks = [cell("scratch", tuple(range(self.seeds)))] if "scratch" in self.implementations else []
        if algorithm in self.algorithms and "sb3" in self.implementations:
            blocks += [cell("sb3", (seed,)) for seed in range(self.seeds)]
        return blocks

    def write(self, results: Path) -> None:
        """Write the records of every cell below `results`."""
        for cell in self.cells:
            self.write_cell(cell, results / cell.folder)

    def write_cell(self, cell: Cell, folder: Path) -> None:
        """Write one cell's records and run.json."""
        reasons = self.failed.get((cell.implementation, cell.algorithm), {})
        failed = {seed: reasons[seed] for seed in cell.seeds if seed in reasons}
        rows: dict[str, list[dict[str, Any]]] = {"episodes": [], "evaluations": [], "progress": []}
        for seed in cell.seeds:
            self._seed(cell, seed, rows, stop=cell.budget // 2 if seed in failed else cell.budget)
        for kind, content in rows.items():
            write(folder, kind, content)
        hashes = {
            f"{k}.parquet": hashlib.sha256((folder / f"{k}.parquet").read_bytes()).hexdigest() for k in rows
        }
        write_bytes(folder / "run.json", json.dumps(run_json(cell, failed, hashes)).encode())

    def _seed(self, cell: Cell, seed: int, rows: dict[str, list[dict[str, Any]]], stop: int) -> None:
        names = {key: getattr(cell, key) for key in ARM}
        word = f"{cell.environment}|{cell.implementation}|{cell.algorithm}|{seed}"
        rng = np.random.default_rng(list(word.encode()))
        lacks = self.shift.get(cell.algorithm, 0.0) if cell.implementation == "scratch" else 0.0
        floor, top = self.levels.get(cell.environment, (RANDOM_RETURN, 480.0))
        plateau = top - lacks + self.spread * rng.standard_normal()
        if cell.environment not in self.levels:
            plateau = min(plateau, CEILING)
        for point in range(cell.evaluation.points + 1):
            nominal = point * cell.budget // cell.evaluation.points
            last = point == cell.evaluation.points
            step = cell.budget if last else -(-nominal // cell.n_envs) * cell.n_envs  # when it is crossed
            if step > stop:
                break
            learnt = 0.0 if cell.algorithm == "random" else 1 - np.exp(-8 * nominal / cell.budget)
            level = floor + (plateau - floor) * learnt
            episodes = cell.evaluation.final_episodes if last else cell.evaluation.episodes
            at = {**names, "seed": seed, "env_step": step}
            for protocol in cell.evaluation.modes:
                for episode, value in enumerate(np.round(level + 5 * rng.standard_normal(episodes))):
                    keys = {**at, "episode": episode, "protocol": protocol, "size": max(int(value), 1)}
                    rows["evaluations"] += [
                        {**keys, "metric": metric.name, "value": measured(metric, float(value))}
                        for metric in self.metrics
                    ]
            game = {"episode_return": float(round(level)), "episode_length": max(round(level), 1)}
            rows["episodes"].append({**at, **game})
            rows["progress"].append({**at, "wall_time_s": step / 4000, "metric": "loss", "value": 1 - learnt})


def measured(metric: Metric, total: float) -> float:
    """What a metric measures of an episode with this return: the return, or an error that falls with it."""
    return total if metric == RETURN else 1 - total / CEILING


def run_json(cell: Cell, failed: Mapping[int, str], hashes: Mapping[str, str]) -> dict[str, Any]:
    """The run.json of a cell."""
    trained = cell.budget * len(cell.seeds) / 4000
    return {
        "status": "failed" if len(failed) == len(cell.seeds) else "done",
        "failed_seeds": {str(seed): reason for seed, reason in failed.items()},
        "cell": asdict(cell),
        "config": {"learning_rate": 0.0003, "gamma": 0.99},
        "departures": [],
        "versions": {"python": "3.11.2", "torch": "2.13.0"},
        "hardware": {"cpu": "made up", "gpu": None, "cores": 2, "threads": 1, "machine": "x86_64"},
        "git": {"commit": "0" * 40, "dirty": False},
        "source_hash": "1" * 16,
        "fingerprint": cell.fingerprint,
        "started": "2024-02-29T12:00:00+00:00",
        "startup_time_s": 1.5,
        "training_time_s": trained,
        "evaluation_time_s": 0.5 * len(cell.seeds),
        "wall_time_s": trained + 0.5 * len(cell.seeds) + 1.5,
        "steps_per_second": 4000.0,
        "peak_memory_mib": 300.0,
        "times_resumed": 0,
        "hashes": dict(hashes),
    }


def finish(suite: Suite, root: Path) -> Path:
    """Write, collect and analyse a suite below `root`; returns the folder of its report."""
    results, reports = root / "results", root / "reports"
    suite.write(results)
    tables.collect(suite.cells, results, reports, suite.plan)
    report = reports / suite.name
    summarize.analyse(results / suite.name / "tables", PUBLISHED, report)
    return report
