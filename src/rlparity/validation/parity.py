"""Update parity: identical weights, batches and random draws into Stable-Baselines3's own `train` and into an
implementation's `update`; then targets, losses, gradients and parameters side by side.

A difference is max |a - b| / max |b| of a tensor, absolute where it starts as zeros, and the first tensor that
differs, in the order of computation, tells where to look: with equal targets and another loss, it is the loss.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from rlparity import records
from rlparity.validation import parity_cases, parity_minibatches, parity_rollouts
from rlparity.validation.checks import Check, timed
from rlparity.validation.parity_cases import Case
from rlparity.validation.parity_floor import SLACK, Beside
from rlparity.validation.parity_handed import ON_POLICY, Recording
from rlparity.validation.parity_trace import KINDS, Difference, Trace, compare, largest
from rlparity.validation.twins import Twins, precision

UPDATES = (1, 10, 100)
TOLERANCES = {"float64": 1e-12, "float32": 1e-4}


class Row(NamedTuple):
    """A line of parity.csv: the largest difference of one kind of quantity within the first updates."""

    algorithm: str
    configuration: str
    dtype: str
    updates: int
    quantity: str  # of parity_trace.KINDS
    max_relative_difference: float
    tolerance: float
    passed: bool


class Finding(NamedTuple):
    """What the comparison of one configuration found."""

    rows: list[Row]
    first: Difference | None  # that is beyond the tolerance

    @property
    def passed(self) -> bool:
        """Whether nothing is."""
        return self.first is None

    def __str__(self) -> str:
        if self.first is not None:
            return f"first difference: {self.first}"
        last = max(row.updates for row in self.rows)
        sizes = (
            f"{row.quantity} {row.max_relative_difference:.0e}" for row in self.rows if row.updates == last
        )
        return f"within {last} updates: {', '.join(sizes)}"


def compare_case(case: Case, dtype: str, updates: Sequence[int] = UPDATES) -> Finding:
    """Our agent beside SB3 in one configuration; `dtype` is a key of TOLERANCES."""
    twins = case.twins(getattr(torch, dtype))
    beside = Beside(case.twins(twins.dtype), twins) if case.amplified else None
    recording = record(case, twins, max(updates), beside)
    trace, room = Trace(), parity_rollouts if case.algorithm in ON_POLICY else parity_minibatches
    room.replay(twins, recording, trace)
    found = list(compare(trace, recording.trace, twins.from_zero, max(updates)))
    floor = Floor(TOLERANCES[dtype], updates)
    if beside:
        floor.measure(list(compare(beside.trace, recording.trace, twins.from_zero, max(updates))))
    return judge(case, dtype, updates, found, floor)


def record(case: Case, twins: Twins, updates: int, beside: Beside | None = None) -> Recording:
    """SB3's side: real rollouts or random minibatches, and all that it computes of them."""
    recording = Recording({name: value.detach().clone() for name, value in twins.theirs().items()})
    with precision(twins.dtype), case.patched(twins):
        if case.algorithm in ON_POLICY:
            parity_rollouts.record(twins, recording, updates, beside)
        else:
            parity_minibatches.record(twins, recording, updates)
    return recording


class Floor:
    """Tolerances within so many updates: what the precision allows, or what SB3's distance from itself does."""

    def __init__(self, tolerance: float, updates: Sequence[int]):
        self._tolerance, self._updates = tolerance, sorted(updates)
        self._measured: list[Difference] = []

    def measure(self, differences: Iterable[Difference]) -> None:
        """Take over how far SB3 is from itself; its samples are in another order, so that targets do not count."""
        self._measured = [found for found in differences if found.kind != "targets"]

    def __call__(self, kind: str, update: int) -> float:
        """The tolerance for a kind of quantity in that update."""
        within = next((n for n in self._updates if n >= update), update)
        kinds = KINDS[1:] if kind == "targets" else (kind,)
        sizes = [found.size for each in kinds if (found := largest(self._measured, each, within))]
        return max(self._tolerance, SLACK * max(sizes, default=0.0))


def judge(
    case: Case, dtype: str, updates: Sequence[int], differences: Sequence[Difference], tolerance: Floor
) -> Finding:
    """Differences as rows of the table, and the first that is beyond the tolerance."""
    rows = []
    for n in updates:
        for kind in KINDS:
            if (found := largest(differences, kind, n)) is not None:
                allowed = tolerance(kind, n)
                row = (case.algorithm, case.name, dtype, n, kind, found.size, allowed, found.size <= allowed)
                rows.append(Row(*row))
    in_order = sorted(differences, key=lambda found: found.update)  # stable: the order of computation
    beyond = (found for found in in_order if not found.size <= tolerance(found.kind, found.update))
    return Finding(rows, next(beyond, None))


def check(
    algorithm: str, case: str | None = None, dtype: str = "float64", updates: Sequence[int] = UPDATES
) -> list[Check]:
    """Our agent beside SB3 in all configurations, or the one named `case`. UserError for an unknown name."""
    return [check for _, check in findings([algorithm], [dtype], case, updates)]


def findings(
    algorithms: Sequence[str],
    dtypes: Sequence[str] = ("float64",),
    case: str | None = None,
    updates: Sequence[int] = UPDATES,
) -> Iterator[tuple[list[Row], Check]]:
    """Rows of the table and the line on the terminal, configuration by configuration."""
    cases = [each for algorithm in algorithms for each in parity_cases.of(algorithm, case)]
    for each in cases:
        for dtype in dtypes:
            rows: list[Row] = []

            def look(each: Case = each, dtype: str = dtype, rows: list[Row] = rows) -> tuple[bool, str]:
                found = compare_case(each, dtype, updates)
                rows += found.rows
                return found.passed, str(found)

            yield rows, timed("parity", f"{each} ({dtype})", look)


def write(path: Path, rows: Iterable[Row]) -> None:
    """parity.csv, whole or not at all."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(Row._fields)
    writer.writerows([*row[:5], f"{row[5]:.3g}", f"{row[6]:.3g}", row[7]] for row in rows)
    records.write_bytes(path, sink.getvalue().encode())
