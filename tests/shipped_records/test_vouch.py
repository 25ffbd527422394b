"""Vouching: equal rows keep records valid, and nothing else does. Cells are small and really trained."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from checkouts import copied
from invented import fake_report, write_run
from shipped import OLD, amend, ship
from small import cell as small_cell

from rlparity.analysis import tables
from rlparity.errors import UserError
from rlparity.objectives import schedules
from rlparity.provenance import fingerprint, host
from rlparity.reporting.pages import provenance
from rlparity.reporting.report_folder import Folder
from rlparity.runs import pending
from rlparity.shipped_records import restore, retrain, vouch
from rlparity.shipped_records.vouch import Finding, Group, Record
from rlparity.suites import suite as suites
from rlparity.suites.suite import Suite

pytestmark = [pytest.mark.whole, pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")]
RAW: dict[str, Any] = {
    "name": "tiny",
    "title": "Tiny",
    "environments": ["CartPole-v1"],
    "algorithms": ["random", "a2c"],
    "implementations": ["scratch", "sb3"],
    "seeds": ["0-1", "2"],
    "budgets": {"default": 1600},
    "evaluation": {"points": 8, "episodes": 2, "final_episodes": 2},
}
GIT = {"commit": "c0ffee" + 34 * "0", "dirty": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Suite, Path]:
    """A suite of nine cells and a report that ships their records: two blocks of two agents, SB3's seeds."""
    suite, reports = suites.resolve(RAW, "tiny"), tmp_path_factory.mktemp("trained")
    for cell in suite.cells:
        ship(cell, reports / "tiny" / "records" / Path(*cell.folder.parts[1:]))
    return suite, reports


