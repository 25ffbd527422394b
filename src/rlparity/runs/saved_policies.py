"""Save the policy at the first, the middle and the last evaluation, for films.

Of a block of seeds the first seed is saved; `agent.pt`, the last policy, holds all of them. Which environment
step each stands for follows from the cell alone, so that a training that was interrupted needs no notes.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.training import checkpoint_files
from rlparity.training.recorder import State

FILES = {"first": "agent-first.pt", "middle": "agent-middle.pt", "last": checkpoint_files.FILE}


def steps(cell: Cell) -> dict[str, int]:
    """Environment step of each policy. A protocol of one point, or of fewer steps than N, has no middle.

    The middle is the first evaluation at or after half of the budget, on the clock of the loop, which
    advances by `n_envs`.
    """
    n, points = cell.n_envs, cell.evaluation.points
    half = -(-points // 2) * cell.budget  # points of the budget, as is env_step * points
    middle = -(-half // (points * n)) * n
    return {"first": 0, **({"middle": middle} if middle < cell.budget else {}), "last": cell.budget}


class SavedPolicies:
    """An `OnPolicy` that writes a policy at once, so that an interruption loses nothing."""

    def __init__(self, cell: Cell, folder: Path):
        """`folder` is the cell's checkpoint folder."""
        self._cell, self._folder = cell, folder
        self._names = {step: name for name, step in steps(cell).items() if name != "last"}

    def __call__(self, env_step: int, state: Callable[[], State]) -> None:
        """Save the policy if it is one of the two. Where the disk does not take it, go on without."""
        name = self._names.get(env_step)
        try:
            if name == "first":  # what an earlier training left is of other policies
                (self._folder / FILES["middle"]).unlink(missing_ok=True)
            if name is not None:
                checkpoint_files.save(self._folder, of_seed(self._cell, state(), 0), FILES[name])
        except OSError as error:
            reason = error.strerror or error
            print(f"rlparity: {self._folder}: no film of the {name} policy ({reason})", file=sys.stderr)


def of_seed(cell: Cell, state: State, index: int) -> State:
    """One seed of a block, still with a seed axis; references have none, and their cells one seed.

    Raises ValueError where a tensor is not of all seeds of the cell.
    """
    if cell.implementation != "scratch":
        return state
    n_seeds = len(cell.seeds)
    for name, value in state.items():
        if value.ndim == 0 or value.shape[0] != n_seeds:
            raise ValueError(f"{name} is of shape {tuple(value.shape)}, not of {n_seeds} seeds")
    return {name: value[index : index + 1] for name, value in state.items()}


def describe(cell: Cell, folder: Path) -> dict[str, dict[str, Any]]:
    """For run.json: the policies in a checkpoint folder, each with its environment step and sha256."""
    return {
        name: {"env_step": step, "sha256": _sha256(folder / FILES[name])}
        for name, step in steps(cell).items()
        if (folder / FILES[name]).is_file()
    }


def regroup(cell: Cell, folder: Path, given: Sequence[tuple[Path, Mapping[str, Any], Sequence[int]]]) -> None:
    """Write into `folder` the policies of a cell whose seeds other blocks have trained.

    `given` are their checkpoint folders, their run.json and the seeds that each gives. A policy that is not
    at hand is left out: the last one of all seeds, the first and the middle one of the cell's first seed.
    """
    states: dict[int, State] = {}
    for place, run, seeds in given:
        theirs = list(run["cell"]["seeds"])
        for name in FILES:
            file = place / FILES[name]
            if not file.is_file() or _sha256(file) != run.get("policies", {}).get(name, {}).get("sha256"):
                continue
            state = checkpoint_files.load(place, file.name)
            if name == "last":
                block = replace(cell, seeds=tuple(theirs))
                states |= {seed: of_seed(block, state, theirs.index(seed)) for seed in seeds}
            elif theirs[0] == cell.seeds[0]:
                checkpoint_files.save(folder, state, FILES[name])
    if states.keys() == set(cell.seeds):
        whole = {
            name: torch.cat([states[seed][name] for seed in cell.seeds]) for name in states[cell.seeds[0]]
        }
        checkpoint_files.save(folder, whole)


def load(cell: Cell, folder: Path, name: str) -> State:
    """The first seed's policy from the folder of a finished cell, with a seed axis of one.

    Raises UserError where there is none, or not the one whose hash run.json has: records may be restored
    into a folder that holds the policies of another training.
    """
    file = folder / "checkpoint" / FILES[name]
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    shipped = not pq.read_metadata(folder / "progress.parquet").num_rows  # progress never is
    there = _sha256(file) if file.is_file() else None
    saved = run.get("policies", {} if shipped else {"last": {"sha256": there}})  # once, only the last was
    if there is None or there != saved.get(name, {}).get("sha256"):
        missing = "its policy was not saved in training"
        raise UserError("its records were restored, and come without policies" if shipped else missing)
    state = checkpoint_files.load(file.parent, file.name)
    return of_seed(cell, state, 0) if name == "last" else state


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
