"""Checkpoints: what one holds at several moments of an update cycle, and a training that dies several times.

The first check restores each checkpoint beside the live training and compares the two attribute by attribute
(`live_state`); the second resumes after every death, and compares all rows and the policy at the end.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from rlparity.cell import Cell
from rlparity.seeding import Streams
from rlparity.training import loop
from rlparity.training import run as train
from rlparity.training.checkpointing import Checkpointer
from rlparity.training.recorder import Recorder
from rlparity.training.run import Session
from rlparity.transitions import Episode
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.kinds import live_state

MOMENTS = (1, 16, 17, 30)  # steps of all sub-environments: before, at, after and between updates
AT_HOME = (7, 42)  # of the environment's own state
EVERY = 9  # steps between checkpoints of the training that dies
DEATHS = (13, 29, 47)  # steps at which it does, some with work since the last checkpoint
TIMES = ("wall_time_s", "evaluation_time_s")  # of rows and metrics: the clock's


class Watcher(Checkpointer):
    """Writes checkpoints at some `moments`, and compares what is restored with the training under way."""

    def __init__(self, cell: Cell, folder: Path, moments: tuple[int, ...]):
        super().__init__(cell, folder / "unused")
        self._into, self.looks, self._moments = folder, 0, moments
        self.problem: str | None = None

    def __call__(self, session: Any) -> None:
        """Look, if it is time to and nothing was found before."""
        moment, remainder = divmod(session.env_step, self.cell.n_envs)
        if self.problem is None and moment in self._moments and not remainder:
            self.looks += 1
            found = look(self.cell, session, self._into / str(moment))
            self.problem = found and f"restored at step {session.env_step}: {found}"


def look(cell: Cell, session: Session, folder: Path) -> str | None:
    """How a training restored from a checkpoint of `session` differs from it; None if it does not."""
    Checkpointer(cell, folder).save(session)
    other = fresh(cell)
    try:
        Checkpointer(cell, folder).restore(other)
        return live_state.difference(session, other)
    finally:
        other.training.env.close()


def fresh(cell: Cell) -> Session:
    """A training before its first step."""
    return Session(loop.build(cell, Streams(cell)), Recorder(cell))


def complete(home: Cell, fault_showing: Cell) -> Answer:
    """A checkpoint holds all that the live training holds, at several moments of its update cycle."""
    looks, places = 0, dict.fromkeys((home.environment, fault_showing.environment))
    for cell, moments in ((home, AT_HOME), (fault_showing, MOMENTS)):
        with tempfile.TemporaryDirectory() as folder:
            watcher = Watcher(cell, Path(folder), moments)
            train.run(cell, evaluate=cell is fault_showing, checkpointer=watcher)
        if watcher.problem is not None:
            return False, f"{cell.environment}, {watcher.problem}"
        looks += watcher.looks
    return True, f"the same at {looks} moments in {' and '.join(places)}"


class Died(Exception):
    """A training ends without a word, as a process that is killed does."""


def reborn(cell: Cell) -> Answer:
    """A training that dies at several steps, and is resumed from its last checkpoint, leaves the same rows,
    metrics and policy as one that does not."""
    whole = train.run(cell)
    dying = replace(cell, checkpoint_every=EVERY * cell.n_envs)
    with tempfile.TemporaryDirectory() as folder:

        def again(death: float) -> Recorder | None:
            def die(env_step: int, ended: Iterable[Episode]) -> None:
                if env_step >= death * cell.n_envs:
                    raise Died

            with suppress(Died):
                return train.run(dying, die, checkpointer=Checkpointer(dying, Path(folder)))
            return None

        for death in DEATHS:
            again(death)
        found = again(float("inf"))
    assert found is not None
    return _same(whole, found)


def _same(whole: Recorder, again: Recorder) -> Answer:
    for name in ("episodes", "evaluations", "progress"):
        ours, theirs = (_timeless(getattr(recorder, name)) for recorder in (again, whole))
        if len(ours) != len(theirs):
            return False, f"{len(ours)} rows of {name}, {len(theirs)} in an uninterrupted training"
        for a, b in zip(ours, theirs, strict=True):
            if str(a) != str(b):  # text, so that NaN is NaN
                return False, f"{name} near step {b['env_step']}: {a}, uninterrupted {b}"
    if again.failed != whole.failed:
        return False, f"failed seeds are {again.failed}, uninterrupted {whole.failed}"
    for name, value in whole.state.items():
        if not torch.equal(again.state[name], value):
            return False, f"{name} differs, by up to {(again.state[name] - value).abs().max():.2g}"
    rows = len(whole.episodes) + len(whole.evaluations) + len(whole.progress)
    return True, f"died {len(DEATHS)} times; {rows} rows and {len(whole.state)} tensors are the same"


def _timeless(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    kept = [row for row in rows if row.get("metric") not in TIMES]
    return [{name: value for name, value in row.items() if name not in TIMES} for row in kept]
