"""Published numbers as the reader of a report sees them: few that can be judged, and per task the others.

A suite of many tasks meets hundreds of published numbers, most of other versions, budgets or protocols. What
was judged stands open; the rest is grouped by task, and each source's protocol is told once. Budgets of Atari
games are given in environment steps and in frames of the emulator, which are what papers count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from rlparity.environments.atari_ids import game
from rlparity.reporting.formatting import NONE, interval, join, number, whole
from rlparity.reporting.pages.elements import Badge, Table
from rlparity.reporting.pages.suite.atari_budgets import PRESETS, as_printed, budget

CSV = "paper.csv"
UNJUDGED = "NOT COMPARABLE"
ASPECTS = ("environment version", "budget", "evaluation protocol")  # as in the column `differs_in`
SAME = "same"
UNKNOWN = "not stated"
PLAIN = ("nan", "None", "mean episode return", "average return", "average total reward")  # metrics
WIDE = ("source", "evaluation there", "further")  # columns of running text
FEW = 8  # rows that a task may have without being folded
SPREADS = {
    "sd": "standard deviation",
    "se": "standard error",
    "ci95": "95 % interval",
    "unstated": "not stated",
}
Row = Mapping[str, Any]  # of the table `paper`


@dataclass(frozen=True)
class Group:
    """The numbers about one task that have no verdict."""

    environment: str
    table: Table
    folded: bool

    @property
    def count(self) -> str:
        rows = len(self.table.rows)
        return f"{rows} number{'s' * (rows != 1)}, not comparable"

    @property
    def wide(self) -> list[int]:
        """The columns of running text."""
        text = {*WIDE, *["budget there"] * (game(self.environment) is not None)}
        return [place for place, name in enumerate(self.table.head) if name in text]


@dataclass(frozen=True)
class Published:
    """The section: a lead sentence, what was judged, the rest by task, the sources with their protocols."""

    lead: str
    judged: Table
    groups: Sequence[Group]
    sources: Table


def section(rows: Sequence[Row]) -> Published:
    """The section from the rows of the table `paper`, in the order in which they are to be shown."""
    rows = sorted(rows, key=lambda row: str(row.get("provenance")).startswith("secondary"))
    several = len({row.get("implementation") for row in rows}) > 1
    others: dict[str, list[Row]] = {}
    for row in rows:
        if _word(row) == UNJUDGED:
            others.setdefault(row["environment"], []).append(row)
    groups = [Group(name, _others(part, several), len(part) > FEW) for name, part in others.items()]
    judged = [row for row in rows if _word(row) != UNJUDGED]
    return Published(_lead(rows), _judged(judged, several), groups, _sources(rows))


def _word(row: Row) -> str:
    return Badge(str(row["verdict"])).word


def _lead(rows: Sequence[Row]) -> str:
    """How many of each verdict, and what stands in the way of the rest."""
    words = Counter(_word(row) for row in rows)
    counted = join(f"{count} {word.lower()}" for word, count in sorted(words.items(), key=_rank))
    text = f"Of {len(rows):,} published number{'s' * (len(rows) != 1)}: {counted}."
    reasons = Counter(reason for row in rows for reason in _reasons(row))
    if reasons:
        named = join(f"{reason} {count}" for reason, count in reasons.most_common())
        text += f" What differs, and in how many: {named}."
    return text


def _rank(item: tuple[str, int]) -> tuple[bool, str]:
    return item[0] == UNJUDGED, item[0]


def _judged(rows: Sequence[Row], several: bool) -> Table:
    table, atari = [], any(game(row["environment"]) for row in rows)
    for row in rows:
        cells = [row["environment"], _name(row, several), Badge(str(row["verdict"]))]
        table.append([*cells, _value(row), _ours(row), _source(row), *[_budget(row)] * atari])
    head = ["environment", "algorithm", "verdict", "published", "ours [95 % CI]", "source"]
    return Table(head + ["budget"] * atari, table, CSV, frozenset({3, 4}))


def _others(rows: Sequence[Row], several: bool) -> Table:
    """One task's numbers; ours by the published protocol stands beside them where that can be had."""
    best = any(pd.notna(row.get("ours_same_protocol")) for row in rows)
    also = any(_further(row) for row in rows)
    atari = game(rows[0]["environment"]) is not None
    table = []
    for row in rows:
        version, there, evaluation = _there(row)
        source = {"source": _source(row, link=False), "version there": version}
        budgets = {"our budget": _budget(row), "budget there": there}
        cells = {"algorithm": _name(row, several), "published": _value(row), "ours [95 % CI]": _ours(row)}
        cells |= {"ours, best evaluation": number(row.get("ours_same_protocol"))} if best else {}
        cells |= {**budgets, **source} if atari else {**source, "budget there": there}
        cells["evaluation there"] = evaluation
        table.append(cells | ({"further": _further(row) or NONE} if also else {}))
    head = list(table[0])
    text = {"algorithm", "our budget", "version there", *WIDE, *["budget there"] * atari}
    numeric = frozenset(place for place, name in enumerate(head) if name not in text)
    return Table(head, [list(cells.values()) for cells in table], CSV, numeric)


