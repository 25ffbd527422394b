"""What `rlparity train` answers: the final value of one arm with its interval, and how it compares.

By the same functions as a report: `summarize.score` and `summary`, `verdicts.verdicts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rlparity.analysis import plans, summarize, tables, verdicts
from rlparity.arms import Arm

ENDPOINT, STATISTIC = "final", "mean"


def write(collected: Path, into: Path) -> None:
    """Write `scores.csv`, `summary.csv` and `verdicts.csv` into a folder, from the tables of records."""
    plan = plans.read(collected / "plan.json", "train again")
    evaluations, runs = (tables.read(collected / f"{name}.parquet") for name in ("evaluations", "runs"))
    scores = summarize.score(summarize.evaluation_points(evaluations, plan), runs, plan)
    made = {
        "scores": scores,
        "summary": summarize.summary(scores),
        "verdicts": verdicts.verdicts(scores, plan),
    }
    for name, table in made.items():
        tables.write_csv(into, name, table)


def final(report: Path, arm: Arm) -> list[dict[str, Any]]:
    """The rows of `summary.csv` about the mean final value of an arm, one for each metric."""
    rows = tables.read(report / "summary.csv")
    chosen = rows[
        (rows["implementation"] == arm.implementation)
        & (rows["algorithm"] == arm.algorithm)
        & (rows["endpoint"] == ENDPOINT)
        & (rows["statistic"] == STATISTIC)
    ]
    return [plain(row) for row in chosen.to_dict("records")]


def judged(report: Path) -> list[dict[str, Any]]:
    """All rows of `verdicts.csv` as plain data; none where the report has no verdicts."""
    file = report / "verdicts.csv"
    return [plain(row) for row in tables.read(file).to_dict("records")] if file.is_file() else []


def plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of a table as JSON has it: None for what is missing."""
    found = {str(key): value.item() if hasattr(value, "item") else value for key, value in row.items()}
    return {key: None if pd.isna(value) else value for key, value in found.items()}
