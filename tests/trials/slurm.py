"""A real SLURM of two nodes, and what may happen on one: `make test-slurm`.

Suite `smoke` goes through it and must leave the bytes that a local run leaves. Then, in one training each: a
job is cancelled, a trainer is killed, a node goes down, and Snakemake itself is killed while its jobs run and
is started again. After each the suite must be complete, its records those of an uninterrupted run, and no
cell may have been trained twice at once. What was seen is written to reports/slurm/record.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import common
from common import CELL, PATIENCE_S, ROOT, Process

CLUSTER = Path(__file__).with_name("cluster.sh")
SMOKE = "suite smoke, here and there"
SLURM = (
    "--profile",
    "profiles/slurm",
    "--slurm-init-seconds-before-status-checks",
    "5",
    "--latency-wait",
    "20",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=[SMOKE, *TRIALS], default=[SMOKE, *TRIALS])
    parser.add_argument("--record", type=Path, default=ROOT / "reports" / "slurm" / "record.json")
    chosen = parser.parse_args()
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="rlparity-slurm-") as text:
        place = Path(text)
        place.chmod(0o755)  # munge has a user of its own
        with cluster(place / "cluster"):
            said = subprocess.run(["sinfo", "--version"], capture_output=True, text=True).stdout.strip()
            if SMOKE in chosen.only:
                found.append(common.told(SMOKE, smoke, place))
            wanted = [name for name in TRIALS if name in chosen.only]
            if wanted:
                whole = common.copy(place / "whole")
                common.finish(whole)
                expected = common.records(whole)
                found += [common.told(name, disturbed, place, name, expected) for name in wanted]
    facts = {**common.about("snakemake-executor-plugin-slurm"), "slurm": said, "nodes": 2}
    return common.write_record(chosen.record, facts, found)


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    subprocess.run([CLUSTER, "up", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["scancel", "--user=root"], check=False)
        subprocess.run([CLUSTER, "down", folder], check=False)


def smoke(place: Path) -> dict[str, Any]:
    """The same suite here and there."""
    here, there = common.copy(place / "smoke-local"), common.copy(place / "smoke-slurm")
    common.finish(here, suite="smoke")
    process = common.start(there, *SLURM, suite="smoke")
    assert process.wait(PATIENCE_S) == 0, common.tail(there)
    ours, theirs = common.records(here, "smoke"), common.records(there, "smoke")
    assert ours == theirs, "records differ"
    assert (there / "reports" / "smoke" / "index.html").is_file()
    return {"records": len(ours), "same_bytes": True, "jobs": submitted(there)}


def disturbed(place: Path, name: str, expected: dict[str, str]) -> dict[str, Any]:
    """A suite whose one long cell is disturbed once it has a checkpoint."""
    folder = common.copy(place / re.sub(r"\W+", "-", name))
    process = common.start(folder, *SLURM)
    common.under_way(folder, process)
    process = TRIALS[name](folder, holder(folder)["job"], process)
    assert process.wait(PATIENCE_S) == 0, common.tail(folder)
    assert common.records(folder) == expected, "records differ from those of an uninterrupted run"
    made = json.loads((folder / CELL / "run.json").read_text(encoding="utf-8"))
    waited = waiting(folder)
    return {
        "same_bytes": True,
        "times_resumed": made["times_resumed"],
        "jobs": submitted(folder),
        **({"waited": waited} if waited else {}),
    }


def holder(folder: Path) -> dict[str, str]:
    """Who holds the cell's lock."""
    claim = common.wait_for("a claim", lambda: list((folder / CELL).glob(".claim-*")))[0]
    found: dict[str, str] = {k: str(v) for k, v in json.loads(claim.read_text(encoding="utf-8")).items()}
    assert found["job"], "the lock names no job"
    return found


def waiting(folder: Path) -> str:
    """What a job said that found the cell held."""
    return next((line for line in common.train_log(folder) if line.startswith("waiting: ")), "")


def submitted(folder: Path) -> int:
    """Jobs that went to SLURM, those sent again included."""
    text = (folder / "snakemake.log").read_text(encoding="utf-8", errors="replace")
    return len(re.findall(r"SLURM jobid '?\d+", text))


def cancel(folder: Path, job: str, process: Process) -> Process:
    subprocess.run(["scancel", job], check=True)
    return process


def kill_trainer(folder: Path, job: str, process: Process) -> Process:
    os.kill(int(holder(folder)["process"]), signal.SIGKILL)
    return process


def node_down(folder: Path, job: str, process: Process) -> Process:
    """The node of the job goes down, and is brought back once the suite has ended."""
    asked = ["squeue", "-h", "-j", job, "-o", "%N"]
    node = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=down", "reason=trial"], check=True)
    until = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < until:
        time.sleep(1)
    resume = ["scontrol", "update", f"nodename={node}", "state=resume"]
    subprocess.run(resume, check=False, capture_output=True)  # it may have come back by itself
    return process


def kill_snakemake(folder: Path, job: str, process: Process) -> Process:
    """Its jobs run on; a second Snakemake sends the cell again, whose trainer must wait for the first."""
    process.kill()
    process.wait()
    before = holder(folder)
    common.finish(folder, "--unlock", "--cores", "1")
    again = common.start(folder, *SLURM)
    common.wait_for("a second job that waits", lambda: waiting(folder), again)
    assert holder(folder)["process"] == before["process"], "a second trainer took over from a living one"
    return again


TRIALS: dict[str, Callable[[Path, str, Process], Process]] = {
    "scancel of a running cell": cancel,
    "SIGKILL of a trainer": kill_trainer,
    "a node set down": node_down,
    "kill -9 of Snakemake, and a new run": kill_snakemake,
}


if __name__ == "__main__":
    sys.exit(main())
