"""Families of tests: which verdicts of a report share Holm's correction.

The primary endpoints of all pairs form one family, their secondary endpoints another. A row counts only if it
could be decided at all: that both arms have enough seeds, that there is a floor and that the reference has
learned is known from numbers of seeds and from the reference's arm, before anything is compared. Rows of
which all values are the same do not count either: that is known from both arms together, without looking
which value is whose, and no such row can show a difference (Tarone 1990).

With the family `row` every row is a family of its own: what else a suite holds changes no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlparity.analysis import statistics

PRIMARY, SECONDARY = "primary", "secondary"
REPORT, ROW = "report", "row"
NO_SPREAD = "no arm has a spread over seeds, and they differ by less than the margin"  # seen by comparing


def adjusted(rows: Sequence[Mapping[str, Any]], family: str = REPORT) -> list[dict[str, Any]]:
    """Of each row `p_holm` and `family_size`, from its `role`, `reason` and `p_difference`.

    A row in no family has a size of 0, and p_holm is NaN.
    """
    found = [{"p_holm": np.nan, "family_size": 0} for _ in rows]
    for members in _families(rows, family):
        p = statistics.holm([rows[place]["p_difference"] for place in members])
        for place, value in zip(members, p, strict=True):
            found[place] = {"p_holm": value, "family_size": len(members)}
    return found


def counts(row: Mapping[str, Any]) -> bool:
    """Whether a row is in a family: nothing stands against a verdict but what its comparison itself shows."""
    return row["reason"] in ("", NO_SPREAD) and not np.isnan(row["p_difference"])


def _families(rows: Sequence[Mapping[str, Any]], family: str) -> list[list[int]]:
    """Places of the rows of each family."""
    members = [place for place, row in enumerate(rows) if counts(row)]
    if family == ROW:
        return [[place] for place in members]
    return [[place for place in members if rows[place]["role"] == role] for role in (PRIMARY, SECONDARY)]
