"""Forecast of a suite before it is run: jobs, hours, memory, storage, time to plan."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from io import StringIO
from itertools import pairwise
from math import prod
from pathlib import Path
from statistics import median
from typing import Any

from rlparity import project_files
from rlparity.cell import Cell
from rlparity.environments.metadata import EnvironmentInfo
from rlparity.registry import is_small
from rlparity.suites import growth, memory_needs
from rlparity.suites.costs import cost, splits
from rlparity.suites.costs.speeds import BASES, Speeds, positive
from rlparity.suites.suite import Suite

DAG = Path("benchmark", "dag.csv")
NETWORKS = {"random": 0, "ddpg": 4, "td3": 6, "sac": 5}  # as saved, targets included; else two
CONVOLUTIONS = 1_690_000  # parameters of the Nature network
SMALL_CONVOLUTIONS = 133_000  # ... of that for small images
RECORDS_BYTES = 60_000  # of a seed: episodes, evaluations, progress, run.json
PLANNING_S = (1.0, 0.0014)  # Snakemake's dry run: start-up, and each cell


def lines(
    suite: Suite, waiting: Collection[Cell], reports: Path, cores: int = 1, words: str = ""
) -> Iterator[str]:
    """The forecast of a suite; the cells of `waiting` are still to be trained.

    `words` is how the suite was named, for the command that divides its blocks for this number of cores.
    """
    rates, infos = Speeds(reports), {name: each.info for name, each in suite.environments.items()}
    trained = len(suite.cells) - len(waiting)
    yield f"suite {suite.name}: {suite.title}"
    left = _left(waiting) + _live(suite, waiting)
    yield _row("cells", f"{len(suite.cells):,}, {trained:,} of them trained or shipped, {left}")
    yield _row("jobs", _jobs(waiting))
    steps = sum(cell.budget * len(cell.seeds) for cell in waiting if cell.kind != "logs")
    yield _row("steps", f"{steps:,} environment steps")
    for device, unit in (("cpu", "core-hours"), ("cuda", "GPU-hours")):
        own = [cell for cell in waiting if cell.device == device]
        hours = sum(cost.seconds(cell, rates) for cell in own) / 3600
        yield _row(unit, f"{hours:,.1f}{_bases(own, rates)}")
    if suite.growth:
        yield _row("looks", _looks(suite, waiting, rates))
    yield _row("memory", _memory(waiting, infos))
    yield _row("storage", _storage(waiting, infos))
    yield _row("planning", _planning(len(suite.cells), reports))
    yield from (_row("split", text) for text in splits.describe(suite, waiting, cores, rates, words))
    if suite.device == "auto":
        here = " or ".join(sorted({cell.device for cell in suite.cells}))
        yield _row("device", f"auto is {here} here; for a cluster write cpu or cuda, or --config device=cuda")
    yield from _table(waiting, rates)


def facts(suite: Suite, waiting: Collection[Cell], reports: Path) -> dict[str, Any]:
    """The numbers of `lines` as plain data, for `rlparity plan --json`."""
    rates, infos = Speeds(reports), {name: each.info for name, each in suite.environments.items()}
    hours = {
        device: sum(cost.seconds(cell, rates) for cell in waiting if cell.device == device) / 3600
        for device in ("cpu", "cuda")
    }
    needed = [memory_needs.needed_mib(cell, infos[cell.environment]) for cell in waiting]
    return {
        "suite": suite.name,
        "cells": len(suite.cells),
        "to_train": len(waiting),
        "steps": sum(cell.budget * len(cell.seeds) for cell in waiting if cell.kind != "logs"),
        "core_hours": hours["cpu"],
        "gpu_hours": hours["cuda"],
        "largest_cell_mib": max(needed, default=0),
        "machine_mib": memory_needs.machine_bytes() // 2**20,
        "storage_bytes": storage_bytes(waiting, infos),
        "arms": [
            {"arm": arm, "cells": len(each), "hours": sum(each), "longest_cell_hours": max(each)}
            for arm, each in _hours(waiting, rates).items()
        ],
    }


def _row(name: str, text: str) -> str:
    return f"  {name:<11} {text}"


def _left(cells: Collection[Cell]) -> str:
    """The number of cells to be trained, and of those whose logs are only read."""
    logs = sum(cell.kind == "logs" for cell in cells)
    return f"{len(cells) - logs:,} to train" + (f", {logs:,} of logs to read" if logs else "")


def _live(suite: Suite, cells: Collection[Cell]) -> str:
    """How many of them are seeds of shipped references that are trained again as a check."""
    count = sum(map(suite.restored, cells))
    return f" ({count:,} of them to confirm shipped references)" if count else ""


def _looks(suite: Suite, waiting: Collection[Cell], rates: Speeds) -> str:
    """What the first look of a suite whose seeds grow needs of that."""
    assert suite.growth is not None
    first = {str(cell.folder) for cell in growth.at(suite, 1)}
    own = [cell for cell in waiting if str(cell.folder) in first]
    hours, most = sum(cost.seconds(cell, rates) for cell in own) / 3600, len(suite.growth.seeds)
    return (
        f"{most:,} at most, until pairs are decided; numbers here are of all of them, the first look needs "
        f"{len(own):,} of the {len(waiting):,} cells and {hours:,.1f} hours"
    )


def _jobs(cells: Collection[Cell]) -> str:
    """The number of jobs, by the seeds that each trains."""
    sizes = Counter(len(cell.seeds) for cell in cells)
    parts = (f"{n:,} of {size} seed{'s' * (size > 1)}" for size, n in sorted(sizes.items(), reverse=True))
    return ", ".join(parts) or "none"


def _bases(cells: Collection[Cell], rates: Speeds) -> str:
    """The bases of the cells' rates, with the number of cells of each."""
    found = Counter(rates.of(cell).basis for cell in cells)
    words = {
        "measured": "by rlparity bench",
        "trained": "by runs in the reports",
        "similar": "of the same agent in similar environments",
        "assumed": "assumed, nothing similar was measured",
    }
    parts = [f"{found[basis]:,} {words[basis]}" for basis in BASES if found[basis]]
    return f" (rates of cells: {'; '.join(parts)})" if parts else ""


