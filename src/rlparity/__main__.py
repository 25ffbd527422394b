"""The command line: one subcommand per stage of the pipeline, and a few for people."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rlparity.errors import UserError

STARTED = time.time()
DESCRIPTION = """\
Reproducible reinforcement-learning benchmarks that end in a verdict.

for people:
  run SUITE        train and report a suite: its name (smoke, cartpole, classic, ...) or a path
  cost SUITE       what a suite will cost, and what of it is trained already
  train A E        train one algorithm in one environment, without a suite file
  play CELL        watch a trained cell (its folder), in a window or as a GIF
  restore SUITE    take over records that the reports carry, instead of training them again
  interim SUITE    report a suite that is still in training, as far as its checkpoints go
  vouch SUITE      keep shipped records valid after a refactoring: train a part again and compare
  bench            environment steps per second, ours beside Stable-Baselines3's
  validate ...     an implementation of yours, through all layers, against its reference
  sensitivity S    plant bugs, and see which layer of validation catches them
  parity [A ...]   updates beside Stable-Baselines3's: same weights, batches and draws
  diff A B         what changed between two reports
  calibrate        how often verdicts err, on seeds of one reference
  lockstep         our agents beside Stable-Baselines3's, environment step by environment step

stages, called by the pipeline in this order:
  cell             train one cell of a suite
  collect          records -> tables
  films            trained agents at play -> short films
  analyse          tables -> statistics and verdicts
  draw             statistics -> figures
  report           figures and statistics -> the page
  index            the page of all suites
  check            say which seeds failed
"""


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit status. What a user can mend is told in one line."""
    try:
        parser = _parser()
        chosen, rest = parser.parse_known_args(arguments)
        if rest and not getattr(chosen, "passes_on", False):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        return int(chosen.run(chosen, rest) or 0)
    except UserError as error:
        print(f"rlparity: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("rlparity: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rlparity",
        usage="rlparity COMMAND ...",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        required=True, metavar="COMMAND", help=argparse.SUPPRESS, prog="rlparity"
    )

    def add(run: Any, summary: str, *positional: str) -> argparse.ArgumentParser:
        name = run.__name__.strip("_")
        command = commands.add_parser(name, description=summary, add_help=name != "bench")
        command.set_defaults(run=run)
        for word in positional:
            command.add_argument(word.lower(), metavar=word)
        return command

    _add_for_people(add)
    _add_stages(add)
    return parser


