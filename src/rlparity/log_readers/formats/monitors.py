"""The monitor files of one run: of sub-environments side by side, or one after the other of a resumed run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rlparity.log_readers import file_names
from rlparity.log_readers.formats import sb3_monitor
from rlparity.log_readers.formats.sb3_monitor import Part
from rlparity.log_readers.series import TRAINING, Reading, Refused, Series

NUMBER = re.compile(r"\d+")
SAME_TIME = 1.0  # seconds; files that were created so close together say nothing of their order


def read(paths: Sequence[Path], reading: Reading) -> tuple[list[Series], list[str]]:
    """Read one run, and name the files that are left out.

    The files contain no environment steps. Sub-environments step together: an episode that ended after c
    steps of one of N ended at environment step c N.
    """
    training, theirs = file_names.split(paths)
    left = [f"{path}: of evaluations, by its name" for path in theirs]
    if all(file_names.is_evaluation(path) for path in training):
        raise Refused(f"{paths[0]}: is of evaluations, by its name, and has no environment steps of training")
    if len(folders := sorted({str(path.parent) for path in training})) > 1:
        raise Refused(f"monitor files in several folders, {', '.join(folders[:3])}; name one with `files`")
    parts: list[Part] = []
    problems: dict[Path, str] = {}
    for path in training:
        try:
            parts.append(sb3_monitor.read(path))
        except (Refused, OSError) as error:
            problems[path] = str(error)
    patterns = {_pattern(part.path) for part in parts}
    for path, problem in problems.items():
        if not parts or _pattern(path) in patterns:  # the rows that lack are those of a part of the run
            raise Refused(problem)
        left.append(problem)
    if not any(len(part.time) for part in parts):
        raise Refused(f"{parts[0].path}: contains no returns")
    if len(patterns) > 1:  # one that ended no episode counts where its name says that it is one of several
        left += [f"{part.path}: contains no returns" for part in parts if not len(part.time)]
        parts = [part for part in parts if len(part.time)]
    source = str(parts[0].path) if len(parts) == 1 else f"{parts[0].path.parent} ({len(parts)} monitor files)"
    if len(found := sorted({part.environment for part in parts if part.environment is not None})) > 1:
        raise Refused(f"{source}: of several environments, {', '.join(found)}")
    series = _side_by_side(source, parts) if _parallel(source, parts) else _in_turn(source, parts)
    notes = tuple(dict.fromkeys(note for part in parts for note in _named(part, len(parts))))
    named = series._replace(environment=found[0] if found else None, files=tuple(training))
    return [named.noted(*notes)], left


def _pattern(path: Path) -> str:
    return NUMBER.sub("#", path.name)


def _in_words(path: Path) -> list[tuple[int, int, str]]:
    """The key by which names are in the order that they are read in: numbers by value, `a` before `a-2`."""
    name = path.name.removesuffix(".csv").replace(".monitor", "")
    parts = re.findall(r"\d+|\D+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def _named(part: Part, files: int) -> list[str]:
    return [f"{part.path.name}: {note}" if files > 1 else note for note in part.notes]


def _parallel(source: str, parts: Sequence[Part]) -> bool:
    """Whether files are of sub-environments side by side: their names differ in a number only, and their
    times overlap. Raises Refused if their steps show that they cannot be."""
    if len(parts) == 1:
        return False
    patterns = {_pattern(part.path) for part in parts}
    numbered = len(patterns) == 1 and all(NUMBER.search(part.path.name) for part in parts)
    if _one_after_the_other(parts):
        return False
    steps, longest = [part.steps for part in parts], max(part.episode_length.max(initial=0) for part in parts)
    even = max(steps) - min(steps) <= max(2 * longest, 0.1 * max(steps))
    if numbered and even:
        return True
    names = ", ".join(part.path.name for part in parts[:4])
    if numbered:
        raise Refused(
            f"{source}: {names} have {min(steps):.0f} to {max(steps):.0f} steps; sub-environments that step "
            "together have as many each, so one is cut short or of another run"
        )
    if even or not _order_unknown(parts):
        raise Refused(
            f"{source}: {names} were written at the same time, and their names do not say whether they are "
            "sub-environments of one run; number them, or name one with `files`"
        )
    return False


def _spans(parts: Sequence[Part]) -> list[tuple[float, float]]:
    return sorted(
        (part.start + part.time[0], part.start + part.time.max()) for part in parts if len(part.time)
    )


def _one_after_the_other(parts: Sequence[Part]) -> bool:
    if not all(np.isfinite(part.start) for part in parts):
        return False
    spans = _spans(parts)
    return all(end <= start for (_, end), (start, _) in pairwise(spans))


def _order_unknown(parts: Sequence[Part]) -> bool:
    """Whether the times of their creation tell nothing: unknown, or the same, as copies of one header."""
    starts = [part.start for part in parts]
    return not np.isfinite(starts).all() or max(starts) - min(starts) < SAME_TIME


def _side_by_side(source: str, parts: Sequence[Part]) -> Series:
    step = np.concatenate([np.cumsum(part.episode_length) * len(parts) for part in parts])
    order = np.argsort(step, kind="stable")
    returns = np.concatenate([part.episode_return for part in parts])[order]
    lengths = np.concatenate([part.episode_length for part in parts])[order]
    notes = ("environment steps are sums of the lengths of episodes",)
    return Series(
        source, TRAINING, step[order], returns, lengths, notes=notes, n_envs=len(parts), summed=True
    )


def _in_turn(source: str, parts: Sequence[Part]) -> Series:
    notes = []
    if len(parts) > 1:
        by_time = not _order_unknown(parts)
        parts = sorted(parts, key=lambda part: (part.start if by_time else 0.0, _in_words(part.path)))
        names = ", then ".join(part.path.name for part in parts)
        how = "their times" if by_time else "their names"
        notes.append(f"{names}, in the order of {how}: read as one run that was resumed")
    returns = np.concatenate([part.episode_return for part in parts])
    lengths = np.concatenate([part.episode_length for part in parts])
    time = _one_clock(np.concatenate([part.time for part in parts]))
    step = np.cumsum(lengths)
    return Series(source, TRAINING, step, returns, lengths, notes=tuple(notes), summed=True, time=time)


def _one_clock(time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds that go on where the clock of a resumed run starts again."""
    falls = np.diff(time, prepend=0.0)
    return np.cumsum(np.where(falls < 0, time, falls))
