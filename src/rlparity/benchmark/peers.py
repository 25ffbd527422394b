"""Peers: libraries whose speed is measured beside ours, each in an environment and by a script of its own.

`workflow/envs/<peer>.txt` pins an environment, which is made at first use below the folder of results;
`workflow/peers/<peer>.py` takes settings as JSON and prints what it measured as one line of JSON.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rlparity import project_files
from rlparity.arms import PEERS
from rlparity.benchmark.table import Measured
from rlparity.benchmark.throughput import Other
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.runs.run_cell import configuration

ENVIRONMENTS = ".envs"  # below the folder of results
PLACES = (("ppo", "CartPole-v1"), ("dqn", "CartPole-v1"))  # what the scripts can run
TOGETHER = ("rejax",)  # peers that train many seeds at once; others are measured with one
ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
}


def chosen(text: str) -> list[str]:
    """Names of peers, separated by commas. Raises UserError for others."""
    names = list(dict.fromkeys(text.split(",")))
    if wrong := [name for name in names if name not in PEERS]:
        raise UserError(f"bench: --peers {wrong[0]!r}; allowed are {', '.join(PEERS)}")
    return names


def other(name: str, results: Path) -> Other:
    """A peer as what is measured beside ours; its environment is made if it is not there."""
    folder = project_files.PROJECT / "workflow"
    python = environment(name, folder / "envs" / f"{name}.txt", results)
    script = folder / "peers" / f"{name}.py"
    return Other(partial(cells, name), partial(run, python, script))


def cells(name: str, ours: Sequence[Cell]) -> list[Cell]:
    """A peer's cells beside ours of one configuration: of as many seeds where it can, else of one."""
    able = [cell for cell in ours if (cell.algorithm, cell.environment) in PLACES and cell.device == "cpu"]
    own = [replace(cell, implementation=name) for cell in able]
    return own if name in TOGETHER else [replace(cell, seeds=(0,)) for cell in own[:1]]


def run(python: Path, script: Path, cell: Cell) -> Measured:
    """Run a peer's script in a process of its own; returns what it measured."""
    asked = {
        "agent": cell.agent,
        "environment": cell.environment,
        "seeds": len(cell.seeds),
        "budget": cell.budget,
        "n_envs": cell.n_envs,
        "hyperparameters": configuration(replace(cell, implementation="scratch")),
    }
    command = [str(python), "-P", str(script), json.dumps(asked)]  # -P: the script has the library's name
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, capture_output=True, text=True, env={**own, **ONE_THREAD})
    try:
        if done.returncode:
            raise ValueError(f"exit status {done.returncode}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if not found["steps_per_second"] > 0:
            raise ValueError("no speed")
        return found
    except (ValueError, IndexError, KeyError, TypeError) as error:
        told = _last_line(done.stderr) or _last_line(done.stdout) or str(error)
        raise UserError(f"bench: {script.name} measured nothing: {told}") from None


def environment(name: str, requirements: Path, results: Path) -> Path:
    """The Python of a peer's environment, made of its pinned requirements if it is not there yet.

    Raises UserError where it cannot be made. What is half made is never taken for an environment.
    """
    content = f"{sys.version_info[:2]}{requirements.read_text(encoding='utf-8')}"
    shelf = results.resolve() / ENVIRONMENTS
    folder = shelf / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    if not folder.exists():
        print(f"making the environment of {name}, once: {folder}", file=sys.stderr)
        shelf.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=shelf))
        try:
            _make(name, requirements, made)
            if not folder.exists():  # another process may have been quicker
                made.rename(folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    return _python(folder)


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _make(name: str, requirements: Path, folder: Path) -> None:
    """Make a virtual environment with uv if it is there, else with venv and pip."""
    uv = shutil.which("uv")
    if uv:
        first = [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(folder)]
        second = [uv, "pip", "install", "--quiet", "--python", str(_python(folder))]
    else:
        first = [sys.executable, "-m", "venv", str(folder)]
        second = [str(_python(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in (first, [*second, "-r", str(requirements)]):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            told = _last_line(done.stderr) or f"exit status {done.returncode}"
            raise UserError(f"bench: the environment of {name} cannot be made ({requirements.name}): {told}")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [""])[-1][:300]
