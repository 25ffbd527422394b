"""Planted bugs of the analysis, and which its own checks catch: apart from those of what trains.

What a bug's first run found stays in the table when the checks are changed for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rlparity.analysis import tables
from rlparity.analysis.schemas import TABLES
from rlparity.reporting.formatting import NONE, seconds
from rlparity.reporting.pages.elements import Table
from rlparity.reporting.pages.simple_page import Section

NAME = "analysis"  # of the table beside the page
FIRST = ("first", "first_evidence", "first_commit")
TEXT = (
    "Bugs in statistics, tables, verdicts and comparisons with published numbers. Nothing is trained: the "
    "analysis is checked on numbers worked out by hand, on relations that must hold and on drawn seeds "
    "(`rlparity dev calibrate --quick`). The first run is that of the checks as they were written before "
    "anybody who wrote them had seen the bugs. To repeat: `rlparity dev sensitivity sensitivity --analysis`."
)


def write(content: Mapping[str, Any], report: Path) -> None:
    """Write analysis.csv from outcomes of trials. Rows of bugs that were not tried stay, and of all bugs what
    their first run found."""
    made, commit = content["hardware"], str(content["git"]["commit"] or "")
    origin = {
        "hardware": f"{made['cpu']}, {made['cores']} cores",
        "versions": ", ".join(f"{name} {number}" for name, number in sorted(content["versions"].items())),
        "commit": commit + "+" * bool(content["git"]["dirty"]),
    }
    known = read(report)
    before = {row["bug"]: {key: row[key] for key in FIRST} for row in known.to_dict("records")}
    rows = []
    for row in content["trials"]:
        first = before.get(row["bug"])
        if first is None or pd.isna(first["first"]):
            values = (row["caught"], row["evidence"], origin["commit"])
            first = dict(zip(FIRST, values, strict=True))
        keys = set(TABLES[NAME]) - origin.keys() - set(FIRST)
        rows.append({key: row[key] for key in keys} | first | origin)
    tried = {row["bug"] for row in rows}
    kept = [row for row in known.to_dict("records") if row["bug"] not in tried]
    order = {bug: place for place, bug in enumerate(known["bug"])}
    rows = sorted([*kept, *rows], key=lambda row: order.get(str(row["bug"]), len(order)))
    tables.write_csv(report, NAME, tables.frame(NAME, rows))


def read(report: Path) -> pd.DataFrame:
    """The committed table; without rows if there is none."""
    if not (report / f"{NAME}.csv").is_file():
        return tables.frame(NAME, [])
    found = tables.read(report / f"{NAME}.csv")
    texts = [key for key, column in TABLES[NAME].items() if column.dtype == "str"]
    found[texts] = found[texts].fillna("")
    return found


def answer(report: Path) -> str:
    """The result in a sentence; empty without trials."""
    bugs = read(report)
    bugs = bugs[bugs.kind == "bug"]
    if bugs.empty:
        return ""
    now, first = _count(bugs.caught), _count(bugs["first"])
    return f"Of {len(bugs)} bugs in the analysis its own checks catch {now}, at their first run {first}."


def _count(flags: pd.Series) -> int:
    return int(flags.fillna(False).astype(bool).sum())


def sections(report: Path) -> Iterator[Section]:
    """What the checks catch, now and at the first run; none without trials."""
    found = read(report)
    if found.empty:
        return
    counts = []
    for kind in dict.fromkeys(found.kind):
        rows = found[found.kind == kind]
        waiting = int((rows.status == "not run").sum())
        numbers = [_count(rows["first"]), _count(rows.caught), waiting]
        counts.append([kind, str(len(rows)), *map(str, numbers), seconds(rows.seconds.median())])
    head = ["kind", "planted", "alarms at the first run", "alarms now", "not run", "median time to alarm"]
    file = f"{NAME}.csv"
    each = [
        [row.bug, row.title, _word(row.first), _word(row.caught), row.evidence or row.reason or NONE]
        for row in found.itertuples()
    ]
    commits = ", ".join(dict.fromkeys(commit[:12] for commit in found.first_commit))
    now = ", ".join(dict.fromkeys(commit[:12] for commit in found.commit))
    last = found.iloc[-1]
    made = f"First runs: commit {commits}. Now: commit {now}, {last.hardware}, {last.versions}."
    yield Section(
        "Bugs in the analysis",
        text=[TEXT, made],
        tables=[
            Table(head, counts, file, frozenset(range(1, len(head)))),
            Table(["bug", "what it does", "first run", "now", "first check that failed"], each, file),
        ],
        wide=[1, 4],
    )


def _word(flag: Any) -> str:
    return NONE if pd.isna(flag) else "\N{CHECK MARK}" if flag else "silent"
