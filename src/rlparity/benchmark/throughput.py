"""Throughput, ours and the reference in alternation: same machine, one thread each, same named configuration.

What is timed is a whole run without evaluation: worlds made, steps taken, learning, records written. Every
run is a process of its own; its start and imports are not timed. A round runs the reference, then every
number of seeds; ratios are taken within a round, so that a machine whose speed drifts does not bend them.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from rlparity.benchmark import flops
from rlparity.cell import Cell
from rlparity.environments import metadata
from rlparity.errors import UserError
from rlparity.provenance import host
from rlparity.records import SCHEMAS, write, write_bytes
from rlparity.runs import malloc
from rlparity.runs.run_cell import configuration
from rlparity.suites import devices, suite

BUDGETS = {  # environment steps per seed, some seconds of SB3
    "ppo": 16_384,
    "a2c": 32_000,
    **dict.fromkeys(("ddpg", "td3", "sac"), 1_000),
}
OTHERWISE = 8_192
PIXELS = {
    "ppo": 8_192,
    "a2c": 4_000,
    "dqn": 2_000,
    "qrdqn": 2_000,
}  # the same where a step costs milliseconds
EARLY = {"learning_starts": 100}  # off-policy learners with an update per step; the rest is learning
BRIEF = {**EARLY, "buffer_size": 10_000}  # on images: what is timed is no more than that
SEEDS = (1, 2, 5, 10, 20, 50)
WARM_UP = 8  # part of the budget that is run before, untimed: PyTorch imports some of itself at first use
ONCE = 20  # from this many seeds on, one round has to do
KEY = ("algorithm", "environment", "settings", "implementation", "seeds", "threads", "device", "hardware")
TUNED, DEFAULTS = "hyperparameters.yaml", "SB3's defaults"  # values of `settings`
COLUMNS = (
    *KEY,
    "steps_per_second",
    "ratio_to_reference",
    "peak_memory_mib",
    "ratio_min",
    "ratio_max",
    "rounds",
    "budget",
    "gflops",
    "machine_gflops",
    "configuration",
    "versions",
    "commit",
)


def main(arguments: Sequence[str]) -> int:
    """The command `rlparity bench`; `--child` is how it calls itself."""
    parser = argparse.ArgumentParser(prog="rlparity bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--algorithms", default="ppo,a2c,dqn", help="named configurations with a reference")
    parser.add_argument("--environment", default="CartPole-v1")
    parser.add_argument("--seeds", default=",".join(map(str, SEEDS)), help="numbers of seeds of a block")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--defaults", action="store_true", help="SB3's defaults, not the environment's settings"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--reports", type=Path, default=Path("reports"))
    parser.add_argument("--dag", metavar="CELLS", help="only the time to plan so many, such as 1000,10000")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.child:
        print(json.dumps(timed(Cell.from_json(chosen.child))))
        return 0
    if chosen.dag:
        from rlparity.benchmark import dag

        dag.measure(_numbers(chosen.dag), chosen.reports)
        return 0
    sizes = _numbers(chosen.seeds)
    if chosen.rounds < 1:
        raise UserError(f"bench: --rounds {chosen.rounds}; at least 1")
    rows: list[dict[str, Any]] = []
    settings = DEFAULTS if chosen.defaults else TUNED
    device = devices.resolve(chosen.device)
    for algorithm in chosen.algorithms.split(","):
        plan = cells(algorithm, chosen.environment, sizes, settings, device)
        rows += [{**row, "settings": settings} for row in compare(plan, chosen.rounds)]
    folder = chosen.reports / "benchmark"
    save(folder / "throughput.csv", rows)
    from rlparity.reporting.pages import benchmark
    from rlparity.reporting.pages.suite import report

    print(benchmark.render(folder))
    report.render_index(chosen.reports)
    return 0


def _numbers(text: str) -> list[int]:
    try:
        sizes = sorted({int(number) for number in text.split(",")})
    except ValueError:
        sizes = []
    if not sizes or sizes[0] < 1:
        raise UserError(f"bench: --seeds {text!r}; numbers of seeds, such as 1,10")
    return sizes


def timed(cell: Cell) -> dict[str, float]:
    """Run a cell without evaluation; aggregate environment steps per second and peak memory in MiB."""
    import torch

    torch.set_num_threads(1)
    malloc.keep_freed_memory()
    trainer = import_module(
        "rlparity.references.sb3" if cell.implementation == "sb3" else "rlparity.training.loop"
    )
    trainer.run(replace(cell, budget=cell.budget // WARM_UP), evaluate=False)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        rows = trainer.run(cell, evaluate=False)
        for kind in SCHEMAS:
            write(Path(folder), kind, getattr(rows, kind))
        seconds = time.perf_counter() - started
    rate = cell.budget * len(cell.seeds) / seconds
    found = {"steps_per_second": rate, "peak_memory_mib": host.peak_memory_mib()}
    operations = _operations(cell)
    if operations is not None and cell.device == "cpu":
        found |= {"gflops": operations / seconds / 1e9, "machine_gflops": flops.best_rate() / 1e9}
    return found


def _operations(cell: Cell) -> float | None:
    """Floating-point operations of all updates of a cell; None where they are not counted."""
    world, values = metadata.probe(cell.environment), configuration(replace(cell, implementation="scratch"))
    once = flops.per_update(cell.agent, values, world.observation_size, world.action_size)
    if once is None:
        return None
    updates = (cell.budget - values["learning_starts"]) // values["train_freq"] * values["gradient_steps"]
    return once * updates * len(cell.seeds)


def cells(
    algorithm: str, environment: str, sizes: Sequence[int], settings: str = TUNED, device: str = "cpu"
) -> list[Cell]:
    """The reference's cell with one seed, then ours with each number of seeds."""
    pixels = environment.startswith("ALE/")
    agent = algorithm.split("-")[0]
    raw = {
        "name": "bench",
        "title": "Benchmark",
        "environments": [environment],
        "algorithms": [algorithm],
        "implementations": ["scratch", "sb3"],
        "seeds": [0],
        "budgets": {"default": (PIXELS if pixels else BUDGETS).get(agent, OTHERWISE)},
        "checkpoint_every": 0,
    }
    found = {cell.implementation: cell for cell in suite.resolve(raw, "bench").cells}
    if "sb3" not in found:
        raise UserError(f"bench: {algorithm} has no reference in hyperparameters.yaml; choose one that has")
    if settings == DEFAULTS:
        plain: dict[str, Any] = {"n_envs": 1, "normalize": False, "hyperparameters": {}}
        found = {name: replace(cell, **plain) for name, cell in found.items()}
    early: dict[str, Any] = EARLY if agent in ("ddpg", "td3", "sac") else {}
    if pixels and agent in ("dqn", "qrdqn"):
        early = BRIEF
    found = {
        name: replace(cell, device=device, hyperparameters={**cell.hyperparameters, **early})
        for name, cell in found.items()
    }
    return [found["sb3"], *(replace(found["scratch"], seeds=tuple(range(size))) for size in sizes)]


