"""Update parity as tables: parity.csv with differences and parity_cases.csv with the configurations."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from rlparity.validation.checks import Check
from rlparity.validation.parity import cases as parity_cases
from rlparity.validation.parity import compare as parity
from rlparity.validation.parity.cases import Case
from rlparity.validation.parity.judgement import BESIDE_ITSELF, TOLERANCES, Finding, Row
from rlparity.validation.tables import Line, origin, replace_rows

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


def make(algorithms: Sequence[str], dtypes: Sequence[str], folder: Path, say: Callable[[str], None]) -> bool:
    """Compare these agents, or all if none is named, and show a line for each configuration; returns whether
    all passed.

    Rows of other algorithms and precisions in the tables stay. UserError for an unknown name.
    """
    torch.set_num_threads(1)
    names = list(dict.fromkeys(algorithms)) or list(parity_cases.ALGORITHMS)
    for name in names:
        parity_cases.of(name)
    rows: list[Line] = []
    cases: list[Line] = []
    made = origin()
    for case, dtype, finding, check in parity.findings(names, dtypes):
        say(str(check))
        rows += [_row(row) for row in (*finding.rows, *finding.floor)] if finding else []
        cases.append({**_case(case, dtype, finding, check), **made})
    replaced = {_compared(case) for case in cases}
    replace_rows(folder / "parity.csv", Row._fields, rows, _compared, replaced, _place())
    replace_rows(folder / "parity_cases.csv", CASES, cases, _compared, replaced, _place())
    return all(case["passed"] for case in cases)


def _row(row: Row) -> Line:
    sizes = ("max_relative_difference", "tolerance")
    return {**row._asdict(), **{name: f"{getattr(row, name):.3g}" for name in sizes}}


def _case(case: Case, dtype: str, finding: Finding | None, check: Check) -> Line:
    problem = "" if check.passed else check.detail
    return {
        "algorithm": case.algorithm,
        "configuration": case.name,
        "dtype": dtype,
        "passed": check.passed,
        "first_difference": str(finding.first) if finding and finding.first else problem,
        "seconds": f"{check.seconds:.2f}",
        "options": json.dumps({**case.options, **case.own}, sort_keys=True),
    }


def _compared(row: Line) -> tuple[str, str]:
    return row["algorithm"], row["dtype"]


def _place() -> Callable[[Line], int]:
    """The place of a row in the tables: by precision, then by case."""
    keys = [(case.algorithm, case.name, dtype) for dtype in TOLERANCES for case in parity_cases.CASES]
    places = {key: place for place, key in enumerate(keys)}

    def place(row: Line) -> int:
        case = row["configuration"].removesuffix(BESIDE_ITSELF)
        return places.get((row["algorithm"], case, row["dtype"]), len(places))

    return place
