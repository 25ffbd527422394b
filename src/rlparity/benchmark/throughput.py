"""Measure throughput, the reference and ours in alternation: one machine, one thread, one configuration.

A whole run without evaluation is timed: making environments, stepping, learning, writing records. Every run
has its own process, whose start and imports are not timed. A round runs the reference, then ours with each
number of seeds. Ratios are taken within a round, so that a machine whose speed drifts does not bias them.
Each row has the rate of the reference in its own rounds.
"""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from rlparity import registry
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.provenance import host
from rlparity.records import write_bytes
from rlparity.suites import suite

BUDGETS = {  # environment steps per seed, some seconds of SB3
    "ppo": 16_384,
    "a2c": 32_000,
    **dict.fromkeys(("ddpg", "td3", "sac"), 1_000),
}
OTHERWISE = 8_192
PIXELS = {"ppo": 8_192, "a2c": 4_000, "dqn": 2_000, "qrdqn": 2_000}  # where a step takes milliseconds
EARLY = {"learning_starts": 100}  # off-policy learners with an update per step; the rest is learning
BRIEF = {**EARLY, "buffer_size": 10_000}  # on images, enough for the steps that are timed
ONCE = 20  # blocks of this many seeds or more are measured in the first round only
OURS = "scratch"
TUNED, DEFAULTS = "hyperparameters.yaml", "SB3's defaults"  # values of the column `settings`
CIRCUMSTANCES = ("environment", "settings", "threads", "device", "hardware")
KEY = ("algorithm", "environment", "settings", "implementation", "seeds", "threads", "device", "hardware")
RATIOS = ("ratio_to_reference", "ratio_min", "ratio_max")
COLUMNS = (
    *KEY,
    "steps_per_second",
    "ratio_to_reference",
    "peak_memory_mib",
    "ratio_min",
    "ratio_max",
    "reference_steps_per_second",
    "rounds",
    "budget",
    "gflops",
    "machine_gflops",
    "configuration",
    "versions",
    "commit",
)
NAMED = ("torch", "stable-baselines3", "sb3-contrib", "gymnasium", "mujoco", "ale-py", "numpy")  # versions


