"""A suite file, read and checked once, as a table of cells and a plan."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rlparity import project_files
from rlparity.arms import OURS, Arm
from rlparity.cell import Cell, path_name
from rlparity.errors import StorageError, UserError, unknown
from rlparity.metrics import RETURN
from rlparity.provenance import fingerprint
from rlparity.registry import IMPLEMENTATIONS
from rlparity.suites import cells as grid
from rlparity.suites import (
    checks,
    devices,
    growth,
    hyperparameters,
    memory_needs,
    splitting,
    yaml_reader,
)
from rlparity.suites.config import narrowing, replaced
from rlparity.suites.environments import Environment, environments
from rlparity.suites.growth import Growth
from rlparity.suites.hyperparameters import Algorithm

SCHEMA = "suite.schema.yaml"
SENSITIVITY = "sensitivity"  # kind of a suite that plants bugs
FLOOR = str(RETURN.floor)  # the configuration that has learned nothing, of the return
MARGIN = (
    0.2  # largest difference that counts as equivalent, as a share of the distance from floor to reference
)


@dataclass(frozen=True)
class Suite:
    """A checked suite. `cells` carry their fingerprints."""

    name: str
    title: str
    description: str
    margin: float
    primary: str  # endpoint that decides: auc or final
    family: str  # of tests that Holm's correction runs over: report, or row
    references: str
    films: bool
    time_limit: float  # hours of one attempt at a cell; 0: none
    device: str  # as the suite or `--config` names it; cells have the one that it stands for
    algorithms: Mapping[str, Algorithm]
    environments: Mapping[str, Environment]
    cells: tuple[Cell, ...]
    deterministic: tuple[Arm, ...] = ()  # arms declared to give the same value with every seed
    split: int | str = 1  # as the suite or `--config` names it; with `auto`, blocks are whole
    growth: Growth | None = None  # of seeds, where they grow until pairs are decided
    path: Path | None = None  # of the suite file
    live_check: bool = False  # whether a seed of each restored reference is trained here, too
    # References without valid shipped records, which are trained: `arm_folder` and the reason.
    unshipped: Mapping[str, str] = field(default_factory=dict)
    narrowed: Mapping[str, Any] = field(default_factory=dict)
    changed: Mapping[str, Any] = field(default_factory=dict)  # of `narrowed`, what replaces the file's keys

    def plan(self) -> dict[str, Any]:
        """The resolved suite as plain data, all that the stages after training read of it."""
        return {
            "name": self.name,
            "title": self.title,
            "description": " ".join(filter(None, (self.description, *self._other_than_file()))),
            "margin": self.margin,
            "primary": self.primary,
            "family": self.family,
            "references": self.references,
            "films": self.films,
            "deterministic": [str(arm) for arm in self.deterministic],
            "algorithms": {name: self._configuration(one) for name, one in self.algorithms.items()},
            "environments": {name: self._environment(one) for name, one in self.environments.items()},
            "cells": [json.loads(cell.to_json()) for cell in self.cells],
            **({"looks": self.growth.plan()} if self.growth else {}),
            **({"split": self.split} if self.split not in (1, splitting.AUTO) else {}),
            **({"unshipped": dict(self.unshipped)} if self.unshipped else {}),
        }

    def _other_than_file(self) -> tuple[str, str]:
        part = {key: value for key, value in self.narrowed.items() if key not in self.changed}
        return narrowing.describe(part), replaced.describe(self.changed)

    def _configuration(self, algorithm: Algorithm) -> dict[str, Any]:
        return {
            "title": algorithm.title,
            "agent": algorithm.agent,
            "reference": algorithm.reference._asdict() if algorithm.reference else None,
            "plain": self._plain(algorithm),
            "options": dict(algorithm.options),
        }

    def _environment(self, environment: Environment) -> dict[str, Any]:
        agents = dict.fromkeys(self.algorithms[name].agent for name in environment.algorithms)
        library, metrics = hyperparameters.library(), environment.metrics
        return {
            "threshold": environment.threshold,
            "time_limit": environment.info.time_limit,
            "metrics": [asdict(metric) for metric in metrics],
            "margins": {one.name: environment.margins.get(one.name, self.margin) for one in metrics},
            "algorithms": list(environment.algorithms),
            "settings": {agent: asdict(library.lookup(environment.id, agent)) for agent in agents},
        }

    def _plain(self, algorithm: Algorithm) -> str | None:
        """The configuration that ours differs from only in how it computes, wherever both are trained."""
        name = hyperparameters.plain(algorithm, self.algorithms)
        trained: dict[str, dict[str, Any]] = {algorithm.name: {}, name or "": {}}
        for cell in self.cells:
            if cell.implementation == OURS and cell.algorithm in trained:
                kept = {
                    key: value
                    for key, value in cell.hyperparameters.items()
                    if key not in hyperparameters.MEANS
                }
                same = (cell.budget, cell.n_envs, cell.normalize, cell.evaluation, kept)
                trained[cell.algorithm][cell.environment] = same
        mine, other = trained.values()
        return name if all(mine[where] == other[where] for where in mine.keys() & other.keys()) else None

    @property
    def implementations(self) -> list[str]:
        """Implementations of the arms, candidates by their own names."""
        return sorted({cell.implementation for cell in self.cells})

    def restored(self, cell: Cell) -> bool:
        """Whether a cell is of a reference, and not trained: its records are taken from the reports."""
        return self.references == "shipped" and of_reference(cell) and arm_folder(cell) not in self.unshipped

    @property
    def floors(self) -> list[str]:
        """Configurations that have learned nothing: margins are measured from them."""
        metrics = (metric for each in self.environments.values() for metric in each.metrics)
        return list(dict.fromkeys(metric.floor for metric in metrics if isinstance(metric.floor, str)))

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
        """Everything that the cell's fingerprint is a hash of."""
        return fingerprint.parts(cell)


