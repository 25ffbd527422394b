"""One writer for a cell: on one machine, and between machines that share a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import small

from rlparity.errors import UserError
from rlparity.runs import lock, run_cell
from rlparity.training import run as training


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.05)
    monkeypatch.setattr(lock, "POLL_S", 0.02)


def elsewhere(folder: Path, age: float = 0.0, job: str = "17") -> Path:
    """The claim of a process on another machine, last touched that many seconds ago."""
    path = folder / ".claim-1"
    path.write_text(json.dumps({"machine": "another", "host": "n2", "job": job, "process": 5}))
    os.utime(path, (time.time() - age,) * 2)
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def mine(folder: Path) -> Path:
    """This process's claim, the only one there is."""
    (claim,) = lock.claims(folder)
    assert claim.holder["process"] == str(os.getpid())
    return claim.path


def test_one_machine_lets_one_process_in(tmp_path: Path) -> None:
    with lock.held(tmp_path):
        (claim,) = lock.claims(tmp_path)
        assert claim.holder["process"] == str(os.getpid()) and claim.holder["machine"] == lock.machine()
        refused = pytest.raises(lock.Taken, match=f"another process .* process {os.getpid()} on ")
        with refused, lock.held(tmp_path):
            pass
    assert names(tmp_path) == {".lock"}


def test_the_claim_of_a_dead_process_of_this_machine_is_ignored(tmp_path: Path) -> None:
    path = elsewhere(tmp_path)
    path.write_text(json.dumps({"machine": lock.machine(), "process": 5}))
    with lock.held(tmp_path):
        assert mine(tmp_path) != path


def test_a_process_elsewhere_excludes_others_while_its_claim_is_touched(tmp_path: Path) -> None:
    elsewhere(tmp_path, age=lock.EXPIRES_S - 20)
    with pytest.raises(lock.Taken, match="process 5 on n2, job 17"), lock.held(tmp_path):
        pass
    assert names(tmp_path) == {".lock", ".claim-1"}


def test_a_claim_that_was_not_touched_for_long_has_expired(tmp_path: Path) -> None:
    elsewhere(tmp_path, age=lock.EXPIRES_S + 20)
    with lock.held(tmp_path):
        assert names(tmp_path) == {".lock", mine(tmp_path).name}


def test_a_suspended_process_finds_that_others_came_and_went(tmp_path: Path) -> None:
    """Suspended for long, and meanwhile a second process has come and gone and a third one trains."""
    with lock.held(tmp_path) as first:
        first._path.unlink()  # the second, done
        third = elsewhere(tmp_path)
        os.utime(third, (1, 1))
        with pytest.raises(UserError, match="silent for too long"):
            first.check()
        time.sleep(5 * lock.BEAT_S)
        assert third.stat().st_mtime == 1  # no beat of the first keeps it alive
    assert names(tmp_path) == {".lock", third.name}


def test_a_claim_is_touched_at_every_beat(tmp_path: Path) -> None:
    with lock.held(tmp_path):
        path = mine(tmp_path)
        os.utime(path, (0, 0))
        until = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0


def test_a_clock_that_went_backwards_does_not_keep_a_dead_claim_alive(tmp_path: Path) -> None:
    elsewhere(tmp_path, age=-86_400)
    with lock.held(tmp_path):
        assert names(tmp_path) == {".lock", mine(tmp_path).name}


def test_nor_does_it_kill_a_claim_that_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = elsewhere(tmp_path, age=-86_400)
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: os.utime(path, (time.time() + 90_000,) * 2))
    with pytest.raises(lock.Taken), lock.held(tmp_path):
        pass


def test_two_that_come_at_once_step_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = lock._claim

    def both(folder: Path) -> Path:
        elsewhere(folder)
        return claim(folder)

    monkeypatch.setattr(lock, "_claim", both)
    with pytest.raises(lock.Taken), lock.held(tmp_path):
        pass
    assert names(tmp_path) == {".lock", ".claim-1"}


CONTEND = """
import sys, time
from pathlib import Path
from rlparity.runs import lock

def unsupported(*_):
    raise OSError(lock.errno.ENOLCK, "No locks available")

lock.fcntl.flock, lock.POLL_S = unsupported, 0.01
folder = Path(sys.argv[1])
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
for _ in range(20):
    with lock.held(folder, lambda who: None):
        (folder / "inside").open("x").close()  # FileExistsError where another process is inside
        time.sleep(0.01)
        (folder / "inside").unlink()
"""


@pytest.mark.whole
def test_of_processes_that_contend_for_a_dead_claim_one_at_a_time_is_inside(tmp_path: Path) -> None:
    """Locks of the kernel are switched off, as between machines."""
    elsewhere(tmp_path, age=lock.EXPIRES_S + 20)
    command = [sys.executable, "-c", CONTEND, str(tmp_path), str(time.time() + 1)]
    started = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=60)[1] for process in started] == [""] * 4
    assert names(tmp_path) == {".lock"}


def test_where_flock_does_nothing_claims_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(lock.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", unsupported)
    with lock.held(tmp_path), pytest.raises(lock.Taken), lock.held(tmp_path):
        pass
    with lock.held(tmp_path):
        pass


def test_a_lost_claim_is_an_error(tmp_path: Path) -> None:
    with lock.held(tmp_path) as held:
        held.check()
        mine(tmp_path).unlink()
        with pytest.raises(UserError, match="silent for too long"):
            held.check()


def test_a_process_that_waits_names_the_holder_and_gets_the_lock(tmp_path: Path) -> None:
    path, lines = elsewhere(tmp_path), list[str]()

    def wait(who: str) -> None:
        lines.append(who)
        path.unlink()

    with lock.held(tmp_path, wait):
        assert lines == [f"{tmp_path}: another process is training this cell, process 5 on n2, job 17"]


def test_damaged_claims_expire_too(tmp_path: Path) -> None:
    (tmp_path / ".claim-1").write_bytes(b"\xff{")
    with pytest.raises(lock.Taken), lock.held(tmp_path):
        pass
    os.utime(tmp_path / ".claim-1", (0, 0))
    with lock.held(tmp_path):
        pass


def test_a_cell_that_another_process_has_finished_is_not_retrained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = small.cell("random")
    first = run_cell.run_cell(cell, tmp_path)
    path = elsewhere(tmp_path)
    monkeypatch.setattr(training, "run", lambda *_, **__: pytest.fail("it was trained"))
    assert run_cell.run_cell(cell, tmp_path, wait=lambda who: path.unlink()) == first


def test_a_cell_whose_trainer_died_meanwhile_is_trained(tmp_path: Path) -> None:
    path = elsewhere(tmp_path)
    cell = small.cell("random")
    assert run_cell.run_cell(cell, tmp_path, wait=lambda who: path.unlink())["status"] == "done"


def test_a_process_that_lost_its_claim_writes_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = training.run

    def losing(*arguments: Any, **options: Any) -> Any:
        mine(tmp_path).unlink()
        return train(*arguments, **options)

    monkeypatch.setattr(training, "run", losing)
    with pytest.raises(UserError, match="silent for too long"):
        run_cell.run_cell(small.cell("random"), tmp_path)
    assert not list(tmp_path.glob("*.parquet")) and not (tmp_path / "run.json").exists()
