"""`rlparity plan`: what a suite asks for, before anything is spent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rlparity import forecast, rates, settings, suite, yamlfile
from rlparity.__main__ import main
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.rates import Rates

SUITES = sorted(path.stem for path in (settings.root() / suite.SUITES).glob("*.yaml"))
PONG = Cell("s", "ALE/Pong-v5@nature", "scratch", "ppo", "ppo", (0,), 1000)
CARTPOLE = Cell("s", "CartPole-v1", "sb3", "a2c", "a2c", (0,), 1000)


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_has_a_plan(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", name, "--results", str(tmp_path), "--reports", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"suite {name}: ")
    raw = yamlfile.read(settings.root() / suite.SUITES / f"{name}.yaml")
    if "kind" not in raw:
        rows = [line.split()[0] for line in said.splitlines()[1:9]]
        assert rows == ["cells", "jobs", "steps", "core-hours", "GPU-hours", "memory", "storage", "planning"]
        asked = suite.load(suite.find(name), elsewhere=True)
        assert f"{len(asked.cells):,}, 0 of them trained" in said


def test_a_suite_too_large_for_this_machine_is_planned_but_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite.needs, "machine_bytes", lambda: 2**30)
    path = suite.find("mujoco")
    assert suite.load(path, elsewhere=True).cells
    with pytest.raises(UserError, match=r"the machine has 1\.0"):
        suite.load(path)


def bench(reports: Path, *rows: str) -> Rates:
    """Rates of a folder with these rows of throughput.csv."""
    (reports / "benchmark").mkdir()
    head = "implementation,algorithm,environment,seeds,device,settings,steps_per_second"
    (reports / rates.THROUGHPUT).write_text("\n".join([head, *rows]) + "\n")
    return Rates(reports)


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
    found = Rates(tmp_path)
    assert found.of(CARTPOLE) == (200, "trained")
    assert found.episode_s(CARTPOLE) == 2.0
    assert found.episode_s(PONG) == rates.EPISODE_S["ale-py"]


def test_the_time_to_plan_is_that_of_the_nearest_size_measured(tmp_path: Path) -> None:
    assert "(assumed)" in forecast._planning(1000, tmp_path)
    (tmp_path / "benchmark").mkdir()
    (tmp_path / forecast.DAG).write_text("cells,seconds\n1000,2.0\n10000,14.0\n")
    assert "about 28 s" in forecast._planning(20_000, tmp_path)
    assert "2.0 s measured with 1,000 cells" in forecast._planning(900, tmp_path)
