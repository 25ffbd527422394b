"""When checkpoints are written, how a cell goes on from one, and what is done where that cannot be."""

from __future__ import annotations

import dataclasses
import errno
import os
import pickle
import random
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from small import Protocol, cell
from trainings import advance, fresh, same

from rlparity.errors import Interrupted, UserError
from rlparity.runs import run_cell
from rlparity.training import checkpoint_files
from rlparity.training import run as train
from rlparity.training.checkpointing import Checkpointer

pytestmark = pytest.mark.probes

BRIEF = Protocol(points=2, episodes=1, final_episodes=1)
CELL = cell(
    "dqn",
    (3, 4),
    n_envs=2,
    budget=120,
    checkpoint_every=50,
    evaluation=BRIEF,
    fingerprint="0123456789abcdef",
    hyperparameters={"buffer_size": 60, "net_arch": [8]},
)


@pytest.mark.parametrize(
    ("n_envs", "budget", "every", "expected"),
    [
        (2, 120, 50, [50, 100, 120]),
        (8, 100, 20, [24, 40, 64, 80, 104]),  # when a multiple is crossed, and at the end
        (8, 40, 3, [8, 16, 24, 32, 40]),
        (1, 5, 100, [5]),
    ],
)
def test_a_checkpoint_is_due_when_a_multiple_is_crossed(
    n_envs: int, budget: int, every: int, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    saved: list[int] = []
    monkeypatch.setattr(Checkpointer, "save", lambda self, training: saved.append(training.env_step))
    c = cell("random", n_envs=n_envs, budget=budget, checkpoint_every=every)
    train.run(c, evaluate=False, checkpointer=Checkpointer(c, tmp_path))
    assert saved == expected


def test_without_an_interval_there_is_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(checkpoint_files, "write_state", None)
    run_cell.run_cell(dataclasses.replace(CELL, checkpoint_every=0), tmp_path)
    names = {path.name for path in (tmp_path / "checkpoint").iterdir()}
    assert checkpoint_files.FILE in names and all(name.startswith(checkpoint_files.POLICY) for name in names)


class Killed(Exception):
    """As good as a kill at this place."""


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a cell that was killed at step 110, with its checkpoint at 100."""
    folder = tmp_path_factory.mktemp("interrupted")

    def watch(env_step: int, ended: Any) -> None:
        if env_step == 110:
            raise Killed

    kept = Checkpointer(CELL, folder / "checkpoint")
    with pytest.raises(Killed):
        train.run(CELL, watch, checkpointer=kept)
    return folder


@pytest.fixture
def folder(interrupted: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(interrupted, tmp_path / "cell"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """run.json of the cell when nothing happens to it."""
    return run_cell.run_cell(CELL, tmp_path_factory.mktemp("whole"))


def test_an_interrupted_cell_is_finished_and_says_how_often_it_was_resumed(
    folder: Path, whole: dict[str, Any], capsys: pytest.CaptureFixture[str]
):
    state = checkpoint_files.read_state(folder / "checkpoint")
    run = run_cell.run_cell(dataclasses.replace(CELL, suite="other", checkpoint_every=7), folder)
    assert run["hashes"] == whole["hashes"] and capsys.readouterr().err == ""
    assert (run["times_resumed"], whole["times_resumed"]) == (1, 0)
    assert run["started"] == state["started"]
    assert run["wall_time_s"] > state["wall_time_s"] > 0
    assert run["wall_time_s"] >= run["training_time_s"] + run["evaluation_time_s"]
    assert [path.name for path in (folder / "checkpoint").iterdir()] == [checkpoint_files.FILE]


def test_times_add_up_over_interruptions(folder: Path):
    path = folder / "checkpoint"
    state = checkpoint_files.read_state(path)
    state["wall_time_s"] = 1000.0
    state["training"][2]["recorder"][1]["elapsed_s"] = 900.0
    state["training"][2]["recorder"][1]["evaluation_time_s"] = 200.0
    checkpoint_files.write_state(path, state)
    run = run_cell.run_cell(CELL, folder)
    assert 700 < run["training_time_s"] < 710 and 200 < run["evaluation_time_s"] < 210
    assert 1000 < run["wall_time_s"] < 1010


def rewrite(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        state = checkpoint_files.read_state(path)
        change(state)
        checkpoint_files.write_state(path, state)

    return spoil


def cut(pattern: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        for file in path.glob(pattern):
            file.write_bytes(file.read_bytes()[:-7])

    return spoil


def flip(pattern: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        for file in path.glob(pattern):
            content = bytearray(file.read_bytes())
            content[len(content) // 2] ^= 1
            file.write_bytes(content)

    return spoil


def agent_of(state: dict[str, Any]) -> dict[str, Any]:
    return state["training"][2]["training"][2]["agent"][2]  # type: ignore[no-any-return]


UNREADABLE = "not a readable checkpoint"
SPOILED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: (path / "state.pt").write_bytes(b""), UNREADABLE),
    "garbage": (lambda path: (path / "state.pt").write_bytes(b"no checkpoint"), UNREADABLE),
    "truncated": (cut("state.pt"), UNREADABLE),
    "a flipped bit": (flip("state.pt"), UNREADABLE),
    "a pickle": (lambda path: (path / "state.pt").write_bytes(pickle.dumps(3)), UNREADABLE),
    "other content": (lambda path: checkpoint_files.write_state(path, {"a": 1}), UNREADABLE),
    "no dict": (lambda path: checkpoint_files.write_state(path, [1]), UNREADABLE),  # type: ignore[arg-type]
    "another format": (rewrite(lambda s: s.update(format=99)), "format 99, expected 2"),
    "another seed": (rewrite(lambda s: s["cell"].update(seeds=[7])), "CartPole-v1 scratch dqn, seeds 7"),
    "another algorithm": (
        rewrite(lambda s: s["cell"].update(algorithm="a2c")),
        "the checkpoint of another cell, CartPole-v1 scratch a2c",
    ),
    "a wrong shape": (
        rewrite(lambda s: agent_of(s)["q"][2].update(theta=torch.zeros(1, 96))),
        r"Session.training.agent.q.theta: torch.float32 of shape \(1, 96\), expected .* \(2, 64\)",
    ),
    "a missing entry": (rewrite(lambda s: agent_of(s).pop("env_steps")), "agent: the state lacks env_steps"),
    "a surplus entry": (rewrite(lambda s: agent_of(s).update(x=1)), "agent: the state has a surplus x"),
    "a missing environment": (
        rewrite(lambda s: s["training"][2]["training"][2]["env"][1]["rngs"].pop()),
        UNREADABLE,
    ),
    "a missing segment": (lambda path: min(path.glob("replay-*")).unlink(), "No such file"),
    "an unlisted segment": (rewrite(lambda s: s["segments"].pop()), "transitions are missing"),
    "a truncated segment": (cut("replay-*"), r"replay-0-\d+-\d+.pt is damaged"),
    "a flipped bit in a segment": (flip("replay-*"), r"replay-0-\d+-\d+.pt is damaged"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_checkpoint_that_is_damaged_or_foreign_is_refused_in_one_line(how: str, folder: Path):
    spoil, reason = SPOILED[how]
    path = folder / "checkpoint"
    spoil(path)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    with pytest.raises(UserError, match=reason) as refused:
        run_cell.run_cell(CELL, folder)
    message = str(refused.value)
    assert "\n" not in message and message.startswith(str(path / "state.pt"))
    assert message.endswith(f"delete {path} to train the cell from the beginning")
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    shutil.rmtree(path)
    assert run_cell.run_cell(CELL, folder)["status"] == "done"


def test_a_checkpoint_of_an_earlier_format_is_dropped_with_a_line(
    folder: Path, capfd: pytest.CaptureFixture[str]
):
    rewrite(lambda state: state.update(format=1))(folder / "checkpoint")
    assert run_cell.run_cell(CELL, folder)["times_resumed"] == 0
    assert "a checkpoint of format 1, now 2; training starts from the beginning" in capfd.readouterr().err


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_nothing_in_a_checkpoint_is_run(folder: Path, tmp_path: Path):
    class Malice:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checkpoint_files, "zipfile", None)
        torch.save({"format": Malice()}, folder / "checkpoint" / checkpoint_files.STATE)
    with pytest.raises(UserError, match="not a readable checkpoint"):
        run_cell.run_cell(CELL, folder)
    assert not (tmp_path / "ran").exists()


def test_a_flipped_bit_is_refused_or_changes_nothing(folder: Path):
    """Some bytes of a zip file are padding."""
    path = folder / "checkpoint"
    good, content = checkpoint_files.read_state(path), (path / checkpoint_files.STATE).read_bytes()
    rng, refused = random.Random(0), 0
    for _ in range(150):
        flipped = bytearray(content)
        flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (path / checkpoint_files.STATE).write_bytes(flipped)
        try:
            state = checkpoint_files.read_state(path)
        except Exception:
            refused += 1
        else:
            assert same(state, good)
    assert refused > 75


def test_a_stale_checkpoint_is_replaced_with_a_line(
    folder: Path, whole: dict[str, Any], capsys: pytest.CaptureFixture[str]
):
    before = {file.name for file in (folder / "checkpoint").iterdir()}
    assert len(before) > 2
    run = run_cell.run_cell(dataclasses.replace(CELL, fingerprint="f" * 16), folder)
    assert capsys.readouterr().err.splitlines() == [
        f"rlparity: {folder / 'checkpoint'}: checkpoint at environment step 100 is of other sources or "
        "settings; training starts from the beginning"
    ]
    assert run["times_resumed"] == 0 and run["hashes"] == whole["hashes"]


def test_a_changed_setting_makes_a_checkpoint_stale_even_without_fingerprints(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    changed = dataclasses.replace(CELL, hyperparameters={**CELL.hyperparameters, "gamma": 0.5})
    assert run_cell.run_cell(changed, folder)["times_resumed"] == 0
    assert "is of other sources or settings" in capsys.readouterr().err


def test_what_a_kill_left_half_written_is_swept_away(folder: Path, whole: dict[str, Any]):
    path = folder / "checkpoint"
    for name in (".state.pt.0123", ".replay-0-100-110.pt.0123", "replay-0-100-110.pt", ".agent.pt.0123"):
        (path / name).write_bytes(b"half")
    kept = Checkpointer(CELL, path)
    kept.restore(fresh(CELL))
    listed = {segment.name for segment in kept._segments}
    assert {file.name for file in path.iterdir()} == {"state.pt", *listed} and listed


# --- full disks and signals


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A disk that takes segments but no state: what it was asked to write."""
    asked: list[Path] = []
    write = checkpoint_files.write_bytes

    def refuse(path: Path, content: bytes) -> None:
        asked.append(path)
        if path.name == checkpoint_files.STATE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, content)

    monkeypatch.setattr(checkpoint_files, "write_bytes", refuse)
    return asked


