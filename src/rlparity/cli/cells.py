"""Commands for one algorithm: watch it act, measure its speed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from rlparity.arms import PEERS
from rlparity.cli.base import Add, Answer, add_reports, add_results, numbers
from rlparity.errors import UserError
from rlparity.runs.parent_death import end_with_parent


def add_commands(add: Add) -> None:
    """Declare the commands of this module."""
    play = add("play", play_cell, "Show a trained agent in a window, or write a film.", "CELL", answers=True)
    play.add_argument(
        "--film", "--gif", type=Path, metavar="FILE", help="write a .gif or .mp4, open no window"
    )
    play.add_argument("--seed", type=int, help="a seed of the cell; default: its first")
    _add_bench(add)


def _add_bench(add: Add) -> None:
    command = add(
        "bench",
        run_bench,
        "Measure environment steps per second, ours and the reference's.",
        about="Each round runs the reference, then ours with each number of seeds, every second round "
        "backwards. Writes reports/benchmark, its table after every measurement.",
        answers=True,
    )
    command.add_argument(
        "--algorithms", default="ppo,a2c,dqn", metavar="NAME,...", help="default: ppo,a2c,dqn"
    )
    command.add_argument("--environment", default="CartPole-v1", metavar="ID", help="default: CartPole-v1")
    command.add_argument(
        "--seeds",
        default="1,2,5,10,20,50",
        metavar="N,...",
        help="numbers of seeds trained at once; default: 1,2,5,10,20,50",
    )
    command.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    command.add_argument(
        "--budget", type=int, metavar="N", help="environment steps per seed; default: some seconds of SB3"
    )
    command.add_argument(
        "--defaults",
        action="store_true",
        help="use the reference's default hyper-parameters, not the environment's",
    )
    command.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="default: cpu")
    command.add_argument(
        "--dag", metavar="N,...", help="measure only the time to plan suites of N cells, such as 1000"
    )
    command.add_argument(
        "--core", type=int, metavar="N", help="run everything on this core; default: the last that is allowed"
    )
    command.add_argument(
        "--peers",
        nargs="?",
        const=",".join(PEERS),
        metavar="NAME,...",
        help="measure these libraries, too, each in an environment that is made at first use; "
        f"default: {','.join(PEERS)}",
    )
    beside = command.add_argument("--beside", action="append", default=[], type=Path, metavar="FOLDER")
    beside.help = "measure our agents of another commit, too, checked out in this folder"
    command.add_argument(
        "--blocks",
        action="store_true",
        help="measure nothing: show from the rates of 1, 5 and 10 seeds how ten seeds are best split",
    )
    command.add_argument("--table-only", action="store_true", help="write throughput.csv, and no page")
    command.add_argument("--child", help=argparse.SUPPRESS)  # a cell as JSON: time it in this process
    add_results(command)
    add_reports(command)


def play_cell(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    from rlparity.playback.play import play

    total = play(Path(chosen.cell), chosen.film, chosen.seed)
    print(f"return {total:g}" + (f", {chosen.film}" if chosen.film else ""))
    film = str(chosen.film) if chosen.film else None
    return Answer({"cell": str(chosen.cell), "episode_return": total, "film": film})


def run_bench(chosen: argparse.Namespace, rest: list[str]) -> Answer:
    if chosen.child is not None:
        end_with_parent()
        from rlparity.benchmark import timed_run
        from rlparity.cell import Cell

        print(json.dumps(timed_run.timed(Cell.from_json(chosen.child))))
        return Answer({})
    if chosen.blocks:
        from rlparity.suites.costs import blocks

        lines = list(blocks.lines(chosen.environment, chosen.reports))
        print("\n".join(lines))
        return Answer({"notes": lines})
    if chosen.dag is not None:
        from rlparity.benchmark import dag

        dag.measure(numbers("bench", "--dag", chosen.dag, "cells"), chosen.reports)
        return Answer({"table": str(chosen.reports / "benchmark" / "dag.csv")})
    rows = _measure(chosen)
    folder = chosen.reports / "benchmark"
    answer = Answer({"rows": rows, "table": str(folder / "throughput.csv")})
    if chosen.table_only:
        return answer
    from rlparity.cli import pipeline
    from rlparity.reporting.pages import benchmark

    print(benchmark.render(folder))
    pipeline.index_reports(chosen, rest)
    return answer


def _measure(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure, and write throughput.csv after every measurement; returns the rows."""
    from rlparity.benchmark import peers, pinning, plan, table, throughput
    from rlparity.suites import devices

    sizes = numbers("bench", "--seeds", chosen.seeds, "seeds")
    for option, number in (("--rounds", chosen.rounds), ("--budget", chosen.budget)):
        if number is not None and number < 1:
            raise UserError(f"bench: {option} {number}; at least 1")
    settings = plan.DEFAULTS if chosen.defaults else plan.TUNED
    device = devices.resolve(chosen.device)
    core = pinning.choose(chosen.core) if device == "cpu" else None
    names = peers.chosen(chosen.peers) if chosen.peers and settings == plan.TUNED else []
    others = dict(map(throughput.checkout, chosen.beside))
    others |= {name: peers.other(name, chosen.results) for name in names}
    place, file = "" if core is None else core, chosen.reports / "benchmark" / "throughput.csv"
    asked = (chosen.algorithms.split(","), chosen.environment, sizes, chosen.rounds, settings, device, others)
    with pinning.pinned(core):
        rows = throughput.measure(
            *asked, chosen.budget, keep=lambda row: table.save(file, [{**row, "core": place}])
        )
    return [{**row, "core": place or None} for row in rows]
