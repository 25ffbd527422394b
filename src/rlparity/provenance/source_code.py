"""Reads sources without importing them: suites are checked and fingerprints taken before torch is loaded."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = Path(__file__).parents[1]
UNREADABLE = object()


class Field(NamedTuple):
    """A field of a dataclass, as its source has it."""

    annotation: ast.expr
    default: Any  # UNREADABLE where there is none, or none that is a literal


@cache
def path(module: str) -> Path | None:
    """The file of a module: this package's, else the first on the search path; None if there is none."""
    head, *tail = module.split(".")
    roots = [PACKAGE.parent] if head == PACKAGE.name else [Path(root or ".") for root in sys.path]
    for root in roots:
        place = root.joinpath(head, *tail)
        for candidate in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if candidate.is_file():
                return candidate
    return None


def modules(package: str) -> list[str]:
    """The modules of a package of this project, in the order of their names."""
    folder = PACKAGE.parent.joinpath(*package.split("."))
    return [f"{package}.{file.stem}" for file in sorted(folder.glob("*.py")) if file.stem != "__init__"]


@cache
def tree(module: str) -> ast.Module:
    """The syntax tree of a module that exists. Not to be changed: it is shared."""
    file = path(module)
    if file is None:
        raise ModuleNotFoundError(f"no source file for module {module!r}")
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))


@cache
def fields(module: str, name: str) -> dict[str, Field]:
    """The fields of a dataclass of that module, in order."""
    for node in tree(module).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return {
                line.target.id: Field(line.annotation, _literal(line.value))
                for line in node.body
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
            }
    raise LookupError(f"{module} has no class {name}")


def _literal(node: ast.expr | None) -> Any:
    try:
        return UNREADABLE if node is None else ast.literal_eval(node)
    except ValueError:
        return UNREADABLE
