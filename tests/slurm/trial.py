"""A real SLURM of two nodes, and what may happen on one: `make test-slurm`.

Suite `smoke` goes through it and must leave the bytes that a local run leaves. Then, in one training each: a
job is cancelled, a trainer is killed, a node goes down, and Snakemake itself is killed while its jobs run and
is started again. After each the suite must be complete, its records those of an uninterrupted run, and no
cell may have been trained twice at once. What was seen is written to reports/slurm/record.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "tests" / "slurm" / "cluster.sh"
SOURCES = ("Snakefile", "environment.yml", "requirements.lock", "profiles", "src", "workflow")
QUICK = ("--slurm-init-seconds-before-status-checks", "5", "--latency-wait", "20")
LONG = {
    "name": "long",
    "title": "Long enough to be disturbed",
    "environments": ["CartPole-v1"],
    "algorithms": ["random", "ppo"],
    "implementations": ["scratch"],
    "seeds": ["0-1"],
    "budgets": {"default": 400_000, "random": 2_000},
    "evaluation": {"points": 4, "episodes": 5, "final_episodes": 10},
    "checkpoint_every": 20_000,
}
CELL = Path("results/long/CartPole-v1/scratch/ppo/seeds-0-1")
PATIENCE_S = 900


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[*TRIALS, "smoke"], default=["smoke", *TRIALS])
    parser.add_argument("--record", type=Path, default=ROOT / "reports" / "slurm" / "record.json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rlparity-slurm-") as text:
        place = Path(text)
        place.chmod(0o755)  # munge has a user of its own
        with cluster(place / "cluster"):
            found: list[dict[str, Any]] = []
            if "smoke" in chosen.only:
                found.append(told("smoke", smoke, place))
            wanted = [name for name in TRIALS if name in chosen.only]
            if wanted:
                whole = local(place / "whole", long_suite)
                expected = records(whole, "long")
                found += [told(name, disturbed, place, name, expected) for name in wanted]
    chosen.record.parent.mkdir(parents=True, exist_ok=True)
    chosen.record.write_text(json.dumps({**about(), "trials": found}, indent=1) + "\n", encoding="utf-8")
    return 0 if all(trial["passed"] for trial in found) else 1


def told(name: str, trial: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """One trial, its time and whether it passed, told as it ends."""
    started = time.monotonic()
    try:
        found = {"passed": True, **trial(*arguments)}
    except (AssertionError, TimeoutError, subprocess.SubprocessError) as error:
        found = {"passed": False, "failed": " ".join(str(error).split())[-2000:]}
    result = {"trial": name, **found, "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps(result), flush=True)
    return result


def about() -> dict[str, Any]:
    """When and with what."""
    versions = {
        name: subprocess.run([name, "--version"], capture_output=True, text=True).stdout.strip()
        for name in ("sinfo", "snakemake")
    }
    plugin = "snakemake-executor-plugin-slurm"
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "slurm": versions["sinfo"],
        "snakemake": versions["snakemake"],
        plugin: __import__("importlib.metadata").metadata.version(plugin),
        "nodes": 2,
    }


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    subprocess.run([CLUSTER, "up", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["scancel", "--user=root"], check=False)
        subprocess.run([CLUSTER, "down", folder], check=False)


# --- runs


def copy(folder: Path) -> Path:
    """The project without results and reports."""
    folder.mkdir(parents=True)
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def long_suite(folder: Path) -> str:
    path = folder / "workflow" / "suites" / "long.yaml"
    path.write_text(json.dumps(LONG), encoding="utf-8")
    return str(path.relative_to(folder))


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(folder / "src"), "OMP_NUM_THREADS": "1"}


def local(folder: Path, suite: Callable[[Path], str]) -> Path:
    copy(folder)
    command = ["snakemake", "--cores", "2", "--configfile", suite(folder)]
    run(command, folder)
    return folder


def run(command: list[str], folder: Path) -> None:
    ended = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert ended.returncode == 0, ended.stderr[-1500:]


def on_slurm(folder: Path, suite: str, *more: str) -> subprocess.Popen[bytes]:
    command = ["snakemake", "--profile", "profiles/slurm", "--configfile", suite, *QUICK, *more]
    log = (folder / "snakemake.log").open("ab")
    return subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=log, stderr=log)


def records(folder: Path, suite: str) -> dict[str, str]:
    """Hashes of what promises to be the same bytes."""
    found = {}
    for path in sorted((folder / "results" / suite).rglob("e*.parquet")):
        if "tables" not in path.parts:
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found, "no records"
    return found


def wait_for(what: str, happened: Callable[[], Any], process: subprocess.Popen[bytes] | None = None) -> Any:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if found := happened():
            return found
        assert process is None or process.poll() is None, f"Snakemake ended before {what}"
        time.sleep(0.2)
    raise TimeoutError(f"no {what} within {PATIENCE_S} s")


# --- trials


def smoke(place: Path) -> dict[str, Any]:
    """The same suite here and there."""
    here = local(place / "smoke-local", lambda folder: "workflow/suites/smoke.yaml")
    there = copy(place / "smoke-slurm")
    process = on_slurm(there, "workflow/suites/smoke.yaml")
    assert process.wait(PATIENCE_S) == 0, tail(there)
    ours, theirs = records(here, "smoke"), records(there, "smoke")
    assert ours == theirs, "records differ"
    assert (there / "reports" / "smoke" / "index.html").is_file()
    return {"records": len(ours), "same_bytes": True, "jobs": submitted(there)}


def disturbed(place: Path, name: str, expected: dict[str, str]) -> dict[str, Any]:
    """A suite whose one long cell is disturbed once it has a checkpoint."""
    folder = copy(place / name.replace(" ", "-"))
    suite = long_suite(folder)
    process = on_slurm(folder, suite)
    wait_for("checkpoint", lambda: (folder / CELL / "checkpoint" / "state.pt").exists(), process)
    job = holder(folder)["job"]
    process = TRIALS[name](folder, suite, job, process)
    assert process.wait(PATIENCE_S) == 0, tail(folder)
    assert records(folder, "long") == expected, "records differ from those of an uninterrupted run"
    made = json.loads((folder / CELL / "run.json").read_text(encoding="utf-8"))
    writers = wait_lines(folder)
    return {
        "same_bytes": True,
        "times_resumed": made["times_resumed"],
        "jobs": submitted(folder),
        **({"waited": writers} if writers else {}),
    }


def holder(folder: Path) -> dict[str, str]:
    """Who holds the cell's lock."""
    claim = wait_for("claim", lambda: list((folder / CELL).glob(".claim-*")))[0]
    found: dict[str, str] = {k: str(v) for k, v in json.loads(claim.read_text(encoding="utf-8")).items()}
    assert found["job"], "the lock names no job"
    return found


