"""The layer of statistics, as far as it trains: a block of seeds of a mutated agent, with looks on the way.

A *case* says what is trained and against which shipped records it is judged; `rlparity.looks` judges.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlparity import records
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.shipped_records import restore
from rlparity.suites import suite
from rlparity.suites.suite import FLOOR, Suite
from rlparity.training import run as train
from rlparity.training.recorder import Recorder, State
from rlparity.validation.sensitivity.plan import Statistics


class Enough(Exception):
    """The last look was taken."""


def case(asked: Statistics, agent: str, environment: str, reports: Path) -> dict[str, Any]:
    """What is trained and judged, as plain data; UserError where there is nothing valid to judge by."""
    if environment not in asked.references:
        places = " and ".join(asked.references)
        raise UserError(f"statistics run on {places} only")
    whole = suite.load(suite.find(asked.references[environment]))
    cells = [cell for cell in whole.cells if cell.environment == environment]
    own = [cell for cell in cells if (cell.implementation, cell.algorithm) == ("scratch", agent)]
    named = whole.algorithms.get(agent)
    if not own or named is None or named.reference is None:
        raise UserError(f"no reference of {agent} on {environment} in suite {whole.name}")
    arms = {"reference": named.reference, "random": ("scratch", FLOOR)}
    catalogue = restore.shipped(reports)
    folders = {
        arm: _folders(
            whole, [cell for cell in cells if (cell.implementation, cell.algorithm) == who], catalogue
        )
        for arm, who in arms.items()
    }
    points = own[0].evaluation.points
    last = max(round(points * asked.until.get(agent, 1.0)), 1)
    looks = sorted({max(round(last * (k + 1) / asked.looks), 1) for k in range(asked.looks)})
    modes = own[0].evaluation.modes[:1]  # each has streams of its own, and the first is judged
    block = replace(
        own[0],
        seeds=tuple(range(asked.seeds)),
        evaluation=replace(own[0].evaluation, modes=modes),
        checkpoint_every=0,
    )
    return {
        "cell": json.loads(block.to_json()),
        "looks": [[point, point * block.budget // points] for point in looks],
        "margin": asked.margin,
        **folders,
    }


def _folders(whole: Suite, cells: Iterable[Cell], catalogue: list[restore.Shipped]) -> list[str]:
    """Folders of shipped records that these cells accept; UserError, naming what differs, if one is stale."""
    found = []
    for cell in cells:
        source, reason = restore.choose(cell, catalogue, whole.parts(cell))
        if source is None:
            raise UserError(f"{cell.folder}: {reason or 'no shipped record'}")
        found.append(str(source.folder))
    return found


def learn(file: Path, folder: Path) -> None:
    """Train the case that `file` holds. At every look write the evaluations so far, with the seconds of
    processor time and the seeds that failed; these two once more in the end."""
    asked = json.loads(file.read_text(encoding="utf-8"))
    cell, looks = Cell.from_json(json.dumps(asked["cell"])), dict(asked["looks"])
    point = 0
    rows: Recorder

    def so_far() -> bytes:
        return json.dumps({"seconds": time.process_time(), "failed": rows.failed}).encode()

    def keep(env_step: int, state: Callable[[], State]) -> None:
        nonlocal point
        if point in looks:
            look = folder / f"look-{point}"
            records.write(look, "evaluations", rows.evaluations)
            records.write_bytes(look / "so_far.json", so_far())
            if point == max(looks):
                raise Enough
        point += 1

    rows = Recorder(cell, keep)
    try:
        train.run(cell, recorder=rows)
    except Enough:
        pass
    except Exception as error:
        text = (str(error).strip() or "no message").splitlines()[0]
        rows.failed |= dict.fromkeys(cell.seeds, f"{type(error).__name__}: {text}")
    records.write_bytes(folder / "end.json", so_far())
