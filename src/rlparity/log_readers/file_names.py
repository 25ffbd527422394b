"""What the names of files say: their format, whether they are of an evaluation, and of which environment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

SETTINGS = ("config.yml", "config.json", "args.json", "hyperparameters.json")  # files that state settings
PATTERNS = {  # of file names; the first that matches
    "*monitor*.csv": "monitor",
    "*.npz": "evaluations",
    "*tfevents*": "tensorboard",
    "*.json": "dopamine",
    "*.csv": "table",
    "*.tsv": "table",
    "progress.txt": "table",
    "*.parquet": "table",
}
KNOWN = tuple(PATTERNS)
MONITOR = b'#{"t_start"'  # with which a monitor file begins under any name
EVALUATIONS = re.compile(
    r"(?:^|[^a-z])(?:eval|evaluation|evaluate|test|validation)s?(?:[^a-z]|$)", re.IGNORECASE
)
NAMED_FOR = (  # folders that name their environment
    re.compile(r"(?P<id>[^/]+-v\d+)_\d+"),  # RL Zoo: CartPole-v1_3
    re.compile(r"(?P<id>[^/]+?-v\d+)__.+__\d+__.*"),  # CleanRL: CartPole-v1__ppo__1__1700000000
)


def format_of(path: Path) -> str | None:
    """The format of a file, a key of `convert.READERS`; None if it is of no known one."""
    name = next((kind for pattern, kind in PATTERNS.items() if fnmatch(path.name, pattern)), None)
    if name == "table" and path.suffix == ".csv" and _begins_as_monitor(path):
        return "monitor"
    return name


def _begins_as_monitor(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MONITOR)) == MONITOR
    except OSError:
        return False


def is_settings(path: Path) -> bool:
    """Whether a file is one of those that settings are read from."""
    return path.name in SETTINGS


def is_evaluation(path: Path) -> bool:
    """Whether a file is, by its name, of the environment that evaluations take place in."""
    return EVALUATIONS.search(path.name) is not None


def split(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The files of training and those of evaluations. These are named so, or lie in a folder named so beside
    others; if all are, they are of training."""
    folders = {path.parent for path in paths}
    named = {folder for folder in folders if EVALUATIONS.search(folder.name)}
    if named == folders:
        named = set()
    theirs = [path for path in paths if is_evaluation(path) or path.parent in named]
    if len(theirs) == len(paths):
        return list(paths), []
    return [path for path in paths if path not in theirs], theirs


def environment_of(folder: Path) -> str | None:
    """The environment that a run's folder is named for; None if it is named otherwise."""
    return next((found["id"] for each in NAMED_FOR if (found := each.fullmatch(folder.name))), None)
