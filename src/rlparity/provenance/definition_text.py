"""One definition as text, in which references to other definitions stand for themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from rlparity import registry
from rlparity.provenance import scopes, source_code
from rlparity.provenance.modules import Key, defined, module, resolve
from rlparity.provenance.scopes import External, Imported

NEUTRAL = frozenset(
    {"cell", "compilation", "errors", "registry"}
)  # modules of this package that make no number
OTHER = "<other statements>"  # stands for the statements of a module that define no name
PART = "<part>"  # stands for the module of what `registry.part` loads
ASKED = (registry.__name__, "part")
CHOOSERS = (ASKED, (registry.__name__, "reference"))  # their arguments after the first choose by what is seen
Parts = Sequence[str | Key]  # text, and references to definitions
# Methods that are left out of a class: for checkpoints where it has both of a pair, for saved policies.
LEFT_OUT = ({"snapshot", "resume"}, {"saved", "act"})
KEPT = "act"


class Definition(NamedTuple):
    """What a definition consists of, and its number of lines."""

    parts: Parts
    lines: int


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


def whole(module_name: str) -> str:
    """A module as text, names included: for modules of users, which strings may refer to."""
    return "".join(_plain(source_code.tree(module_name)))


def _plain(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        yield from ("[", *(part for item in value for part in (*_plain(item), ",")), "]")
    elif isinstance(value, ast.Constant):
        yield f"{type(value.value).__name__}:{value.value!r}"
    elif isinstance(value, ast.AST):
        yield f"{type(value).__name__}("
        for field in sorted(value._fields):
            inner = (
                scopes.body(value)
                if field == "body" and _has_docstring(value)
                else getattr(value, field, None)
            )
            if inner is not None and inner != []:
                yield from (f"{field}=", *_plain(inner), ",")
        yield ")"
    else:
        yield repr(value)


def _has_docstring(node: ast.AST) -> bool:
    return isinstance(node, (ast.Module, ast.ClassDef, *scopes.FUNCTIONS))


def _lines(statement: ast.stmt) -> int:
    """Lines that count, from the first to the last: without docstrings and methods that are left out."""
    first = min([statement.lineno, *(node.lineno for node in getattr(statement, "decorator_list", []))])
    documented = [node for node in ast.walk(statement) if isinstance(node, (ast.ClassDef, *scopes.FUNCTIONS))]
    gone = {node.body[0] for node in documented if scopes.body(node) != node.body}
    gone |= {method for node in documented for method in left_out(node)}
    dropped = {line for node in gone for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return (statement.end_lineno or first) - first + 1 - len(dropped)


def left_out(node: ast.AST) -> list[ast.stmt]:
    """The methods of a class that are for checkpoints and saved policies."""
    if not isinstance(node, ast.ClassDef):
        return []
    methods = {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}
    whole_pairs = [pair for pair in LEFT_OUT if pair <= methods.keys()]
    return [methods[name] for pair in whole_pairs for name in sorted(pair - {KEPT})]


class _Writer:
    """Write a top-level statement as text and references, names resolved where they stand."""

    def __init__(self, module_name: str, name: str):
        self._module, self._itself = module_name, (module_name, name)
        self._scopes: list[scopes.Scope] = []

    def write(self, statement: ast.stmt) -> Iterator[str | Key]:
        """The parts of a statement; the name that it defines is left out."""
        hidden = {"name", "targets", "target"} if len(defined(statement)) == 1 else set()
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
        if isinstance(node, ast.Call) and self._target(node.func) in CHOOSERS:
            node = ast.Call(node.func, node.args[:1], node.keywords)
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
                yield from self._inside(inside, value)
            else:
                yield from self._any(value)
            yield ","
        yield ")"

    def _inside(self, scope: scopes.Scope, value: Any) -> Iterator[str | Key]:
        """A field within a scope; what the first `for` of a comprehension runs over lies outside of it."""
        first = value[0] if isinstance(value, list) and value else None
        if isinstance(first, ast.comprehension):
            yield from self._any(first.iter)
        self._scopes.append(scope)
        yield from self._any(value)
        self._scopes.pop()

    def _target(self, node: ast.expr) -> Key | External | Imported | None:
        """What a name, or an attribute of a module, leads to outside the statement."""
        match node:
            case ast.Name(id=name, ctx=context):
                found = scopes.look_up(self._scopes, name, isinstance(context, ast.Load))
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
        """The name in `registry.part("name")`, where a node is such a call. ValueError for any other call."""
        if not (isinstance(node, ast.Call) and self._target(node.func) == ASKED):
            return None
        match node:
            case ast.Call(args=[ast.Constant(value=str(name))], keywords=[]):
                return name
        raise ValueError(f"{self._module}: registry.part takes one literal name, so that it can be followed")

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
    """A field without docstrings, and of a class without the methods that are left out."""
    value = getattr(node, field, None)
    if field != "body" or not isinstance(value, list):
        return value
    dropped = left_out(node)
    return [each for each in scopes.body(node) if each not in dropped]
