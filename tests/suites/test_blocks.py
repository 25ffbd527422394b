"""Splits of ten seeds into processes, by hand."""

from __future__ import annotations

import pytest

from rlparity.__main__ import main
from rlparity.cell import Cell
from rlparity.suites.costs import blocks, speeds
from rlparity.suites.costs.cost import START_UP_S

HEAD = "implementation,algorithm,environment,seeds,device,settings,steps_per_second"


def measured(reports, *rows):
    (reports / "benchmark").mkdir(exist_ok=True)
    (reports / speeds.THROUGHPUT).write_text("\n".join([HEAD, *rows]) + "\n")
    return reports


def test_processes_wait_for_a_core():
    assert blocks.seconds(10, 4, 1000.0, 1000) == START_UP_S + 10
    assert blocks.seconds(5, 1, 1000.0, 1000) == 2 * (START_UP_S + 5)
    assert blocks.seconds(1, 4, 100.0, 1000) == 3 * (START_UP_S + 10)  # 4, 4 and 2 seeds


def test_one_core_takes_one_process_and_ten_cores_take_ten():
    rates = {1: 20_000.0, 5: 40_000.0, 10: 50_000.0}
    assert [blocks.quickest(rates, cores, 1_000_000) for cores in (1, 2, 10)] == [10, 5, 1]
    assert blocks.quickest({1: 100.0, 5: 500.0, 10: 1000.0}, 10, 1_000_000) == 10  # nothing to gain


def test_the_command_shows_both_and_says_what_to_measure(tmp_path, capsys):
    rows = [f"scratch,ppo,CartPole-v1,{n},cpu,,{rate}" for n, rate in ((1, 20e3), (5, 40e3), (10, 50e3))]
    measured(tmp_path, *rows, "scratch,dqn,CartPole-v1,1,cpu,,2000")
    assert main(["bench", "--blocks", "--reports", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = {line.split()[0]: line.split("  ")[-1] for line in lines if line.startswith("   ")}
    assert shown["1"] == "one of ten" and shown["10"] in ("two of five", "ten of one")
    assert "rlparity bench --algorithms dqn --environment CartPole-v1 --seeds 5,10" in lines[-1]


@pytest.mark.parametrize(("seeds", "rate"), [(1, 100), (10, 1000), (50, 1000), (5, 100 * 5), (2, 100 * 2)])
def test_a_rate_is_that_of_the_suites_block_size(tmp_path, seeds, rate):
    """Between measured sizes a straight line in logarithms: here a rate of 100 for each seed up to ten."""
    found = speeds.Speeds(
        measured(tmp_path, "scratch,ppo,CartPole-v1,1,cpu,,100", "scratch,ppo,CartPole-v1,10,cpu,,1000")
    )
    cell = Cell("s", "CartPole-v1", "scratch", "ppo", "ppo", tuple(range(seeds)), 1000)
    assert found.of(cell).steps_per_second == pytest.approx(rate)
    assert found.measured(cell) == ({1: 100, 10: 1000}.get(seeds))


def test_the_same_configuration_comes_before_a_nearer_size_of_another(tmp_path):
    rows = ("scratch,ppo,CartPole-v1,1,cpu,,100", "scratch,ppo-bfloat16,CartPole-v1,10,cpu,,7")
    cell = Cell("s", "CartPole-v1", "scratch", "ppo", "ppo", tuple(range(10)), 1000)
    assert speeds.Speeds(measured(tmp_path, *rows)).of(cell).steps_per_second == 100
