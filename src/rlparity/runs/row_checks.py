"""Check the rows that a candidate leaves before its seed is done: whose they are, how many, and where."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rlparity.cell import Cell
from rlparity.training.recorder import Recorder

ARM = ("implementation", "algorithm", "environment")
Rows = Sequence[Mapping[str, Any]]


def check(recorder: Recorder) -> None:
    """Fail the one seed of a recorder whose rows cannot be those of its cell; a failed one stays as it is."""
    cell = recorder.cell
    seed = cell.seeds[0]
    if seed not in recorder.failed and (problem := bad_rows(cell, recorder.episodes, recorder.evaluations)):
        recorder.failed[seed] = problem


def bad_rows(cell: Cell, episodes: Rows, evaluations: Rows) -> str | None:
    """What is wrong with the rows of a cell with one seed, in one line; None if nothing is."""
    for kind, rows in (("episode", episodes), ("evaluation", evaluations)):
        problem = _foreign(cell, kind, rows) or _misplaced(cell, kind, rows)
        if problem:
            return problem
    if not episodes and not evaluations:
        return "it left no returns"
    for n, row in enumerate(episodes, 1):
        if not math.isfinite(row["episode_return"]) or row["episode_length"] < 0:
            return f"episode {n}: return {row['episode_return']}, length {row['episode_length']}"
    for n, row in enumerate(evaluations, 1):
        if not math.isfinite(row["value"]) or row["protocol"] not in cell.evaluation.modes:
            return f"evaluation {n}: {row['metric']} {row['value']} by {row['protocol']}"
    return None


def bad_training(cell: Cell, episodes: Rows, env_step: int) -> str | None:
    """What is wrong with the training of a Python candidate, whose steps were counted; None if nothing is."""
    if env_step < cell.budget:
        return f"its process counted {env_step:,} of {cell.budget:,} environment steps"
    steps = sum(row["episode_length"] for row in episodes)
    if steps > cell.budget and not cell.environment.startswith("ALE/"):
        return f"its episodes have {steps:,} steps, its budget {cell.budget:,}"
    return None


def bad_evaluations(cell: Cell, evaluations: Rows) -> str | None:
    """What lacks of the protocol's evaluations of a Python candidate; None if nothing does.

    Its sub-environments are stepped in turn, so an evaluation may come late, by as many steps as there are of
    them, and points that are closer to each other than that have one together.
    """
    protocol, found = cell.evaluation, dict[int, int]()
    spacing = cell.budget / protocol.points
    for row in evaluations:
        found[row["env_step"]] = found.get(row["env_step"], 0) + 1
    reached = [0, *found, cell.budget] if found else []
    gaps = [after - before for before, after in pairwise(reached)]
    if not found or max(gaps) > spacing + max(spacing, cell.n_envs) or cell.budget not in found:
        return f"it was evaluated at {_steps(found)} of {cell.budget:,} environment steps"
    for step, count in found.items():
        wanted = protocol.final_episodes if step == cell.budget else protocol.episodes
        if count != wanted * len(protocol.modes):
            return f"{count} episodes were evaluated at environment step {step:,}, not {wanted}"
    return None


def bad_point(cell: Cell, last: int, point: int, env_step: int) -> str | None:
    """Why a candidate cannot be evaluated at this point and step after the point `last`; None if it can."""
    points, budget = cell.evaluation.points, cell.budget
    right = env_step == budget if point == points else point == env_step * points // budget
    if right and last < point <= points and 0 <= env_step <= budget:
        return None
    return f"it asked for evaluation {point} of {points} at environment step {env_step:,} of {budget:,}"


def _foreign(cell: Cell, kind: str, rows: Rows) -> str | None:
    for n, row in enumerate(rows, 1):
        for name, value in (*((name, getattr(cell, name)) for name in ARM), ("seed", cell.seeds[0])):
            if row[name] != value:
                return f"{kind} {n} is of {name} {row[name]!r}, not {value!r}"
    return None


def _misplaced(cell: Cell, kind: str, rows: Rows) -> str | None:
    last = 0
    for n, row in enumerate(rows, 1):
        if not last <= row["env_step"] <= cell.budget:
            allowed = f"{last:,} to {cell.budget:,} are possible"
            return f"{kind} {n} is at environment step {row['env_step']:,}; {allowed}"
        last = row["env_step"]
    return None


def _steps(found: Iterable[int]) -> str:
    steps = [f"{step:,}" for step in found]
    shown = steps if len(steps) < 7 else [*steps[:3], "...", *steps[-3:]]
    return ", ".join(shown) or "none"
