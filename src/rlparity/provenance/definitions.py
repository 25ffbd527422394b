"""Hash definitions by their content, so that a record survives a refactoring that changes no number.

A definition is a top-level function, class or constant. Its content is its syntax tree without its own name,
docstrings, annotations and imports; a name that leads to another definition stands for that definition's
content, a name of another package for its dotted path. What a module is called, and where it lies, leaves no
trace. Statements of a module that define nothing belong to each of its definitions. Where code asks the
registry for one of its parts by a literal name, the part counts if it is among those that the cell uses.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from rlparity import registry
from rlparity.provenance import scopes, source_code
from rlparity.provenance.scopes import External, Imported, Names

NEUTRAL = frozenset({"cell", "errors", "registry"})  # modules of this package that make no number
STATE = frozenset({"snapshot", "resume", "saved"})  # methods for checkpoints and saved policies: left out
OTHER = "<other statements>"  # stands for the statements of a module that define no name
PART = "<part>"  # stands for the module of what `registry.part` loads
Key = tuple[str, str]  # module and name of a definition, or `PART` and a key of `registry.PARTS`
Parts = Sequence[str | Key]  # text, and references to definitions
ALL = frozenset(registry.PARTS)


class Module(NamedTuple):
    """The top level of a module."""

    definitions: Mapping[str, Sequence[ast.stmt]]  # name -> its statements
    imports: Names
    other: Sequence[ast.stmt]


class Definition(NamedTuple):
    """What a definition consists of, and where it stands."""

    parts: Parts
    lines: int


@cache
def module(name: str) -> Module:
    """The definitions, imports and other statements of a module that exists."""
    definitions: dict[str, list[ast.stmt]] = {}
    imports: dict[str, Imported | External | None] = {}
    other: list[ast.stmt] = []
    for statement in scopes.body(source_code.tree(name)):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            imports |= scopes.imported(statement, name)
        elif scopes.is_type_checking(statement):
            imports |= {key: External("type") for key in scopes.bound([statement], name)}
        elif names := _defined(statement):
            for key in names:
                definitions.setdefault(key, []).append(statement)
        else:
            other.append(statement)
            definitions |= {key: [] for key in scopes.bound([statement], name) if key not in definitions}
    return Module(definitions, imports, other)


def _defined(statement: ast.stmt) -> list[str]:
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


@cache
def definition(module_name: str, name: str) -> Definition:
    """One definition; under the name `OTHER` the statements of its module that define nothing."""
    found = module(module_name)
    statements = found.other if name == OTHER else found.definitions[name]
    writer = _Writer(module_name, name)
    parts = [part for statement in statements for part in writer.write(statement)]
    if name != OTHER and found.other:
        parts.append((module_name, OTHER))
    return Definition(tuple(parts), sum(map(_lines, statements)))


def _lines(statement: ast.stmt) -> int:
    """Lines from the first to the last, methods for checkpoints left out."""
    inner = [part for part in getattr(statement, "body", []) if _is_state(part)]
    first = min([statement.lineno, *(node.lineno for node in getattr(statement, "decorator_list", []))])
    return (statement.end_lineno or first) - first + 1 - sum(map(_lines, inner))


def _is_state(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.FunctionDef) and statement.name in STATE


def roots(names: Iterable[str]) -> Iterator[Key]:
    """`module:name` names a definition, `module` all definitions of a module, in the order of their text."""
    for name in names:
        where, _, what = name.partition(":")
        if what:
            found = resolve(where, what)
            if not isinstance(found, tuple):
                raise LookupError(f"{where} defines no {what}")
            yield found
        else:
            yield from ((where, each) for each in (*module(where).definitions, OTHER))


@cache
def reached(names: tuple[str, ...], used: frozenset[str] = ALL) -> tuple[Key, ...]:
    """All definitions that these depend on, themselves first, in the order in which they are met.

    `used` are the keys of `registry.PARTS` that count where code asks for them.
    """
    seen: dict[Key, None] = {}
    waiting = list(reversed(list(roots(names))))
    while waiting:
        key = waiting.pop()
        if key not in seen:
            seen[key] = None
            inner = [found for part in definition(*key).parts if (found := _followed(part, used)) is not None]
            waiting += reversed(inner)
    return tuple(seen)


def _followed(part: str | Key, used: frozenset[str]) -> Key | None:
    """The definition that a part of another one refers to."""
    if isinstance(part, str):
        return None
    if part[0] == PART:
        return next(roots([registry.PARTS[part[1]]])) if part[1] in used else None
    return part


@cache
def digest(names: tuple[str, ...], used: frozenset[str] = ALL) -> str:
    """Hash of the content of these definitions and of all that they depend on, 16 hexadecimal digits.

    References are numbered in the order in which definitions are met, so that names leave no trace.
    """
    order = reached(names, used)
    place = {key: f"<{number}>" for number, key in enumerate(order)}
    texts = (_text(definition(*key).parts, place, used) for key in order)
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:16]


def own_hashes(names: tuple[str, ...], used: frozenset[str] = ALL) -> dict[str, str]:
    """{qualified name: hash without what it refers to}, to tell people which definition differs."""
    return {
        ".".join(key): hashlib.sha256(_text(definition(*key).parts, {}, used).encode()).hexdigest()[:8]
        for key in reached(names, used)
    }


def lines(names: tuple[str, ...], used: frozenset[str] = ALL) -> int:
    """Lines of all definitions that these depend on, each statement counted once."""
    spots = {(where, _first(where, name)): definition(where, name) for where, name in reached(names, used)}
    return sum(found.lines for found in spots.values())


def _first(where: str, name: str) -> object:
    statements = module(where).definitions.get(name)
    return statements[0].lineno if statements else name


def _text(parts: Parts, place: Mapping[Key, str], used: frozenset[str]) -> str:
    found = ((part, _followed(part, used)) for part in parts)
    return "".join(
        part if isinstance(part, str) else place.get(key, "<definition>") if key is not None else PART
        for part, key in found
    )


class _Writer:
    """Write a top-level statement as text and references, names resolved where they stand."""

    def __init__(self, module_name: str, name: str):
        self._module, self._itself = module_name, (module_name, name)
        self._scopes: list[scopes.Scope] = []

    def write(self, statement: ast.stmt) -> Iterator[str | Key]:
        """The parts of a statement; the name that it defines is left out."""
        hidden = {"name", "targets", "target"} if len(_defined(statement)) == 1 else set()
        yield from self._node(statement, hidden)

    def _any(self, value: Any) -> Iterator[str | Key]:
        if isinstance(value, list):
            yield "["
            for item in value:
                yield from self._any(item)
                yield ","
            yield "]"
        elif isinstance(value, ast.Constant):
            yield f"{type(value.value).__name__}:{value.value!r}"
        elif isinstance(value, ast.AST):
            yield from self._node(value)
        else:
            yield repr(value)

    def _node(self, node: ast.AST, hidden: Iterable[str] = ()) -> Iterator[str | Key]:
        """Type and fields. Empty fields are left out: Python 3.12 and 3.13 add some that 3.11 lacks."""
        if isinstance(node, ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.Name | ast.Attribute):
            target = self._target(node)
            if target is not None:
                yield from self._reference(target)
                return
        if (name := self._part(node)) is not None:
            yield PART, name
            return
        yield f"{type(node).__name__}("
        inside = scopes.scope(node, self._module)
        for field in sorted(set(node._fields) - set(hidden) - scopes.UNWRITTEN):
            value = _kept(node, field)
            if value is None or value == []:
                continue
            yield f"{field}="
            if inside is not None and field in scopes.INSIDE:
                self._scopes.append(inside)
                yield from self._any(value)
                self._scopes.pop()
            else:
                yield from self._any(value)
            yield ","
        yield ")"

    def _target(self, node: ast.expr) -> Key | External | Imported | None:
        """What a name, or an attribute of a module, leads to outside the statement."""
        match node:
            case ast.Name(id=name):
                found = scopes.look_up(self._scopes, name)
                if found is scopes.GLOBAL:
                    return resolve(self._module, name)
                if isinstance(found, Imported) and found.name is not None:
                    return resolve(found.module, found.name)
                return found if isinstance(found, Imported | External) else None
            case ast.Attribute(value=value, attr=attribute):
                base = self._target(value)
                if isinstance(base, External):
                    return External(f"{base.path}.{attribute}")
                if isinstance(base, Imported):
                    inner = f"{base.module}.{attribute}"
                    return Imported(inner) if source_code.path(inner) else resolve(base.module, attribute)
        return None

    def _part(self, node: ast.AST) -> str | None:
        """The name in `registry.part("name")`, where a node is such a call."""
        match node:
            case ast.Call(
                func=ast.Name() | ast.Attribute() as function, args=[ast.Constant(value=str(name))]
            ):
                target = self._target(function)
                return name if target == (registry.__name__, "part") else None
        return None

    def _reference(self, target: Key | External | Imported) -> Iterator[str | Key]:
        if isinstance(target, External):
            yield f"<{target.path}>"
        elif isinstance(target, Imported):  # a module as an object: whatever is in it
            if target.module.partition(".")[2] not in NEUTRAL:
                yield from ((target.module, name) for name in module(target.module).definitions)
        elif target[0].partition(".")[2] in NEUTRAL:
            yield f"<{target[1]}>"
        else:
            yield "<itself>" if target == self._itself else target


def _kept(node: ast.AST, field: str) -> Any:
    """A field without docstrings, and of a class without the methods for checkpoints."""
    value = getattr(node, field, None)
    if field != "body" or not isinstance(value, list):
        return value
    statements = scopes.body(node)
    return [each for each in statements if not (isinstance(node, ast.ClassDef) and _is_state(each))]
