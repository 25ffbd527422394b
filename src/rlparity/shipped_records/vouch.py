"""Keep shipped records valid when sources changed and numbers did not: retrain a part of them.

Records are bit-identical per seed on one machine and lock file. So of every kind of record one seed is
trained again with today's sources, and where its rows are those of the record, all records of that kind get
an entry in the list `vouched` of their run.json. What run.json records of how they were made stays.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rlparity.cell import Cell
from rlparity.errors import UserError, unknown
from rlparity.provenance import fingerprint, host
from rlparity.records import write_bytes
from rlparity.shipped_records import restore
from rlparity.shipped_records.restore import Shipped
from rlparity.suites.suite import Suite

Say = Callable[[str], None]


class Finding(NamedTuple):
    """The result of retraining a seed."""

    env_step: int  # environment steps that were trained and compared
    rows: int  # training episodes and evaluation episodes that were equal
    difference: str | None = None  # the first row that was not, in words


class Record(NamedTuple):
    """A shipped record of other sources, and the cell that it could be valid for."""

    cell: Cell
    shipped: Shipped


@dataclass(frozen=True)
class Group:
    """Records of one kind: the same sources made them on the same kind of machine, and only seeds differ."""

    records: list[Record] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For messages."""
        cell = self.records[0].cell
        return f"{cell.environment} {cell.implementation}/{cell.algorithm}"

    @property
    def chosen(self) -> tuple[Record, int]:
        """A record and the seed that is retrained: the first that did not fail, else the first."""
        pairs = [(record, seed) for record in self.records for seed in record.cell.seeds]
        sound = (pair for pair in pairs if str(pair[1]) not in pair[0].shipped.run.get("failed_seeds", {}))
        return next(sound, pairs[0])


@dataclass
class Stock:
    """The shipped records of some cells, by what can be done about them."""

    groups: dict[str, Group] = field(default_factory=dict)
    valid: int = 0
    missing: int = 0
    refused: list[str] = field(default_factory=list)  # one line each


def cells(
    suite: Suite,
    environments: Iterable[str] = (),
    algorithms: Iterable[str] = (),
    implementations: Iterable[str] = (),
) -> list[Cell]:
    """The suite's own cells of these, of all environments, algorithms and so on where none is named."""
    wanted = {
        "environment": tuple(environments),
        "algorithm": tuple(algorithms),
        "implementation": tuple(implementations),
    }
    for what, names in wanted.items():
        there = {getattr(cell, what) for cell in suite.cells}
        for name in names:
            if name not in there:
                raise unknown(what, name, there, f"suite {suite.name!r}")
    chosen = (
        cell
        for cell in suite.cells
        if not cell.candidate
        and all(not names or getattr(cell, what) in names for what, names in wanted.items())
    )
    return list(chosen)


def vouch(suite: Suite, wanted: Sequence[Cell], reports: Path, share: float, jobs: int, say: Say) -> bool:
    """Vouch for what the suite's own report ships of the cells that are `wanted` for; `say` gets each line.

    At least `share` of the budget is trained again, `jobs` groups at a time, each in a process of its own.
    True if afterwards no shipped record is stale. Raises UserError where tracked files have changes that are
    not committed: a voucher names a commit.
    """
    git = committed()
    stock = take_stock(suite, wanted, reports)
    vouched, stale = 0, len(stock.refused)
    for line in stock.refused:
        say(line)
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(_retrain, suite, group, share): group for group in stock.groups.values()}
        try:
            for place, done in enumerate(as_completed(waiting), 1):
                group, (finding, seconds) = waiting[done], done.result()
                if finding.difference is None:
                    vouched += len(group.records)
                    _sign(group, finding, git)
                else:
                    stale += len(group.records)
                say(f"{place}/{len(waiting)}  {_outcome(group, finding)} ({seconds:.0f} s)")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    counts = {
        "vouched for": vouched,
        "valid already": stock.valid,
        "stale": stale,
        "not shipped": stock.missing,
    }
    idle = "" if vouched or stale else "nothing to vouch for: "
    say(idle + ", ".join(f"{number} {what}" for what, number in counts.items()))
    return not stale


