"""What may go wrong while a suite trains, done on purpose: `make test-faults` (as root, on Linux).

After each fault nothing that was recorded may be lost or silently wrong, the message says what to do, and the
next run completes the suite with the records of an uninterrupted one. What was seen is written to
reports/faults/record.json; docs/reference/faults.md is the table.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import common
from common import CELL, LONG, PATIENCE_S, ROOT

CORES = ("--cores", "2")
PPO, OFF = {"n_steps": 64, "batch_size": 64, "n_epochs": 2}, {"learning_starts": 100, "buffer_size": 800}
SMALL = {"net_arch": [32, 32]}
KILLED = {  # cells of some seconds: (environment, algorithm, hyper-parameters, sub-environments)
    "classic, on-policy": ("CartPole-v1", "ppo", {**PPO, **SMALL}, 2, 60_000),
    "classic, off-policy": ("CartPole-v1", "dqn", {**OFF, **SMALL, "train_freq": 4}, 2, 12_000),
    "MuJoCo, on-policy": ("Hopper-v5", "ppo", {**PPO, **SMALL}, 2, 16_000),
    "MuJoCo, off-policy": ("Hopper-v5", "sac", {**OFF, **SMALL, "train_freq": 2}, 1, 2_500),
}
KILLS = 50


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(TRIALS), default=list(TRIALS))
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--record", type=Path, default=ROOT / "reports" / "faults" / "record.json")
    chosen = parser.parse_args()
    random.seed(chosen.seed)
    with tempfile.TemporaryDirectory(prefix="rlparity-faults-") as text:
        place, whole = Path(text), Path(text) / "whole"
        if set(chosen.only) - {"SIGKILL at random moments"}:
            common.copy(whole)
            common.finish(whole)
        found = [common.told(name, TRIALS[name], place, whole) for name in chosen.only]
    return common.write_record(chosen.record, common.about(), found)


def fresh(place: Path, suite: dict[str, Any] | None = None) -> Path:
    return common.copy(Path(tempfile.mkdtemp(dir=place)) / "copy", suite)


def same(folder: Path, whole: Path) -> None:
    """The suite is complete, and as if nothing had happened."""
    common.finish(folder)
    assert common.records(folder) == common.records(whole), "records differ"
    assert (folder / "reports" / "long" / "index.html").is_file()


def line(text: str, pattern: str) -> str:
    """The line that says what happened."""
    found = [each.strip() for each in text.splitlines() if re.search(pattern, each)]
    assert found, f"nothing says {pattern!r}: {text[-800:]}"
    return found[0][:300]


# --- killed at any moment


def kills(place: Path, whole: Path) -> dict[str, Any]:
    """SIGKILL at 50 random moments of the clock, one after another on the same folders."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(
        ["rlparity.runs.run_cell", "rlparity.training.loop", "gymnasium.envs.mujoco"]
    )
    share = -(-KILLS // len(KILLED))
    found: dict[str, Any] = {}
    for name, (environment, agent, values, n_envs, budget) in KILLED.items():
        from rlparity.cell import Cell, Protocol

        protocol = Protocol(points=4, episodes=3, final_episodes=5)
        cell = Cell("kills", environment, "scratch", agent, agent, (3, 4), budget, n_envs)
        cell = replace(
            cell,
            normalize="MuJoCo, on" in name,
            hyperparameters=values,
            evaluation=protocol,
            checkpoint_every=budget // 12,
        )
        undisturbed = place / "kills" / agent / environment / "undisturbed"
        took = one(server, cell, undisturbed, None)
        expected = hashes(undisturbed)
        made, runs, steps = 0, 0, list[int]()
        while made < share:
            folder = place / "kills" / agent / environment / f"run-{runs}"
            runs += 1
            while one(server, cell, folder, random.uniform(0.1, 0.5) * took) is None:
                made += 1
                steps.append(reached(folder))
            assert hashes(folder) == expected, f"{name}: records differ"
        found[name] = {
            "kills": made,
            "completed": runs,
            "same_bytes": True,
            "seconds_undisturbed": round(took, 1),
        }
    total = sum(each["kills"] for each in found.values())
    assert total >= KILLS
    return {"kills": total, "cells": found}


def one(server: Any, cell: Any, folder: Path, seconds: float | None) -> float | None:
    """Train in a process of its own; None if it was killed after these seconds, else how many it took."""
    process = server.Process(target=train, args=(cell.to_json(), folder))
    started = time.monotonic()
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        return None
    assert process.exitcode == 0, f"{folder}: status {process.exitcode}"
    return time.monotonic() - started


def train(cell: str, folder: Path) -> None:
    from rlparity.cell import Cell
    from rlparity.runs.run_cell import run_cell

    run_cell(Cell.from_json(cell), folder)


def reached(folder: Path) -> int:
    with suppress(OSError, ValueError):
        return int(json.loads((folder / "heartbeat.json").read_text(encoding="utf-8"))["env_step"])
    return 0


def hashes(folder: Path) -> dict[str, str]:
    return dict(json.loads((folder / "run.json").read_text(encoding="utf-8"))["hashes"])


def signals(place: Path, whole: Path) -> dict[str, Any]:
    """Ctrl-C and SIGTERM to everything in the foreground."""
    said = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        folder = fresh(place)
        process = common.start(folder, *CORES)
        common.under_way(folder, process)
        os.killpg(process.pid, number)
        assert process.wait(PATIENCE_S) != 0
        said[number.name] = line("\n".join(common.train_log(folder)), "stopped with")
        same(folder, whole)
    return {"same_bytes": True, "said": said}


def out_of_memory(place: Path, whole: Path) -> dict[str, Any]:
    """The trainer is killed as the kernel does where memory is short, and Snakemake tries again; then a whole
    run gets too little of it."""
    folder = fresh(place)
    process = common.start(folder, *CORES)
    common.under_way(folder, process)
    (claim,) = common.wait_for("a claim", lambda: list((folder / CELL).glob(".claim-*")))
    os.kill(int(json.loads(claim.read_text(encoding="utf-8"))["process"]), signal.SIGKILL)
    assert process.wait(PATIENCE_S) == 0, common.tail(folder)
    assert common.records(folder) == common.records(whole), "records differ"
    short = fresh(place)
    limited = ["prlimit", f"--as={3 * 2**29}", *common.snakemake(short, *CORES)]
    ended = subprocess.run(
        limited, cwd=short, env=common.environment(short), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert ended.returncode != 0, "1.5 GiB of addresses were enough"
    same(short, whole)
    return {"same_bytes": True, "how": "SIGKILL, as the kernel sends it; and 1.5 GiB of address space"}


# --- disks


@contextmanager
def disk(folder: Path, size: str, options: str = "") -> Iterator[Path]:
    """A disk of its own for a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path) -> Path:
    """Leave no room on the disk of a folder."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


def full_while_training(place: Path, whole: Path) -> dict[str, Any]:
    """The disk is full from a checkpoint on to the end: neither checkpoints nor records can be written."""
    folder = fresh(place)
    with disk(folder / "results", "64m") as results:
        process = common.start(folder, *CORES)
        common.under_way(folder, process)
        ballast = fill(results)
        assert process.wait(PATIENCE_S) != 0
        ballast.unlink()
        said = common.tail(folder)
        ended = common.run(folder, *CORES)
        assert ended.returncode == 0, ended.stderr[-1500:]
        assert common.records(folder) == common.records(whole), "records differ"
    return {
        "same_bytes": True,
        "said": line(said, "No space|no space|cannot be written|Errno 28|not finished"),
    }


def full_while_reporting(place: Path, whole: Path) -> dict[str, Any]:
    """No room for the report once everything is trained."""
    folder = fresh(place)
    with disk(folder / "reports", "64m") as reports:
        ballast = fill(reports)
        ended = common.run(folder, *CORES)
        assert ended.returncode != 0
        logs = [path.read_text(errors="replace") for path in (folder / "results").rglob("*.log")]
        said = line("\n".join(logs) + ended.stderr, "No space left")
        ballast.unlink()
        same(folder, whole)
    return {"same_bytes": True, "said": said.replace(f"{folder}/", "")}


def read_only(place: Path, whole: Path) -> dict[str, Any]:
    """Results on a disk that takes nothing."""
    folder = fresh(place)
    with disk(folder / "results", "64m", ",ro"):
        ended = common.run(folder, *CORES)
        assert ended.returncode != 0
        said = line(ended.stderr + ended.stdout, "rlparity: results")
    same(folder, whole)
    return {"said": said}


# --- damaged files


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    place = len(content) // 3
    return content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]


def older(content: bytes) -> bytes:
    """As an older version of this program would have left it: another schema."""
    import io

    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content))
    out = io.BytesIO()
    pq.write_table(table.drop_columns(table.column_names[-1]), out)
    return out.getvalue()


