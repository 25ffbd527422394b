"""What a trained cell leaves behind, and what it must not leave behind when it is interrupted."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pickle
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from small import cell

from rlparity import records
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.provenance import fingerprint
from rlparity.runs import pending, progress, run_cell
from rlparity.training import checkpoint_files, loop, recorder
from rlparity.transitions import Episode

ALWAYS = {
    "status", "failed_seeds", "cell", "config", "departures", "versions", "hardware", "git", "source_hash",
    "fingerprint", "started", "startup_time_s", "training_time_s", "evaluation_time_s", "wall_time_s",
    "steps_per_second", "peak_memory_mib", "times_resumed", "hashes",
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Cell, Path, dict[str, Any]]:
    """A block of two seeds of PPO, trained, with its folder and run.json."""
    folder = tmp_path_factory.mktemp("results") / "seeds-3-4"
    c = cell("ppo", (3, 4), fingerprint="0123456789abcdef")
    run_cell.run_cell(c, folder)
    return c, folder, json.loads((folder / "run.json").read_text())


def test_run_json_is_complete(finished):
    c, _, run = finished
    assert set(run) >= ALWAYS
    assert (run["status"], run["failed_seeds"], run["times_resumed"]) == ("done", {}, 0)
    assert Cell.from_json(json.dumps(run["cell"])) == c
    assert run["fingerprint"] == "0123456789abcdef"
    assert run["config"]["clip_range"] == 0.2 and run["config"]["vf_coef"] == 0.5  # a default as well
    assert run["config"]["n_envs"] == 8 and run["config"]["normalize"] is False
    assert "gradient norms clipped" in run["departures"]
    assert {"python", "torch", "numpy", "gymnasium"} <= set(run["versions"])
    assert set(run["hardware"]) >= {"cpu", "instructions", "gpu", "cores", "threads", "machine"}
    assert run["hardware"]["threads"] == 1
    assert run["wall_time_s"] >= run["training_time_s"] + run["evaluation_time_s"] > 0
    assert run["steps_per_second"] == pytest.approx(2 * c.budget / run["training_time_s"])
    assert 10 < run["peak_memory_mib"] < 4096


def test_records_have_their_schemas_and_hashes(finished):
    _, folder, run = finished
    assert set(run["hashes"]) == {"episodes.parquet", "evaluations.parquet"}
    for name, digest in run["hashes"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    for kind, schema in records.SCHEMAS.items():
        table = pq.read_table(folder / f"{kind}.parquet")
        assert table.schema.equals(schema) and table.num_rows > 0
    left = {path.name for path in folder.iterdir()}
    assert left == {
        "episodes.parquet",
        "evaluations.parquet",
        "progress.parquet",
        "checkpoint",
        "run.json",
        ".lock",
    }


def test_the_same_cell_twice_leaves_the_same_bytes(finished, tmp_path: Path):
    c, folder, run = finished
    second = run_cell.run_cell(c, tmp_path / "second")
    assert second["hashes"] == run["hashes"]
    assert (tmp_path / "second" / "episodes.parquet").read_bytes() == (
        folder / "episodes.parquet"
    ).read_bytes()


class Interrupted(Exception):
    """As good as a kill at this place."""


def interrupt(*_: object, **__: object) -> None:
    raise Interrupted


def test_a_run_that_stops_in_training_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loop, "loop", interrupt)
    with pytest.raises(Interrupted):
        run_cell.run_cell(cell("random"), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".lock"}


def test_a_run_that_stops_in_writing_leaves_no_run_json_not_even_an_old_one(tmp_path: Path):
    """Records of two runs side by side under the run.json of the first would be believed."""
    run_cell.run_cell(cell("random", (1,)), tmp_path)
    write = records.write

    def until_progress(folder: Path, kind: str, rows: Any) -> None:
        if kind == "progress":
            raise Interrupted
        write(folder, kind, rows)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(records, "write", until_progress)
        with pytest.raises(Interrupted):
            run_cell.run_cell(cell("random", (2,)), tmp_path)
    assert not (tmp_path / "run.json").exists()
    assert run_cell.run_cell(cell("random", (2,)), tmp_path)["status"] == "done"  # another run completes it
    assert pq.read_table(tmp_path / "episodes.parquet")["seed"].unique().to_pylist() == [2]


@pytest.mark.whole
def test_a_killed_process_leaves_no_half_written_record_and_its_lock_falls_away(tmp_path: Path):
    c = cell("random", budget=100_000_000)
    code = (
        "import sys; from pathlib import Path; from rlparity import cell; from rlparity.runs import run_cell;"
        "run_cell.run_cell(cell.Cell.from_json(sys.argv[1]), Path(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, c.to_json(), str(tmp_path)],
        env={"PYTHONPATH": ":".join(sys.path), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (tmp_path / "heartbeat.json").exists():
            assert process.poll() is None
            time.sleep(0.05)
        with pytest.raises(UserError, match="another process is training this cell") as refused:
            run_cell.run_cell(cell("random"), tmp_path)
    finally:
        process.kill()
        process.wait()
    assert "\n" not in str(refused.value) and str(tmp_path) in str(refused.value)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".parquet" or path.name == "run.json"]
    assert run_cell.run_cell(cell("random"), tmp_path)["status"] == "done"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path):
    (tmp_path / "results").write_text("a file, not a folder")
    with pytest.raises(UserError, match="cannot be written"):
        run_cell.run_cell(cell("random"), tmp_path / "results" / "seeds-0-0")


def test_a_failed_seed_is_named_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Recorder(recorder.Recorder):
        def __post_init__(self) -> None:
            super().__post_init__()
            self.fail(1, 64, "the loss was not finite")

    monkeypatch.setattr(run_cell, "Recorder", Recorder)
    run = run_cell.run_cell(cell("random", (3, 4)), tmp_path)
    assert run["status"] == "failed"
    assert run["failed_seeds"] == {"4": "the loss was not finite by environment step 64"}
    assert pq.read_table(tmp_path / "episodes.parquet")["seed"].unique().to_pylist() == [3]


def test_steps_per_second_counts_training_time_only(finished):
    c, _, run = finished
    assert run["steps_per_second"] > c.budget * 2 / run["wall_time_s"]


# --- checkpoints


def test_a_checkpoint_holds_tensors_of_their_own(tmp_path: Path):
    whole = torch.arange(1000.0)
    state = {"theta": whole[:4].view(2, 2), "normaliser.mean": torch.ones(1, dtype=torch.float64)}
    checkpoint_files.save(tmp_path, state)
    loaded = checkpoint_files.load(tmp_path)
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
    assert loaded["theta"].untyped_storage().nbytes() == 16  # not the whole


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path):
    class Malice:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    buffer = io.BytesIO()
    torch.save({"theta": Malice()}, buffer)
    for content in (buffer.getvalue(), pickle.dumps(Malice()), b"nothing of the sort"):
        (tmp_path / checkpoint_files.FILE).write_bytes(content)
        with pytest.raises(UserError, match="not a readable checkpoint") as caught:
            checkpoint_files.load(tmp_path)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_missing_checkpoint_is_one_line(tmp_path: Path):
    with pytest.raises(UserError, match="no checkpoint; train the cell first"):
        checkpoint_files.load(tmp_path)


# --- progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that shows the time to which it is set."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(
        progress, "time", SimpleNamespace(monotonic=lambda: clock.now, time=lambda: clock.now)
    )
    return clock


def test_a_heartbeat_is_written_once_a_second(tmp_path: Path, clock: SimpleNamespace):
    path = tmp_path / "heartbeat.json"
    display = progress.Display(cell("ppo", (3, 4), budget=1000), path)
    display(8, [Episode(0, 0, 8, 20.0, 8)])
    assert not path.exists()
    clock.now += 2
    display(100, [Episode(1, 2, 100, 30.0, 30)])
    assert json.loads(path.read_text()) == {
        "env_step": 100,
        "budget": 1000,
        "seeds": 2,
        "steps_per_second": 100.0,
        "episode_return": 25.0,
        "started": 100.0,
        "updated": 102.0,
    }
    display.close()
    assert not path.exists()


def test_a_log_gets_a_line_at_intervals(clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]):
    display = progress.Display(cell("ppo", (3, 4), budget=1000))
    display(8, [])
    for clock.now, env_step in ((103, 100), (104, 150), (109, 200), (113, 400)):
        display(env_step, [Episode(0, 0, 400, 20.0, 20)] if env_step == 400 else [])
    assert capsys.readouterr().err.splitlines() == [
        "CartPole-v1 scratch/ppo  100 of 1,000  67 steps/s over 2 seeds  ETA 27 s  return -",
        "CartPole-v1 scratch/ppo  400 of 1,000  62 steps/s over 2 seeds  ETA 20 s  return 20.0",
    ]


def test_a_terminal_gets_a_bar(
    clock: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    display = progress.Display(cell("ppo", (3, 4), budget=1000))
    display(8, [])
    clock.now += 2
    display(500, [])
    display.close()
    bar = capsys.readouterr().err
    assert "[###############               ]  50%" in bar and "ETA 2 s" in bar
    assert bar.startswith("\r") and bar.endswith("\n")


def test_a_resumed_cell_shows_its_own_rate_and_what_is_left(
    tmp_path: Path, clock: SimpleNamespace, capsys: pytest.CaptureFixture[str]
):
    """Of 1,000 steps 600 were done before; 192 in 16 s leave 208 for 17 s."""
    path = tmp_path / "heartbeat.json"
    display = progress.Display(cell("ppo", (3, 4), budget=1000), path)
    display(608, [])
    clock.now += 16
    display(792, [])
    assert capsys.readouterr().err.splitlines() == [
        "CartPole-v1 scratch/ppo  792 of 1,000  24 steps/s over 2 seeds  ETA 17 s  return -"
    ]
    beat = json.loads(path.read_text())
    assert beat["steps_per_second"] == 24
    assert beat["updated"] - beat["started"] == pytest.approx(66)  # as if all of it had gone that fast


def test_a_heartbeat_that_cannot_be_written_ends_nothing(
    tmp_path: Path, clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
):
    def refuse(path: Path, content: bytes) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(progress, "write_bytes", refuse)
    display = progress.Display(cell("ppo", (3, 4), budget=1000), tmp_path / "heartbeat.json")
    display(8, [])
    clock.now += 2
    display(16, [])
    display.close()


def test_event_files_for_tensorboard_on_request(tmp_path: Path):
    pytest.importorskip("tensorboard")
    c = dataclasses.replace(cell("random", budget=200), tensorboard=True)
    run_cell.run_cell(c, tmp_path)
    (events,) = (tmp_path / "tensorboard").glob("events.*")
    assert b"seed-0/episode_return" in events.read_bytes()


def test_tensorboard_files_contain_episodes_evaluations_and_metrics(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run_cell.run_cell(cell("a2c", (3,), tensorboard=True), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    rows = pq.read_table(tmp_path / "evaluations.parquet").to_pylist()
    first = [r["value"] for r in rows if (r["env_step"], r["protocol"]) == (0, "deterministic")]
    scalars = events.Scalars("seed-3/evaluation/deterministic")
    assert scalars[0].value == pytest.approx(sum(first) / len(first))
    assert {"seed-3/episode_return", "seed-3/value_loss"} <= set(events.Tags()["scalars"])


def test_tensorboard_files_of_a_resumed_cell_have_no_duplicates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after step 24 with a checkpoint at step 8: steps 16 and 24 are repeated."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.summary.writer import event_file_writer

    for first in (8, 16):
        clock = SimpleNamespace(time=lambda later=first: time.time() + later)  # files are named by the second
        monkeypatch.setattr(event_file_writer, "time", clock)
        display = progress.Display(cell("ppo", (3,)), None, tmp_path / "tensorboard")
        for env_step in range(first, 25, 8):
            display(env_step, [Episode(0, 0, env_step, 100 * first + env_step, 8)])
        display.close()
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    returns = [(event.step, event.value) for event in events.Scalars("seed-3/episode_return")]
    assert returns == [(8, 808), (16, 1616), (24, 1624)]


@pytest.mark.whole
def test_a_cell_is_trained_by_the_code_of_its_fingerprint(tmp_path: Path) -> None:
    made = cell("random")
    current = dataclasses.replace(made, fingerprint=fingerprint.of(made))
    run_cell.check_code(current)
    edited = dataclasses.replace(current, fingerprint="0" * 16)
    pending.update([edited], tmp_path)
    file = tmp_path / edited.folder / pending.CELL_FILE
    done = subprocess.run(
        [sys.executable, "-m", "rlparity", "dev", "cell", "--cell", str(file)], capture_output=True, text=True
    )
    assert done.returncode == 4 and "has changed since it was planned" in done.stderr
    assert done.stderr.count("\n") == 1 and not list(file.parent.glob("*.parquet"))
