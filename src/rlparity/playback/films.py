"""Short films of trained agents for the report: one episode with the first, the middle and the last policy.

Every film of a report has its share of `REPORT_BYTES` and is made smaller, then shorter, until it fits.
`films.json` beside them says what each shows, and by the hash of the evaluations which records it belongs to:
a film of other records is never shown, and one whose policy is not at hand stays while its records do.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlparity.cell import Cell, path_name
from rlparity.errors import UserError
from rlparity.playback import gif, play, rendering
from rlparity.playback.rendering import Renderer
from rlparity.records import write_bytes
from rlparity.runs import pending, saved_policies
from rlparity.seeding import Streams

REPORT_BYTES = 4 * 2**20  # all films of a report together
FRAMES_PER_S = 12.5  # about; a whole number of environment steps passes from frame to frame
MANIFEST = "films.json"
EVALUATIONS = "evaluations.parquet"


class Quality(NamedTuple):
    """How a film is written."""

    width: int  # pixels, at most
    colours: int
    seconds: float  # at most


LADDER = (
    *(Quality(240, 32, 10), Quality(240, 16, 10), Quality(180, 16, 10), Quality(140, 16, 10)),
    *(Quality(140, 16, 5), Quality(120, 8, 3)),
)

Entry = dict[str, Any]  # of the manifest


def make(suite: str, results: Path, reports: Path) -> str:
    """Write `reports/<suite>/films/`; returns what was done, in lines. What cannot be filmed is left out."""
    file = results / suite / "tables" / "plan.json"
    try:
        plan = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file}: missing; run `rlparity dev collect` first") from None
    folder = reports / suite / "films"
    cells = chosen(plan["cells"])
    share = REPORT_BYTES // max(sum(len(saved_policies.steps(cell)) for cell in cells), 1)
    before = _before(folder)
    films: list[Entry] = []
    left_out: list[Entry] = []
    for environment, group in groupby(cells, key=lambda cell: cell.environment):
        for entry in _of_environment(environment, list(group), results, folder, before, share):
            (left_out if "reason" in entry else films).append(entry)
    _sweep(folder, films)
    text = json.dumps({"films": films, "left_out": left_out}, indent=1) + "\n"
    write_bytes(folder / MANIFEST, text.encode())
    lines = [f"{entry['algorithm']} of {entry['implementation']}: {entry['reason']}" for entry in left_out]
    size = sum(entry["bytes"] for entry in films)
    return "\n".join([f"{len(films)} films, {size / 2**20:.1f} MiB, in {folder}", *dict.fromkeys(lines)])


def chosen(cells: Iterable[Mapping[str, Any]]) -> list[Cell]:
    """Of every environment, implementation and algorithm the cell with the smallest seed, environment by
    environment. The random agent has nothing to show that an untrained one does not."""
    best: dict[tuple[str, ...], Cell] = {}
    for values in cells:
        cell = Cell.from_json(json.dumps(values))
        who = (cell.environment, cell.implementation, cell.algorithm)
        if cell.agent != "random" and (who not in best or cell.seeds < best[who].seeds):
            best[who] = cell
    places = {environment: place for place, (environment, *_) in enumerate(best)}
    return sorted(best.values(), key=lambda cell: places[cell.environment])


def _before(folder: Path) -> dict[str, Entry]:
    """The films that are there, by file."""
    try:
        films = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["films"]
        return {e["file"]: e for e in films if all((folder / e[key]).is_file() for key in ("file", "still"))}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _of_environment(
    environment: str,
    cells: Sequence[Cell],
    results: Path,
    folder: Path,
    before: Mapping[str, Entry],
    share: int,
) -> Iterator[Entry]:
    """Entries of one environment; those with a `reason` are of films that could not be made."""
    try:
        screen = rendering.make(environment)
    except UserError as error:
        for cell in cells:
            for point in saved_policies.steps(cell):
                yield _instead(cell, results, point, before, str(error))
        return
    with closing(screen):
        for cell in cells:
            for point in saved_policies.steps(cell):
                try:
                    yield _film(cell, results / cell.folder, point, screen, folder, share)
                except UserError as error:
                    yield _instead(cell, results, point, before, str(error))


def _film(cell: Cell, source: Path, point: str, screen: Renderer, folder: Path, share: int) -> Entry:
    """Play with one policy and write its film. Raises UserError where there is no policy or no picture."""
    seed, run = cell.seeds[0], pending.finished(source)
    if run is None:
        raise UserError("its training has not ended")
    if str(seed) in run.get("failed_seeds", {}):
        raise UserError(f"seed {seed} failed")
    try:
        player = play.Player(cell, saved_policies.load(cell, source, point), seed)
    except ValueError as error:
        raise UserError(f"its policy does not fit the cell ({error})") from None
    everybody = dataclasses.replace(cell, implementation="any", algorithm="any")
    start = Streams(everybody).environments("film", 1)[0][0]
    every = max(1, round(screen.steps_per_s / FRAMES_PER_S))
    delay_cs = max(2, round(100 * every / screen.steps_per_s))
    episode = play.watch(player, screen, start, every, _most(LADDER[0].seconds, delay_cs))
    film, still, quality, n_frames = _fit(episode.frames, delay_cs, share)
    names = {"file": f"{_stem(cell, point)}.gif", "still": f"{_stem(cell, point)}.png"}
    for name, content in zip(names.values(), (film, still), strict=True):
        write_bytes(folder / name, content)
    width, height = gif.size(episode.frames[0], quality.width)
    return {
        **_who(cell, point),
        "env_step": saved_policies.steps(cell)[point],
        "world_seed": start,  # the same for everybody in this environment
        "episode_return": episode.episode_return,
        "episode_length": episode.episode_length,
        **names,
        "width": width,
        "height": height,
        "bytes": len(film) + len(still),
        "frames_per_s": round(100 / delay_cs, 1),
        "seconds": round(n_frames * delay_cs / 100, 1),
        "game_seconds": round(episode.episode_length / screen.steps_per_s, 1),
        "records": run["hashes"][EVALUATIONS],
    }


def _fit(frames: Sequence[np.ndarray], delay_cs: int, limit: int) -> tuple[bytes, bytes, Quality, int]:
    """Film and still of no more than `limit` bytes together, their quality and the number of frames: the best
    of `LADDER` that fits, else fewer frames of its last."""
    for quality in LADDER:
        shown = frames[: _most(quality.seconds, delay_cs)]
        while True:
            film = gif.encode(shown, delay_cs, quality.width, quality.colours)
            still = gif.still(shown[len(shown) // 2], quality.width, quality.colours)
            if len(film) + len(still) <= limit:
                return film, still, quality, len(shown)
            if quality is not LADDER[-1] or len(shown) == 1:
                break
            shown = shown[: len(shown) // 2]
    raise UserError(f"a single frame takes more than the {limit:,} bytes that a film may have")


def _most(seconds: float, delay_cs: int) -> int:
    return max(1, int(100 * seconds / delay_cs))


def _instead(cell: Cell, results: Path, point: str, before: Mapping[str, Entry], reason: str) -> Entry:
    """The film that is there, if it is of these records; else why there is none."""
    run = pending.finished(results / cell.folder) or {}
    entry, own = before.get(f"{_stem(cell, point)}.gif"), run.get("hashes", {}).get(EVALUATIONS)
    if entry is not None and entry["records"] in (own, *_other_blocks(run)):
        return {**entry, "records": own}
    return {**_who(cell, point), "reason": reason}


def _other_blocks(run: Mapping[str, Any]) -> list[str]:
    """Hashes of the evaluations of other blocks that the cell's are from."""
    return [block["hashes"][EVALUATIONS] for entry in run.get("vouched", ()) for block in entry.get("of", ())]


def _who(cell: Cell, point: str) -> Entry:
    names = ("environment", "algorithm", "implementation")
    return {**{name: getattr(cell, name) for name in names}, "seed": cell.seeds[0], "point": point}


def _stem(cell: Cell, point: str) -> str:
    who = (path_name(cell.environment), cell.implementation, cell.algorithm, f"seed-{cell.seeds[0]}", point)
    return "_".join(who)


def _sweep(folder: Path, films: Sequence[Entry]) -> None:
    """Remove the films of other records."""
    wanted = {entry[key] for entry in films for key in ("file", "still")}
    for file in folder.glob("*"):
        if file.suffix in (".gif", ".png") and file.name not in wanted:
            file.unlink()