def test_a_full_disk_costs_one_line_and_no_record(
    full: list[Path], tmp_path: Path, whole: dict[str, Any], capsys: pytest.CaptureFixture[str]
):
    run = run_cell.run_cell(CELL, tmp_path)
    assert sum(path.name == checkpoint_files.STATE for path in full) == 3
    assert capsys.readouterr().err.splitlines() == [
        f"rlparity: {tmp_path / 'checkpoint'}: cannot be written (No space left on device); training goes on "
        "with no checkpoint"
    ]
    assert run["hashes"] == whole["hashes"]


def test_a_checkpoint_that_was_not_written_leaves_no_segment_and_the_next_one_has_all(
    folder: Path, full: list[Path], monkeypatch: pytest.MonkeyPatch, whole: dict[str, Any]
):
    path = folder / "checkpoint"
    kept, training = Checkpointer(CELL, path), fresh(CELL)
    kept.restore(training)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    advance(training, 5)
    kept.save(training)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    monkeypatch.undo()
    kept.save(training)
    copy = fresh(CELL)
    Checkpointer(CELL, path).restore(copy)
    assert same(advance(copy, 5), advance(training, 5))


def test_records_that_cannot_be_written_are_one_line_and_the_checkpoint_is_kept(
    tmp_path: Path, whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(run_cell.records, "write", refuse)
        with pytest.raises(UserError, match=r"the records cannot be written \(No space left on device\)"):
            run_cell.run_cell(CELL, tmp_path)
    assert checkpoint_files.read_state(tmp_path / "checkpoint")["env_step"] == 120
    run = run_cell.run_cell(CELL, tmp_path)
    assert run["hashes"] == whole["hashes"] and run["times_resumed"] == 1


def test_an_interruption_says_where_training_goes_on(folder: Path):
    kept, training = Checkpointer(CELL, folder / "checkpoint"), fresh(CELL)
    kept.restore(training)
    written = (folder / "checkpoint" / checkpoint_files.STATE).stat().st_mtime_ns
    kept(training)
    kept.signal = 15
    with pytest.raises(Interrupted, match="with a checkpoint at environment step 100 of 120") as stopped:
        kept(training)
    assert stopped.value.status == 143
    assert (
        folder / "checkpoint" / checkpoint_files.STATE
    ).stat().st_mtime_ns == written  # nothing new to save


def test_an_interruption_on_a_full_disk_says_so(full: list[Path], tmp_path: Path):
    kept, training = Checkpointer(CELL, tmp_path / "checkpoint"), fresh(CELL)
    kept.signal = 2
    with pytest.raises(Interrupted, match="stopped with no checkpoint") as stopped:
        kept(training)
    assert stopped.value.status == 130


def test_signals_are_heeded_in_the_main_thread_and_only_if_they_were_not_ignored(tmp_path: Path):
    kept = Checkpointer(CELL, tmp_path)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts what runs in the background
    try:
        with kept.heeding_signals():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            for _ in range(3):
                os.kill(os.getpid(), signal.SIGTERM)
        assert kept.signal == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == before[signal.SIGTERM]
    finally:
        signal.signal(signal.SIGINT, before[signal.SIGINT])


def test_a_cell_can_be_trained_outside_the_main_thread(tmp_path: Path, whole: dict[str, Any]):
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run_cell.run_cell, CELL, tmp_path).result()["hashes"] == whole["hashes"]
