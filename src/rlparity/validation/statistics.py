"""The layer that takes minutes to hours: compare the candidate's seeds with the reference's.

References are the valid records that reports contain, for all their seeds; stale ones are refused by name.
"""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import redirect_stderr
from pathlib import Path
from typing import NamedTuple

from rlparity.cell import Cell
from rlparity.environments.probing import before_training
from rlparity.metrics import RETURN
from rlparity.registry import REFERENCE
from rlparity.runs import pending
from rlparity.runs.run_cell import run_cell
from rlparity.shipped_records import references as shipped_references
from rlparity.shipped_records import restore
from rlparity.shipped_records.restore import Shipped
from rlparity.suites.suite import FLOOR, Suite
from rlparity.validation.checks import Say

LAYER = "statistics"
GOOD = ("EQUIVALENT", "BETTER")
PRIMARY = "primary"  # role of a row that decides, one for each metric of an environment


class References(NamedTuple):
    """Records to compare with."""

    cells: list[Cell]  # of the reference, restored or still to be trained
    waiting: list[Cell]  # those still to be trained
    refused: list[str]  # a line for each reason why records may not be taken


def references(plan: Suite, results: Path, reports: Path) -> References:
    """Restore every shipped seed of the reference whose record is valid, including those not in the suite."""
    catalogue, found = restore.shipped(reports), References([], [], [])
    theirs = [cell for cell in plan.cells if cell.implementation == REFERENCE]
    for template in {cell.environment: cell for cell in theirs}.values():
        seeds = {seed for cell in plan.cells if _arm(cell) == _arm(template) for seed in cell.seeds}
        candidates = sorted(seeds | shipped_references.shipped_seeds(template, catalogue))
        cells = {seed: shipped_references.of_seed(template, seed, plan) for seed in candidates}
        reasons = {seed: _restore(cell, catalogue, plan, results) for seed, cell in cells.items()}
        stale = {seed: reason for seed, reason in reasons.items() if reason is not None and seed in seeds}
        trained = stale if plan.references == "train" else {}
        found.cells.extend(cells[seed] for seed in candidates if reasons[seed] is None or seed in trained)
        found.waiting.extend(cells[seed] for seed in trained)
        for reason in dict.fromkeys(stale.values()):
            lost = [seed for seed, other in stale.items() if other == reason]
            found.refused.append(f"{_name(template)}, {_seeds(lost)}: {reason}")
    return found


def _restore(cell: Cell, catalogue: Sequence[Shipped], plan: Suite, results: Path) -> str | None:
    """Restore the record of a cell; returns why there is none, or None."""
    if pending.up_to_date(cell, results / cell.folder):
        return None
    taken, reason = restore.fill(cell, catalogue, plan.parts(cell), results / cell.folder, others=True)
    if not taken:
        return f"no shipped record fits, {reason}" if reason else "no record is shipped"
    return None


def _arm(cell: Cell) -> tuple[str, str, str]:
    return cell.environment, cell.implementation, cell.algorithm


def _name(cell: Cell) -> str:
    return f"{cell.implementation}/{cell.algorithm} in {cell.environment}"


def _seeds(numbers: Sequence[int]) -> str:
    return f"seed{'s' * (len(numbers) != 1)} {', '.join(map(str, numbers))}"


def floor(plan: Suite, results: Path, reports: Path) -> list[Cell]:
    """Restore shipped cells of the random agent; returns those still to be run."""
    catalogue = restore.shipped(reports)
    cells = [cell for cell in plan.cells if cell.agent == FLOOR]
    return [cell for cell in cells if _restore(cell, catalogue, plan, results) is not None]


def train(cells: Sequence[Cell], results: Path, jobs: int, say: Say) -> list[str]:
    """Train cells that are not trained yet, and failed seeds of the candidate: `jobs` at a time, each in its
    own process, finished logs in this one. Returns a line for each error that is not the candidate's."""
    checked = before_training.checked(
        cells, say, lambda cell: not pending.up_to_date(cell, results / cell.folder)
    )
    waiting = pending.update(checked, results)
    folders = {cell.folder for cell in waiting}
    waiting += [cell for cell in checked if cell.folder not in folders and _failed(cell, results)]
    for cell in [cell for cell in waiting if cell.kind == "logs"]:
        waiting.remove(cell)
        with (results / cell.folder / "train.log").open("w") as log, redirect_stderr(log):
            run = run_cell(cell, results / cell.folder)
        for reason in run["failed_seeds"].values():
            say(f"{LAYER}: {_describe(cell)}: {reason}")
    broken = []
    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(_train, cell, results): cell for cell in waiting}
        try:
            for done in as_completed(running):
                cell, (problem, seconds) = running[done], done.result()
                run = pending.finished(results / cell.folder) or {}
                outcome = problem or "; ".join(run.get("failed_seeds", {}).values()) or "done"
                say(f"{LAYER}: {_describe(cell)}: {outcome} ({seconds:.0f} s)")
                broken += [f"{cell.folder}: {problem}"] if problem else []
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return broken


