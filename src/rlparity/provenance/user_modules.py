"""What an environment of a user depends on besides the module of its class, read from sources alone.

That is every module of the user that is reached by imports, and the versions of installed packages that these
import. Imports are followed by their names, wherever in a module they are; not what is imported by a string.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from rlparity.provenance import definitions, source_code

COUNTED = {"gymnasium", "numpy", "torch", source_code.PACKAGE.name}  # in every fingerprint already


def contents(modules: Iterable[str], known: Iterable[str] = ()) -> dict[str, str]:
    """{name: hash} of these modules and of the user's modules that they reach, but for `known` ones, and
    {"distribution NAME": version} of the installed packages."""
    seen: set[str] = set()
    found: dict[str, str] = {}
    waiting = [*modules, *known]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        top = name.partition(".")[0]
        file = source_code.path(name)
        if top in COUNTED:
            continue
        if file is None or _is_under(file, "purelib", "platlib"):
            found |= _distributions(top)
        elif not _is_under(file, "stdlib", "platstdlib"):
            found[name] = _content(name, file)
            waiting += _imported(name, file)
    return {name: found[name] for name in sorted(found.keys() - set(known))}


def _is_under(file: Path, *kinds: str) -> bool:
    places = {os.path.realpath(sysconfig.get_path(kind)) for kind in kinds}
    return os.path.realpath(file).startswith(tuple(f"{place}{os.sep}" for place in places))


def _content(name: str, file: Path) -> str:
    try:
        return definitions.whole_module(name)
    except (SyntaxError, ValueError):  # reached, but never executed
        return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def _imported(name: str, file: Path) -> Iterator[str]:
    """The modules that a module may import: with what contains them, and names that may be modules."""
    try:
        tree = source_code.tree(name)
    except (SyntaxError, ValueError):
        return
    inside = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    yield from _with_packages(".".join(inside))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_packages(alias.name)
        elif isinstance(node, ast.ImportFrom):
            up = inside[: len(inside) - node.level + 1] if node.level else []
            place = ".".join([*up, *filter(None, [node.module])])
            yield from _with_packages(place)
            inner = [f"{place}.{alias.name}" if place else alias.name for alias in node.names]
            yield from (each for each in inner if source_code.path(each) is not None)


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".") if name else []
    yield from (".".join(parts[: n + 1]) for n in range(len(parts)))


def _distributions(top: str) -> dict[str, str]:
    """The versions of the distributions that a top-level module is of; none for one of Python itself."""
    if top in sys.stdlib_module_names:
        return {}
    return {f"distribution {name}": metadata.version(name) for name in _packages().get(top, ())}


@cache
def _packages() -> dict[str, list[str]]:
    return dict(metadata.packages_distributions())
