"""Requests, candidates and records for tests of `rlparity validate`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monitor_logs import monitor

from rlparity.cell import Cell
from rlparity.provenance import fingerprint
from rlparity.records import write, write_bytes
from rlparity.suites import suite
from rlparity.validation import request
from rlparity.validation.checks import Check
from rlparity.validation.request import Request
from rlparity.validation.statistics import Verdict
from rlparity.validation.validate import Findings

SUITE = """\
name: tiny
title: Tiny
environments:
  - CartPole-v1
  - {id: Acrobot-v1, algorithms: [random, a2c]}
algorithms: [random, ppo, a2c]
implementations: [scratch, sb3]
seeds: [0-5]
budgets: {default: 4000}
evaluation: {points: 4, episodes: 2, final_episodes: 2}
"""


def question(tiny: Path, **changes: Any) -> Request:
    candidate = changes.pop("candidate", {"command": "python learn.py {seed}"})
    return Request(**{"candidate": candidate, "against": "ppo", "suite": tiny, **changes})


def findings(
    tiny: Path, words: Sequence[str] = (), checks: Sequence[Check] = (), **left_out: str
) -> Findings:
    """`words` are verdicts by `auc` and, if there is a second, by `final`."""
    ends = ("auc", "final")
    verdicts = [
        Verdict("CartPole-v1", end, word, end == "auc", f"{word}: why")
        for end, word in zip(ends, words, strict=False)
    ]
    return Findings(request.plan(question(tiny)), list(checks), dict(left_out), verdicts=verdicts)


def theirs(tiny: Path, **candidate: Any) -> Cell:
    """The first cell of a candidate."""
    return request.cells_of(request.plan(question(tiny, candidate=candidate, name="theirs")), "theirs")[0]


def write_logs(folder: Path, shift: float = 0.0, seeds: int = 6, length: int = 25) -> None:
    """Returns that rise from about 22 to about 200 - `shift` over 4,000 steps."""
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 1])
        level = np.linspace(22, 200 - shift, 160) + rng.normal(0, 3, 160) + rng.normal(0, 3)
        monitor(
            folder / f"seed-{seed}" / "monitor.csv",
            [(round(value), length, t) for t, value in enumerate(level)],
        )


def ship(plan: suite.Suite, reports: Path, **changes: Any) -> None:
    """Records of reference and random agent, whose returns are those of `write_logs`, 8 sub-environments."""
    for cell in plan.cells:
        if not cell.candidate:
            folder = reports / "shipped" / "records" / Path(*cell.folder.parts[1:])
            episodes = [row for seed in cell.seeds for row in _episodes(cell, seed)]
            write(folder, "episodes", episodes)
            rows = [
                {**row, "episode": 0, "protocol": mode, "metric": "return"}
                | {"value": row["episode_return"], "size": row["episode_length"]}
                for row in episodes[::40]
                for mode in cell.evaluation.modes
            ]
            write(folder, "evaluations", rows)
            run = described(cell, folder) | changes
            write_bytes(folder / "run.json", json.dumps(run).encode())


def described(cell: Cell, folder: Path) -> dict[str, Any]:
    """run.json of a cell whose rows are in a folder."""
    names = ("episodes.parquet", "evaluations.parquet")
    return {
        "status": "done", "failed_seeds": {}, "cell": json.loads(cell.to_json()),
        "fingerprint": cell.fingerprint, "versions": fingerprint.parts(cell)["versions"],
        "hashes": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
    }  # fmt: skip


def _episodes(cell: Cell, seed: int) -> list[dict[str, Any]]:
    names = {name: getattr(cell, name) for name in ("implementation", "algorithm", "environment")}
    rng = np.random.default_rng([seed, 2])
    top = 22 if cell.agent == "random" else 200
    level = np.linspace(22, top, 160) + rng.normal(0, 3, 160) + rng.normal(0, 3)
    episode = {**names, "seed": seed, "episode_length": 25}
    return [
        {**episode, "env_step": 25 * (i + 1), "episode_return": float(value)} for i, value in enumerate(level)
    ]
