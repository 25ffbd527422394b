"""Records of a cell of our own from those of other blocks with the same seeds.

On the CPU a seed has the same rows in any block, so that a block that is divided, or put together again, need
not be trained anew. An entry in the list `vouched` of run.json names the blocks that the rows are from.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rlparity import records
from rlparity.arms import OURS
from rlparity.cell import Cell
from rlparity.provenance import fingerprint
from rlparity.runs import pending

SAME_SEEDS = "same seeds"  # kind of an entry in `vouched`
HASHED = ("episodes.parquet", "evaluations.parquet")
ARM = ("environment", "implementation", "algorithm")
ORIGIN = ("source_hash", "git", "versions", "hardware")  # of run.json, on which the blocks must agree
TIMES = ("training_time_s", "evaluation_time_s", "wall_time_s", "startup_time_s")
Found = tuple[Path, Mapping[str, Any]]  # a folder of records, and its run.json


def damaged(folder: Path, run: Mapping[str, Any]) -> str | None:
    """The name of a file that is not the one whose hash run.json has."""
    hashes = run.get("hashes", {})
    for name in HASHED:
        file = folder / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != hashes.get(name):
            return name
    return None


def beside(folder: Path) -> list[Found]:
    """The finished records of other blocks in the folder that a cell's `folder` lies in."""
    return [one for one in _finished(folder.parent) if one[0] != folder]


def _finished(arm: Path) -> list[Found]:
    runs = ((file.parent, pending.finished(file.parent)) for file in sorted(arm.glob("seeds-*/run.json")))
    return [(folder, run) for folder, run in runs if run is not None]


def ready(cells: Iterable[Cell], results: Path) -> list[Cell]:
    """Those of these cells, none of them trained, whose seeds finished blocks in `results` have."""
    found: dict[Path, list[Found]] = {}
    chosen = []
    for cell in cells:
        folder = results / cell.folder
        if folder.parent not in found:
            found[folder.parent] = _finished(folder.parent)
        if sources(cell, (one for one in found[folder.parent] if one[0] != folder)):
            chosen.append(cell)
    return chosen


def sources(cell: Cell, found: Iterable[Found]) -> list[Found]:
    """Those of these records that together hold every seed of a cell; empty if they do not.

    They are valid for blocks that differ from the cell in their seeds alone. Several are taken only where the
    same code made them on the same kind of machine, because one run.json describes them all.
    """
    if cell.implementation != OURS or cell.candidate or cell.device != "cpu" or not cell.fingerprint:
        return []
    groups: dict[str, list[Found]] = defaultdict(list)
    for folder, run in found:
        if _is_valid(cell, run) and damaged(folder, run) is None:
            groups[json.dumps([run.get(part) for part in ORIGIN], sort_keys=True)].append((folder, run))
    covers = (cover for group in groups.values() if (cover := _cover(cell, group)))
    return min(covers, key=len, default=[])


def _is_valid(cell: Cell, run: Mapping[str, Any]) -> bool:
    """Whether records are valid for the cell but for its seeds, of which they have some."""
    theirs = run.get("cell", {})
    if any(theirs.get(name) != getattr(cell, name) for name in ARM):
        return False
    seeds = tuple(theirs.get("seeds", ()))
    if not set(seeds) & set(cell.seeds):
        return False
    other = replace(cell, seeds=seeds)
    return replace(other, fingerprint=fingerprint.of(other)).accepts(run)


def _cover(cell: Cell, group: Sequence[Found]) -> list[Found]:
    """As few of these records as hold every seed, the largest first; empty if some seed is missing."""
    missing, chosen = set(cell.seeds), []
    for one in sorted(group, key=lambda one: -len(missing.intersection(one[1]["cell"]["seeds"]))):
        if held := missing.intersection(one[1]["cell"]["seeds"]):
            missing -= held
            chosen.append(one)
    return [] if missing else chosen


