"""The seeds in the logs of a candidate."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rlparity.log_readers import checks, file_names
from rlparity.log_readers import convert as logs
from rlparity.log_readers.discover import Found, Place, find
from rlparity.log_readers.series import Reading, Refused

INSIDE = ("table", "dopamine")  # formats that can have seeds inside
KEPT = 4096  # runs that are remembered
SHOWN = 60  # seeds in a note


class Runs(NamedTuple):
    """The runs of a candidate in one environment."""

    files: Mapping[int, tuple[Path, ...]]  # by seed
    notes: tuple[str, ...]


def of(candidate: Mapping[str, Any], environment: str, base: Path) -> Runs:
    """Find the files of each seed below the path `candidate["logs"]`. Raises Refused if there are none."""
    reading = Reading.of(candidate.get("returns", {}))
    text = candidate["logs"]
    found = find(
        text, base, environment, reading.files, lambda files: _foreign(files, candidate, environment)
    )
    inside = [_inside(place, candidate) for place in found.places]
    if any(one.seeds for one in inside):
        return _union(text, found, inside)
    seeds = [place.seed for place in found.places if place.seed is not None]
    if len(seeds) == len(found.places):
        files = {seed: place.files for seed, place in zip(seeds, found.places, strict=True)}
        return Runs(files, found.notes)
    return Runs({0: found.places[0].files}, (*found.notes, f"{text}: no seed, assumed to be seed 0"))


class _Inside(NamedTuple):
    """The seeds that the files of a place state inside."""

    seeds: tuple[int, ...]
    problem: str = ""  # why they cannot be read


def _union(text: str, found: Found, inside: Sequence[_Inside]) -> Runs:
    """The seeds that files state inside; files of several places may have rows of one seed. Files that cannot
    be read are left out with a note. Raises Refused if a file states none."""
    files: dict[int, tuple[Path, ...]] = {}
    notes = [note for note in found.notes if "left out" in note]
    for place, (seeds, problem) in zip(found.places, inside, strict=True):
        if problem:
            notes.append(f"left out: {problem}")
        elif not seeds:
            raise Refused(
                f"{text}: {place.files[0]} has no column of seeds, others have; choose with `files`"
            )
        for seed in seeds:
            files[seed] = (*files.get(seed, ()), *place.files)
    if len(found.places) > 1:
        named = ", ".join(map(str, sorted(files)[:SHOWN]))
        notes.append(f"{text}: seeds {named} taken from inside {len(found.places)} files")
    return Runs(dict(sorted(files.items())), tuple(notes))


def _inside(place: Place, candidate: Mapping[str, Any]) -> _Inside:
    """The seeds that the files of a place name inside; none if `{seed}` stands for it."""
    formats = {file_names.format_of(path) for path in place.files}
    if place.stated or not formats & {*INSIDE, None}:
        return _Inside(())
    try:
        return _Inside(_looked_at(*_key(place.files, candidate)).seeds)
    except Refused as error:
        return _Inside((), str(error))


def _foreign(files: tuple[Path, ...], candidate: Mapping[str, Any], environment: str) -> str | None:
    """The environment of a run, if it states another one than that which is asked for."""
    try:
        stated = _looked_at(*_key(files, candidate)).environments
    except Refused:
        stated = ()
    stated = stated or tuple(filter(None, (file_names.environment_of(file.parent) for file in files[:1])))
    if any(not checks.difference(one, environment).refused for one in stated):
        return None
    return stated[0] if stated else None


def measures(runs: Runs, candidate: Mapping[str, Any]) -> set[str]:
    """What logs of any seed have: TRAINING, EVALUATION."""
    return {measure for files in runs.files.values() for measure in _measures(files, candidate)}


def _measures(files: tuple[Path, ...], candidate: Mapping[str, Any]) -> frozenset[str]:
    try:
        return _looked_at(*_key(files, candidate)).measures
    except Refused:
        return frozenset()


class _Look(NamedTuple):
    """What the files of a run state."""

    seeds: tuple[int, ...]
    environments: tuple[str, ...]
    measures: frozenset[str]


def _key(
    files: tuple[Path, ...], candidate: Mapping[str, Any]
) -> tuple[tuple[tuple[str, int, int], ...], str]:
    """What a look at files depends on: their sizes and times, and how they are read."""
    stats = tuple((str(file), (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files)
    return stats, json.dumps(candidate.get("returns", {}), sort_keys=True)


@functools.lru_cache(maxsize=KEPT)
def _looked_at(stats: tuple[tuple[str, int, int], ...], options: str) -> _Look:
    """Seeds and environments that the files of a run state. Raises Refused if none can be read."""
    found = logs.runs([Path(name) for name, _, _ in stats], Reading.of(json.loads(options)))[0]
    seeds = {series.seed for series in found if series.seed is not None}
    named = dict.fromkeys(series.environment for series in found if series.environment is not None)
    return _Look(tuple(sorted(seeds)), tuple(named), frozenset(series.measure for series in found))
