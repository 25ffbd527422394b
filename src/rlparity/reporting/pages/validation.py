"""The results of the layers of validation: a section of a report, or a page where nothing was trained."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from rlparity.analysis.columns import scores
from rlparity.reporting.formatting import NONE, seconds
from rlparity.reporting.pages.elements import Table
from rlparity.reporting.pages.simple_page import Section, SimplePage

FILE = "validation.csv"
HEAD = ("layer", "check", "result", "evidence", "time")
WIDE = (1, 3)
DIFFERENCES = ("differs", "FAIL")  # results of parity; the second with `--strict`
MEANING = (
    "Contract: rules that every implementation must keep. Parity: its update beside the reference's, on the "
    "same weights, batches and random draws. Statistics: its scores beside the reference's, over seeds."
)


def layers(report: Path) -> Table:
    """The section's table; without rows where the report is of no validation."""
    file = report / FILE
    if not file.is_file():
        return Table(HEAD, [])
    found = pd.read_csv(file, dtype=str, keep_default_na=False)
    rows = [
        [*map(str, row[:4]), seconds(float(row[4])) if row[4] else NONE]
        for row in found.itertuples(index=False)
    ]
    return Table(HEAD, rows, FILE, frozenset({4}))


def update_differs(report: Path) -> str:
    """A sentence where parity found a difference, with the first check that did; empty where it did not."""
    rows = [row for row in layers(report).rows if row[0] == "parity" and row[2] in DIFFERENCES]
    if not rows:
        return ""
    return (
        f"Its update differs from the reference's in {len(rows)} check{'s' * (len(rows) > 1)} of parity, "
        f"whatever the returns show. The first: {rows[0][1]}: {rows[0][3]}"
    )


def render(report: Path, title: str) -> Path:
    """Write the page of a validation without statistics; returns it.

    The plan and the tables of an earlier one that had some are removed: the index would show its verdict.
    """
    for name in ("plan.json", *(f"{table}.csv" for table in scores.TABLES)):
        (report / name).unlink(missing_ok=True)
    table = layers(report)
    reasons = [f"{row[0]}: {row[3]}" for row in table.rows if row[2] == "not run"]
    section = Section("Layers", (MEANING,), tables=(table,), wide=WIDE)
    page = SimplePage(
        "validation", title, "An implementation, checked layer by layer.", "; ".join(reasons), (section,)
    )
    return page.render(report)
