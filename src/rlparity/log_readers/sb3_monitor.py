"""Stable-Baselines3's `monitor.csv`: a line of JSON, then a row of r, l, t for each episode."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlparity.log_readers.series import TRAINING, Reading, Refused, Series, numbers


class _File(NamedTuple):
    environment: str | None
    episode_return: np.ndarray
    episode_length: np.ndarray
    time: np.ndarray  # seconds since the file was created


def read(paths: Sequence[Path], reading: Reading) -> list[Series]:
    """Read one run from its only file, or from a file for each of its sub-environments.

    The files contain no environment steps. Sub-environments step together: an episode that ended after c
    steps of one of N ended at environment step c N.
    """
    if len(folders := sorted({str(path.parent) for path in paths})) > 1:
        raise Refused(f"monitor files in several folders, {', '.join(folders[:3])}; name one with `files`")
    files = [_file(path) for path in paths]
    found = sorted({file.environment for file in files if file.environment is not None})
    source = str(paths[0]) if len(paths) == 1 else f"{paths[0].parent} ({len(paths)} monitor files)"
    if len(found) > 1:
        raise Refused(f"{source}: of several environments, {', '.join(found)}")
    notes = []
    n_envs = reading.n_envs or 1
    if len(files) == 1 and n_envs > 1:  # VecMonitor: all sub-environments in one file
        clock = [np.cumsum(files[0].episode_length)]
        notes.append(
            f"one monitor file for {n_envs} sub-environments: steps are those of episodes that ended"
        )
    else:
        clock = [np.cumsum(file.episode_length) * len(files) for file in files]
        notes.append("environment steps are sums of the lengths of episodes")
    step = np.concatenate(clock)
    order = np.argsort(step, kind="stable")
    returns = np.concatenate([file.episode_return for file in files])[order]
    lengths = np.concatenate([file.episode_length for file in files])[order]
    environment = found[0] if found else None
    known = len(files) if len(files) > 1 else 0
    columns = (step[order], returns, lengths)
    return [Series(source, TRAINING, *columns, None, environment, tuple(notes), n_envs=known)]


def _header(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _file(path: Path) -> _File:
    lines = path.read_text(encoding="utf-8").splitlines()
    header = _header(lines[0][1:]) if lines and lines[0].startswith("#") else None
    if not isinstance(header, dict) or len(lines) < 2:
        raise Refused(f"{path}: not a monitor file, its first line is not the JSON that Monitor writes")
    if more := [i for i, line in enumerate(lines[1:], start=2) if line.startswith("#")]:
        raise Refused(f"{path}: several runs in one file, another begins at line {more[0]}; split it")
    rows = list(csv.DictReader(lines[1:]))
    missing = [name for name in "rlt" if name not in (csv.DictReader(lines[1:]).fieldnames or ())]
    if missing:
        raise Refused(f"{path}: no column {', '.join(missing)}; a monitor file has r, l and t")
    r, length, t = (numbers([row[name] for row in rows], str(path), name) for name in "rlt")
    if len(back := np.flatnonzero(np.diff(t) < 0)):
        raise Refused(f"{path}: several runs in one file, time restarts at episode {back[0] + 2}; split it")
    environment = str(header.get("env_id", None))
    return _File(None if environment in ("None", "") else environment, r, length, t)