def of_reference(cell: Cell) -> bool:
    """Whether a cell is neither ours nor a candidate's."""
    return cell.implementation in IMPLEMENTATIONS and cell.implementation != OURS


def arm_folder(cell: Cell) -> str:
    """`environment/implementation/algorithm`: the arm's folder in that of a suite."""
    return "/".join(cell.folder.parts[1:-1])


def find(name: str) -> Path:
    """A suite file by its path or its name ("smoke"), of the working folder before those of the project."""
    folders = project_files.folders(project_files.SUITES)
    for file in (Path(name), *(folder / f"{name}.yaml" for folder in folders)):
        with contextlib.suppress(OSError):  # a name longer than a file's may be
            if file.is_file():
                return file
    if os.sep in name or Path(name).suffix in (".yaml", ".yml"):
        raise UserError(f"{yaml_reader.short(name)}: no such file")
    known = {file.stem for folder in folders for file in folder.glob("*.yaml")}
    raise unknown("suite", yaml_reader.short(name), known, " and ".join(map(project_files.shown, folders)))


def keys(path: Path) -> dict[str, Any]:
    """The keys of a suite's file, of which the schema has checked the shape. Raises UserError."""
    raw = _mapping(path)
    _refuse(f"Bad suite {path}", list(yaml_reader.problems(raw, project_files.schema(SCHEMA))))
    return raw


def _mapping(path: Path) -> dict[str, Any]:
    raw = yaml_reader.read(path)
    if not isinstance(raw, Mapping):
        raise UserError(f"{path}: expected a mapping with the keys of a suite, got {type(raw).__name__}")
    if raw.get("kind") == SENSITIVITY:
        raise UserError(f"{path}: it plants bugs and has no cells; give it to rlparity run or sensitivity")
    return dict(raw)


def load(path: Path, narrow: Mapping[str, Any] | None = None, elsewhere: bool = False) -> Suite:
    """Read and check a suite file. Raises UserError.

    Of `narrow`, the values of `--config`, those that the file has already are left out. A suite that runs
    `elsewhere` need not fit this machine nor find its devices here.
    """
    raw = _mapping(path)
    overrides = {key: value for key, value in (narrow or {}).items() if key not in raw or raw[key] != value}
    for key in overrides:
        if key not in narrowing.NARROWING:
            raise unknown("key", key, narrowing.NARROWING, "--config")
    shown = project_files.shown(path)
    return replace(resolve(raw, f"Bad suite {shown}", overrides, elsewhere), path=Path(shown))


