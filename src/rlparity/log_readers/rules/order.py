"""Rows in order: of one run, of one that was resumed, whose abandoned rows are dropped, or of several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlparity.log_readers.series import EVALUATION, Refused, Series

FALSE_START = 0.05  # of the budget: a longer beginning that was begun anew is a run of its own
JITTER = 0.01  # of the budget: rows so far out of order are no restart
FRESH = 0.005  # of the budget: a run that begins anew has its first row within it
PIECES = 0.1  # of the rows, at most, may begin a piece of a run; more are rows in no order
SHOWN = 3
FALSE, ABANDONED = "of a false start", "that were abandoned when it was resumed"  # rows that are dropped


class Scale(NamedTuple):
    """What is near and what is far in a run."""

    budget: int  # environment steps
    n_envs: int
    time_limit: int | None  # steps

    @property
    def jitter(self) -> float:
        """How far rows may be out of order: by an episode in every sub-environment."""
        return max(JITTER * self.budget, min(self.n_envs * (self.time_limit or 0), 0.2 * self.budget))


def join(parts: Sequence[Series], scale: Scale) -> Series:
    """Make one run of the series of several files. Raises Refused if they are of several."""
    if len(parts) == 1:
        return parts[0]
    names = _names(parts)
    timed = all(np.isfinite(part.when) for part in parts)
    ordered = sorted(parts, key=lambda one: (one.when if timed else 0.0, one.env_step[0], one.source))
    if timed and any(a.until > b.when for a, b in pairwise(ordered)):
        raise Refused(f"several runs: {names} were written at the same time; name one with `files`")
    if not timed and (together := _side_by_side(parts)) is not None:
        return together
    whole = ordered[0]
    gone = {FALSE: 0, ABANDONED: 0}
    for part in ordered[1:]:
        first = float(part.env_step.min())
        cut = part.begins if np.isfinite(part.begins) else first
        reached = float(whole.env_step.max())
        fresh = not np.isfinite(part.begins) and _fresh(part, 0, whole, scale)
        if cut <= reached and part.env_step.max() < reached and not timed:
            raise Refused(
                f"several runs: {names} have rows of the same steps, and no times of which came later; "
                "name one with `files`"
            )
        if fresh and reached > FALSE_START * scale.budget:
            raise Refused(
                f"several runs: {names}: {part.files[0].name if part.files else part.source} begins anew, "
                f"after {reached:,.0f} steps in a file before; name one with `files`"
            )
        kept = np.zeros(len(whole.env_step), dtype=bool) if fresh else whole.env_step < cut
        gone[FALSE if fresh else ABANDONED] += int((~kept).sum())
        whole = _appended(whole.take(kept), part)
    notes = [f"{len(parts)} files, one after the other, read as one run that was resumed"]
    notes += [f"{n} rows {which} dropped" for which, n in gone.items() if n]
    return whole.noted(*notes)


def _names(parts: Sequence[Series]) -> str:
    files = list(dict.fromkeys(str(file) for part in parts for file in part.files))
    return ", ".join(files[:SHOWN]) + (f" and {len(files) - SHOWN} more" if len(files) > SHOWN else "")


def _appended(one: Series, other: Series) -> Series:
    count = len(one.files) + len(other.files)
    notes = tuple(dict.fromkeys((*one.notes, *other.notes)))
    environment = one.environment if one.environment is not None else other.environment
    source = one.source if one.source == other.source else f"{one.files[0].parent} ({count} files)"
    return one._replace(
        env_step=np.concatenate([one.env_step, other.env_step]),
        episode_return=np.concatenate([one.episode_return, other.episode_return]),
        episode_length=np.concatenate([one.episode_length, other.episode_length]),
        notes=notes,
        environment=environment,
        files=(*one.files, *other.files),
        source=source,
        until=other.until,
    )


def _side_by_side(parts: Sequence[Series]) -> Series | None:
    """One run whose sub-environments have a file each, by one clock: numbered names, times that overlap, and
    lengths of episodes that add up to the steps; None if it is not that."""
    names = [part.files[0].stem for part in parts if len(part.files) == 1]
    patterns = {re.sub(r"\d+", "#", name) for name in names}
    if len(names) < len(parts) or len(patterns) != 1 or "#" not in min(patterns):
        return None
    if not all(part.episode_length.all() for part in parts):
        return None
    reached = max(part.env_step.max() for part in parts)
    total = sum(part.episode_length.sum() for part in parts)
    if not 0.9 * reached <= total <= 1.02 * reached:
        return None
    whole = parts[0]
    for part in parts[1:]:
        whole = _appended(whole, part)
    order = np.argsort(whole.env_step, kind="stable")
    note = f"{len(parts)} files of sub-environments side by side, by their names, steps and lengths"
    return whole.take(order).noted(note)._replace(n_envs=len(parts))


def sort(series: Series, scale: Scale) -> Series:
    """Sort the rows of a file by environment step, and drop those that a resumed run abandoned. Raises
    Refused if the steps show several runs."""
    step = series.env_step
    decreases = np.flatnonzero(np.diff(step) < 0) + 1
    if not len(decreases):
        return series
    highest = np.maximum.accumulate(step)
    deep = highest[decreases - 1] - step[decreases] > scale.jitter
    falls = [
        int(i)
        for i, far in zip(decreases, deep, strict=True)
        if far or series.measure == EVALUATION or _begins_anew(series, int(i))
    ]
    if falls and _are_pieces(step, falls):
        series = _without_abandoned(series, falls, scale)
        step = series.env_step
        decreases = np.flatnonzero(np.diff(step) < 0) + 1
    if not len(decreases):
        return series
    note = f"{len(decreases)} rows were not in the order of environment steps; sorted"
    return series.take(np.argsort(step, kind="stable")).noted(note)


def _begins_anew(series: Series, i: int) -> bool:
    """Whether a short first piece is followed by a whole run: steps fall to the very first of a run."""
    before, after = series.env_step[:i], series.env_step[i:]
    return bool(after[0] <= before[0] and len(after) > 3 * i and (np.diff(before) >= 0).all())


def _are_pieces(step: NDArray[np.float64], falls: Sequence[int]) -> bool:
    """Whether the rows between falls are pieces of runs: steps hardly ever decrease in them."""
    pieces = np.split(step, falls)
    decreases = sum(int((np.diff(piece) < 0).sum()) for piece in pieces)
    if not decreases and min(map(len, pieces)) > 1:
        return True
    return decreases <= PIECES * len(step) and len(falls) <= max(1, PIECES * len(step))


def _without_abandoned(series: Series, falls: Sequence[int], scale: Scale) -> Series:
    kept = np.ones(len(series.env_step), dtype=bool)
    for i in falls:
        before = np.flatnonzero(kept[:i])
        if not len(before):
            continue
        reached, first = float(series.env_step[before].max()), float(series.env_step[i])
        earlier = series.take(before)
        fresh = _fresh(series, i, earlier, scale)
        if fresh and reached > FALSE_START * scale.budget:
            raise Refused(
                f"{series.source}: several runs in one file, environment steps fall from {reached:.0f} to "
                f"{first:.0f} at row {i + 1}; split it, or name its column of seeds"
            )
        kept[before] = False if fresh else series.env_step[before] < first
    gone = int((~kept).sum())
    note = (
        f"environment steps fall at row {', '.join(str(i + 1) for i in falls[:SHOWN])}: read as one run that "
        f"was resumed there, {gone} abandoned rows dropped"
    )
    return series.take(kept).noted(note)


def _fresh(series: Series, i: int, earlier: Series, scale: Scale) -> bool:
    """Whether row i is the first of a run that begins anew, and not of one that is resumed."""
    first, length = float(series.env_step[i]), float(series.episode_length[i])
    if first > max(3 * float(earlier.env_step.min()), FRESH * scale.budget):
        return False
    if series.measure == EVALUATION or not length:
        return True
    return first <= max(scale.n_envs, 1) * length + scale.n_envs