def take_stock(suite: Suite, wanted: Iterable[Cell], reports: Path) -> Stock:
    """Sort the shipped records of these cells: valid, missing, to be vouched for, or past that."""
    catalogue, stock = {one.folder: one for one in restore.in_reports(reports)}, Stock()
    for cell in wanted:
        shipped = catalogue.get(reports / suite.name / "records" / Path(*cell.folder.parts[1:]))
        if shipped is None:
            stock.missing += 1
        elif cell.accepts(shipped.run):
            stock.valid += 1
        elif reasons := _reasons(suite, cell, shipped):
            stock.refused.append(f"stale  {cell.folder}: {'; '.join(reasons)}")
        else:
            group = stock.groups.setdefault(_kind(suite, cell, shipped.run), Group())
            group.records.append(Record(cell, shipped))
    return stock


def _reasons(suite: Suite, cell: Cell, shipped: Shipped) -> list[str]:
    """Why a record that is stale cannot be vouched for; nothing if only sources changed."""
    damaged = shipped.damaged()
    if damaged is not None:
        return [f"{damaged} is not the file whose hash run.json has"]
    return fingerprint.besides_sources(cell, suite.parts(cell), shipped.run)


def _kind(suite: Suite, cell: Cell, run: Mapping[str, Any]) -> str:
    """What records must share for one to stand for the others.

    The hash of sources leaves out a user's module; its environments are each trained again.
    """
    own = suite.environments[cell.environment].info.module is not None
    data = {key: value for key, value in suite.parts(cell)["cell"].items() if key != "seeds"}
    machine = [(run.get("hardware") or {}).get(part) for part in ("cpu", "gpu", "machine")]
    return json.dumps([data, machine, run.get("fingerprint" if own else "source_hash")], sort_keys=True)


def committed() -> dict[str, Any]:
    """The commit of the checkout. UserError if there is none, or if tracked files were edited."""
    git = host.git()
    if git["commit"] is None or git["dirty"] is None:
        raise UserError("vouch: this is no git checkout; records are vouched for by a commit")
    if git["dirty"]:
        raise UserError("vouch: the checkout has uncommitted changes; records are vouched for by a commit")
    return git


def _retrain(suite: Suite, group: Group, share: float) -> tuple[Finding, float]:
    """Retrain the group's chosen seed in a process of its own; returns the finding and the seconds."""
    record, seed = group.chosen
    alone = replace(record.cell, seeds=(seed,))
    alone = replace(alone, fingerprint=fingerprint.text_hash(suite.parts(alone)))
    wanted = ["--retrain", alone.to_json(), "--record", str(record.shipped.folder), "--share", str(share)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "rlparity", "dev", "vouch", *wanted],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        finding = Finding(0, 0, f"it could not be trained again: {lines[-1]}")
    else:
        finding = Finding(**json.loads(done.stdout.splitlines()[-1]))
    return finding, time.monotonic() - started


def _sign(group: Group, finding: Finding, git: Mapping[str, Any]) -> None:
    """Add the entry to run.json of every record of the group."""
    for cell, shipped in group.records:
        entry = {
            "fingerprint": cell.fingerprint,
            "source_hash": fingerprint.source_hash(cell),
            "git": dict(git),
            "seed": group.chosen[1],
            "env_step": finding.env_step,
            "rows": finding.rows,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        run = {**shipped.run, "vouched": [*shipped.run.get("vouched", ()), entry]}
        write_bytes(shipped.folder / "run.json", json.dumps(run, indent=1, sort_keys=True).encode())


def _outcome(group: Group, finding: Finding) -> str:
    records = f"{len(group.records)} record{'s' * (len(group.records) != 1)}"
    who = f"{group.name}, seed {group.chosen[1]}"
    if finding.difference is not None:
        made_on = {host.rounding(record.shipped.run.get("hardware") or {}) for record in group.records}
        here = host.rounding(host.hardware())
        elsewhere = f" (made on {', '.join(sorted(made_on))}; this is {here})" if made_on != {here} else ""
        differs = f"DIFFERS after {finding.rows} equal rows: {finding.difference}"
        return f"{who}: {differs}; {records} stale{elsewhere}"
    budget = group.records[0].cell.budget
    reached = f"{finding.rows} rows equal up to environment step {finding.env_step:,} of {budget:,}"
    return f"{who}: {reached}; {records} vouched for"
