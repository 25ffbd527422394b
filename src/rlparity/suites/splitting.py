"""A suite's key `split`: into how many cells each block of our own agents is divided.

A seed has the same rows in any block, so that the split decides only how many processes train, and how cells
are named.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from rlparity.suites import yaml_reader
from rlparity.suites.environments import Block

AUTO = "auto"  # chosen for the cores at hand, see `costs.splits`


def parts(block: Block, n: int) -> tuple[Block, ...]:
    """A block as `n` blocks of consecutive seeds, at most one for each seed.

    Their sizes differ by one at most, the larger ones first.
    """
    n = min(n, len(block))
    size, larger = divmod(len(block), n)
    ends = [k * size + min(k, larger) for k in range(n + 1)]
    return tuple(block[first:last] for first, last in pairwise(ends))


def problem(value: Any, where: str) -> list[str]:
    """A line if this is no split."""
    if value == AUTO or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return []
    return [f"{where}: expected {AUTO} or a whole number from 1, got {yaml_reader.short(repr(value))}"]
