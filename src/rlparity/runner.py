"""One cell from start to finish: a lock, the loop, the records and where they came from."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from rlparity import agents, album, allocator, checkpoint, provenance, records, registry, train
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.fingerprint import source_hash
from rlparity.keeper import Keeper
from rlparity.progress import Display
from rlparity.rows import Rows

HASHED = ("episodes.parquet", "evaluations.parquet")


def run_cell(cell: Cell, folder: Path, process_started: float | None = None) -> dict[str, Any]:
    """Train a cell and leave its records in `folder`; returns what run.json says.

    `process_started` is `time.time()` at the start of the process, for the cost of getting ready. The last
    file written is run.json: a folder without one holds nothing finished. A seed whose loss became NaN is a
    result, not an error: it is named in run.json. What was interrupted goes on from its last checkpoint.
    """
    began = process_started or time.time()
    torch.set_num_threads(1)
    allocator.keep_freed_memory()
    with locked(folder):
        keeper = Keeper(cell, folder / "checkpoint", began)
        ready = time.time()
        rows = _train(cell, folder, keeper)
        try:
            (folder / "run.json").unlink(missing_ok=True)  # an earlier run's; its records are about to go
            checkpoint.save(folder / "checkpoint", rows.state)
            for kind in records.SCHEMAS:
                records.write(folder, kind, getattr(rows, kind))
            run = describe(cell, folder, rows)
            run["started"], run["times_resumed"] = keeper.started, keeper.times_resumed
            task = import_module(registry.family(cell.environment))
            run["resumes_exactly"] = getattr(task, "RESUMES_EXACTLY", True)
            run["startup_time_s"], run["wall_time_s"] = ready - began, keeper.wall_time_s
            records.write_bytes(folder / "run.json", json.dumps(run, indent=1, sort_keys=True).encode())
        except OSError as error:
            reason = error.strerror or error
            raise UserError(
                f"{folder}: the records cannot be written ({reason}); run again to finish"
            ) from None
        checkpoint.clear(folder / "checkpoint")
    return run


def _train(cell: Cell, folder: Path, keeper: Keeper) -> Rows:
    rows = Rows(cell, album.Album(cell, folder / "checkpoint"))
    display = Display(cell, folder / "heartbeat.json", folder / "tensorboard" if cell.tensorboard else None)
    try:
        sb3 = cell.implementation == "sb3"
        learn = import_module("rlparity.reference").run if sb3 else train.run
        if cell.checkpoint_every:
            with keeper.heeding_signals():
                rows = learn(cell, display, keeper=keeper, rows=rows)
        else:
            rows = learn(cell, display, rows=rows)
        display.summarise(rows)
    finally:
        display.close()
    return rows


def describe(cell: Cell, folder: Path, rows: Rows) -> dict[str, Any]:
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in HASHED}
    sb3 = cell.implementation == "sb3"
    room = import_module("rlparity.reference") if sb3 else agents.module(cell.agent)
    steps = cell.budget * len(cell.seeds)
    return {
        "status": "failed" if rows.failed else "done",
        "failed_seeds": {str(seed): reason for seed, reason in rows.failed.items()},
        "cell": dataclasses.asdict(cell),
        "config": configuration(cell),
        "departures": room.departures(cell) if sb3 else list(room.DEPARTURES),
        "versions": provenance.versions(),
        "hardware": provenance.hardware(),
        "git": provenance.git(),
        "source_hash": source_hash(cell),
        "fingerprint": cell.fingerprint,
        "training_time_s": rows.training_time_s,
        "evaluation_time_s": rows.evaluation_time_s,
        "steps_per_second": steps / rows.training_time_s,
        "peak_memory_mib": provenance.peak_memory_mib(),
        "hashes": hashes,
        "policies": album.describe(cell, folder / "checkpoint"),
    }


def configuration(cell: Cell) -> dict[str, Any]:
    """Every hyper-parameter that the cell ran with, defaults included where the agent is ours."""
    values = dict(cell.hyperparameters)
    if cell.implementation != "sb3":
        values = dataclasses.asdict(import_module(registry.AGENTS[cell.agent].module).Config(**values))
    return {**values, "n_envs": cell.n_envs, "normalize": cell.normalize}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the cell's folder: two writers at once are refused, a dead one's lock falls away."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror})") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{folder}: another process is training this cell") from None
        yield
