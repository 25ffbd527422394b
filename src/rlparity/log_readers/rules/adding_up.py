"""Rows must add up to the run: they cover the budget from its beginning, and lengths sum to the steps."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from rlparity.atari_names import parse
from rlparity.log_readers.series import EVALUATION, Refused, Series

FRAMES = 4  # of the emulator for each environment step of an Atari game
BETWEEN = 2.5  # times the steps: lengths that add up to more may be frames
OVER = 0.05  # of the budget: more rows beyond it are not those of a last update
EXACT = 0.02  # of the steps, by which lengths may differ from them besides episodes under way
MISSING = 0.10  # of the steps: if more lack, the log is refused; if fewer, a note says so
MOSTLY = 0.2  # of the rows, at most, may begin where none ended
PER_STEP = ("CartPole-", "MountainCar-v0")  # beginnings of ids: a reward of 1 or -1 for each step
LEAST = 20  # rows, before lengths are taken from returns
NEAR = 0.12  # by which a ratio may differ from a whole number that explains it
SHOWN = 3


class Run(NamedTuple):
    """What rows are held against."""

    environment: str
    budget: int  # environment steps
    n_envs: int  # sub-environments; of the reference if the log does not say
    points: int  # evaluations of the protocol
    time_limit: int | None  # environment steps
    longer: bool  # whether the run is known to be longer, and its first part meant

    @property
    def atari(self) -> bool:
        return parse(self.environment) is not None


def steps_for_frames(series: Series, run: Run) -> Series:
    """Convert frames to environment steps where lengths show that an Atari log counts frames."""
    length = series.episode_length
    if not run.atari or series.measure == EVALUATION or series.means or not length.any():
        return series
    total = float(length.sum())
    steps = run.budget if series.summed else float(series.env_step.max())
    under_way = run.n_envs * _longest(series, run) / FRAMES
    named = parse(series.environment) if series.environment else None
    least = steps - under_way - EXACT * steps
    most = (1 + OVER) * steps + under_way if series.summed else (1 + EXACT) * steps
    framed = total > BETWEEN * steps and least <= total / FRAMES <= most
    if not framed and not (series.summed and named and named.frame_by_frame and total > most):
        return series
    what = "the budget" if series.summed else "the steps"
    note = f"lengths add up to {total / steps:.1f} times {what}: they count frames, divided by {FRAMES}"
    series = series._replace(episode_length=np.floor(length / FRAMES)).noted(note)
    return series._replace(env_step=np.floor(series.env_step / FRAMES)) if series.summed else series


def whole_run(series: Series, run: Run) -> Series:
    """Return rows within the budget that add up to the run; raises Refused naming the ratio and what it is
    likely to come from. Where a reward is paid for each step, unlogged lengths are those that returns say."""
    if series.measure == EVALUATION or series.means or series.episode_length.any():
        return _whole_run(series, run)
    if not run.environment.startswith(PER_STEP) or len(series.env_step) < LEAST:
        return _whole_run(series, run)
    length = np.abs(series.episode_return)
    whole = _whole_run(series._replace(episode_length=length), run)
    return whole._replace(episode_length=np.zeros(len(whole.env_step)))


def _whole_run(series: Series, run: Run) -> Series:
    if series.measure != EVALUATION:
        series = _lengths_add_up(series, run)
    series = _within_budget(series, run)
    _from_the_beginning(series, run)
    _to_the_end(series, run)
    _without_gaps(series, run)
    return series


def _longest(series: Series, run: Run) -> float:
    """Steps of the longest episode that may be under way."""
    limit = float(run.time_limit or 0)
    if not series.episode_length.any():
        return limit
    seen = 1.5 * float(series.episode_length.max())
    return min(limit, seen) if limit else seen


def _near(ratio: float, number: float) -> bool:
    return abs(ratio - number) <= NEAR * number / 2


def _lengths_add_up(series: Series, run: Run) -> Series:
    length = series.episode_length
    if series.summed or series.means or not length.any():
        return series
    reached, total = float(series.env_step.max()), float(length.sum())
    under_way = run.n_envs * _longest(series, run)
    ratio = total / reached if reached else np.inf
    if total > (1 + EXACT) * reached + series.n_envs:
        raise Refused(
            f"{series.source}: lengths of episodes add up to {total:,.0f}, {ratio:.3g} times the "
            f"{reached:,.0f} steps of the last row: {_too_many(ratio, len(length) / reached, run)}"
        )
    lacking = reached - total - under_way
    if lacking <= EXACT * reached:
        unlogged = _without_a_row(series, run.n_envs)
        note = f"{unlogged} episodes begin where none ended, so as many have no row"
        return series.noted(note) if unlogged else series
    share = (reached - total) / reached
    first = float(series.env_step[0])
    if first > 0.5 * (reached - total) and first > under_way:
        raise Refused(
            f"{series.source}: begins at step {first:,.0f}, {share:.0%} of the steps up to "
            f"{reached:,.0f} have no row: the beginning is missing"
        )
    if lacking > MISSING * reached:
        raise Refused(
            f"{series.source}: lengths of episodes add up to {total:,.0f} of {reached:,.0f} steps, "
            f"{ratio:.2g} of them: rows are missing, or only some episodes are logged"
        )
    return series.noted(f"{share:.0%} of the steps are of episodes without a row")


def _without_a_row(series: Series, n: int) -> int:
    """How many episodes have no row, if n sub-environments step together: each begins where one
    of them ended, or at 0. Zero if most do not, so that n is another."""
    ends = series.env_step / n
    waiting = Counter({0.0: n})
    waiting.update(ends.tolist())
    lone = 0
    for start in (ends - series.episode_length).tolist():
        waiting[start] -= 1
        lone += waiting[start] < 0
    return lone if lone <= MOSTLY * len(ends) else 0


def _too_many(ratio: float, rows_per_step: float, run: Run) -> str:
    if rows_per_step > 0.9:
        return "its steps count episodes"
    if run.n_envs > 1 and _near(ratio, run.n_envs):
        return f"its steps are counted for each of {run.n_envs} sub-environments"
    return _cause(ratio)


def _cause(ratio: float) -> str:
    if _near(ratio, FRAMES):
        return "four times, so one of both counts frames"
    if 1.5 < ratio < 2.3:
        return "about twice, so an evaluation or another run is mixed in"
    if ratio > 1.5 and _near(ratio, round(ratio)):
        return (
            f"{round(ratio)} times, so several runs are mixed, or steps are counted for each sub-environment"
        )
    return "an evaluation or another run is mixed in, or rows are there twice"


def _within_budget(series: Series, run: Run) -> Series:
    inside = series.env_step <= run.budget
    if not inside.any():
        raise Refused(f"{series.source}: all rows are beyond the budget of {run.budget:,} steps")
    if inside.all():
        return series
    reached, beyond = float(series.env_step.max()), int((~inside).sum())
    ratio = reached / run.budget
    series_inside = series.take(inside)
    left_out = f"{beyond} rows beyond the budget of {run.budget:,} steps were left out"
    slack = 0.0 if series.measure == EVALUATION else run.n_envs * _longest(series, run)
    if reached <= (1 + OVER) * run.budget + min(slack, 0.5 * run.budget):
        return series_inside.noted(left_out)
    known = series.measure == EVALUATION or (series.episode_length.any() and not series.summed)
    if run.longer or series.means or (known and not (run.atari and _near(ratio, FRAMES))):
        note = (
            f"the run is {ratio:.3g} times as long as the budget: its first part is judged, in which "
            "schedules, such as of the learning rate, had not ended"
        )
        return series_inside.noted(left_out, note)
    what = "lengths of episodes add up to" if series.summed else "its last row is at"
    raise Refused(
        f"{series.source}: {what} {reached:,.0f} steps, {ratio:.3g} times the budget of {run.budget:,}: "
        f"{_cause(ratio)}; if it is a longer run, longer=true judges its first part"
    )


def _from_the_beginning(series: Series, run: Run) -> None:
    """Raise Refused if the first row is later than a first one can be. Lengths, where there are any, have
    been found to add up."""
    if series.episode_length.any() and series.measure != EVALUATION:
        return
    steps = np.unique(series.env_step)
    first = float(steps[0])
    distances = np.diff(steps)
    if series.measure == EVALUATION or series.means:
        spacing = float(np.median(distances)) if len(distances) else run.budget / run.points
        latest = max(2.0 * spacing, run.budget / run.points)
        what = "the first evaluation" if series.measure == EVALUATION else "the first row"
    else:
        usual = 10 * float(np.median(distances)) if len(distances) else 0.0
        one = 2 * run.n_envs * _longest(series, run)
        latest = max(usual, min(one, 0.2 * run.budget) if one else 0.1 * run.budget, 0.02 * run.budget)
        what = "the first row"
    if first > latest:
        raise Refused(
            f"{series.source}: {what} is at step {first:,.0f} of {run.budget:,}: the beginning is missing"
        )


def _to_the_end(series: Series, run: Run) -> None:
    """Raise Refused if the log ends too early: by more than one episode, or one interval of evaluations."""
    reached = int(series.env_step.max())
    spacing: float = run.budget // run.points
    if series.measure == EVALUATION or series.means:
        steps = np.unique(series.env_step)
        spacing = max(spacing, int(np.median(np.diff(steps)))) if len(steps) > 1 else spacing
    else:
        spacing = max(spacing, run.n_envs * _longest(series, run))
    if reached + min(spacing, run.budget // 2) < run.budget:
        raise Refused(f"{series.source}: trained {reached:,} of {run.budget:,} environment steps")


def _without_gaps(series: Series, run: Run) -> None:
    """Raise Refused if steps in the middle have no rows although an episode must have ended there."""
    steps = np.concatenate([[0], np.unique(series.env_step)])
    distances = np.diff(steps)
    if len(distances) < SHOWN:
        return
    if series.measure == EVALUATION or series.means:
        most = max(3 * float(np.median(distances)), 0.2 * run.budget)
    else:
        limit = run.n_envs * _longest(series, run)
        most = max(2 * limit, 0.1 * run.budget) if limit else 0.3 * run.budget
    i = int(distances.argmax())
    if distances[i] > most and i > 0:
        raise Refused(
            f"{series.source}: has no rows between steps {steps[i]:,.0f} and {steps[i + 1]:,.0f}: "
            "some are missing"
        )
