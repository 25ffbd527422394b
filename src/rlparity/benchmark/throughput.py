"""Measure throughput, the reference and ours in alternation: one core, one thread, one configuration.

A whole run without evaluation is timed: making environments, stepping, learning, writing records. Every run
has its own process, whose start and imports are not timed. A round runs the reference, then ours with each
number of seeds, then what else is measured beside them; every second round all but the reference in the
opposite order, since a run's place in a round has an effect of its own. Ratios are taken within a round, so
that a machine whose speed drifts does not bias them. Each row has the reference's rate of its own rounds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rlparity import arms
from rlparity.arms import OURS
from rlparity.benchmark import table
from rlparity.benchmark.plan import TUNED, cells
from rlparity.benchmark.table import Measured
from rlparity.cell import Cell
from rlparity.errors import UserError

CHILD = "import pyarrow.parquet, runpy; runpy.run_module('rlparity', run_name='__main__', alter_sys=True)"
ONCE = 20  # blocks of this many seeds or more are measured in the first round only
Row = dict[str, Any]  # of throughput.csv
Keep = Callable[[Row], object]


class Other(NamedTuple):
    """What is measured beside ours: its cells, given ours, and what runs one of them."""

    cells: Callable[[Sequence[Cell]], Sequence[Cell]]
    run: Callable[[Cell], Measured]


def measure(
    algorithms: Sequence[str],
    environment: str,
    sizes: Sequence[int],
    rounds: int,
    settings: str = TUNED,
    device: str = "cpu",
    others: Mapping[str, Other] | None = None,
    budget: int | None = None,
    keep: Keep | None = None,
) -> list[Row]:
    """Rows of throughput.csv. Algorithms that share a reference are measured beside the same runs of it.

    `keep` is given the row of a cell after each of its measurements. `budget`: environment steps per seed,
    where they are not those of `plan`.
    """
    others, alternations = others or {}, list[list[Cell]]()
    for algorithm in dict.fromkeys(algorithms):
        reference, *ours = cells(algorithm, environment, sizes, settings, device, budget)
        beside = [cell for other in others.values() for cell in other.cells(ours)]
        shared = next((one for one in alternations if one[0] == reference), None)
        if shared is None:
            alternations.append([reference, *ours, *beside])
        else:
            shared += [*ours, *beside]
    runs = {name: other.run for name, other in others.items()}

    def kept(row: Row) -> None:
        if keep is not None:
            keep({**row, "settings": settings})

    rows = [row for one in alternations for row in compare(one, rounds, runs, kept)]
    return [{**row, "settings": settings} for row in rows]


def compare(
    plan: Sequence[Cell],
    rounds: int,
    runs: Mapping[str, Callable[[Cell], Measured]] | None = None,
    keep: Keep = lambda row: None,
) -> list[Row]:
    """Rows of throughput.csv for one alternation: the reference `plan[0]`, then ours, then others.

    A row's ratios, and its rate of the reference, are those of the rounds in which its cell was run. `runs`
    has what runs a cell, by implementation, where that is not `_child`. `keep`: as of `measure`.
    """
    rows: list[Row] = [{} for _ in plan]
    measured: list[list[Measured]] = [[] for _ in plan]
    for turn in range(rounds):
        others = range(1, len(plan))
        for i in (0, *(reversed(others) if turn % 2 else others)):
            cell = plan[i]
            if turn and len(cell.seeds) >= ONCE:
                continue
            result = (runs or {}).get(cell.implementation, _child)(cell)
            measured[i].append(result)
            _report(cell, turn, result, measured[0][turn])
            rows[i] = table.row(cell, measured[i], measured[0][: len(measured[i])])
            keep(rows[i])
    return rows


def _child(cell: Cell, sources: Path | None = None) -> Measured:
    """Time a run in a process of its own, by the sources of this process or those in a folder."""
    command = [sys.executable, "-c", CHILD, "bench", "--child", cell.to_json()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if sources is not None:
        environment["PYTHONPATH"] = str(sources)
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise UserError(
            f"bench: {cell.implementation}/{cell.algorithm} stopped: {done.stderr.strip()[-300:]}"
        )
    for line in done.stderr.splitlines():
        if line.startswith("note"):  # such as that updates could not be recorded as CUDA graphs
            print(line, file=sys.stderr)
    result: Measured = json.loads(done.stdout.splitlines()[-1])
    return result


def checkout(folder: Path) -> tuple[str, Other]:
    """Our own agents of another commit, checked out in `folder`: their name in the table, and how they run.

    Raises UserError where the folder is no checkout of this project.
    """
    sources = folder.resolve() / "src"
    asked = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    done = subprocess.run(asked, capture_output=True, text=True)
    if done.returncode or not (sources / "rlparity").is_dir():
        raise UserError(f"bench: --beside {folder}; a checkout of this project, see git worktree add")
    commit = done.stdout.strip()
    name = arms.at(commit[:7])

    def run(cell: Cell) -> Measured:
        return {"commit": commit, **_child(replace(cell, implementation=OURS), sources)}

    return name, Other(partial(_renamed, name), run)


def _renamed(name: str, ours: Sequence[Cell]) -> list[Cell]:
    return [replace(cell, implementation=name) for cell in ours]


def _report(cell: Cell, turn: int, result: Measured, reference: Measured) -> None:
    who = f"{cell.environment} {cell.implementation}/{cell.algorithm}, {len(cell.seeds)} seeds"
    rate = result["steps_per_second"]
    ratio = rate / reference["steps_per_second"]
    print(f"round {turn + 1}  {who}: {rate:,.0f} steps/s, {ratio:.2f} of the reference", file=sys.stderr)
