"""What is to be run: a suite file, read and checked once, becomes a table of cells."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rlparity.cell import Cell, path_name
from rlparity.errors import UserError, unknown
from rlparity.provenance import fingerprint
from rlparity.suites import cells as grid
from rlparity.suites import devices, hyperparameters, memory_needs, yaml_reader
from rlparity.suites.cells import Environment
from rlparity.suites.hyperparameters import Algorithm

SUITES = Path("workflow", "suites")
SENSITIVITY = "sensitivity"  # kind of a suite that plants bugs
FLOOR = "random"  # kept whatever is asked for: margins are measured from it
NARROWING = ("algorithms", "environments", "implementations", "seeds", "tensorboard", "device")
WHOLE = ("tensorboard", "device")  # of them, those that leave no cell out


@dataclass(frozen=True)
class Suite:
    """A checked suite. `cells` carry their fingerprints."""

    name: str
    title: str
    description: str
    margin: float
    references: str
    films: bool
    time_limit: float  # hours of one attempt at a cell; 0: none
    device: str  # as it was asked for; its cells have what that is
    algorithms: Mapping[str, Algorithm]
    environments: Mapping[str, Environment]
    cells: tuple[Cell, ...]
    path: Path | None = None  # of the suite file
    narrowed: Mapping[str, Any] = field(default_factory=dict)

    def plan(self) -> dict[str, Any]:
        """The resolved suite as plain data, the only thing that stages after training know of it."""
        agents = {name: algorithm.agent for name, algorithm in self.algorithms.items()}
        return {
            "name": self.name,
            "title": self.title,
            "description": " ".join(filter(None, (self.description, self.part()))),
            "margin": self.margin,
            "references": self.references,
            "films": self.films,
            "algorithms": {
                name: {
                    "title": algorithm.title,
                    "agent": algorithm.agent,
                    "reference": algorithm.reference,
                    "plain": self._plain(algorithm),
                    "options": dict(algorithm.options),
                }
                for name, algorithm in self.algorithms.items()
            },
            "environments": {
                name: {
                    "threshold": environment.threshold,
                    "time_limit": environment.info.time_limit,
                    "algorithms": list(environment.algorithms),
                    "settings": {
                        agents[algorithm]: asdict(hyperparameters.library().lookup(name, agents[algorithm]))
                        for algorithm in environment.algorithms
                    },
                }
                for name, environment in self.environments.items()
            },
            "cells": [json.loads(cell.to_json()) for cell in self.cells],
        }

    def _plain(self, algorithm: Algorithm) -> str | None:
        """The configuration that ours differs from only in how it computes, wherever both are trained."""
        name = hyperparameters.plain(algorithm, self.algorithms)
        trained: dict[str, dict[str, Any]] = {algorithm.name: {}, name or "": {}}
        for cell in self.cells:
            if cell.implementation == "scratch" and cell.algorithm in trained:
                kept = {
                    key: value
                    for key, value in cell.hyperparameters.items()
                    if key not in hyperparameters.MEANS
                }
                same = (cell.budget, cell.n_envs, cell.normalize, cell.evaluation, kept)
                trained[cell.algorithm][cell.environment] = same
        mine, other = trained.values()
        return name if all(mine[where] == other[where] for where in mine.keys() & other.keys()) else None

    def part(self) -> str:
        """A sentence on what `--config` left of the suite, for the report; empty where it is whole."""
        chosen = {key: value for key, value in self.narrowed.items() if key not in WHOLE}
        named = (f"{key} {', '.join(map(str, _as_list(value)))}" for key, value in chosen.items())
        return f"Only a part of the suite was run: {'; '.join(named)}." if chosen else ""

    @property
    def implementations(self) -> list[str]:
        """Those of the arms, candidates by their own names."""
        return sorted({cell.implementation for cell in self.cells})

    def columns(self) -> dict[str, list[str]]:
        """The table of cells by the wildcards of their folders, to be expanded by `zip`."""
        return {
            "suite": [cell.suite for cell in self.cells],
            "environment": [path_name(cell.environment) for cell in self.cells],
            "implementation": [cell.implementation for cell in self.cells],
            "algorithm": [cell.algorithm for cell in self.cells],
            "seeds": [cell.block for cell in self.cells],
        }

    def parts(self, cell: Cell) -> dict[str, Any]:
        """All that the cell's fingerprint is made of."""
        return fingerprint.parts(cell)


def find(name: str) -> Path:
    """A suite file by its name ("smoke") or path."""
    folder = hyperparameters.root() / SUITES
    for candidate in (Path(name), folder / f"{name}.yaml"):
        with contextlib.suppress(OSError):  # a name longer than a file's may be
            if candidate.is_file():
                return candidate
    raise unknown(
        "suite", yaml_reader.short(name), (file.stem for file in folder.glob("*.yaml")), str(SUITES)
    )


def load(path: Path, narrow: Mapping[str, Any] | None = None, elsewhere: bool = False) -> Suite:
    """Read and check a suite file. Of `narrow`, what `--config` gave, values that the file has already are
    left out; it need not fit this machine, nor find its devices there, if it is to run `elsewhere`."""
    raw = yaml_reader.read(path)
    if not isinstance(raw, Mapping):
        raise UserError(f"{path}: expected a mapping with the keys of a suite, got {type(raw).__name__}")
    if raw.get("kind") == SENSITIVITY:
        raise UserError(f"{path}: it plants bugs and has no cells; give it to rlparity run or sensitivity")
    overrides = {key: value for key, value in (narrow or {}).items() if key not in raw or raw[key] != value}
    for key in overrides:
        if key not in NARROWING:
            raise unknown("key", key, NARROWING, "--config")
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return dataclasses.replace(resolve(raw, f"Bad suite {shown}", overrides, elsewhere), path=shown)


