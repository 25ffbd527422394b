"""Run all layers of validation on one implementation, from seconds to hours, and derive the exit status."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from rlparity.cell import Cell
from rlparity.environments.probing import before_training
from rlparity.errors import Status, UserError
from rlparity.provenance import candidate_files
from rlparity.records import write_bytes
from rlparity.registry import REFERENCE
from rlparity.suites.suite import Suite
from rlparity.validation import quick_layers, request, statistics
from rlparity.validation.checks import Check, NotRun, unseen
from rlparity.validation.contract.candidates import command
from rlparity.validation.request import KIND_NAMES, Request
from rlparity.validation.statistics import Say, Verdict

NOT_LOOKED_AT = "not looked at"  # in place of a check's result
SHOWN = 3  # failed checks of a layer in its line; validation.csv has all
WORDS = {
    Status.DONE: "matches its reference",
    Status.DIFFERS: "does not match its reference",
    Status.UNDECIDED: "is not shown to match its reference, nor to differ",
    Status.NOT_JUDGED: "could not be judged",
}


@dataclass
class Findings:
    """Results of all layers."""

    plan: Suite
    checks: list[Check] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)  # layer -> why it was not run
    cells: list[Cell] = field(default_factory=list)  # with records for the statistics; none without
    verdicts: list[Verdict] = field(default_factory=list)
    unfinished: dict[str, str] = field(default_factory=dict)  # environment where no seed finished -> why

    @property
    def ran(self) -> bool:
        """Whether anything of the candidate was run or read; if not, there is nothing to report."""
        return "contract" not in self.left_out

    @property
    def obstacle(self) -> str:
        """Why something could not be judged; empty if all was."""
        if not self.ran:
            return f"contract: {self.left_out['contract']}"
        found = [f"no seed finished in {place}: {reason}" for place, reason in self.unfinished.items()]
        found += [check.detail for check in self.checks if unjudged(check)]
        return "; ".join(found) or self.left_out.get("statistics", "")

    def status(self, strict: bool = False) -> Status:
        """NOT_JUDGED if the contract could not be run, or no seed finished; DIFFERS if the contract fails or
        a verdict is WORSE; NOT_JUDGED if there are no statistics, logs of a seed cannot be compared, or no
        seed finished in one environment;
        DONE if all primary verdicts are EQUIVALENT or BETTER; else UNDECIDED. A parity difference fails with
        `strict` only."""
        places = {cell.environment for cell in self.plan.cells if cell.candidate}
        if not self.ran or (places and self.unfinished.keys() >= places):
            return Status.NOT_JUDGED
        failing = ("contract", "parity") if strict else ("contract",)
        if any(check.layer in failing and not check.passed and check.ran for check in self.checks):
            return Status.DIFFERS
        if any(verdict.word == "WORSE" for verdict in self.verdicts):
            return Status.DIFFERS
        if self.obstacle:
            return Status.NOT_JUDGED
        primary = [verdict.good for verdict in self.verdicts if verdict.primary]
        return Status.DONE if primary and all(primary) else Status.UNDECIDED


def unjudged(check: Check) -> bool:
    """Whether a check of the contract found what says nothing of the implementation, such as a short log."""
    return check.layer == "contract" and not check.passed and not check.ran


def run(requested: Request, results: Path, reports: Path, jobs: int, say: Say) -> Findings:
    """Run contract and parity, then train what the statistics need. Raises UserError if the request is
    invalid."""
    plan = request.plan(requested)
    if requested.kind == "command":
        candidate_files.need_program(requested.candidate)
    if requested.seeds and requested.kind == "logs":
        say(f"note: {plan.description}")  # names the seeds that have none
    found = Findings(plan)
    mine = request.cells_of(plan, requested.candidate_name)
    before_training.checked(mine, say)
    _run_quick_layers(requested, mine, found, jobs, say)
    if not found.ran:
        found.left_out["statistics"] = "the contract could not be run"
        return found
    _train(requested, mine, found, results, reports, jobs, say)
    return found


def _run_quick_layers(requested: Request, mine: Sequence[Cell], found: Findings, jobs: int, say: Say) -> None:
    """Run contract and parity at the same time."""
    first = mine[0]
    layers: dict[str, Callable[[], list[Check]]] = {
        "contract": lambda: quick_layers.check_entry_point("contract", first)
    }
    if requested.kind == "entry":
        layers["parity"] = lambda: quick_layers.check_entry_point("parity", first)
    else:
        found.left_out["parity"] = f"no update function in {KIND_NAMES[requested.kind]}"
        layers["contract"] = lambda: command.check(first, jobs)
    if requested.kind == "logs":
        layers["contract"] = lambda: quick_layers.check_logs(mine)
    with ThreadPoolExecutor(max(1, min(jobs, len(layers)))) as pool:
        started = time.monotonic()
        for layer, running in {name: pool.submit(run) for name, run in layers.items()}.items():
            _collect(layer, running, found)
            say(f"{line(layer, found)} ({time.monotonic() - started:.0f} s)")
    if "parity" not in layers:
        say(line("parity", found))


def _collect(layer: str, running: Future[list[Check]], found: Findings) -> None:
    try:
        checks = running.result()
    except (NotRun, UserError) as problem:
        found.left_out[layer] = str(problem)
        return
    found.checks += checks
    if not checks:
        found.left_out[layer] = "the candidate offers neither update nor prepare"


def _train(
    requested: Request,
    mine: Sequence[Cell],
    found: Findings,
    results: Path,
    reports: Path,
    jobs: int,
    say: Say,
) -> None:
    """Train the candidate, the random agent and missing references; fills `found.cells`."""
    references = statistics.references(found.plan, results, reports)
    for reason in references.refused:
        say(f"statistics: refused: {reason}")
    if not references.cells:
        found.left_out["statistics"] = f"no reference: {references.refused[0]}; --references train trains it"
        return
    floor = [cell for cell in found.plan.cells if cell.implementation != REFERENCE and cell not in mine]
    waiting = [*statistics.floor(found.plan, results, reports), *mine, *references.waiting]
    if broken := statistics.train(waiting, results, jobs, say):
        found.left_out["statistics"] = broken[0]
        return
    found.unfinished = statistics.unfinished(mine, results)
    for note in statistics.notes(mine, results):
        say(f"note: {note}")
    found.cells = [*floor, *references.cells, *mine]
    found.plan = replace(found.plan, cells=tuple(found.cells))


def line(layer: str, found: Findings) -> str:
    """Describe the result of a layer in one line."""
    if layer in found.left_out:
        return f"{layer}: not run: {found.left_out[layer]}"
    if layer == "statistics":
        shown = [one for one in found.verdicts if one.primary]
        shown += [one for one in found.verdicts if one.word == "WORSE" and not one.primary]
        words = [
            f"could not be judged in {place}, no seed finished: {reason}"
            for place, reason in found.unfinished.items()
        ]
        shown = [one for one in shown if one.environment not in found.unfinished]
        words += [f"{one.word} by {one.endpoint} in {one.environment}" for one in shown]
        detail = shown[0].detail.partition(": ")[2] if shown else ""
        return f"{layer}: {', '.join(words)}" + (f" ({detail})" if detail else "")
    checks = [check for check in found.checks if check.layer == layer]
    looked = [check for check in checks if check.looked]
    failed = [check for check in looked if not check.passed]
    note = f" ({left})" if (left := unseen(checks)) else ""
    if failed:
        problems = "; ".join(f"{check.name}: {check.detail}" for check in failed[:SHOWN])
        more = f"; and {len(failed) - SHOWN} more" if len(failed) > SHOWN else ""
        word = "could not be judged" if all(map(unjudged, failed)) else "FAIL"
        return f"{layer}: {word}, {len(failed)} of {len(looked)}: {problems}{more}{note}"
    if not looked:
        return f"{layer}: nothing was looked at{note}"
    alone = looked[0].detail and (len(looked) == 1 or layer == "parity")
    detail = f": {looked[0].detail}" if alone else ""
    return f"{layer}: pass, {len(looked)} of {len(looked)}{detail}{note}"


def record(found: Findings, strict: bool, report: Path) -> None:
    """Write the results of all layers to `validation.csv` in the folder of the report."""
    sink = io.StringIO(newline="")
    table = csv.writer(sink, lineterminator="\n")
    table.writerow(("layer", "name", "result", "detail", "seconds"))
    table.writerows(_rows(found, strict))
    write_bytes(report / "validation.csv", sink.getvalue().encode())


def _rows(found: Findings, strict: bool) -> Iterator[tuple[str, str, str, str, str]]:
    for check in found.checks:
        wrong = "differs" if check.layer == "parity" and not strict else "FAIL"
        wrong = "could not be judged" if unjudged(check) else wrong
        result = ("pass" if check.passed else wrong) if check.looked else NOT_LOOKED_AT
        yield check.layer, check.name, result, check.detail, f"{check.seconds:.1f}"
    for verdict in found.verdicts:
        name = f"{verdict.endpoint} in {verdict.environment}"
        yield "statistics", name, verdict.word, verdict.detail.partition(": ")[2], ""
    for place, reason in found.unfinished.items():
        yield "statistics", f"seeds in {place}", "could not be judged", f"no seed finished: {reason}", ""
    for layer, reason in found.left_out.items():
        yield layer, layer, "not run", reason, ""


def conclusion(found: Findings, strict: bool) -> str:
    """The last line: the conclusion and the exit status."""
    status = found.status(strict)
    reason = f": {found.obstacle}" if status == Status.NOT_JUDGED and found.obstacle else ""
    parity = any(check.layer == "parity" and not check.passed for check in found.checks)
    noted = "; its update differs, see parity" if parity and status in (Status.DONE, Status.UNDECIDED) else ""
    return f"{found.plan.title}: {WORDS[status]}{reason}{noted} (status {status})"
