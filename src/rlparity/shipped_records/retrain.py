"""Retrain the first part of a seed, and compare every row with those that an earlier training left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from rlparity import records, registry
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.provenance import fingerprint
from rlparity.runs import malloc
from rlparity.runs.run_cell import configuration
from rlparity.shipped_records.vouch import Finding
from rlparity.training.recorder import Recorder, State
from rlparity.transitions import Episode

KINDS = ("evaluations", "episodes")  # in this order: an evaluation comes before the step that follows it
EVALUATIONS = 2  # after different updates: the second shows that learning goes on as it did
CLOCK = "evaluation_time_s"  # in `progress`; all other metrics there are an update's
NOTHING_TO_LEARN = "random"  # the agent that never updates


class Enough(Exception):
    """As many rows have been compared as were asked for."""


class Difference(Exception):
    """A row is not the one that the earlier training left; the message says which."""


def retrain_part(cell: Cell, folder: Path, share: float) -> Finding:
    """Train the one seed of `cell` up to a `share` of its budget, beside the records in `folder`.

    It is the real cell, stopped early, because schedules depend on the budget. It goes on beyond the share
    until `EVALUATIONS` evaluations after different updates have been compared, and a target network that is
    copied at intervals was copied. Raises UserError where the sources are not the fingerprint's.
    """
    _check_sources(cell)
    return _compared(cell, Comparison(cell, *_left(folder, cell.seeds[0]), least(cell, share)))


def _check_sources(cell: Cell) -> None:
    if fingerprint.of(cell) != cell.fingerprint:
        raise UserError(f"{cell.folder}: the sources were edited meanwhile; vouch again")


def _compared(cell: Cell, comparison: Comparison) -> Finding:
    assert len(cell.seeds) == 1
    torch.set_num_threads(1)
    malloc.keep_freed_memory()
    trainer = import_module(registry.trainer(cell))
    try:
        trainer.run(cell, comparison, recorder=comparison.recorder)
        comparison.close(whole=True)
    except Enough:
        pass
    except Difference as difference:
        return Finding(comparison.env_step, comparison.n_rows, str(difference))
    return Finding(comparison.env_step, comparison.n_rows)


def whole(cell: Cell, folder: Path) -> tuple[Finding, State]:
    """Train the one seed of `cell` to its end beside the records in `folder`; with its last policy.

    Raises UserError where the sources are not the fingerprint's.
    """
    _check_sources(cell)
    comparison = Comparison(cell, *_left(folder, cell.seeds[0]), cell.budget)
    return _compared(cell, comparison), comparison.recorder.state


def least(cell: Cell, share: float) -> int:
    """Environment steps before which a comparison does not end."""
    values = configuration(replace(cell, implementation="scratch"))  # with the agent's defaults
    first_copy = values.get("learning_starts", 0) + values.get("target_update_interval", 0)
    return min(cell.budget, max(round(share * cell.budget), first_copy))


def _left(folder: Path, seed: int) -> tuple[dict[str, list[dict[str, Any]]], str | None]:
    """The rows of a seed in the order they came, and why it failed if it did."""
    rows = {}
    for kind in KINDS:
        table = records.current(kind, pq.read_table(folder / f"{kind}.parquet"))
        rows[kind] = table.filter(pc.equal(table["seed"], seed)).to_pylist()
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return rows, run["failed_seeds"].get(str(seed))


@dataclass
class Comparison:
    """An `OnEpisodes`: raises `Difference` at the first row that differs, `Enough` when it may end."""

    cell: Cell
    left: Mapping[str, list[dict[str, Any]]]  # kind -> rows that the earlier training left of the seed
    failure: str | None  # why the seed failed then
    least: int  # environment steps
    env_step: int = 0
    recorder: Recorder = field(init=False)
    compared: dict[str, int] = field(init=False)  # kind -> rows that were equal so far
    _updates: set[str] = field(default_factory=set)  # metrics that evaluations found
    _read: int = 0  # rows of `progress` that these were read from

    def __post_init__(self) -> None:
        self.recorder, self.compared = Recorder(self.cell), dict.fromkeys(KINDS, 0)

    @property
    def n_rows(self) -> int:
        """Rows that were equal so far."""
        return sum(self.compared.values())

    def __call__(self, env_step: int, ended: Iterable[Episode]) -> None:
        """After a step: compare what came with it, and end if that is enough. The last step never ends it."""
        self.env_step = min(env_step, self.cell.budget)
        for kind in KINDS:
            self._compare(kind)
        if self._has_learned() and self.least < env_step < self.cell.budget:
            self.close(whole=False)
            raise Enough

    def close(self, whole: bool) -> None:
        """Compare what came after the last step, and what should have come but did not.

        `whole`: the training ran to its end.
        """
        for kind in KINDS:
            self._compare(kind)
            rest = self.left[kind][self.compared[kind] :]
            due = self.env_step + (kind == "episodes")  # an evaluation at this step is still to come
            if rest and (whole or rest[0]["env_step"] < due):
                raise Difference(f"{row_name(kind, rest[0])} is in the record, and did not come again")
        failure = self.recorder.failed.get(self.cell.seeds[0])
        if failure != self.failure and (whole or failure is not None):
            raise Difference(f"the seed ended with {failure or 'no failure'}, was {self.failure or 'none'}")

    def _compare(self, kind: str) -> None:
        new = getattr(self.recorder, kind)[self.compared[kind] :]
        for row in pa.Table.from_pylist(new, schema=records.SCHEMAS[kind]).to_pylist() if new else ():
            place = self.compared[kind]
            if place == len(self.left[kind]):
                raise Difference(f"{row_name(kind, row)} is not in the record")
            compare_row(kind, row, self.left[kind][place])
            self.compared[kind] += 1

    def _has_learned(self) -> bool:
        new = self.recorder.progress[self._read :]
        self._read += len(new)
        if found := [(row["metric"], row["value"]) for row in new if row["metric"] != CLOCK]:
            self._updates.add(repr(found))
        return self.cell.agent == NOTHING_TO_LEARN or len(self._updates) >= EVALUATIONS


def compare_row(kind: str, now: Mapping[str, Any], then: Mapping[str, Any]) -> None:
    """Raise `Difference` unless every column is the same to the last bit.

    `repr` tells floats apart that differ at all, and takes NaN for NaN.
    """
    other = [name for name in then if repr(now[name]) != repr(then[name])]
    if other:
        changes = "; ".join(f"{name} is {now[name]!r}, was {then[name]!r}" for name in other)
        raise Difference(f"{row_name(kind, then)}: {changes}")


def row_name(kind: str, row: Mapping[str, Any]) -> str:
    """A row in words, by what ended or was measured there."""
    if kind == "episodes":
        return f"the episode that ended at environment step {row['env_step']:,}"
    episode = f"{row['protocol']} episode {row['episode']}"
    return f"{episode} of the evaluation at environment step {row['env_step']:,}"