def _add_for_people(add: Any) -> None:
    run = add(_run, "Train and report a suite. Further arguments go to snakemake.", "SUITE")
    run.set_defaults(passes_on=True)
    cost = add(_cost, "What a suite will cost.", "SUITE")
    cost.add_argument("--results", type=Path, default=Path("results"))
    cost.add_argument("--reports", type=Path, default=Path("reports"))
    train = add(_train, "Train one algorithm in one environment.", "ALGORITHM", "ENVIRONMENT")
    train.add_argument(
        "--seeds", nargs="+", default=["0"], metavar="RANGE", help="such as 0-4 or 7; default 0"
    )
    train.add_argument(
        "--budget", type=int, default=100_000, help="environment steps per seed; default 100000"
    )
    train.add_argument("--implementation", choices=["scratch", "sb3"], default="scratch")
    train.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="hyper-parameters"
    )
    train.add_argument("--results", type=Path, default=Path("results"))
    play = add(_play, "Watch a trained cell.", "CELL")
    play.add_argument(
        "--gif", type=Path, metavar="FILE", help="write an animated GIF instead of opening a window"
    )
    play.add_argument("--seed", type=int, help="which seed of the cell; default its first")
    restore = add(_restore, "Take over shipped records whose fingerprint and hashes match.")
    restore.add_argument("suite", nargs="?", metavar="SUITE")
    restore.add_argument("--cell", type=Path, metavar="FILE", help="only this order (cell.json)")
    restore.add_argument("--results", type=Path, default=Path("results"))
    restore.add_argument("--reports", type=Path, default=Path("reports"))
    interim = add(_interim, "Report a suite that is still in training, headlined as unfinished.", "SUITE")
    interim.add_argument("--results", type=Path, default=Path("results"))
    interim.add_argument("--reports", type=Path, default=Path("reports"))
    vouch = add(_vouch, "Keep shipped records valid after a refactoring: train a part again and compare.")
    vouch.add_argument("suite", nargs="?", metavar="SUITE")
    vouch.add_argument("--share", type=float, default=0.1, help="of the budget, at least; default 0.1")
    vouch.add_argument("--environments", nargs="+", default=[], metavar="ID")
    vouch.add_argument("--algorithms", nargs="+", default=[], metavar="NAME")
    vouch.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time; default 1")
    vouch.add_argument("--reports", type=Path, default=Path("reports"))
    for inner in ("--again", "--record"):  # how it calls itself: for one seed, and the folder of its record
        vouch.add_argument(inner, help=argparse.SUPPRESS)
    bench = add(_bench, "Environment steps per second. Arguments: rlparity bench --help")
    bench.set_defaults(passes_on=True)
    _add_validate(add)
    _add_parity(add)
    add(_diff, "What changed between two reports.", "REPORT_A", "REPORT_B")
    calibrate = add(_calibrate, "How often verdicts err: a reference's own seeds against each other.")
    calibrate.add_argument("suite", nargs="?", default="pool", metavar="SUITE", help="default pool")
    calibrate.add_argument("--reports", type=Path, default=Path("reports"))
    lockstep = add(_lockstep, "Real runs of Stable-Baselines3, and our agents beside them, step by step.")
    lockstep.add_argument("algorithms", nargs="*", metavar="ALGORITHM", help="default: all it knows")
    lockstep.add_argument("--steps", type=int, default=20_000, help="environment steps; default 20000")
    lockstep.add_argument("--reports", type=Path, default=Path("reports"))


