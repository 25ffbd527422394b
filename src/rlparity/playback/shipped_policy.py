"""The policy that a report carries beside the records of a cell: the last one of its first seed.

Parameters alone, named as in `checkpoint/agent.pt`, and the hash of the evaluations that it belongs to: one
of other records is never played. Networks that only training needs are left out of references' policies.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.runs import pending, saved_policies
from rlparity.training import checkpoint_files
from rlparity.training.recorder import State

FILE = "policy.pt"
LARGEST = 2**20  # bytes; larger ones are not shipped
HASH = "records"  # the name of the hash among the parameters
EVALUATIONS = "evaluations.parquet"
TARGETS = ("critic", "critic_target", "actor_target", "q_net_target", "quantile_net_target")
UNUSED = tuple(f"policy.{name}." for name in TARGETS)  # of Stable-Baselines3, when a policy acts


def save(folder: Path, state: State, evaluations: str) -> int:
    """Write the policy of one seed, of the evaluations with this sha256; returns its bytes.

    One that is larger than `LARGEST` is not kept.
    """
    kept = {name: value.cpu() for name, value in state.items() if not name.startswith(UNUSED)}
    kept[HASH] = torch.frombuffer(bytearray(bytes.fromhex(evaluations)), dtype=torch.uint8)
    checkpoint_files.save(folder, kept, FILE)
    size = (folder / FILE).stat().st_size
    if size > LARGEST:
        (folder / FILE).unlink()
    return size


def load(folder: Path, run: Mapping[str, Any]) -> State:
    """The policy beside a run.json, of its first seed. Raises UserError where it is not of these records."""
    state = checkpoint_files.load(folder, FILE)
    found = state.pop(HASH, torch.empty(0, dtype=torch.uint8))
    if bytes(found.tolist()).hex() not in evaluations_of(run):
        raise UserError(f"{folder / FILE}: the policy of other records")
    return state


def is_valid(folder: Path, run: Mapping[str, Any]) -> bool:
    """Whether a folder has the policy of a run."""
    try:
        return (folder / FILE).is_file() and bool(load(folder, run))
    except UserError:
        return False


def evaluations_of(run: Mapping[str, Any]) -> list[str]:
    """The sha256 of a run's evaluations, and of those of other blocks that they are from."""
    others = (block["hashes"] for entry in run.get("vouched", ()) for block in entry.get("of", ()))
    return [hashes[EVALUATIONS] for hashes in (run.get("hashes", {}), *others) if EVALUATIONS in hashes]


def is_other(run: Mapping[str, Any], file: Path) -> bool:
    """Whether a file of parameters is there and is not the last policy of the run, by its hash."""
    kept = run.get("policies", {}).get("last", {}).get("sha256")
    return file.is_file() and kept is not None and _sha256(file) != kept


def trained(cell: Cell, folder: Path, run: Mapping[str, Any]) -> State | None:
    """The last policy of the cell's first seed where a training in `folder` left it, and the same records."""
    there, file = pending.finished(folder), folder / "checkpoint" / checkpoint_files.FILE
    if there is None or not file.is_file() or evaluations_of(there)[:1] != evaluations_of(run)[:1]:
        return None
    if _sha256(file) != there.get("policies", {}).get("last", {}).get("sha256"):
        return None
    return saved_policies.of_seed(cell, checkpoint_files.load(file.parent), 0)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
