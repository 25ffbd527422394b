"""Run one cell from start to finish: lock, train, write the records and where they came from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from rlparity import records, registry
from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.errors import StorageError, UserError
from rlparity.provenance import candidate_files, fingerprint, host
from rlparity.runs import environment_faults, lock, malloc, pending, regrouping, saved_policies
from rlparity.runs.progress import Display
from rlparity.training import checkpoint_files
from rlparity.training.checkpointing import Checkpointer, resumes_exactly
from rlparity.training.recorder import Recorder

SETTINGS = "settings.json"  # what is known of a candidate's settings, written by what trains it
ELSEWHERE = {
    "cpu": "unknown: the logs do not contain it",
    "gpu": None,
    "cores": None,
    "threads": None,
    "machine": None,
}


def run_cell(
    cell: Cell,
    folder: Path,
    process_started: float | None = None,
    wait: Callable[[str], None] | None = None,
    regroup: bool = False,
) -> dict[str, Any]:
    """Train a cell and write its records into `folder`; returns the content of run.json.

    `process_started` is `time.monotonic()` at the start of the process, for the cost of getting ready. The
    last file written is run.json: a folder without one holds nothing finished. A seed whose loss became NaN
    is a result, not an error: it is named in run.json. What was interrupted goes on from its last checkpoint.
    Where another process trains the cell: `lock.Taken`; with `wait`, which is called with who that is, wait
    for its end and take its records. With `regroup`, seeds that other blocks beside it have are taken from
    their records.
    """
    began = process_started or time.monotonic()
    torch.set_num_threads(1)
    malloc.keep_freed_memory()
    with lock.held(folder, wait) as held:
        made = pending.finished(folder) if held.waited else None
        if made is not None and cell.accepts(made):
            return made
        if regroup and (blocks := regrouping.sources(cell, regrouping.beside(folder))):
            return _regrouped(cell, folder, blocks)
        code = origin(cell)
        checkpointer = Checkpointer(cell, folder / "checkpoint", began, held.check, code)
        ready = time.monotonic()
        recorder, notes = _train(cell, folder, checkpointer)
        held.check()
        try:
            (folder / "run.json").unlink(missing_ok=True)  # an earlier run's; its records are about to go
            if not cell.candidate:
                checkpoint_files.save(folder / "checkpoint", recorder.state)
            for kind in records.SCHEMAS:
                records.write(folder, kind, getattr(recorder, kind))
            run = describe(cell, folder, recorder, notes) | code
            run["started"], run["times_resumed"] = checkpointer.started, checkpointer.times_resumed
            run["resumes_exactly"] = resumes_exactly(cell)
            run["startup_time_s"], run["wall_time_s"] = ready - began, checkpointer.wall_time_s
            records.write_bytes(folder / "run.json", json.dumps(run, indent=1, sort_keys=True).encode())
        except OSError as error:
            reason = error.strerror or error
            raise StorageError(
                f"{folder}: the records cannot be written ({reason}); run again to finish"
            ) from None
        checkpoint_files.clear(folder / "checkpoint")
    return run


def _regrouped(cell: Cell, folder: Path, blocks: Sequence[regrouping.Found]) -> dict[str, Any]:
    """Write the records of a cell from those of other blocks; returns run.json."""
    print(f"{cell.folder}: rows of {', '.join(place.name for place, _ in blocks)}", file=sys.stderr)
    try:
        regrouping.write(cell, folder, blocks)
        checkpoint_files.clear(folder / "checkpoint")
    except OSError as error:
        raise StorageError(
            f"{folder}: the records cannot be written ({error.strerror or error}); run again to finish"
        ) from None
    run: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return run


def origin(cell: Cell) -> dict[str, Any]:
    """Where the code comes from, to be taken before training: the checkout may have changed at its end."""
    return {
        "git": host.git(),
        "source_hash": fingerprint.source_hash(cell),
        "definitions": fingerprint.own_hashes(cell),
    }


def check_code(cell: Cell) -> None:
    """UserError if the code or the packages are not those of the cell's fingerprint."""
    if cell.fingerprint and cell.fingerprint != fingerprint.of(cell):
        raise UserError(
            f"{cell.folder}: the code or a package has changed since it was planned; give the command again"
        )