def _failed(cell: Cell, results: Path) -> bool:
    """Whether a candidate has failed: it is tried again, because time or memory may have been short."""
    run = pending.finished(results / cell.folder) or {}
    return bool(cell.candidate) and run.get("status") == "failed"


def _describe(cell: Cell) -> str:
    return f"{cell.implementation} {cell.block} in {cell.environment}"


def _train(cell: Cell, results: Path) -> tuple[str, float]:
    folder, started = results / cell.folder, time.monotonic()
    command = [sys.executable, "-P", "-m", "rlparity", "dev", "cell"]
    with (folder / "train.log").open("wb") as log:
        done = subprocess.run(
            [*command, "--cell", str(folder / pending.CELL_FILE)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
        )
    seconds = time.monotonic() - started
    if not done.returncode:
        return "", seconds
    lines = (folder / "train.log").read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"status {done.returncode}", seconds


def notes(cells: Sequence[Cell], results: Path) -> list[str]:
    """Assumptions and repairs made to read the candidate's records, each once with its seeds."""
    found: dict[str, list[int]] = {}
    for cell in cells:
        for note in json.loads((results / cell.folder / "run.json").read_text())["notes"]:
            found.setdefault(note, []).extend(cell.seeds)
    return [f"{_seeds(seeds)}: {note}" for note, seeds in found.items()]


def unfinished(cells: Sequence[Cell], results: Path) -> dict[str, str]:
    """The environments in which no seed of these cells finished, with the first reason."""
    reasons: dict[str, list[str]] = {}
    done = set()
    for cell in cells:
        run = json.loads((results / cell.folder / "run.json").read_text(encoding="utf-8"))
        if run["status"] == "failed":
            reasons.setdefault(cell.environment, []).extend(run["failed_seeds"].values())
        else:
            done.add(cell.environment)
    return {place: found[0] for place, found in reasons.items() if place not in done}


class Verdict(NamedTuple):
    """A row of `verdicts.csv` about the candidate."""

    environment: str
    endpoint: str
    word: str  # EQUIVALENT, WORSE, BETTER or INCONCLUSIVE
    primary: bool  # whether it decides; the others can only be WORSE against it
    detail: str

    @property
    def good(self) -> bool:
        """Whether it is EQUIVALENT, also when lower or higher, or BETTER."""
        return self.word.partition(",")[0] in GOOD


def verdicts(report: Path, implementation: str) -> list[Verdict]:
    """The verdicts on an implementation, primary endpoints first."""
    with (report / "verdicts.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["implementation"] == implementation]
    found = [
        Verdict(
            row["environment"],
            _endpoint(row),
            row["verdict"].split(" (")[0],
            row["role"] == PRIMARY,
            _detail(row),
        )
        for row in rows
    ]
    return sorted(found, key=lambda verdict: not verdict.primary)


def _endpoint(row: dict[str, str]) -> str:
    """The endpoint, with the metric where that is not the return."""
    return row["endpoint"] + (f" of {row['metric']}" if row["metric"] != RETURN.name else "")


def _detail(row: dict[str, str]) -> str:
    seeds = f"{row['seeds_implementation']} seeds beside {row['seeds_reference']} of {row['reference']}"
    failed = row["failed_seeds"] and f"failed: {row['failed_seeds']}"
    reason = ", ".join(text for text in (row["reason"], failed) if text)
    if not row["smallest_margin"]:
        return f"{row['verdict']}: " + "; ".join(filter(None, (reason, seeds)))
    margins = [f"{math.ceil(round(100 * float(row[name]), 6))} %" for name in ("smallest_margin", "margin")]
    within = "equivalent within {}, margin {}".format(*margins)
    means = f"mean {float(row['mean_implementation']):.4g} and {float(row['mean_reference']):.4g}"
    return f"{row['verdict']}: {within}, {means}, {seeds}" + (f"; {reason}" if reason else "")
