"""What must hold of a log before its rows count as ours: repaired with a note, or refused with the reason."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlparity.log_readers.series import EVALUATION, Refused, Series

RESTART = 0.5  # steps that fall below this share of the highest so far begin another run


class Expected(NamedTuple):
    """What the rows have to fit."""

    environment: str
    budget: int  # environment steps
    n_envs: int  # sub-environments; as many games may end at one environment step
    points: int  # evaluations of the protocol
    time_limit: int | None  # environment steps of the longest game


class Checked(NamedTuple):
    """Rows in order, none twice, none beyond the budget."""

    series: Series
    notes: tuple[str, ...]  # what was assumed and repaired


def check(series: Series, expected: Expected) -> Checked:
    """The series as it may be compared. Raises Refused with the reason where it may not."""
    notes = list(series.notes)
    expected = expected._replace(n_envs=series.n_envs or expected.n_envs)
    _same_environment(series, expected, notes)
    _whole_numbers(series)
    series = _in_order(series, notes)
    series = _without_duplicates(series, expected, notes)
    series = _within_budget(series, expected, notes)
    _long_enough(series, expected)
    return Checked(series, tuple(f"{series.source}: {note}" for note in notes))


def _same_environment(series: Series, expected: Expected, notes: list[str]) -> None:
    if series.environment is None:
        notes.append(f"does not say its environment, taken to be {expected.environment}")
    elif _plain(series.environment) != _plain(expected.environment):
        raise Refused(f"{series.source}: made in {series.environment}, not in {expected.environment}")


def _plain(environment: str) -> str:
    """An id as programs log it, without `module:` and `@preset`."""
    return environment.rpartition(":")[2].partition("@")[0]


def _whole_numbers(series: Series) -> None:
    if not len(series.env_step):
        raise Refused(f"{series.source}: holds no returns")
    for name, values in (("return", series.episode_return), ("environment step", series.env_step)):
        if len(wrong := np.flatnonzero(~np.isfinite(values))):
            raise Refused(f"{series.source}: {name} {wrong[0] + 1} of {len(values)} is {values[wrong[0]]}")
    step = series.env_step
    if len(wrong := np.flatnonzero((step < 0) | (step != np.floor(step)))):
        raise Refused(f"{series.source}: environment step {step[wrong[0]]:g} is no whole number from 0")


def _in_order(series: Series, notes: list[str]) -> Series:
    """Sorted by environment step; a fall back to the beginning is another run."""
    step = series.env_step
    fallen = np.flatnonzero(np.diff(step) < 0) + 1
    if not len(fallen):
        return series
    highest = np.maximum.accumulate(step)
    restart = [i for i in fallen if step[i] <= RESTART * highest[i - 1] and i + 1 < len(step)]
    if restart and _rises(step, restart):
        i = restart[0]
        raise Refused(
            f"{series.source}: several runs in one file, environment steps fall from {step[i - 1]:.0f} to "
            f"{step[i]:.0f} at row {i + 1}; split it, or name its column of seeds"
        )
    notes.append(f"{len(fallen)} rows came before earlier environment steps; sorted")
    return _take(series, np.argsort(step, kind="stable"))


def _rises(step: np.ndarray, restart: list[np.intp]) -> bool:
    """Whether the pieces between restarts are runs: none of them falls, or few rows do in few pieces."""
    pieces = np.split(step, restart)
    falls = sum(int((np.diff(piece) < 0).sum()) for piece in pieces)
    if not falls and min(map(len, pieces)) > 1:
        return True
    return falls <= len(step) // 10 and len(restart) <= len(step) // 10


def _without_duplicates(series: Series, expected: Expected, notes: list[str]) -> Series:
    """In training, as many games may end at one step as there are sub-environments; an evaluation's games all
    have one step."""
    if series.measure == EVALUATION:
        return series
    series = _without_copy(series, notes)
    _, first, count = np.unique(series.env_step, return_index=True, return_counts=True)
    if count.max() <= expected.n_envs:
        return series
    rows = _rows(series)
    kept = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    thinned = _take(series, kept)
    left = np.unique(thinned.env_step, return_counts=True)[1].max()
    if left > expected.n_envs:
        at = first[count > expected.n_envs][0]
        raise Refused(
            f"{series.source}: {count.max()} returns at one environment step ({series.env_step[at]:.0f}), of "
            f"{expected.n_envs} sub-environments; is it several runs, or is n_envs another?"
        )
    notes.append(f"{len(rows) - len(kept)} rows were there twice; dropped")
    return thinned


def _without_copy(series: Series, notes: list[str]) -> Series:
    """Half of the rows if each of them stands twice. Games that did end together, and are alike, show it by
    their lengths: their sum does not exceed the steps trained."""
    rows, length = _rows(series), series.episode_length
    count = np.unique(rows, axis=0, return_counts=True)[1]
    if (count % 2).any() or (length.all() and length.sum() <= series.env_step.max()):
        return series
    notes.append(f"{len(rows) // 2} rows were there twice; dropped")
    return _take(series, np.sort(np.lexsort(rows.T)[::2]))


def _rows(series: Series) -> np.ndarray:
    return np.column_stack([series.env_step, series.episode_return, series.episode_length])


def _within_budget(series: Series, expected: Expected, notes: list[str]) -> Series:
    inside = np.flatnonzero(series.env_step <= expected.budget)
    if not len(inside):
        raise Refused(f"{series.source}: all rows are beyond the budget of {expected.budget:,} steps")
    if (beyond := len(series.env_step) - len(inside)) > 0:
        notes.append(f"{beyond} rows beyond the budget of {expected.budget:,} steps were left out")
    return _take(series, inside) if beyond else series


def _long_enough(series: Series, expected: Expected) -> None:
    """What is missing of the budget may be games that had not ended, or the way to the next evaluation."""
    reached = int(series.env_step.max())
    spacing = expected.budget // expected.points
    if series.measure == EVALUATION:
        steps = np.unique(series.env_step)
        spacing = max(spacing, int(np.diff(steps).max())) if len(steps) > 1 else spacing
    else:
        spacing = max(spacing, (expected.time_limit or 0) * expected.n_envs)
    if reached + min(spacing, expected.budget // 2) < expected.budget:
        raise Refused(f"{series.source}: trained {reached:,} of {expected.budget:,} environment steps")


def _take(series: Series, rows: np.ndarray) -> Series:
    columns = ("env_step", "episode_return", "episode_length")
    return series._replace(**{name: getattr(series, name)[rows] for name in columns})
