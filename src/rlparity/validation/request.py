"""A validation as a suite: the cells of the candidate, its reference and a random agent."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlparity import atari_names
from rlparity.cell import KINDS, Cell
from rlparity.environments import metadata
from rlparity.errors import UserError, unknown
from rlparity.registry import REFERENCE
from rlparity.suites import checks, hyperparameters, suite, value_checks, yaml_reader
from rlparity.suites.suite import FLOOR, Suite

NOT_TEXT = ("columns", "deterministic", "iteration_steps", "longer", "n_envs")  # keys without text values

KIND_NAMES = {"entry": "a Python entry point", "command": "a command", "logs": "finished logs"}


@dataclass(frozen=True)
class Request:
    """One validation."""

    candidate: Mapping[str, Any]  # as in a suite, without `against`
    against: str  # named configuration
    suite: Path
    name: str = ""  # of the candidate; derived from what it is if empty
    environments: Sequence[str] = ()  # of the suite; empty: all that have the configuration
    seeds: Sequence[str] = ()  # ranges of the candidate's seeds; empty: the suite's
    references: str = "shipped"  # or "train": train what is not shipped or is stale

    @property
    def kind(self) -> str:
        """The candidate's kind, one of `cell.KINDS`."""
        return next(kind for kind in KINDS if kind in self.candidate)

    @property
    def candidate_name(self) -> str:
        """The candidate's name."""
        return self.name or name_of(self.kind, self.candidate[self.kind])


def from_options(options: Mapping[str, Any], file: Path) -> Request:
    """Make the request from the options of `rlparity validate` and the suite's file. Raises UserError."""
    kind = next(kind for kind in KINDS if options[kind] is not None)
    given = {kind: options[kind], "folder": options["folder"]}
    if options["time_limit"] is not None:
        given["time_limit_s"] = options["time_limit"]
    if options["files"]:
        given["files"] = options["files"]
    if options["keep_logs"]:
        given["keep_logs"] = True
    if options["returns"]:
        given["returns"] = returns(options["returns"])
    if options["settings"] is not None:
        given["settings"] = settings(options["settings"])
    if options["departure"]:
        given["departures"] = list(options["departure"])
    return Request(
        candidate=given,
        against=configuration(options["against"]),
        suite=file,
        name=options["name"],
        environments=options["environments"],
        seeds=options["seeds"],
        references=options["references"],
    )


def settings(file: Path) -> dict[str, Any]:
    """Read the settings that a candidate is declared to run with, YAML or JSON. Raises UserError if the file
    is no mapping of names to values."""
    found = yaml_reader.read(file)
    if not isinstance(found, dict):
        shown = yaml_reader.short(repr(found))
        raise UserError(f"--settings {file}: expected a mapping of settings to values, got {shown}")
    return found


