"""The top level of a module: what it defines, what it imports, and where a name leads."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import NamedTuple

from rlparity.provenance import scopes, source_code
from rlparity.provenance.scopes import External, Imported, Names

Key = tuple[str, str]  # module and name of a definition


class Module(NamedTuple):
    """The top level of a module."""

    definitions: Mapping[str, Sequence[ast.stmt]]  # name -> its statements
    imports: Names
    other: Sequence[ast.stmt]  # statements that define nothing


@cache
def module(name: str) -> Module:
    """The top level of a module that exists. ValueError for what could not be followed from there."""
    definitions: dict[str, list[ast.stmt]] = {}
    imports: dict[str, Imported | External | None] = {}
    other: list[ast.stmt] = []
    for statement in scopes.body(source_code.tree(name)):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports |= scopes.imported(statement, name)
        elif scopes.is_type_checking(statement):
            imports |= {key: External("type") for key in scopes.bound([statement], name)}
        elif names := defined(statement):
            for key in names:
                definitions.setdefault(key, []).append(statement)
        else:
            other.append(statement)
            definitions |= {key: [] for key in scopes.bound([statement], name) if key not in definitions}
    _refuse(name, other, definitions.keys() & imports.keys())
    return Module(definitions, imports, other)


def _refuse(name: str, other: Sequence[ast.stmt], twice: Iterable[str]) -> None:
    """ValueError for what would be lost: an import within a statement, a name imported and defined."""
    if any(isinstance(node, ast.Import | ast.ImportFrom) for each in other for node in ast.walk(each)):
        raise ValueError(f"{name}: an import inside another statement cannot be followed")
    if names := ", ".join(sorted(twice)):
        raise ValueError(f"{name}: imported and defined as well: {names}")


def defined(statement: ast.stmt) -> list[str]:
    """The names that one top-level statement defines; none for what is more than a definition."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Assign(targets=targets):
            nodes = [node for target in targets for node in ast.walk(target)]
            simple = all(isinstance(node, ast.Name | ast.Tuple | ast.expr_context) for node in nodes)
            return [node.id for node in nodes if isinstance(node, ast.Name)] if simple else []
    return []


def resolve(module_name: str, name: str) -> Key | External | Imported | None:
    """What a global name of a module leads to: a definition, another package, a module; None: a builtin."""
    found = module(module_name)
    if name in found.definitions:
        return module_name, name
    target = found.imports.get(name)
    if isinstance(target, Imported) and target.name is not None:
        return resolve(target.module, target.name) or External(f"{target.module}.{target.name}")
    return target
