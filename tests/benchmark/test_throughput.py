"""The benchmark: what is compared, how ratios are taken, and that nothing measured earlier is lost."""

from __future__ import annotations

import csv

import pytest

from rlparity.benchmark import throughput
from rlparity.errors import UserError


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def row(algorithm, seeds, rate, implementation="scratch"):
    values = dict.fromkeys(throughput.COLUMNS, "")
    key = {"algorithm": algorithm, "environment": "CartPole-v1", "implementation": implementation}
    return {
        **values,
        **key,
        "settings": throughput.TUNED,
        "seeds": seeds,
        "threads": 1,
        "device": "cpu",
        "steps_per_second": rate,
    }


def test_reference_comes_first_with_one_seed_and_the_same_settings():
    reference, one, ten = throughput.cells("ppo", "CartPole-v1", [1, 10])
    assert (reference.implementation, reference.seeds) == ("sb3", (0,))
    assert (one.implementation, one.seeds, ten.seeds) == ("scratch", (0,), tuple(range(10)))
    assert reference.hyperparameters == ten.hyperparameters
    assert reference.budget == ten.budget


def test_ratios_are_taken_within_a_round(monkeypatch):
    rates = iter([100.0, 400.0, 50.0, 150.0, 200.0, 1000.0])  # reference, ours; three rounds
    monkeypatch.setattr(
        throughput, "_child", lambda cell: {"steps_per_second": next(rates), "peak_memory_mib": 7}
    )
    reference, ours = throughput.compare(throughput.cells("ppo", "CartPole-v1", [10]), rounds=3)
    assert (reference["ratio_to_reference"], reference["steps_per_second"]) == (1.0, 100.0)
    assert (ours["ratio_min"], ours["ratio_to_reference"], ours["ratio_max"]) == (3.0, 4.0, 5.0)
    assert (ours["steps_per_second"], ours["rounds"], ours["peak_memory_mib"]) == (400.0, 3, 7)


def test_large_blocks_run_in_one_round_only(monkeypatch):
    asked = []

    def child(cell):
        asked.append((cell.implementation, len(cell.seeds)))
        return {"steps_per_second": 1.0, "peak_memory_mib": 1.0}

    monkeypatch.setattr(throughput, "_child", child)
    throughput.compare(throughput.cells("ppo", "CartPole-v1", [1, 50]), rounds=3)
    assert asked.count(("sb3", 1)) == asked.count(("scratch", 1)) == 3
    assert asked.count(("scratch", 50)) == 1


def test_measuring_again_replaces_a_row_and_keeps_the_others(tmp_path):
    path = tmp_path / "throughput.csv"
    throughput.save(path, [row("ppo", 1, 10.0), row("dqn", 10, 5.0)])
    throughput.save(path, [row("ppo", 1, 20.0)])
    assert [(r["algorithm"], r["seeds"], r["steps_per_second"]) for r in rows(path)] == [
        ("dqn", "10", "5.0"),
        ("ppo", "1", "20.0"),
    ]


def test_a_run_is_timed_for_real():
    _, one = throughput.cells("a2c", "CartPole-v1", [1])
    small = throughput.replace(one, budget=400)
    result = throughput.timed(small)
    assert result["steps_per_second"] > 0
    assert 50 < result["peak_memory_mib"] < 4096


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "numbers of seeds"),
        (["--seeds", "ten"], "numbers of seeds"),
        (["--rounds", "0"], "at least 1"),
        (["--algorithms", "reinforce", "--seeds", "1"], "no reference"),
        (["--algorithms", "pppo", "--seeds", "1"], "did you mean 'ppo'"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    with pytest.raises(UserError, match=message):
        throughput.main(arguments)


def test_the_references_defaults_are_a_configuration_of_their_own(tmp_path):
    tuned, plain = (
        throughput.cells("ppo", "HalfCheetah-v5", [10], s)[1] for s in (throughput.TUNED, throughput.DEFAULTS)
    )
    assert tuned.normalize and tuned.hyperparameters["net_arch"] == [256, 256]
    assert (plain.normalize, plain.n_envs, plain.hyperparameters) == (False, 1, {})
    path = tmp_path / "throughput.csv"
    throughput.save(
        path, [{**row("ppo", 1, 10.0), "settings": name} for name in (throughput.TUNED, throughput.DEFAULTS)]
    )
    assert len(rows(path)) == 2


def test_off_policy_learners_learn_almost_from_the_start_and_their_products_are_counted():
    reference, ours = throughput.cells("sac", "HalfCheetah-v5", [3])
    assert reference.hyperparameters["learning_starts"] == ours.hyperparameters["learning_starts"] == 100
    assert throughput._operations(ours) == pytest.approx(3 * 900 * 600e6, rel=0.05)
    assert throughput._operations(throughput.cells("ppo", "HalfCheetah-v5", [1])[0]) is None


def test_rows_measured_before_there_were_settings_are_kept(tmp_path):
    path = tmp_path / "throughput.csv"
    throughput.save(path, [row("ppo", 1, 10.0)])
    lines = path.read_text().splitlines()
    old = [
        ",".join(c for c, n in zip(line.split(","), throughput.COLUMNS, strict=True) if n != "settings")
        for line in lines
    ]
    path.write_text("\n".join(old) + "\n")
    throughput.save(path, [{**row("ppo", 2, 20.0), "settings": throughput.TUNED}])
    assert [(r["seeds"], r["settings"]) for r in rows(path)] == [
        ("1", throughput.TUNED),
        ("2", throughput.TUNED),
    ]
