"""Measure how long Snakemake takes to plan suites, before the first job starts."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

from rlparity import project_files, registry
from rlparity.errors import UserError
from rlparity.provenance import host
from rlparity.records import write_bytes
from rlparity.suites.costs.forecast import DAG

COLUMNS = ("cells", "seconds", "seconds_again", "hardware", "versions", "commit")


def measure(sizes: Sequence[int], reports: Path) -> None:
    """Time dry runs of suites with these numbers of cells, and write `benchmark/dag.csv`.

    Column `seconds`: `cell.json` of all cells is written; `seconds_again`: all are there.
    """
    rows = []
    for size in sizes:
        first, second = _dry_runs(size)
        print(f"{size:,} cells: {first:.1f} s, second time {second:.1f} s", file=sys.stderr)
        rows.append([size, round(first, 2), round(second, 2), *_where()])
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    write_bytes(reports / DAG, text.getvalue().encode())


def _where() -> tuple[str, str, str]:
    hardware, versions = host.hardware(), host.versions()
    about = f"{hardware['cpu']}, {hardware['cores']} cores"
    return about, f"snakemake {versions['snakemake']}", host.git()["commit"] or ""


def _dry_runs(size: int) -> tuple[float, float]:
    suite = {
        "name": "dag",
        "title": "Only planned",
        "environments": ["CartPole-v1"],
        "algorithms": ["ppo"],
        "implementations": list(registry.IMPLEMENTATIONS),
        "seeds": list(range(max(size // 2, 1))),
        "budgets": {"default": 100_000},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "dag.yaml")
        file.write_text(json.dumps(suite), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "snakemake", "--dry-run", "--quiet", "all", "--cores", "1"]
        command += ["--snakefile", str(project_files.SNAKEFILE)]
        command += ["--configfile", str(file), "--directory", folder]
        return _timed(command), _timed(command)


def _timed(command: list[str]) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"bench: the dry run failed: {done.stderr.strip()[-300:]}")
    return time.perf_counter() - started
