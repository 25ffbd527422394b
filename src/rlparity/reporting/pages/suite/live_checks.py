"""Whether seeds of references that were trained where a report was made confirm the shipped records."""

from __future__ import annotations

from typing import Any

from rlparity.analysis.live_checks import CONFIRMED, INSIDE, NOT_JUDGED, OTHER, OUTSIDE, SAME
from rlparity.reporting.formatting import join, number
from rlparity.reporting.pages.elements import Table
from rlparity.reporting.report_folder import Folder

NOT_CONFIRMED = "references not confirmed here"
RETRAIN = "references=train"


def unconfirmed(folder: Folder) -> list[str]:
    """A sentence for every reference whose seed trained here does not confirm its shipped records."""
    rows = folder.tables["live_checks"].to_dict("records")
    return [_sentence(folder, row) for row in rows if row["outcome"] not in CONFIRMED]


def _sentence(folder: Folder, row: dict[str, Any]) -> str:
    name = f"{folder.title(row['algorithm'])} on {row['environment']}, seed {row['seed']}"
    if row["outcome"] == OTHER:
        return f"{name}, trained here on the same kind of machine, has other rows: {row['difference']}."
    where = "trained here on another or an unknown kind of machine or on a GPU"
    if row["outcome"] == NOT_JUDGED:
        return f"{name}, {where}, has other rows, and could not be judged by its score: {_lacks(row)}."
    return (
        f"{name}, {where}, has an area under the curve of {number(row['value'])}, outside {_interval(row)}, "
        "the 99.9 % prediction interval of one more seed."
    )


def _lacks(row: dict[str, Any]) -> str:
    few = f"{row['seeds']} shipped seed{'s' * (row['seeds'] != 1)} with a score"
    return f"there is no range of {few}" if row["seeds"] < 2 else "it has no score"


def confirmed(folder: Folder) -> str:
    """Whether references trained here are as shipped, for the facts below the title; empty where none was."""
    found = folder.tables["live_checks"].outcome
    if found.empty:
        return ""
    words = {
        SAME: "the same rows",
        INSIDE: "on another processor with a score within their range",
        OTHER: "other rows",
        OUTSIDE: "a score outside their range",
        NOT_JUDGED: "other rows, which could not be judged",
    }
    counted = [f"{(found == outcome).sum()} of {len(found)} {text}" for outcome, text in words.items()]
    return "one seed each trained here: " + join(
        text for text, outcome in zip(counted, words, strict=True) if (found == outcome).any()
    )


def table(folder: Folder) -> Table:
    """The live checks, a row for each reference."""
    rows = [
        [
            f"{row['implementation']} {row['algorithm']} on {row['environment']}, seed {row['seed']}",
            str(row["outcome"]),
            number(row["value"]),
            f"{_interval(row)} ({row['seeds']} seeds)",
            _text(row["difference"]) or "none",
            f"{row['shipped_on']} / {row['trained_on']}",
        ]
        for row in folder.tables["live_checks"].to_dict("records")
    ]
    head = ["seed", "outcome", "area", "99.9 % prediction", "first row that differs", "shipped / trained on"]
    return Table(head, rows, "live_checks.csv", frozenset({2}))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _interval(row: dict[str, Any]) -> str:
    return f"[{number(row['low'])}, {number(row['high'])}]"
