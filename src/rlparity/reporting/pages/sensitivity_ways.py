"""Planted bugs that come as a user brings an implementation, beside those of our own agents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from rlparity.analysis import tables
from rlparity.reporting.formatting import NONE
from rlparity.reporting.pages.elements import Table
from rlparity.reporting.pages.simple_page import Section

FILE = "candidates.csv"
WORDS = {
    "entry": "Python entry point",
    "parity": "its `update` and `prepare` alone",
    "entry-update": "the same with `update` and `prepare`",
    "command": "command",
    "logs": "finished logs",
}
LOOKS: Mapping[
    str, tuple[tuple[str, str], ...]
] = {  # row of the table -> (way, layer) of the trials that count for it
    "entry": (("entry", "contract"),),
    "parity": (("entry-update", "parity"),),
    "entry-update": (("entry", "contract"), ("entry-update", "parity")),
    "command": (("command", "contract"),),
    "logs": (("logs", "statistics"),),
}
UNFINISHED = "not tried yet"
TEXT = (
    "Our agents, mutated, brought to `rlparity validate` as a user brings an implementation. To an entry "
    "point the validator gives environments, evaluation and checkpoints, so bugs in these cannot be brought. "
    "A command and finished logs show returns alone. Statistics of an entry point and of a command are not "
    "run here: they see the same returns as those of our own agents and of logs."
)


class Count(NamedTuple):
    """Mutations of one kind in one way."""

    tried: int  # all layers of the way have decided
    caught: int
    impossible: int  # cannot be brought, or has no reference
    waiting: int  # not tried yet


def count(found: pd.DataFrame, way: str, kind: str) -> Count:
    """Count the mutations of a kind in rows of `candidates`."""
    tried = caught = impossible = waiting = 0
    looks = LOOKS[way]
    for _, rows in found[found.kind == kind].groupby("bug", sort=False):
        mine = [row for row in rows.itertuples() if (row.way, row.layer) in looks]
        if any(row.status != "done" and row.reason == UNFINISHED for row in mine) or len(mine) < len(looks):
            waiting += 1
        elif all(row.status != "done" for row in mine if (row.way, row.layer) == looks[-1]):
            impossible += 1
        else:
            tried += 1
            caught += any(row.status == "done" and bool(row.caught) for row in mine)
    return Count(tried, caught, impossible, waiting)


def sections(mutated: pd.DataFrame, report: Path) -> Iterator[Section]:
    """The table of ways beside our own agents, and what each way misses; none without candidates.csv."""
    if not (report / FILE).is_file():
        return
    found = tables.read(report / FILE)
    head = ["way", "layers", "bugs tried", "caught", "share", "alarms at refactorings"]
    head += ["alarms at harmless differences", "cannot be brought", "not tried yet"]
    rows = [_ours(mutated, name, layers) for name, layers in OURS.items()]
    rows += [_row(found, way) for way in LOOKS]
    origin = found.iloc[0]
    made = f"Trials of ways: commit {origin.commit[:12]}, {origin.hardware}, {origin.versions}."
    yield Section(
        "As a user brings them",
        text=[TEXT, made],
        tables=[Table(head, rows, FILE, frozenset(range(2, len(head))))],
        wide=[0, 1],
    )
    missed = list(_missed(found))
    if missed:
        table = Table(["way", "bug", "what it does", "tried with"], missed, FILE)
        yield Section("Missed where a user brings them", tables=[table], wide=[2])


OURS = {
    "our own agents": ("contract", "parity"),
    "our own agents, all layers": ("contract", "parity", "lockstep", "statistics"),
}


def _ours(mutated: pd.DataFrame, name: str, layers: tuple[str, ...]) -> list[str]:
    """A row of our own agents: whether any of these layers caught a mutation."""
    rows = mutated[mutated.layer.isin(layers)]
    rows = rows.assign(caught=rows.caught.fillna(False).astype(bool))
    by_kind = {kind: part.groupby("bug").caught.any() for kind, part in rows.groupby("kind")}
    bugs = by_kind["bug"]
    others = [
        f"{int(by_kind[kind].sum())} of {len(by_kind[kind])}" if kind in by_kind else NONE
        for kind in ("refactoring", "harmless")
    ]
    share = f"{100 * bugs.mean():.1f} %"
    return [name, ", ".join(layers), str(len(bugs)), str(int(bugs.sum())), share, *others, "0", "0"]


def _row(found: pd.DataFrame, way: str) -> list[str]:
    bugs = count(found, way, "bug")
    others = [count(found, way, kind) for kind in ("refactoring", "harmless")]
    alarms = [f"{one.caught} of {one.tried}" if one.tried else NONE for one in others]
    share = f"{100 * bugs.caught / bugs.tried:.1f} %" if bugs.tried else NONE
    layers = ", ".join(layer for _, layer in LOOKS[way])
    return [
        WORDS[way], layers, str(bugs.tried), str(bugs.caught), share, *alarms,
        str(bugs.impossible), str(bugs.waiting),
    ]  # fmt: skip


def _missed(found: pd.DataFrame) -> Iterator[list[str]]:
    for way in LOOKS:
        for bug, rows in found[found.kind == "bug"].groupby("bug", sort=False):
            one = count(rows, way, "bug")
            if one.tried and not one.caught:
                first = rows.iloc[0]
                yield [WORDS[way], str(bug), first.title, f"{first.agent}, {first.environment}"]
