"""The plan of a sensitivity suite: its file, read and checked, and its trials."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rlparity import project_files
from rlparity.errors import UserError
from rlparity.suites import yaml_reader
from rlparity.validation.mutations import corpus
from rlparity.validation.mutations.mutation import Mutation

KIND = "sensitivity"
SCHEMA = "sensitivity.schema.yaml"
BASELINE = ""  # in place of a mutation's id: the unchanged code


LOGGED_SEEDS = 5
WAYS = {  # in which a user brings an implementation -> the layers that are run in each, see `ways.trial`
    "entry": ("contract",),
    "entry-update": ("parity",),
    "command": ("contract",),
    "logs": ("statistics",),
}


class Trial(NamedTuple):
    """One layer run on an agent in an environment, with or without a mutation."""

    mutation: str  # id, or BASELINE
    agent: str  # named configuration
    environment: str
    layer: str
    way: str = ""  # of WAYS; empty: our agent itself, not brought as a candidate

    @property
    def file(self) -> Path:
        """The file of its outcome, below the folder of trials."""
        parts = filter(None, (self.way, self.agent, self.environment, self.layer))
        name = "-".join(_slug(part) for part in parts)
        return Path(_slug(self.mutation) or "baseline", f"{name}.json")

    @property
    def baseline(self) -> Trial:
        """The same trial of the unchanged code."""
        return self._replace(mutation=BASELINE)


def interim_folder(folder: Path, point: int) -> Path:
    """The folder of the records for the interim test at evaluation `point`."""
    return folder / f"interim-{point}"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


@dataclass(frozen=True)
class Statistics:
    """What the layer of statistics trains, and how often it tests before the end."""

    seeds: int
    looks: int  # interim tests of a training, the last test included
    margin: float
    references: Mapping[str, str]  # environment -> suite whose report contains records
    logged_seeds: int  # of finished logs, see `ways`
    until: Mapping[str, float]  # named configuration -> share of the budget at the last test; absent: 1


@dataclass(frozen=True)
class Plan:
    """A checked suite."""

    name: str
    title: str
    description: str
    layers: tuple[str, ...]  # that mutations of what trains are tried on
    mutations: tuple[Mutation, ...]
    time_limits: Mapping[str, int]  # layer -> seconds of processor time
    statistics: Statistics | None
    analysis: bool = False  # whether mutations of the analysis are tried, too, see `analysis`
    ways: tuple[str, ...] = ()  # of WAYS: besides, our agents are brought as a user brings a candidate

    def trials(self, ways: Sequence[str] = ("",)) -> list[Trial]:
        """The trials of these ways, each once: layer by layer, the baselines of a layer before its mutations.
        The way "" is our agents themselves, with the layers of the suite."""
        found: dict[Trial, None] = {}
        for layer, way in ((layer, each) for each in ways for layer in WAYS.get(each, self.layers)):
            pairs = [
                (mutation.id, *pair, layer, way) for mutation in self.mutations for pair in mutation.pairs
            ]
            mutated = [Trial(*pair) for pair in pairs]
            found |= dict.fromkeys([*(trial.baseline for trial in mutated), *mutated])
        return list(found)


def load(path: Path) -> Plan:
    """Read and check a suite file; UserError with a line for every problem."""
    raw = yaml_reader.read(path)
    found = list(yaml_reader.problems(raw, project_files.schema(SCHEMA)))
    if not found and "statistics" in raw["layers"] and "statistics" not in raw:
        found = ["top level: missing key 'statistics', which the layer of that name needs"]
    if not found and "ways" in raw and "statistics" not in raw:
        found = ["top level: missing key 'statistics', which `ways` need"]
    known = {mutation.id: mutation for mutation in corpus.CORPUS}
    if not found and raw["mutations"] != "all":
        unknown = [f"mutations: unknown id {id!r}" for id in raw["mutations"] if id not in known]
        found += [f"{line}; choose from {', '.join(known)}" for line in unknown]
    if found:
        raise UserError("\n  - ".join([f"Bad suite {path}:", *found]))
    return _plan(raw, known)


def _plan(raw: Mapping[str, Any], known: Mapping[str, Mutation]) -> Plan:
    chosen = known if raw["mutations"] == "all" else raw["mutations"]
    statistics = raw.get("statistics")
    return Plan(
        name=raw["name"],
        title=raw["title"],
        description=raw.get("description", ""),
        layers=tuple(layer for layer in raw["layers"] if layer != "analysis"),
        analysis="analysis" in raw["layers"],
        mutations=tuple(known[id] for id in chosen),
        time_limits=raw["time_limits"],
        statistics=Statistics(**{"until": {}, "logged_seeds": LOGGED_SEEDS, **statistics})
        if statistics
        else None,
        ways=tuple(raw.get("ways", ())),
    )