def damaged_records(place: Path, whole: Path) -> dict[str, Any]:
    """Records that are not what was written; tables must not be made of them."""
    said = {}
    folder = fresh(place)
    common.finish(folder)
    foreign = next(
        (folder / "results").glob("long/CartPole-v1/scratch/random/*/episodes.parquet")
    ).read_bytes()
    ways: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
        "truncated Parquet": ("episodes.parquet", cut),
        "bit-flipped Parquet": ("evaluations.parquet", flipped),
        "foreign Parquet": ("episodes.parquet", lambda content: foreign),
        "older Parquet": ("episodes.parquet", older),
        "truncated JSON": ("run.json", cut),
        "foreign JSON": ("run.json", lambda content: b"[1, 2]"),
        "older JSON": ("run.json", lambda content: b'{"status": "done"}'),
    }
    for name, (file, damage) in ways.items():
        path = folder / CELL / file
        good, times = path.read_bytes(), path.stat()
        path.write_bytes(damage(good))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # Snakemake must not help
        for made in ("results/long/tables", "reports/long"):  # else nobody would read the records again
            shutil.rmtree(folder / made)
        ended = common.run(folder, *CORES)
        if ended.returncode == 0:  # the cell was trained again
            said[name] = "trained again"
        else:
            log = folder / "results" / "long" / "tables" / "collect.log"
            text = log.read_text(errors="replace") if log.exists() else ended.stderr + ended.stdout
            said[name] = line(text, "rlparity: ").replace(f"{folder}/", "")
            assert "Traceback" not in text, text[-800:]
            shutil.rmtree(folder / CELL)  # what the line says
        same(folder, whole)
    return {"same_bytes": True, "said": said}


