"""Check the rows of a log before they are compared: repair them with a note, or refuse them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rlparity.log_readers.series import EVALUATION, Refused, Series

RESTART = 0.5  # steps that fall below this share of the highest so far begin another run


class Expected(NamedTuple):
    """What the rows of a log must agree with."""

    environment: str
    budget: int  # environment steps
    n_envs: int  # sub-environments; at most so many episodes end at one environment step
    points: int  # evaluations of the protocol
    time_limit: int | None  # environment steps of the longest episode


class Checked(NamedTuple):
    """Rows in order, without duplicates, within the budget."""

    series: Series
    notes: tuple[str, ...]  # assumptions and repairs, a line each


def check(series: Series, expected: Expected) -> Checked:
    """Return the series in a form that can be compared. Raises Refused if there is none."""
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
        notes.append(f"does not name its environment, assumed to be {expected.environment}")
    elif _plain(series.environment) != _plain(expected.environment):
        raise Refused(f"{series.source}: made in {series.environment}, not in {expected.environment}")


def _plain(environment: str) -> str:
    """An environment id without `module:` and `@preset`, which programs do not log."""
    return environment.rpartition(":")[2].partition("@")[0]


def _whole_numbers(series: Series) -> None:
    if not len(series.env_step):
        raise Refused(f"{series.source}: contains no returns")
    for name, values in (("return", series.episode_return), ("environment step", series.env_step)):
        if len(wrong := np.flatnonzero(~np.isfinite(values))):
            raise Refused(f"{series.source}: {name} {wrong[0] + 1} of {len(values)} is {values[wrong[0]]}")
    step = series.env_step
    if len(wrong := np.flatnonzero((step < 0) | (step != np.floor(step)))):
        raise Refused(f"{series.source}: environment step {step[wrong[0]]:g} is not a whole number from 0")


def _in_order(series: Series, notes: list[str]) -> Series:
    """Sort by environment step. Raises Refused if the steps show several runs."""
    step = series.env_step
    decreases = np.flatnonzero(np.diff(step) < 0) + 1
    if not len(decreases):
        return series
    highest = np.maximum.accumulate(step)
    restart = [i for i in decreases if step[i] <= RESTART * highest[i - 1] and i + 1 < len(step)]
    if restart and _are_runs(step, restart):
        i = restart[0]
        raise Refused(
            f"{series.source}: several runs in one file, environment steps fall from {step[i - 1]:.0f} to "
            f"{step[i]:.0f} at row {i + 1}; split it, or name its column of seeds"
        )
    notes.append(f"{len(decreases)} rows were not in the order of environment steps; sorted")
    return _take(series, np.argsort(step, kind="stable"))


def _are_runs(step: np.ndarray, restart: list[np.intp]) -> bool:
    """Whether the pieces between restarts are runs: steps never decrease in them, or rarely in few pieces."""
    pieces = np.split(step, restart)
    decreases = sum(int((np.diff(piece) < 0).sum()) for piece in pieces)
    if not decreases and min(map(len, pieces)) > 1:
        return True
    return decreases <= len(step) // 10 and len(restart) <= len(step) // 10


def _without_duplicates(series: Series, expected: Expected, notes: list[str]) -> Series:
    """Drop duplicate rows of training: at most `n_envs` episodes end at one step. Raises Refused if more are
    left. The episodes of an evaluation all have the same step.
    """
    if series.measure == EVALUATION:
        return series
    series = _without_copy(series, notes)
    _, first, count = np.unique(series.env_step, return_index=True, return_counts=True)
    if count.max() <= expected.n_envs:
        return series
    rows = _rows(series)
    unique = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    reduced = _take(series, unique)
    left = np.unique(reduced.env_step, return_counts=True)[1].max()
    if left > expected.n_envs:
        at = first[count > expected.n_envs][0]
        raise Refused(
            f"{series.source}: {count.max()} returns at environment step {series.env_step[at]:.0f}, but "
            f"{expected.n_envs} sub-environments; are these several runs, or is n_envs another?"
        )
    notes.append(f"{len(rows) - len(unique)} duplicate rows dropped")
    return reduced


def _without_copy(series: Series, notes: list[str]) -> Series:
    """Drop half of the rows if every row occurs an even number of times.

    They are no duplicates if the lengths of all episodes add up to no more than the steps trained: then equal
    episodes ended together.
    """
    rows, length = _rows(series), series.episode_length
    count = np.unique(rows, axis=0, return_counts=True)[1]
    if (count % 2).any() or (length.all() and length.sum() <= series.env_step.max()):
        return series
    notes.append(f"{len(rows) // 2} duplicate rows dropped")
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
    """Raise Refused if the log ends too early: by more than one episode, or one interval of evaluations."""
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
