"""Small tables and plans that checks start from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rlparity.analysis import tables
from rlparity.analysis.verdicts import verdicts

PLACE = "Made-v0"  # an environment of which no rule bounds the return
NAN = float("nan")
Arms = Mapping[tuple[str, str], Sequence[float]]  # (implementation, algorithm) -> scores of seeds 0, 1, ...
FLOOR = ("scratch", "random")


def scores(
    arms: Arms, endpoint: str = "auc", environment: str = PLACE, metric: str = "return"
) -> list[dict[str, Any]]:
    """Rows of table `scores`."""
    return [
        {
            "implementation": implementation,
            "algorithm": algorithm,
            "environment": environment,
            "metric": metric,
            "seed": seed,
            "endpoint": endpoint,
            "value": value,
        }
        for (implementation, algorithm), values in arms.items()
        for seed, value in enumerate(values)
    ]


def plan(
    *algorithms: str, environments: Sequence[str] = (PLACE,), margin: float = 0.2, **more: Any
) -> dict[str, Any]:
    """A plan in which SB3's configuration of the same name is each one's reference."""
    about: dict[str, Any] = {name: {"agent": name, "reference": name} for name in algorithms}
    about["random"] = {"agent": "random", "reference": None}
    return {
        "name": "made-up",
        "margin": margin,
        "algorithms": about,
        "environments": {
            name: {"algorithms": [*algorithms, "random"], "threshold": None} for name in environments
        },
        "cells": [],
        **more,
    }


def verdict(
    ours: Sequence[float],
    reference: Sequence[float],
    floor: Sequence[float] = (0.0, 1.0, -1.0, 0.0, 0.0),
    margin: float = 0.2,
    **more: Any,
) -> dict[str, Any]:
    """The row of one pair with the endpoint `auc` alone (that of `final` has no scores)."""
    arms = {("scratch", "ppo"): ours, ("sb3", "ppo"): reference, FLOOR: floor}
    return rows(scores(arms), plan("ppo", margin=margin, **more))[0]


def rows(table: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All rows of verdicts."""
    made = verdicts(tables.frame("scores", table), about)
    return [{str(key): value for key, value in line.items()} for line in made.to_dict("records")]


def only(table: pd.DataFrame, **keys: Any) -> dict[str, Any]:
    """The only row of a table with these values."""
    for key, value in keys.items():
        table = table[table[key] == value]
    if len(table) != 1:
        raise LookupError(f"{len(table)} rows have {keys}")
    return {str(key): value for key, value in table.iloc[0].to_dict().items()}