def _add_validate(add: Any) -> None:
    validate = add(
        _validate,
        "An implementation through all layers, against its reference. Exit status: 3 if the contract could "
        "not be run, 1 if it fails or the statistics say WORSE, 0 if they say EQUIVALENT or BETTER, else 2.",
    )
    brought = validate.add_mutually_exclusive_group(required=True)
    brought.add_argument("entry", nargs="?", metavar="MODULE:FACTORY", help="a Python entry point")
    brought.add_argument("--command", help="a program; {environment}, {seed} and {budget} are filled in")
    brought.add_argument(
        "--logs", metavar="PATH", help="finished logs; {seed} and {environment} in it are known"
    )
    validate.add_argument("--against", required=True, metavar="REFERENCE", help="such as sb3/ppo")
    validate.add_argument("--suite", required=True, help="its name, or a path")
    validate.add_argument("--name", default="", help="of the candidate; default: told by what is brought")
    validate.add_argument("--environments", nargs="+", default=[], metavar="ID", help="default: all")
    validate.add_argument("--seeds", nargs="+", default=[], metavar="RANGE", help="default: the suite's")
    returns = validate.add_argument("--returns", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    returns.help = "how logs are read, such as tag=charts/return or columns.env_step=step"
    validate.add_argument("--folder", default=".", help="where all of that is found; default: here")
    validate.add_argument("--time-limit", type=float, metavar="SECONDS")
    validate.add_argument("--references", choices=["shipped", "train"], default="shipped")
    validate.add_argument("--strict", action="store_true", help="a difference in parity fails, too")
    validate.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML")
    jobs = validate.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N")
    jobs.help = "processes at a time; default: one for each core"
    validate.add_argument("--results", type=Path, default=Path("results"))
    validate.add_argument("--reports", type=Path, default=Path("reports"))


def _add_parity(add: Any) -> None:
    parity = add(_parity, "Our agents' updates beside Stable-Baselines3's: same weights, batches and draws.")
    parity.add_argument(
        "algorithms", nargs="*", metavar="ALGORITHM", help="default: all that have a reference"
    )
    dtypes = ["float64", "float32"]
    parity.add_argument("--dtype", nargs="+", choices=dtypes, default=dtypes[:1], help="default: float64")
    parity.add_argument("--reports", type=Path, default=Path("reports"))


def _add_stages(add: Any) -> None:
    layer = add(_layer, "Look at a Python candidate: one layer, its checks left in a file.")
    layer.add_argument("--asked", type=json.loads, required=True, metavar="JSON")
    layer.add_argument("--into", type=Path, required=True, metavar="FILE")
    cell = add(_cell, "Train one cell.")
    cell.add_argument("--cell", required=True, help="the cell as JSON, or the file that holds it (cell.json)")
    cell.add_argument("--into", type=Path, metavar="FOLDER", help="default: the folder of the file")
    attempt = add(_attempt, "Train a Python candidate: the cell in FOLDER/cell.json, its rows left there.")
    attempt.add_argument("--into", type=Path, required=True, metavar="FOLDER")
    attempt.add_argument("--heartbeat", type=Path, required=True, metavar="FILE")
    collect = add(_collect, "Records -> tables.", "SUITE")
    collect.add_argument("--narrow", type=json.loads, default={}, metavar="JSON")
    stages = [collect]
    for stage in (_films, _analyse, _draw, _report, _check):
        stages.append(add(stage, f"Stage {stage.__name__[1:]}, for the suite of that name.", "SUITE"))
    stages.append(add(_index, "The page of all suites."))
    stages.append(_add_sensitivity(add))
    for command in stages:
        command.add_argument("--results", type=Path, default=Path("results"))
        command.add_argument("--reports", type=Path, default=Path("reports"))
    stages[4].add_argument(
        "--summary", type=Path, metavar="FILE", help="write what is printed to a file, too"
    )


def _add_sensitivity(add: Any) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = add(
        _sensitivity, "Try every planted bug on every layer of validation."
    )
    command.add_argument("suite", nargs="?", metavar="SUITE")
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time; default 1")
    command.add_argument("--page", action="store_true", help="only the page, of the outcomes there are")
    command.add_argument("--judge", action="store_true", help=argparse.SUPPRESS)  # how it calls itself
    for inner, kind in (("--trial", str), ("--into", Path), ("--limit", int), ("--case", Path)):
        command.add_argument(inner, type=kind, help=argparse.SUPPRESS)  # what, where to, how long, on what
    return command


def _run(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity import settings, suite

    path = suite.find(chosen.suite).resolve()
    if not any(word.split("=")[0] in ("--cores", "-c", "-n", "--dry-run", "--jobs", "-j") for word in rest):
        rest = [*rest, "--cores", "all"]
    command = [sys.executable, "-m", "snakemake", *rest, "--configfile", str(path)]
    with subprocess.Popen(command, cwd=settings.root()) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait()
            raise


def _cost(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity import cost, orders, suite

    checked = suite.load(suite.find(chosen.suite))
    waiting = [cell for cell in checked.cells if not orders.up_to_date(cell, chosen.results / cell.folder)]
    print(f"suite {checked.name}: {cost.describe(checked.cells, waiting, chosen.reports)}")


def _train(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity import suite, yamlfile

    pairs = [text.partition("=") for text in chosen.set]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise UserError(f"--set {wrong[0]}: write KEY=VALUE, such as learning_rate=1e-3")
    asked = suite.resolve(
        {
            "name": "train",
            "title": f"{chosen.algorithm} in {chosen.environment}",
            "environments": [chosen.environment],
            "algorithms": [chosen.algorithm],
            "implementations": [chosen.implementation],
            "seeds": chosen.seeds,
            "budgets": {"default": chosen.budget},
            "hyperparameters": {chosen.algorithm: {name: yamlfile.parse(text) for name, _, text in pairs}},
        },
        "rlparity train",
    )
    if not asked.cells:
        raise UserError(f"algorithm {chosen.algorithm!r} has no reference in sb3; train it with scratch")
    suite.check_writable(chosen.results)
    failed = 0
    for cell in asked.cells:
        from rlparity.runner import run_cell

        folder = chosen.results / cell.folder
        run = run_cell(cell, folder)
        print(f"{folder}: {run['status']}, {run['steps_per_second']:,.0f} steps/s")
        failed += run["status"] != "done"
    return 1 if failed else 0


def _play(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.play import play

    total = play(Path(chosen.cell), chosen.gif, chosen.seed)
    print(f"return {total:g}" + (f", {chosen.gif}" if chosen.gif else ""))


def _restore(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity import restore, suite

    if chosen.cell is not None:
        restore.one(chosen.cell, chosen.reports)
        return 0
    if chosen.suite is None:
        raise UserError("restore: name a suite, or an order with --cell")
    print(restore.restore(suite.load(suite.find(chosen.suite)), chosen.results, chosen.reports))
    return 0


def _interim(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity import interim, suite, table

    asked = suite.load(suite.find(chosen.suite))
    found = interim.gather(asked, chosen.results)
    table.collect(found.cells, chosen.results, chosen.reports, asked.plan(), found.places)
    print("\n".join(found.lines))
    chosen.suite, chosen.summary = asked.name, None
    for stage in (_analyse, _draw, _report, _index):
        stage(chosen, rest)


def _vouch(chosen: argparse.Namespace, rest: list[str]) -> int:
    if chosen.again is not None:
        _end_with_parent()
        from rlparity import again
        from rlparity.cell import Cell

        finding = again.train_again(Cell.from_json(chosen.again), Path(chosen.record), chosen.share)
        print(json.dumps(finding._asdict()))
        return 0
    from rlparity import suite, vouch

    if chosen.suite is None:
        raise UserError("vouch: name a suite")
    if not 0 < chosen.share <= 1 or chosen.jobs < 1:
        raise UserError(f"vouch: --share {chosen.share:g} --jobs {chosen.jobs}; above 0 up to 1, at least 1")
    checked = suite.load(suite.find(chosen.suite))
    asked = vouch.cells(checked, chosen.environments, chosen.algorithms)
    valid = vouch.vouch(checked, asked, chosen.reports, chosen.share, chosen.jobs, _say)
    return 0 if valid else 1


def _say(line: str) -> None:
    print(line, flush=True)


def _bench(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity import bench

    return int(bench.main(rest) or 0)


def _sensitivity(chosen: argparse.Namespace, rest: list[str]) -> None:
    if chosen.judge:
        from rlparity import looks

        looks.serve(sys.stdin, sys.stdout)
    elif chosen.trial is not None:
        _end_with_parent()
        from rlparity.validation import sensitivity_trial

        sensitivity_trial.main(json.loads(chosen.trial), chosen.into, chosen.limit, chosen.case)
    elif chosen.suite is None or chosen.jobs < 1:
        raise UserError("sensitivity: name a suite, and at least 1 for --jobs")
    elif chosen.page:
        from rlparity import sensitivity_page

        print(sensitivity_page.render(chosen.results / chosen.suite, chosen.reports / chosen.suite))
    else:
        from rlparity import suite
        from rlparity.validation import sensitivity, sensitivity_plan

        plan = sensitivity_plan.load(suite.find(chosen.suite))
        suite.check_writable(chosen.results, chosen.reports)
        sensitivity.Runner(plan, chosen.results, chosen.reports).run(chosen.jobs, _say)


def _validate(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity import suite, table
    from rlparity.validation import asked, junit, statistics, validate

    try:
        question = asked.from_options(vars(chosen), suite.find(chosen.suite))
        suite.check_writable(chosen.results, chosen.reports)
        found = validate.run(question, chosen.results, chosen.reports, max(chosen.jobs, 1), _say)
    except UserError as error:
        error.status = validate.NOT_RUN
        raise
    report = chosen.reports / found.plan.name
    if found.cells:
        table.collect(found.cells, chosen.results, chosen.reports, found.plan.plan())
        chosen.suite, chosen.summary = found.plan.name, None
        _analyse(chosen, rest)
        found.verdicts = statistics.verdicts(report, question.called)
    _say(validate.line("statistics", found))
    validate.record(found, chosen.strict, report)
    if found.cells:
        with contextlib.redirect_stdout(None):  # the verdicts have been told
            for stage in (_draw, _report):
                stage(chosen, rest)
    else:
        from rlparity import validation_page

        validation_page.render(report, found.plan.title)
    _index(chosen, rest)
    if chosen.junit is not None:
        junit.write(found, chosen.strict, chosen.junit)
    _say(f"report: {report / 'index.html'}")
    _say(validate.conclusion(found, chosen.strict))
    return found.status(chosen.strict)


def _parity(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity import parity_page
    from rlparity.validation import parity_table

    folder = chosen.reports / "parity"
    passed = parity_table.make(chosen.algorithms, chosen.dtype, folder, _say)
    print(parity_page.render(folder))
    return 0 if passed else 1


def _diff(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity import diff

    print(diff.compare(Path(chosen.report_a), Path(chosen.report_b)))


def _calibrate(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity import calibration_page

    print(calibration_page.render(chosen.reports / chosen.suite, chosen.reports / "calibration"))
    _index(chosen, rest)


def _lockstep(chosen: argparse.Namespace, rest: list[str]) -> int:
    if chosen.steps < 1:
        raise UserError(f"lockstep: --steps {chosen.steps}; at least 1")
    from rlparity import suite
    from rlparity.validation import lockstep_cases, lockstep_table

    suite.check_writable(chosen.reports)
    algorithms, folder = chosen.algorithms or lockstep_cases.ALGORITHMS, chosen.reports / "lockstep"
    well = lockstep_table.record(algorithms, chosen.steps, folder, _say)
    from rlparity import lockstep_page

    print(lockstep_page.render(folder))
    _index(chosen, rest)
    return 0 if well else 1


def _cell(chosen: argparse.Namespace, rest: list[str]) -> None:
    _end_with_parent()
    from rlparity import orders

    inline = chosen.cell.startswith("{")
    if inline and chosen.into is None:
        raise UserError("cell: name a folder with --into")
    cell = orders.parse(chosen.cell) if inline else orders.read(Path(chosen.cell))
    from rlparity.runner import run_cell

    run_cell(cell, chosen.into or Path(chosen.cell).parent, STARTED)


def _layer(chosen: argparse.Namespace, rest: list[str]) -> None:
    _end_with_parent()
    from rlparity.validation import layers

    layers.look(**chosen.asked, into=chosen.into)


def _attempt(chosen: argparse.Namespace, rest: list[str]) -> None:
    _end_with_parent()
    from rlparity import candidate_process

    candidate_process.train(chosen.into, chosen.heartbeat)


def _end_with_parent() -> None:
    """Let a killed Snakemake take its trainer along (Linux; elsewhere the lock on the folder has to do)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _collect(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity import suite, table

    checked = suite.load(suite.find(chosen.suite), chosen.narrow)
    table.collect(list(checked.cells), chosen.results, chosen.reports, checked.plan())


def _films(chosen: argparse.Namespace, rest: list[str]) -> None:
    _end_with_parent()
    from rlparity import films

    print(films.make(chosen.suite, chosen.results, chosen.reports))


def _analyse(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity import analyse, settings

    published = settings.root() / settings.RESOURCES.parent / "published"
    analyse.analyse(chosen.results / chosen.suite / "tables", published, chosen.reports / chosen.suite)


def _draw(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity import figures

    figures.draw(chosen.reports / chosen.suite)


def _report(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity import report

    summary = report.render(chosen.reports / chosen.suite)
    if chosen.summary is not None:
        chosen.summary.write_text(summary.rstrip() + "\n", encoding="utf-8")


def _index(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity import report

    report.render_index(chosen.reports)


def _check(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity import orders

    failed = orders.failed_seeds(chosen.results / chosen.suite / "tables" / "plan.json", chosen.results)
    for line in failed:
        print(f"rlparity: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
