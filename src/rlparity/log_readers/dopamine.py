"""Dopamine's baselines: JSON with rows of agent, iteration and value, the mean return of an iteration."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlparity.log_readers.series import TRAINING, Reading, Refused, Series, numbers

KEYS = ("Iteration", "Value")


def read(paths: Sequence[Path], reading: Reading) -> list[Series]:
    """Read every run of a file. Runs have no number: the n-th row of an iteration is the n-th run's."""
    return [series for path in paths for series in _file(path, reading)]


def _file(path: Path, reading: Reading) -> list[Series]:
    rows = _rows(path)
    agents = sorted({str(row.get("Agent", "")) for row in rows})
    if reading.agent and reading.agent not in agents:
        raise Refused(f"{path}: no rows of agent {reading.agent!r}; there are {', '.join(agents)}")
    if not reading.agent and len(agents) > 1:
        raise Refused(f"{path}: rows of several agents, name one with `agent`: {', '.join(agents)}")
    if not reading.iteration_steps:
        raise Refused(f"{path}: name the environment steps of an iteration with `iteration_steps`")
    seen: Counter[Any] = Counter()
    runs: dict[int, list[tuple[Any, Any]]] = {}
    for row in rows:
        if not reading.agent or row["Agent"] == reading.agent:
            run = seen[row["Iteration"]]
            seen[row["Iteration"]] += 1
            runs.setdefault(run, []).append((row["Iteration"], row["Value"]))
    note = "values are means over an iteration, not returns of single episodes"
    several = "runs have no seed: the n-th row of an iteration is assumed to be of run n"
    notes = (note, several) if len(runs) > 1 else (note,)
    found = []
    for run, pairs in runs.items():
        source = f"{path}, run {run}"
        iteration = numbers([pair[0] for pair in pairs], source, "Iteration")
        step = (iteration + 1) * reading.iteration_steps
        value = numbers([pair[1] for pair in pairs], source, "Value")
        seed = run if len(runs) > 1 else None
        found.append(Series(source, TRAINING, step, value, np.zeros(len(step)), seed, notes=notes))
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path}: not JSON ({str(error).splitlines()[0]})") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Refused(f"{path}: not Dopamine's JSON, which is a list of mappings")
    for name in KEYS:
        if lacking := [i for i, row in enumerate(rows) if name not in row]:
            raise Refused(f"{path}: row {lacking[0] + 1} has no {name!r}; Dopamine's have {', '.join(KEYS)}")
    return rows
