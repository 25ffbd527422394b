"""The tables of the sensitivity page, from the rows of `trials`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from rlparity.reporting.formatting import NONE, join, seconds
from rlparity.reporting.pages.elements import Table
from rlparity.reporting.pages.simple_page import Section


def caught(rows: pd.DataFrame) -> pd.Series:
    """By mutation: whether any layer caught it."""
    return rows.assign(caught=rows.caught.fillna(False).astype(bool)).groupby("bug", sort=False).caught.any()


def share(flags: pd.Series) -> str:
    """How many of the flags are set, in per cent."""
    return f"{100 * flags.mean():.1f} %" if len(flags) else NONE


def by_layer(mutated: pd.DataFrame, layers: Sequence[str]) -> Table:
    """A row per layer: bugs caught, alarms at changes that are no bugs, trials not run."""
    head = ["layer", "bugs tried", "caught", "share", "by no other layer", "median time to alarm"]
    head += ["alarms at refactorings", "alarms at harmless differences", "not run"]
    alone = Counter(_only(mutated[mutated.kind == "bug"]).values())
    cells = []
    for layer in layers:
        rows = mutated[mutated.layer == layer]
        counted = {
            kind: rows[(rows.kind == kind) & rows.caught.notna()] for kind in sorted(set(mutated.kind))
        }
        bugs = counted.get("bug", rows.iloc[:0])
        alarms = bugs[bugs.caught.astype(bool)]
        others = [
            f"{int(counted[kind].caught.sum())} of {len(counted[kind])}" if kind in counted else NONE
            for kind in ("refactoring", "harmless")
        ]
        found = share(bugs.caught.astype(float))
        waiting = str((rows.status == "not run").sum())
        line = [layer, str(len(bugs)), str(len(alarms)), found, str(alone[layer])]
        cells.append([*line, seconds(alarms.seconds.median()), *others, waiting])
    return Table(head, cells, "matrix.csv", frozenset(range(1, len(head))))


def _only(bugs: pd.DataFrame) -> dict[str, str]:
    """Bugs that only one layer caught: bug -> layer."""
    found = bugs[bugs.caught.fillna(False).astype(bool)].groupby("bug", sort=False).layer.unique()
    return {str(bug): layers[0] for bug, layers in found.items() if len(layers) == 1}


def missed(bugs: pd.DataFrame) -> Section:
    """The bugs that no layer caught, with the results of the layers."""
    found = caught(bugs)
    rows = bugs[bugs.bug.isin(found.index[~found])]
    if rows.empty:
        return Section("Missed", text=["Every bug that was planted is caught by some layer."])
    cells = []
    for bug, part in rows.groupby("bug", sort=False):
        results = [f"{row.layer}: {row.reason or row.evidence}" for row in part.itertuples()]
        first = part.iloc[0]
        cells.append(
            [bug, first.title, f"{first.agent}, {first.environment}", first.hides or NONE, "; ".join(results)]
        )
    head = ["bug", "what it does", "tried with", "hides in", "results of the layers"]
    return Section("Missed", tables=[Table(head, cells, "trials.csv")], wide=[1, 3, 4])


def alone(bugs: pd.DataFrame, layers: Sequence[str]) -> Section:
    """The bugs that only one layer catches."""
    only, titles = _only(bugs), bugs.drop_duplicates("bug").set_index("bug").title
    cells = [[layer, bug, titles[bug]] for layer in layers for bug, seen in only.items() if seen == layer]
    return Section(
        "Caught by one layer only",
        text=["Bugs that a suite without that layer would miss." if cells else "None."],
        tables=[Table(["layer", "bug", "what it does"], cells, "matrix.csv")] if cells else [],
    )


def matrix(rows: pd.DataFrame, layers: Sequence[str]) -> Table:
    """A row for each mutation, agent and environment, a column for each layer."""
    keys = ["bug", "agent", "environment"]
    cells = []
    for (bug, agent, environment), part in rows.groupby(keys, sort=False):
        outcomes = {row.layer: _outcome(row) for row in part.itertuples()}
        found = [outcomes.get(layer, NONE) for layer in layers]
        cells.append([bug, part.title.iloc[0], f"{agent}, {environment}", *found])
    return Table(["bug", "what it does", "tried with", *layers], cells, "matrix.csv")


def _outcome(row: Any) -> str:
    if row.status == "not run":
        return "not run"
    if pd.isna(row.caught):
        return "undecided"
    return f"\N{CHECK MARK} {seconds(row.seconds)}" if row.caught else "silent"


def evidence(mutated: pd.DataFrame) -> Table:
    """For each mutation and layer that caught it, the first check that failed."""
    rows = mutated[mutated.caught.fillna(False).astype(bool)]
    cells = [[row.bug, row.layer, seconds(row.seconds), row.evidence] for row in rows.itertuples()]
    return Table(["bug", "layer", "time", "first check that failed"], cells, "trials.csv", frozenset({2}))


def not_run(trials: pd.DataFrame) -> Section:
    """The trials that were not run, by layer and reason."""
    rows = trials[(trials.status == "not run") & (trials.bug != "")]
    if rows.empty:
        return Section("Not run", text=["Every trial was run."])
    cells = [
        [str(layer), reason, str(len(part)), join(dict.fromkeys(part.bug), 12)]
        for (layer, reason), part in rows.groupby(["layer", "reason"], sort=False)
    ]
    head = ["layer", "why", "trials", "mutations"]
    return Section("Not run", tables=[Table(head, cells, "trials.csv", frozenset({2}))], wide=[1, 3])
