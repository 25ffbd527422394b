"""The files of a report folder, read and checked: plan.json, the CSV tables, run.json of every record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from rlparity.analysis import schemas
from rlparity.analysis.decisions.families import PRIMARY, SECONDARY
from rlparity.errors import UserError, unknown
from rlparity.metrics import RETURN

TABLES = (
    *("verdicts", "summary", "scores", "paper", "human_normalised", "dqn2013", "curves", "seed_curves"),
    *("profiles", "improvement", "thresholds", "cost", "live_checks", "looks"),
)
BY_METRIC = tuple(  # tables whose rows are of a metric of the plan; older ones do not name it
    name for name in TABLES if "metric" in schemas.TABLES[name] and "metric" not in schemas.required(name)
)


def read_plan(folder: Path) -> dict[str, Any]:
    """The resolved suite. Raises UserError where there is none or it cannot be read."""
    file = folder / "plan.json"
    if not file.is_file():
        there = [place.parent.name for place in folder.parent.glob("*/plan.json")]
        if there and not folder.is_dir():
            raise unknown("report", folder.name, there, str(folder.parent))
        raise UserError(f"{folder}: not a report folder, it has no plan.json")
    try:
        plan: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file}: not JSON ({error})") from None
    missing = [key for key in ("name", "algorithms", "environments") if key not in plan]
    if missing:
        raise UserError(f"{file}: lacks {', '.join(missing)}")
    return plan


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """A table of `TABLES`; empty where the suite made none. Rows without a metric are returns; of verdicts
    without a role, the first of each pair and metric is the primary one.

    Raises UserError where the file is not that table.
    """
    table = _read_csv(folder / f"{name}.csv", name)
    if name in BY_METRIC and "metric" not in table:
        table.insert(table.columns.get_loc("environment") + 1, "metric", RETURN.name)
    if name == "verdicts" and "role" not in table:
        later = table.duplicated(["environment", "metric", "algorithm", "implementation", "reference"])
        table["role"] = later.map({False: PRIMARY, True: SECONDARY})
    return table


def _read_csv(file: Path, name: str) -> pd.DataFrame:
    columns = schemas.required(name)
    empty = pd.DataFrame(columns=columns)
    if not file.is_file():
        return empty
    texts = [key for key, column in schemas.TABLES[name].items() if column.dtype == "str"]
    try:
        table = pd.read_csv(file, dtype=dict.fromkeys(texts, str))
    except pd.errors.EmptyDataError:
        return empty
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: not a table ({str(error).strip()})") from None
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise UserError(f"{file}: lacks the column {', '.join(missing)}")
    return table


def read_runs(folder: Path, plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """run.json of the plan's cells, by path.

    A folder may hold records of other cells: of another part of the suite, from an earlier run.
    """
    planned = {_identity(cell) for cell in plan.get("cells", [])}
    for file in sorted(folder.glob("records/**/run.json")):
        try:
            run = json.loads(file.read_text(encoding="utf-8"))
            if not planned or _identity(run["cell"]) in planned:
                yield run
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{file}: not the record of a run") from None


def _identity(cell: dict[str, Any]) -> tuple[Any, ...]:
    return (cell["environment"], cell["implementation"], cell["algorithm"], *cell["seeds"])