def compare(plan: Sequence[Cell], rounds: int) -> list[dict[str, Any]]:
    """Rows of throughput.csv for one algorithm: its reference, then ours."""
    measured: list[list[dict[str, float]]] = [[] for _ in plan]
    ratios: list[list[float]] = [[] for _ in plan]
    for turn in range(rounds):
        for i, cell in enumerate(plan):
            if turn and len(cell.seeds) >= ONCE:
                continue
            result = _child(cell)
            measured[i].append(result)
            ratios[i].append(result["steps_per_second"] / measured[0][turn]["steps_per_second"])
            _tell(cell, turn, result, ratios[i][-1])
    return [_row(*item) for item in zip(plan, measured, ratios, strict=True)]


def _child(cell: Cell) -> dict[str, float]:
    command = [sys.executable, "-m", "rlparity", "bench", "--child", cell.to_json()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise UserError(
            f"bench: {cell.implementation}/{cell.algorithm} stopped: {done.stderr.strip()[-300:]}"
        )
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def _tell(cell: Cell, turn: int, result: dict[str, float], ratio: float) -> None:
    who = f"{cell.environment} {cell.implementation}/{cell.algorithm}, {len(cell.seeds)} seeds"
    rate = result["steps_per_second"]
    print(f"round {turn + 1}  {who}: {rate:,.0f} steps/s, {ratio:.2f} of the reference", file=sys.stderr)


def _row(cell: Cell, measured: list[dict[str, float]], ratios: list[float]) -> dict[str, Any]:
    versions = host.versions()
    hardware = host.hardware()
    gpu = [hardware["gpu"]] if cell.device == "cuda" else []
    named = ("torch", "stable-baselines3", "sb3-contrib", "gymnasium", "mujoco", "ale-py", "numpy")
    return {
        "algorithm": cell.algorithm,
        "environment": cell.environment,
        "implementation": cell.implementation,
        "seeds": len(cell.seeds),
        "threads": 1,
        "device": cell.device,
        "hardware": ", ".join([*gpu, f"{hardware['cpu']}, {hardware['cores']} cores"]),
        "steps_per_second": round(median(m["steps_per_second"] for m in measured), 1),
        "ratio_to_reference": round(median(ratios), 3),
        "peak_memory_mib": round(max(m["peak_memory_mib"] for m in measured), 1),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "rounds": len(ratios),
        "budget": cell.budget,
        **{name: _median(measured, name) for name in ("gflops", "machine_gflops")},
        "configuration": json.dumps(
            {"n_envs": cell.n_envs, "normalize": cell.normalize, **cell.hyperparameters}, sort_keys=True
        ),
        "versions": ", ".join(f"{name} {versions[name]}" for name in named if name in versions),
        "commit": host.git()["commit"] or "",
    }


def _median(measured: list[dict[str, float]], name: str) -> float | str:
    values = [m[name] for m in measured if name in m]
    return round(median(values), 2) if values else ""


def save(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write throughput.csv; rows measured earlier stay, unless the same thing was measured again."""
    kept = {}
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            rows_before = [{"settings": TUNED, **row} for row in csv.DictReader(file)]
        kept = {tuple(row[name] for name in KEY): row for row in rows_before}
    kept |= {tuple(str(row[name]) for name in KEY): row for row in rows}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept[key] for key in sorted(kept, key=lambda key: (*key[:4], int(key[4]), *key[5:])))
    write_bytes(path, text.getvalue().encode())
