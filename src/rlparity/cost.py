"""What a suite will cost, told before it is run: an estimate, with the source of its rates."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from rlparity.cell import Cell

THROUGHPUT = Path("benchmark", "throughput.csv")
# Aggregate environment steps per second on one core where nothing was measured; ours with five seeds.
ASSUMED = {
    ("scratch", "random"): 60_000,
    ("scratch", "reinforce"): 20_000,
    ("scratch", "actor_critic"): 20_000,
    ("scratch", "a2c"): 25_000,
    ("scratch", "ppo"): 18_000,
    ("scratch", "dqn"): 1_800,
    ("sb3", "a2c"): 8_000,
    ("sb3", "ppo"): 3_800,
    ("sb3", "dqn"): 760,
}
ASSUMED_OTHERWISE = 2_000
EVALUATION_RATE = 60_000  # steps per second, all episodes of an evaluation side by side
EPISODE = 300  # steps of an evaluation's episode
START_UP_S = 4.0  # per cell: process, imports, environments

Rates = Mapping[tuple[str, str, str], Sequence[tuple[int, float]]]  # who: (seeds, aggregate steps per second)


def describe(cells: Sequence[Cell], waiting: Sequence[Cell], reports: Path) -> str:
    """One line: cells, environment steps and minutes of one core, of those that are still to be trained."""
    if not waiting:
        return f"{len(cells)} cells, all trained"
    rates = measured(reports)
    minutes = sum(seconds(cell, rates) for cell in waiting) / 60
    steps = sum(cell.budget * len(cell.seeds) for cell in waiting)
    basis = (
        f"rates measured in {reports / THROUGHPUT}" if rates else "assumed rates, nothing measured here yet"
    )
    return (
        f"{len(cells)} cells, {len(waiting)} to train: {steps:,} environment steps, "
        f"about {minutes:,.0f} core-minutes ({basis})"
    )


def seconds(cell: Cell, rates: Rates) -> float:
    """Estimated time of one cell on one core."""
    if cell.kind == "logs":
        return START_UP_S
    evaluation = cell.evaluation
    episodes = evaluation.points * evaluation.episodes + evaluation.final_episodes
    evaluated = episodes * len(evaluation.modes) * len(cell.seeds) * EPISODE
    return START_UP_S + cell.budget * len(cell.seeds) / _rate(cell, rates) + evaluated / EVALUATION_RATE


def measured(reports: Path) -> Rates:
    """Rates of `rlparity bench`, by implementation, algorithm and environment; empty if there are none."""
    found: dict[tuple[str, str, str], list[tuple[int, float]]] = {}
    try:
        with (reports / THROUGHPUT).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                who = (row["implementation"], row["algorithm"], row["environment"])
                found.setdefault(who, []).append((int(row["seeds"]), float(row["steps_per_second"])))
    except (OSError, KeyError, ValueError):
        return {}
    return found


def _rate(cell: Cell, rates: Rates) -> float:
    """Measured with the nearest number of seeds, in this environment if possible, else assumed."""
    names = {cell.algorithm, cell.agent}
    here = [rate for who, rate in rates.items() if who[0] == cell.implementation and who[1] in names]
    exact = [
        rate for who, rate in rates.items() if who == (cell.implementation, cell.algorithm, cell.environment)
    ]
    candidates = [pair for pairs in exact or here for pair in pairs]
    if candidates:
        return min(candidates, key=lambda pair: abs(pair[0] - len(cell.seeds)))[1]
    return ASSUMED.get((cell.implementation, cell.agent), ASSUMED_OTHERWISE)
