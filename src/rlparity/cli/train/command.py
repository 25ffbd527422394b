"""The command that trains one algorithm, and tells how it did."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlparity import registry
from rlparity.cli import pipeline
from rlparity.cli.base import Add, Answer, add_reports, add_results, note, print_now
from rlparity.errors import Status, UserError
from rlparity.provenance import host

if TYPE_CHECKING:
    from rlparity.cell import Cell
    from rlparity.cli.train.single import Wanted
    from rlparity.suites.suite import Suite

GOOD = ("EQUIVALENT", "BETTER")


def add_commands(add: Add) -> None:
    """Declare `rlparity train`."""
    command = add(
        "train",
        train,
        "Train one algorithm in one environment, and tell how it did.",
        "ALGORITHM",
        "ENVIRONMENT",
        about="Ends with the final return and its interval, and with a comparison where records of the "
        "reference at the same settings are shipped. What was trained before is not trained again. With "
        "--against the exit status is that of the verdict: 0, 1 or 2.",
        answers=True,
    )
    seeds = command.add_argument("--seeds", nargs="+", default=["0"], metavar="RANGE")
    seeds.help = "such as 0-4, 7 or 0,1,2; default: 0"
    command.add_argument(
        "--steps",
        "--budget",
        default="100000",
        metavar="N",
        help="environment steps per seed, such as 50000, 50k or 1e6; default: 100000",
    )
    command.add_argument(
        "--implementation", choices=list(registry.IMPLEMENTATIONS), default="scratch", help="default: scratch"
    )
    command.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="hyper-parameters"
    )
    command.add_argument(
        "--against",
        metavar="REFERENCE",
        help="such as sb3/ppo: train it, too, where no records of it are shipped, and write a report",
    )
    command.add_argument(
        "--jobs",
        type=int,
        default=0,
        metavar="N",
        help="processes at a time for the reference; default: one for each core",
    )
    add_results(command)
    add_reports(command)


def train(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    from rlparity.cli.train import single
    from rlparity.suites import suite
    from rlparity.suites.config import typed
    from rlparity.validation import request

    if chosen.against is not None and chosen.implementation != "scratch":
        raise UserError("train: --against judges our own agents; leave --implementation out")
    wanted = single.Wanted(
        algorithm=chosen.algorithm,
        environment=chosen.environment,
        seeds=typed.seeds(chosen.seeds, "train: --seeds"),
        budget=typed.steps(chosen.steps, "train: --steps"),
        implementation=chosen.implementation,
        values=typed.pairs(chosen.set, "--set"),
        against=None if chosen.against is None else request.configuration(chosen.against),
        train_reference=chosen.against is not None,
    )
    made = _grown(wanted, chosen.results)
    if chosen.against is not None:
        single.compared(wanted, made.cells)  # refuses before anything is trained what cannot be compared
    suite.check_writable(chosen.results, *([chosen.reports] if chosen.against else []))
    made = _probed(made, chosen.results)
    trained = _train(made.cells, chosen.results)
    return _answer(wanted, made, trained, chosen, rest)


def _probed(made: Suite, results: Path) -> Suite:
    """The suite after its environments were looked at, where a cell is still to be trained."""
    from rlparity.environments.probing import before_training
    from rlparity.runs import pending

    cells = before_training.checked(
        made.cells, note, lambda cell: not pending.up_to_date(cell, results / cell.folder)
    )
    return replace(made, cells=tuple(cells))


def _grown(wanted: Wanted, results: Path) -> Suite:
    """The suite of what is wanted. Blocks of seeds that were trained before stay; the others are new."""
    from rlparity.cli.train import single
    from rlparity.runs import pending
    from rlparity.suites.config import typed

    made = single.mine(wanted)
    seeds = [seed for cell in made.cells for seed in cell.seeds]
    kept: list[tuple[int, ...]] = []
    for file in sorted((results / made.cells[0].folder).parent.glob("seeds-*/run.json")):
        run = pending.finished(file.parent) or {}
        block = tuple(run.get("cell", {}).get("seeds", ()))
        if block and set(block) <= set(seeds) - {seed for other in kept for seed in other}:
            (alone,) = single.mine(replace(wanted, seeds=typed.blocks(block))).cells[:1]
            kept += [block] if alone.seeds == block and alone.accepts(run) else []
    rest = [seed for seed in seeds if not any(seed in block for block in kept)]
    new = [*(name for block in kept for name in typed.blocks(block)), *typed.blocks(rest)]
    return single.mine(replace(wanted, seeds=new)) if kept else made


def _train(cells: Sequence[Cell], results: Path) -> list[dict[str, Any]]:
    """Train the cells that are not trained yet; a line and a row of the answer for each."""
    from rlparity.runs import pending

    rows = []
    for cell in cells:
        folder, run = results / cell.folder, None
        if pending.up_to_date(cell, folder):
            run, new = pending.finished(folder), False
            print_now(f"{folder}: trained before, nothing to train")
        if run is None:
            from rlparity.runs.run_cell import run_cell

            run, new = run_cell(cell, folder, regroup=True), True
            print_now(f"{folder}: {run['status']}, {run['steps_per_second'] or 0:,.0f} steps/s")
        row = {"folder": str(folder), "seeds": list(cell.seeds), "status": run["status"], "trained": new}
        rows.append({**row, "steps_per_second": run["steps_per_second"]})
        for seed, reason in run.get("failed_seeds", {}).items():
            print_now(reason if reason.startswith("environment ") else f"seed {seed} failed: {reason}")
    return rows


def _answer(
    wanted: Wanted, made: Suite, trained: list[dict[str, Any]], chosen: argparse.Namespace, rest: list[str]
) -> Answer:
    """Compare, print the answer, and with `--against` write the report."""
    from rlparity.analysis import tables
    from rlparity.arms import Arm
    from rlparity.reporting import answers
    from rlparity.validation import statistics

    plan, without = _compared(wanted, made, chosen)
    arm = Arm(wanted.implementation, wanted.algorithm)
    with tempfile.TemporaryDirectory() as scratch:
        reports = chosen.reports if wanted.against else Path(scratch)
        report = reports / plan.name
        tables.collect(list(plan.cells), chosen.results, reports, plan.plan())
        answers.write(chosen.results / plan.name / "tables", report)
        final, rows = answers.final(report, arm), [] if without else answers.judged(report)
        found = statistics.verdicts(report, wanted.implementation) if rows else []
    for row in final:
        print_now(_final(row))
    for verdict in found:
        role = "" if verdict.primary else ", which does not decide"
        told = verdict.detail.partition(": ")[2]
        print_now(f"beside {wanted.reference}: {verdict.word} by {verdict.endpoint} ({told}){role}")
    for row in rows:
        if row["role"] == "primary" and row["seeds_needed"]:
            print_now(f"about {row['seeds_needed']} seeds of each would decide {row['endpoint']}")
    if without and wanted.reference is not None:
        print_now(f"no comparison with {wanted.reference}: {without}")
    page = _report(plan, chosen, rest) if wanted.against else None
    data = {
        "environment": wanted.environment,
        "algorithm": wanted.algorithm,
        "implementation": wanted.implementation,
        "steps": wanted.budget,
        "cells": trained,
        "final": final,
        "reference": str(wanted.reference) if wanted.reference else None,
        "verdicts": rows,
        "not_compared": without or None,
        "report": str(page) if page else None,
    }
    failed = any(row["status"] != "done" for row in trained)
    words = [verdict.word.partition(",")[0] for verdict in found if verdict.primary]
    return Answer(data, _status(words, [verdict.word for verdict in found], failed, wanted.against))


def _status(primary: Sequence[str], words: Sequence[str], failed: bool, against: str | None) -> Status:
    """As of `rlparity validate` where it was asked against what; else whether all seeds finished."""
    if against is not None and "WORSE" in words:
        return Status.DIFFERS
    if against is None or failed:
        return Status.NOT_JUDGED if failed else Status.DONE
    return Status.DONE if primary and all(word in GOOD for word in primary) else Status.UNDECIDED


def _final(row: dict[str, Any]) -> str:
    seeds = f"{row['seeds']} seed{'s' * (row['seeds'] != 1)}"
    failed = f", failed: {row['failed_seeds']}" if row["failed_seeds"] else ""
    if row["estimate"] is None:
        return f"final {row['metric']}: none{failed}"
    known = row["ci_low"] is not None and row["ci_high"] is not None
    interval = f"95 % interval {row['ci_low']:.4g} to {row['ci_high']:.4g}" if known else "no interval"
    return f"final {row['metric']}: mean {row['estimate']:.4g}, {interval}, {seeds}{failed}"


def _compared(wanted: Wanted, made: Suite, chosen: argparse.Namespace) -> tuple[Suite, str]:
    """The suite with the records of the reference and of the random agent; or without, and why."""
    from rlparity.cli.train import single
    from rlparity.shipped_records.references import trained_here
    from rlparity.validation import statistics

    if wanted.reference is None:
        return made, "it has no reference"
    try:
        plan = single.compared(wanted, made.cells)
    except UserError as error:
        return made, " ".join(str(error).split())
    references = statistics.references(plan, chosen.results, chosen.reports)
    if not references.cells:
        hint = f"--against {wanted.reference} trains it, too"
        return made, f"{references.refused[0]}; {hint}"
    waiting = [*statistics.floor(plan, chosen.results, chosen.reports), *references.waiting]
    jobs = chosen.jobs if chosen.jobs > 0 else host.cores()
    if broken := statistics.train(waiting, chosen.results, jobs, print_now):
        raise UserError(broken[0])
    floor = [cell for cell in plan.cells if cell.agent == single.FLOOR]
    own = any(trained_here(cell, chosen.results) for cell in references.cells)
    cells = (*floor, *references.cells, *made.cells)
    return replace(plan, cells=cells, references="train" if own else "shipped"), ""


def _report(plan: Suite, chosen: argparse.Namespace, rest: list[str]) -> Path:
    """Write the page of this comparison and the index of reports."""
    chosen.suite, chosen.summary = plan.name, None
    with contextlib.redirect_stdout(None):  # the verdicts were printed
        for stage in (pipeline.analyse, pipeline.draw, pipeline.report_suite, pipeline.index_reports):
            stage(chosen, rest)
    page = chosen.reports / plan.name / "index.html"
    print_now(f"report: {page}")
    return Path(page)