def measure(
    algorithms: Sequence[str],
    environment: str,
    sizes: Sequence[int],
    rounds: int,
    settings: str = TUNED,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Rows of throughput.csv. Algorithms that share a reference are measured beside the same runs of it."""
    alternations: list[list[Cell]] = []
    for algorithm in dict.fromkeys(algorithms):
        reference, *ours = cells(algorithm, environment, sizes, settings, device)
        shared = next((one for one in alternations if one[0] == reference), None)
        if shared is None:
            alternations.append([reference, *ours])
        else:
            shared += ours
    return [{**row, "settings": settings} for one in alternations for row in compare(one, rounds)]


def cells(
    algorithm: str, environment: str, sizes: Sequence[int], settings: str = TUNED, device: str = "cpu"
) -> list[Cell]:
    """The reference's cell with one seed, then ours with each number of seeds."""
    pixels = environment.startswith("ALE/")
    agent = algorithm.split("-")[0]
    raw = {
        "name": "bench",
        "title": "Benchmark",
        "environments": [environment],
        "algorithms": [algorithm],
        "implementations": list(registry.IMPLEMENTATIONS),
        "seeds": [0],
        "budgets": {"default": (PIXELS if pixels else BUDGETS).get(agent, OTHERWISE)},
        "checkpoint_every": 0,
    }
    found = {cell.implementation: cell for cell in suite.resolve(raw, "bench").cells}
    references = [name for name in found if name != OURS]
    if not references:
        raise UserError(f"bench: {algorithm} has no reference in hyperparameters.yaml; choose one that has")
    if settings == DEFAULTS:
        plain: dict[str, Any] = {"n_envs": 1, "normalize": False, "hyperparameters": {}}
        found = {name: replace(cell, **plain) for name, cell in found.items()}
    early: dict[str, Any] = EARLY if agent in ("ddpg", "td3", "sac") else {}
    if pixels and agent in ("dqn", "qrdqn"):
        early = BRIEF
    found = {
        name: replace(cell, device=device, hyperparameters={**cell.hyperparameters, **early})
        for name, cell in found.items()
    }
    return [found[references[0]], *(replace(found[OURS], seeds=tuple(range(size))) for size in sizes)]


def compare(plan: Sequence[Cell], rounds: int) -> list[dict[str, Any]]:
    """Rows of throughput.csv for one alternation: the reference `plan[0]`, then ours.

    A row's ratios, and its rate of the reference, are those of the rounds in which its cell was run.
    """
    measured: list[list[dict[str, float]]] = [[] for _ in plan]
    for turn in range(rounds):
        for i, cell in enumerate(plan):
            if turn and len(cell.seeds) >= ONCE:
                continue
            result = _child(cell)
            measured[i].append(result)
            _report(cell, turn, result, measured[0][turn])
    return [_row(cell, own, measured[0][: len(own)]) for cell, own in zip(plan, measured, strict=True)]


def _child(cell: Cell) -> dict[str, float]:
    command = [sys.executable, "-m", "rlparity", "bench", "--child", cell.to_json()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise UserError(
            f"bench: {cell.implementation}/{cell.algorithm} stopped: {done.stderr.strip()[-300:]}"
        )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _report(cell: Cell, turn: int, result: dict[str, float], reference: dict[str, float]) -> None:
    who = f"{cell.environment} {cell.implementation}/{cell.algorithm}, {len(cell.seeds)} seeds"
    rate = result["steps_per_second"]
    ratio = rate / reference["steps_per_second"]
    print(f"round {turn + 1}  {who}: {rate:,.0f} steps/s, {ratio:.2f} of the reference", file=sys.stderr)


def _row(
    cell: Cell, measured: Sequence[dict[str, float]], beside: Sequence[dict[str, float]]
) -> dict[str, Any]:
    """One row; `beside` are the reference's measurements of the same rounds."""
    rates, theirs = ([one["steps_per_second"] for one in many] for many in (measured, beside))
    ratios = [rate / reference for rate, reference in zip(rates, theirs, strict=True)]
    versions, hardware = host.versions(), host.hardware()
    gpu = [hardware["gpu"]] if cell.device == "cuda" else []
    configuration = {"n_envs": cell.n_envs, "normalize": cell.normalize, **cell.hyperparameters}
    return {
        "algorithm": cell.algorithm,
        "environment": cell.environment,
        "implementation": cell.implementation,
        "seeds": len(cell.seeds),
        "threads": 1,
        "device": cell.device,
        "hardware": ", ".join([*gpu, f"{hardware['cpu']}, {hardware['cores']} cores"]),
        "steps_per_second": round(median(rates), 1),
        "ratio_to_reference": round(median(ratios), 3),
        "peak_memory_mib": round(max(m["peak_memory_mib"] for m in measured), 1),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "reference_steps_per_second": round(median(theirs), 1),
        "rounds": len(ratios),
        "budget": cell.budget,
        **{name: _median(measured, name) for name in ("gflops", "machine_gflops")},
        "configuration": json.dumps(configuration, sort_keys=True),
        "versions": ", ".join(f"{name} {versions[name]}" for name in NAMED if name in versions),
        "commit": host.git()["commit"] or "",
    }


def _median(measured: Sequence[dict[str, float]], name: str) -> float | str:
    values = [m[name] for m in measured if name in m]
    return round(median(values), 2) if values else ""


def save(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write throughput.csv. Rows measured earlier stay, unless the same cell was measured anew.

    Rows of older versions lack the reference's rate in their own rounds. They lose their ratios once that
    reference is measured anew, because what the ratios were taken against is no longer in the table.
    """
    earlier: list[dict[str, Any]] = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            blank = {"settings": TUNED, "reference_steps_per_second": ""}
            earlier = [{**blank, **row} for row in csv.DictReader(file)]
    anew = {(row["algorithm"], *_circumstances(row)) for row in rows if row["implementation"] != OURS}
    for row in earlier:
        if row["implementation"] == OURS and not row["reference_steps_per_second"]:
            reference = _reference(row["algorithm"], row["environment"])
            if (reference, *_circumstances(row)) in anew:
                row |= dict.fromkeys(RATIOS, "")
    kept = {tuple(str(row[name]) for name in KEY): row for row in (*earlier, *rows)}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept[key] for key in sorted(kept, key=lambda key: (*key[:4], int(key[4]), *key[5:])))
    write_bytes(path, text.getvalue().encode())


def _circumstances(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in CIRCUMSTANCES)


@cache
def _reference(algorithm: str, environment: str) -> str:
    """The configuration of the reference that an algorithm is measured beside."""
    try:
        return cells(algorithm, environment, ())[0].algorithm
    except UserError:  # no longer known
        return algorithm
