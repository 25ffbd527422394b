"""The columns of all tables, from their schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blocks.markdown import ROOT, code, escaped, table
from blocks.package import RECORDS, TABLES
from blocks.reports import committed

CAPTIONS = ROOT / "workflow" / "report"


def columns() -> str:
    """A section for each table: where it lies, what it holds, its columns."""
    return "\n\n".join(part(name, described) for name, described in TABLES.items())


def part(name: str, described: Mapping[str, Any]) -> str:
    """The section of one table."""
    rows = [(code(key), column.dtype, escaped(column.meaning)) for key, column in described.items()]
    file = CAPTIONS / f"{name}.rst"
    caption = file.read_text(encoding="utf-8").strip().partition(": ")[2] if file.is_file() else ""
    about = [f"File: {place(name)}.", caption[:1].upper() + caption[1:]]
    return f"## {name}\n\n{' '.join(filter(None, about))}\n\n{table('column | type | meaning', rows)}"


def place(name: str) -> str:
    """Where a table lies."""
    if name in RECORDS:
        folder = "`results/<suite>/<environment>/<implementation>/<algorithm>/<seeds>/"
        return f"{folder}{name}.parquet`, and of all cells `results/<suite>/tables/{name}.parquet`"
    found = [path.parent for path in committed(f"{name}.csv")]
    if not found:
        return f"`results/<suite>/tables/{name}.parquet`"
    of_suites = any((folder / "plan.json").is_file() for folder in found)
    return f"`reports/{'<suite>' if of_suites else found[0].name}/{name}.csv`"
