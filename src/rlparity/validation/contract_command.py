"""The contract of a candidate that comes as a command: three short runs, of two seeds."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from rlparity import candidate_command, worlds
from rlparity.cell import Cell
from rlparity.rows import Rows
from rlparity.validation.checks import Check
from rlparity.validation.layers import copied

STEPS = 2048
TIME_LIMIT_S = 120.0


def check(cell: Cell, jobs: int = 2) -> list[Check]:
    """Run the command of a cell with a small budget, twice with one seed and once with another.

    It has to end well, to log returns that can be compared up to its budget, to be the same run for the same
    seed, and another for another.
    """
    longest = worlds.probe(cell.environment).time_limit or 0
    limit = min(TIME_LIMIT_S, cell.candidate.get("time_limit_s", TIME_LIMIT_S))
    brief = replace(
        cell,
        budget=min(cell.budget, max(STEPS, 2 * longest * cell.n_envs)),
        evaluation=replace(cell.evaluation, points=2),
        candidate={**cell.candidate, "time_limit_s": limit},
    )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="rlparity-") as folder, ThreadPoolExecutor(jobs) as pool:
        cells = [replace(brief, seeds=(seed,)) for seed in (0, 0, 1)]
        places = [Path(folder) / str(i) for i in range(len(cells))]
        made = list(pool.map(_run, cells, places))
    name, seconds = "runs, and logs what can be compared", time.perf_counter() - started
    failed = [reason for rows in made for reason in rows.failed.values()]
    if failed:
        return [Check("contract", name, False, failed[0], seconds)]
    said = [(rows.episodes, rows.evaluations) for rows in made]
    games = len(made[0].episodes), len(made[0].evaluations)
    detail = f"{brief.budget:,} steps, {games[0]} games in training and {games[1]} in evaluations"
    unseeded = [[{**row, "seed": 0} for part in one for row in part] for one in said]
    other = copied({0: unseeded[0], 1: unseeded[2]})
    same = said[0] == said[1]
    return [
        Check("contract", name, True, detail, seconds),
        Check("contract", "the same seed is the same run", same, "" if same else _difference(unseeded[:2])),
        Check("contract", "another seed is another run", not other, other),
    ]


def _run(cell: Cell, folder: Path) -> Rows:
    rows = Rows(cell)
    candidate_command.run(cell, folder, rows)
    return rows


def _difference(runs: list[list[dict[str, object]]]) -> str:
    a, b = runs
    for i, (one, other) in enumerate(zip(a, b, strict=False)):
        if one != other:
            return f"return {i + 1} is {one['episode_return']:g} and {other['episode_return']:g}"
    return f"{len(a)} returns and {len(b)}"
