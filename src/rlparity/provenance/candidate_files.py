"""Find the files of a candidate's code, check that they exist, and hash them for its fingerprint."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import os
import shlex
import shutil
import string
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from rlparity.cell import Cell
from rlparity.errors import UserError, unknown

INSTALLED = set(sysconfig.get_paths().values())  # folders that contain modules of many projects
LOCKS = ("*.lock", "*lock*.toml", "*lock*.y*ml", "*requirements*.txt", "environment*.y*ml", "Pipfile.lock")
PLACEHOLDERS = (
    *("environment", "algorithm", "seed", "wide_seed", "budget", "n_envs"),
    *("output", "settings", "answer"),
)


def digests(cell: Cell) -> dict[str, str]:
    """The hash of each file by its path, 16 hexadecimal digits.

    Paths below the candidate's folder are relative to it.
    """
    base = Path(cell.candidate.get("folder", ".")).resolve()
    found = sorted(_files(cell, base))
    names = [path.relative_to(base) if path.is_relative_to(base) else path for path in found]
    return {str(name): _digest(path) for name, path in zip(names, found, strict=True)}


def bad_entry(entry: str, base: Path) -> str | None:
    """Why `MODULE:FACTORY` cannot be found, without importing it; None if it can."""
    place, colon, name = entry.rpartition(":")
    if not (colon and place and name):
        return f"{entry!r} is not MODULE:FACTORY, such as their_ppo:make or folder/their_ppo.py:make"
    if place.endswith(".py"):
        return None if (base / place).is_file() else f"{entry!r}: there is no file {place} below {base}"
    if not _modules(place, base) and _root(place.split(".")[0]) is None:
        return f"{entry!r}: there is no module {place}{missing_module(sys.executable, base)}"
    return None


def missing_module(interpreter: str, base: Path | None) -> str:
    """What to add to the message of a missing module: who looked for it where, and what to do."""
    places = f" in {base} and on its path" if base else ""
    return f" ({interpreter} looked{places}; --folder names the folder with modules of your own)"


def need_program(candidate: Mapping[str, Any]) -> None:
    """Raise UserError if the program of a command is neither in the candidate's folder nor on the PATH."""
    word, base = shlex.split(candidate["command"])[0], Path(candidate.get("folder", ".")).resolve()
    if "{" not in word and not (base / word).exists() and shutil.which(word) is None:
        beside = Path(sys.executable).parent / word  # this Python comes first on the program's PATH
        if not beside.exists():
            raise UserError(f"--command: there is no program {word!r} in {base} or on the PATH")


def bad_command(text: str) -> str | None:
    """Why a command cannot be run for each seed; None if it can."""
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
        return f"{text!r}: {error}; write {{{{ and }}}} for literal braces"
    for name in named:
        if name not in PLACEHOLDERS:
            return str(unknown("placeholder", name, PLACEHOLDERS, repr(text)))
    if not {"seed", "wide_seed"} & set(named):
        return f"{text!r} has no {{seed}}: every seed would be the same run"
    return None


def _files(cell: Cell, base: Path) -> set[Path]:
    own = {path for pattern in cell.candidate.get("files", ()) for path in named(pattern, base)}
    return own | _found(cell, base)


def named(pattern: str, base: Path) -> list[Path]:
    """The files that a candidate's `files` names by a path or pattern below `base`, or by a path elsewhere.

    Of a folder all files count, without hidden ones and what Python compiled.
    """
    places = [Path(pattern)] if os.path.isabs(pattern) else sorted(base.glob(pattern))
    inside = [file for place in places for file in (place.rglob("*") if place.is_dir() else [place])]
    hidden = ("__pycache__", ".")
    return [
        file.resolve()
        for file in inside
        if file.is_file() and not any(part.startswith(hidden) for part in file.parts[len(base.parts) :])
    ]


def bad_files(patterns: Iterable[str], base: Path) -> str | None:
    """Why `files` of a candidate names nothing; None if each pattern has a file."""
    for pattern in patterns:
        try:
            found = named(pattern, base)
        except (OSError, ValueError, NotImplementedError) as error:
            return f"{pattern!r} is no path or pattern ({error})"
        if not found:
            return f"{pattern!r}: no such file below {base}"
    return None


def has_lock(cell: Cell) -> bool:
    """Whether a file of a program states the versions of its packages, by its name."""
    return any(fnmatch(Path(name).name, lock) for name in digests(cell) for lock in LOCKS)


def _found(cell: Cell, base: Path) -> set[Path]:
    """The files that a candidate's code is found in."""
    candidate, kind = cell.candidate, cell.kind
    if kind == "logs":
        from rlparity.log_readers import seeds, settings

        try:
            logs = seeds.of(candidate, cell.environment, base).files.get(cell.seeds[0], ())
            return {*logs, *settings.beside(logs, cell.environment)}
        except UserError:
            return set()
    if kind == "entry":
        place = candidate["entry"].rpartition(":")[0]
        return _imported([base / place] if place.endswith(".py") else _modules(place, base), base)
    words = shlex.split(candidate["command"])
    given = [text for word in words for text in (word, word.partition("=")[2]) if text]
    starts = [base / text for text in given if os.path.isfile(base / text)]  # a word may be too long for one
    if "-m" in words[:-1]:
        name = words[words.index("-m") + 1]
        found = _modules(name, base)
        ours = not os.path.dirname(words[0]) or base / words[0] == Path(sys.executable)
        starts += found if ours else [file for file in found if file.is_relative_to(base)]
    return _imported(starts, base)


def _modules(name: str, base: Path) -> list[Path]:
    """The file of a module below `base` or on Python's path, and those of the packages that contain it."""
    root = base if _find(name, (base,)) else _root(name.split(".")[0])
    parts = name.split(".")
    names = [".".join(parts[:n]) for n in range(1, len(parts) + 1)] + [f"{name}.__main__"]
    return [file for each in names if root and (file := _find(each, (root,)))]


def _root(top: str) -> Path | None:
    """The folder on Python's path that contains a top-level module; nothing is imported."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin in (None, "built-in", "frozen"):
        places = list(spec.submodule_search_locations or ()) if spec else []
        return Path(places[0]).parent if places else None
    return Path(spec.origin).parent.parent if spec.submodule_search_locations else Path(spec.origin).parent


def _imported(starts: list[Path], base: Path) -> set[Path]:
    """These files, and the Python files that they import from their own folder or package or from `base`."""
    seen: set[Path] = set()
    waiting = [start.resolve() for start in starts if start.is_file()]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            if path.suffix == ".py":
                found = (_find(name, up or _roots(path, name, base)) for up, name in _names(path))
                waiting += filter(None, found)
    return seen


def _roots(path: Path, name: str, base: Path) -> tuple[Path, ...]:
    """Folders in which an import may find the candidate's own code: beside the file, `base`, its package."""
    package = path.parent
    while (package / "__init__.py").is_file():
        package = package.parent
    beside = () if str(path.parent) in INSTALLED else (path.parent,)
    inside = (package,) if name.split(".")[0] == path.relative_to(package).parts[0] else ()
    return (*beside, base, *inside)


def _names(path: Path) -> Iterator[tuple[tuple[Path, ...], str]]:
    """The imports of a file: folders to search (none: those of `_roots`) and the name of a module."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (((), alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = (path.parents[node.level - 1],) if 0 < node.level <= len(path.parents) else ()
            module = node.module or ""
            yield up, module
            yield from ((up, f"{module}.{alias.name}".strip(".")) for alias in node.names)


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