def _train(cell: Cell, folder: Path, checkpointer: Checkpointer) -> tuple[Recorder, tuple[str, ...]]:
    """Train a cell; returns its recorder, and for a candidate the assumptions that were made."""
    recorder = Recorder(cell, saved_policies.SavedPolicies(cell, folder / "checkpoint"))
    if cell.candidate:
        with environment_faults.named(cell, recorder, checkpointer):
            notes: tuple[str, ...] = import_module(registry.CANDIDATES[cell.kind]).run(cell, folder, recorder)
        if cell.kind != "logs" and not candidate_files.digests(cell):
            notes += ("no file of its code is known: this record stays valid whatever changes in it",)
        if cell.kind == "command" and not candidate_files.has_lock(cell):
            notes += ("no lock file among its `files`: this record stays valid whatever its packages become",)
        for line in (*recorder.failed.values(), *notes):
            print(f"{cell.implementation} seed {cell.seeds[0]}: {line}", file=sys.stderr)
        return recorder, notes
    display = Display(cell, folder / "heartbeat.json", folder / "tensorboard" if cell.tensorboard else None)
    try:
        train = import_module(registry.trainer(cell)).run
        with environment_faults.named(cell, recorder, checkpointer):
            if cell.checkpoint_every:
                with checkpointer.heeding_signals():
                    train(cell, display, checkpointer=checkpointer, recorder=recorder)
            else:
                train(cell, display, recorder=recorder)
        display.summarise(recorder)
    finally:
        display.close()
    return recorder, ()


def describe(cell: Cell, folder: Path, recorder: Recorder, notes: tuple[str, ...] = ()) -> dict[str, Any]:
    """The content of run.json; `notes`, of a candidate, are assumptions and repairs."""
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in regrouping.HASHED}
    settings = _settings(folder) if cell.candidate else {}
    steps = min(recorder.env_step or cell.budget, cell.budget) * len(cell.seeds)
    return {
        "status": "failed" if recorder.failed else "done",
        "failed_seeds": {str(seed): reason for seed, reason in recorder.failed.items()},
        "cell": json.loads(cell.to_json()),
        "config": settings.get("ran", {}) if cell.candidate else configuration(cell),
        "departures": (settings.get("departures") or []) if cell.candidate else _departures(cell),
        "versions": _versions(cell),
        "hardware": ELSEWHERE if cell.kind == "logs" else host.hardware(),
        "fingerprint": cell.fingerprint,
        "training_time_s": recorder.training_time_s,
        "evaluation_time_s": recorder.evaluation_time_s,
        "steps_per_second": None if cell.kind == "logs" else steps / recorder.training_time_s,
        "peak_memory_mib": host.peak_memory_mib(),
        "format": records.FORMAT,
        "hashes": hashes,
        "policies": saved_policies.describe(cell, folder / "checkpoint"),
        **({"notes": list(notes), "files": candidate_files.digests(cell)} if cell.candidate else {}),
        **({"settings": settings} if cell.candidate else {}),
    }


def _versions(cell: Cell) -> dict[str, str]:
    """Versions of what trained a cell, which may be another interpreter's."""
    if not cell.candidate:
        return host.versions()
    found: dict[str, str] = import_module(registry.trainer(cell)).versions(cell)
    return found


def _settings(folder: Path) -> dict[str, Any]:
    """What is known of a candidate's settings; empty if what trained it has left nothing."""
    file = folder / SETTINGS
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def _departures(cell: Cell) -> list[str]:
    departures: list[str] = import_module(registry.trainer(cell)).departures(cell)
    return departures


def configuration(cell: Cell) -> dict[str, Any]:
    """Every hyper-parameter that the cell ran with, defaults included where the agent is ours."""
    values = dict(cell.hyperparameters)
    if cell.implementation == "scratch":
        values = dataclasses.asdict(agents.settings(cell.agent)(**values))
    return {**values, "n_envs": cell.n_envs, "normalize": cell.normalize}
