"""Python's rules for names: which scope binds a name, and what an import brings in."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from rlparity.provenance import source_code

GLOBAL = object()  # bound in no scope that was entered
UNWRITTEN = {"returns", "annotation", "type_comment", "ctx", "kind"}  # fields that change no result
INSIDE = {"body", "elt", "key", "value", "generators"}  # fields that lie in the scope of their node
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)


@dataclass(frozen=True)
class External:
    """Something of another package, by its dotted path."""

    path: str


@dataclass(frozen=True)
class Imported:
    """A module with sources that are read here, or a name of one."""

    module: str
    name: str | None = None


Names = Mapping[str, Imported | External | None]  # None: bound, but not by an import


class Scope(NamedTuple):
    """The names that a function, class or comprehension binds."""

    names: Names
    is_class: bool


def body(node: Any) -> list[ast.stmt]:
    """The statements of a module, class or function without its docstring."""
    match node.body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
    statements: list[ast.stmt] = node.body
    return statements


def is_type_checking(statement: ast.stmt) -> bool:
    """Whether it is `if TYPE_CHECKING:`, whose body never runs."""
    match statement:
        case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
            return True
    return False


def imported(node: ast.Import | ast.ImportFrom, module: str) -> Names:
    """The names that an import in a module binds."""
    if isinstance(node, ast.Import):
        pairs = (
            (a.asname or a.name.split(".")[0], a.name if a.asname else a.name.split(".")[0])
            for a in node.names
        )
        return {name: Imported(path) if _is_own(path) else External(path) for name, path in pairs}
    base = _base(node, module)
    if not _is_own(base):
        return {alias.asname or alias.name: External(f"{base}.{alias.name}") for alias in node.names}
    found: dict[str, Imported | External | None] = {}
    for alias in node.names:
        if alias.name == "*":
            raise ValueError(f"{module}: `from {base} import *` hides what is imported")
        inner = f"{base}.{alias.name}"
        found[alias.asname or alias.name] = (
            Imported(inner) if source_code.path(inner) else Imported(base, alias.name)
        )
    return found


def _base(node: ast.ImportFrom, module: str) -> str:
    """The module that a `from` names, relative ones made absolute."""
    if not node.level:
        return node.module or ""
    file = source_code.path(module)
    package = module if file is not None and file.name == "__init__.py" else module.rpartition(".")[0]
    above = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def _is_own(path: str) -> bool:
    return path.split(".")[0] == source_code.PACKAGE.name


def bound(statements: Iterable[ast.AST], module: str) -> Names:
    """The names that statements bind in their own scope."""
    names: dict[str, Imported | External | None] = {}
    free: set[str] = set()
    for node in _same_scope(statements):
        match node:
            case ast.Import() | ast.ImportFrom():
                names |= imported(node, module)
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                names[name] = None
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names[name] = None
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                names[name] = None
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                names[name] = None
            case ast.Global(names=listed) | ast.Nonlocal(names=listed):
                free.update(listed)
    return {name: target for name, target in names.items() if name not in free}


def _same_scope(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """These nodes and all within them that no inner function, class or comprehension encloses.

    A name that `:=` binds in a comprehension belongs to the function around it.
    """
    for node in nodes:
        yield node
        if isinstance(node, COMPREHENSIONS):
            inner = (each for each in ast.walk(node) if isinstance(each, ast.NamedExpr))
            yield from (each.target for each in inner)
        elif not isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.Lambda)):
            yield from _same_scope(ast.iter_child_nodes(node))


def scope(node: ast.AST, module: str) -> Scope | None:
    """The scope that a node opens."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return Scope({**_arguments(node.args), **bound(node.body, module)}, False)
        case ast.Lambda():
            return Scope({**_arguments(node.args), **bound([node.body], module)}, False)
        case ast.ClassDef():
            return Scope(bound(node.body, module), True)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            targets = [each.target for each in node.generators]
            return Scope(bound(targets, module), False)
    return None


def _arguments(arguments: ast.arguments) -> Names:
    return {node.arg: None for node in ast.walk(arguments) if isinstance(node, ast.arg)}


def look_up(stack: Sequence[Scope], name: str, load: bool = True) -> Any:
    """What a name means within these scopes, the innermost last: None, what was imported, or `GLOBAL`.

    A function does not see the names of the class around it. A class that binds a name may have read the
    global one before.
    """
    for depth, each in enumerate(reversed(stack)):
        if name in each.names and not (each.is_class and (depth or (load and each.names[name] is None))):
            return each.names[name]
    return GLOBAL
