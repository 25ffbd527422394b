"""What a result depends on, as a hash: editing an agent retrains that agent, a comment or a plot nothing.

A cell depends on the syntax trees of the modules that make its numbers, on its own data, and on the versions
of the packages that compute. Imports are followed where they are written; of the registry, the entries that
the cell uses count and the file does not, so that a new agent or environment leaves the others alone.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from functools import cache
from importlib import metadata
from typing import Any

from rlparity import candidate_sources, definitions, registry, sources
from rlparity.cell import Cell

LOOP = ("evaluate", "seeding", "records")
NEUTRAL = {  # they make no number
    f"rlparity.{name}" for name in ("cell", "errors", "fingerprint", "registry", "sources")
}
STAGES = {
    "collect": (("table",), ("pandas", "pyarrow")),
    "analyse": (("analyse",), ("pandas", "scipy", "numpy")),
    "films": (("films",), ("torch", "gymnasium", "pillow")),
    "draw": (("figures",), ("pandas", "matplotlib", "seaborn")),
    "report": (("report",), ("pandas", "jinja2")),
    "sensitivity": (("sensitivity_page",), ("pandas", "matplotlib", "jinja2")),
}
PAGES = ("report", "sensitivity")  # stages that fill templates
# Fields of a cell that leave its records as they are.
UNRELATED = {"suite", "tensorboard", "checkpoint_every", "fingerprint"}
PLACES = {"folder", "time_limit_s"}  # of a candidate: where it lies and how long it may take


def parts(cell: Cell, simulator: str | None = None, module: str | None = None) -> dict[str, Any]:
    """All that a cell's records depend on: {"sources": {module: hash}, "reference", "versions", "cell"}, and
    of a candidate {"files": {path: hash}}.

    `simulator` is the distribution that steps the environment if Gymnasium does not, `module` the user's own
    module that defines it.
    """
    hashes = {name: digest(name) for name in sorted(closure(_modules(cell)))}
    if module is not None and sources.path(module) is not None:
        hashes |= {module: digest(module)}
    packages = ["torch", "numpy", "gymnasium"]
    if cell.implementation == "sb3":
        packages += sorted({"stable_baselines3", registry.REFERENCES[cell.agent].split(":")[0]})
    packages += [simulator] if simulator is not None else []
    defaults = {field.name: field.default for field in fields(cell)}  # a new field leaves old records valid
    defaults.pop("evaluation")  # other defaults of the protocol do not
    defaults["candidate"] = {}
    data = {
        key: value
        for key, value in asdict(cell).items()
        if key not in UNRELATED and not (key in defaults and getattr(cell, key) == defaults[key])
    }
    files = {}
    if cell.candidate:
        data["candidate"] = {key: cell.candidate[key] for key in cell.candidate.keys() - PLACES}
        files = {"files": candidate_sources.digests(cell)}
    return {
        "sources": hashes,
        "reference": registry.REFERENCES[cell.agent] if cell.implementation == "sb3" else None,
        "versions": {name: version(name) for name in packages},
        "cell": json.loads(json.dumps(data)),
        **files,
    }


def of(cell: Cell, simulator: str | None = None, module: str | None = None) -> str:
    """The cell's fingerprint, 16 hexadecimal digits. The same cell of two suites has the same."""
    return text_hash(parts(cell, simulator, module))


def by_content(cell: Cell, simulator: str | None = None, module: str | None = None) -> str:
    """The fingerprint that takes definitions by their content in place of modules by name."""
    found = parts(cell, simulator, module)
    found["sources"] = [definitions.digest(roots(cell))]
    if module is not None and sources.path(module) is not None:
        found["sources"].append(definitions.digest((module,)))
    return text_hash(found)


def roots(cell: Cell) -> tuple[str, ...]:
    """The definitions where the search for a cell's sources begins, see `definitions.roots`."""
    family = registry.family(cell.environment)
    theirs = registry.reference_worlds(cell.environment)
    reference = tuple(f"{theirs}:{name}" for name in ("make", "paid", "present"))
    if cell.candidate:
        learner: tuple[str, ...] = (f"{registry.CANDIDATES[cell.kind]}:run", *reference)
    elif cell.implementation == "sb3":
        learner = ("rlparity.reference:run", *reference)
    else:
        agent = registry.AGENTS[cell.agent].module
        learner = (f"{agent}:Agent", f"{agent}:Config", "rlparity.train:run")
    return (*learner, f"{family}:make")


def source_hash(cell: Cell) -> str:
    """Hash of all modules of this package that make the cell's numbers."""
    return text_hash({name: digest(name) for name in closure(_modules(cell))})


