"""Find the runs of finished logs, and the seed of each."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from rlparity.cell import path_name
from rlparity.log_readers.file_names import KNOWN
from rlparity.log_readers.series import Refused

NAMES = (r"__(\d+)__", r"seed[-_=]?(\d+)", r"^(\d+)$", r"[-_](?:s|run)?(\d+)$")  # CleanRL's folders first
OF_FILES = NAMES[:2]  # that tell the runs of the files of one folder apart
WORD = re.compile(r"\{(seed|environment)\}")
LARGEST = 2**63 - 1  # of a seed, in the columns of records
Files = tuple[Path, ...]


class Place(NamedTuple):
    """The files of one run, or of several runs that have their seeds inside."""

    seed: int | None
    files: Files
    stated: bool = False  # whether `{seed}` stands where its seed is; else it is read from a name, or counted


class Found(NamedTuple):
    """All places, and the assumptions by which they were separated."""

    places: tuple[Place, ...]
    notes: tuple[str, ...]


class Foreign(NamedTuple):
    """Runs of another environment."""

    environment: str
    files: Files


Whose = Callable[[Files], str | None]  # the environment of a run, if it is another than the one asked for


def find(
    text: str, base: Path, environment: str, pattern: str = "", foreign: Whose = lambda files: None
) -> Found:
    """Find the runs below a path such as `runs/{environment}__ppo__{seed}__*`, relative to `base`.

    Without `{seed}`, a folder that contains log files is one run; else each of its folders that contains some
    is one. Runs that are `foreign` are left out with a note, if there are others. Raises Refused if there is
    none, or if a seed has two.
    """
    named = text.replace("{environment}", path_name(environment))
    others: list[Foreign] = []
    if "{seed}" in named:
        places = _by_seed(named, base, pattern, foreign, others)
        return Found(tuple(places), _left(text, others))
    matches = _glob(base / named)
    if not matches:
        raise Refused(f"{text}: no such file or folder below {base}")
    runs = [group for match in matches for group in _runs(match, pattern)]
    if not runs:
        raise Refused(f"{text}: contains no log files; known are {', '.join(KNOWN)}")
    runs = _mine(runs, foreign, others)
    notes = _left(text, others)
    if len(runs) == 1:
        return Found((Place(None, runs[0]),), notes)
    seeds = _in_names(runs)
    if seeds is None:
        note = f"{text}: no seeds; {len(runs)} runs are numbered from 0 in the order of their names"
        return Found(tuple(Place(i, files) for i, files in enumerate(runs)), (*notes, note))
    note = f"{text}: seeds {', '.join(map(str, sorted(seeds)))} taken from the names of folders and files"
    places = [Place(seed, files) for seed, files in zip(seeds, runs, strict=True)]
    return Found(tuple(places), (*notes, note))


def _mine(runs: Sequence[Files], foreign: Whose, others: list[Foreign]) -> list[Files]:
    """The runs of the environment; all if none is."""
    theirs = {i: other for i, run in enumerate(runs) if (other := foreign(run)) is not None}
    if len(theirs) == len(runs):
        return list(runs)
    others += [Foreign(other, runs[i]) for i, other in theirs.items()]
    return [run for i, run in enumerate(runs) if i not in theirs]


def _left(text: str, others: Sequence[Foreign]) -> tuple[str, ...]:
    """A note for each environment whose runs were left out."""
    names = dict.fromkeys(other.environment for other in others)
    counts = {name: sum(other.environment == name for other in others) for name in names}
    return tuple(f"{text}: {n} runs of {name} left out" for name, n in counts.items())


def _glob(path: Path) -> list[Path]:
    return sorted(Path(match) for match in glob.glob(str(path), recursive=True))


def _by_seed(text: str, base: Path, pattern: str, foreign: Whose, others: list[Foreign]) -> list[Place]:
    path = base / text
    expression = re.escape(str(path)).replace(re.escape("{seed}"), r"(?P<seed>\d+)", 1)
    expression = expression.replace(re.escape("{seed}"), r"(?P=seed)").replace(re.escape("*"), "[^/]*")
    found: dict[int, list[Path]] = {}
    for match in _glob(Path(str(path).replace("{seed}", "*"))):
        if (seed := re.fullmatch(expression, str(match))) is not None and len(seed["seed"]) < 20:
            found.setdefault(int(seed["seed"]), []).append(match)
    found = {seed: paths for seed, paths in found.items() if seed <= LARGEST}
    if not found:
        raise Refused(f"{text}: no file or folder of any seed below {base}")
    runs: dict[int, list[Files]] = {}
    for seed_number, paths in sorted(found.items()):
        if all(one.is_file() for one in paths) and _siblings(paths):
            runs[seed_number] = [tuple(paths)]
        else:
            each = [(one,) if one.is_file() else files(one, pattern, deep=True) for one in paths]
            runs[seed_number] = list(filter(None, each))
        if not runs[seed_number]:
            raise Refused(f"{paths[0]}: contains no log files; known are {', '.join(KNOWN)}")
    mine = _mine([run for each in runs.values() for run in each], foreign, others)
    places = []
    for seed_number, each in runs.items():
        if len(kept := [run for run in each if run in mine]) > 1:
            names = ", ".join(str(run[0].parent) for run in kept[:3])
            raise Refused(f"{text}: {len(kept)} runs of seed {seed_number} ({names}); name one of them")
        places += [Place(seed_number, run, True) for run in kept]
    return places


def _siblings(paths: Sequence[Path]) -> bool:
    return len({path.parent for path in paths}) == 1


def _runs(path: Path, pattern: str) -> list[Files]:
    """The files of each run below a path."""
    if path.is_file():
        return [(path,)]
    here = files(path, pattern)
    if here:
        return _apart(here)
    return [group for inner in sorted(path.iterdir()) if inner.is_dir() for group in _runs(inner, pattern)]


def _apart(here: Files) -> list[Files]:
    """The files of a folder as runs: one, or one each if all names have another seed in words."""
    if len(here) > 1:
        for expression in OF_FILES:
            seeds = [match[1] for one in here if (match := re.search(expression, one.name))]
            if len(seeds) == len(here) == len(set(seeds)):
                return [(one,) for one in here]
    return [here]


def files(folder: Path, pattern: str = "", deep: bool = False) -> Files:
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
        digits = [match[1] for name in names if (match := re.search(expression, name))]
        seeds = [int(each) for each in digits if len(each) < len(str(LARGEST))]
        if len(seeds) == len(runs) == len(set(seeds)) and max(seeds) <= LARGEST:
            return seeds
    return None
