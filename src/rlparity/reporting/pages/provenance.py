"""Where the numbers of a report come from: commits, dates, seeds, failures, hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlparity.reporting.formatting import NONE, join, percent, seconds, whole
from rlparity.reporting.pages.elements import Table
from rlparity.reporting.report_files import TABLES
from rlparity.reporting.report_folder import Folder


def heading(folder: Folder) -> str:
    """The title of a report, marked as unfinished where the suite is."""
    plan = folder.plan
    unfinished = plan.get("interim") or failed_seeds(folder, unfinished=True)
    return str(plan.get("title") or plan["name"]) + " (unfinished)" * bool(unfinished)


def facts(folder: Folder, confirmed: str = "") -> list[tuple[str, str]]:
    """The facts below the title; `confirmed`: what a live check of shipped references found."""
    plan = folder.plan
    return [
        ("Trained", dates(folder)),
        ("Commit", join(commits(folder), 3) if folder.runs else NONE),
        ("Environments", join(plan["environments"])),
        ("Seeds", seeds_each(folder)),
        ("Device", join(devices(folder), 3)),
        ("Margin", f"{percent(plan.get('margin'))}, stated before the run"),
        ("References", _references(plan, confirmed)),
    ]


def _references(plan: Mapping[str, Any], confirmed: str) -> str:
    """Where the records of references are from."""
    words = {"train": "trained with this suite", "shipped": "shipped records"}
    text = words.get(plan.get("references", ""), NONE)
    own = [
        f"{arm.replace('/', ' ')}, trained with this suite: {why}"
        for arm, why in plan.get("unshipped", {}).items()
    ]
    return "; ".join(filter(None, [text, confirmed, *own]))


def commits(folder: Folder) -> list[str]:
    """The commits that made the runs: `0123456789ab`, with `+ uncommitted changes` where there were some."""
    seen = []
    for run in folder.runs:
        git = run.get("git") or {}
        name = str(git.get("commit") or "unknown")[:12] + (
            " + uncommitted changes" if git.get("dirty") else ""
        )
        if name not in seen:
            seen.append(name)
    return seen


def vouched(folder: Folder) -> list[str]:
    """How records made by other sources were shown to be valid, by which commits, and how many of them.

    An entry of `vouched` in run.json has `env_step` where a seed was retrained up to that step and compared
    with the record: entries before it do not matter any more. `by` is "same rows" (short trainings with the
    sources of two commits), "same sources" (another kind of fingerprint) or "same seeds" (rows of other
    blocks).
    """
    retrained: dict[str, list[int]] = {}
    compared: dict[tuple[str, str], int] = {}
    unchanged: dict[str, int] = {}
    regrouped = 0
    for run in folder.runs:
        regrouped += any("of" in entry for entry in run.get("vouched", ()))
        seen = set()
        for entry in reversed(run.get("vouched", [])):
            kind, commit = entry.get("by"), _commit(entry)
            if "of" in entry:
                continue
            if "env_step" in entry:
                share = 100 * entry["env_step"] // run["cell"]["budget"]
                retrained.setdefault(commit, []).append(share)
                break
            if kind not in seen and kind == "same rows":
                key = (commit, entry["against"][:12])
                compared[key] = compared.get(key, 0) + 1
            elif kind not in seen:
                unchanged[commit] = unchanged.get(commit, 0) + 1
            seen.add(kind)
    total, lines = len(folder.runs), []
    for commit, reached in retrained.items():
        low, high = min(reached), max(reached)
        part = f"{low} %" if low == high else f"{low} % to {high} %"
        lines.append(
            f"{len(reached)} of {total} records, by commit {commit}: "
            f"of each kind one seed was trained again, to the same rows over the first {part} of its budget"
        )
    lines += [
        f"{count} of {total} records, by commit {commit}: short trainings of each kind had the same rows "
        f"with the sources of commit {against}, on one machine"
        for (commit, against), count in compared.items()
    ]
    lines += [
        f"{count} of {total} records, by commit {commit}: another kind of fingerprint, of the same sources"
        for commit, count in unchanged.items()
    ]
    lines += [f"{regrouped} of {total} records: rows of the same seeds in other blocks"] if regrouped else []
    return lines


def _commit(entry: Mapping[str, Any]) -> str:
    return str(entry["git"]["commit"])[:12]


def devices(folder: Folder) -> list[str]:
    """The devices of the runs: `cpu (Intel Xeon, 2 cores)`, `cuda (NVIDIA H200)`; else those of the plan."""
    seen = [_machine(run["cell"], run.get("hardware") or {}) for run in folder.runs]
    seen = seen or [_device(cell) for cell in folder.plan.get("cells", [])]
    return list(dict.fromkeys(seen)) or [NONE]


def _machine(cell: Mapping[str, Any], hardware: Mapping[str, Any]) -> str:
    cores = f"{hardware['cores']} cores" if hardware.get("cores") else ""
    parts = [hardware.get("gpu")] if _device(cell) == "cuda" else [hardware.get("cpu"), cores]
    text = ", ".join(str(part) for part in parts if part)
    return f"{_device(cell)} ({text})" if text else _device(cell)


def _device(cell: Mapping[str, Any]) -> str:
    """The device of a cell; cells of older records do not name one and ran on the processor."""
    return str(cell.get("device", "cpu"))


def dates(folder: Folder) -> str:
    """The days on which the cells were started, first to last."""
    days = sorted({str(run.get("started", ""))[:10] for run in folder.runs} - {""})
    return NONE if not days else days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"


def seeds_each(folder: Folder, environment: str | None = None) -> str:
    """`5 seeds each`, or `5 to 20 seeds`, counted in the scores; if there are none yet, in the curves."""
    scores, curves = folder.tables["scores"], folder.tables["seed_curves"]
    ended = scores[(scores.endpoint == "final") & scores.value.notna()]
    for rows, how in ((ended, ""), (curves, ", unfinished")):
        here = rows[~rows.algorithm.isin(folder.baselines)]
        here = here if environment is None else here[here.environment == environment]
        counts = here.groupby(["environment", "implementation", "algorithm"]).seed.nunique()
        if len(counts):
            low, high = int(counts.min()), int(counts.max())
            many = f"{low} seed{'s' * (low != 1)}" if low == high else f"{low} to {high} seeds"
            return f"{many} each{how}"
    return "no seeds"


def failed_seeds(folder: Folder, unfinished: bool = False) -> list[str]:
    """Seeds that failed, with the reason; or those that had not reached the end when the report was made."""
    lines = []
    for run in folder.runs:
        if (run.get("status") == "unfinished") != unfinished:
            continue
        cell, broken = run["cell"], run.get("failed_seeds", {})
        name = f"{cell['implementation']} {cell['algorithm']} on {cell['environment']}"
        lines += [f"{name}, seed {seed}: {broken[seed]}" for seed in sorted(broken, key=int)]
    return lines


def missing_cells(folder: Folder) -> list[str]:
    """Cells of the plan that left no record."""
    there = {cell_name(run["cell"]) for run in folder.runs}
    wanted = [cell_name(cell) for cell in folder.plan.get("cells", [])]
    return [name for name in wanted if name not in there]


def cell_name(cell: dict[str, Any]) -> str:
    """A cell in words."""
    seeds = cell["seeds"]
    block = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
    return f"{cell['implementation']} {cell['algorithm']} on {cell['environment']}, {block}"


def sha256(file: Path) -> str:
    """Hexadecimal digits; none where there is no such file."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def provenance(folder: Folder) -> dict[str, Any]:
    """Commits, versions, hardware, cells and hashes, by which the numbers can be made again."""
    versions: dict[str, list[str]] = {}
    hardware: list[str] = []
    cells = []
    for run in folder.runs:
        brought = f"{run['cell']['implementation']}: " if run["cell"].get("candidate") else ""
        for name, version in sorted(run.get("versions", {}).items()):
            package = f"{brought}{name}"
            if str(version) not in versions.setdefault(package, []):
                versions[package].append(str(version))
        machine = run.get("hardware") or {}
        parts = [machine.get("cpu"), machine.get("gpu"), machine.get("machine")]
        text = f"{_device(run['cell'])}: " + ", ".join(str(part) for part in parts if part)
        text += f", {machine.get('cores', '?')} cores, {machine.get('threads', '?')} thread(s) per cell"
        if text not in hardware:
            hardware.append(text)
        episodes = run.get("hashes", {}).get("episodes.parquet", "")
        row = [
            cell_name(run["cell"]),
            str(run.get("status", "")),
            str(run.get("started", ""))[:16].replace("T", " "),
        ]
        row += [seconds(run.get("wall_time_s")), whole(run.get("times_resumed", 0))]
        cells.append([*row, str(run.get("fingerprint", ""))[:12], episodes[:12]])
    head = ["cell", "status", "started", "wall time", "resumed", "fingerprint", "episodes.parquet"]
    files = [(f"{name}.csv", sha256(folder.path / f"{name}.csv")) for name in TABLES]
    return {
        "commits": commits(folder),
        "vouched": vouched(folder),
        "versions": Table(
            ["package", "version"], [[name, ", ".join(seen)] for name, seen in sorted(versions.items())]
        ),
        "hardware": hardware,
        "cells": Table(head, cells, "plan.json", frozenset({3, 4})),
        "tables": [(name, digest) for name, digest in files if digest],
    }
