"""Films of trained agents on the page: a row of three for each algorithm and implementation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rlparity.errors import UserError
from rlparity.reporting.formatting import join, label, number, whole
from rlparity.reporting.report_folder import Folder

MANIFEST = "films/films.json"
POINTS = ("first", "middle", "last")  # evaluations, as `rlparity.runs.saved_policies` keeps them


@dataclass(frozen=True)
class Film:
    """The film of one episode."""

    file: str  # relative to the page
    still: str  # one frame of it
    width: int  # pixels
    height: int
    text: str  # agent, environment and result; also for readers who see no picture
    line: str  # the same in short, below the film


@dataclass(frozen=True)
class Strip:
    """The films of one implementation, `None` where there is none."""

    label: str
    seed: int
    films: tuple[Film | None, ...]  # in the order of POINTS


@dataclass(frozen=True)
class Reel:
    """The films of one algorithm in one environment."""

    title: str
    strips: tuple[Strip, ...]
    caption: str


def gallery(folder: Folder) -> dict[str, Any]:
    """The films by environment (`reels`), and sentences on those `left_out`; both empty where there are none.

    A film of other records than the report's is left out.
    """
    if not folder.plan.get("films"):
        return {"reels": {}, "left_out": []}
    found, left_out = [], []
    manifest = _manifest(folder)
    records = {
        (*_arm(run["cell"]), seed): run.get("hashes", {}).get("evaluations.parquet")
        for run in folder.runs
        for seed in run["cell"]["seeds"]
    }
    for entry in manifest["films"]:
        if records.get((*_arm(entry), entry["seed"])) != entry["records"]:
            left_out.append({**entry, "reason": "the film is of other records"})
        elif not all((folder.path / "films" / entry[key]).is_file() for key in ("file", "still")):
            left_out.append({**entry, "reason": "the file is missing"})
        else:
            found.append(entry)
    return {
        "reels": {
            name: _reels(folder, name, found) for name in dict.fromkeys(e["environment"] for e in found)
        },
        "left_out": _sentences(folder, [*left_out, *manifest["left_out"]]),
    }


def _arm(values: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(values[name] for name in ("environment", "implementation", "algorithm"))


def _manifest(folder: Folder) -> dict[str, list[dict[str, Any]]]:
    file = folder.path / MANIFEST
    if not file.is_file():
        return {"films": [], "left_out": []}
    try:
        manifest: dict[str, list[dict[str, Any]]] = json.loads(file.read_text(encoding="utf-8"))
        whole_entries = all(entry["records"] and entry["file"] for entry in manifest["films"])
        assert whole_entries and all(entry["reason"] for entry in manifest["left_out"])
    except (ValueError, KeyError, TypeError, AssertionError):
        raise UserError(f"{file}: not a list of films; make them again with `rlparity dev films`") from None
    return manifest


def _reels(folder: Folder, environment: str, entries: Iterable[Mapping[str, Any]]) -> list[Reel]:
    """In the order of the plan's algorithms."""
    here = [entry for entry in entries if entry["environment"] == environment]
    known = [name for name in folder.plan["algorithms"] if any(e["algorithm"] == name for e in here)]
    others = sorted({entry["algorithm"] for entry in here} - set(known))
    return [_reel(folder, [e for e in here if e["algorithm"] == name]) for name in [*known, *others]]


def _reel(folder: Folder, entries: list[Mapping[str, Any]]) -> Reel:
    """All films of one algorithm in one environment."""
    title = folder.title(entries[0]["algorithm"])
    strips = []
    for who in folder.implementations:
        own = {entry["point"]: entry for entry in entries if entry["implementation"] == who}
        if own:
            films = tuple(_film(title, own[point]) if point in own else None for point in POINTS)
            strips.append(Strip(label(who), next(iter(own.values()))["seed"], films))
    speed = join(dict.fromkeys(number(entry["frames_per_s"]) for entry in entries))
    seeds = join(dict.fromkeys(str(strip.seed) for strip in strips))
    return Reel(
        title,
        tuple(strips),
        f"{entries[0]['environment']}, {join(strip.label for strip in strips)}, seed {seeds}: one episode of "
        f"the policy at the first, the middle and the last evaluation, {speed} frames per second.",
    )


def _film(title: str, entry: Mapping[str, Any]) -> Film:
    step, total = whole(entry["env_step"]), number(entry["episode_return"], 4)
    shown, lasted = number(entry["seconds"], 2), number(entry["game_seconds"], 2)
    part = f", first {shown} of {lasted} s" if entry["seconds"] + 0.5 < entry["game_seconds"] else ""
    who = f"{title}, {label(entry['implementation'])}, seed {entry['seed']}"
    return Film(
        f"films/{entry['file']}",
        f"films/{entry['still']}",
        int(entry["width"]),
        int(entry["height"]),
        f"{entry['environment']}, {who}, after {step} environment steps: return {total}{part}",
        f"step {step}: return {total}{part}",
    )


def _sentences(folder: Folder, entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why films are missing, one sentence for all of the same reason."""
    arms: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        who = f"{folder.title(entry['algorithm'])} ({label(entry['implementation'])})"
        points = arms.setdefault((f"{who} on {entry['environment']}", entry["reason"]), [])
        points.append(entry["point"])
    reasons: dict[tuple[str, str], list[str]] = {}
    for (name, reason), points in arms.items():
        which = "" if len(points) == len(POINTS) else f"{join(points)} "
        reasons.setdefault((which, reason), []).append(name)
    return [f"No {which}film of {join(names)}: {reason}." for (which, reason), names in reasons.items()]