def wait_lines(folder: Path) -> str:
    log = folder / CELL / "train.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return next((line for line in lines if line.startswith("waiting: ")), "").replace(str(folder), "")


def submitted(folder: Path) -> int:
    """Jobs that went to SLURM, those sent again included."""
    text = (folder / "snakemake.log").read_text(encoding="utf-8", errors="replace")
    return len(re.findall(r"SLURM jobid '?\d+", text))


def tail(folder: Path) -> str:
    return (folder / "snakemake.log").read_text(encoding="utf-8", errors="replace")[-1500:]


Process = subprocess.Popen[bytes]


def cancel(folder: Path, suite: str, job: str, process: Process) -> Process:
    subprocess.run(["scancel", job], check=True)
    return process


def kill_trainer(folder: Path, suite: str, job: str, process: Process) -> Process:
    os.kill(int(holder(folder)["process"]), signal.SIGKILL)
    return process


def node_down(folder: Path, suite: str, job: str, process: Process) -> Process:
    """The node of the job stops answering for good, and is brought back in the end."""
    node = subprocess.run(
        ["squeue", "-h", "-j", job, "-o", "%N"], capture_output=True, text=True, check=True
    ).stdout.strip()
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=down", "reason=trial"], check=True)
    until = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < until:
        time.sleep(1)
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=True)
    return process


def kill_snakemake(folder: Path, suite: str, job: str, process: Process) -> Process:
    """Its jobs run on; a second Snakemake sends the cell again, whose trainer must wait for the first."""
    process.kill()
    process.wait()
    before = holder(folder)
    run(["snakemake", "--unlock", "--cores", "1", "--configfile", suite], folder)
    again = on_slurm(folder, suite)
    wait_for("second job that waits", lambda: wait_lines(folder), again)
    assert holder(folder)["process"] == before["process"], "a second trainer took over from a living one"
    return again


TRIALS: dict[str, Callable[[Path, str, str, Process], Process]] = {
    "scancel of a running cell": cancel,
    "SIGKILL of a trainer": kill_trainer,
    "a node set down": node_down,
    "kill -9 of Snakemake, and a new run": kill_snakemake,
}


if __name__ == "__main__":
    sys.exit(main())
