"""What a candidate names and is made of: is it there, and when does a change of it make its records stale?"""

from __future__ import annotations

import ast
import hashlib
import shlex
import string
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from rlparity.cell import Cell
from rlparity.errors import UserError, unknown

PLACEHOLDERS = ("environment", "seed", "wide_seed", "budget", "n_envs", "output")


def digests(cell: Cell) -> dict[str, str]:
    """Of each file, by its path from the candidate's folder if it lies below that, 16 hexadecimal digits."""
    base = Path(cell.candidate.get("folder", ".")).resolve()
    found = sorted(_files(cell, base))
    names = [path.relative_to(base) if path.is_relative_to(base) else path for path in found]
    return {str(name): _digest(path) for name, path in zip(names, found, strict=True)}


def bad_entry(entry: str, base: Path) -> str | None:
    """What keeps `MODULE:FACTORY` from being found, as far as that shows without an import."""
    place, colon, name = entry.rpartition(":")
    if not (colon and place and name):
        return f"{entry!r} is not MODULE:FACTORY, such as their_ppo:make or folder/their_ppo.py:make"
    if place.endswith(".py"):
        return None if (base / place).is_file() else f"{entry!r}: there is no file {place} below {base}"
    top = place.split(".")[0]
    if _find(place, (base,)) is None and PathFinder.find_spec(top) is None:
        return f"{entry!r}: there is no module {place} in {base} or on Python's path"
    return None


def bad_command(text: str) -> str | None:
    """What keeps a line from being run for each seed, if anything does."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        return f"{text!r} is not a command ({error})"
    if not words:
        return "is empty"
    try:
        named = [
            name for word in words for _, name, _, _ in string.Formatter().parse(word) if name is not None
        ]
    except ValueError as error:
        return f"{text!r}: {error}; write {{{{ and }}}} for braces of its own"
    for name in named:
        if name not in PLACEHOLDERS:
            return str(unknown("placeholder", name, PLACEHOLDERS, repr(text)))
    if not {"seed", "wide_seed"} & set(named):
        return f"{text!r} has no {{seed}}: every seed would be the same run"
    return None


def _files(cell: Cell, base: Path) -> set[Path]:
    candidate, kind = cell.candidate, cell.kind
    if kind == "logs":
        from rlparity.logs import seeds

        try:
            return set(seeds.of(candidate, cell.environment, base).files.get(cell.seeds[0], ()))
        except UserError:
            return set()
    if kind == "entry":
        place = candidate["entry"].rpartition(":")[0]
        first = (base / place) if place.endswith(".py") else _find(place, (base,))
        starts = [first] if first is not None else []
    else:
        starts = [base / word for word in shlex.split(candidate["command"]) if (base / word).is_file()]
    return _imported(starts, base)


def _imported(starts: list[Path], base: Path) -> set[Path]:
    """Python files that these import from their own folder or from `base`, themselves included."""
    seen: set[Path] = set()
    waiting = [start.resolve() for start in starts if start.is_file()]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            if path.suffix == ".py":
                waiting += [file for name in _names(path) if (file := _find(name, (path.parent, base)))]
    return seen


def _names(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module
            yield from (f"{module}.{alias.name}".strip(".") for alias in node.names)


def _find(module: str, roots: tuple[Path, ...]) -> Path | None:
    if not module:
        return None
    for root in roots:
        place = root.joinpath(*module.split("."))
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file():
                return file.resolve()
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