def _memory(cells: Collection[Cell], infos: Mapping[str, EnvironmentInfo]) -> str:
    if not cells:
        return "none"
    sized = [(memory_needs.needed_mib(cell, infos[cell.environment]), cell) for cell in cells]
    most, largest = max(sized, key=lambda pair: pair[0])
    here = memory_needs.machine_bytes() / 2**30
    which = f"{largest.implementation}/{largest.algorithm} in {largest.environment}, {largest.block}"
    middle = median(mib for mib, _ in sized) / 1024
    known = f"{middle:,.1f} GiB for the median; this machine has {here:,.1f}"
    return f"{most / 1024:,.1f} GiB for the largest cell ({which}), {known}"


def storage_bytes(cells: Collection[Cell], infos: Mapping[str, EnvironmentInfo]) -> int:
    """Bytes of the records and policies of these cells, and of the largest replay memory in a checkpoint."""
    largest = max((memory_needs.checkpoint_bytes(cell, infos[cell.environment]) for cell in cells), default=0)
    return _kept_bytes(cells, infos) + largest


def _kept_bytes(cells: Collection[Cell], infos: Mapping[str, EnvironmentInfo]) -> int:
    return sum(RECORDS_BYTES * len(cell.seeds) + _policies(cell, infos[cell.environment]) for cell in cells)


def _storage(cells: Collection[Cell], infos: Mapping[str, EnvironmentInfo]) -> str:
    kept = _kept_bytes(cells, infos)
    under_way = [memory_needs.checkpoint_bytes(cell, infos[cell.environment]) for cell in cells]
    return (
        f"{kept / 2**30:,.1f} GiB of records and policies; while a cell with checkpoints trains, its replay "
        f"memory is on the disk as well: {max(under_way, default=0) / 2**30:,.1f} GiB for the largest, "
        f"{sum(under_way) / 2**30:,.1f} GiB if all were under way at once"
    )


def _policies(cell: Cell, info: EnvironmentInfo) -> int:
    """Bytes of the first, the middle and the last policy: the last of all seeds, the others of one."""
    return 4 * _parameters(cell, info) * (2 + len(cell.seeds))


def _parameters(cell: Cell, info: EnvironmentInfo) -> int:
    networks = NETWORKS.get(cell.agent, 2)
    if info.image is not None:
        size = SMALL_CONVOLUTIONS if is_small(info.image) else CONVOLUTIONS
        return size * min(networks, 1)
    hidden = memory_needs.value(cell, "net_arch") or (64, 64)
    sizes = [info.observation_size, *(hidden if isinstance(hidden, list | tuple) else (64, 64)), 1]
    return networks * sum(prod(pair) for pair in pairwise(sizes))


def _planning(cells: int, reports: Path) -> str:
    """Time until Snakemake's first job starts, from the nearest number of cells that was measured."""
    measured: dict[int, float] = {}
    for folder in reversed(project_files.reports(reports)):
        with suppress(OSError, ValueError, csv.Error):
            for row in csv.DictReader(StringIO((folder / DAG).read_text(encoding="utf-8"))):
                with suppress(KeyError, ValueError, TypeError):  # a row that was cut short
                    measured[positive(row["cells"], int)] = positive(row["seconds"], float)
    if not measured:
        start, each = PLANNING_S
        return f"about {start + each * cells:,.0f} s for Snakemake's graph (assumed)"
    nearest = min(measured, key=lambda size: abs(size - cells))
    seconds = measured[nearest] * max(cells / nearest, 0.1)
    known = f"{measured[nearest]:.1f} s measured with {nearest:,} cells"
    return f"about {seconds:,.0f} s for Snakemake's graph ({known})"


def _table(cells: Collection[Cell], rates: Speeds) -> Iterator[str]:
    """Hours by arm."""
    hours = _hours(cells, rates)
    if hours:
        yield f"  {'arm':<32} {'cells':>7} {'hours':>11} {'longest cell':>13}"
    for arm, each in hours.items():
        yield f"  {arm:<32} {len(each):>7,} {sum(each):>11,.1f} {max(each):>11,.1f} h"


def _hours(cells: Collection[Cell], rates: Speeds) -> dict[str, list[float]]:
    """Hours of the cells of each arm, the arm that takes longest first."""
    hours: dict[str, list[float]] = defaultdict(list)
    for cell in cells:
        hours[f"{cell.implementation}/{cell.algorithm}"].append(cost.seconds(cell, rates) / 3600)
    return dict(sorted(hours.items(), key=lambda item: -sum(item[1])))
