"""The seeds in the logs of a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rlparity.log_readers import convert as logs
from rlparity.log_readers.discover import Place, find
from rlparity.log_readers.series import Reading


class Runs(NamedTuple):
    """The runs of a candidate in one environment."""

    files: Mapping[int, tuple[Path, ...]]  # by seed
    notes: tuple[str, ...]


def of(candidate: Mapping[str, Any], environment: str, base: Path) -> Runs:
    """Find the files of each seed below the path `candidate["logs"]`. Raises Refused if there are none."""
    reading = Reading.of(candidate.get("returns", {}))
    text = candidate["logs"]
    found = find(text, base, environment, reading.files)
    places = [one for place in found.places for one in _inside(place, reading)]
    seeds = [place.seed for place in places if place.seed is not None]
    if len(seeds) == len(places):
        return Runs({seed: place.files for seed, place in zip(seeds, places, strict=True)}, found.notes)
    assert len(places) == 1
    return Runs({0: places[0].files}, (*found.notes, f"{text}: no seed, assumed to be seed 0"))


def _inside(place: Place, reading: Reading) -> list[Place]:
    """A place for each seed that its files name, if it has none itself."""
    if place.seed is not None:
        return [place]
    seeds = {series.seed for series in logs.runs(place.files, reading)[0]}
    named = sorted(seed for seed in seeds if seed is not None)
    return [Place(seed, place.files) for seed in named] or [place]
