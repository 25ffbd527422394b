"""What a report contains about the origin of its records."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from invented import fake_report, write_run

from rlparity.reporting.pages import provenance
from rlparity.reporting.pages.suite import report
from rlparity.reporting.report_folder import Folder

TRAINED = {"env_step": 10_001, "rows": 90, "git": {"commit": "a" * 40}, "fingerprint": "one"}
COMPARED = {"by": "same rows", "against": "b" * 40, "git": {"commit": "c" * 40}, "rows": 7}
UNCHANGED = {"by": "same sources", "git": {"commit": "b" * 40}, "fingerprint": "two", "old": "one"}


def test_all_kinds_of_vouchers_are_counted(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "old", algorithms=("random", "ppo"), seeds=2)
    random, ours, theirs = json.loads((folder / "plan.json").read_text())["cells"]
    write_run(folder, random, vouched=[TRAINED, UNCHANGED])
    write_run(folder, ours, vouched=[UNCHANGED, TRAINED | {"env_step": 30_000}])
    write_run(folder, theirs, vouched=[UNCHANGED, COMPARED])
    assert provenance.vouched(Folder(folder)) == [
        f"2 of 3 records, by commit {'a' * 12}: of each kind one seed was trained again, to the same rows "
        "over the first 10 % to 30 % of its budget",
        f"1 of 3 records, by commit {'c' * 12}: short trainings of each kind had the same rows with "
        f"the sources of commit {'b' * 12}, on one machine",
        f"2 of 3 records, by commit {'b' * 12}: another kind of fingerprint, of the same sources",
    ]


def test_cells_without_a_record_are_named(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "partial", algorithms=("ppo",), seeds=2)
    (folder / "records/CartPole-v1/sb3/ppo/seeds-0-1/run.json").unlink()
    assert "no record yet: sb3 ppo on CartPole-v1, seeds 0 to 1" in report.render(folder).splitlines()
    assert "No record yet of 1 cell of the suite" in (folder / "index.html").read_text()


@pytest.mark.parametrize(
    ("device", "named"),
    [("cpu", "cpu (Invented CPU, 2 cores)"), ("cuda", "cuda (Invented GPU)")],
)
def test_device_and_hardware_stand_beside_the_facts(tmp_path: Path, device: str, named: str) -> None:
    folder = fake_report(tmp_path / "device", algorithms=("ppo",), implementations=("scratch",), seeds=2)
    one = json.loads((folder / "plan.json").read_text())["cells"][0] | {"device": device}
    hardware = {"cpu": "Invented CPU", "gpu": "Invented GPU", "cores": 2, "threads": 1, "machine": "x86_64"}
    write_run(folder, one, hardware=hardware)
    report.render(folder)
    text = (folder / "README.md").read_text()
    assert f"| Device | {named} |" in text
    assert f"- Hardware: {device}: Invented CPU, Invented GPU, x86\\_64, 2 cores" in text
    shutil.rmtree(folder / "records")
    report.render(folder)
    assert "| Device | cpu |" in (folder / "README.md").read_text()  # the plan's cells do not say
