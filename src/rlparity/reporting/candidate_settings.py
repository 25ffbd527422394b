"""The settings that candidates ran with, beside those of their references.

Known is what a candidate answered, what its logs state and what its user declared; all else is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isclose
from pathlib import Path
from typing import Any, NamedTuple

from rlparity.reporting.formatting import NONE, join, setting
from rlparity.reporting.report_folder import Folder

UNKNOWN = "not known"
DECLARED, NOT_OFFERED = "declared", "not offered"


class Difference(NamedTuple):
    """A setting at another value than the reference's."""

    name: str
    reference: str
    ran: str
    source: str  # where it is known from


@dataclass
class Ran:
    """What is known of one candidate in one environment."""

    name: str
    environment: str
    algorithm: str
    reference: dict[str, Any] = field(default_factory=dict)  # all its settings, by name
    values: dict[str, list[tuple[Any, str]]] = field(default_factory=dict)  # each with its source, no repeats
    not_offered: list[str] = field(default_factory=list)
    departures: list[str] | None = None  # None: not known
    runs: int = 0  # seeds that did not fail
    stated: dict[str, int] = field(default_factory=dict)  # of those, how many state a setting

    @property
    def arm(self) -> tuple[str, str]:
        """Its implementation and configuration."""
        return self.name, self.algorithm

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return bool(self.values or self.not_offered)

    @property
    def differences(self) -> list[Difference]:
        """Settings that differ, in the reference's order."""
        found = []
        for name in [*self.reference, *(name for name in self.values if name not in self.reference)]:
            given = self.values.get(name, [])
            asked = setting(self.reference[name]) if name in self.reference else NONE
            if any(name not in self.reference or not same(value, self.reference[name]) for value, _ in given):
                ran = "; ".join(dict.fromkeys(setting(value) for value, _ in given))
                found.append(Difference(name, asked, ran, "; ".join(dict.fromkeys(why for _, why in given))))
            elif name in self.not_offered:
                found.append(Difference(name, asked, NOT_OFFERED, "its answer"))
        return found

    @property
    def unknown(self) -> list[str]:
        """The reference's settings of which nothing is known, or not for all seeds."""
        found = []
        for name in self.reference:
            count, given = self.stated.get(name, 0), self.values.get(name, [])
            if count == 0 and not given and name not in self.not_offered:
                found.append(name)
            elif count < self.runs and all(source != DECLARED for _, source in given):
                found.append(f"{name} of {self.runs - count} of {self.runs} seeds")
        return found

    def shown(self, name: str) -> str:
        """The value of a setting for a table."""
        if name in self.values:
            return "; ".join(dict.fromkeys(setting(value) for value, _ in self.values[name]))
        return NOT_OFFERED if name in self.not_offered else UNKNOWN

    def sentence(self, table: bool = False) -> str:
        """What is known; with `table`, for a page that has a table of the differences."""
        who = f"{self.name} on {self.environment}"
        ends = {None: f"departures {UNKNOWN}", 0: "departures: none declared"}
        count = None if self.departures is None else len(self.departures)
        departed = ends.get(count) or f"departures: {'; '.join(self.departures or ())}"
        if not self.known:
            return f"{who}: the settings that ran are {UNKNOWN}, nothing states them; {departed}"
        unlike = self.differences
        other = {one.name for one in unlike}
        equal = sum(name in self.values and name not in other for name in self.reference)
        parts = [f"{equal} of {len(self.reference)} settings are the reference's"]
        shown = [f"{one.name} {one.ran} (reference {one.reference})" for one in unlike]
        named = f"{len(unlike)} other, in the table" if table else f"other: {join(shown, 12)}"
        parts += [named] if shown else []
        parts += [f"{UNKNOWN}: {join(self.unknown, 24)}"] if self.unknown else []
        return f"{who}: {'; '.join([*parts, departed])}"


def of(folder: Folder) -> list[Ran]:
    """All candidates of a report in each environment, in the order of its runs."""
    found: dict[tuple[str, str, str], Ran] = {}
    for run in folder.runs:
        cell = run["cell"]
        if not cell.get("candidate"):
            continue
        key = _key(cell)
        one = found.setdefault(key, Ran(*key))
        _add(one, run.get("settings", {}))
        if not run.get("failed_seeds"):
            _count(one, run.get("settings", {}))
    declared = {_key(cell): cell["candidate"] for cell in folder.plan["cells"] if cell.get("candidate")}
    for key, one in found.items():
        _declare(one, declared.get(key, {}))
    return list(found.values())


def _key(cell: Mapping[str, Any]) -> tuple[str, str, str]:
    return cell["implementation"], cell["environment"], cell["algorithm"]


def _add(one: Ran, settings: Mapping[str, Any]) -> None:
    """Add what the run of a seed states."""
    one.reference = one.reference or dict(settings.get("reference", {}))
    for name, value in settings.get("ran", {}).items():
        remark = settings.get("remarks", {}).get(name)
        source = settings.get("sources", {}).get(name, "its logs")
        _note(one, name, value, f"{source} ({remark})" if remark else source)
    one.not_offered += [name for name in settings.get("not_offered", ()) if name not in one.not_offered]
    if (departures := settings.get("departures")) is not None:
        one.departures = [*dict.fromkeys([*(one.departures or ()), *departures])]


def _count(one: Ran, settings: Mapping[str, Any]) -> None:
    """Count the seed, and the settings that it states."""
    one.runs += 1
    for name in {*settings.get("ran", ()), *settings.get("not_offered", ())}:
        one.stated[name] = one.stated.get(name, 0) + 1


def _declare(one: Ran, candidate: Mapping[str, Any]) -> None:
    """Add what the user declares."""
    for name, value in candidate.get("settings", {}).items():
        _note(one, name, value, DECLARED)
    if "departures" in candidate:
        one.departures = [*dict.fromkeys([*candidate["departures"], *(one.departures or ())])]


def _note(one: Ran, name: str, value: Any, source: str) -> None:
    given = one.values.setdefault(name, [])
    if not any(same(value, other) and source == why for other, why in given):
        given.append((value, source))


def same(value: Any, other: Any) -> bool:
    """Whether two values of a setting are equal, up to the rounding of a number that was converted."""
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (value, other))
    if numbers:
        return isclose(value, other, rel_tol=1e-9)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(same, value, other))
    return type(value) is type(other) and bool(value == other)


def lines(report: Path) -> Iterator[str]:
    """A sentence on each candidate of a report in each environment."""
    yield from (one.sentence() for one in of(Folder(report)))
