"""The contract of a candidate that comes as a command: three short runs, of two seeds."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from rlparity.candidates import command, process_group
from rlparity.cell import Cell
from rlparity.environments import metadata
from rlparity.training.recorder import Recorder
from rlparity.validation.checks import Check, NotRun, duplicates

LEAST, MOST = 2048, 16_384  # steps of a run


def check(cell: Cell, jobs: int = 2) -> list[Check]:
    """Run the command of a cell with a small budget, twice with one seed and once with another.

    It has to end well, to log returns that can be compared up to its budget, to be the same run for the same
    seed, and another for another. Raises NotRun if it cannot be started.
    """
    brief = replace(cell, budget=budget(cell), evaluation=replace(cell.evaluation, points=2))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="rlparity-") as folder, ThreadPoolExecutor(jobs) as pool:
        cells = [replace(brief, seeds=(seed,)) for seed in (0, 0, 1)]
        places = [Path(folder) / str(i) for i in range(len(cells))]
        made = list(pool.map(_run, cells, places))
    name, seconds = "runs, and logs what can be compared", time.perf_counter() - started
    failed = [reason for rows in made for reason in rows.failed.values()]
    if failed and failed[0].startswith(process_group.UNSTARTED):
        raise NotRun(failed[0])
    if failed:
        return [Check("contract", name, False, failed[0], seconds)]
    said = [(rows.episodes, rows.evaluations) for rows in made]
    games = len(made[0].episodes), len(made[0].evaluations)
    detail = f"{brief.budget:,} steps, {games[0]} games in training and {games[1]} in evaluations"
    unseeded = [[{**row, "seed": 0} for part in one for row in part] for one in said]
    other = duplicates({0: unseeded[0], 1: unseeded[2]})
    same = said[0] == said[1]
    return [
        Check("contract", name, True, detail, seconds),
        Check("contract", "the same seed is the same run", same, "" if same else _difference(unseeded[:2])),
        Check("contract", "another seed is another run", not other, other),
    ]


def budget(cell: Cell) -> int:
    """Environment steps of a short run: two of the longest games in every sub-environment, within limits.

    One of them fits in any case, since a run without a return fails; other than in Atari, where games hardly
    ever meet their limit.
    """
    world = metadata.probe(cell.environment)
    game = (world.time_limit or 0) * cell.n_envs
    most = MOST if world.frame_bytes is not None else max(MOST, game)
    return min(cell.budget, max(LEAST, min(2 * game, most)))


def _run(cell: Cell, folder: Path) -> Recorder:
    rows = Recorder(cell)
    command.run(cell, folder, rows)
    return rows


def _difference(runs: list[list[dict[str, object]]]) -> str:
    a, b = runs
    for i, (one, other) in enumerate(zip(a, b, strict=False)):
        if one != other:
            return f"return {i + 1} is {one['episode_return']:g} and {other['episode_return']:g}"
    return f"{len(a)} returns and {len(b)}"
