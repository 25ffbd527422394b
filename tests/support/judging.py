"""Read logs of several seeds as `rlparity validate` does, up to their scores."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from known_runs import CARTPOLE, Run, area

from rlparity.log_readers import convert, seeds
from rlparity.log_readers.checks import Expected
from rlparity.log_readers.series import Reading, Refused

MODES = ("deterministic", "sampled")


class Judged(NamedTuple):
    """What came of logs."""

    training: float  # mean of the areas under the training returns; NaN without any
    evaluated: float  # mean of all evaluated returns; NaN without any
    seeds: list[int]  # that were read
    notes: str  # a line each
    refused: dict[int, str]  # by seed; -1: all, before any was read


def judge(base: Path, logs: str = ".", expected: Expected = CARTPOLE, **returns: Any) -> Judged:
    """Read all seeds below a folder. Every message must be one line."""
    candidate = {"logs": logs, "returns": returns}
    try:
        found = seeds.of(candidate, expected.environment, base)
    except Refused as error:
        return Judged(np.nan, np.nan, [], "", {-1: one_line(error)})
    areas: list[float] = []
    evaluated: list[float] = []
    read: list[int] = []
    notes, refused = list(found.notes), dict[int, str]()
    for seed, files in found.files.items():
        try:
            logged = convert.read(files, Reading.of(returns), expected, MODES, seed)
        except Refused as error:
            refused[seed] = one_line(error)
            continue
        read.append(seed)
        notes += logged.notes
        if logged.episodes:
            names = ("env_step", "episode_return", "episode_length")
            rows = Run(*(np.array([row[name] for row in logged.episodes], dtype=float) for name in names))
            assert (np.diff(rows.step) >= 0).all() and rows.step.max() <= expected.budget
            areas.append(area(rows, expected))
        evaluated += [row["value"] for row in logged.evaluations]
    assert not any("\n" in note for note in notes)
    mean = [float(np.mean(values)) if values else np.nan for values in (areas, evaluated)]
    return Judged(mean[0], mean[1], read, "\n".join(notes), refused)


def one_line(error: Refused) -> str:
    """The message, which must be one line without traces of Python."""
    line = str(error)
    assert line and "\n" not in line and not re.search(r"np\.|Traceback|<class|array\(", line), line
    return line
