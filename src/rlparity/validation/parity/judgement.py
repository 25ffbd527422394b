"""Judgement of differences: tolerances, rows of the table, and the first tensor beyond its tolerance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rlparity.validation.parity.recording.rounding_floor import SLACK
from rlparity.validation.parity.recording.trace import KINDS, Difference, largest

TOLERANCES = {"float64": 1e-12, "float32": 1e-4}
BESIDE_ITSELF = ": SB3 beside itself"  # suffix of the configuration in rows of the rounding floor


class Row(NamedTuple):
    """A line of parity.csv: the largest difference of one kind of quantity within the first updates."""

    algorithm: str
    configuration: str
    dtype: str
    updates: int
    quantity: str  # of trace.KINDS
    max_relative_difference: float
    tolerance: float
    passed: bool


class Finding(NamedTuple):
    """The result of the comparison of one configuration."""

    rows: Sequence[Row]
    first: Difference | None = None  # the first beyond its tolerance
    floor: Sequence[Row] = ()  # differences of SB3 from itself, where these give the tolerance

    @property
    def passed(self) -> bool:
        """Whether anything was compared and nothing is beyond its tolerance."""
        return bool(self.rows) and self.first is None

    def __str__(self) -> str:
        if self.first is not None:
            return f"first difference: {self.first}"
        last = max((row.updates for row in self.rows), default=0)
        own = (row for row in self.rows if row.updates == last)
        sizes = (f"{row.quantity} {row.max_relative_difference:.0e}" for row in own)
        return f"within {last} updates: {', '.join(sizes) or 'nothing to compare'}"


class Tolerance:
    """The tolerance within a number of updates: that of the precision, or a multiple of SB3's difference from
    itself with its sums in another order."""

    def __init__(self, tolerance: float, updates: Sequence[int], beside: Iterable[Difference] = ()):
        self._least, self._updates = tolerance, sorted(updates)
        # samples are in another order, too, so that targets of single samples cannot be compared
        self.measured = [found for found in beside if found.kind != "targets"]
        self._sizes = {(kind, n): self._size(kind, n) for kind in KINDS for n in updates}

    def _size(self, kind: str, within: int) -> float:
        kinds = KINDS[1:] if kind == "targets" else (kind,)
        found = (largest(self.measured, each, within) for each in kinds)
        return max((each.size for each in found if each is not None), default=0.0)

    def __call__(self, kind: str, update: int) -> float:
        """The tolerance for a kind of quantity in that update."""
        within = next((n for n in self._updates if n >= update), self._updates[-1])
        return max(self._least, SLACK * self._sizes[kind, within])


def judge(
    compared: tuple[str, str, str],
    differences: Sequence[Difference],
    allowed: Tolerance,
    updates: Sequence[int],
) -> Finding:
    """Differences as rows of (algorithm, configuration, dtype), and the first beyond its tolerance."""
    rows = [
        Row(*compared, n, kind, found.size, allowed(kind, n), found.size <= allowed(kind, n))
        for n, kind, found in _largest(differences, updates)
    ]
    algorithm, configuration, dtype = compared
    floor = [
        Row(algorithm, configuration + BESIDE_ITSELF, dtype, n, kind, found.size, math.inf, True)
        for n, kind, found in _largest(allowed.measured, updates)
    ]
    # stable: within an update in the order of computation, which parameters end
    in_order = sorted(differences, key=lambda found: (found.update, found.kind in KINDS[3:]))
    beyond = (found for found in in_order if not found.size <= allowed(found.kind, found.update))
    return Finding(rows, next(beyond, None), floor)


def _largest(differences: Sequence[Difference], updates: Sequence[int]) -> list[tuple[int, str, Difference]]:
    found = ((n, kind, largest(differences, kind, n)) for n in updates for kind in KINDS)
    return [(n, kind, each) for n, kind, each in found if each is not None]
