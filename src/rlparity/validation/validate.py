"""One implementation through all layers, from seconds to hours: a line for each, and a status in the end."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.records import write_bytes
from rlparity.suites.suite import Suite
from rlparity.validation import quick_layers, request, statistics
from rlparity.validation.checks import Check, NotRun
from rlparity.validation.contract.candidates import command
from rlparity.validation.request import BROUGHT, REFERENCE, Request
from rlparity.validation.statistics import GOOD, Say, Verdict

PASSED, FAILED, UNDECIDED, NOT_RUN = 0, 1, 2, 3  # exit statuses


@dataclass
class Findings:
    """What the layers said."""

    plan: Suite
    checks: list[Check] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # layer -> why it was not run
    cells: list[Cell] = field(
        default_factory=list
    )  # with records to judge by; none if there is nothing to judge
    verdicts: list[Verdict] = field(default_factory=list)

    def status(self, strict: bool = False) -> int:
        """3 if the contract could not be run; 1 if it fails or a verdict is WORSE; 0 if all primary verdicts
        are EQUIVALENT or BETTER; else 2. A parity difference fails with `strict` only."""
        if "contract" in self.left_out:
            return NOT_RUN
        failing = ("contract", "parity") if strict else ("contract",)
        if any(check.layer in failing and not check.passed for check in self.checks):
            return FAILED
        if any(verdict.word == "WORSE" for verdict in self.verdicts):
            return FAILED
        primary = [verdict.word in GOOD for verdict in self.verdicts if verdict.primary]
        return PASSED if primary and all(primary) else UNDECIDED


def run(asked: Request, results: Path, reports: Path, jobs: int, say: Say) -> Findings:
    """Contract and parity, then the training of what the statistics need. Raises UserError where the question
    itself is wrong."""
    plan = request.plan(asked)
    if asked.seeds and asked.kind == "logs":
        say(f"note: {plan.description}")  # with the seeds that have none
    found = Findings(plan)
    mine = request.cells_of(plan, asked.called)
    _seconds(asked, mine, found, jobs, say)
    if "contract" in found.left_out:
        found.left_out["statistics"] = "the contract could not be run"
        return found
    _minutes(asked, mine, found, results, reports, jobs, say)
    return found


def _seconds(asked: Request, mine: Sequence[Cell], found: Findings, jobs: int, say: Say) -> None:
    """The layers that take seconds, side by side."""
    first = mine[0]
    looks: dict[str, Callable[[], list[Check]]] = {
        "contract": lambda: quick_layers.of_entry("contract", first)
    }
    if asked.kind == "entry":
        looks["parity"] = lambda: quick_layers.of_entry("parity", first)
    else:
        found.left_out["parity"] = f"{BROUGHT[asked.kind]}, without an update that could be called"
        looks["contract"] = lambda: command.check(first, jobs)
    if asked.kind == "logs":
        places = list(dict.fromkeys(cell.environment for cell in mine))
        parts = [[cell for cell in mine if cell.environment == place] for place in places]
        looks["contract"] = lambda: [check for cells in parts for check in quick_layers.of_logs(cells)]
    with ThreadPoolExecutor(max(1, min(jobs, len(looks)))) as pool:
        started = time.monotonic()
        for layer, running in {name: pool.submit(look) for name, look in looks.items()}.items():
            _take(layer, running, found)
            say(f"{line(layer, found)} ({time.monotonic() - started:.0f} s)")
    if "parity" not in looks:
        say(line("parity", found))


def _take(layer: str, running: Future[list[Check]], found: Findings) -> None:
    try:
        checks = running.result()
    except (NotRun, UserError) as problem:
        found.left_out[layer] = str(problem)
        return
    found.checks += checks
    if not checks:
        found.left_out[layer] = "the candidate offers no update"


def _minutes(
    asked: Request, mine: Sequence[Cell], found: Findings, results: Path, reports: Path, jobs: int, say: Say
) -> None:
    """Train the candidate, with the random agent and whatever reference is missing; fills `found.cells`."""
    there = statistics.references(found.plan, results, reports)
    for reason in there.refused:
        say(f"statistics: refused: {reason}")
    if not there.cells:
        found.left_out["statistics"] = f"no reference: {there.refused[0]}; --references train trains it"
        return
    floor = [cell for cell in found.plan.cells if cell.implementation != REFERENCE and cell not in mine]
    waiting = [*statistics.floor(found.plan, results, reports), *mine, *there.waiting]
    if broken := statistics.train(waiting, results, jobs, say):
        found.left_out["statistics"] = broken[0]
        return
    for note in statistics.notes(mine, results):
        say(f"note: {note}")
    found.cells = [*floor, *there.cells, *mine]
    found.plan = replace(found.plan, cells=tuple(found.cells))


def line(layer: str, found: Findings) -> str:
    """One line about a layer."""
    if layer in found.left_out:
        return f"{layer}: not run: {found.left_out[layer]}"
    if layer == "statistics":
        words = [
            f"{one.word} by {one.endpoint} in {one.environment}" for one in found.verdicts if one.primary
        ]
        against = [f"WORSE by {one.endpoint} in {one.environment}" for one in found.verdicts if _against(one)]
        detail = found.verdicts[0].detail.partition(": ")[2] if len(found.verdicts) else ""
        return f"{layer}: {', '.join([*words, *against])}" + (f" ({detail})" if detail else "")
    checks = [check for check in found.checks if check.layer == layer]
    failed = [check for check in checks if not check.passed]
    if failed:
        told = "; ".join(f"{check.name}: {check.detail}" for check in failed)
        return f"{layer}: FAIL, {len(failed)} of {len(checks)}: {told}"
    detail = f": {checks[0].detail}" if len(checks) == 1 and checks[0].detail else ""
    return f"{layer}: pass, {len(checks)} of {len(checks)}{detail}"


def _against(verdict: Verdict) -> bool:
    return verdict.word == "WORSE" and not verdict.primary


def record(found: Findings, strict: bool, report: Path) -> None:
    """Write `validation.csv` into the folder of the report: what every layer said."""
    sink = io.StringIO(newline="")
    table = csv.writer(sink, lineterminator="\n")
    table.writerow(("layer", "name", "result", "detail", "seconds"))
    table.writerows(_rows(found, strict))
    write_bytes(report / "validation.csv", sink.getvalue().encode())


def _rows(found: Findings, strict: bool) -> Iterator[tuple[str, str, str, str, str]]:
    for check in found.checks:
        wrong = "differs" if check.layer == "parity" and not strict else "FAIL"
        result = "pass" if check.passed else wrong
        yield check.layer, check.name, result, check.detail, f"{check.seconds:.1f}"
    for verdict in found.verdicts:
        name = f"{verdict.endpoint} in {verdict.environment}"
        yield "statistics", name, verdict.word, verdict.detail.partition(": ")[2], ""
    for layer, reason in found.left_out.items():
        yield layer, layer, "not run", reason, ""


def conclusion(found: Findings, strict: bool) -> str:
    """The last line: what all of it comes to."""
    words = {
        PASSED: "matches its reference",
        FAILED: "does not match its reference",
        UNDECIDED: "is not shown to match its reference, nor to differ",
        NOT_RUN: "could not be looked at",
    }
    status = found.status(strict)
    parity = any(check.layer == "parity" and not check.passed for check in found.checks)
    noted = "; its update differs, see parity" if parity and status == PASSED else ""
    return f"{found.plan.title}: {words[status]}{noted} (status {status})"
