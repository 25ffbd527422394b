"""Give every shipped record that is valid under the module fingerprint the one by content, too.

Both are taken of the sources of this commit, in which no module of any training was changed; so a record that
one accepts is one that the other accepts. To be run once per report: `python -m rlparity.rehash SUITE ...`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rlparity import definitions, fingerprint, provenance, restore, suite
from rlparity.records import write_bytes


def rehash(name: str, reports: Path) -> tuple[int, int, int]:
    """Counts: records that got an entry, had one, or are valid for no cell of the suite."""
    plan, git = suite.load(suite.find(name)), provenance.git()
    by_folder = {reports / plan.name / "records" / Path(*cell.folder.parts[1:]): cell for cell in plan.cells}
    written = there = invalid = 0
    for shipped in restore.shipped(reports):
        if shipped.folder.parts[:2] != (reports / plan.name).parts[:2]:
            continue
        cell = by_folder.get(shipped.folder)
        if cell is None or not cell.accepts(shipped.run):
            invalid += 1
            continue
        world = plan.environments[cell.environment].world
        new = fingerprint.by_content(cell, world.simulator, world.module)
        if any(entry.get("fingerprint") == new for entry in shipped.run.get("vouched", ())):
            there += 1
            continue
        entry = {"by": "same sources", "fingerprint": new, "old": cell.fingerprint, "git": git}
        run = {**shipped.run, "vouched": [*shipped.run.get("vouched", ()), entry]}
        run["definitions"] = definitions.own_hashes(fingerprint.roots(cell))
        write_bytes(shipped.folder / "run.json", json.dumps(run, indent=1, sort_keys=True).encode())
        written += 1
    return written, there, invalid


if __name__ == "__main__":
    for asked in sys.argv[1:]:
        counts = rehash(asked, Path("reports"))
        print(f"{asked}: {counts[0]} rehashed, {counts[1]} had it already, {counts[2]} not valid")
