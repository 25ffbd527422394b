"""Commands for suites: run and plan them, report them, keep their records."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlparity import project_files
from rlparity.cli import pipeline
from rlparity.cli.base import Add, Answer, add_reports, add_results, note, print_now
from rlparity.errors import Status, UserError
from rlparity.provenance import host
from rlparity.runs.parent_death import end_with_parent

if TYPE_CHECKING:
    from rlparity.suites.suite import Suite

DEV_TITLE = "records that are shipped"


def add_commands(add: Add) -> None:
    """Declare the commands of this module."""
    run = add(
        "run",
        run_suite,
        "Train and report a suite.",
        "SUITE",
        about="Options of snakemake may follow; without --cores all cores are used.",
        answers=True,
    )
    run.set_defaults(passes_on=True)
    plan = "Estimate the jobs, hours, memory and storage of a suite."
    planning = add("plan", plan_suite, plan, "SUITE", answers=True)
    cores = planning.add_argument("--cores", type=int, metavar="N")
    cores.help = "for which the split that is done first is shown; default: those of this machine"
    _add_folders(planning)
    restore = add(
        "restore",
        restore_records,
        "Copy records from reports instead of training.",
        "SUITE",
        about="Records whose fingerprint and hashes do not match are listed and not copied.",
        answers=True,
    )
    _add_folders(restore)
    reporting = "Report a suite from the records that there are."
    used = (
        "Of a suite in training, finished cells and checkpoints are used; the report is marked as unfinished."
    )
    _add_folders(add("report", report_suite, reporting, "SUITE", about=used, answers=True))
    add("diff", diff_reports, "List what changed between two reports.", "REPORT_A", "REPORT_B", answers=True)
    starting = add(
        "init",
        copy_starter,
        "Copy a suite, the settings and examples, to be edited.",
        about="In that folder they come before those of the project. Files that are there already stay.",
        internal=True,
    )
    starting.add_argument("folder", nargs="?", type=Path, default=Path(), help="default: the working folder")
    starting.add_argument("--suite", default="cartpole", metavar="SUITE", help="default: cartpole")


def add_dev_commands(add: Add) -> None:
    """Declare the commands that keep shipped records valid, and that add policies to them."""
    _add_vouch(add)
    policies = add(
        "policies",
        ship_policies,
        "Train the seeds again whose policies a report lacks.",
        about="Of each arm the smallest seed, as `rlparity play` shows it. Its policy is put into the report "
        "if every row is the one of the record, which takes the same kind of machine.",
    )
    policies.add_argument("suite", metavar="SUITE", help="name of a suite with a report")
    policies.add_argument("--algorithms", nargs="+", default=[], metavar="NAME", help="default: all")
    add_reports(policies)


def _add_folders(command: argparse.ArgumentParser) -> None:
    add_results(command)
    add_reports(command)
    device = command.add_argument("--device", choices=["cpu", "cuda"])
    device.help = "of the machines that train, if the suite's device is auto"
    split = command.add_argument("--split", type=int, metavar="N")
    split.help = "cells of ours per block of seeds; default: the suite's, and for `auto` that of its results"
    config = command.add_argument("--config", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    config.help = "as of `rlparity run`: a part of the suite, or other settings"


def _add_vouch(add: Add) -> None:
    vouch = add(
        "vouch",
        vouch_records,
        "Retrain a part of shipped records after a refactoring, and compare.",
        "[SUITE]",
        about="Records whose sources changed are grouped, and one seed of each group is retrained. If its "
        "rows are equal, the records of the group become valid for the sources of this commit.",
    )
    vouch.add_argument(
        "--share", type=float, default=0.1, help="part of the budget to retrain at least; default: 0.1"
    )
    vouch.add_argument("--environments", nargs="+", default=[], metavar="ID", help="default: all")
    vouch.add_argument("--algorithms", nargs="+", default=[], metavar="NAME", help="default: all")
    vouch.add_argument("--implementations", nargs="+", default=[], metavar="NAME", help="default: all")
    vouch.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time; default: 1")
    vouch.add_argument(
        "--by-commit",
        action="store_true",
        help="compare short trainings with the sources of the commit that each record was last valid for "
        "and with these, both on this machine: for records that another processor made",
    )
    vouch.add_argument("--cache", metavar="FILE", help="keep the hashes of short trainings, for other suites")
    add_reports(vouch)
    for inner in (
        "--retrain",
        "--record",
    ):  # of its own subprocesses: a cell as JSON, the folder of its record
        vouch.add_argument(inner, help=argparse.SUPPRESS)


def copy_starter(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.suites import suite

    made = project_files.copy_starter(suite.find(chosen.suite), chosen.folder)
    print("\n".join(map(str, made)))
    there = "" if chosen.folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(chosen.folder))} && "
    print(f"{there}rlparity run {made[0].stem} trains and reports the suite")


def run_suite(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    from rlparity.suites import suite, yaml_reader

    path = suite.find(chosen.suite).resolve()
    yaml_reader.read(path)  # refuses a template, whose expressions Snakemake would run
    rest = [*rest, "--snakefile", str(project_files.SNAKEFILE)]
    if not _limits_jobs(rest):
        rest = [*rest, "--cores", "all"]
    command = [sys.executable, "-P", "-m", "snakemake", *rest, "--configfile", str(path)]
    output, started = sys.stderr if chosen.json else None, time.time()
    with subprocess.Popen(command, stdout=output) as process:
        try:
            ended = process.wait()
        except KeyboardInterrupt:
            process.wait()
            raise
    status = ended if ended >= 0 else 128 - ended  # by a signal
    raw = yaml_reader.read(path) if chosen.json else {}
    name = raw.get("name", "") if isinstance(raw, Mapping) else ""
    report = Path("reports", str(name))
    return Answer(_report_facts(report, str(name), started) if chosen.json else {}, status)


def _report_facts(report: Path, name: str, since: float = 0) -> dict[str, Any]:
    """What a report says, for `--json`; nothing where its page was not written `since` that time."""
    from rlparity.reporting import answers

    page = report / "index.html"
    if not page.is_file() or page.stat().st_mtime < since:
        return {"suite": name, "report": None, "verdicts": []}
    return {"suite": name, "report": str(page), "verdicts": answers.judged(report)}


def _limits_jobs(arguments: list[str]) -> bool:
    """Whether these arguments of snakemake, or a profile, give a number of cores or jobs, or run nothing."""
    from snakemake.cli import parse_args

    with contextlib.redirect_stderr(StringIO()), contextlib.redirect_stdout(StringIO()):
        try:
            _, parsed = parse_args(arguments)
        except (SystemExit, Exception):  # --help, or a mistake, which Snakemake reports when it is started
            return True
    return any(value not in (None, False) for value in (parsed.cores, parsed.jobs, parsed.dryrun))


def plan_suite(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    from rlparity.runs import pending, regrouping
    from rlparity.shipped_records import live_check, pool, references
    from rlparity.suites import growth, suite, yaml_reader
    from rlparity.suites.costs import fitting, forecast, splits

    path = suite.find(chosen.suite)
    raw = yaml_reader.read(path)
    if isinstance(raw, Mapping) and raw.get("kind") == suite.SENSITIVITY:
        from rlparity.validation.sensitivity import forecast as sensitivity_forecast
        from rlparity.validation.sensitivity import plan as sensitivity_plan

        planted = sensitivity_plan.load(path)
        print("\n".join(sensitivity_forecast.lines(planted, chosen.reports)))
        return Answer({"suite": planted.name, "trials": len(planted.trials())})
    cores = host.cores() if chosen.cores is None else chosen.cores
    if cores < 1:
        raise UserError(f"plan: --cores {cores}; at least 1")
    loaded = splits.load(path, _narrow(chosen), True, chosen.reports, chosen.results, cores)
    loaded = pool.widened(loaded, chosen.reports)
    settled = references.settled(loaded, chosen.results, chosen.reports, note)
    if growth.is_complete(settled, chosen.results):
        settled = growth.settled(settled, chosen.results)
    waiting = [cell for cell in settled.cells if not pending.up_to_date(cell, chosen.results / cell.folder)]
    waiting = [cell for cell in waiting if not settled.restored(cell)]
    waiting += live_check.waiting(references.checked(settled, chosen.results), chosen.results)
    taken = {cell.folder for cell in regrouping.ready(waiting, chosen.results)}
    waiting = [cell for cell in waiting if cell.folder not in taken]
    print("\n".join(forecast.lines(settled, waiting, chosen.reports, cores, chosen.suite)))
    infos = {name: each.info for name, each in settled.environments.items()}
    problems = fitting.problems(waiting, infos, chosen.results)
    for line in problems:
        print(f"  does not fit: {line}")
    return Answer({**forecast.facts(settled, waiting, chosen.reports), "does_not_fit": problems})


def _narrow(chosen: argparse.Namespace) -> dict[str, Any]:
    """As `--config` does, what the options of `_add_folders` replace in a suite."""
    from rlparity.suites.config import typed

    given = {key: value for key in ("device", "split") if (value := getattr(chosen, key)) is not None}
    return typed.pairs(chosen.config, "--config") | given


def _load(chosen: argparse.Namespace) -> Suite:
    """The suite as the pipeline trains it on this machine or another."""
    from rlparity.shipped_records import pool
    from rlparity.suites import suite
    from rlparity.suites.costs import splits

    path, cores = suite.find(chosen.suite), host.cores()
    loaded = splits.load(path, _narrow(chosen), True, chosen.reports, chosen.results, cores)
    return pool.widened(loaded, chosen.reports)


def _keep_copy(loaded: Suite, results: Path) -> None:
    """Write the suite with other settings than its file's beside the results.

    Without any, a copy that is there stays: it may be the only record of what made the results.
    """
    from rlparity.suites.config import replaced

    if loaded.path is not None and loaded.changed:
        replaced.keep(loaded.path, loaded.changed, results / loaded.name)


def restore_records(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    from rlparity.shipped_records import restore
    from rlparity.suites.costs import splits

    loaded = _load(chosen)
    splits.keep(loaded, chosen.results)
    _keep_copy(loaded, chosen.results)
    found = restore.restore(loaded, chosen.results, chosen.reports)
    print(found)
    return Answer({"suite": loaded.name, "cells": found.counts, "notes": found.lines})


def report_suite(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    from rlparity.analysis import tables
    from rlparity.runs import interim
    from rlparity.shipped_records import references
    from rlparity.suites import growth

    loaded = references.settled(_load(chosen), chosen.results, chosen.reports, note)
    pipeline.take_looks(loaded, chosen.results)
    complete = growth.is_complete(loaded, chosen.results)
    loaded = growth.settled(loaded, chosen.results)
    references.fill(loaded, chosen.results, chosen.reports)
    _keep_copy(loaded, chosen.results)
    found = interim.gather(loaded, chosen.results)
    unfinished = bool(found.places) or len(found.cells) < len(loaded.cells) or not complete
    plan = {**loaded.plan(), "interim": unfinished}
    tables.collect(found.cells, chosen.results, chosen.reports, plan, found.places)
    pipeline.keep_live_checks(loaded, chosen.results)
    from rlparity.playback import policies

    print("\n".join([*found.lines, policies.ship(loaded.name, chosen.results, chosen.reports)]))
    chosen.suite, chosen.summary = loaded.name, None
    filming = [pipeline.make_films] if loaded.films else []
    for stage in (*filming, pipeline.analyse, pipeline.draw, pipeline.report_suite, pipeline.index_reports):
        stage(chosen, rest)
    report = chosen.reports / loaded.name
    print(f"report: {report / 'index.html'}")
    return Answer({**_report_facts(report, loaded.name), "unfinished": plan["interim"]})


def vouch_records(chosen: argparse.Namespace, rest: list[str]) -> int:
    if chosen.retrain is not None:
        end_with_parent()
        from rlparity.cell import Cell
        from rlparity.shipped_records import retrain

        finding = retrain.retrain_part(Cell.from_json(chosen.retrain), Path(chosen.record), chosen.share)
        print(json.dumps(finding._asdict()))
        return 0
    from rlparity.shipped_records import by_commit, vouch
    from rlparity.suites import suite
    from rlparity.suites.costs import splits

    if chosen.suite is None:
        raise UserError("vouch: name a suite")
    if not 0 < chosen.share <= 1 or chosen.jobs < 1:
        raise UserError(f"vouch: --share {chosen.share:g} --jobs {chosen.jobs}; above 0 up to 1, at least 1")
    loaded = splits.load(suite.find(chosen.suite), {}, False, chosen.reports)
    cells = vouch.cells(loaded, chosen.environments, chosen.algorithms, chosen.implementations)
    if chosen.by_commit:
        cache = Path(chosen.cache) if chosen.cache else None
        valid = by_commit.vouch(loaded, cells, chosen.reports, print_now, cache)
    else:
        valid = vouch.vouch(loaded, cells, chosen.reports, chosen.share, chosen.jobs, print_now)
    return Status.DONE if valid else Status.DIFFERS


def ship_policies(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity.playback import policies

    lost = policies.retrained(chosen.suite, chosen.reports, chosen.algorithms, print_now)
    for line in lost:
        print_now(line)
    return Status.DIFFERS if lost else Status.DONE


def diff_reports(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    from rlparity.reporting import diff

    a, b = Path(chosen.report_a), Path(chosen.report_b)
    print(diff.compare(a, b))
    return Answer({"a": str(a), "b": str(b), "changes": diff.changes(a, b) if chosen.json else {}})