def stage(name: str) -> str:
    """Fingerprint of a stage after training: its modules, templates and the versions it needs."""
    modules, packages = STAGES[name]
    hashes = {module: digest(module) for module in closure(tuple(f"rlparity.{module}" for module in modules))}
    if name in PAGES:
        for file in sorted((sources.PACKAGE / "templates").rglob("*")):
            if file.is_file():
                hashes[str(file.relative_to(sources.PACKAGE))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return text_hash([hashes, {package: version(package) for package in packages}])


def text_hash(value: object) -> str:
    """16 hexadecimal digits for anything that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@cache
def version(package: str) -> str | None:
    """Installed version, read without an import and without its local part ("2.13.0+cpu" is "2.13.0")."""
    try:
        return metadata.version(package).split("+")[0]
    except metadata.PackageNotFoundError:
        return None


def _modules(cell: Cell) -> tuple[str, ...]:
    """Where the search for a cell's sources begins."""
    ours = (registry.AGENTS[cell.agent].module, "rlparity.train")
    theirs = ("rlparity.reference", registry.reference_worlds(cell.environment))
    learner: tuple[str, ...] = ours if cell.implementation == "scratch" else theirs
    if cell.candidate:
        learner = (registry.CANDIDATES[cell.kind],)
    return (*learner, registry.family(cell.environment), *(f"rlparity.{name}" for name in LOOP))


@cache
def closure(modules: tuple[str, ...]) -> frozenset[str]:
    """The modules of this package that these import, directly or through others, themselves included."""
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in seen and module not in NEUTRAL:
            seen.add(module)
            waiting.extend(_imports(module))
    return frozenset(seen)


@cache
def _imports(module: str) -> frozenset[str]:
    """Modules of this package that a module imports by name, wherever the import stands in it."""
    file = sources.path(module)
    package = module if file is not None and file.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in _walk(sources.tree(module)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            found.update(_named(base, [alias.name for alias in node.names]))
    own = sources.PACKAGE.name
    return frozenset(name for name in found if name.split(".")[0] == own and sources.path(name) is not None)


def _named(base: str, names: Iterable[str]) -> Iterator[str]:
    """`from base import names`: submodules stand for themselves, anything else for `base`."""
    if base.split(".")[0] != sources.PACKAGE.name:
        return
    for name in names:
        inner = f"{base}.{name}"
        yield inner if sources.path(inner) is not None else base


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but the bodies of `if TYPE_CHECKING:`."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for other in child.orelse:
                yield from _walk(other)
        else:
            yield from _walk(child)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


@cache
def digest(module: str) -> str:
    """Hash of a module's syntax tree without comments and docstrings."""
    return hashlib.sha256(_dump(sources.tree(module)).encode()).hexdigest()[:16]


def _dump(node: object) -> str:
    """The tree as text. Empty fields are dropped: Python 3.12 and 3.13 add some that 3.11 does not know."""
    if isinstance(node, list):
        return "[" + ",".join(map(_dump, node)) + "]"
    if isinstance(node, ast.Constant):
        return f"{type(node.value).__name__}:{node.value!r}"
    if not isinstance(node, ast.AST):
        return repr(node)
    values = {name: getattr(node, name, None) for name in node._fields}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        values["body"] = _without_docstring(node.body)
    inside = (f"{name}={_dump(value)}" for name, value in sorted(values.items()) if value not in (None, []))
    return f"{type(node).__name__}({','.join(inside)})"


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    return body


def differences(cell: Cell, now: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """Why records are not those of this cell: what `parts` says `now` against what their `run.json` says."""
    found = besides_sources(cell, now, run)
    if not found and run.get("source_hash") != source_hash(cell):
        before = run.get("sources", {})
        edited = [name for name, value in now["sources"].items() if before.get(name, value) != value]
        found.append(f"the sources changed{': ' + ', '.join(edited) if edited else ''}")
    return found or ["its fingerprint"]


def besides_sources(cell: Cell, now: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """As `differences`, of the cell's own data and the versions of packages that compute alone."""
    blank = json.loads(Cell("", "", "", "", "", (), 0).to_json())  # fields newer than the records: defaults
    found = _changed(json.loads(cell.to_json()), {**blank, **run.get("cell", {})})
    versions = {_plain(name): str(value).split("+")[0] for name, value in run.get("versions", {}).items()}
    found += _changed(now.get("files", {}), run.get("files", {}))
    return found + _changed(now["versions"], {name: versions.get(_plain(name)) for name in now["versions"]})


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
