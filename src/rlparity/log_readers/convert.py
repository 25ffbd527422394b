"""Convert logged returns to rows of our records.

Formats: Stable-Baselines3's `monitor.csv` and `evaluations.npz`, TensorBoard, Dopamine, CSV and Parquet.

Logs that cannot be compared are refused with the reason; repairs and assumptions are returned as notes.
Nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlparity.log_readers import csv_and_parquet, dopamine, sb3_monitor, tensorboard
from rlparity.log_readers import sb3_evaluations as evaluations
from rlparity.log_readers.checks import Checked, Expected, check
from rlparity.log_readers.series import EVALUATION, TRAINING, Reading, Refused, Series
from rlparity.metrics import RETURN

READERS: dict[str, Callable[[Sequence[Path], Reading], list[Series]]] = {
    "monitor": sb3_monitor.read,
    "evaluations": evaluations.read,
    "tensorboard": tensorboard.read,
    "dopamine": dopamine.read,
    "table": csv_and_parquet.read,
}
OPTIONS = {"tensorboard": "tag", "dopamine": "iteration_steps", "table": "columns"}  # fields of Reading
AMBIGUOUS = {"tensorboard": tensorboard.measure, "table": csv_and_parquet.measure}  # training or evaluation
PATTERNS = {  # of file names; the first that matches
    "*monitor.csv": "monitor",
    "*.npz": "evaluations",
    "*tfevents*": "tensorboard",
    "*.json": "dopamine",
    "*.csv": "table",
    "*.parquet": "table",
}


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
    formats: dict[str, list[Path]] = {}
    for path in files:
        name = reading.format or next(
            (kind for end, kind in PATTERNS.items() if fnmatch(path.name, end)), None
        )
        if name is None:
            raise Refused(f"{path}: of no known format; name one of {', '.join(READERS)} with `format`")
        formats.setdefault(name, []).append(path)
    found: list[Series] = []
    refused: list[str] = []
    named = [name for name, option in OPTIONS.items() if getattr(reading, option)]
    for name in dict.fromkeys((*named, *READERS)):
        if name not in formats:
            if name in named:
                refused.append(f"`{OPTIONS[name]}` is for {name} files, of which there are none")
            continue
        first, measure = formats[name][0], _measure(name, reading)
        if there := [series.source for series in found if series.measure == measure]:
            if name in named or (reading.measure and name in AMBIGUOUS):
                refused.append(f"{first}: {measure} is read from {there[0]}; choose with `files`")
            continue
        try:
            found += READERS[name](formats[name], reading)
        except Refused as error:
            refused.append(str(error))
        except (OSError, UnicodeDecodeError) as error:
            refused.append(f"{first}: cannot be read ({error})")
    if not found:
        raise Refused("; ".join(refused) or "no log files")
    return found, refused


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
    named = {series.environment for series in here if series.environment is not None}
    if len(named) == 1:  # of all files of the run
        here = [series._replace(environment=min(named)) for series in here]
    checked = []
    for series in here:
        try:
            if series.measure == EVALUATION:
                _same_policy(series, reading, modes)
            checked.append(check(series, expected))
        except Refused as error:
            refused.append(str(error))
    for measure in (TRAINING, EVALUATION):
        if len(several := [one for one in checked if one.series.measure == measure]) > 1:
            names = ", ".join(one.series.source for one in several[:3])
            raise Refused(f"several runs of seed {seed}: {names}; name one with `files`")
    if not checked:
        raise Refused("; ".join(refused))
    notes = [note for one in checked for note in one.notes]
    notes += [f"left out: {reason}" for reason in refused]
    return Logged(*_rows(checked, mode(reading)), tuple(notes))


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