def _name(row: Row, several: bool) -> str:
    return f"{row['algorithm']} ({row['implementation']})" if several else str(row["algorithm"])


def _ours(row: Row) -> str:
    return interval(row["ours"], row["ci_low"], row["ci_high"])


def _value(row: Row) -> str:
    """`3,564 ± 115`, or `5,037 [3,664, 6,574]` where the source gives an interval."""
    if pd.notna(row.get("published_low")):
        return interval(row["published"], row["published_low"], row["published_high"])
    spread = row["published_spread"]
    return number(row["published"]) + ("" if pd.isna(spread) else f" ± {number(spread)}")


def _reasons(row: Row) -> list[str]:
    text = row.get("differs_in")
    return text.split(", ") if isinstance(text, str) and text else []


def _there(row: Row) -> list[str]:
    """Version, budget and protocol of a published number; "same" where they are ours."""
    values = (_version(row), _budget_there(row), _clause(row))
    reasons = _reasons(row)
    return [value if name in reasons else SAME for name, value in zip(ASPECTS, values, strict=True)]


def _version(row: Row) -> str:
    if game(row["environment"]):
        preset = row.get("published_preset")
        return PRESETS.get(preset, preset) if isinstance(preset, str) else UNKNOWN
    version = re.search(r"-(v\d+)$", str(row.get("published_environment")))
    return version[1] if version else UNKNOWN


def _budget(row: Row) -> str:
    """Ours."""
    return (budget if game(row["environment"]) else whole)(row.get("budget"))


def _budget_there(row: Row) -> str:
    """Steps; of Atari games frames, too, and how many times ours it is."""
    steps, frames = row.get("published_budget"), row.get("published_frames")
    if not game(row["environment"]):
        return UNKNOWN if pd.isna(steps) else whole(steps)
    if pd.isna(steps):
        if (printed := as_printed(frames)) != NONE:
            return f"{printed}, the emulator's or the agent's"
        days = re.search(r"\d+ days?", str(row.get("published_algorithm")))
        return f"{days[0]} of training" if days else UNKNOWN
    return f"{budget(steps)}, {number(steps / row['budget'])} \N{MULTIPLICATION SIGN} ours"


def _further(row: Row) -> str:
    """What else is in the way, such as too few seeds."""
    return ", ".join(reason for reason in _reasons(row) if reason not in ASPECTS)


def _protocol(row: Row) -> str:
    text = row.get("published_protocol")
    return text if isinstance(text, str) else UNKNOWN


def _clause(row: Row) -> str:
    """The protocol in few words: its first clause, after the metric if that says more than "mean"."""
    if stochastic := re.search(r"stochastic policy", _protocol(row)):
        return stochastic[0]
    clauses, metric = re.split(r"[,;:(]", _protocol(row)), str(row.get("published_metric"))
    clause = clauses[metric == "average total reward" == clauses[0]].strip()
    plain = metric in PLAIN or metric in clause
    return clause if plain else f"{metric}, {clause}"


def _source(row: Row, link: bool = True) -> str:
    """Under which name a published number stands, and where; a quotation says so."""
    citation = _citation(row) if link else re.sub(r",? *https?://\S+", "", _citation(row))
    name = row.get("published_algorithm")
    if not isinstance(name, str):
        return citation
    quoted = str(row.get("provenance")).startswith("secondary")
    return f"{name}, quoted by {citation}" if quoted else f"{name}: {citation}"


def _citation(row: Row) -> str:
    citation = row.get("citation")
    return citation if isinstance(citation, str) else str(row["source"])


def _sources(rows: Iterable[Row]) -> Table:
    """Every protocol once, in the source's words. Where only figures differ, as many share a row."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        words = tuple(re.split(r"\d+", _protocol(row)))
        spread = SPREADS.get(str(row.get("spread_kind")), NONE)
        key = (_citation(row), str(row.get("published_metric", NONE)), spread, words)
        groups.setdefault(key, []).append(row)
    head = ["source", "return", "how it was evaluated there", "spread", "seeds", "steps", "numbers"]
    table = []
    for (citation, metric, spread, _), part in groups.items():
        cells = [citation, metric, _alike([_protocol(row) for row in part]), spread]
        ranges = [_range(part, "published_seeds"), _budgets(part)]
        table.append([*cells, *ranges, str(len(part))])
    return Table(head, table, numeric=frozenset({4, 5, 6}))


def _alike(texts: Sequence[str]) -> str:
    """One text for all of them, an ellipsis where their figures differ."""
    parts = [re.split(r"(\d+)", text) for text in texts]
    return "".join(words[0] if len(set(words)) == 1 else "…" for words in zip(*parts, strict=True))


def _budgets(rows: Sequence[Row]) -> str:
    steps, frames = _range(rows, "published_budget"), _range(rows, "published_frames")
    return steps if frames == UNKNOWN else f"{steps} ({frames} frames)"


def _range(rows: Sequence[Row], column: str) -> str:
    values = [row[column] for row in rows if pd.notna(row.get(column))]
    if not values:
        return UNKNOWN
    low, high = min(values), max(values)
    return whole(low) if low == high else f"{whole(low)} to {whole(high)}"
