"""Commands for one algorithm: train it, watch it act, measure its speed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rlparity import registry
from rlparity.arms import PEERS
from rlparity.cli.base import Add, add_reports, add_results, note, numbers
from rlparity.errors import Status, UserError, unknown
from rlparity.runs.parent_death import end_with_parent

TITLE = "one algorithm"


def add_commands(add: Add) -> None:
    """Declare the commands of this module."""
    _add_train(add)
    play = add("play", play_cell, "Show a trained agent in a window, or write a GIF.", "CELL")
    play.add_argument("--gif", type=Path, metavar="FILE", help="write an animated GIF, open no window")
    play.add_argument("--seed", type=int, help="a seed of the cell; default: its first")
    _add_bench(add)


def _add_train(add: Add) -> None:
    command = add(
        "train",
        train,
        "Train one algorithm in one environment, without a suite file.",
        "ALGORITHM",
        "ENVIRONMENT",
    )
    seeds = command.add_argument("--seeds", nargs="+", default=["0"], metavar="RANGE")
    seeds.help = "such as 0-4 or 7; default: 0"
    command.add_argument(
        "--budget", type=int, default=100_000, help="environment steps per seed; default: 100000"
    )
    command.add_argument(
        "--implementation", choices=list(registry.IMPLEMENTATIONS), default="scratch", help="default: scratch"
    )
    command.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="hyper-parameters"
    )
    add_results(command)


def _add_bench(add: Add) -> None:
    command = add(
        "bench",
        run_bench,
        "Measure environment steps per second, ours and the reference's.",
        about="Each round runs the reference, then ours with each number of seeds; every second one backwards. "
        "Writes reports/benchmark, its table after every measurement.",
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


def train(chosen: argparse.Namespace, rest: list[str]) -> int:
    from rlparity.suites import hyperparameters, suite, yaml_reader

    known = hyperparameters.library().algorithms
    if chosen.algorithm not in known:
        raise unknown("algorithm", chosen.algorithm, known, "train")
    pairs = [text.partition("=") for text in chosen.set]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise UserError(f"--set {wrong[0]}: write KEY=VALUE, such as learning_rate=1e-3")
    values = {name: yaml_reader.parse(text, f"--set {name}") for name, _, text in pairs}
    made = suite.resolve(
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
    if not made.cells:
        problem = f"algorithm {chosen.algorithm!r} has no reference in {chosen.implementation}"
        raise UserError(f"{problem}; train it with scratch")
    suite.check_writable(chosen.results)
    from rlparity.environments.probing import before_training

    cells = before_training.checked(made.cells, note)
    from rlparity.runs.run_cell import run_cell

    failed = 0
    for cell in cells:
        folder = chosen.results / cell.folder
        run = run_cell(cell, folder)
        for seed, reason in run["failed_seeds"].items():
            note(reason if reason.startswith("environment ") else f"seed {seed}: {reason}")
        print(f"{folder}: {run['status']}, {run['steps_per_second']:,.0f} steps/s")
        failed += run["status"] != "done"
    return Status.NOT_JUDGED if failed else Status.DONE


def play_cell(chosen: argparse.Namespace, rest: list[str]) -> None:
    from rlparity.playback.play import play

    total = play(Path(chosen.cell), chosen.gif, chosen.seed)
    print(f"return {total:g}" + (f", {chosen.gif}" if chosen.gif else ""))


def run_bench(chosen: argparse.Namespace, rest: list[str]) -> None:
    if chosen.child is not None:
        end_with_parent()
        from rlparity.benchmark import timed_run
        from rlparity.cell import Cell

        print(json.dumps(timed_run.timed(Cell.from_json(chosen.child))))
        return
    if chosen.blocks:
        from rlparity.suites.costs import blocks

        print("\n".join(blocks.lines(chosen.environment, chosen.reports)))
        return
    if chosen.dag is not None:
        from rlparity.benchmark import dag

        dag.measure(numbers("bench", "--dag", chosen.dag, "cells"), chosen.reports)
        return
    _measure(chosen)
    if chosen.table_only:
        return
    from rlparity.cli import pipeline
    from rlparity.reporting.pages import benchmark

    print(benchmark.render(chosen.reports / "benchmark"))
    pipeline.index_reports(chosen, rest)


def _measure(chosen: argparse.Namespace) -> None:
    """Measure, and write throughput.csv after every measurement."""
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
        throughput.measure(*asked, chosen.budget, keep=lambda row: table.save(file, [{**row, "core": place}]))
