"""Estimated training times of cells."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rlparity import project_files
from rlparity.cell import Cell
from rlparity.suites.costs.speeds import Speeds

START_UP_S = 4.0  # per cell: process, imports, environments
ALLOWANCE = 4  # times the estimate, as a cluster's time limit: its cores may be slower, or busy
LEAST_MIN = 10


def describe(
    cells: Sequence[Cell],
    waiting: Sequence[Cell],
    reports: Path,
    regrouped: Sequence[Cell] = (),
) -> str:
    """One line with cells, environment steps and minutes of one core of those still to be trained.

    Those of `regrouped` are not trained: their seeds are in records of other blocks.
    """
    if not waiting:
        return f"{len(cells)} cells, all trained"
    folders = {cell.folder for cell in regrouped}
    waiting = [cell for cell in waiting if cell.folder not in folders]
    also = f", {len(regrouped)} to take from other blocks" if regrouped else ""
    rates = Speeds(reports)
    minutes = sum(seconds(cell, rates) for cell in waiting) / 60
    steps = sum(cell.budget * len(cell.seeds) for cell in waiting if cell.kind != "logs")
    basis = "rates of runs in reports" if rates else "assumed rates, nothing measured here"
    if rates.file is not None:
        basis = f"rates measured in {project_files.shown(rates.file)}"
    return (
        f"{len(cells)} cells{also}, {len(waiting)} to train: {steps:,} environment steps, "
        f"about {minutes:,.0f} core-minutes ({basis})"
    )


def seconds(cell: Cell, rates: Speeds) -> float:
    """Estimated time of one cell on one core."""
    if cell.kind == "logs":
        return START_UP_S
    evaluation, rate, seeds = cell.evaluation, rates.of(cell).steps_per_second, len(cell.seeds)
    episodes = (evaluation.points * evaluation.episodes + evaluation.final_episodes) * len(evaluation.modes)
    return START_UP_S + cell.budget * seeds / rate + episodes * seeds * rates.episode_s(cell)


def minutes_allowed(cell: Cell, rates: Speeds) -> int:
    """Time limit of a cell on a cluster, minutes; after it the cell resumes from its checkpoint."""
    return LEAST_MIN + round(ALLOWANCE * seconds(cell, rates) / 60)
