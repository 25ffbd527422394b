"""The contract of a candidate that is a command: three short runs with two seeds."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlparity.candidates import command, process_group
from rlparity.cell import Cell
from rlparity.environments import metadata
from rlparity.training.recorder import Recorder
from rlparity.validation.checks import Check, NotRun, duplicates
from rlparity.validation.tables import measured

LEAST, MOST = 2048, 16_384  # environment steps of a short run


def check(cell: Cell, jobs: int = 2) -> list[Check]:
    """Run the command of a cell with a small budget, twice with one seed and once with another.

    It must exit with status 0, log comparable returns up to its budget, log the same returns for the same
    seed and others for another seed. Raises NotRun if the first run cannot be started, fails, is stopped, or
    leaves no returns.
    """
    brief = replace(cell, budget=budget(cell), evaluation=replace(cell.evaluation, points=2))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="rlparity-") as folder, ThreadPoolExecutor(jobs) as pool:
        cells = [replace(brief, seeds=(seed,)) for seed in (0, 0, 1)]
        places = [Path(folder) / str(i) for i in range(len(cells))]
        recorders = list(pool.map(_run, cells, places))
    name, seconds = "runs and logs comparable returns", time.perf_counter() - started
    failed = [reason for recorder in recorders for reason in recorder.failed.values()]
    if recorders[0].failed and failed[0].startswith((*process_group.REASONS, command.WROTE)):
        raise NotRun(failed[0])
    if failed:
        return [Check("contract", name, False, failed[0], seconds)]
    logged = [(recorder.episodes, recorder.evaluations) for recorder in recorders]
    counts = len(recorders[0].episodes), len(recorders[0].evaluations)
    detail = f"{brief.budget:,} steps, {counts[0]} episodes in training and {counts[1]} in evaluations"
    unseeded = [[{**row, "seed": 0} for part in one for row in part] for one in logged]
    other = duplicates({0: unseeded[0], 1: unseeded[2]})
    same = logged[0] == logged[1]
    return [
        Check("contract", name, True, detail, seconds),
        Check(
            "contract", "the same seed gives the same run", same, "" if same else _difference(unseeded[:2])
        ),
        Check("contract", "another seed gives another run", not other, other),
    ]


def budget(cell: Cell) -> int:
    """Environment steps of a short run: two of the longest episodes in every sub-environment, within limits.

    One of them always fits, because a run without a return fails. Atari is the exception: its episodes hardly
    ever reach their time limit.
    """
    environment = metadata.probe(cell.environment)
    episode = (environment.time_limit or 0) * cell.n_envs
    most = MOST if environment.image is not None else max(MOST, episode)
    return min(cell.budget, max(LEAST, min(2 * episode, most)))


def _run(cell: Cell, folder: Path) -> Recorder:
    recorder = Recorder(cell)
    command.run(cell, folder, recorder)
    return recorder


def _difference(runs: list[list[dict[str, Any]]]) -> str:
    a, b = runs
    for i, (one, other) in enumerate(zip(a, b, strict=False)):
        if one != other:
            return f"return {i + 1} is {measured(one):g} and {measured(other):g}"
    return f"{len(a)} returns and {len(b)}"
