"""Implementations under validation: a suite's key `candidates`, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlparity.cell import KINDS
from rlparity.errors import UserError, unknown
from rlparity.provenance import candidate_files
from rlparity.registry import IMPLEMENTATIONS
from rlparity.suites import value_checks
from rlparity.suites.environments import Block
from rlparity.suites.hyperparameters import Library

RESERVED = (*IMPLEMENTATIONS, "published")
NOT_OF_A_CELL = ("against", "environments", "deterministic")  # keys about its comparison


@dataclass(frozen=True)
class Candidate:
    """An implementation under validation: its name, the configuration it claims to be, and its program."""

    name: str
    against: str
    environments: tuple[str, ...] | None  # None: all
    candidate: Mapping[str, Any]  # entry, command or logs, with their options

    def claims(self, algorithm: str, environment: str) -> bool:
        """Whether it is judged as this configuration in this environment."""
        here = self.environments is None or environment in self.environments
        return here and algorithm == self.against

    def blocks(self, environment: str, asked: tuple[Block, ...], found: list[str]) -> tuple[Block, ...]:
        """Its seeds one by one: those asked for, or those that finished logs have."""
        if "logs" not in self.candidate:
            return asked
        from rlparity.log_readers import seeds

        try:
            runs = seeds.of(self.candidate, environment, Path(self.candidate.get("folder", ".")).resolve())
        except UserError as error:
            found.append(f"candidates.{self.name}.logs: {error}")
            return ()
        return tuple((seed,) for seed in sorted(runs.files))


def read(
    raw: Mapping[str, Any],
    places: Sequence[tuple[str, tuple[str, ...]]],
    library: Library,
    found: list[str],
) -> list[Candidate]:
    """The candidates of a suite whose shape the schema has checked; problems are added to `found`.

    `places` are the suite's environments with their configurations.
    """
    made = []
    for name, values in raw.get("candidates", {}).items():
        problems = [f"candidates.{name}{problem}" for problem in _problems(name, values, places, library)]
        found += problems
        if not problems:
            own = tuple(values["environments"]) if "environments" in values else None
            brought = {key: value for key, value in values.items() if key not in NOT_OF_A_CELL}
            made.append(Candidate(name, values["against"], own, brought))
    return made


def _problems(
    name: str, values: Mapping[str, Any], places: Sequence[tuple[str, tuple[str, ...]]], library: Library
) -> list[str]:
    """What is wrong with a candidate, each problem beginning with the key after its name."""
    found, known = [], library.algorithms
    against, base = values["against"], Path(values.get("folder", ".")).resolve()
    if name in RESERVED:
        found.append(f": the name is taken; {', '.join(RESERVED)} mean others")
    if against not in known:
        found.append(str(unknown("value", against, known, ".against")))
    elif known[against].reference is None:
        found.append(f".against: {against!r} has no reference to be judged against")
    elif not any(against in algorithms for _, algorithms in places):
        found.append(f".against: {against!r} is not among the suite's algorithms")
    else:
        found += value_checks.bad_settings(values.get("settings", {}), known[against].agent, ".settings")
    ids = [place for place, _ in places]
    found += [
        str(unknown("value", each, ids, ".environments"))
        for each in values.get("environments", ())
        if each not in ids
    ]
    kinds = [kind for kind in KINDS if kind in values]
    if len(kinds) != 1:
        given = " and ".join(kinds) or "nothing"
        return [*found, f": needs one of {', '.join(KINDS)}, has {given}"]
    if not base.is_dir():
        return [*found, f".folder: there is no folder {base}"]
    if problem := candidate_files.bad_files(values.get("files", ()), base):
        found.append(f".files: {problem}")
    if problem := _bad_source(kinds[0], values, base):
        found.append(f".{kinds[0]}: {problem}")
    return found


def _bad_source(kind: str, values: Mapping[str, Any], base: Path) -> str | None:
    if kind == "entry":
        return candidate_files.bad_entry(values["entry"], base)
    return candidate_files.bad_command(values["command"]) if kind == "command" else None
