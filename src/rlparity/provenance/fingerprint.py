"""What a result depends on, as a hash: editing an agent retrains that agent, a comment or a plot nothing.

A cell depends on the definitions that make its numbers, by their content (`definitions`), on its own data,
and on the versions of the packages that compute. Of the registry the entries that the cell uses count, not
the file: a new agent or environment leaves the others alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

from rlparity import registry
from rlparity.cell import EPSILON, UNRELATED, Cell
from rlparity.environments import metadata
from rlparity.environments.configured import ids
from rlparity.provenance import candidate_files, definitions, source_code, user_modules

ANALYSIS = ("rlparity.analysis.summarize", "rlparity.analysis.live_checks")
STAGES = {  # modules that a stage calls, and packages
    "collect": (("rlparity.analysis.tables",), ("pandas", "pyarrow")),
    "analyse": (ANALYSIS, ("pandas", "scipy", "numpy")),
    "films": (("rlparity.playback.films",), ("torch", "gymnasium", "pillow")),
    "draw": (("rlparity.reporting.figures.draw",), ("pandas", "matplotlib", "seaborn")),
    "report": (("rlparity.reporting.pages.suite.report",), ("pandas", "jinja2")),
    "sensitivity": (("rlparity.reporting.pages.sensitivity",), ("pandas", "matplotlib", "jinja2")),
}
KERNEL = "rlparity.nn.kernel"
PAGES = ("report", "sensitivity")  # stages that fill templates
# Keys of a candidate that leave its records as they are: its place, its time, and what is said about it.
PLACES = {"folder", "time_limit_s", "keep_logs", "settings", "departures"}


def parts(cell: Cell) -> dict[str, Any]:
    """All that a cell's records depend on: {"sources": hashes, "reference", "versions", "cell"}, and of a
    candidate {"files": {path: hash}}.

    A program and finished logs depend on their own files, and on what reads logs here: not on the packages of
    this interpreter.
    """
    info, elsewhere = metadata.probe(cell.environment), cell.kind in ("command", "logs")
    hashes = [source_hash(cell)]
    if not elsewhere and info.module is not None and source_code.path(info.module) is not None:
        hashes.append(definitions.whole_module(info.module))
    hashes += [definitions.whole_module(name) for name in info.wrapper_modules if source_code.path(name)]
    if not elsewhere and (further := _further(cell.environment, info)):
        hashes.append(text_hash(further))
    packages = [] if elsewhere else ["torch", "numpy", "gymnasium"]
    packages += ["numba"] if computed_by_kernel(cell) else []
    reference = registry.REFERENCES[cell.agent] if cell.implementation == registry.REFERENCE else None
    if reference is not None:
        packages += sorted({"stable_baselines3", reference.split(":")[0]})
    packages += [info.simulator] if info.simulator is not None and not elsewhere else []
    files = {"files": candidate_files.digests(cell)} if cell.candidate else {}
    return {
        "sources": hashes,
        "reference": reference,
        "versions": {name: version(name) for name in packages},
        "cell": _data(cell),
        **files,
    }


def _further(environment: str, info: metadata.EnvironmentInfo) -> dict[str, str]:
    """Of a user's environment: the module that its id names, what it imports, installed packages."""
    counted = [*filter(None, [info.module]), *info.wrapper_modules]
    named = ids.base(environment).rpartition(":")[0]
    return user_modules.contents(filter(None, [named]), counted)


def computed_by_kernel(cell: Cell) -> bool:
    """Whether `rlparity.nn.kernel` computes the networks: of our own agents, without images, on a CPU."""
    own = cell.implementation != registry.REFERENCE and not cell.candidate and cell.device == "cpu"
    return own and cell.agent != "random" and metadata.probe(cell.environment).image is None


def _data(cell: Cell) -> dict[str, Any]:
    """What the records depend on of a cell's own data, as JSON has it. Defaults of fields are left out: a new
    field leaves old records valid. Defaults of the protocol are not: they may change."""
    defaults = {field.name: field.default for field in fields(cell)} | {"candidate": {}}
    defaults.pop("evaluation")
    data = {
        key: value
        for key, value in asdict(cell).items()
        if key not in UNRELATED and not (key in defaults and getattr(cell, key) == defaults[key])
    }
    if cell.candidate:
        data["candidate"] = {key: cell.candidate[key] for key in cell.candidate.keys() - PLACES}
    found: dict[str, Any] = json.loads(json.dumps(data))
    return found


def of(cell: Cell) -> str:
    """The cell's fingerprint, 16 hexadecimal digits. The same cell of two suites has the same."""
    return text_hash(parts(cell))


def roots(cell: Cell) -> tuple[str, ...]:
    """The definitions where the search for a cell's sources begins, see `definitions.roots`."""
    if cell.kind in ("command", "logs"):
        return (f"{registry.trainer(cell)}:run",)
    family = registry.family(cell.environment)
    reference = tuple(f"{family.reference}:{name}" for name in ("make", "raw", "present"))
    if cell.candidate:
        learner: tuple[str, ...] = (f"{registry.trainer(cell)}:run", *reference)
        # of its own process, which no import leads to
        learner += ("rlparity.candidates.isolated:train", "rlparity.candidates.entry_point:run")
    elif cell.implementation == registry.REFERENCE:
        module = registry.trainer(cell)
        small = registry.is_small(metadata.probe(cell.environment).image or ())
        model = (registry.SMALL_IMAGES[cell.agent],) if small else ()
        learner = (f"{module}:train", f"{module}:Training", *reference, *model)
    else:
        entry = registry.AGENTS[cell.agent]
        settings = f"{entry.module}:{entry.settings}"
        loop = tuple(f"rlparity.training.loop:{name}" for name in ("build", "loop", "evaluation"))
        learner = (entry.place, settings, *loop)
    rows = tuple(f"rlparity.training.rows:{name}" for name in ("of_episodes", "of_evaluation"))
    shared = (*rows, "rlparity.training.evaluation:Evaluator", "rlparity.seeding:Streams")
    return (*learner, *shared, f"{family.module}:make")


