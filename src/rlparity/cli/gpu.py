"""The command for a machine with a GPU."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rlparity.cli.base import Add, add_reports, add_results, numbers, print_now
from rlparity.errors import Status, UserError, unknown
from rlparity.runs.parent_death import end_with_parent

if TYPE_CHECKING:
    from rlparity.benchmark.gpu.blocks import Block

DEV_TITLE = "a machine with a GPU"
WORK, ARCHIVE = ".gpu", "gpu.tar.gz"  # below the folder of results


def add_dev_commands(add: Add) -> None:
    """Declare the command of this module."""
    command = add(
        "gpu",
        run_gpu,
        "Test, measure and train on a GPU within some minutes, results in one archive.",
        about="Blocks with stated limits: the next call does what was not done. Exit status 2 until all are. "
        "With --take, bring the results of such an archive into these folders.",
    )
    command.add_argument(
        "--device", choices=["cuda", "cpu"], default="cuda", help="cpu tries the script; default: cuda"
    )
    command.add_argument("--minutes", type=int, default=9, metavar="N", help="the whole may take; default: 9")
    command.add_argument("--only", metavar="BLOCK,...", help="run these blocks; default: all")
    command.add_argument(
        "--seeds",
        default="1,10,50",
        metavar="N,...",
        help="numbers of seeds to measure; default: 1,10,50",
    )
    command.add_argument(
        "--budget",
        type=int,
        metavar="N",
        help="steps per seed of a measurement; default: as rlparity bench",
    )
    command.add_argument("--suite", default="gpu", help="whose cells are trained; default: gpu")
    command.add_argument(
        "--archive", type=Path, metavar="FILE", help=f"of the results; default: {ARCHIVE} below --results"
    )
    command.add_argument(
        "--take", type=Path, metavar="FILE", help="run nothing: add this archive to the reports and results"
    )
    command.add_argument("--facts", type=Path, help=argparse.SUPPRESS)  # measure this machine into this file
    add_results(command)
    add_reports(command)


def run_gpu(chosen: argparse.Namespace, rest: list[str]) -> int:
    if chosen.facts is not None:
        end_with_parent()
        from rlparity.benchmark.gpu import facts

        facts.write(chosen.device, chosen.facts)
        return 0
    if chosen.take is not None:
        _take(chosen, rest)
        return 0
    return Status.DONE if _run(chosen, time.monotonic()) else Status.UNDECIDED


def _run(chosen: argparse.Namespace, started: float) -> bool:
    """Run the blocks; whether all that were asked for are done."""
    from rlparity.benchmark.gpu import archive, blocks, script
    from rlparity.suites import devices, suite

    for option, number in (("--minutes", chosen.minutes), ("--budget", chosen.budget)):
        if number is not None and number < 1:
            raise UserError(f"gpu: {option} {number}; at least 1")
    sizes = numbers("gpu", "--seeds", chosen.seeds, "seeds")
    if chosen.device == "cuda" and devices.resolve("auto") != "cuda":
        raise UserError("gpu: PyTorch finds no CUDA device here; --device cpu tries the script")
    work, path = chosen.results / WORK, chosen.archive or chosen.results / ARCHIVE
    suite.check_writable(chosen.results, path.parent)
    if path.is_dir():
        raise UserError(f"gpu: --archive {path}; a file, not a folder")
    plan = blocks.plan(blocks.Options(chosen.device, sizes, chosen.budget, suite.find(chosen.suite)))
    asked = _chosen(chosen.only, plan.blocks)
    with script.alone(work):
        made = script.Script(
            work, print_now, lambda ran: archive.write(work, path, {**plan.about, "blocks": ran})
        )
        whole = made.run(asked, chosen.minutes, started)
    size = f"{path.stat().st_size / 2**10:,.0f} KiB"
    print_now(f"archive: {path} ({size}); rlparity dev gpu --take {path} adds it to the reports")
    return whole


def _chosen(only: str | None, blocks: Sequence[Block]) -> list[Block]:
    """The blocks with these names, separated by commas; None: all. Raises UserError for others."""
    known = {block.name: block for block in blocks}
    names = list(known) if only is None else only.split(",")
    if wrong := [name for name in names if name not in known]:
        raise unknown("block", wrong[0], known, "gpu: --only")
    return [block for block in blocks if block.name in names]


def _take(chosen: argparse.Namespace, rest: list[str]) -> None:
    """Add an archive to the reports and results, and write the page of the benchmark."""
    from rlparity.benchmark.gpu import archive
    from rlparity.suites import suite

    suite.check_writable(chosen.results, chosen.reports)
    found = archive.take(chosen.take, suite.find(chosen.suite), chosen.results, chosen.reports)
    print("\n".join(found.lines))
    if found.rows:
        from rlparity.cli import pipeline
        from rlparity.reporting.pages import benchmark

        print(benchmark.render(chosen.reports / "benchmark"))
        pipeline.index_reports(chosen, rest)
    print(f"rlparity report {chosen.suite} --device {found.device} makes the report of its records")
