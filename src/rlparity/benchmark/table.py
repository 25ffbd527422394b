"""The table throughput.csv: its rows, and which of them stay when others are measured."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from rlparity.arms import OURS, is_peer
from rlparity.benchmark import plan
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.provenance import host
from rlparity.records import write_bytes

CIRCUMSTANCES = ("environment", "settings", "threads", "device", "hardware")
KEY = ("algorithm", "environment", "settings", "implementation", "seeds", "threads", "device", "hardware")
RATIOS = ("ratio_to_reference", "ratio_min", "ratio_max")
COLUMNS = (
    *KEY,
    "steps_per_second",
    "ratio_to_reference",
    "peak_memory_mib",
    "ratio_min",
    "ratio_max",
    "reference_steps_per_second",
    "rounds",
    "budget",
    "gflops",
    "machine_gflops",
    "configuration",
    "versions",
    "commit",
    "kernel",
    "core",
    "compile_s",
    "critic_share",
    "rates",
)
WHOLE = ("seeds", "threads", "rounds", "budget")  # numbers that every row has
NUMBERS = (*RATIOS, "reference_steps_per_second", "peak_memory_mib", "core")  # others may be missing, or 0
MEDIANS = ("gflops", "machine_gflops", "compile_s", "critic_share")
NAMED = ("torch", "stable-baselines3", "sb3-contrib", "gymnasium", "mujoco", "ale-py", "numpy")  # versions
Measured = Mapping[str, Any]  # of one run: `steps_per_second`, `peak_memory_mib` and what else is known


def row(cell: Cell, measured: Sequence[Measured], beside: Sequence[Measured]) -> dict[str, Any]:
    """One row; `beside` are the reference's measurements of the same rounds."""
    rates, theirs = ([one["steps_per_second"] for one in many] for many in (measured, beside))
    ratios = [rate / reference for rate, reference in zip(rates, theirs, strict=True)]
    configuration = {"n_envs": cell.n_envs, "normalize": cell.normalize, **cell.hyperparameters}
    memory = [one["peak_memory_mib"] for one in measured if "peak_memory_mib" in one]
    return {
        "algorithm": cell.algorithm,
        "environment": cell.environment,
        "implementation": cell.implementation,
        "seeds": len(cell.seeds),
        "threads": 1,
        "device": cell.device,
        "hardware": _hardware(cell.device),
        "steps_per_second": round(median(rates), 1),
        "ratio_to_reference": round(median(ratios), 3),
        "peak_memory_mib": round(max(memory), 1) if memory else "",
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "reference_steps_per_second": round(median(theirs), 1),
        "rounds": len(ratios),
        "budget": cell.budget,
        **{name: _median(measured, name) for name in MEDIANS},
        "configuration": json.dumps(configuration, sort_keys=True),
        "versions": ", ".join(f"{name} {version}" for name, version in _versions(measured[0]).items()),
        "commit": measured[0].get("commit") or host.git()["commit"] or "",
        "kernel": measured[0].get("kernel", ""),
        "rates": json.dumps([round(rate, 1) for rate in rates]),
    }


def _hardware(device: str) -> str:
    hardware = host.hardware()
    gpu = [hardware["gpu"]] if device == "cuda" else []
    return ", ".join([*gpu, f"{host.processor()}, {hardware['cores']} cores"])


def _versions(one: Measured) -> Mapping[str, str]:
    """Of a run's packages: those that it told, a peer its own, else those of this process."""
    known = host.versions()
    found: Mapping[str, str] = one.get("versions") or {name: known[name] for name in NAMED if name in known}
    return found


def _median(measured: Sequence[Measured], name: str) -> float | str:
    values = [m[name] for m in measured if name in m]
    return round(median(values), 2) if values else ""


def save(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write throughput.csv. Rows measured earlier stay, unless the same cell was measured anew.

    Rows of older versions lack the reference's rate in their own rounds. They lose their ratios once that
    reference is measured anew, because what the ratios were taken against is no longer in the table.
    """
    earlier: list[dict[str, Any]] = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            blank = {**dict.fromkeys(COLUMNS, ""), "settings": plan.TUNED}
            earlier = [{**blank, **row} for row in csv.DictReader(file)]
    anew = {(row["algorithm"], *_circumstances(row)) for row in rows if _is_reference(row)}
    for row in earlier:
        if row["implementation"] == OURS and not row["reference_steps_per_second"]:
            reference = _reference(row["algorithm"], row["environment"])
            if (reference, *_circumstances(row)) in anew:
                row |= dict.fromkeys(RATIOS, "")
    kept = {tuple(str(row[name]) for name in KEY): row for row in (*earlier, *rows)}
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(kept[key] for key in sorted(kept, key=lambda key: (*key[:4], int(key[4]), *key[5:])))
    write_bytes(path, text.getvalue().encode())


def check(row: Mapping[str, Any]) -> None:
    """Raise ValueError or TypeError for a row of a file that is not one of this table."""
    if set(row) - set(COLUMNS) or not set(KEY) <= set(row):
        raise ValueError(f"its columns are {', '.join(map(str, row))}")
    if not (all(int(row[name]) > 0 for name in WHOLE) and 0 < float(row["steps_per_second"]) < math.inf):
        raise ValueError(f"a speed or one of {', '.join(WHOLE)} is not above 0")
    for name in (*NUMBERS, *MEDIANS):
        if row.get(name) and not 0 <= float(row[name]) < math.inf:
            raise ValueError(f"{name} is {row[name]!r}, which is no size")
    for name, kind in (("configuration", dict), ("rates", list)):
        if row.get(name) and not isinstance(json.loads(row[name]), kind):
            raise ValueError(f"{name} is {row[name]!r}, expected JSON of a {kind.__name__}")
    for name, value in row.items():
        if not (value or "").isprintable():
            raise ValueError(f"{name} has characters that cannot be printed")
    if not all(row[name] for name in KEY):
        raise ValueError(f"one of {', '.join(KEY)} is missing")


def _is_reference(row: Mapping[str, Any]) -> bool:
    return row["implementation"] != OURS and not is_peer(row["implementation"])


def _circumstances(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in CIRCUMSTANCES)


@cache
def _reference(algorithm: str, environment: str) -> str:
    """The configuration of the reference that an algorithm is measured beside."""
    try:
        return plan.cells(algorithm, environment, ())[0].algorithm
    except UserError:  # no longer known
        return algorithm
