"""What trials share: a copy of the project to disturb, runs of Snakemake in it, records to compare."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCES = ("Snakefile", "environment.yml", "requirements.lock", "profiles", "src", "workflow")
LONG: dict[str, Any] = {
    "name": "long",
    "title": "Long enough to be disturbed",
    "environments": ["CartPole-v1"],
    "algorithms": ["random", "ppo"],
    "implementations": ["scratch"],
    "seeds": ["0-1"],
    "budgets": {"default": 150_000, "random": 2_000},
    "evaluation": {"points": 4, "episodes": 5, "final_episodes": 10},
    "checkpoint_every": 10_000,
}
CELL = Path("results/long/CartPole-v1/scratch/ppo/seeds-0-1")
PATIENCE_S = 900
Process = subprocess.Popen[bytes]


def told(name: str, trial: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """One trial, its time and whether it passed, told as it ends."""
    started = time.monotonic()
    try:
        found = {"passed": True, **trial(*arguments)}
    except (AssertionError, TimeoutError, subprocess.SubprocessError, OSError) as error:
        found = {"passed": False, "failed": " ".join(str(error).split())[-2000:]}
    result = {"trial": name, **found, "seconds": round(time.monotonic() - started, 1)}
    print(json.dumps(result), flush=True)
    return result


def about(*packages: str) -> dict[str, str]:
    """When, at which commit, with which versions."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=ROOT)
    versions = {name: importlib.metadata.version(name) for name in ("snakemake", *packages)}
    when = datetime.now(UTC).isoformat(timespec="seconds")
    return {"when": when, "commit": commit.stdout.strip(), **versions}


def write_record(path: Path, facts: dict[str, Any], trials: list[dict[str, Any]]) -> int:
    """Leave the record; trials that were not made again stay. The exit status says whether all passed."""
    before = json.loads(path.read_text(encoding="utf-8"))["trials"] if path.exists() else []
    made = {trial["trial"]: {**trial, **facts} for trial in trials}
    kept = {trial["trial"]: trial for trial in before} | made
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"trials": list(kept.values())}, indent=1) + "\n", encoding="utf-8")
    return 0 if all(trial["passed"] for trial in trials) else 1


def copy(folder: Path, suite: dict[str, Any] | None = None) -> Path:
    """The project without results and reports, and a suite `long` in it."""
    folder.mkdir(parents=True)
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    path = folder / "workflow" / "suites" / "long.yaml"
    path.write_text(json.dumps(LONG if suite is None else suite), encoding="utf-8")
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Of processes in a copy."""
    paths = os.pathsep.join([str(folder / "src"), str(folder)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def snakemake(folder: Path, *options: str, suite: str = "long") -> list[str]:
    """The command line."""
    return ["snakemake", "--configfile", f"workflow/suites/{suite}.yaml", *options]


def start(folder: Path, *options: str, suite: str = "long") -> Process:
    """Snakemake in the background, in a group of processes of its own; what it says goes to snakemake.log."""
    with (folder / "snakemake.log").open("ab") as log:
        return subprocess.Popen(
            snakemake(folder, *options, suite=suite),
            cwd=folder,
            env=environment(folder),
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(
                signal.SIGINT, signal.SIG_DFL
            ),  # jobs in the background ignore it
        )


def run(folder: Path, *options: str, suite: str = "long") -> subprocess.CompletedProcess[str]:
    """Snakemake to its end."""
    return subprocess.run(
        snakemake(folder, *options, suite=suite),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def finish(folder: Path, *options: str, suite: str = "long") -> str:
    """Snakemake to a good end; what it said."""
    ended = run(folder, *(options or ("--cores", "2")), suite=suite)
    assert ended.returncode == 0, ended.stderr[-1500:]
    return ended.stderr


def tail(folder: Path) -> str:
    """The end of what Snakemake said in the background."""
    return (folder / "snakemake.log").read_text(encoding="utf-8", errors="replace")[-1500:]


def records(folder: Path, suite: str = "long") -> dict[str, str]:
    """Hashes of what promises to be the same bytes."""
    found = {}
    for path in sorted((folder / "results" / suite).rglob("e*.parquet")):
        if "tables" not in path.parts:
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    assert found, "no records"
    return found


def wait_for(what: str, happened: Callable[[], Any], process: Process | None = None) -> Any:
    """Poll until something is true; AssertionError if the process ends before."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if found := happened():
            return found
        assert process is None or process.poll() is None, f"it ended before {what}"
        time.sleep(0.1)
    raise TimeoutError(f"no {what} within {PATIENCE_S} s")


def under_way(folder: Path, process: Process) -> None:
    """Wait until the long cell has a checkpoint."""
    wait_for("a checkpoint", lambda: (folder / CELL / "checkpoint" / "state.pt").exists(), process)


def train_log(folder: Path) -> list[str]:
    """Lines that the long cell has said, without the place of the copy."""
    path = folder / CELL / "train.log"
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return text.replace(f"{folder}/", "").splitlines()
