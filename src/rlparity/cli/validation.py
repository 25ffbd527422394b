"""Commands that compare an implementation with its reference."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlparity.cli import pipeline, settings
from rlparity.cli.base import Add, Answer, add_reports, add_results, print_now
from rlparity.errors import Status, UserError, unknown
from rlparity.provenance import host
from rlparity.runs.parent_death import end_with_parent

if TYPE_CHECKING:
    from rlparity.validation.validate import Findings

DEV_TITLE = "layers of validation, and how far they can be trusted"


def add_commands(add: Add) -> None:
    """Declare `rlparity validate`."""
    _add_validate(add)


def add_dev_commands(add: Add) -> None:
    """Declare the commands of single layers, and two that layers of validation call for themselves."""
    settings.add_command(add)
    _add_parity(add)
    lockstep = add(
        "lockstep",
        run_lockstep,
        "Compare trainings with the reference's, step by step.",
        "[ALGORITHM ...]",
        answers=True,
    )
    lockstep.add_argument("--steps", type=int, default=20_000, help="environment steps; default: 20000")
    add_reports(lockstep)
    _add_sensitivity(add)
    calibrate = add(
        "calibrate",
        calibrate_verdicts,
        "Measure how often verdicts are wrong.",
        about="Seeds of the suite's references are drawn again and again: verdicts, intervals and sequential "
        "designs that are wrong are counted. Minutes, on one core.",
    )
    calibrate.add_argument("suite", nargs="?", default="pool", metavar="SUITE", help="default: pool")
    calibrate.add_argument(
        "--quick", action="store_true", help="only check the analysis itself, within a minute; writes nothing"
    )
    adastop = calibrate.add_argument("--adastop", action="store_true")
    adastop.help = "only measure AdaStop, if the package is installed; the next page shows it"
    add_reports(calibrate)
    layer = add("layer", look_at_layer, "Run one layer on a Python candidate.", internal=True)
    layer.add_argument("--request", type=json.loads, required=True, metavar="JSON")
    layer.add_argument(
        "--into", type=Path, required=True, metavar="FILE", help="where its checks are written"
    )
    attempt = add(
        "attempt", train_candidate, "Train the Python candidate of FOLDER/cell.json.", internal=True
    )
    attempt.add_argument("--into", type=Path, required=True, metavar="FOLDER", help="where rows are written")
    attempt.add_argument("--heartbeat", type=Path, required=True, metavar="FILE")
    attempt.add_argument(
        "--link", type=int, required=True, metavar="N", help="file descriptor of the evaluator"
    )


def _add_validate(add: Add) -> None:
    validate = add(
        "validate",
        validate_candidate,
        "Compare your own implementation with a reference.",
        about="Layers: contract, update parity, statistics. Exit status: 0 if the verdict is "
        "EQUIVALENT or BETTER, 1 if the contract fails or the verdict is WORSE, 2 if neither is shown, 3 if "
        "nothing could be judged.",
        answers=True,
    )
    candidate = validate.add_mutually_exclusive_group(required=True)
    candidate.add_argument("entry", nargs="?", metavar="MODULE:FACTORY", help="a Python entry point")
    candidate.add_argument("--command", help="a program; {environment}, {seed} and {budget} are replaced")
    candidate.add_argument(
        "--logs", metavar="PATH", help="finished logs; {seed} and {environment} are replaced"
    )
    validate.add_argument("--against", required=True, metavar="REFERENCE", help="such as sb3/ppo")
    validate.add_argument("--suite", required=True, help="its name, or a path")
    validate.add_argument(
        "--name", default="", help="of the candidate; default: from the entry point or path"
    )
    validate.add_argument("--environments", nargs="+", default=[], metavar="ID", help="default: all")
    validate.add_argument("--seeds", nargs="+", default=[], metavar="RANGE", help="default: the suite's")
    returns = validate.add_argument("--returns", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    returns.help = "how logs are read, such as tag=charts/return or columns.env_step=step"
    validate.add_argument(
        "--folder", default=".", help="where the entry point, program or logs are; default: here"
    )
    validate.add_argument(
        "--time-limit", type=float, metavar="SECONDS", help="of one seed; without progress, of an entry point"
    )
    files = validate.add_argument("--files", nargs="+", action="extend", default=[], metavar="PATH")
    files.help = "what its records depend on besides its code, below --folder: lock file, settings, data"
    validate.add_argument("--keep-logs", action="store_true", help="keep what each seed wrote, in raw/")
    validate.add_argument(
        "--settings", type=Path, metavar="FILE", help="YAML of the settings that it runs with, if known"
    )
    departure = validate.add_argument("--departure", action="append", default=[], metavar="TEXT")
    departure.help = "in what else it differs from the reference; may be given several times"
    references = validate.add_argument("--references", choices=["shipped", "train"], default="shipped")
    references.help = "take the reference's records from a report, or train it; default: shipped"
    validate.add_argument("--strict", action="store_true", help="fail if update parity differs, too")
    validate.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    jobs = validate.add_argument("--jobs", type=int, default=host.cores(), metavar="N")
    jobs.help = "processes at a time; default: one for each core"
    add_results(validate)
    add_reports(validate)


def _add_parity(add: Add) -> None:
    parity = add(
        "parity",
        compare_updates,
        "Compare single updates with the reference's.",
        "[ALGORITHM ...]",
        answers=True,
        about="Both start from the same weights and are given the same batches and random draws.",
    )
    dtypes = ["float64", "float32"]
    parity.add_argument("--dtype", nargs="+", choices=dtypes, default=dtypes[:1], help="default: float64")
    add_reports(parity)


def _add_sensitivity(add: Add) -> None:
    command = add("sensitivity", plant_bugs, "Plant bugs, and measure which layers find them.", "[SUITE]")
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time; default: 1")
    ways = command.add_argument("--ways", nargs="+", default=None, metavar="WAY")
    ways.help = "try only these ways to bring an implementation: entry, entry-update, command, logs"
    of_analysis = command.add_argument("--analysis", nargs="*", default=None, metavar="ID")
    of_analysis.help = "only mutations of the analysis, all or these: minutes, no training"
    command.add_argument("--page", action="store_true", help="only write the page, from finished trials")
    command.add_argument("--judge", action="store_true", help=argparse.SUPPRESS)  # how it calls itself
    for inner, kind in (("--trial", str), ("--into", Path), ("--limit", int), ("--case", Path)):
        command.add_argument(inner, type=kind, help=argparse.SUPPRESS)  # trial, output file, seconds, input
    add_results(command)
    add_reports(command)


def validate_candidate(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    from rlparity.validation import junit

    if chosen.junit is None:
        return _validate(chosen, rest)
    junit.remove(chosen.junit)
    try:
        return _validate(chosen, rest)
    except UserError as error:
        junit.write_error(str(error), chosen.junit)
        raise


def _validate(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    from rlparity.analysis import tables
    from rlparity.reporting import candidate_settings
    from rlparity.suites import suite
    from rlparity.validation import junit, request, statistics, validate

    question = request.from_options(vars(chosen), suite.find(chosen.suite))
    suite.check_writable(chosen.results, chosen.reports)
    found = validate.run(question, chosen.results, chosen.reports, max(chosen.jobs, 1), print_now)
    report = chosen.reports / found.plan.name
    if found.cells:
        tables.collect(found.cells, chosen.results, chosen.reports, found.plan.plan())
        chosen.suite, chosen.summary = found.plan.name, None
        pipeline.analyse(chosen, rest)
        found.verdicts = statistics.verdicts(report, question.candidate_name)
        for text in candidate_settings.lines(report):
            print_now(f"settings: {text}")
    print_now(validate.line("statistics", found))
    if found.ran:
        validate.record(found, chosen.strict, report)
        _write_pages(found, report, chosen, rest)
    if chosen.junit is not None:
        junit.write(found, chosen.strict, chosen.junit)
    if found.ran:
        print_now(f"report: {report / 'index.html'}")
    concluded = validate.conclusion(found, chosen.strict)
    print_now(concluded)
    status = found.status(chosen.strict)
    return Answer(_facts(found, report, concluded) if chosen.json else {}, status)


def _facts(found: Findings, report: Path, concluded: str) -> dict[str, Any]:
    """What a validation found, for `--json`."""
    from rlparity.reporting import answers
    from rlparity.validation import validate

    return {
        "candidate": found.plan.title,
        "conclusion": concluded,
        "layers": {name: validate.line(name, found) for name in ("contract", "parity", "statistics")},
        "checks": [
            {
                "layer": one.layer,
                "name": one.name,
                "passed": one.passed if one.looked else None,
                "detail": one.detail,
            }
            for one in found.checks
        ],
        "verdicts": answers.judged(report) if found.cells else [],
        "report": str(report / "index.html") if found.ran else None,
    }


def _write_pages(found: Findings, report: Path, chosen: argparse.Namespace, rest: list[str]) -> None:
    """Write the page of a validation and the index."""
    if found.cells:
        with contextlib.redirect_stdout(None):  # the verdicts were printed
            for stage in (pipeline.draw, pipeline.report_suite):
                stage(chosen, rest)
    else:
        from rlparity.reporting.pages import validation

        validation.render(report, found.plan.title)
    pipeline.index_reports(chosen, rest)


def compare_updates(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    from rlparity.reporting.pages import parity as parity_page
    from rlparity.validation.parity import table as parity_table

    folder = chosen.reports / "parity"
    passed = parity_table.make(chosen.algorithm, chosen.dtype, folder, print_now)
    print(parity_page.render(folder))
    data = {"passed": passed, "table": str(folder / "parity.csv")}
    return Answer(data, Status.DONE if passed else Status.DIFFERS)


def run_lockstep(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    if chosen.steps < 1:
        raise UserError(f"lockstep: --steps {chosen.steps}; at least 1")
    from rlparity.suites import suite
    from rlparity.validation.lockstep import cases
    from rlparity.validation.lockstep import table as lockstep_table

    suite.check_writable(chosen.reports)
    algorithms, folder = chosen.algorithm or cases.ALGORITHMS, chosen.reports / "lockstep"
    well = lockstep_table.record(algorithms, chosen.steps, folder, print_now)
    from rlparity.reporting.pages import lockstep as lockstep_page

    print(lockstep_page.render(folder))
    pipeline.index_reports(chosen, rest)
    data = {"passed": well, "table": str(folder / "lockstep.csv")}
    return Answer(data, Status.DONE if well else Status.DIFFERS)


def calibrate_verdicts(chosen: argparse.Namespace, rest: list[str]) -> int:
    if chosen.quick:
        from rlparity.analysis.checks import run

        found = run.check(print_now)
        failed = sum(not check.passed for check in found)
        print_now(f"{len(found) - failed} of {len(found)} checks of the analysis pass")
        return Status.DIFFERS if failed else Status.DONE
    report, folder = chosen.reports / chosen.suite, chosen.reports / "calibration"
    if chosen.adastop:
        from rlparity.analysis.simulations import adastop

        adastop.measure(report, folder)
        return Status.DONE
    from rlparity.reporting.pages import calibration

    print(calibration.render(report, folder))
    pipeline.index_reports(chosen, rest)
    return Status.DONE


def plant_bugs(chosen: argparse.Namespace, rest: list[str]) -> None:
    if chosen.judge:
        from rlparity.analysis import sequential_tests

        sequential_tests.serve(sys.stdin, sys.stdout)
    elif chosen.trial is not None:
        end_with_parent()
        from rlparity.validation.sensitivity import trial as sensitivity_trial

        sensitivity_trial.main(json.loads(chosen.trial), chosen.into, chosen.limit, chosen.case)
    elif chosen.suite is None or chosen.jobs < 1:
        raise UserError("sensitivity: name a suite, and at least 1 for --jobs")
    elif chosen.page:
        from rlparity.reporting.pages import sensitivity as sensitivity_page
        from rlparity.suites import suite
        from rlparity.validation.sensitivity import plan as sensitivity_plan
        from rlparity.validation.sensitivity import run as sensitivity

        with contextlib.suppress(UserError):  # the suite's file may be elsewhere
            plan = sensitivity_plan.load(suite.find(chosen.suite))
            sensitivity.Runner(plan, chosen.results, chosen.reports).write_candidates()
        print(sensitivity_page.render(chosen.results / chosen.suite, chosen.reports / chosen.suite))
    else:
        from rlparity.suites import suite
        from rlparity.validation.sensitivity import analysis
        from rlparity.validation.sensitivity import plan as sensitivity_plan
        from rlparity.validation.sensitivity import run as sensitivity

        plan = sensitivity_plan.load(suite.find(chosen.suite))
        for way in chosen.ways or ():
            if way not in plan.ways:
                raise unknown("way", way, plan.ways, f"suite {plan.name!r}")
        suite.check_writable(chosen.results, chosen.reports)
        if chosen.analysis is None:
            sensitivity.Runner(plan, chosen.results, chosen.reports).run(chosen.jobs, print_now, chosen.ways)
        if chosen.analysis is not None or (plan.analysis and chosen.ways is None):
            limit = plan.time_limits.get(analysis.LAYER, analysis.LIMIT_S)
            mutations = analysis.chosen(chosen.analysis or ())
            analysis.run(chosen.results / plan.name, limit, print_now, mutations)


def look_at_layer(chosen: argparse.Namespace, rest: list[str]) -> None:
    end_with_parent()
    from rlparity.validation import quick_layers

    quick_layers.write_checks(**chosen.request, into=chosen.into)


def train_candidate(chosen: argparse.Namespace, rest: list[str]) -> None:
    end_with_parent()
    from rlparity.candidates import isolated

    isolated.train(chosen.into, chosen.heartbeat, chosen.link)
