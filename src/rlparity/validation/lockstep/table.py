"""Lock-step runs as tables: `lockstep.csv`, the curves, and `lockstep_runs.csv`, a row for each run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rlparity.provenance import host
from rlparity.records import write_bytes
from rlparity.validation.lockstep import cases
from rlparity.validation.lockstep import run as lockstep
from rlparity.validation.lockstep.pair import Point
from rlparity.validation.lockstep.run import Run

POINTS = 150  # of a curve
KEYS = ("algorithm", "environment", "settings", "mode")
CURVES = (*KEYS, "env_step", "updates", "max_relative_difference", "first_difference")
RUNS = (
    *KEYS,
    "env_steps",
    "updates",
    "episodes",
    "cut",
    "largest",
    "tolerance",
    "verdict",
    "first_difference",
    "seconds",
    "configuration",
    "hardware",
    "versions",
    "commit",
)
Row = Mapping[str, Any]


def record(algorithms: Sequence[str], env_steps: int, folder: Path, say: Callable[[str], None]) -> bool:
    """Run the long cases of these algorithms, both modes, into the tables below `folder`, a line for each;
    whether none parts by more than rounding. UserError for an algorithm that lock-step does not know.

    The nudged copy comes along where SB3's steps are replayed, and where ours acts by itself if need be.
    """
    torch.set_num_threads(1)
    plan = [case for algorithm in algorithms for case in cases.full(algorithm, env_steps)]
    well = True
    for case in plan:
        control = True
        for own_actions in (False, True):
            run = lockstep.run(case, own_actions, stop=False, control=control)
            save(run, folder)
            say(f"{case}, {run.mode}: {run} [{run.seconds:.0f} s]")
            control = run.verdict != "together"
            well &= run.verdict != "part"
    return well


def save(run: Run, folder: Path) -> None:
    """Write a run into the tables below `folder`; it takes the place of an earlier one of the same case."""
    key = (run.case.algorithm, run.case.environment, run.case.settings, run.mode)
    keys = dict(zip(KEYS, key, strict=True))
    curves = [{**keys, **row} for row in _curve(run, run.curve)]
    if run.control:
        curves += [{**keys, "mode": f"{run.mode}, nudged", **row} for row in _curve(None, run.control)]
    _replace(folder / "lockstep.csv", CURVES, curves)
    _replace(folder / "lockstep_runs.csv", RUNS, [{**keys, **_summary(run)}])


def _curve(run: Run | None, curve: Sequence[Point]) -> list[Row]:
    """The points of a curve, of every stretch the one with the largest distance, and the last."""
    first = run.first if run is not None else None
    size = -(-len(curve) // POINTS)
    stretches = [curve[start : start + size] for start in range(0, len(curve), max(size, 1))]
    points = [max(stretch, key=lambda point: point.distance) for stretch in stretches]
    return [
        {
            "env_step": point.env_step,
            "updates": point.updates,
            "max_relative_difference": f"{point.distance:.3e}",
            "first_difference": str(first) if first is not None and first.env_step <= point.env_step else "",
        }
        for point in points
    ]


def _summary(run: Run) -> Row:
    made, versions = host.hardware(), host.versions()
    names = ("python", "torch", "numpy", "gymnasium", "stable-baselines3", "sb3-contrib")
    configuration = {"n_envs": run.case.n_envs, **run.case.hyperparameters}
    return {
        "env_steps": run.env_steps,
        "updates": run.updates,
        "episodes": run.episodes,
        "cut": run.cut,
        "largest": f"{run.largest:.3e}",
        "tolerance": f"{run.case.tolerance:g}",
        "verdict": run.verdict,
        "first_difference": str(run.first or ""),
        "seconds": round(run.seconds, 1),
        "configuration": json.dumps(configuration, sort_keys=True),
        "hardware": f"{made['cpu']}, {made['cores']} cores",
        "versions": ", ".join(f"{name} {versions[name]}" for name in names if name in versions),
        "commit": host.git()["commit"] or "",
    }


def _replace(file: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Put rows in the place of those with the same keys, or at the end."""
    kept: list[Row] = []
    if file.exists():
        with file.open(encoding="utf-8", newline="") as content:
            kept = list(csv.DictReader(content))
    new = {tuple(row[name] for name in KEYS) for row in rows}
    kept = [row for row in kept if tuple(row[name] for name in KEYS) not in new]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted([*kept, *rows], key=lambda row: tuple(row[name] for name in KEYS)))
    write_bytes(file, text.getvalue().encode())