def damaged_checkpoints(place: Path, whole: Path) -> dict[str, Any]:
    """Checkpoints that are not what was written; training must not go on from them."""
    said = {}
    for name, damage in {
        "truncated": cut,
        "bit-flipped": flipped,
        "foreign": lambda content: b"PK\x03\x04",
    }.items():
        folder = fresh(place)
        process = common.start(folder, *CORES)
        common.under_way(folder, process)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        common.wait_for("the trainer's end", lambda folder=folder: not holders(folder))
        state = folder / CELL / "checkpoint" / "state.pt"
        state.write_bytes(damage(state.read_bytes()))
        common.finish(folder, "--unlock", "--cores", "1")
        ended = common.run(folder, *CORES)
        text = "\n".join(common.train_log(folder))
        if ended.returncode != 0:
            said[name] = line(text, "rlparity: ")
            assert "Traceback" not in text
            shutil.rmtree(folder / CELL / "checkpoint")  # what the line says
        else:
            said[name] = "it changed nothing"
        same(folder, whole)
    return {"same_bytes": True, "said": said}


def holders(folder: Path) -> list[int]:
    """Processes that train in a copy."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"cell" in words and os.readlink(path.with_name("cwd")) == str(folder):
                found.append(int(path.parent.name))
    return found


# --- the rest


def twice_at_once(place: Path, whole: Path) -> dict[str, Any]:
    """A second Snakemake while the first runs."""
    folder = fresh(place)
    process = common.start(folder, *CORES)
    common.under_way(folder, process)
    ended = common.run(folder, *CORES)
    assert ended.returncode != 0
    said = line(ended.stderr + ended.stdout, "cannot be locked|LockException")
    assert process.wait(PATIENCE_S) == 0, common.tail(folder)
    assert common.records(folder) == common.records(whole), "records differ"
    return {"same_bytes": True, "said": said.replace(str(folder), "")}


def clock_backwards(place: Path, whole: Path) -> dict[str, Any]:
    """All that was trained is older than its orders, as if the clock had gone back a day in between."""
    folder = fresh(place)
    common.finish(folder)
    yesterday = time.time() - 86_400
    for path in (folder / "results" / "long" / "CartPole-v1").rglob("*"):
        if path.is_file() and path.name != "cell.json":
            os.utime(path, (yesterday, yesterday))
    before = {path: path.stat().st_mtime for path in (folder / "results").rglob("run.json")}
    same(folder, whole)
    again = [str(path) for path, at in before.items() if path.stat().st_mtime != at]
    assert not again, f"trained again: {again}"
    return {"same_bytes": True, "trained_again": 0}


def hangs(place: Path, whole: Path) -> dict[str, Any]:
    """An environment whose step never returns, once; the suite has a time limit."""
    module = """
