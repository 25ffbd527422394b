"""Whether a suite fits the machine that plans it: its largest cell the memory, its files the disk."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path

from rlparity.cell import Cell
from rlparity.environments.metadata import EnvironmentInfo
from rlparity.suites import memory_needs
from rlparity.suites.costs import forecast


def problems(cells: Collection[Cell], infos: Mapping[str, EnvironmentInfo], results: Path) -> list[str]:
    """A line for everything that does not fit here, of cells that are still to be trained; empty if all does.

    A replay memory that exceeds the machine's is refused by `rlparity run`.
    """
    if not cells:
        return []
    found = []
    refused = [line for cell in cells for line in memory_needs.bad_memory(cell, infos[cell.environment])]
    needed = max(memory_needs.needed_mib(cell, infos[cell.environment]) for cell in cells)
    there = memory_needs.machine_bytes() // 2**20
    if refused:
        found.append(f"rlparity run refuses it here: {refused[0]}")
    elif needed > there:
        found.append(
            f"the largest cell needs {needed / 1024:,.1f} GiB of memory, of {there / 1024:,.1f} here"
        )
    bytes_ = forecast.storage_bytes(cells, infos)
    free = free_bytes(results)
    if bytes_ > free:
        found.append(f"{bytes_ / 2**30:,.1f} GiB of files, of {free / 2**30:,.1f} free at {results}")
    return found


def free_bytes(folder: Path) -> int:
    """Free space where a folder is, or would be made."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
