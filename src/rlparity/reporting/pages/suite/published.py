"""The section of published numbers: the few that have a verdict, and the others by environment.

For a suite of many environments there are hundreds of published numbers, most of other versions, budgets or
protocols. Those with a verdict are shown in one table; the others are grouped by environment, and the
protocol of each source is printed once. Budgets of Atari games are given in environment steps and in frames
of the emulator, the unit of the papers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rlparity.reporting.formatting import NONE, join, number, whole
from rlparity.reporting.pages.elements import Badge, Table
from rlparity.reporting.pages.suite.published_entry import UNKNOWN, Entry
from rlparity.reporting.report_folder import Folder

CSV = "paper.csv"
UNJUDGED = "NOT COMPARABLE"
WIDE = ("source", "evaluation there", "further")  # columns of running text
FEW = 8  # rows that an environment may have without being folded
SPREADS = {
    "sd": "standard deviation",
    "se": "standard error",
    "ci95": "95 % interval",
    "unstated": "not stated",
}


@dataclass(frozen=True)
class Group:
    """The numbers on one environment and metric that have no verdict."""

    name: str
    table: Table
    folded: bool
    wide: Sequence[int]  # columns of running text

    @property
    def count(self) -> str:
        """How many numbers there are, in words."""
        rows = len(self.table.rows)
        return f"{rows} number{'s' * (rows != 1)}, not comparable"


@dataclass(frozen=True)
class Published:
    """The section: a lead sentence, the numbers with a verdict, the others in groups, the sources."""

    lead: str
    judged: Table
    groups: Sequence[Group]
    sources: Table

    @property
    def wide(self) -> list[int]:
        """Columns of running text in the table of those with a verdict."""
        return [place for place, name in enumerate(self.judged.head) if name in ("remark", "source")]


def section(folder: Folder) -> Published:
    """The section from the table `paper`, in the order of the plan, quotations last."""
    rows = folder.ordered("paper")
    names = [folder.measurement(row).name for row in rows.itertuples()]
    entries = [Entry(row, name) for row, name in zip(rows.to_dict("records"), names, strict=True)]
    entries.sort(key=lambda entry: entry.quoted)
    several = len({entry.row.get("implementation") for entry in entries}) > 1
    others: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.verdict.word == UNJUDGED:
            others.setdefault(entry.name, []).append(entry)
    groups = [_group(name, part, several) for name, part in others.items()]
    judged = [entry for entry in entries if entry.verdict.word != UNJUDGED]
    return Published(_lead(entries), _judged(judged, several), groups, _sources(entries))


def _lead(entries: Sequence[Entry]) -> str:
    """How many there are of each verdict, and why the rest has none."""
    words = Counter(entry.verdict.word for entry in entries)
    counted = join(f"{count} {word.lower()}" for word, count in sorted(words.items(), key=_rank))
    text = f"Of {len(entries):,} published number{'s' * (len(entries) != 1)}: {counted}."
    reasons = Counter(reason for entry in entries for reason in entry.reasons)
    if reasons:
        named = join(f"{reason} {count}" for reason, count in reasons.most_common())
        text += f" What differs, and in how many: {named}."
    return text


def _rank(item: tuple[str, int]) -> tuple[bool, str]:
    return item[0] == UNJUDGED, item[0]


def _algorithm(entry: Entry, several: bool) -> str:
    """The configuration, with its implementation where there are several."""
    who = f" ({entry.row['implementation']})" if several else ""
    return f"{entry.row['algorithm']}{who}"


def _judged(entries: Sequence[Entry], several: bool) -> Table:
    table = list[list[str | Badge]]()
    atari = any(entry.atari for entry in entries)
    for entry in entries:
        cells = [entry.value, entry.ours, entry.difference, entry.remark, entry.source()]
        cells += [entry.budget] * atari
        table.append([entry.name, _algorithm(entry, several), entry.verdict, *cells])
    head = ["environment", "algorithm", "verdict", "published", "ours [95 % CI]"]
    head += ["difference [90 % CI], margin", "remark", "source"]
    return Table(head + ["budget"] * atari, table, CSV, frozenset({3, 4, 5}))


def _group(name: str, entries: Sequence[Entry], several: bool) -> Group:
    """The numbers on one environment; beside them ours by the published protocol, where it is known."""
    best = any(pd.notna(entry.row.get("ours_same_protocol")) for entry in entries)
    also = any(entry.further for entry in entries)
    atari = entries[0].atari
    table = []
    for entry in entries:
        version, there, evaluation = entry.there
        source = {"source": entry.source(link=False), "version there": version}
        budgets = {"our budget": entry.budget, "budget there": there}
        cells = {"algorithm": _algorithm(entry, several), "published": entry.value}
        cells["ours [95 % CI]"] = entry.ours
        cells |= {"ours, best evaluation": number(entry.row.get("ours_same_protocol"))} if best else {}
        cells |= {**budgets, **source} if atari else {**source, "budget there": there}
        cells["evaluation there"] = evaluation
        table.append(cells | ({"further": entry.further or NONE} if also else {}))
    head = list(table[0])
    wide = {*WIDE, *["budget there"] * atari}
    text = {"algorithm", "our budget", "version there", *wide}
    numeric = frozenset(place for place, column in enumerate(head) if column not in text)
    shown = Table(head, [list(cells.values()) for cells in table], CSV, numeric)
    running = [place for place, column in enumerate(head) if column in wide]
    return Group(name, shown, len(entries) > FEW, running)


def _sources(entries: Iterable[Entry]) -> Table:
    """Every protocol once, in the words of the source; protocols that differ only in numbers share a row."""
    groups: dict[tuple[Any, ...], list[Entry]] = {}
    for entry in entries:
        words = tuple(re.split(r"\d+", entry.protocol))
        spread = SPREADS.get(str(entry.row.get("spread_kind")), NONE)
        key = (entry.citation, str(entry.row.get("published_metric", NONE)), spread, words)
        groups.setdefault(key, []).append(entry)
    head = ["source", "metric", "how it was evaluated there", "spread", "seeds", "steps", "numbers"]
    table = []
    for (citation, metric, spread, _), part in groups.items():
        cells = [citation, metric, _alike([entry.protocol for entry in part]), spread]
        ranges = [_range(part, "published_seeds"), _budgets(part)]
        table.append([*cells, *ranges, str(len(part))])
    return Table(head, table, numeric=frozenset({4, 5, 6}))


def _alike(texts: Sequence[str]) -> str:
    """One text for all of them, an ellipsis where their numbers differ."""
    parts = [re.split(r"(\d+)", text) for text in texts]
    return "".join(words[0] if len(set(words)) == 1 else "…" for words in zip(*parts, strict=True))


def _budgets(entries: Sequence[Entry]) -> str:
    steps, frames = _range(entries, "published_budget"), _range(entries, "published_frames")
    return steps if frames == UNKNOWN else f"{steps} ({frames} frames)"


def _range(entries: Sequence[Entry], column: str) -> str:
    values = [entry.row[column] for entry in entries if pd.notna(entry.row.get(column))]
    if not values:
        return UNKNOWN
    low, high = min(values), max(values)
    return whole(low) if low == high else f"{whole(low)} to {whole(high)}"
