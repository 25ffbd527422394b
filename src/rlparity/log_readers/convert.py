"""Returns that others wrote down -> our own rows.

Readers: Stable-Baselines3's `monitor.csv` and `evaluations.npz`, TensorBoard, Dopamine, CSV and Parquet.

What cannot be compared is refused with the reason; what can be repaired is, and a note says so. Nothing is
unpickled.
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

READERS: dict[str, Callable[[Sequence[Path], Reading], list[Series]]] = {
    "monitor": sb3_monitor.read,
    "evaluations": evaluations.read,
    "tensorboard": tensorboard.read,
    "dopamine": dopamine.read,
    "table": csv_and_parquet.read,
}
NAMED_BY = {"tensorboard": "tag", "dopamine": "iteration_steps", "table": "columns"}  # fields of Reading
OPEN = {
    "tensorboard": tensorboard.measure,
    "table": csv_and_parquet.measure,
}  # formats that do not say what they measure
NAMES = {  # file names, the first that fits
    "*monitor.csv": "monitor",
    "*.npz": "evaluations",
    "*tfevents*": "tensorboard",
    "*.json": "dopamine",
    "*.csv": "table",
    "*.parquet": "table",
}


class Logged(NamedTuple):
    """The returns of one run in the columns of `records.SCHEMAS`, without who made them."""

    episodes: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    notes: tuple[str, ...]  # assumed, repaired or left out


def runs(files: Sequence[Path], how: Reading) -> tuple[list[Series], list[str]]:
    """All that the files of one place say, unchecked, and why some of them are not read. Raises Refused if
    none can be.

    Returns in training, and evaluations, are each read from one format: one that `how` names by an option
    that only it has, else the first of READERS.
    """
    formats: dict[str, list[Path]] = {}
    for path in files:
        name = how.format or next((kind for end, kind in NAMES.items() if fnmatch(path.name, end)), None)
        if name is None:
            raise Refused(f"{path}: of no known format; name one of {', '.join(READERS)} with `format`")
        formats.setdefault(name, []).append(path)
    found: list[Series] = []
    refused: list[str] = []
    named = [name for name, option in NAMED_BY.items() if getattr(how, option)]
    for name in dict.fromkeys((*named, *READERS)):
        if name not in formats:
            if name in named:
                refused.append(f"`{NAMED_BY[name]}` is for {name} files, of which there are none")
            continue
        first, measure = formats[name][0], _measure(name, how)
        if there := [series.source for series in found if series.measure == measure]:
            if name in named or (how.measure and name in OPEN):
                refused.append(f"{first}: {measure} is read from {there[0]}; choose with `files`")
            continue
        try:
            found += READERS[name](formats[name], how)
        except Refused as error:
            refused.append(str(error))
        except (OSError, UnicodeDecodeError) as error:
            refused.append(f"{first}: cannot be read ({error})")
    if not found:
        raise Refused("; ".join(refused) or "no log files")
    return found, refused


def _measure(name: str, how: Reading) -> str:
    if name in OPEN:
        return OPEN[name](how)
    return EVALUATION if name == "evaluations" else TRAINING


def read(files: Sequence[Path], how: Reading, expected: Expected, modes: Sequence[str], seed: int) -> Logged:
    """The rows of one seed. `modes` are those that the reference was evaluated in.

    Raises Refused if nothing can be compared; where some of it can, the rest is left out with a note.
    """
    found, refused = runs(files, how)
    here = [series for series in found if series.seed in (None, seed)]
    if not here:
        raise Refused(f"{files[0]}: no rows of seed {seed}")
    told = {series.environment for series in here if series.environment is not None}
    if len(told) == 1:  # one file of a run speaks for the others
        here = [series._replace(environment=min(told)) for series in here]
    checked = []
    for series in here:
        try:
            if series.measure == EVALUATION:
                _same_policy(series, how, modes)
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
    return Logged(*_rows(checked, mode(how)), tuple(notes))


def mode(how: Reading) -> str:
    """How the policy acted in logged evaluations."""
    return "sampled" if how.deterministic is False else "deterministic"


def _same_policy(series: Series, how: Reading, modes: Sequence[str]) -> None:
    if mode(how) not in modes:
        raise Refused(
            f"{series.source}: evaluations of the {mode(how)} policy, the reference's are {', '.join(modes)}"
        )


def _rows(checked: Sequence[Checked], protocol: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    episodes: list[dict[str, Any]] = []
    evaluated: list[dict[str, Any]] = []
    for series, _ in checked:
        step, length = series.env_step.astype(int).tolist(), series.episode_length.astype(int).tolist()
        games = [
            {"episode_return": value, "episode_length": steps}
            for value, steps in zip(series.episode_return.tolist(), length, strict=True)
        ]
        if series.measure == TRAINING:
            episodes = [{"env_step": at, **game} for at, game in zip(step, games, strict=True)]
        else:
            first = np.unique(series.env_step, return_index=True)[1]
            starts = first[np.searchsorted(series.env_step[first], series.env_step)]
            number = (np.arange(len(step)) - starts).tolist()
            evaluated = [
                {"env_step": at, "episode": i, "protocol": protocol, **game}
                for at, i, game in zip(step, number, games, strict=True)
            ]
    return episodes, evaluated
