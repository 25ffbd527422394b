"""TensorBoard's event files: one scalar tag, by default CleanRL's returns."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlparity.log_readers import file_names
from rlparity.log_readers.formats import event_files, layouts
from rlparity.log_readers.formats.event_files import Events
from rlparity.log_readers.series import CLEANRL_TAG, EVALUATION, TRAINING, Reading, Refused, Series
from rlparity.log_readers.setting_names import literal

LENGTHS = {"charts/episodic_return": "charts/episodic_length", "eval/mean_reward": "eval/mean_ep_length"}
ENVIRONMENTS = ("env_id", "env", "env_name", "environment", "task")  # in a table of hyper-parameters
RETURNS = ("return", "rew", "score")  # in a tag that may be one of returns
KEPT = 64  # files that are remembered


def read(paths: Sequence[Path], reading: Reading) -> tuple[list[Series], list[str]]:
    """Read a series from each event file that has the tag, and name the files that are not used.

    The files of a folder are of one run, in the order in which they were written.
    """
    found: list[Series] = []
    left: list[str] = []
    problems: list[str] = []
    for folder in dict.fromkeys(path.parent for path in paths):
        try:
            series, others = _folder(folder, [path for path in paths if path.parent == folder], reading)
            found += series
            left += others
        except Refused as error:
            problems.append(str(error))
    if not found:
        raise Refused("; ".join(problems))
    return found, left + problems


def measure(reading: Reading) -> str:
    """What the scalar contains, TRAINING or EVALUATION; by its tag unless `reading` names it."""
    return reading.measure or (EVALUATION if reading.tag.startswith(("eval", "test")) else TRAINING)


def _folder(folder: Path, paths: Sequence[Path], reading: Reading) -> tuple[list[Series], list[str]]:
    tag = reading.tag or CLEANRL_TAG
    source = f"{folder}, tag {tag}"
    layouts.refuse_means(tag, source, reading.measure)
    loaded = [events for path in paths if (events := _load(path)) is not None]
    if not any(events.scalars or events.texts for events in loaded):
        raise Refused(f"{folder}: event files that cannot be read, or have no scalars")
    tags = sorted({name for events in loaded for name in events.scalars})
    mine = [events for events in loaded if tag in events.scalars]
    if not mine:
        hint = layouts.describe(tags)
        raise Refused(
            f"{folder}: no scalar {tag!r}; there are {', '.join(tags) or 'none'}"
            + (f" ({hint})" if hint else "")
        )
    left = [f"{events.path.name}: has no scalar {tag!r}" for events in loaded if tag not in events.scalars]
    left = [f"{folder}/{reason}" for events, reason in zip(loaded, left, strict=False) if events.scalars]
    others = [name for name in tags if name != tag and name not in LENGTHS.values() and _may_be(name)]
    if others:
        left.append(f"{folder}: {', '.join(others[:6])}: read is {tag}")
    environment = _environment(loaded, folder)
    series = [_series(events, tag, source, reading, environment) for events in mine]
    return sorted(series, key=lambda one: one.when), left


def _may_be(tag: str) -> bool:
    """Whether a tag may be one of returns."""
    return any(word in tag.lower() for word in RETURNS)


def _series(events: Events, tag: str, source: str, reading: Reading, environment: str | None) -> Series:
    scalars = events.scalars[tag]
    step = np.array([scalar.step for scalar in scalars], dtype=float)
    returns = np.array([scalar.value for scalar in scalars], dtype=float)
    notes = []
    beside = events.scalars.get(LENGTHS.get(tag, ""))
    if beside is not None and [one.step for one in beside[: len(scalars)]] == step.tolist():
        length = np.array([one.value for one in beside[: len(scalars)]], dtype=float)
    else:
        length = np.zeros(len(step))
        notes.append(
            "lengths of episodes are not logged, recorded as 0"
            if beside is None
            else f"{LENGTHS[tag]} has other steps than {tag}: lengths are recorded as 0"
        )
    if events.damaged:
        notes.append(f"{events.path.name} ends in a record that is incomplete or damaged: read up to there")
    times = [scalar.wall_time for scalar in scalars]
    return Series(
        source,
        measure(reading),
        step,
        returns,
        length,
        None,
        environment,
        tuple(notes),
        files=(events.path,),
        when=min(times),
        until=max(times),
        begins=events.begins,
    )


def _load(path: Path) -> Events | None:
    """The content of a file; None if it cannot be opened."""
    try:
        stat = path.stat()
        return _remembered(path, stat.st_size, stat.st_mtime_ns)
    except OSError:
        return None


@functools.lru_cache(maxsize=KEPT)
def _remembered(path: Path, size: int, changed: int) -> Events:
    """A file is read once for its returns, settings and environment, and again if it has changed."""
    return event_files.read(path)


def _environment(loaded: Sequence[Events], folder: Path) -> str | None:
    """The environment in CleanRL's table of hyper-parameters, or in its name of the folder; None without."""
    table = _table(loaded)
    named = next((table[name] for name in ENVIRONMENTS if name in table), None)
    return named if named is not None else file_names.environment_of(folder)


def hyperparameters(folder: Path) -> dict[str, Any]:
    """CleanRL's table of hyper-parameters in the event files of a folder; empty without one, or if they
    cannot be read. Texts that are numbers, truth values or None are converted."""
    loaded = [events for path in sorted(folder.glob("*tfevents*")) if (events := _load(path)) is not None]
    return {name: literal(text) for name, text in _table(loaded).items()}


def _table(loaded: Sequence[Events]) -> Mapping[str, str]:
    """The rows `|name|value|` of texts whose tag begins with `hyperparameters`."""
    found: dict[str, str] = {}
    for events in loaded:
        for tag, text in events.texts.items():
            if tag.startswith("hyperparameters"):
                rows = (
                    [cell.strip() for cell in line.strip().strip("|").split("|")]
                    for line in text.splitlines()
                )
                found |= {row[0]: row[1] for row in rows if len(row) == 2}
    return {name: value for name, value in found.items() if name not in ("param", "-")}
