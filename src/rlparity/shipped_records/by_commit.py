"""Keep shipped records valid on a processor that rounds otherwise than the one that made them.

There a retrained seed differs from its record although the sources make the same numbers. So a short training
of every kind of record is run twice on this machine: with the sources of the commit at which the record was
last valid, and with those of the checkout. Where all rows are equal, the records of that kind get an entry in
the list `vouched` of their run.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.provenance import fingerprint, host, source_code
from rlparity.records import write_bytes
from rlparity.shipped_records.vouch import Record, committed, take_stock
from rlparity.suites import hyperparameters
from rlparity.suites.suite import Suite

SCRIPT = Path(__file__).with_name("short_training.py")
STEPS = 3000  # environment steps per seed of a short training, unless its agent learns too late for that
ROLLOUTS = 2  # of an on-policy agent with long ones, and one step more


class Kind(NamedTuple):
    """What is trained twice: a short cell, and the commit that its records were last valid at."""

    commit: str
    cell: str  # as JSON


def vouch(
    suite: Suite, cells: Sequence[Cell], reports: Path, say: Callable[[str], None], cache: Path | None = None
) -> bool:
    """Vouch for what the suite's own report ships of these cells; `say` gets each line.

    Hashes of rows are kept in the file `cache`, for other suites with the same kinds. True if afterwards no
    shipped record is stale. Raises UserError where tracked files have changes that are not committed.
    """
    git = committed()
    stock = take_stock(suite, cells, reports)
    kinds: dict[Kind, list[Record]] = {}
    for group in stock.groups.values():
        for record in group.records:
            if suite.environments[record.cell.environment].info.module is not None:
                stock.refused.append(
                    f"stale  {record.cell.folder}: its environment is no part of these sources"
                )
                continue
            kind = Kind(last_commit(record.shipped.run), shorten(record.cell).to_json())
            kinds.setdefault(kind, []).append(record)
    for line in stock.refused:
        say(line)
    known = Cache(cache)
    stale, signed = len(stock.refused), 0
    for place, (kind, records) in enumerate(kinds.items(), 1):
        then, now = known.rows(kind.commit, kind.cell), known.rows("", kind.cell)
        same = then["digest"] == now["digest"] and then["failed"] == now["failed"]
        if same:
            signed += len(records)
            for record in records:
                _sign(record, kind, now["rows"], git)
        else:
            stale += len(records)
        say(f"{place}/{len(kinds)}  {_outcome(kind, len(records), now['rows'], same)}")
    say(f"{signed} vouched for, {stock.valid} valid already, {stale} stale, {stock.missing} not shipped")
    return not stale


def last_commit(run: Mapping[str, Any]) -> str:
    """The last commit whose sources accept a record: of its newest voucher, else the one that made it."""
    entries = [run, *run.get("vouched", ())]
    commits = [entry["git"]["commit"] for entry in entries if not entry["git"].get("dirty")]
    if not commits or commits[-1] is None:
        raise UserError("vouch: a record that no commit made, and no commit vouched for; train it again")
    return str(commits[-1])


def shorten(cell: Cell) -> Cell:
    """The same training with a small budget, seed 0 (ours: and 1) and few evaluation episodes.

    It still learns: on-policy agents have two rollouts and a step, off-policy ones start early.
    """
    values = dict(cell.hyperparameters)
    budget = STEPS
    rollout = values.get("n_steps", 128 if cell.environment.startswith("ALE/") else 2048) * cell.n_envs
    if cell.agent in ("ppo", "trpo"):
        budget = max(STEPS, ROLLOUTS * rollout + cell.n_envs)
    if cell.environment.startswith("ALE/"):
        budget = min(budget, ROLLOUTS * rollout + cell.n_envs) if cell.agent in ("ppo", "a2c") else STEPS // 2
    if cell.agent in ("sac", "td3", "ddpg"):
        budget, values["learning_starts"] = 1300, min(values.get("learning_starts", 100), 600)
    if cell.agent in ("dqn", "qrdqn"):
        values["learning_starts"] = min(values.get("learning_starts", 100), budget // 3)
        values["target_update_interval"] = min(values.get("target_update_interval", 10_000), budget // 3)
    if "buffer_size" in hyperparameters.config(cell.agent):
        values["buffer_size"] = min(values.get("buffer_size", budget), budget // 2)  # so that the ring wraps
    return replace(
        cell,
        suite="short",
        seeds=(0, 1) if cell.implementation == "scratch" else (0,),
        tensorboard=False,
        budget=min(budget, cell.budget),
        evaluation=replace(cell.evaluation, points=2, episodes=2, final_episodes=3),
        hyperparameters=values,
        checkpoint_every=0,
        fingerprint="",
    )


class Cache:
    """Hashes of the rows of short trainings, by sources and cell; trained at the first call."""

    def __init__(self, file: Path | None):
        self._file = file
        self._found: dict[str, dict[str, Any]] = {}
        if file is not None and file.is_file():
            self._found = json.loads(file.read_text(encoding="utf-8"))

    def rows(self, commit: str, cell: str) -> dict[str, Any]:
        """{"rows", "digest", "failed"} of a cell with the sources of a commit; "": of the checkout."""
        sources = commit or fingerprint.source_hash(Cell.from_json(cell))
        machine = host.hardware(), fingerprint.parts(Cell.from_json(cell))["versions"]
        key = fingerprint.text_hash([sources, cell, machine])
        if key not in self._found:
            self._found[key] = _train(commit, cell)
            if self._file is not None:
                write_bytes(self._file, json.dumps(self._found, indent=1).encode())
        return self._found[key]


def _train(commit: str, cell: str) -> dict[str, Any]:
    with _sources(commit) as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}
        cells = f"[{cell}]"
        done = subprocess.run(
            [sys.executable, str(SCRIPT)], input=cells, capture_output=True, text=True, env=environment
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UserError(f"vouch: commit {commit or 'of the checkout'} cannot be trained: {lines[-1]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def _sources(commit: str) -> Iterator[Path]:
    """A folder with the package as a commit has it; without one, the package that is running."""
    if not commit:
        yield source_code.PACKAGE.parent
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", commit, "src"], capture_output=True)
        if archive.returncode:
            raise UserError(f"vouch: this repository has no commit {commit}")
        subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
        yield Path(folder, "src")


def _sign(record: Record, kind: Kind, rows: int, git: Mapping[str, Any]) -> None:
    short = Cell.from_json(kind.cell)
    entry = {
        "by": "same rows",
        "against": kind.commit,
        "fingerprint": record.cell.fingerprint,
        "source_hash": fingerprint.source_hash(record.cell),
        "git": dict(git),
        "definitions": fingerprint.own_hashes(record.cell),
        "rows": rows,
        "short_budget": short.budget,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    run = {**record.shipped.run, "vouched": [*record.shipped.run.get("vouched", ()), entry]}
    write_bytes(record.shipped.folder / "run.json", json.dumps(run, indent=1, sort_keys=True).encode())


def _outcome(kind: Kind, count: int, rows: int, same: bool) -> str:
    cell = Cell.from_json(kind.cell)
    records = f"{count} record{'s' * (count != 1)}"
    who = f"{cell.environment} {cell.implementation}/{cell.algorithm}"
    if same:
        same_rows = f"the same {rows} rows in {cell.budget:,} steps"
        return f"{who}: {same_rows} as with those of {kind.commit[:7]}; {records} vouched for"
    return f"{who}: OTHER rows in {cell.budget:,} steps than with those of {kind.commit[:7]}; {records} stale"
