"""Commands that people call: suites as a whole, single cells, and what became of them."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from rlparity.cli import pipeline
from rlparity.cli.base import Add, end_with_parent, say
from rlparity.errors import UserError


def add_commands(add: Add) -> None:
    """All of them."""
    run = add("run", run_suite, "Train and report a suite. Further arguments go to snakemake.", "SUITE")
    run.set_defaults(passes_on=True)
    planning = "What a suite asks for: jobs, hours, memory, storage."
    _with_folders(add("plan", plan_suite, planning, "SUITE"))
    _add_train(add)
    play = add("play", play_cell, "Watch a trained cell.", "CELL")
    play.add_argument(
        "--gif", type=Path, metavar="FILE", help="write an animated GIF instead of opening a window"
    )
    play.add_argument("--seed", type=int, help="which seed of the cell; default its first")
    restore = add("restore", restore_records, "Take over shipped records whose fingerprint and hashes match.")
    restore.add_argument("suite", nargs="?", metavar="SUITE")
    restore.add_argument("--cell", type=Path, metavar="FILE", help="only this order (cell.json)")
    _with_folders(restore)
    interim = "Report a suite that is still in training, headlined as unfinished."
    _with_folders(add("interim", report_interim, interim, "SUITE"))
    _add_vouch(add)
    bench = add("bench", run_bench, "Environment steps per second. Arguments: rlparity bench --help")
    bench.set_defaults(passes_on=True)
    add("diff", diff_reports, "What changed between two reports.", "REPORT_A", "REPORT_B")


def _with_folders(command: argparse.ArgumentParser) -> None:
    command.add_argument("--results", type=Path, default=Path("results"))
    command.add_argument("--reports", type=Path, default=Path("reports"))
    device = command.add_argument("--device", choices=["cpu", "cuda"])
    device.help = "where cells are trained on other machines, for a suite that says auto"


def _add_train(add: Add) -> None:
    training = add("train", train, "Train one algorithm in one environment.", "ALGORITHM", "ENVIRONMENT")
    training.add_argument(
        "--seeds", nargs="+", default=["0"], metavar="RANGE", help="such as 0-4 or 7; default 0"
    )
    training.add_argument(
        "--budget", type=int, default=100_000, help="environment steps per seed; default 100000"
    )
    training.add_argument("--implementation", choices=["scratch", "sb3"], default="scratch")
    training.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="hyper-parameters"
    )
    training.add_argument("--results", type=Path, default=Path("results"))


def _add_vouch(add: Add) -> None:
    vouch = add(
        "vouch",
        vouch_records,
        "Keep shipped records valid after a refactoring: train a part again, compare.",
    )
    vouch.add_argument("suite", nargs="?", metavar="SUITE")
    vouch.add_argument("--share", type=float, default=0.1, help="of the budget, at least; default 0.1")
    vouch.add_argument("--environments", nargs="+", default=[], metavar="ID")
    vouch.add_argument("--algorithms", nargs="+", default=[], metavar="NAME")
    vouch.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time; default 1")
    vouch.add_argument("--reports", type=Path, default=Path("reports"))
    for inner in ("--again", "--record"):  # how it calls itself: for one seed, and the folder of its record
        vouch.add_argument(inner, help=argparse.SUPPRESS)


def run_suite(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity.suites import hyperparameters, suite, yaml_reader

    path = suite.find(chosen.suite).resolve()
    yaml_reader.read(path)  # Snakemake would run what a template has in it
    if not _says_how_many(rest, hyperparameters.root()):
        rest = [*rest, "--cores", "all"]
    command = [sys.executable, "-m", "snakemake", *rest, "--configfile", str(path)]
    with subprocess.Popen(command, cwd=hyperparameters.root()) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()
            raise


def _says_how_many(arguments: list[str], root: Path) -> bool:
    """Whether these arguments of snakemake, or a profile, say how many jobs run at once, or that none do."""
    from snakemake.cli import parse_args

    with (
        contextlib.chdir(root),
        contextlib.redirect_stderr(StringIO()),
        contextlib.redirect_stdout(StringIO()),
    ):
        try:
            _, asked = parse_args(arguments)
        except (SystemExit, Exception):  # --help, or a mistake: Snakemake says it when it is started
            return True
    return any(value not in (None, False) for value in (asked.cores, asked.jobs, asked.dryrun))


def plan_suite(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.runs import pending
    from rlparity.suites import forecast, suite, yaml_reader

    path = suite.find(chosen.suite)
    raw = yaml_reader.read(path)
    if isinstance(raw, Mapping) and raw.get("kind") == suite.SENSITIVITY:
        from rlparity.validation.sensitivity import forecast as sensitivity_forecast
        from rlparity.validation.sensitivity import plan as sensitivity_plan

        print("\n".join(sensitivity_forecast.lines(sensitivity_plan.load(path), chosen.reports)))
        return
    asked = suite.load(path, _on(chosen.device), elsewhere=True)
    waiting = [cell for cell in asked.cells if not pending.up_to_date(cell, chosen.results / cell.folder)]
    print("\n".join(forecast.lines(asked, waiting, chosen.reports)))


def _on(device: str | None) -> dict[str, str]:
    return {} if device is None else {"device": device}


def train(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity.suites import suite, yaml_reader

    pairs = [text.partition("=") for text in chosen.set]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise UserError(f"--set {wrong[0]}: write KEY=VALUE, such as learning_rate=1e-3")
    values = {name: yaml_reader.parse(text, f"--set {name}") for name, _, text in pairs}
    asked = suite.resolve(
        {
            "name": "train",
            "title": f"{chosen.algorithm} in {chosen.environment}",
            "environments": [chosen.environment],
            "algorithms": [chosen.algorithm],
            "implementations": [chosen.implementation],
            "seeds": chosen.seeds,
            "budgets": {"default": chosen.budget},
            "hyperparameters": {chosen.algorithm: values},
        },
        "rlparity train",
    )
    if not asked.cells:
        raise UserError(f"algorithm {chosen.algorithm!r} has no reference in sb3; train it with scratch")
    suite.check_writable(chosen.results)
    failed = 0
    for cell in asked.cells:
        from rlparity.runs.run_cell import run_cell

        folder = chosen.results / cell.folder
        run = run_cell(cell, folder)
        print(f"{folder}: {run['status']}, {run['steps_per_second']:,.0f} steps/s")
        failed += run["status"] != "done"
    return 1 if failed else 0


def play_cell(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.playback.play import play

    total = play(Path(chosen.cell), chosen.gif, chosen.seed)
    print(f"return {total:g}" + (f", {chosen.gif}" if chosen.gif else ""))


def restore_records(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity.shipped_records import restore
    from rlparity.suites import suite

    if chosen.cell is not None:
        restore.one(chosen.cell, chosen.reports)
        return 0
    if chosen.suite is None:
        raise UserError("restore: name a suite, or an order with --cell")
    asked = suite.load(suite.find(chosen.suite), _on(chosen.device), elsewhere=True)
    print(restore.restore(asked, chosen.results, chosen.reports))
    return 0


def report_interim(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.analysis import tables
    from rlparity.runs import interim
    from rlparity.suites import suite

    asked = suite.load(suite.find(chosen.suite), _on(chosen.device), elsewhere=True)
    found = interim.gather(asked, chosen.results)
    plan = {**asked.plan(), "interim": bool(found.places) or len(found.cells) < len(asked.cells)}
    tables.collect(found.cells, chosen.results, chosen.reports, plan, found.places)
    print("\n".join(found.lines))
    chosen.suite, chosen.summary = asked.name, None
    filming = [pipeline.make_films] if asked.films else []
    for stage in (*filming, pipeline.analyse, pipeline.draw, pipeline.report_suite, pipeline.index_reports):
        stage(chosen, rest)


def vouch_records(chosen: argparse.Namespace, rest: list[str]) -> int:
    if chosen.again is not None:
        end_with_parent()
        from rlparity.cell import Cell
        from rlparity.shipped_records import retrain

        finding = retrain.retrain_part(Cell.from_json(chosen.again), Path(chosen.record), chosen.share)
        print(json.dumps(finding._asdict()))
        return 0
    from rlparity.shipped_records import vouch
    from rlparity.suites import suite

    if chosen.suite is None:
        raise UserError("vouch: name a suite")
    if not 0 < chosen.share <= 1 or chosen.jobs < 1:
        raise UserError(f"vouch: --share {chosen.share:g} --jobs {chosen.jobs}; above 0 up to 1, at least 1")
    checked = suite.load(suite.find(chosen.suite))
    asked = vouch.cells(checked, chosen.environments, chosen.algorithms)
    valid = vouch.vouch(checked, asked, chosen.reports, chosen.share, chosen.jobs, say)
    return 0 if valid else 1


def run_bench(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity.benchmark import throughput as bench

    return int(bench.main(rest) or 0)


def diff_reports(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.reporting import diff

    print(diff.compare(Path(chosen.report_a), Path(chosen.report_b)))
