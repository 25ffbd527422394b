"""The columns of every table, CSV or Parquet: names, dtypes, and their meaning with the unit."""

from __future__ import annotations

from rlparity.analysis.columns import runs, scores, validation
from rlparity.analysis.columns.column import Column

TABLES: dict[str, dict[str, Column]] = runs.TABLES | scores.TABLES | validation.TABLES


def required(table: str) -> list[str]:
    """Columns that a table of a report has, whichever version wrote it; others were added later."""
    return [name for name, column in TABLES[table].items() if column.required]
