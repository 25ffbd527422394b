"""What an episode and an evaluation become in a run's records: the columns of `rlparity.records`."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

from rlparity.cell import Cell
from rlparity.training.evaluation import Outcome
from rlparity.transitions import Episode


def key(cell: Cell, seed_index: int, env_step: int) -> dict[str, Any]:
    """The columns that every row has."""
    names = {name: getattr(cell, name) for name in ("implementation", "algorithm", "environment")}
    return {**names, "seed": cell.seeds[seed_index], "env_step": env_step}


def of_episodes(cell: Cell, failed: Container[int], episodes: Iterable[Episode]) -> list[dict[str, Any]]:
    """Rows of the episodes that ended in training, up to the budget, without those of failed seeds."""
    return [
        {**key(cell, s, env_step), "episode_return": total, "episode_length": length}
        for s, _, env_step, total, length in episodes
        if cell.seeds[s] not in failed and env_step <= cell.budget
    ]


def of_evaluation(
    cell: Cell, failed: Container[int], env_step: int, outcomes: Iterable[Outcome]
) -> list[dict[str, Any]]:
    """Rows of one evaluation, without those of failed seeds."""
    return [
        {**key(cell, seed_index, env_step), **dict(zip(Outcome._fields[1:], values, strict=True))}
        for seed_index, *values in outcomes
        if cell.seeds[seed_index] not in failed
    ]
