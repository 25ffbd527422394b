"""Live check of a reference: train one seed here, and compare it with its shipped record.

On the same kind of machine every row must be the same. On another one sums may round differently, and a
training soon takes another course: there the seed's score is compared with those of all shipped seeds, when
the report is made (`analysis.live_checks`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rlparity import records
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.provenance import host
from rlparity.runs import pending
from rlparity.runs.run_cell import check_code, run_cell
from rlparity.shipped_records.retrain import KINDS, Difference, compare_row, row_name

FILE = "check.json"
FOLDER = "live"  # in the results of a suite, beside the folders of its environments


def folder_of(cell: Cell, results: Path) -> Path:
    """Where the training of a live check leaves its records."""
    suite, *rest = cell.folder.parts
    return results / suite / FOLDER / Path(*rest)


def waiting(cells: list[Cell], results: Path) -> list[Cell]:
    """Those of these cells whose live check is still to be trained."""
    return [cell for cell in cells if not pending.up_to_date(cell, folder_of(cell, results))]


def check(cell: Cell, shipped: Path, folder: Path, started: float | None = None) -> dict[str, Any]:
    """Train the one seed of `cell` in `folder`, compare it with the records in `shipped`, write FILE.

    Returns its content: `difference`, the first row that differs, or None; `same_machine`, whether both were
    made on machines that round alike, as far as is known; the processors.
    """
    check_code(cell)
    if not pending.up_to_date(cell, folder):
        run_cell(cell, folder, started)
    then, now = (_run(where) for where in (shipped, folder))
    known = then.get("hardware") or {}
    found = {
        "cell": json.loads(cell.to_json()),
        "difference": first_difference(shipped, folder),
        "same_machine": cell.device == "cpu"  # sums on a GPU have no fixed order
        and bool(known.get("instructions"))
        and _rounding(known) == _rounding(now["hardware"]),
        "shipped_on": str(known.get("cpu") or "an unknown processor"),
        "trained_on": str(now["hardware"]["cpu"]),
    }
    records.write_bytes(folder / FILE, (json.dumps(found, indent=1) + "\n").encode())
    return found


def _rounding(hardware: Mapping[str, Any]) -> str:
    """What the last bits of a reference depend on: our own kernel does not compute it."""
    return host.rounding({**hardware, "kernel": None})


def _run(folder: Path) -> dict[str, Any]:
    run = pending.finished(folder)
    if run is None:
        raise UserError(f"{folder}: no finished records")
    return run


def first_difference(then: Path, now: Path) -> str | None:
    """The first row of evaluations and episodes, in the order of training, in which two records of a seed
    differ; None if every row is the same to the last bit."""
    for old, new in zip_longest(_rows(then), _rows(now)):
        try:
            if old is None or new is None:
                kind, row = old or new
                what = "is new" if old is None else "is in the record, and did not come again"
                return f"{row_name(kind, row)} {what}"
            if old[0] != new[0]:
                return f"{row_name(*new)} came where the record has {row_name(*old)}"
            compare_row(old[0], new[1], old[1])
        except Difference as difference:
            return str(difference)
    return None


def _rows(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Kind and content of all rows. At a step the episode that ends there comes before the evaluation."""
    rows = []
    for kind in KINDS:
        table: pa.Table = records.current(kind, pq.read_table(folder / f"{kind}.parquet"))
        rows += [(row["env_step"], kind, i, row) for i, row in enumerate(table.to_pylist())]
    return ((kind, row) for _, kind, _, row in sorted(rows, key=lambda row: row[:3]))


def gather(cells: list[Cell], results: Path) -> list[tuple[dict[str, Any], pa.Table]]:
    """What the live checks of these cells left: FILE and the evaluations; without those that were not run."""
    found = []
    for cell in cells:
        folder = folder_of(cell, results)
        file = folder / FILE
        if file.is_file() and pending.up_to_date(cell, folder):
            table = records.current("evaluations", pq.read_table(folder / "evaluations.parquet"))
            found.append((json.loads(file.read_text(encoding="utf-8")), table))
    return found
