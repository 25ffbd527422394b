"""The training of the layer of statistics: a block of seeds of a mutated agent, with interim tests.

A *case* describes what is trained and the shipped records that it is compared with;
`analysis.sequential_tests` judges it.
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
from rlparity.validation.sensitivity.plan import Statistics, interim_folder


class Enough(Exception):
    """The evaluations of the last test are written."""


def case(plan: Statistics, agent: str, environment: str, reports: Path) -> dict[str, Any]:
    """A case as plain data; UserError where no valid records exist to compare with."""
    if environment not in plan.references:
        places = " and ".join(plan.references)
        raise UserError(f"statistics run on {places} only")
    whole = suite.load(suite.find(plan.references[environment]))
    cells = [cell for cell in whole.cells if cell.environment == environment]
    own = [cell for cell in cells if (cell.implementation, cell.algorithm) == ("scratch", agent)]
    named = whole.algorithms.get(agent)
    if not own or named is None or named.reference is None:
        raise UserError(f"no reference of {agent} on {environment} in suite {whole.name}")
    arms = {"reference": named.reference, "random": ("scratch", FLOOR)}
    catalogue = restore.shipped(reports)
    folders = {}
    for arm, name in arms.items():
        of_arm = [cell for cell in cells if (cell.implementation, cell.algorithm) == name]
        folders[arm] = _folders(whole, of_arm, catalogue)
    points = own[0].evaluation.points
    last = max(round(points * plan.until.get(agent, 1.0)), 1)
    tested = sorted({max(round(last * (k + 1) / plan.looks), 1) for k in range(plan.looks)})
    modes = own[0].evaluation.modes[:1]  # only the first is judged; each has its own random streams
    block = replace(
        own[0],
        seeds=tuple(range(plan.seeds)),
        evaluation=replace(own[0].evaluation, modes=modes),
        checkpoint_every=0,
    )
    return {
        "cell": json.loads(block.to_json()),
        "looks": [[point, point * block.budget // points] for point in tested],
        "margin": plan.margin,
        **folders,
    }


def _folders(whole: Suite, cells: Iterable[Cell], catalogue: list[restore.Shipped]) -> list[str]:
    """Folders of the cells' shipped records; UserError, naming what differs, if one is stale."""
    found = []
    for cell in cells:
        source, reason = restore.choose(cell, catalogue, whole.parts(cell))
        if source is None:
            raise UserError(f"{cell.folder}: {reason or 'no shipped record'}")
        found.append(str(source.folder))
    return found


def learn(file: Path, folder: Path) -> None:
    """Train the case in `file`. For every interim test write the evaluations so far, the seconds of processor
    time and the failed seeds; these two also at the end."""
    content = json.loads(file.read_text(encoding="utf-8"))
    cell, tested = Cell.from_json(json.dumps(content["cell"])), dict(content["looks"])
    point = 0
    recorder: Recorder

    def so_far() -> bytes:
        return json.dumps({"seconds": time.process_time(), "failed": recorder.failed}).encode()

    def on_evaluation(env_step: int, state: Callable[[], State]) -> None:
        nonlocal point
        if point in tested:
            place = interim_folder(folder, point)
            records.write(place, "evaluations", recorder.evaluations)
            records.write_bytes(place / "so_far.json", so_far())
            if point == max(tested):
                raise Enough
        point += 1

    recorder = Recorder(cell, on_evaluation)
    try:
        train.run(cell, recorder=recorder)
    except Enough:
        pass
    except Exception as error:
        text = (str(error).strip() or "no message").splitlines()[0]
        recorder.failed |= dict.fromkeys(cell.seeds, f"{type(error).__name__}: {text}")
    records.write_bytes(folder / "end.json", so_far())