def returns(pairs: Sequence[str]) -> dict[str, Any]:
    """Parse `tag=charts/return columns.env_step=step` into the mapping `returns` of a candidate."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise UserError(f"--returns {pair}: write KEY=VALUE, such as tag=charts/return")
        outer, _, inner = key.partition(".")
        if inner:
            if outer != "columns":
                raise UserError(f"--returns {pair}: only columns has keys of its own, columns.env_step=...")
            if not isinstance(found.setdefault(outer, {}), dict):
                raise UserError(f"--returns {pair}: columns is {found[outer]!r} already")
            found[outer][inner] = text
        else:
            found[outer] = yaml_reader.parse(text, f"--returns {outer}") if outer in NOT_TEXT else text
    return found


def name_of(kind: str, text: str) -> str:
    """Derive a name from the module, the program, or the folder of the logs."""
    if kind == "entry":
        text = Path(text.rpartition(":")[0]).name.removesuffix(".py").rpartition(".")[2]
    elif kind == "command":
        files = [word for word in text.split() if re.search(r"\w\.\w+$", word) and "{" not in word]
        text = Path(files[0]).stem if files else text.split()[0]
    else:
        parts = [part for part in Path(text).parts if not re.search(r"[*{/]", part)]
        text = Path(parts[-1]).stem if parts else "logs"
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_") or "candidate"


def configuration(text: str, where: str = "--against") -> str:
    """The named configuration in `sb3/ppo` or `ppo`; UserError if it is unknown or has no reference."""
    implementation, _, name = text.rpartition("/")
    if implementation not in ("", REFERENCE):
        raise UserError(
            f"{where} {text!r}: only references of {REFERENCE} are known, such as {REFERENCE}/ppo"
        )
    known = {
        name for name, each in hyperparameters.library().algorithms.items() if each.reference is not None
    }
    if name not in known:
        raise unknown("configuration", name, known, where)
    return name


def reference_settings(against: str, environment: str, file: str | None) -> tuple[dict[str, Any], str]:
    """All settings of a reference in an environment, and their source; with those that a suite replaces if
    `file` names one. Raises UserError."""
    name, library = configuration(against, "REFERENCE"), hyperparameters.library()
    algorithm = library.algorithms[name]
    chosen = library.lookup(environment, algorithm.agent)
    replaced: Mapping[str, Any] = {}
    if file is not None:
        replaced = suite.keys(suite.find(file)).get("hyperparameters", {}).get(name, {})
    source = chosen.source + (f"; replaced by suite {file}: {', '.join(replaced)}" if replaced else "")
    values = {**chosen.hyperparameters, **algorithm.options_for(environment), **replaced}
    found = checks.bad_spaces(environment, metadata.probe(environment), algorithm)
    found += value_checks.bad_hyperparameters(replaced, algorithm.agent, f"{file}: hyperparameters.{name}")
    if found:
        raise UserError(found[0])
    own = hyperparameters.for_reference(values, algorithm.agent)
    return (
        hyperparameters.resolved(algorithm.agent, own, environment, chosen.n_envs, chosen.normalize),
        source,
    )


def plan(request: Request) -> Suite:
    """The suite `validate-<name>`: cells of candidate, reference and random agent, with their fingerprints.

    Its description names requested seeds without finished logs. Raises UserError if the request is invalid.
    """
    own = resolve(request, {})
    given = resolve(request, {"seeds": list(request.seeds)}) if request.seeds else own
    cells = [cell for cell in own.cells if cell.implementation == REFERENCE or cell.agent == FLOOR]
    mine, lacking = cells_of(given, request.candidate_name), list[str]()
    if request.seeds and request.kind == "logs":
        mine, lacking = _with_logs(mine, given)
    return replace(own, cells=(*cells, *mine), description=" ".join((own.description, *lacking)))


def _with_logs(logged: Sequence[Cell], given: Suite) -> tuple[list[Cell], list[str]]:
    """Choose the cells of requested seeds, and describe requested seeds without logs, a sentence for each
    environment. Raises UserError if an environment has logs of none of them."""
    chosen, lacking = [], []
    for name in dict.fromkeys(cell.environment for cell in logged):
        wanted = {seed for block in given.environments[name].blocks for seed in block}
        here = {cell.seeds[0]: cell for cell in logged if cell.environment == name}
        if not wanted & here.keys():
            there = ", ".join(map(str, sorted(here)))
            raise UserError(f"--seeds: no logs of any of them in {name}; there are seeds {there}")
        chosen += [cell for seed, cell in here.items() if seed in wanted]
        if missing := sorted(wanted - here.keys()):
            lacking.append(f"Requested, but without logs in {name}: seeds {', '.join(map(str, missing))}.")
    return chosen, lacking


def resolve(request: Request, changes: Mapping[str, Any]) -> Suite:
    """The suite of the request, reduced to its configuration and with the candidate added."""
    raw = suite.keys(request.suite)
    common = raw.get("algorithms", [])
    all_places: list[dict[str, Any]] = [
        {"id": place} if isinstance(place, str) else dict(place) for place in raw["environments"]
    ]
    places = [place for place in all_places if request.against in (place.get("algorithms") or common)]
    ids = [str(place.get("id")) for place in places]
    if not places:
        raise UserError(
            f"suite {raw.get('name')!r}: no environment has {request.against!r} among its algorithms"
        )
    for wanted in request.environments:
        if wanted not in ids:
            if (ours := atari_names.suggestion(wanted)) in ids:
                raise UserError(f"--environments: {wanted!r} is {ours!r} in suite {raw.get('name')!r}")
            raise unknown("environment", wanted, ids, "--environments")
    for place in places:
        place["algorithms"] = [FLOOR, request.against]
        if "seeds" in changes:
            place.pop("seeds", None)
    name = request.candidate_name
    title = f"{name} against {hyperparameters.library().algorithms[request.against].reference}"
    given = {**request.candidate, "against": request.against}
    return suite.resolve(
        {
            **raw,
            "name": f"validate-{name}",
            "title": title,
            "description": f"{name}, given as {KIND_NAMES[request.kind]}, on suite {raw.get('name')}.",
            "environments": [
                place for place in places if not request.environments or place["id"] in request.environments
            ],
            "algorithms": [FLOOR, request.against],
            "implementations": ["scratch", REFERENCE],
            "references": request.references,
            "films": False,
            "candidates": {name: given},
            **changes,
        },
        f"rlparity validate, with suite {request.suite}",
    )


def cells_of(plan: Suite, implementation: str) -> list[Cell]:
    """The cells of one arm."""
    return [cell for cell in plan.cells if cell.implementation == implementation]
