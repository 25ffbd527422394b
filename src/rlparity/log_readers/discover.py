"""Find the runs of finished logs, and the seed of each."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rlparity.cell import path_name
from rlparity.log_readers.series import Refused

KNOWN = ("*monitor.csv", "*.npz", "*tfevents*", "*.parquet", "*.csv", "*.json")
NAMES = (r"__(\d+)__", r"seed[-_=]?(\d+)", r"^(\d+)$", r"[-_](\d+)$")  # CleanRL's folders first
WORD = re.compile(r"\{(seed|environment)\}")


class Place(NamedTuple):
    """The files of one run, or of several runs that have their seeds inside."""

    seed: int | None
    files: tuple[Path, ...]


class Found(NamedTuple):
    """All places, and the assumptions by which they were separated."""

    places: tuple[Place, ...]
    notes: tuple[str, ...]


def find(text: str, base: Path, environment: str, pattern: str = "") -> Found:
    """Find the runs below a path such as `runs/{environment}__ppo__{seed}__*`, relative to `base`.

    Without `{seed}`, a folder that contains log files is one run; else each of its folders that contains some
    is one. Raises Refused if there is none, or if a seed has two.
    """
    named = text.replace("{environment}", path_name(environment))
    if "{seed}" in named:
        return Found(tuple(_by_seed(named, base, pattern)), ())
    matches = _glob(base / named)
    if not matches:
        raise Refused(f"{text}: no such file or folder below {base}")
    runs = [group for match in matches for group in _runs(match, pattern)]
    if not runs:
        raise Refused(f"{text}: contains no log files; known are {', '.join(KNOWN)}")
    if len(runs) == 1:
        return Found((Place(None, runs[0]),), ())
    seeds = _in_names(runs)
    if seeds is None:
        note = f"{text}: no seeds; {len(runs)} runs are numbered from 0 in the order of their names"
        return Found(tuple(Place(i, files) for i, files in enumerate(runs)), (note,))
    note = f"{text}: seeds {', '.join(map(str, sorted(seeds)))} taken from the names of folders and files"
    return Found(tuple(Place(seed, files) for seed, files in zip(seeds, runs, strict=True)), (note,))


def _glob(path: Path) -> list[Path]:
    return sorted(Path(match) for match in glob.glob(str(path), recursive=True))


def _by_seed(text: str, base: Path, pattern: str) -> list[Place]:
    path = base / text
    expression = re.escape(str(path)).replace(re.escape("{seed}"), r"(?P<seed>\d+)", 1)
    expression = expression.replace(re.escape("{seed}"), r"(?P=seed)").replace(re.escape("*"), "[^/]*")
    found: dict[int, list[Path]] = {}
    for match in _glob(Path(str(path).replace("{seed}", "*"))):
        if (seed := re.fullmatch(expression, str(match))) is not None:
            found.setdefault(int(seed["seed"]), []).append(match)
    if not found:
        raise Refused(f"{text}: no file or folder of any seed below {base}")
    places = []
    for seed_number, paths in sorted(found.items()):
        runs = [(one,) if one.is_file() else files(one, pattern, deep=True) for one in paths]
        whole = (
            [paths] if all(one.is_file() for one in paths) and _siblings(paths) else list(filter(None, runs))
        )
        if len(whole) > 1:
            names = ", ".join(str(run[0].parent) for run in whole[:3])
            raise Refused(f"{text}: {len(whole)} runs of seed {seed_number} ({names}); name one of them")
        if not whole:
            raise Refused(f"{paths[0]}: contains no log files; known are {', '.join(KNOWN)}")
        places.append(Place(seed_number, tuple(whole[0])))
    return places


def _siblings(paths: Sequence[Path]) -> bool:
    return len({path.parent for path in paths}) == 1


def _runs(path: Path, pattern: str) -> list[tuple[Path, ...]]:
    """The files of each run below a path."""
    if path.is_file():
        return [(path,)]
    here = files(path, pattern)
    if here:
        return [here]
    return [group for inner in sorted(path.iterdir()) if inner.is_dir() for group in _runs(inner, pattern)]


def files(folder: Path, pattern: str = "", deep: bool = False) -> tuple[Path, ...]:
    """Log files in a run's folder, or `deep` below it: those that match `pattern`, or all of known formats.

    Files that links lead to outside of the folder are left out.
    """
    root = folder.resolve()
    look = folder.rglob if deep and not pattern else folder.glob
    found = {match for name in ((pattern,) if pattern else KNOWN) for match in look(name)}
    return tuple(sorted(one for one in found if one.is_file() and one.resolve().is_relative_to(root)))


def _in_names(runs: Sequence[Sequence[Path]]) -> list[int] | None:
    """Seeds from the names of the runs' folders or files; None unless each has one and all differ."""
    single = len({run[0].parent for run in runs}) < len(runs)
    names = [run[0].stem if single else run[0].parent.name for run in runs]
    for expression in NAMES:
        seeds = [int(match[1]) for name in names if (match := re.search(expression, name))]
        if len(seeds) == len(runs) == len(set(seeds)):
            return seeds
    return None
