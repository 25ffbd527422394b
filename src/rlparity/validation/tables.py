"""CSV tables of validation results, updated in part, and what their rows have in common."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlparity import records
from rlparity.provenance import host

Line = Mapping[str, Any]
PACKAGES = ("python", "torch", "numpy", "gymnasium", "stable-baselines3", "sb3-contrib")


def measured(row: Line) -> float:
    """The return in a record of a training episode, or the value in a record of an evaluation."""
    found: float = row["episode_return"] if "episode_return" in row else row["value"]
    return found


def versions() -> dict[str, str]:
    """Installed versions of the packages that validation depends on."""
    installed = host.versions()
    return {name: installed[name] for name in PACKAGES if name in installed}


def origin() -> dict[str, str]:
    """The columns `hardware`, `versions` and `commit`."""
    hardware = host.hardware()
    return {
        "hardware": f"{hardware['cpu']}, {hardware['cores']} cores",
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        "commit": host.git()["commit"] or "",
    }


def replace_rows(
    file: Path,
    columns: Sequence[str],
    rows: Sequence[Line],
    key: Callable[[Line], Any],
    replaced: Collection[Any],
    order: Callable[[Line], Any],
) -> None:
    """Write `rows` into a table in place of those whose key is in `replaced`, all sorted by `order`. Values
    of rows that are not in `columns` are left out. The file is written atomically."""
    present: list[Line] = []
    if file.exists():
        with file.open(encoding="utf-8", newline="") as content:
            present = [row for row in csv.DictReader(content) if key(row) not in replaced]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(sorted([*present, *rows], key=order))
    records.write_bytes(file, text.getvalue().encode())
