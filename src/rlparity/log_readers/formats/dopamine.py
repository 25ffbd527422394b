"""Dopamine's baselines: JSON with rows of agent, iteration and value, the mean return of an iteration."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rlparity.atari_names import game_of
from rlparity.log_readers.series import TRAINING, Reading, Refused, Series, numbers

KEYS = ("Iteration", "Value")
MEANS = "values are means over an iteration, not returns of single episodes"
Pair = tuple[Any, Any]  # iteration and value


def read(paths: Sequence[Path], reading: Reading) -> tuple[list[Series], list[str]]:
    """Read every run of each file, and name the files that cannot be read, if others can."""
    found, problems = [], []
    for path in paths:
        try:
            found += _file(path, reading)
        except Refused as error:
            problems.append(str(error))
    if not found:
        raise Refused("; ".join(problems))
    return found, problems


def _file(path: Path, reading: Reading) -> list[Series]:
    rows = _rows(path)
    agents = sorted({str(row.get("Agent", "")) for row in rows})
    if reading.agent and reading.agent not in agents:
        raise Refused(f"{path}: no rows of agent {reading.agent!r}; there are {', '.join(agents)}")
    if not reading.agent and len(agents) > 1:
        raise Refused(f"{path}: rows of several agents, name one with `agent`: {', '.join(agents)}")
    if not reading.iteration_steps:
        raise Refused(f"{path}: name the environment steps of an iteration with `iteration_steps`")
    mine = [row for row in rows if not reading.agent or row["Agent"] == reading.agent]
    iterations = numbers([_plain(path, row["Iteration"]) for row in mine], str(path), "Iteration")
    values = numbers([_plain(path, row["Value"]) for row in mine], str(path), "Value")
    runs, note = _runs(path, list(zip(iterations.tolist(), values.tolist(), strict=True)))
    notes = (MEANS, note) if len(runs) > 1 else (MEANS,)
    game = game_of(path.stem)  # the file does not name it
    return [
        Series(
            f"{path}, run {run}",
            TRAINING,
            (np.array([pair[0] for pair in pairs]) + 1) * reading.iteration_steps,
            np.array([pair[1] for pair in pairs]),
            np.zeros(len(pairs)),
            run if len(runs) > 1 else None,
            f"ALE/{game}-v5" if game else None,
            notes,
            means=True,
            files=(path,),
        )
        for run, pairs in enumerate(runs)
    ]


def _plain(path: Path, value: Any) -> Any:
    if isinstance(value, dict | list | bool):
        raise Refused(f"{path}: {str(value)[:40]!r} is not a number")
    return value


def _runs(path: Path, pairs: list[Pair]) -> tuple[list[list[Pair]], str]:
    """The rows of each run: one after the other where iterations start again, else the n-th row of each
    iteration. Raises Refused if a run lacks an iteration."""
    starts = [i for i, pair in enumerate(pairs) if i == 0 or pair[0] < pairs[i - 1][0]]
    pieces = [pairs[a:b] for a, b in zip(starts, [*starts[1:], None], strict=True)]
    if len(pieces) > 1 and all(_counts_up(piece) for piece in pieces):
        return pieces, "runs have no seed: they are numbered in the order of the file"
    counts = Counter(pair[0] for pair in pairs)
    wanted = set(range(int(max(counts)) + 1)) if np.isfinite(list(counts)).all() else set()
    if missing := sorted(wanted - counts.keys()):
        raise Refused(f"{path}: iteration {missing[0]} is missing")
    if wanted != counts.keys():
        odd = next(iteration for iteration in counts if iteration not in wanted)
        raise Refused(f"{path}: iteration {odd} is not a whole number from 0")
    most = max(counts.values())
    if few := sorted(iteration for iteration, count in counts.items() if count < most):
        raise Refused(
            f"{path}: iteration {few[0]:.0f} has {counts[few[0]]} rows, others {most}: one of a run is "
            "missing, and rows do not name their run"
        )
    seen: Counter[Any] = Counter()
    runs: list[list[Pair]] = [[] for _ in range(most)]
    for pair in pairs:
        runs[seen[pair[0]]].append(pair)
        seen[pair[0]] += 1
    return runs, "runs have no seed: the n-th row of an iteration is assumed to be of run n"


def _counts_up(piece: list[Pair]) -> bool:
    return [pair[0] for pair in piece] == list(range(len(piece)))


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path}: not JSON ({str(error).splitlines()[0]})") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise Refused(f"{path}: not Dopamine's JSON, which is a list of mappings")
    for name in KEYS:
        if lacking := [i for i, row in enumerate(rows) if name not in row]:
            raise Refused(f"{path}: row {lacking[0] + 1} has no {name!r}; Dopamine's have {', '.join(KEYS)}")
    return rows
