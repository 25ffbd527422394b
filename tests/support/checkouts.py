"""A copy of the repository in which commands are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from forks import Server

Completed = subprocess.CompletedProcess[str]
ROOT = Path(__file__).parents[2]


def copied(path: Path) -> None:
    """Copy what the pipeline needs of the repository."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("src", "workflow", "profiles"):
        shutil.copytree(ROOT / name, path / name, ignore=ignored)
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, path)


class Checkout:
    """A copy of the repository in which commands are run."""

    def __init__(self, path: Path, server: Server):
        self.path, self.server = path, server
        self.environment = {"PYTHONPATH": str(path / "src"), "OMP_NUM_THREADS": "1"}

    def run(self, *command: str) -> Completed:
        environment = {**os.environ, **self.environment}
        return subprocess.run(
            [sys.executable, *command], cwd=self.path, env=environment, capture_output=True, text=True
        )

    def snakemake(self, *arguments: str, suites: Sequence[str] = ("tiny.yaml",)) -> Completed:
        return self.server.run([*arguments, "--configfile", *suites], self.path, self.environment)

    def plan(self, *arguments: str) -> tuple[set[tuple[str, str, str]], Counter[str]]:
        """Cells that would be trained, and how often each other rule would run."""
        done = self.snakemake("--dry-run", *arguments)
        assert done.returncode == 0, done.stderr
        jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", done.stderr, re.MULTILINE)
        cells = set()
        for rule, details in jobs:
            if rule == "train":
                match = re.search(r"implementation=(\S+), algorithm=(\S+), seeds=(\S+)", details)
                assert match is not None
                cells.add((match[1], match[2], match[3]))
        return cells, Counter(rule for rule, _ in jobs if rule not in ("train", "all"))

    def edit(self, name: str, old: str = "", new: str = "", append: str = "") -> None:
        file = self.path / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1) + append)

    def edit_classes(self, name: str) -> None:
        """Add a constant to every class of a module."""
        file = self.path / name
        text, count = re.subn(r"^(class \w+.*:)$", r"\1\n    ADDED = 1", file.read_text(), flags=re.MULTILINE)
        assert count
        file.write_text(text)
