"""Stable-Baselines3's `monitor.csv`: a line of JSON, then a row of r, l, t for each episode."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlparity.log_readers.formats import text
from rlparity.log_readers.series import Refused

COLUMNS = ("r", "l", "t")
FALL = 0.5  # of the time so far; a fall below it is a restart, a smaller one the disorder of several writers
RESTARTS = 0.1  # of the rows, at most, may be restarts


class Part(NamedTuple):
    """The rows of one monitor file."""

    path: Path
    environment: str | None
    episode_return: NDArray[np.float64]  # (n,)
    episode_length: NDArray[np.float64]  # (n,)
    time: NDArray[np.float64]  # (n,) seconds since `start`
    start: float  # seconds since 1970; NaN if unknown
    notes: tuple[str, ...]

    @property
    def steps(self) -> float:
        """Steps of its sub-environment, or of all where they share the file."""
        return float(self.episode_length.sum())


def read(path: Path) -> Part:
    """Read one file. A run that was resumed may have appended to it, with a line of JSON of its own or not.

    Raises Refused, naming the line of what is wrong.
    """
    read = text.lines(path)
    header = _header(read.text[0][1:]) if read.text and read.text[0].startswith("#") else None
    if not isinstance(header, dict):
        raise Refused(
            f"{path}: not a monitor file, its first line is not the JSON that Monitor writes; "
            "read as CSV with `format=table` it needs a column of environment steps"
        )
    notes: list[str] = []
    kept = [read.text[0], *_without_headers(path, read.text[1:], header, notes)]
    found = text.table(str(path), read._replace(text=kept), first=1)
    if missing := [name for name in COLUMNS if name not in found.names]:
        raise Refused(f"{path}: no column {', '.join(missing)}; a monitor file has r, l and t")
    found = text.complete(found, COLUMNS)
    returns, length, time = (_column(found, name) for name in COLUMNS)
    if len(wrong := np.flatnonzero((length <= 0) | (length != np.floor(length)))):
        line = found.lines[wrong[0]]
        raise Refused(f"{path}: line {line}: l is {length[wrong[0]]:g}, an episode has at least one step")
    _restarts(path, time, found.lines, notes)
    environment = str(header.get("env_id", None))
    start = header.get("t_start")
    return Part(
        path,
        None if environment in ("None", "") else environment,
        returns,
        length,
        time,
        float(start) if isinstance(start, int | float) else np.nan,
        (*found.notes, *notes),
    )


def _header(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _without_headers(path: Path, lines: Sequence[str], first: dict[str, Any], notes: list[str]) -> list[str]:
    """Empty the lines with which a resumed run began its part. Raises Refused if it was of another
    environment."""
    kept, names = list(lines), ""
    for i, line in enumerate(lines):
        bare = re.sub(r"\s", "", line)
        names = names or ("" if line.startswith("#") else bare)
        if line.startswith("#"):
            again = _header(line[1:])
            if not isinstance(again, dict):
                continue  # a comment
            if again.get("env_id") != first.get("env_id"):
                raise Refused(
                    f"{path}: another run begins at line {i + 2}, in {again.get('env_id')} after "
                    f"{first.get('env_id')}; split it"
                )
            kept[i] = ""
            notes.append(f"another header at line {i + 2}: read as one run that was resumed there")
        elif bare == names and kept[:i].count(line) > 0:
            kept[i] = ""
    return kept


def _column(found: text.Table, name: str) -> NDArray[np.float64]:
    values, blank = text.column(found, name)
    if len(wrong := np.flatnonzero(~np.isfinite(values))):
        i = wrong[0]
        what = "blank" if blank[i] else f"{values[i]}"
        raise Refused(f"{found.source}: line {found.lines[i]}: {name} is {what}")
    return values


def _restarts(path: Path, time: NDArray[np.float64], lines: Sequence[int], notes: list[str]) -> None:
    """Note where time starts again, because a run was resumed. Raises Refused if it does so too often."""
    if len(time) < 2:
        return
    highest, falls = time[0], []
    for i in range(1, len(time)):
        if time[i] < FALL * highest:
            falls.append(i)
            highest = time[i]
        highest = max(highest, time[i])
    if not falls:
        return
    if len(falls) > max(1, RESTARTS * len(time)):
        raise Refused(
            f"{path}: time starts again {len(falls)} times, first at line {lines[falls[0]]}; "
            "did several processes write to it?"
        )
    where = ", ".join(str(lines[i]) for i in falls[:5])
    notes.append(f"time starts again at line {where}: read as one run that was resumed there")