def resolve(
    raw: Mapping[str, Any],
    heading: str,
    narrow: Mapping[str, Any] | None = None,
    elsewhere: bool = False,
) -> Suite:
    """The suite of these keys with its cells. Raises UserError with a line for each problem."""
    library = hyperparameters.library()
    changed = replaced.changes(raw, narrow or {})
    raw = replaced.applied(raw, changed) if changed else raw
    found = list(yaml_reader.problems(raw, project_files.schema(SCHEMA)))
    has_shape = not found
    found += checks.bad_names(raw, library.algorithms) + checks.bad_paths(raw)
    if isinstance(raw.get("split"), str):
        found += splitting.problem(raw["split"], "split")
    places = environments(raw, found) if has_shape else []
    _refuse(heading, found)
    library = library.judged_by(raw.get("reference", {}))
    narrow = narrowing.checked(narrow or {})
    device = narrow.get("device", raw.get("device", "cpu"))
    split = narrow.get("split", raw.get("split", splitting.AUTO))
    references = narrow.get("references", raw.get("references", "train"))
    resolved = {
        "device": devices.resolve(device, elsewhere),
        "split": 1 if split == splitting.AUTO else split,
    }
    cells = grid.cells({**raw, **resolved}, places, library, found)
    if not elsewhere:
        infos = {each.id: each.info for each in places}
        lines = [line for cell in cells for line in memory_needs.bad_memory(cell, infos[cell.environment])]
        found += dict.fromkeys(lines)
    _refuse(heading, found)
    whole = Suite(
        name=raw["name"],
        title=raw["title"],
        description=raw.get("description", ""),
        margin=raw.get("margin", MARGIN),
        primary=raw.get("primary", "auc"),
        family=raw.get("family", "report"),
        references=references,
        live_check=references == "shipped" and raw.get("live_check", True),
        films=raw.get("films", False),
        time_limit=raw.get("time_limit", 0.0),
        device=device,
        split=split,
        algorithms={name: library.algorithms[name] for each in places for name in each.algorithms},
        environments={each.id: each for each in places},
        cells=tuple(cells),
        deterministic=_deterministic(raw, library.algorithms, cells),
        changed=changed,
        growth=growth.read(raw["seeds"], found),
    )
    _refuse(heading, growth.problems(raw, whole))
    return _with_fingerprints(growth.kept(narrowing.part(whole, narrow)))


def _deterministic(
    raw: Mapping[str, Any], algorithms: Mapping[str, Algorithm], cells: Sequence[Cell]
) -> tuple[Arm, ...]:
    """The arms of the cells that are declared deterministic: by a candidate itself, else by configuration."""
    candidates = raw.get("candidates", {})

    def is_declared(arm: Arm) -> bool:
        if arm.implementation in candidates:
            return bool(candidates[arm.implementation].get("deterministic", False))
        return algorithms[arm.algorithm].deterministic

    arms = dict.fromkeys(Arm(cell.implementation, cell.algorithm) for cell in cells)
    return tuple(arm for arm in arms if is_declared(arm))


def _with_fingerprints(suite: Suite) -> Suite:
    marked = (replace(cell, fingerprint=fingerprint.text_hash(suite.parts(cell))) for cell in suite.cells)
    return replace(suite, cells=tuple(marked))


def check_writable(*folders: Path) -> None:
    """Raise UserError for folders that the pipeline cannot write to."""
    for folder in folders:
        place = folder.absolute()
        while not place.exists():
            place = place.parent
        if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            raise (StorageError if place.is_dir() else UserError)(
                f"{folder}: cannot be written to; make it a folder that you may write to"
            )


def _refuse(heading: str, found: Sequence[str]) -> None:
    if found:
        raise UserError("\n  - ".join([f"{heading}:", *found]))
