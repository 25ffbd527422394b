"""Lock-step runs as tables: `lockstep.csv` with curves and `lockstep_runs.csv` with a row for each run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from rlparity.validation.lockstep import cases
from rlparity.validation.lockstep import run as lockstep
from rlparity.validation.lockstep.pair import Point
from rlparity.validation.lockstep.run import Run
from rlparity.validation.tables import Line, origin, replace_rows

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


def record(algorithms: Sequence[str], env_steps: int, folder: Path, say: Callable[[str], None]) -> bool:
    """Run the long cases of these algorithms in both modes and write the tables in `folder`, showing a line
    for each run. Returns whether none parts by more than rounding. UserError for an unknown algorithm.

    The nudged copy learns alongside in mode `replay`, and in mode `own-actions` if the two have parted.
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
    """Write a run into the tables in `folder`, in place of an earlier one of the same case and mode."""
    key = (run.case.algorithm, run.case.environment, run.case.settings, run.mode)
    keys = dict(zip(KEYS, key, strict=True))
    curves = [{**keys, **row} for row in _curve(run, run.curve)]
    if run.control:
        curves += [{**keys, "mode": f"{run.mode}, nudged", **row} for row in _curve(None, run.control)]
    replaced = {_key(row) for row in curves}
    replace_rows(folder / "lockstep.csv", CURVES, curves, _key, replaced, _key)
    replace_rows(folder / "lockstep_runs.csv", RUNS, [{**keys, **_summary(run)}], _key, {key}, _key)


def _curve(run: Run | None, curve: Sequence[Point]) -> list[Line]:
    """The points of a curve: of at most POINTS equal stretches, the one with the largest distance."""
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


def _summary(run: Run) -> Line:
    configuration = {"n_envs": run.case.n_envs, **run.case.hyperparameters}
    return {
        "env_steps": run.env_steps,
        "updates": run.updates,
        "episodes": run.episodes,
        "cut": run.truncated,
        "largest": f"{run.largest:.3e}",
        "tolerance": f"{run.case.tolerance:g}",
        "verdict": run.verdict,
        "first_difference": str(run.first or ""),
        "seconds": round(run.seconds, 1),
        "configuration": json.dumps(configuration, sort_keys=True),
        **origin(),
    }


def _key(row: Line) -> tuple[str, ...]:
    return tuple(row[name] for name in KEYS)
