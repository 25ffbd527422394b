"""Environment steps of episodes whose log has lengths and times alone, of several sub-environments in one
file."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST = 3000  # rows for which it is tried
WIDTH = 24  # ways that are kept from row to row
PASSES = 4  # over the rows, each with the steps per second of the last one
QUICK = 0.25  # of the usual time for a step: an episode so quick was under way with others
OVERLAP = 0.05  # of the rows, at least, must be so quick
EXACT = 0.01  # squared steps of a row, that are no difference
CLOSE = 0.1  # of the mean distance of two rows, that distances may be off, root mean square


def of_sub_environments(length: Floats, time: Floats, n: int, time_limit: int | None) -> Floats | None:
    """The environment step at which each episode ended, (rows,), if n sub-environments that step together
    have ended episodes of these lengths, in this order, at these times; None if they cannot have.

    Each begins an episode where its last one ended. Of the ways to say whose episode a row is, the one whose
    steps are closest to a constant number per second is taken.
    """
    if n < 2 or not n <= len(length) <= MOST or not _overlap(length, time):
        return None
    return _ends(length.tobytes(), time.tobytes(), n, time_limit)


def _overlap(length: Floats, time: Floats) -> bool:
    """Whether episodes were under way at the same time: some rows follow too soon after the row above."""
    pace = np.diff(time, prepend=0.0) / length
    usual = float(np.median(pace))
    return usual > 0 and bool((pace < QUICK * usual).mean() >= OVERLAP)


@functools.lru_cache(maxsize=256)
def _ends(lengths: bytes, times: bytes, n: int, time_limit: int | None) -> Floats | None:
    length, time = np.frombuffer(lengths), np.frombuffer(times)
    rate = (length.sum() / n + float(np.median(length[-2 * n :])) / 2) / time[-1]
    best: _Way | None = None
    for _ in range(PASSES):
        found = _assign(length, rate * np.diff(time, prepend=0.0), n, time_limit)
        if found is None:
            break
        if best is not None and found.cost >= best.cost:
            break
        best = found
        if found.cost < EXACT * len(length):
            break
        rate = float(found.ends @ time / (time @ time))
    if best is None or best.cost > CLOSE**2 * len(length) * float(best.ends[-1] / len(length)) ** 2:
        return None
    return best.ends * n


class _Way(NamedTuple):
    ends: Floats  # (rows,) steps of each sub-environment
    cost: float


def _assign(length: Floats, apart: Floats, n: int, time_limit: int | None) -> _Way | None:
    """Steps of each sub-environment at which episodes ended, (rows,), as far from each other as `apart` says;
    a beam search over whose episode each row is."""
    begun, now, cost = np.zeros((1, n)), np.zeros(1), np.zeros(1)  # of each way: episodes under way, last end
    chosen: list[tuple[NDArray[np.intp], Floats]] = []
    for steps, distance in zip(length, apart, strict=True):
        ends = begun + steps
        costs = cost[:, None] + (ends - now[:, None] - distance) ** 2
        impossible = ends < now[:, None]
        if time_limit is not None:
            others = np.where(begun == begun[:, :1], begun[:, 1:2], begun[:, :1])  # `begun` is sorted
            impossible |= ends - others > time_limit
        costs[impossible] = np.inf
        order = np.argsort(costs, axis=None, kind="stable")[: 3 * WIDTH]
        order = order[np.isfinite(costs.flat[order])]
        if not len(order):
            return None
        way, whose = np.divmod(order, n)
        after = begun[way]
        after[np.arange(len(way)), whose] = ends[way, whose]
        after.sort(axis=1)
        key = np.column_stack([after, ends[way, whose]])
        kept = np.sort(np.unique(key, axis=0, return_index=True)[1])[:WIDTH]
        chosen.append((way[kept], ends[way, whose][kept]))
        begun, now, cost = after[kept], ends[way, whose][kept], costs.flat[order[kept]]
    last = int(cost.argmin())
    found, total = np.empty(len(length)), float(cost[last])
    for i in range(len(length) - 1, -1, -1):
        ways, ended = chosen[i]
        found[i] = ended[last]
        last = int(ways[last])
    return _Way(found, total)