import pathlib, time, gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
FLAG, STEPS = pathlib.Path("hung"), [0]
class Hangs(CartPoleEnv):
    def step(self, action):
        STEPS[0] += 1
        if STEPS[0] == 3000 and not FLAG.exists():
            FLAG.touch()
            time.sleep(10_000)
        return super().step(action)
gymnasium.register("Hangs-v0", Hangs, max_episode_steps=500)
"""
    options = {
        "environments": ["hanging:Hangs-v0"],
        "budgets": {"default": 20_000},
        "checkpoint_every": 1_000,
    }
    suite = {**LONG, **options, "time_limit": 60 / 3600}
    folder = fresh(place, suite)
    (folder / "hanging.py").write_text(module)
    ended = common.run(folder, *CORES)
    assert ended.returncode == 0, ended.stderr[-1500:]
    assert (folder / "hung").exists()
    resumed = [
        json.loads(path.read_text())["times_resumed"] for path in (folder / "results").rglob("run.json")
    ]
    said = {
        "rlparity": line(ended.stderr, "time limit").replace(f"{folder}/", ""),
        "where it hung": line(ended.stderr, "hanging.py").replace(f"{folder}/", ""),
    }
    return {"times_resumed": sum(resumed), "said": said}


def lost_memory(place: Path, whole: Path) -> dict[str, Any]:
    """Snakemake's own folder is gone."""
    folder = fresh(place)
    common.finish(folder)
    shutil.rmtree(folder / ".snakemake")
    before = {path: path.stat().st_mtime for path in (folder / "results").rglob("run.json")}
    same(folder, whole)
    again = [str(path) for path, at in before.items() if path.stat().st_mtime != at]
    assert not again, f"trained again: {again}"
    return {"same_bytes": True, "trained_again": 0}


TRIALS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    "SIGKILL at random moments": kills,
    "SIGINT, SIGTERM": signals,
    "out-of-memory kill": out_of_memory,
    "disk full while recording and checkpointing": full_while_training,
    "disk full while reporting": full_while_reporting,
    "read-only results": read_only,
    "damaged records": damaged_records,
    "damaged checkpoints": damaged_checkpoints,
    "two runs at once": twice_at_once,
    "clock going backwards": clock_backwards,
    "a cell that hangs": hangs,
    "lost .snakemake": lost_memory,
}


if __name__ == "__main__":
    sys.exit(main())
