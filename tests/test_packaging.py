"""pyproject.toml, requirements.lock, environment.yml and the Makefile say the same."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import rlparity

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINES = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if line and line[0] != "#"]
LOCK = {canonicalize_name(Requirement(line).name): Requirement(line) for line in LINES}
WANTED = [
    Requirement(text)
    for text in [
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["slurm"],
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["build-system"]["requires"],
    ]
]


def locked(name: str) -> Version:
    return Version(next(iter(LOCK[canonicalize_name(name)].specifier)).version)


def test_lock_is_exact_sorted_and_free_of_local_builds() -> None:
    for line in LINES:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*( ; .+)?", line), line
    assert list(LOCK) == sorted(LOCK) and len(LOCK) == len(LINES)


@pytest.mark.parametrize("wanted", WANTED, ids=str)
def test_what_the_project_wants_is_locked_at_a_version_it_accepts(wanted: Requirement) -> None:
    assert canonicalize_name(wanted.name) in LOCK
    assert locked(wanted.name) in wanted.specifier


def test_lock_is_closed_under_requirements() -> None:
    """Everything that a locked package needs is locked too, extras that the project asks for included."""
    waiting = list(WANTED)
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        assert key[0] in LOCK, f"{wanted} is not in requirements.lock"
        for text in metadata.requires(wanted.name) or []:
            inner = Requirement(text)
            if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in ("", *wanted.extras)):
                waiting.append(inner)
    assert {name for name, _ in seen} >= set(LOCK), "the lock holds what nobody needs"


def test_conda_environment_takes_everything_from_the_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, packages = environment["dependencies"]
    assert python == "python=3.11" and pip == "pip"
    assert packages == {"pip": ["-r requirements.lock", "-e ."]}


def test_python_versions() -> None:
    """One was run; it is named the same everywhere."""
    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.12"
    assert PROJECT["tool"]["ruff"]["target-version"] == "py311"
    assert "version_info[:2] != (3, 11)" in (ROOT / "Makefile").read_text()
    assert "python:3.11-" in (ROOT / "Dockerfile").read_text()
    assert "resolves, not run" in (ROOT / "docs" / "guide" / "install.md").read_text()


@pytest.mark.parametrize(
    "name", ["Dockerfile", "environment.yml", ".github/workflows/test.yml", ".snakemake-workflow-catalog.yml"]
)
def test_a_file_for_another_place_begins_with_whether_it_was_run(name: str) -> None:
    first = (ROOT / name).read_text().splitlines()[0]
    assert re.match(r"# .*(not|Not|never|Never|Run on \d{4}-\d\d-\d\d)\b", first), first


def test_hosted_tests_run_the_same_script() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]
    commands = [step.get("run", "") for step in jobs["test"]["steps"]]
    assert any(".ci/run" in command for command in commands)
    versions = {
        step["with"]["python-version"]
        for job in jobs.values()
        for step in job["steps"]
        if "python" in step.get("uses", "")
    }
    assert versions == {"3.11"}


def test_the_image_installs_what_is_locked() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "ARG DEVICE=cpu" in text and "-r requirements.lock" in text
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".venv", "results"} <= set(ignored) and not {"workflow", "reports", "src"} & set(ignored)


def test_command_and_version() -> None:
    assert PROJECT["project"]["scripts"] == {"rlparity": "rlparity.__main__:main"}
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == rlparity.__version__
    assert f"## {rlparity.__version__}" in (ROOT / "CHANGELOG.md").read_text()
    assert "MIT License" in (ROOT / "LICENSE").read_text()


def test_make_tells_in_one_line_that_venv_is_missing(tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\n')
    python.chmod(0o755)
    arguments = ["make", "-f", str(ROOT / "Makefile"), "-C", str(tmp_path), f"PYTHON={python}", "install"]
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode != 0
    ours = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert ours == [f"rlparity: {python} lacks venv or ensurepip; on Debian: apt-get install python3-venv"]


def test_make_clean_removes_results_only() -> None:
    recipe = (ROOT / "Makefile").read_text().split("\nclean:\n")[1].split("\n\n")[0]
    assert recipe.strip() == "find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +"


def test_what_only_linux_has_is_asked_for_where_it_may_be_missing() -> None:
    """Names that macOS lacks stand beside a check for them, in these modules alone."""
    guarded = {"provenance/host.py", "benchmark/pinning.py", "environments/probing/before_training.py"}
    named = re.compile(r"sched_[gs]etaffinity|prctl|mallopt|/proc/")
    guards = ("hasattr(os", 'sys.platform == "linux"', 'sys.platform != "linux"', "except OSError")
    found = {}
    for file in (ROOT / "src" / "rlparity").rglob("*.py"):
        text = file.read_text()
        if named.search(text):
            found[str(file.relative_to(ROOT / "src" / "rlparity"))] = any(guard in text for guard in guards)
    assert guarded <= set(found) and all(found.values()), found
    rules = [file.read_text() for file in (ROOT / "workflow").rglob("*.smk")]
    assert rules and not any(named.search(text) for text in rules)