def write(cell: Cell, folder: Path, blocks: Sequence[Found]) -> None:
    """Write the records of a cell from `sources`, run.json last."""
    (folder / "run.json").unlink(missing_ok=True)
    taken = _seeds_of(cell, blocks)
    for kind in records.SCHEMAS:
        records.write_table(folder, kind, _rows(kind, taken, blocks))
    run = _describe(cell, taken, blocks)
    run["hashes"] = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in HASHED}
    run["policies"] = _policies(cell, folder, taken, blocks)
    records.write_bytes(folder / "run.json", json.dumps(run, indent=1, sort_keys=True).encode())


def _seeds_of(cell: Cell, blocks: Sequence[Found]) -> list[list[int]]:
    """The seeds that each block gives; one that several have is from the first of them."""
    left, taken = list(cell.seeds), []
    for _, run in blocks:
        taken.append([seed for seed in left if seed in run["cell"]["seeds"]])
        left = [seed for seed in left if seed not in taken[-1]]
    return taken


def _rows(kind: str, taken: Sequence[Sequence[int]], blocks: Sequence[Found]) -> pa.Table:
    """The rows of the seeds, in the order in which a training writes them; none where a block has no file."""
    tables = [records.SCHEMAS[kind].empty_table()]
    for (folder, _), seeds in zip(blocks, taken, strict=True):
        if (file := folder / f"{kind}.parquet").is_file():
            table = records.current(kind, pq.read_table(file))
            tables.append(table.filter(pc.field("seed").isin(seeds)))
    whole = pa.concat_tables(tables)
    if len(blocks) > 1:
        whole = whole.sort_by([("env_step", "ascending"), ("seed", "ascending")])
    return whole.combine_chunks()


def _describe(cell: Cell, taken: Sequence[Sequence[int]], blocks: Sequence[Found]) -> dict[str, Any]:
    """run.json but for the files: that of the blocks' training, with the seeds' share of its times."""
    runs = [run for _, run in blocks]
    shares = [len(seeds) / len(run["cell"]["seeds"]) for seeds, run in zip(taken, runs, strict=True)]
    times = {name: sum(share * run[name] for share, run in zip(shares, runs, strict=True)) for name in TIMES}
    steps = (
        share * run["steps_per_second"] * run["training_time_s"]
        for share, run in zip(shares, runs, strict=True)
    )
    reasons = {seed: reason for run in runs for seed, reason in run.get("failed_seeds", {}).items()}
    failed = {str(seed): reasons[str(seed)] for seed in cell.seeds if str(seed) in reasons}
    first = runs[0]
    vouched = list(first.get("vouched", ()))
    entry = {
        "by": SAME_SEEDS,
        "of": [
            {"cell": Cell.from_json(json.dumps(run["cell"])).block, "hashes": run["hashes"]} for run in runs
        ],
        "fingerprint": cell.fingerprint,
        "source_hash": fingerprint.source_hash(cell),
        "git": [first, *vouched][-1]["git"],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {
        **first,
        **times,
        "status": "failed" if failed else "done",
        "failed_seeds": failed,
        "cell": json.loads(cell.to_json()),
        "steps_per_second": sum(steps) / times["training_time_s"] if times["training_time_s"] else None,
        "peak_memory_mib": max(
            (memory for run in runs if (memory := run.get("peak_memory_mib"))), default=None
        ),
        "started": min(run["started"] for run in runs),
        "times_resumed": max(run.get("times_resumed", 0) for run in runs),
        "resumes_exactly": all(run.get("resumes_exactly", True) for run in runs),
        "format": records.FORMAT,
        "vouched": [*vouched, entry],
    }


def _policies(
    cell: Cell, folder: Path, taken: Sequence[Sequence[int]], blocks: Sequence[Found]
) -> dict[str, Any]:
    """Write the policies that the blocks have; returns their description for run.json."""
    from rlparity.runs import saved_policies  # imports PyTorch

    into = folder / "checkpoint"
    for name in saved_policies.FILES.values():
        (into / name).unlink(missing_ok=True)
    given = [(place / "checkpoint", run, seeds) for (place, run), seeds in zip(blocks, taken, strict=True)]
    saved_policies.regroup(cell, into, given)
    return saved_policies.describe(cell, into)