def resolve(
    raw: Mapping[str, Any],
    heading: str,
    narrow: Mapping[str, Any] | None = None,
    elsewhere: bool = False,
) -> Suite:
    """Check a suite and lay out its cells; whatever is wrong is told at once, one line each."""
    library = hyperparameters.library()
    found = list(
        yaml_reader.problems(raw, hyperparameters.root() / hyperparameters.SCHEMAS / "suite.schema.yaml")
    )
    has_shape = not found
    found += grid.bad_names(raw, library.algorithms) + grid.bad_paths(raw)
    environments = grid.environments(raw, found) if has_shape else []
    _refuse(heading, found)
    narrow = _checked(narrow or {})
    device = narrow.get("device", raw.get("device", "cpu"))
    cells = grid.cells({**raw, "device": devices.resolve(device, elsewhere)}, environments, found)
    if not elsewhere:
        infos = {each.id: each.info for each in environments}
        lines = [line for cell in cells for line in memory_needs.bad_memory(cell, infos[cell.environment])]
        found += dict.fromkeys(lines)
    _refuse(heading, found)
    used = {name: library.algorithms[name] for each in environments for name in each.algorithms}
    whole = Suite(
        name=raw["name"],
        title=raw["title"],
        description=raw.get("description", ""),
        margin=raw.get("margin", 0.2),
        references=raw.get("references", "train"),
        films=raw.get("films", False),
        time_limit=raw.get("time_limit", 0.0),
        device=device,
        algorithms=used,
        environments={each.id: each for each in environments},
        cells=tuple(cells),
    )
    narrowed = _narrow(whole, narrow)
    return dataclasses.replace(
        narrowed,
        cells=tuple(
            dataclasses.replace(cell, fingerprint=fingerprint.text_hash(narrowed.parts(cell)))
            for cell in narrowed.cells
        ),
    )


def check_writable(*folders: Path) -> None:
    """Refuse folders that the pipeline could not fill."""
    for folder in folders:
        place = folder.absolute()
        while not place.exists():
            place = place.parent
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            raise UserError(f"{folder}: cannot be written to; make it a folder that you may write to")


def _refuse(heading: str, found: Sequence[str]) -> None:
    if found:
        raise UserError("\n  - ".join([f"{heading}:", *found]))


def _checked(narrow: Mapping[str, Any]) -> dict[str, Any]:
    """What `--config` asks for, where it is more than names of what there is: Snakemake reads `false` as a
    text."""
    checked = dict(narrow)
    if "tensorboard" in narrow:
        said = str(narrow["tensorboard"])
        if said.lower() not in ("true", "false"):
            raise UserError(f"--config tensorboard: expected true or false, got {yaml_reader.short(said)}")
        checked["tensorboard"] = said.lower() == "true"
    if narrow.get("device", "cpu") not in devices.CHOICES:
        raise unknown("value", narrow["device"], devices.CHOICES, "--config device")
    return checked


def _narrow(suite: Suite, narrow: Mapping[str, Any]) -> Suite:
    """Only the cells that `--config` asks for; it may ask for nothing that the suite does not have."""
    if not narrow:
        return suite
    wanted = {key: _as_list(value) for key, value in narrow.items() if key not in WHOLE}
    blocks = {
        f"{block[0]}-{block[-1]}": block for each in suite.environments.values() for block in each.blocks
    }
    blocks |= {str(block[0]): block for block in blocks.values() if len(block) == 1}
    there = {
        "algorithms": list(suite.algorithms),
        "environments": list(suite.environments),
        "implementations": suite.implementations,
        "seeds": list(blocks),
    }
    for key, values in wanted.items():
        for value in values:
            if str(value) not in there[key]:
                raise unknown("value", value, there[key], f"--config {key}")
    algorithms = [str(name) for name in wanted.get("algorithms", there["algorithms"])]
    algorithms += [name for name in (FLOOR,) if name in suite.algorithms and name not in algorithms]
    references = {suite.algorithms[name].reference for name in algorithms}
    environments = wanted.get("environments", there["environments"])
    seeds = {seed for name in wanted.get("seeds", there["seeds"]) for seed in blocks[str(name)]}
    cells = [
        dataclasses.replace(cell, tensorboard=narrow.get("tensorboard", cell.tensorboard))
        for cell in suite.cells
        if cell.environment in environments
        and cell.implementation in wanted.get("implementations", there["implementations"])
        and cell.algorithm in (references if cell.implementation == "sb3" else algorithms)
        and ("seeds" not in wanted or seeds.issuperset(cell.seeds))
    ]
    if not cells:
        raise UserError(f"--config: no cell of suite {suite.name!r} is left by {dict(narrow)}")
    kept = {
        name: dataclasses.replace(each, algorithms=tuple(a for a in each.algorithms if a in algorithms))
        for name, each in suite.environments.items()
        if name in {cell.environment for cell in cells}
    }
    used = {name for each in kept.values() for name in each.algorithms}
    return dataclasses.replace(
        suite,
        algorithms={name: algorithm for name, algorithm in suite.algorithms.items() if name in used},
        environments=kept,
        cells=tuple(cells),
        narrowed=dict(narrow),
    )


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
