"""Stages of the pipeline, each a command that Snakemake calls."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rlparity import project_files
from rlparity.cli.base import Add, Answer, add_reports, add_results, note, print_now
from rlparity.errors import Status, UserError
from rlparity.runs.parent_death import end_with_parent

if TYPE_CHECKING:
    from rlparity.suites.growth import Judged
    from rlparity.suites.suite import Suite

DEV_TITLE = "stages, called by the pipeline in this order"
STARTED = time.monotonic()


def add_dev_commands(add: Add) -> None:
    """Declare a command for each stage, in the order in which the pipeline calls them."""
    cell = add("cell", train_cell, "Train one cell of a suite.")
    cell.add_argument("--cell", required=True, help="the cell as JSON, or the file that has it (cell.json)")
    cell.add_argument("--into", type=Path, metavar="FOLDER", help="default: the folder of the file")
    cell.add_argument(
        "--time-limit", type=float, default=0, metavar="SECONDS", help="default: 0, which is none"
    )
    live = add("confirm", confirm, "Train a seed of a shipped reference, compare its record.")
    live.add_argument("--cell", type=Path, required=True, metavar="FILE", help="the cell.json of its record")
    live.add_argument(
        "--time-limit", type=float, default=0, metavar="SECONDS", help="default: 0, which is none"
    )
    looking = add("look", take_look, "Judge pairs with the seeds there are, ask for more.", "SUITE")
    looking.add_argument("--look", type=int, required=True, metavar="K", help="number of the look, from 1")
    collecting = add("collect", collect, "Write tables from the records of all cells.", "SUITE")
    for command in (looking, collecting):
        command.add_argument(
            "--narrow", type=json.loads, default={}, metavar="JSON", help="values of the suite to replace"
        )
    films = add("films", make_films, "Write short films of trained agents.", "SUITE")
    analysing = add("analyse", analyse, "Write statistics and verdicts from the tables.", "SUITE")
    drawing = add("draw", draw, "Write figures from the statistics.", "SUITE")
    reporting = add("render", report_suite, "Write the page of a suite.", "SUITE")
    reporting.add_argument(
        "--summary", type=Path, metavar="FILE", help="write what is printed to a file, too"
    )
    index = add("index", index_reports, "Write the page that lists all suites.")
    check = add(
        "check",
        check_seeds,
        "List the seeds that failed.",
        "SUITE",
        about="Exit status 3 if there are any.",
        answers=True,
    )
    for command in (live, looking, collecting, films, analysing, drawing, reporting, index, check):
        add_results(command)
        add_reports(command)


def train_cell(chosen: argparse.Namespace, rest: list[str]) -> None:
    end_with_parent()
    from rlparity.runs import pending

    inline = chosen.cell.startswith("{")
    if inline and chosen.into is None:
        raise UserError("cell: name a folder with --into")
    cell = pending.parse(chosen.cell) if inline else pending.read(Path(chosen.cell))
    from rlparity.runs import run_cell, time_limit

    folder = chosen.into or Path(chosen.cell).parent
    with time_limit.limited(chosen.time_limit, folder):
        run_cell.check_code(cell)
        run_cell.run_cell(cell, folder, STARTED, lambda who: print_now(f"waiting: {who}"), regroup=True)


def confirm(chosen: argparse.Namespace, rest: list[str]) -> None:
    end_with_parent()
    from rlparity.runs import pending, time_limit
    from rlparity.shipped_records import live_check

    cell = pending.read(chosen.cell)
    folder = live_check.folder_of(cell, chosen.results)
    with time_limit.limited(chosen.time_limit, folder):
        found = live_check.check(cell, chosen.cell.parent, folder, STARTED)
    print(f"{cell.folder}: {found['difference'] or 'the same rows as shipped'}")


def take_look(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.environments.probing import before_training
    from rlparity.runs import pending
    from rlparity.suites import growth

    whole = _settled(chosen)
    if whole.growth is None or not 0 < chosen.look < len(whole.growth.seeds):
        raise UserError(
            f"look: --look {chosen.look}: not a look of suite {whole.name!r} after which more follow"
        )
    pairs = still_open(whole, chosen.look, chosen.results)
    growth.write(growth.file(chosen.results, whole, chosen.look), pairs)
    pending.update(before_training.checked(growth.at(whole, chosen.look + 1, pairs), note), chosen.results)
    print("\n".join(f"{'/'.join(pair)}: not decided yet" for pair in pairs) or "every pair is decided")


def take_looks(whole: Suite, results: Path) -> None:
    """Take the looks whose records are all there, as after `rlparity restore`."""
    from rlparity.runs import pending
    from rlparity.suites import growth

    for look in range(1, len(whole.growth.seeds) if whole.growth else 1):
        reached = growth.reached(whole, results, look)
        if not all(pending.up_to_date(cell, results / cell.folder) for cell in reached):
            return
        pairs, file = still_open(whole, look, results), growth.file(results, whole, look)
        if not file.is_file() or growth.still_open(file) != set(pairs):
            growth.write(file, pairs)
        if not pairs:
            return


def still_open(whole: Suite, look: int, results: Path) -> list[Judged]:
    """The pairs of a suite that are not decided at a look."""
    from rlparity.analysis import summarize, tables, verdicts
    from rlparity.analysis.decisions.families import PRIMARY
    from rlparity.suites import growth

    reached = replace(whole, cells=tuple(growth.reached(whole, results, look)))
    found, _ = tables.gather(reached.cells, results)
    plan = reached.plan()
    scores = summarize.scores_of(found["evaluations"].to_pandas(), found["runs"].to_pandas(), plan)
    rows = (row for row in verdicts.followed(scores, plan) if row.role == PRIMARY and row.is_open)
    pairs = dict.fromkeys(growth.Judged(row.pair.environment, *row.pair.judged) for row in rows)
    may_grow = growth.judged(whole.cells, whole.algorithms, whole.floors)
    return [pair for pair in pairs if pair in may_grow]


def _settled(chosen: argparse.Namespace) -> Suite:
    """The suite of the pipeline, with the references whose records there are."""
    from rlparity.shipped_records import pool, references
    from rlparity.suites import suite

    loaded = suite.load(suite.find(chosen.suite), chosen.narrow, elsewhere=True)
    return references.settled(pool.widened(loaded, chosen.reports), chosen.results, chosen.reports)


def collect(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.analysis import tables
    from rlparity.suites import growth

    settled = growth.settled(_settled(chosen), chosen.results)
    tables.collect(list(settled.cells), chosen.results, chosen.reports, settled.plan())
    keep_live_checks(settled, chosen.results)
    from rlparity.playback import policies

    print(policies.ship(settled.name, chosen.results, chosen.reports))


def keep_live_checks(settled: Suite, results: Path) -> None:
    """Write the live checks there are of a suite to its tables."""
    from rlparity.analysis import live_checks
    from rlparity.shipped_records import live_check, references

    gathered = live_check.gather(references.checked(settled, results), results)
    live_checks.keep(gathered, results / settled.name / "tables")


def make_films(chosen: argparse.Namespace, rest: list[str]) -> None:
    end_with_parent()
    from rlparity.playback import films

    print(films.make(chosen.suite, chosen.results, chosen.reports))


def analyse(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.analysis import live_checks, summarize

    published = project_files.find(project_files.PUBLISHED)
    found, report = chosen.results / chosen.suite / "tables", chosen.reports / chosen.suite
    summarize.analyse(found, published, report)
    live_checks.analyse(found, report)


def draw(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.reporting.figures import draw as figures

    figures.draw(chosen.reports / chosen.suite)


def report_suite(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.reporting.pages.suite import report
    from rlparity.shipped_records import stale

    folder = chosen.reports / chosen.suite
    summary = report.render(folder, stale.count(folder))
    if chosen.summary is not None:
        chosen.summary.write_text(summary.rstrip() + "\n", encoding="utf-8")


def index_reports(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.reporting.pages.suite import report
    from rlparity.shipped_records import stale

    report.render_index(chosen.reports, stale.counts(chosen.reports))


def check_seeds(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    from rlparity.runs import pending

    failed = pending.failed_seeds(chosen.results / chosen.suite / "tables" / "plan.json", chosen.results)
    for line in failed:
        print(f"rlparity: {line}", file=sys.stderr)
    data = {"suite": chosen.suite, "failed": failed}
    return Answer(data, Status.NOT_JUDGED if failed else Status.DONE)
