"""Records that a report ships, as older sources made them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rlparity.cell import Cell
from rlparity.runs import run_cell

OLD = {"fingerprint": "of older sources", "source_hash": "older"}


def ship(cell: Cell, folder: Path) -> None:
    """Train a cell; its run.json names older sources."""
    run_cell.run_cell(cell, folder)
    for name in (".lock", "progress.parquet"):
        (folder / name).unlink()
    amend(folder, **OLD)


def amend(folder: Path, **changes: Any) -> None:
    run = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(run | changes, indent=1, sort_keys=True))
