"""`rlparity plan`: what a suite asks for, before anything is spent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from resolved import resolve

from rlparity import project_files
from rlparity.__main__ import main
from rlparity.cell import Cell
from rlparity.environments import metadata
from rlparity.errors import UserError
from rlparity.shipped_records import references
from rlparity.suites import devices, memory_needs, suite, yaml_reader
from rlparity.suites.costs import fitting, forecast, speeds
from rlparity.suites.costs.speeds import Speeds

SUITES = sorted(path.stem for path in (project_files.PROJECT / project_files.SUITES).glob("*.yaml"))
PONG = Cell("s", "ALE/Pong-v5@nature", "scratch", "ppo", "ppo", (0,), 1000)
CARTPOLE = Cell("s", "CartPole-v1", "sb3", "a2c", "a2c", (0,), 1000)


@pytest.mark.probes
@pytest.mark.parametrize("name", SUITES)
def test_every_suite_has_a_plan(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", name, "--results", str(tmp_path), "--reports", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"suite {name}: ")
    raw = yaml_reader.read(project_files.PROJECT / project_files.SUITES / f"{name}.yaml")
    if "kind" not in raw:
        rows = [line.split()[0] for line in printed.splitlines()[1:10]]
        rows = [row for row in rows if row != "looks"][:8]  # where seeds grow
        assert rows == ["cells", "jobs", "steps", "core-hours", "GPU-hours", "memory", "storage", "planning"]
        asked = references.settled(suite.load(suite.find(name), elsewhere=True), tmp_path, tmp_path)
        assert f"{len(asked.cells):,}, 0 of them trained" in printed


def test_a_suite_too_large_for_this_machine_is_planned_but_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_needs, "machine_bytes", lambda: 2**30)
    path = suite.find("mujoco")
    assert suite.load(path, elsewhere=True).cells
    with pytest.raises(UserError, match=r"the machine has 1\.0"):
        suite.load(path)


def bench(reports: Path, *rows: str) -> Speeds:
    """Rates of a folder with these rows of throughput.csv."""
    (reports / "benchmark").mkdir()
    head = "implementation,algorithm,environment,seeds,device,settings,steps_per_second"
    (reports / speeds.THROUGHPUT).write_text("\n".join([head, *rows]) + "\n")
    return Speeds(reports)


def test_rates_of_the_same_environment_come_before_those_of_others(tmp_path: Path) -> None:
    found = bench(
        tmp_path,
        "scratch,ppo,ALE/Pong-v5@nature,1,cpu,,300",
        "scratch,ppo,CartPole-v1,1,cpu,,9000",
        "scratch,ppo,CartPole-v1,1,cpu,SB3's defaults,5",
        "scratch,ppo,ALE/Pong-v5@nature,1,cuda,,20000",
    )
    assert found.of(PONG) == (300, "measured")
    breakout = Cell("s", "ALE/Breakout-v5@nature", "scratch", "ppo", "ppo", (0,), 1000)
    assert found.of(breakout) == (300, "similar")  # not CartPole's
    assert found.of(Cell("s", "Acrobot-v1", "scratch", "ppo", "ppo", (0,), 9)) == (9000, "similar")
    on_gpu = Cell("s", "ALE/Pong-v5@nature", "scratch", "ppo", "ppo", (0,), 1000, device="cuda")
    assert found.of(on_gpu) == (20000, "measured")
    assert found.of(CARTPOLE).basis == "assumed"


def test_runs_that_a_report_carries_are_measurements_too(tmp_path: Path) -> None:
    for seed, speed in enumerate((100.0, 200.0, 900.0)):
        folder = tmp_path / "s" / "records" / str(seed)
        folder.mkdir(parents=True)
        cell = json.loads(CARTPOLE.to_json()) | {"seeds": [seed]}
        episodes = 20 * 20 + 100
        run = {"cell": cell, "steps_per_second": speed, "evaluation_time_s": 2.0 * episodes}
        (folder / "run.json").write_text(json.dumps(run))
    (tmp_path / "s" / "records" / "0" / "deep").mkdir()
    (tmp_path / "s" / "records" / "0" / "deep" / "run.json").write_text("{")
    (tmp_path / "s" / "records" / "0" / "deeper").mkdir()
    untold = {"cell": json.loads(PONG.to_json()), "steps_per_second": None, "evaluation_time_s": None}
    (tmp_path / "s" / "records" / "0" / "deeper" / "run.json").write_text(json.dumps(untold))
    found = Speeds(tmp_path)
    assert found.of(CARTPOLE) == (200, "trained")
    assert found.episode_s(CARTPOLE) == 2.0
    assert found.episode_s(PONG) == speeds.EPISODE_S["ale-py"]


def test_measurements_that_were_cut_short_are_left_out(tmp_path: Path) -> None:
    found = bench(
        tmp_path,
        "scratch,ppo",
        "scratch,ppo,CartPole-v1,many,cpu,,9",
        "scratch,ppo,CartPole-v1,1,cpu,,0",
        "scratch,ppo,CartPole-v1,1,cpu,,nan",
        "scratch,ppo,Gone-v9,1,cpu,,7",
        "",
        "scratch,ppo,CartPole-v1,1,cpu,,9000,more,and more",
    )
    assert found.of(Cell("s", "Acrobot-v1", "scratch", "ppo", "ppo", (0,), 9)) == (9000, "similar")
    (tmp_path / forecast.DAG).write_text("cells,seconds\n1000\n0,1\n2000,nan\n\nx,y\n3000,3.0\n")
    assert "3.0 s measured with 3,000 cells" in forecast._planning(1000, tmp_path)
    (tmp_path / forecast.DAG).write_bytes(b"cells,seconds\n\xff\xfe,1\n")
    assert "(assumed)" in forecast._planning(1000, tmp_path)


def tiny(**changes: Any) -> suite.Suite:
    raw = {
        "name": "made-up",
        "title": "Made up",
        "environments": ["CartPole-v1"],
        "algorithms": ["dqn"],
        "implementations": ["scratch", "sb3"],
        "seeds": ["0-1"],
        "budgets": {"default": 10**6},
    }
    return suite.resolve({**raw, **changes}, "Bad suite", elsewhere=True)


def row(asked: suite.Suite, name: str, reports: Path) -> str:
    (found,) = (line for line in forecast.lines(asked, asked.cells, reports) if line.startswith(f"  {name} "))
    return found


def test_only_what_writes_checkpoints_has_its_replay_memory_on_the_disk(tmp_path: Path) -> None:
    info = metadata.probe("CartPole-v1")
    both, ours = tiny(), tiny(implementations=["scratch"])
    size = memory_needs.memory_bytes(ours.cells[0], info) / 2**30
    assert all(
        (memory_needs.checkpoint_bytes(cell, info) > 0) == (cell.implementation == "scratch")
        for cell in both.cells
    )
    assert f"{size:,.1f} GiB if all were under way" in row(both, "storage", tmp_path)
    assert "0.0 GiB if all were under way" in row(tiny(checkpoint_every=0), "storage", tmp_path)


def test_frames_in_a_mapped_file_are_on_the_disk_in_checkpoints() -> None:
    info = metadata.probe("ALE/Pong-v5@nature")
    values = {"buffer_size": 1000, "memory_mapped": True}
    cell = Cell("s", "ALE/Pong-v5@nature", "scratch", "dqn", "dqn", (0,), 1000, hyperparameters=values)
    assert memory_needs.checkpoint_bytes(cell, info) == 0
    cell = replace(cell, checkpoint_every=10)
    assert memory_needs.checkpoint_bytes(cell, info) > 7_000_000 > memory_needs.memory_bytes(cell, info)


def test_logs_are_read_and_need_neither_steps_nor_memory(tmp_path: Path) -> None:
    (tmp_path / "1.monitor.csv").write_text('#{"t_start": 1.0, "env_id": "CartPole-v1"}\nr,l,t\n1,2,3\n')
    logs = {"against": "dqn", "logs": "{seed}.monitor.csv", "folder": str(tmp_path)}
    command = {"against": "dqn", "command": "true {seed}"}
    asked = tiny(candidates={"theirs": logs, "mine": command})
    read, run = (next(c for c in asked.cells if c.implementation == name) for name in ("theirs", "mine"))
    info = metadata.probe("CartPole-v1")
    assert (
        memory_needs.needed_mib(read, info) == memory_needs.PROCESS_MIB < memory_needs.needed_mib(run, info)
    )
    assert "6,000,000 environment steps" in row(asked, "steps", tmp_path)
    assert "6 to train, 1 of logs to read" not in row(asked, "cells", tmp_path)
    assert "5 to train, 1 of logs to read" in row(asked, "cells", tmp_path)


def test_a_command_is_not_refused_for_memory_that_only_the_reference_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_needs, "machine_bytes", lambda: 1)
    cell = replace(CARTPOLE, algorithm="dqn", agent="dqn")
    info = metadata.probe("CartPole-v1")
    assert memory_needs.bad_memory(cell, info)
    assert not memory_needs.bad_memory(replace(cell, candidate={"command": "x {seed}"}), info)


def test_a_plan_says_what_auto_is_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices, "_cuda", lambda: False)
    assert "auto is cpu here; for a cluster write cpu or cuda" in row(tiny(device="auto"), "device", tmp_path)
    with pytest.raises(ValueError):
        row(tiny(device="cuda"), "device", tmp_path)
    assert {cell.device for cell in tiny(device="cuda").cells} == {"cuda"}


def test_the_time_to_plan_is_that_of_the_nearest_size_measured(tmp_path: Path) -> None:
    assert "(assumed)" in forecast._planning(1000, tmp_path)
    (tmp_path / "benchmark").mkdir()
    (tmp_path / forecast.DAG).write_text("cells,seconds\n1000,2.0\n10000,14.0\n")
    assert "about 28 s" in forecast._planning(20_000, tmp_path)
    assert "2.0 s measured with 1,000 cells" in forecast._planning(900, tmp_path)


def test_what_does_not_fit_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["plan", "mujoco", "--results", str(tmp_path), "--reports", str(tmp_path)]
    monkeypatch.setattr(memory_needs, "machine_bytes", lambda: 2**40)
    monkeypatch.setattr(fitting, "free_bytes", lambda folder: 2**45)
    assert main(words) == 0 and "does not fit" not in capsys.readouterr().out
    monkeypatch.setattr(memory_needs, "machine_bytes", lambda: 2**30)
    monkeypatch.setattr(fitting, "free_bytes", lambda folder: 2**20)
    assert main(words) == 0
    memory, disk = [line for line in capsys.readouterr().out.splitlines() if "does not fit" in line]
    assert memory.startswith("  does not fit: rlparity run refuses it here: buffer_size ")
    assert disk.endswith(f" GiB of files, of 0.0 free at {tmp_path}")


def test_a_plan_takes_other_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["plan", "smoke", "--results", str(tmp_path), "--reports", str(tmp_path), "--config"]
    assert main([*words, "budgets=3k", "algorithms=ppo", "seeds=0", "implementations=[scratch]"]) == 0
    printed = capsys.readouterr().out
    assert "2, 0 of them trained" in printed and "6,000 environment steps" in printed
    assert main([*words, "budgets=many"]) == 4
    assert "--config budgets many: write a whole number" in capsys.readouterr().err


@pytest.mark.usefixtures("in_checkout")
def test_a_plan_of_growing_seeds_says_what_the_first_look_needs(tmp_path: Path) -> None:
    seeds = {"start": 5, "step": 5, "until": "decided", "at_most": 15}
    made = resolve(algorithms=["random", "ppo"], seeds=seeds, reference_seeds={"ppo": ["0-4"]})
    text = "\n".join(forecast.lines(made, made.cells, tmp_path))
    # Three blocks of the floor, one of ours and five of the reference; then two blocks of ours at most.
    assert "looks       3 at most" in text and "needs 9 of the 11 cells" in text
