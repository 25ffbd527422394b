"""Every record that a committed report ships is valid under the code beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlparity.shipped_records import restore
from rlparity.suites import suite

REPORTS = Path(__file__).parent.parent / "reports"
SUITES = sorted(folder.parent.name for folder in REPORTS.glob("*/records"))
# Reports whose records of our own agents are those of older code, and say so: to be trained again.
OLDER = ("mujoco-small",)


def older(name: str) -> bool:
    """Whether a record, by its path, is known to be one: networks of vectors are computed otherwise since."""
    suite, _, environment, implementation, algorithm = name.split("/")[:5]
    ours = implementation == "scratch" and algorithm != "random" and not environment.startswith("ALE_")
    return suite in OLDER and ours


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
    unknown = [one for one in refused if not older(one)]
    assert count and not unknown, f"{len(unknown)} of {count} records of {name}: {unknown[:5]}"


@pytest.mark.parametrize("name", OLDER)
def test_exceptions_are_needed_and_told(name: str) -> None:
    _, refused = stale(name)
    assert refused and all(map(older, refused))
    page = (REPORTS / name / "README.md").read_text(encoding="utf-8")
    assert "stale" in page.partition("## ")[0]


def test_no_record_was_lost() -> None:
    assert sum(stale(name)[0] for name in SUITES) == 789


if __name__ == "__main__":
    counts = [stale(name) for name in SUITES]
    total, refused = sum(count for count, _ in counts), [one for _, names in counts for one in names]
    known = sum(map(older, refused))
    exception = f"; {known} of {', '.join(OLDER)} are of older code, as their reports say" if known else ""
    print(f"shipped records: {total - len(refused)} of {total} valid{exception}")
    raise SystemExit(len(refused) != known)
