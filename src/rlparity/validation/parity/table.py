"""Update parity of all our agents as files: parity.csv, and parity_cases.csv with what was compared."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rlparity import records
from rlparity.provenance import host
from rlparity.validation.checks import Check
from rlparity.validation.parity import cases as parity_cases
from rlparity.validation.parity import compare as parity
from rlparity.validation.parity.cases import Case
from rlparity.validation.parity.judgement import BESIDE_ITSELF, TOLERANCES, Finding, Row

CASES = (  # columns of parity_cases.csv
    "algorithm",
    "configuration",
    "dtype",
    "passed",
    "first_difference",
    "seconds",
    "options",
    "hardware",
    "versions",
    "commit",
)
PACKAGES = ("torch", "stable-baselines3", "sb3-contrib", "gymnasium", "numpy")
Line = Mapping[str, Any]


def make(algorithms: Sequence[str], dtypes: Sequence[str], folder: Path, say: Callable[[str], None]) -> bool:
    """Compare those agents, or all if none is named, a line for each configuration; returns whether all
    passed.

    Rows of other algorithms and precisions that are in `folder` already stay. UserError for an unknown name.
    """
    torch.set_num_threads(1)
    names = list(dict.fromkeys(algorithms)) or list(parity_cases.ALGORITHMS)
    for name in names:
        parity_cases.of(name)
    rows: list[Line] = []
    cases: list[Line] = []
    made = _made()
    for case, dtype, finding, check in parity.findings(names, dtypes):
        say(str(check))
        rows += [_row(row) for row in (*finding.rows, *finding.floor)] if finding else []
        cases.append({**_case(case, dtype, finding, check), **made})
    _save(folder / "parity.csv", Row._fields, rows, cases)
    _save(folder / "parity_cases.csv", CASES, cases, cases)
    return all(case["passed"] for case in cases)


def _row(row: Row) -> Line:
    sizes = ("max_relative_difference", "tolerance")
    return {**row._asdict(), **{name: f"{getattr(row, name):.3g}" for name in sizes}}


def _case(case: Case, dtype: str, finding: Finding | None, check: Check) -> Line:
    trouble = "" if check.passed else check.detail
    return {
        "algorithm": case.algorithm,
        "configuration": case.name,
        "dtype": dtype,
        "passed": check.passed,
        "first_difference": str(finding.first) if finding and finding.first else trouble,
        "seconds": f"{check.seconds:.2f}",
        "options": json.dumps({**case.options, **case.own}, sort_keys=True),
    }


def _made() -> Line:
    """Where and with what."""
    hardware, versions = host.hardware(), host.versions()
    return {
        "hardware": f"{hardware['cpu']}, {hardware['cores']} cores",
        "versions": ", ".join(f"{name} {versions[name]}" for name in PACKAGES if name in versions),
        "commit": host.git()["commit"] or "",
    }


def _save(path: Path, columns: Sequence[str], rows: Iterable[Line], compared: Iterable[Line]) -> None:
    """Write a table, whole or not at all: new rows, and those of what was not `compared` again."""
    again = {(line["algorithm"], line["dtype"]) for line in compared}
    kept: list[Line] = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            kept = [line for line in csv.DictReader(file) if (line["algorithm"], line["dtype"]) not in again]
    order = {case: place for place, case in enumerate(_order())}
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(sorted([*kept, *rows], key=lambda line: order.get(_who(line), len(order))))
    records.write_bytes(path, text.getvalue().encode())


def _who(line: Line) -> tuple[str, str, str]:
    return line["algorithm"], line["configuration"].removesuffix(BESIDE_ITSELF), line["dtype"]


def _order() -> list[tuple[str, str, str]]:
    """Precisions apart, cases as they are listed."""
    dtypes = TOLERANCES
    return [(case.algorithm, case.name, dtype) for dtype in dtypes for case in parity_cases.CASES]
