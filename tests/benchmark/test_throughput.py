"""The benchmark: what is compared, how ratios are taken, and which earlier rows stay."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import replace

import pytest

from rlparity import project_files
from rlparity.__main__ import main
from rlparity.benchmark import pinning, plan, table, throughput, timed_run
from rlparity.errors import UserError
from rlparity.provenance import host

ROOT = project_files.PROJECT


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def row(algorithm, seeds, rate, implementation="scratch"):
    values = dict.fromkeys(table.COLUMNS, "")
    key = {"algorithm": algorithm, "environment": "CartPole-v1", "implementation": implementation}
    return {
        **values,
        **key,
        "settings": plan.TUNED,
        "seeds": seeds,
        "threads": 1,
        "device": "cpu",
        "steps_per_second": rate,
    }


def runs(monkeypatch, rates):
    """Let the runs of cells have these rates, in turn; returns the list of cells that are run."""
    left, made = iter(rates), []

    def child(cell):
        made.append(cell)
        return {"steps_per_second": next(left), "peak_memory_mib": 7}

    monkeypatch.setattr(throughput, "_child", child)
    return made


def test_reference_comes_first_with_one_seed_and_the_same_settings():
    reference, one, ten = plan.cells("ppo", "CartPole-v1", [1, 10])
    assert (reference.implementation, reference.seeds) == ("sb3", (0,))
    assert (one.implementation, one.seeds, ten.seeds) == ("scratch", (0,), tuple(range(10)))
    assert reference.hyperparameters == ten.hyperparameters
    assert reference.budget == ten.budget


def test_ratios_are_taken_within_a_round(monkeypatch):
    runs(monkeypatch, [100.0, 400.0, 50.0, 150.0, 200.0, 1000.0])  # reference, ours; three rounds
    reference, ours = throughput.compare(plan.cells("ppo", "CartPole-v1", [10]), rounds=3)
    assert (reference["ratio_to_reference"], reference["steps_per_second"]) == (1.0, 100.0)
    assert (ours["ratio_min"], ours["ratio_to_reference"], ours["ratio_max"]) == (3.0, 4.0, 5.0)
    assert (ours["steps_per_second"], ours["rounds"], ours["peak_memory_mib"]) == (400.0, 3, 7)


def test_large_blocks_run_in_the_first_round_only(monkeypatch):
    made = runs(monkeypatch, [1.0] * 7)
    throughput.compare(plan.cells("ppo", "CartPole-v1", [1, 50]), rounds=3)
    counts = Counter((cell.implementation, len(cell.seeds)) for cell in made)
    assert counts == {("sb3", 1): 3, ("scratch", 1): 3, ("scratch", 50): 1}


def test_every_second_round_runs_backwards_after_the_reference(monkeypatch):
    """So no arm is always the one that follows the reference."""
    made = runs(monkeypatch, [1.0] * 6)
    rows = throughput.compare(plan.cells("ppo", "CartPole-v1", [1, 2]), rounds=2)
    assert [len(cell.seeds) for cell in made if cell.implementation == "scratch"] == [1, 2, 2, 1]
    assert [cell.implementation for cell in made[::3]] == ["sb3", "sb3"]
    assert [row["seeds"] for row in rows] == [1, 1, 2]


def test_a_row_has_the_reference_rate_of_its_own_rounds(monkeypatch):
    runs(monkeypatch, [100.0, 400.0, 500.0, 50.0, 150.0, 200.0, 1000.0])  # 50 seeds in the first round
    reference, one, fifty = throughput.compare(plan.cells("ppo", "CartPole-v1", [1, 50]), rounds=3)
    assert (fifty["ratio_to_reference"], fifty["reference_steps_per_second"]) == (5.0, 100.0)
    assert one["reference_steps_per_second"] == reference["reference_steps_per_second"] == 100.0
    runs(monkeypatch, [100.0, 400.0, 50.0, 150.0])
    reference, one = throughput.compare(plan.cells("ppo", "CartPole-v1", [1]), rounds=2)
    assert one["reference_steps_per_second"] == reference["steps_per_second"] == 75.0


def test_algorithms_with_one_reference_are_measured_beside_the_same_runs_of_it(monkeypatch):
    made = runs(monkeypatch, [100.0, 200.0, 300.0, 10.0, 20.0])
    algorithms = ["ppo", "ppo-bfloat16", "a2c"]
    rows = throughput.measure(algorithms, "ALE/Pong-v5@nature", [1], rounds=1)
    assert [(cell.implementation, cell.algorithm) for cell in made] == [
        ("sb3", "ppo"), ("scratch", "ppo"), ("scratch", "ppo-bfloat16"), ("sb3", "a2c"), ("scratch", "a2c"),
    ]  # fmt: skip
    assert [row["reference_steps_per_second"] for row in rows] == [100.0] * 3 + [10.0] * 2
    assert [row["ratio_to_reference"] for row in rows] == [1.0, 2.0, 3.0, 1.0, 2.0]


def measured(algorithm, implementation, rate, ratio, reference=""):
    ratios = dict.fromkeys(table.RATIOS, ratio)
    return {**row(algorithm, 1, rate, implementation), **ratios, "reference_steps_per_second": reference}


@pytest.mark.parametrize("algorithm", ["ppo", "ppo-bfloat16"])  # both measured beside sb3/ppo
def test_no_ratio_is_left_beside_another_measurement_of_its_reference(tmp_path, algorithm):
    path = tmp_path / "throughput.csv"
    table.save(path, [measured("ppo", "sb3", 243.0, 1.0), measured(algorithm, "scratch", 262.0, 1.33)])
    table.save(path, [measured("a2c", "sb3", 400.0, 1.0, 400.0)])
    assert {r["ratio_to_reference"] for r in rows(path)} == {"1.0", "1.33"}  # another reference
    table.save(path, [measured("ppo", "sb3", 197.0, 1.0, 197.0)])
    (ours,) = (r for r in rows(path) if r["implementation"] == "scratch")
    assert ours["steps_per_second"] == "262.0" and {ours[name] for name in table.RATIOS} == {""}


def test_a_ratio_stays_where_its_row_has_the_rate_of_the_reference(tmp_path):
    path = tmp_path / "throughput.csv"
    table.save(path, [measured("ppo", "sb3", 243.0, 1.0, 243.0), measured("ppo", "scratch", 9.0, 2.0, 4.5)])
    table.save(path, [measured("ppo", "sb3", 197.0, 1.0, 197.0)])
    assert [(r["ratio_to_reference"], r["reference_steps_per_second"]) for r in rows(path)] == [
        ("1.0", "197.0"),
        ("2.0", "4.5"),
    ]


def test_a_second_measurement_replaces_its_row_and_no_other(tmp_path):
    path = tmp_path / "throughput.csv"
    table.save(path, [row("ppo", 1, 10.0), row("dqn", 10, 5.0)])
    table.save(path, [row("ppo", 1, 20.0)])
    assert [(r["algorithm"], r["seeds"], r["steps_per_second"]) for r in rows(path)] == [
        ("dqn", "10", "5.0"),
        ("ppo", "1", "20.0"),
    ]


def test_a_run_is_timed_for_real():
    _, one = plan.cells("a2c", "CartPole-v1", [1])
    small = replace(one, budget=400)
    result = timed_run.timed(small)
    assert result["steps_per_second"] > 0
    assert 50 < result["peak_memory_mib"] < 4096
    assert 1 < result["machine_gflops"] < 10_000 and result["kernel"].startswith("numba ")
    assert "gflops" not in result and "critic_share" not in result


def test_the_share_of_a_critic_is_measured():
    _, one = plan.cells("sac", "Pendulum-v1", [1])
    result = timed_run.timed(replace(one, budget=200))
    assert 0 < result["critic_share"] < 20 and result["gflops"] > 0


def test_what_computed_our_networks_is_told(monkeypatch):
    reference, ours = plan.cells("ppo", "CartPole-v1", [1])
    pixels = plan.cells("ppo", "ALE/Pong-v5@nature", [1])[1]
    assert [timed_run.kernel(cell) for cell in (reference, pixels)] == ["", ""]
    assert timed_run.kernel(ours) == f"numba {host.versions()['numba']}"
    monkeypatch.setenv("RLPARITY_KERNEL", "off")
    assert timed_run.kernel(ours) == "off"


def test_hardware_names_family_and_model(monkeypatch, tmp_path):
    """Zen 4 and Zen 5 may both call themselves AMD EPYC."""
    file = tmp_path / "cpuinfo"
    file.write_text("cpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nflags\t: avx2\n")
    monkeypatch.setattr(host, "CPUINFO", file)
    assert host.processor() == "AMD EPYC (family 26, model 2)"
    assert table._hardware("cpu").startswith("AMD EPYC (family 26, model 2), ")


def test_peers_and_other_commits_are_no_reference(tmp_path):
    path = tmp_path / "throughput.csv"
    table.save(path, [measured("ppo", "sb3", 243.0, 1.0), measured("ppo", "scratch", 262.0, 1.33)])
    table.save(path, [measured("ppo", "sbx", 9.0, 1.0, 9.0), measured("ppo", "scratch@ce92d32", 9.0, 1.0)])
    found = {r["implementation"]: r["ratio_to_reference"] for r in rows(path)}
    assert found == {"sb3": "1.0", "scratch": "1.33", "sbx": "1.0", "scratch@ce92d32": "1.0"}


def test_another_checkout_runs_by_its_own_sources(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"--beside .*; a checkout of this project"):
        throughput.checkout(tmp_path)
    name, other = throughput.checkout(ROOT)
    assert name.startswith("scratch@") and len(name) == len("scratch@") + 7
    asked = []
    monkeypatch.setattr(throughput, "_child", lambda *one: asked.append(one) or {"steps_per_second": 1.0})
    (cell,) = other.cells(plan.cells("a2c", "CartPole-v1", [1])[1:])
    assert cell.implementation == name
    assert other.run(cell)["commit"].startswith(name.partition("@")[2])
    assert asked == [(replace(cell, implementation="scratch"), ROOT / "src")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0"], "bench: --seeds '0'; numbers of seeds, such as 1,10"),
        (["--seeds", "ten"], "bench: --seeds 'ten'; numbers of seeds"),
        (["--dag", "many"], "bench: --dag 'many'; numbers of cells"),
        (["--core", "9999", "--seeds", "1"], "bench: --core 9999; allowed are "),
        (["--peers", "brax", "--seeds", "1"], "bench: --peers 'brax'; allowed are sbx, rejax"),
        (["--beside", "/nowhere", "--seeds", "1"], "bench: --beside /nowhere; a checkout"),
        (["--rounds", "0"], "bench: --rounds 0; at least 1"),
        (["--budget", "0"], "bench: --budget 0; at least 1"),
        (["--algorithms", "reinforce", "--seeds", "1"], "no reference"),
        (["--algorithms", "pppo", "--seeds", "1"], "did you mean 'ppo'"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    assert main(["bench", *arguments]) == 4
    error = capsys.readouterr().err
    assert message in error and error.startswith("rlparity: ")


def test_the_command_saves_and_shows(tmp_path, monkeypatch, capsys):
    """Real runs of it are in `test_gpu_script.py`."""
    made = runs(monkeypatch, [100.0, 250.0])
    arguments = ["--algorithms", "a2c", "--seeds", "1", "--rounds", "1", "--reports", str(tmp_path)]
    assert main(["bench", *arguments, "--budget", "400"]) == 0
    reference, ours = rows(tmp_path / "benchmark" / "throughput.csv")
    assert (reference["implementation"], ours["implementation"]) == ("sb3", "scratch")
    assert reference["core"] == ours["core"] == str(max(pinning.allowed(), default=""))
    assert float(ours["reference_steps_per_second"]) == 100 and float(ours["ratio_to_reference"]) == 2.5
    assert {cell.budget for cell in made} == {400} and reference["budget"] == ours["budget"] == "400"
    assert "report: " in capsys.readouterr().out and (tmp_path / "benchmark" / "index.html").exists()
    assert "benchmark" in (tmp_path / "index.html").read_text()


def test_what_was_measured_before_a_failure_is_in_the_table(tmp_path, monkeypatch, capsys):
    left = [100.0, 250.0, 50.0]

    def child(cell):
        if not left:
            raise UserError("bench: out of memory")
        return {"steps_per_second": left.pop(0), "peak_memory_mib": 7}

    monkeypatch.setattr(throughput, "_child", child)
    arguments = ["--algorithms", "ppo", "--seeds", "1,10", "--rounds", "2", "--table-only"]
    assert main(["bench", *arguments, "--reports", str(tmp_path)]) == 4
    assert capsys.readouterr().err.endswith("rlparity: bench: out of memory\n")
    found = {(r["implementation"], r["seeds"]): r for r in rows(tmp_path / "benchmark" / "throughput.csv")}
    assert {key: r["steps_per_second"] for key, r in found.items()} == {
        ("sb3", "1"): "100.0", ("scratch", "1"): "250.0", ("scratch", "10"): "50.0",
    }  # fmt: skip
    assert found["scratch", "10"]["ratio_to_reference"] == "0.5"
    assert [path.name for path in (tmp_path / "benchmark").iterdir()] == ["throughput.csv"]


def test_a_replay_memory_on_a_gpu_is_no_larger_than_what_is_written():
    for cell in plan.cells("sac", "HalfCheetah-v5", [50], device="cuda", budget=700):
        assert (cell.budget, cell.hyperparameters["buffer_size"], cell.device) == (700, 700, "cuda")
    assert "buffer_size" not in plan.cells("sac", "HalfCheetah-v5", [50])[1].hyperparameters


def test_the_references_defaults_are_a_configuration_of_their_own(tmp_path):
    tuned, plain = (plan.cells("ppo", "HalfCheetah-v5", [10], s)[1] for s in (plan.TUNED, plan.DEFAULTS))
    assert tuned.normalize and tuned.hyperparameters["net_arch"] == [256, 256]
    assert (plain.normalize, plain.n_envs, plain.hyperparameters) == (False, 1, {})
    path = tmp_path / "throughput.csv"
    table.save(path, [{**row("ppo", 1, 10.0), "settings": name} for name in (plan.TUNED, plan.DEFAULTS)])
    assert len(rows(path)) == 2


def test_off_policy_learners_learn_almost_from_the_start_and_their_products_are_counted():
    reference, ours = plan.cells("sac", "HalfCheetah-v5", [3])
    assert reference.hyperparameters["learning_starts"] == ours.hyperparameters["learning_starts"] == 100
    assert timed_run.operations(ours) == pytest.approx(3 * 900 * 600e6, rel=0.05)
    assert timed_run.operations(plan.cells("ppo", "HalfCheetah-v5", [1])[0]) is None


def test_rows_of_versions_without_settings_stay(tmp_path):
    path = tmp_path / "throughput.csv"
    table.save(path, [row("ppo", 1, 10.0)])
    lines = path.read_text().splitlines()
    old = [
        ",".join(c for c, n in zip(line.split(","), table.COLUMNS, strict=True) if n != "settings")
        for line in lines
    ]
    path.write_text("\n".join(old) + "\n")
    table.save(path, [{**row("ppo", 2, 20.0), "settings": plan.TUNED}])
    assert [(r["seeds"], r["settings"]) for r in rows(path)] == [
        ("1", plan.TUNED),
        ("2", plan.TUNED),
    ]
