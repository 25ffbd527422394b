"""What a report contains about the origin of its records."""

from __future__ import annotations

import json
from pathlib import Path

from invented import fake_report, write_run

from rlparity.reporting.pages import provenance
from rlparity.reporting.report_folder import Folder

TRAINED = {"env_step": 10_001, "rows": 90, "git": {"commit": "a" * 40}, "fingerprint": "one"}
UNCHANGED = {"by": "same sources", "git": {"commit": "b" * 40}, "fingerprint": "two", "old": "one"}


def test_both_kinds_of_vouchers_are_counted(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "old", algorithms=("random", "ppo"), seeds=2)
    random, ours, theirs = json.loads((folder / "plan.json").read_text())["cells"]
    write_run(folder, random, vouched=[TRAINED, UNCHANGED])
    write_run(folder, ours, vouched=[UNCHANGED, TRAINED | {"env_step": 30_000}])
    write_run(folder, theirs, vouched=[UNCHANGED])
    assert provenance.vouched(Folder(folder)) == [
        f"2 of 3 records, by commit {'a' * 12}: of each kind one seed was trained again, to the same rows "
        "over the first 10 % to 30 % of its budget",
        f"2 of 3 records, by commit {'b' * 12}: another kind of fingerprint, of the same sources",
    ]
