"""Check the rows of a log before they are compared: repair them with a note, or refuse them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlparity import atari_names
from rlparity.atari_names import Difference
from rlparity.log_readers.rules import adding_up, clock, means, order
from rlparity.log_readers.rules.adding_up import Run
from rlparity.log_readers.series import EVALUATION, Refused, Series


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


def check(series: Series, expected: Expected, longer: bool = False) -> Checked:
    """Return the series in a form that can be compared. Raises Refused if there is none.

    `longer`: the run is known to be longer than the budget, and its first part is meant.
    """
    expected = expected._replace(n_envs=series.n_envs or expected.n_envs)
    run = Run(*expected, longer)
    series = same_environment(series, expected.environment)
    _whole_numbers(series)
    if series.summed and series.n_envs == 0:
        series = _with_clock(series, expected)
    series = adding_up.steps_for_frames(series, run)
    series = order.sort(series, scale(expected))
    series = _without_duplicates(series, expected)
    if series.measure != EVALUATION and not series.means:
        means.refuse(series, expected.environment, expected.n_envs, expected.time_limit)
    series = adding_up.whole_run(series, run)
    return Checked(series, tuple(f"{series.source}: {note}" for note in series.notes))


def scale(expected: Expected) -> order.Scale:
    """What is near and far in a run."""
    return order.Scale(expected.budget, expected.n_envs, expected.time_limit)


def same_environment(series: Series, environment: str) -> Series:
    """The series, with a note on what its id does not say. Raises Refused if it is of another environment."""
    if series.environment is None:
        return series.noted(f"does not name its environment, assumed to be {environment}")
    found = difference(series.environment, environment)
    if found.refused:
        raise Refused(f"{series.source}: {found.refused}")
    return series.noted(found.note) if found.note else series


def difference(named: str, environment: str) -> Difference:
    """How a logged id differs from the one that is asked for."""
    if (of_game := atari_names.compare(named, environment)) is not None:
        return of_game
    same = plain(named) == plain(environment)
    return Difference("" if same else f"made in {named}, not in {environment}", "")


def plain(environment: str) -> str:
    """An environment id as folders have it, without `module:` and `@preset`, which programs do not log."""
    return environment.rpartition(":")[2].partition("@")[0].replace("/", "-").replace("_", "-")


def _whole_numbers(series: Series) -> None:
    if not len(series.env_step):
        raise Refused(f"{series.source}: contains no returns")
    for name, values in (("return", series.episode_return), ("environment step", series.env_step)):
        if len(wrong := np.flatnonzero(~np.isfinite(values))):
            raise Refused(f"{series.source}: {name} {wrong[0] + 1} of {len(values)} is {values[wrong[0]]}")
    step = series.env_step
    if len(wrong := np.flatnonzero((step < 0) | (step != np.floor(step)) | (step > 2**53))):
        raise Refused(f"{series.source}: environment step {step[wrong[0]]:g} is not a whole number from 0")
    if len(wrong := np.flatnonzero(~np.isfinite(series.episode_length) | (series.episode_length < 0))):
        raise Refused(f"{series.source}: length {wrong[0] + 1} is {series.episode_length[wrong[0]]:g}")


def _with_clock(series: Series, expected: Expected) -> Series:
    """Steps of episodes of as many sub-environments as expected that share a file, if they overlap in time;
    else those of one after the other."""
    n = expected.n_envs
    ends = None
    if series.time is not None:
        ends = clock.of_sub_environments(series.episode_length, series.time, n, expected.time_limit)
    if ends is None:
        return series.noted("environment steps are sums of the lengths of episodes that have ended")
    return series._replace(env_step=ends).noted(
        f"environment steps are those of {n} sub-environments that share the file, by lengths and times"
    )


def _without_duplicates(series: Series, expected: Expected) -> Series:
    """Drop duplicate rows of training: at most `n_envs` episodes end at one step. Raises Refused if more are
    left. The episodes of an evaluation all have the same step.
    """
    if series.measure == EVALUATION:
        return series
    series = _without_copy(series)
    _, first, count = np.unique(series.env_step, return_index=True, return_counts=True)
    if count.max() <= expected.n_envs:
        return series
    rows = _rows(series)
    unique = np.sort(np.unique(rows, axis=0, return_index=True)[1])
    reduced = series.take(unique)
    left = np.unique(reduced.env_step, return_counts=True)[1].max()
    if left > expected.n_envs:
        at = first[count > expected.n_envs][0]
        raise Refused(
            f"{series.source}: {count.max()} returns at environment step {series.env_step[at]:.0f}, but "
            f"{expected.n_envs} sub-environments; are these several runs, or is n_envs another?"
        )
    return reduced.noted(f"{len(rows) - len(unique)} duplicate rows dropped")


def _without_copy(series: Series) -> Series:
    """Drop half of the rows if every row occurs an even number of times.

    They are no duplicates if the lengths of all episodes add up to no more than the steps trained: then equal
    episodes ended together.
    """
    rows, length = _rows(series), series.episode_length
    count = np.unique(rows, axis=0, return_counts=True)[1]
    if (count % 2).any() or (length.all() and length.sum() <= series.env_step.max()):
        return series
    kept = np.sort(np.lexsort(rows.T)[::2])
    return series.take(kept).noted(f"{len(rows) // 2} duplicate rows dropped")


def _rows(series: Series) -> NDArray[np.float64]:
    return np.column_stack([series.env_step, series.episode_return, series.episode_length])