@pytest.fixture
def tiny(trained: tuple[Suite, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Suite, Path]:
    """A copy of it; seeds are trained again in this process."""
    suite, reports = trained
    subprocess.run(["cp", "-r", str(reports), str(tmp_path / "reports")], check=True)
    monkeypatch.setattr(host, "git", lambda: dict(GIT))

    def here(suite: Suite, group: Group, share: float) -> tuple[Finding, float]:
        record, seed = group.chosen
        alone = replace(record.cell, seeds=(seed,))
        alone = replace(alone, fingerprint=fingerprint.text_hash(suite.parts(alone)))
        return retrain.retrain_part(alone, record.shipped.folder, share), 0.0

    monkeypatch.setattr(vouch, "_retrain", here)
    return suite, tmp_path / "reports"


def run_jsons(reports: Path) -> dict[str, dict[str, Any]]:
    """By cell, such as scratch/a2c/seeds-0-1."""
    files = sorted(reports.glob("tiny/records/CartPole-v1/**/run.json"))
    return {"/".join(file.parts[-4:-1]): json.loads(file.read_text()) for file in files}


def ask(suite: Suite, reports: Path, **options: Any) -> tuple[bool, list[str]]:
    """Whether all is valid, and the lines reported."""
    lines: list[str] = []
    asked = vouch.cells(suite, **options)
    return vouch.vouch(suite, asked, reports, 0.1, 1, lines.append), lines


def test_equal_rows_make_every_record_of_a_kind_valid(tiny: tuple[Suite, Path], tmp_path: Path) -> None:
    suite, reports = tiny
    before = run_jsons(reports)
    stale = [restore.choose(cell, restore.shipped(reports), suite.parts(cell)) for cell in suite.cells]
    assert stale == [(None, "the sources changed")] * 7
    valid, lines = ask(suite, reports)
    assert valid and lines[-1] == "7 vouched for, 0 valid already, 0 stale, 0 not shipped"
    assert [line.split(":")[0] for line in lines[:-1]] == [
        "1/3  CartPole-v1 scratch/random, seed 0",
        "2/3  CartPole-v1 scratch/a2c, seed 0",
        "3/3  CartPole-v1 sb3/a2c, seed 0",
    ]
    after = run_jsons(reports)
    for cell in suite.cells:
        run = after["/".join(cell.folder.parts[2:])]
        (entry,) = run.pop("vouched")
        assert run == before["/".join(cell.folder.parts[2:])]
        assert entry["fingerprint"] == cell.fingerprint and entry["git"] == GIT and entry["seed"] == 0
        assert entry["source_hash"] == fingerprint.source_hash(cell)
        # a tenth of 1600 is step 160; two evaluations after different updates end at 400 (8 sub-environments)
        assert entry["env_step"] == (161 if cell.algorithm == "random" else 408)
        assert entry["rows"] > 4 and entry["date"][:2] == "20"
    assert ask(suite, reports) == (
        True,
        ["nothing to vouch for: 0 vouched for, 7 valid already, 0 stale, 0 not shipped"],
    )
    report = str(restore.restore(suite, tmp_path / "results", reports))
    assert report.splitlines()[-1] == "7 restored, 0 there already, 0 stale, 0 not shipped"
    for cell in suite.cells:
        folder = tmp_path / "results" / cell.folder
        assert (
            pending.up_to_date(cell, folder)
            and tables.read_run(folder, cell)["fingerprint"] == OLD["fingerprint"]
        )
        assert not pending.up_to_date(replace(cell, fingerprint="another"), folder)
    assert pending.update(suite.cells, tmp_path / "results") == []


def test_what_a_fingerprint_made_comes_before_what_was_vouched_for(tiny: tuple[Suite, Path]) -> None:
    suite, _ = tiny
    made, vouched = (
        {"fingerprint": suite.cells[0].fingerprint},
        {"vouched": [{"fingerprint": suite.cells[0].fingerprint}]},
    )
    catalogue = [restore.Shipped(Path("vouched"), vouched), restore.Shipped(Path("made"), made)]
    assert all(suite.cells[0].accepts(one.run) for one in catalogue)
    _, reason = restore.choose(suite.cells[0], catalogue, suite.parts(suite.cells[0]))
    assert reason is not None and reason.startswith("made/episodes.parquet is not the file")


def test_records_of_the_suites_own_report_come_first(tiny: tuple[Suite, Path]) -> None:
    _, reports = tiny
    shutil.copytree(reports / "tiny", reports / "another")
    found = [one.folder.relative_to(reports).parts[0] for one in restore.shipped(reports, "tiny")]
    assert found == ["tiny"] * 7 + ["another"] * 7
    assert restore.shipped(reports)[0].folder.is_relative_to(reports / "another")


def test_vouchers_of_later_sources_are_added(tiny: tuple[Suite, Path]) -> None:
    suite, reports = tiny
    amend(reports / "tiny/records/CartPole-v1/scratch/random/seeds-0-1", vouched=[{"fingerprint": "between"}])
    assert ask(suite, reports, algorithms=["random"])[0]
    entries = run_jsons(reports)["scratch/random/seeds-0-1"]["vouched"]
    assert [entry["fingerprint"] for entry in entries] == ["between", suite.cells[0].fingerprint]


def test_a_changed_number_is_refused(tiny: tuple[Suite, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    suite, reports = tiny
    before = run_jsons(reports)
    schedule = schedules.scheduled
    monkeypatch.setattr(schedules, "scheduled", lambda *words: schedule(*words) * 1.5)
    valid, lines = ask(suite, reports, algorithms=["a2c"])
    assert not valid and lines[-1] == "3 vouched for, 0 valid already, 2 stale, 0 not shipped"
    assert lines[0].startswith("1/2  CartPole-v1 scratch/a2c, seed 0: DIFFERS after ")
    assert " is " in lines[0] and ", was " in lines[0] and "; 2 records stale" in lines[0]
    after = run_jsons(reports)
    changed = {name for name, run in after.items() if run != before[name]}
    assert changed == {f"sb3/a2c/seeds-{seed}-{seed}" for seed in (0, 1, 2)}


def test_what_else_differs_is_not_vouched_for(
    tiny: tuple[Suite, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, reports = tiny
    monkeypatch.setattr(vouch, "_retrain", lambda *_: pytest.fail("nothing is to be trained"))
    records = reports / "tiny" / "records" / "CartPole-v1"
    for folder in (records / "sb3" / "a2c").iterdir():
        run = json.loads((folder / "run.json").read_text())
        amend(folder, versions=run["versions"] | {"torch": "2.1.0+cpu"})
    damaged = records / "scratch" / "a2c" / "seeds-0-1" / "evaluations.parquet"
    damaged.write_bytes(damaged.read_bytes() + b"!")
    other = records / "scratch" / "a2c" / "seeds-2-2"
    run = json.loads((other / "run.json").read_text())
    amend(other, cell=run["cell"] | {"budget": 800})
    before = run_jsons(reports)
    valid, lines = ask(suite, reports, algorithms=["a2c"])
    torch = suite.parts(suite.cells[0])["versions"]["torch"]
    assert lines == [
        "stale  tiny/CartPole-v1/scratch/a2c/seeds-0-1: evaluations.parquet is not the file "
        "whose hash run.json has",
        "stale  tiny/CartPole-v1/scratch/a2c/seeds-2-2: budget is 1600, was 800",
        *(f"stale  tiny/CartPole-v1/sb3/a2c/seeds-{s}-{s}: torch is {torch}, was 2.1.0" for s in (0, 1, 2)),
        "0 vouched for, 0 valid already, 5 stale, 0 not shipped",
    ]
    assert not valid and run_jsons(reports) == before


def test_a_field_that_records_do_not_know_counts_as_its_default(tiny: tuple[Suite, Path]) -> None:
    suite, _ = tiny
    cell = suite.cells[0]
    run = {"cell": json.loads(cell.to_json()), "versions": suite.parts(cell)["versions"]}
    del run["cell"]["device"], run["cell"]["normalize"]
    assert fingerprint.besides_sources(cell, suite.parts(cell), run) == []
    other = replace(cell, normalize=True)
    assert fingerprint.besides_sources(other, suite.parts(other), run) == ["normalize is True, was False"]
    del run["versions"]["numpy"]
    assert "numpy is " in fingerprint.besides_sources(cell, suite.parts(cell), run)[0]


@pytest.mark.parametrize(
    ("git", "expected"),
    [
        ({"commit": "abc", "dirty": True}, "uncommitted changes"),
        ({"commit": None, "dirty": None}, "no git checkout"),
    ],
)
def test_a_voucher_needs_a_commit(
    tiny: tuple[Suite, Path], monkeypatch: pytest.MonkeyPatch, git: dict[str, Any], expected: str
) -> None:
    monkeypatch.setattr(host, "git", lambda: git)
    with pytest.raises(UserError, match=expected) as refused:
        ask(*tiny)
    assert "\n" not in str(refused.value)


def test_unknown_names_are_refused(tiny: tuple[Suite, Path]) -> None:
    suite, _ = tiny
    with pytest.raises(UserError, match=r"unknown algorithm 'a2cc'.*did you mean 'a2c'"):
        vouch.cells(suite, algorithms=["a2cc"])
    with pytest.raises(UserError, match="unknown environment"):
        vouch.cells(suite, environments=["CartPole"])
    assert len(vouch.cells(suite, ["CartPole-v1"], ["random"])) == 2


def test_records_of_other_sources_or_machines_are_kinds_of_their_own(tiny: tuple[Suite, Path]) -> None:
    suite, reports = tiny
    records = reports / "tiny" / "records" / "CartPole-v1" / "sb3" / "a2c"
    asked = vouch.cells(suite, algorithms=["a2c"])

    def kinds() -> list[list[tuple[int, ...]]]:
        groups = vouch.take_stock(suite, asked, reports).groups.values()
        return [[record.cell.seeds for record in group.records] for group in groups]

    assert kinds() == [[(0, 1), (2,)], [(0,), (1,), (2,)]]
    amend(records / "seeds-1-1", source_hash="older still")
    assert kinds() == [[(0, 1), (2,)], [(0,), (2,)], [(1,)]]
    amend(records / "seeds-2-2", hardware={"cpu": "another"})
    assert kinds() == [[(0, 1), (2,)], [(0,)], [(1,)], [(2,)]]
    places = suite.environments["CartPole-v1"]
    own = replace(
        suite, environments={"CartPole-v1": replace(places, info=replace(places.info, module="json"))}
    )
    amend(reports / "tiny/records/CartPole-v1/scratch/a2c/seeds-2-2", fingerprint="its own")
    assert len(vouch.take_stock(own, asked, reports).groups) == 4


def test_a_seed_that_did_not_fail_is_chosen() -> None:
    def record(failed: dict[str, str], *seeds: int) -> Record:
        return Record(small_cell("a2c", seeds), restore.Shipped(Path(), {"failed_seeds": failed}))

    broken, sound = record({"0": "NaN", "1": "NaN"}, 0, 1), record({"2": "NaN"}, 2, 3)
    assert Group([broken, sound]).chosen == (sound, 3)
    assert Group([broken]).chosen == (broken, 0)
    assert Group([record({}, 4, 5), sound]).chosen[1] == 4


def test_the_page_says_what_was_vouched_for(tmp_path: Path) -> None:
    folder = fake_report(tmp_path / "invented", algorithms=("ppo",), budget=1000)
    assert provenance.vouched(Folder(folder)) == []
    ours, theirs = Folder(folder).plan["cells"]
    older = {"git": {"commit": "a" * 40}, "env_step": 999}
    write_run(folder, ours, vouched=[older, {"git": {"commit": "b" * 40}, "env_step": 109}])
    assert provenance.vouched(Folder(folder)) == [
        "1 of 2 records, by commit bbbbbbbbbbbb: of each kind one seed was trained again, "
        "to the same rows over the first 10 % of its budget"
    ]
    write_run(folder, theirs, vouched=[{"git": {"commit": "b" * 40}, "env_step": 200}])
    (line,) = provenance.vouched(Folder(folder))
    assert line.startswith("2 of 2 records") and line.endswith("the first 10 % to 20 % of its budget")
    assert provenance.provenance(Folder(folder))["vouched"] == [line]


@pytest.fixture
def checkout(trained: tuple[Suite, Path], tmp_path: Path) -> Iterator[Path]:
    """A git checkout of the project with the suite and its report, in which commands are run."""
    subprocess.run(["cp", "-r", str(trained[1]), str(tmp_path / "reports")], check=True)
    copied(tmp_path)
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    (tmp_path / "tiny.yaml").write_text(json.dumps(RAW))
    person = ["-c", "user.name=a", "-c", "user.email=b"]
    for words in (["init", "-q"], ["add", "."], [*person, "commit", "-qm", "c"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    yield tmp_path


def test_the_command(checkout: Path) -> None:
    def command(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
        return subprocess.run(
            [sys.executable, "-m", "rlparity", "dev", "vouch", "tiny.yaml", *words],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
        )

    done = command("--algorithms", "random")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "rows equal up to environment step 161 of 1,600; 2 records vouched for (" in lines[0]
    assert lines[1:] == ["2 vouched for, 0 valid already, 0 stale, 0 not shipped"]
    entry = run_jsons(checkout / "reports")["scratch/random/seeds-2-2"]["vouched"][0]
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True
    ).stdout.strip()
    assert entry["git"] == {"commit": head, "dirty": False}  # reports may change, sources may not
    (checkout / "tiny.yaml").write_text(json.dumps(RAW) + "\n")
    refused = command()
    assert refused.returncode == 4 and refused.stderr.count("\n") == 1 and "uncommitted" in refused.stderr
    (checkout / "tiny.yaml").write_text(json.dumps(RAW))
    (checkout / "src" / "new.py").touch()  # a module that the commit lacks
    refused = command()
    assert refused.returncode == 4 and "uncommitted" in refused.stderr
    refused = command("--share", "0")
    assert refused.returncode == 4 and refused.stderr.count("\n") == 1 and "--share 0" in refused.stderr
