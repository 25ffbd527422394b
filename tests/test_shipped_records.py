"""Every record that a committed report ships is valid under the code beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlparity.shipped_records import restore
from rlparity.suites import suite

REPORTS = Path(__file__).parent.parent / "reports"
SUITES = sorted(folder.parent.name for folder in REPORTS.glob("*/records"))


def stale(name: str) -> tuple[int, list[str]]:
    """How many records the report of a suite ships, and those that no cell of the suite accepts."""
    plan = suite.load(suite.find(name), elsewhere=True)
    cells = {REPORTS / name / "records" / Path(*cell.folder.parts[1:]): cell for cell in plan.cells}
    shipped = [one for one in restore.shipped(REPORTS) if one.folder.is_relative_to(REPORTS / name)]
    refused = [
        str(one.folder.relative_to(REPORTS))
        for one in shipped
        if one.folder not in cells or not cells[one.folder].accepts(one.run) or one.damaged()
    ]
    return len(shipped), refused


@pytest.mark.parametrize("name", SUITES)
def test_every_shipped_record_is_valid(name: str) -> None:
    count, refused = stale(name)
    assert count and not refused, f"{len(refused)} of {count} records of {name}: {refused[:5]}"


def test_no_record_was_lost() -> None:
    assert sum(stale(name)[0] for name in SUITES) == 493


if __name__ == "__main__":
    counts = {name: stale(name) for name in SUITES}
    total, refused = (
        sum(count for count, _ in counts.values()),
        sum(len(names) for _, names in counts.values()),
    )
    print(f"shipped records: {total - refused} of {total} valid")
    raise SystemExit(bool(refused))
