"""A report of a suite that is still in training: finished cells as ever, the others as far as their last
checkpoint, headlined as unfinished. They have learning curves and no scores, so no verdict rests on them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

from rlparity import records
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.runs import pending, run_cell
from rlparity.suites.suite import Suite
from rlparity.training import checkpoint_files, checkpointing, object_state
from rlparity.training.recorder import Recorder

UNFINISHED = "unfinished"  # a status of run.json


class Gathered(NamedTuple):
    """What there is of a suite, as the stage `collect` takes it."""

    cells: list[Cell]  # finished, or with a checkpoint
    places: dict[str, Path]  # by cell folder, where the records of the unfinished lie
    lines: list[str]  # one for each of them


def gather(suite: Suite, results: Path) -> Gathered:
    """Write down what the checkpoints hold. Nothing in the cells' own folders is touched: their training goes
    on. UserError if there is nothing yet."""
    copies = results / suite.name / "tables" / "interim"
    shutil.rmtree(copies, ignore_errors=True)
    found = Gathered([], {}, [])
    for cell in suite.cells:
        folder = results / cell.folder
        if pending.up_to_date(cell, folder):
            found.cells.append(cell)
        elif (state := _state(cell, folder / "checkpoint")) is not None:
            found.cells.append(cell)
            found.places[str(cell.folder)] = copies / cell.folder
            found.lines.append(_write(cell, state, copies / cell.folder))
    if not found.cells:
        raise UserError(f"{results / suite.name}: no finished cell and no checkpoint of this suite yet")
    return found


def _state(cell: Cell, folder: Path) -> dict[str, Any] | None:
    """The cell's last checkpoint, None if it has none."""
    if not (folder / checkpoint_files.STATE).exists():
        return None
    try:
        state = checkpoint_files.read_state(folder)
        return state if state["cell"] == checkpointing.identity(cell) else None
    except Exception as error:  # whatever damage leads to
        reason = checkpoint_files.first_line(error)
        raise UserError(f"{folder / checkpoint_files.STATE}: not a readable checkpoint ({reason})") from error


def _write(cell: Cell, state: dict[str, Any], folder: Path) -> str:
    """The records up to a checkpoint."""
    recorder = Recorder(cell)
    recorder.resume(object_state.part(state["training"], "recorder"))
    recorder.finish()
    step, seconds = state["env_step"], recorder.training_time_s
    for kind in records.SCHEMAS:
        records.write(folder, kind, getattr(recorder, kind))
    reached = f"{UNFINISHED}: environment step {step:,} of {cell.budget:,}"
    run = {
        **run_cell.describe(cell, folder, recorder),
        **(state.get("origin") or run_cell.origin(cell)),
        "status": UNFINISHED,
        "resumes_exactly": checkpointing.resumes_exactly(cell),
        "peak_memory_mib": None,  # known at the end
        "failed_seeds": {str(seed): recorder.failed.get(seed, reached) for seed in cell.seeds},
        "env_step": step,
        "steps_per_second": step * len(cell.seeds) / seconds if seconds else None,
        "wall_time_s": state["wall_time_s"],
        **{name: state[name] for name in ("started", "times_resumed")},
    }
    records.write_bytes(folder / "run.json", json.dumps(run, indent=1, sort_keys=True).encode())
    return f"{cell.folder}: {reached}"
