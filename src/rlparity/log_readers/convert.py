"""Convert logged returns to rows of our records.

Formats: Stable-Baselines3's `monitor.csv` and `evaluations.npz`, TensorBoard, Dopamine, CSV and Parquet.

Logs that cannot be compared are refused with the reason; repairs and assumptions are returned as notes.
Nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlparity.log_readers import checks, file_names
from rlparity.log_readers.checks import Checked, Expected, check
from rlparity.log_readers.formats import csv_and_parquet, dopamine, monitors, tensorboard
from rlparity.log_readers.formats import sb3_evaluations as evaluations
from rlparity.log_readers.rules import order
from rlparity.log_readers.series import EVALUATION, TRAINING, Reading, Refused, Series
from rlparity.metrics import RETURN

Reader = Callable[[Sequence[Path], Reading], tuple[list[Series], list[str]]]  # series, and files left out
READERS: dict[str, Reader] = {
    "monitor": monitors.read,
    "evaluations": evaluations.read,
    "tensorboard": tensorboard.read,
    "dopamine": dopamine.read,
    "table": csv_and_parquet.read,
}
OPTIONS = {"tensorboard": "tag", "dopamine": "iteration_steps", "table": "columns"}  # fields of Reading
AMBIGUOUS = {"tensorboard": tensorboard.measure, "table": csv_and_parquet.measure}  # training or evaluation
SHOWN = 4  # files in a note


class Logged(NamedTuple):
    """The returns of one run in the columns of `records.SCHEMAS`, without those that name the arm."""

    episodes: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    notes: tuple[str, ...]  # assumed, repaired or left out


def runs(files: Sequence[Path], reading: Reading) -> tuple[list[Series], list[str]]:
    """Read the files of one place: the series, unchecked, and the reasons why files were not read.

    Returns in training are read from one format, evaluations from one, too: a format for which `reading` has
    an option, else the first of READERS. Raises Refused if no file can be read.
    """
    formats, refused = _formats(files, reading)
    found: list[Series] = []
    named = [name for name, option in OPTIONS.items() if getattr(reading, option)]
    for name in dict.fromkeys((*named, *READERS)):
        if name not in formats:
            if name in named:
                refused.append(f"`{OPTIONS[name]}` is for {name} files, of which there are none")
            continue
        first, measure = formats[name][0], _measure(name, reading)
        if there := [series.source for series in found if series.measure == measure]:
            if others := [path for path in formats[name] if not file_names.is_settings(path)]:
                names = ", ".join(str(path) for path in others[:SHOWN])
                more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
                refused.append(f"{names}{more}: {measure} is read from {there[0]}; choose with `files`")
            continue
        paths = formats[name]
        if name in AMBIGUOUS and measure == TRAINING:
            paths, theirs = file_names.split(paths)
            refused += [f"{path}: of evaluations, by its name" for path in theirs]
        try:
            series, left = READERS[name](paths, reading)
            found += series
            refused += [line for line in left if not file_names.is_settings(Path(line.partition(":")[0]))]
        except Refused as error:
            refused.append(str(error))
        except OSError as error:
            refused.append(f"{first}: cannot be read ({error})")
    if not found:
        raise Refused("; ".join(refused) or "no log files")
    return found, refused


def _formats(files: Sequence[Path], reading: Reading) -> tuple[dict[str, list[Path]], list[str]]:
    """The files by format, and a line for each of no known one, if there are others."""
    formats: dict[str, list[Path]] = {}
    unknown: list[Path] = []
    for path in files:
        name = reading.format or file_names.format_of(path)
        if name is None:
            unknown.append(path)
        else:
            formats.setdefault(name, []).append(path)
    if unknown and not formats:
        raise Refused(f"{unknown[0]}: of no known format; name one of {', '.join(READERS)} with `format`")
    return formats, [f"{path}: of no known format" for path in unknown]


def _measure(name: str, reading: Reading) -> str:
    if name in AMBIGUOUS:
        return AMBIGUOUS[name](reading)
    return EVALUATION if name == "evaluations" else TRAINING


def read(
    files: Sequence[Path], reading: Reading, expected: Expected, modes: Sequence[str], seed: int
) -> Logged:
    """Read the rows of one seed. `modes` are those in which the reference was evaluated.

    What cannot be compared is left out with a note. Raises Refused if nothing is left.
    """
    found, refused = runs(files, reading)
    here = [series for series in found if series.seed in (None, seed)]
    if not here:
        raise Refused(f"{files[0]}: no rows of seed {seed}")
    here = _of_environment(here, expected.environment, refused)
    checked = []
    for measure in (TRAINING, EVALUATION):
        parts = [series for series in here if series.measure == measure]
        try:
            if not parts:
                continue
            if measure == EVALUATION:
                _same_policy(parts[0], reading, modes)
            empty = [part for part in parts if not len(part.env_step)]
            parts = [part for part in parts if len(part.env_step)] or parts[:1]
            refused += [f"{part.source}: contains no returns" for part in empty if part not in parts]
            whole = order.join(parts, checks.scale(expected)) if len(parts) > 1 else parts[0]
            checked.append(check(whole, expected, reading.longer))
        except Refused as error:
            refused.append(str(error))
    if not checked:
        raise Refused("; ".join(refused))
    notes = [note for one in checked for note in one.notes]
    notes += [f"left out: {reason}" for reason in refused]
    return Logged(*_rows(checked, mode(reading)), tuple(notes))


def _of_environment(series: Sequence[Series], environment: str, refused: list[str]) -> list[Series]:
    """Series of the environment: those of another one are left out, and those that name none have that of the
    others of the run. Raises Refused if all are of others."""
    kept, problems = [], []
    for one in series:
        try:
            if one.environment is not None:
                checks.same_environment(one, environment)
            kept.append(one)
        except Refused as error:
            problems.append(str(error))
    named = {one.environment for one in kept if one.environment is not None}
    if problems and not named:  # what names none is taken to be of the same run as what was refused
        raise Refused("; ".join(problems))
    refused += problems
    if len(named) != 1:
        return kept
    return [one._replace(environment=min(named)) for one in kept]


def mode(reading: Reading) -> str:
    """The mode of the policy in logged evaluations."""
    return "sampled" if reading.deterministic is False else "deterministic"


def _same_policy(series: Series, reading: Reading, modes: Sequence[str]) -> None:
    if mode(reading) not in modes:
        raise Refused(
            f"{series.source}: evaluations of the {mode(reading)} policy; "
            f"the reference's are {', '.join(modes)}"
        )


def _rows(checked: Sequence[Checked], protocol: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    episodes: list[dict[str, Any]] = []
    evaluated: list[dict[str, Any]] = []
    for series, _ in checked:
        step, length = series.env_step.astype(int).tolist(), series.episode_length.astype(int).tolist()
        rows = zip(step, series.episode_return.tolist(), length, strict=True)
        if series.measure == TRAINING:
            episodes = [
                {"env_step": at, "episode_return": value, "episode_length": steps}
                for at, value, steps in rows
            ]
        else:
            first = np.unique(series.env_step, return_index=True)[1]
            starts = first[np.searchsorted(series.env_step[first], series.env_step)]
            number = (np.arange(len(step)) - starts).tolist()
            common = {"protocol": protocol, "metric": RETURN.name}
            evaluated = [
                {"env_step": at, "episode": i, **common, "value": value, "size": steps}
                for i, (at, value, steps) in zip(number, rows, strict=True)
            ]
    return episodes, evaluated