def used(cell: Cell) -> frozenset[str]:
    """The keys of `registry.PARTS` that a cell's data ask for."""
    info = metadata.probe(cell.environment)
    options = {**_defaults(cell), **cell.hyperparameters}
    small = registry.is_small(info.image or ())
    large = info.image is not None and not small
    asked = {
        "categorical": info.actions == "discrete",
        "gaussian": info.actions == "continuous",
        "convolutions": large,
        "frame replay": large,
        "small convolutions": small,
        "whole images": small,
        "normalization": cell.normalize,
        **dict.fromkeys(("device", "masked adam", "masked rmsprop", "masked lerp"), cell.device != "cpu"),
        "prioritized": bool(options.get("prioritized")),
        "dueling": bool(options.get("dueling")),
        "epsilon-greedy": any(mode.startswith(EPSILON) for mode in cell.evaluation.modes),
    }
    return frozenset(name for name, needed in asked.items() if needed)


def _defaults(cell: Cell) -> dict[str, Any]:
    entry = registry.AGENTS.get(cell.agent)
    fields = {} if entry is None else source_code.fields(entry.module, entry.settings)
    return {name: field.default for name, field in fields.items()}


def source_hash(cell: Cell) -> str:
    """Hash of all definitions of this package that make the cell's numbers."""
    found = definitions.digest(roots(cell), used(cell))
    return text_hash([found, _kernel()]) if computed_by_kernel(cell) else found


@cache
def _kernel() -> str:
    """Hash of the kernel's modules, whole: compiled functions refer to each other in ways of their own."""
    return text_hash([definitions.whole_module(name) for name in source_code.modules(KERNEL)])


def own_hashes(cell: Cell) -> dict[str, str]:
    """{qualified name: hash} of these definitions, for `differences` to name those that changed."""
    found = definitions.own_hashes(roots(cell), used(cell))
    return {**found, KERNEL: _kernel()[:8]} if computed_by_kernel(cell) else found


def stage(name: str) -> str:
    """Fingerprint of a stage after training: its definitions, templates and the versions it needs."""
    modules, packages = STAGES[name]
    hashes = {"": definitions.digest(modules)}
    if name in PAGES:
        for file in sorted((source_code.PACKAGE / "reporting" / "templates").rglob("*")):
            if file.is_file():
                hashes[str(file.relative_to(source_code.PACKAGE))] = hashlib.sha256(
                    file.read_bytes()
                ).hexdigest()
    return text_hash([hashes, {package: version(package) for package in packages}])


def text_hash(value: object) -> str:
    """16 hexadecimal digits for anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@cache
def version(package: str) -> str | None:
    """Installed version, read without an import and without its local part ("2.13.0+cpu" is "2.13.0")."""
    try:
        return installed(package).split("+")[0]
    except PackageNotFoundError:
        return None


def differences(cell: Cell, now: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """Why records are not those of this cell: what `parts` says `now` against what their `run.json` says."""
    found = besides_sources(cell, now, run)
    if not found and run.get("source_hash") != source_hash(cell):
        edited = _edited(own_hashes(cell), _definitions(run))
        found.append(f"the sources changed{': ' + ', '.join(edited) if edited else ''}")
    return found or ["its fingerprint"]


def _definitions(run: Mapping[str, Any]) -> Mapping[str, str]:
    """Those of the newest voucher that has them, else those of the training."""
    entries = [run, *run.get("vouched", ())]
    found: list[Mapping[str, str]] = [entry["definitions"] for entry in entries if "definitions" in entry]
    return found[-1] if found else {}


def _edited(now: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    """Definitions that are new or other than before; those that only moved or were renamed are not."""
    if not before:
        return []
    known, there = set(before.values()), set(now.values())
    new = [name for name, value in now.items() if value not in known]
    gone = [name for name, value in before.items() if value not in there and name not in now]
    return new + [f"{name} (gone)" for name in gone if not new]


def besides_sources(cell: Cell, now: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """As `differences`, of the cell's own data and the versions of packages that compute alone."""
    found = other_settings(cell, run)
    versions = {_plain(name): str(value).split("+")[0] for name, value in run.get("versions", {}).items()}
    found += _changed(now.get("files", {}), run.get("files", {}))
    return found + _changed(now["versions"], {name: versions.get(_plain(name)) for name in now["versions"]})


def other_settings(cell: Cell, run: Mapping[str, Any]) -> list[str]:
    """As `differences`, of the cell's own data alone."""
    blank = json.loads(Cell("", "", "", "", "", (), 0).to_json())  # fields newer than the records: defaults
    return _changed(json.loads(cell.to_json()), {**blank, **run.get("cell", {})})


def _changed(now: Mapping[str, Any], then: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key in sorted({*now, *then} - UNRELATED - PLACES):
        new, old = now.get(key), then.get(key)
        if isinstance(new, Mapping) and isinstance(old, Mapping):
            found += _changed(new, old, f"{prefix}{key}.")
        elif new != old:
            found.append(f"{prefix}{key} is {new}, was {old}")
    return found


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")
