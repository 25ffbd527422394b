"""Suites: what becomes of a good one, and the line that every bad one gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from resolved import BASE, resolve

from rlparity import project_files
from rlparity.environments import metadata
from rlparity.errors import UserError
from rlparity.provenance import fingerprint
from rlparity.registry import AGENTS, REFERENCES
from rlparity.suites import hyperparameters, memory_needs, suite, value_checks, yaml_reader
from rlparity.suites.config import narrowing
from rlparity.suites.costs import cost
from rlparity.suites.costs.speeds import EPISODE_S, Speeds

pytestmark = pytest.mark.usefixtures("in_checkout")
ROOT = Path(__file__).parents[2]


def complaints(**changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        resolve(**changes)
    return str(caught.value)


def test_scratch_trains_blocks_and_sb3_single_seeds_of_what_has_a_reference() -> None:
    cells = resolve().cells
    table = [(cell.implementation, cell.algorithm, cell.block) for cell in cells]
    assert table == [
        *[("scratch", "random", block) for block in ("seeds-0-1", "seeds-2-4")],
        *[("scratch", "ppo", block) for block in ("seeds-0-1", "seeds-2-4")],
        *[("sb3", "ppo", f"seeds-{seed}-{seed}") for seed in range(5)],
        *[("scratch", "dqn-double", block) for block in ("seeds-0-1", "seeds-2-4")],
    ]


def test_cell_carries_settings_options_budget_and_modes() -> None:
    found = resolve(algorithms=["dqn-double", "ppo"], hyperparameters={"ppo": {"gamma": 0.5}}).cells
    double = next(cell for cell in found if cell.algorithm == "dqn-double")
    ours = next(cell for cell in found if cell.algorithm == "ppo" and cell.implementation == "scratch")
    theirs = next(cell for cell in found if cell.implementation == "sb3")
    assert double.agent == "dqn" and double.budget == 2048  # by its agent's name
    assert double.hyperparameters["double_q"] is True and double.hyperparameters["buffer_size"] == 100_000
    assert ours.budget == 4096 and ours.n_envs == 8 and ours.hyperparameters["gamma"] == 0.5
    assert dict(theirs.hyperparameters) == dict(ours.hyperparameters)  # both arms read one block
    assert ours.evaluation.points == 4 and ours.evaluation.modes == ("deterministic", "sampled")


def test_reference_gets_no_options_of_ours() -> None:
    cells = resolve(algorithms=["dqn"], hyperparameters={"dqn": {"gamma": 0.9}}).cells
    assert all(cell.hyperparameters["gamma"] == 0.9 for cell in cells)
    assert all("double_q" not in cell.hyperparameters for cell in cells)


def test_environment_says_what_is_special_about_it() -> None:
    own = {
        "id": "Acrobot-v1",
        "threshold": -90,
        "algorithms": ["random"],
        "seeds": [7],
        "budgets": {"default": 99},
    }
    found = resolve(environments=["CartPole-v1", own])
    cell = next(cell for cell in found.cells if cell.environment == "Acrobot-v1")
    assert (cell.algorithm, cell.seeds, cell.budget) == ("random", (7,), 99)
    plan = found.plan()
    assert plan["environments"]["Acrobot-v1"]["threshold"] == -90
    assert plan["environments"]["CartPole-v1"]["threshold"] == 475  # Gymnasium's
    assert plan["environments"]["CartPole-v1"]["time_limit"] == 500
    assert plan["environments"]["CartPole-v1"]["settings"]["ppo"]["hyperparameters"]["n_steps"] == 32


def test_unlisted_environment_uses_the_default_settings_and_says_so() -> None:
    found = resolve(environments=["CartPole-v0"], budgets={"default": 20_000})
    block = found.plan()["environments"]["CartPole-v0"]["settings"]["ppo"]
    assert block["hyperparameters"] == {} and "defaults" in block["source"]


def test_fingerprint_knows_neither_the_suite_nor_tensorboard() -> None:
    one, other = resolve(), resolve(name="another", tensorboard=True)
    assert [cell.fingerprint for cell in one.cells] == [cell.fingerprint for cell in other.cells]
    assert len({cell.fingerprint for cell in one.cells}) == len(one.cells)


def test_fingerprint_knows_every_other_field() -> None:
    def of(**changes: Any) -> str:
        cells = resolve(implementations=["scratch"], algorithms=["ppo"], seeds=["0-1"], **changes).cells
        return cells[0].fingerprint

    prints = [
        of(),
        of(budgets={"default": 8192}),
        of(hyperparameters={"ppo": {"gamma": 0.5}}),
        of(evaluation={"points": 5}),
        of(environments=["Acrobot-v1"], budgets={"default": 4096}),
    ]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"algorithms": ["pppo"]}, "algorithms[0]: unknown value 'pppo'; choose from a2c, "),
        ({"algorithms": ["pppo"]}, "(did you mean 'ppo'?)"),
        ({"algorithms": ["ppo", "ppo"]}, "algorithms[1]: 'ppo' is there twice"),
        ({"environments": ["CartPole-v11"]}, "environments[0]: unknown environment 'CartPole-v11'"),
        ({"environments": ["PongNoFrameskip-v4"]}, "(did you mean 'ALE/Pong-v5@nature'?)"),
        ({"environments": ["Breakout"]}, "(did you mean 'ALE/Breakout-v5@nature'?)"),
        ({"environments": ["nowhere_at_all:X-v0"]}, "cannot be imported: No module named 'nowhere_at_all'"),
        ({"environments": ["CartPole-v1", "CartPole-v1"]}, "environments[1]: 'CartPole-v1' is there twice"),
        ({"environments": ["Pendulum-v1"], "algorithms": ["dqn"]}, "'dqn' cannot act in 'Pendulum-v1'"),
        ({"algorithm": ["ppo"]}, "top level: unknown key 'algorithm'; choose from algorithms, "),
        ({"evaluation": {"episdoes": 3}}, "(did you mean 'episodes'?)"),
        ({"implementations": ["sb4"]}, "implementations[0]: unknown value 'sb4'; choose from sb3, scratch"),
        ({"seeds": ["0-4", "4-6"]}, "seeds[1]: seed 4 of '4-6' is in '0-4' too"),
        ({"seeds": [3, 3]}, "seeds[1]: 3 is there twice"),
        ({"seeds": [-1]}, "seeds[0]: -1 is not a range of seeds"),
        ({"seeds": ["5-2"]}, "seeds[0]: '5-2' ends before it begins"),
        ({"seeds": ["0-99999999999"]}, "seeds[0]: '0-99999999999' makes more than 100,000 seeds"),
        ({"seeds": ["0-99999", 100_000]}, "seeds[1]: 100000 makes more than 100,000 seeds"),
        ({"seeds": [str(2**63)]}, "the largest seed is 9223372036854775807"),
        ({"seeds": ["9" * 5000]}, "the largest seed is 9223372036854775807"),
        ({"seeds": []}, "seeds: [] should be non-empty"),
        ({"budgets": {"pppo": 1}}, "budgets: unknown key 'pppo'"),
        ({"budgets": {"dqn": 4000}}, "budgets: nothing for 'ppo' in 'CartPole-v1'"),
        (
            {"budgets": {"default": 100}},
            "fewer than one rollout; allowed are 256 (n_steps x n_envs) and more",
        ),
        (
            {"budgets": {"default": 3}, "algorithms": ["random"]},
            "fewer than evaluation.points; allowed are 4",
        ),
        (
            {"hyperparameters": {"ppo": {"n_step": 8}}},
            "hyperparameters.ppo: unknown hyper-parameter 'n_step'",
        ),
        ({"hyperparameters": {"ppo": {"gamma": "high"}}}, "ppo.gamma: expected float, got 'high'"),
        ({"hyperparameters": {"ppo": {"n_steps": True}}}, "ppo.n_steps: expected int, got True"),
        ({"hyperparameters": {"pppo": {}}}, "hyperparameters: unknown key 'pppo'"),
        (
            {
                "algorithms": ["dqn"],
                "budgets": {"default": 10**12},
                "hyperparameters": {"dqn": {"buffer_size": 10**12}},
            },
            "GiB, the machine has",
        ),
        ({"margin": 2}, "margin: 2 is greater than the maximum of 1"),
        ({"name": "../up"}, "name: '../up' does not match"),
    ],
)
def test_everything_wrong_has_a_line(changes: dict[str, Any], expected: str) -> None:
    text = complaints(**changes)
    assert expected in text
    assert text.startswith("Bad suite:\n  - ")


def test_all_that_is_wrong_is_told_at_once() -> None:
    text = complaints(algorithms=["pppo", "dqqn"], seeds=["9-1"])
    assert text.count("\n  - ") == 3
    text = complaints(
        algorithms=["pppo", {"a": 1}], seeds="0-1", budgets=[3], environments=[{"algorithms": 4}]
    )
    assert text.count("\n  - ") == 6


def test_narrowing_keeps_existing_cells_only() -> None:
    cells = resolve({"algorithms": ["ppo"], "seeds": "0-1", "implementations": ["sb3"]}).cells
    assert [(cell.implementation, cell.algorithm, cell.seeds) for cell in cells] == [
        ("sb3", "ppo", (0,)),
        ("sb3", "ppo", (1,)),
    ]


def test_narrowing_keeps_random_for_the_margin() -> None:
    assert set(resolve({"algorithms": ["ppo"]}).algorithms) == {"random", "ppo"}


def test_a_device_may_be_given_for_machines_elsewhere() -> None:
    found = suite.resolve({**BASE, "device": "auto"}, "Bad suite", {"device": "cuda"}, elsewhere=True)
    assert {cell.device for cell in found.cells} == {"cuda"} and found.device == "cuda"
    assert narrowing.describe(found.narrowed) == "" and found.narrowed == {"device": "cuda"}
    assert {cell.device for cell in resolve({"device": "cpu"}, device="cuda").cells} == {"cpu"}
    with pytest.raises(UserError, match=r"--config device: unknown value 'gpu'; choose from auto, cpu, cuda"):
        resolve({"device": "gpu"})


@pytest.mark.parametrize(
    ("text", "meant"), [("false", False), ("True", True), (False, False), ("TRUE", True)]
)
def test_tensorboard_may_be_asked_for_in_words(text: Any, meant: bool) -> None:
    assert {cell.tensorboard for cell in resolve({"tensorboard": text}).cells} == {meant}


def test_narrowing_leaves_fingerprints_alone() -> None:
    whole = {cell.folder: cell.fingerprint for cell in resolve().cells}
    part = resolve({"algorithms": ["ppo"]}).cells
    assert part and all(whole[cell.folder] == cell.fingerprint for cell in part)


@pytest.mark.parametrize(
    ("narrow", "expected"),
    [
        ({"algorithms": ["pppo"]}, "--config algorithms: unknown value 'pppo'"),
        ({"algorithms": ["a2c"]}, "unknown value 'a2c'; choose from dqn-double, ppo, random"),
        ({"seeds": ["3-0"]}, "--config seeds 3-0: write ranges such as 0-4, or single seeds such as 0,1,2"),
        ({"environments": ["Acrobot-v1"]}, "--config environments"),
        ({"algorithms": ["random"], "implementations": ["sb3"]}, "no cell of suite 'made-up' is left"),
    ],
)
def test_narrowing_to_what_is_not_there(narrow: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(narrow)
    assert expected in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "suite.yaml"
    for text, expected in [
        ("name: [a", "line 1: not valid YAML"),
        ("name: a\nname: b\n", "line 2: not valid YAML: duplicate key 'name'"),
        ("- a\n", "expected a mapping"),
    ]:
        file.write_text(text)
        with pytest.raises(UserError, match=expected):
            suite.load(file)
    with pytest.raises(UserError, match="no such file"):
        suite.load(tmp_path / "other.yaml")
    with pytest.raises(UserError, match=r"unknown suite 'smok'.*did you mean 'smoke'"):
        suite.find("smok")
    for path in ("nowhere.yaml", "nowhere.yml", str(tmp_path / "nowhere"), str(tmp_path)):
        with pytest.raises(UserError, match=f"^{path}: no such file$"):
            suite.find(path)


def test_numbers_in_exponent_notation_are_numbers() -> None:
    assert yaml_reader.parse("1e-3", "x") == 1e-3 and yaml_reader.parse("[2.5E4, e3]", "x") == [
        25_000.0,
        "e3",
    ]


@pytest.mark.parametrize("text", ["010", "-07", "1:30", "1:30.5", "yes", "No", "on", "{off: 1}"])
def test_what_versions_of_yaml_read_differently_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"x, line 1: .* differs between YAML 1.1 and 1.2"):
        yaml_reader.parse(text, "x")


def test_quoted_or_plain_in_every_version_is_taken() -> None:
    assert yaml_reader.parse("['010', \"yes\", 0, 10, 0.5, true, none]", "x") == [
        "010",
        "yes",
        0,
        10,
        0.5,
        True,
        "none",
    ]


def test_unwritable_results_folder(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file in the way")
    with pytest.raises(UserError, match="cannot be written to"):
        suite.check_writable(tmp_path / "results" / "deep")
    suite.check_writable(tmp_path / "new" / "deep")


@pytest.mark.probes
def test_every_committed_suite_resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_needs.os, "sysconf", lambda name: 2**20)  # a terabyte of memory
    for path in (ROOT / project_files.SUITES).glob("*.yaml"):
        if path.stem.startswith("sensitivity"):
            with pytest.raises(UserError, match="it plants bugs"):
                suite.load(path)
        else:
            assert suite.load(path).cells, path


def test_every_block_of_the_settings_fits_its_agent() -> None:
    library = hyperparameters.library()
    for environment, blocks in library.settings.items():
        for agent, block in blocks.items():
            where = f"settings.{environment}.{agent}"
            assert value_checks.bad_hyperparameters(block.hyperparameters, agent, where) == []
            assert block.source
    for name, algorithm in library.algorithms.items():
        assert value_checks.bad_hyperparameters(algorithm.options, algorithm.agent, name) == []
        if algorithm.reference is not None:
            assert library.algorithms[algorithm.reference.algorithm].agent in REFERENCES
    assert set(AGENTS) == {algorithm.agent for algorithm in library.algorithms.values()}


def test_memory_is_counted_over_all_seeds_of_a_block() -> None:
    cell = next(cell for cell in resolve(algorithms=["dqn"]).cells if len(cell.seeds) == 3)
    info = resolve().environments["CartPole-v1"].info
    transition = 2 * 4 * 4 + 8 + 12  # two observations of four floats, an action, three numbers
    assert memory_needs.memory_bytes(replace(cell, budget=10**6), info) == 100_000 * 3 * transition
    assert memory_needs.memory_bytes(replace(cell, budget=5000), info) == 5000 * 3 * transition


def test_a_gpu_takes_the_whole_replay_memory_whatever_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring is allocated at the first step: the system gives RAM page by page, CUDA gives all of it."""
    cells = {cell.implementation: cell for cell in resolve(algorithms=["dqn"]).cells if 0 in cell.seeds}
    info, size, seeds = resolve().environments["CartPole-v1"].info, 100_000, len(cells["scratch"].seeds)
    ours, theirs = (replace(cells[name], device="cuda", budget=5000) for name in ("scratch", "sb3"))
    on_cpu = replace(ours, device="cpu")
    assert memory_needs.memory_bytes(ours, info) == size * seeds * 52
    assert memory_needs.memory_bytes(on_cpu, info) == 5000 * seeds * 52
    assert memory_needs.memory_bytes(theirs, info) == 5000 * 52  # in RAM on any device
    assert memory_needs.needed_mib(ours, info) == memory_needs.PROCESS_MIB  # the RAM of the process
    whole = replace(ours, checkpoint_every=100)
    assert memory_needs.checkpoint_bytes(whole, info) == memory_needs.memory_bytes(on_cpu, info)
    monkeypatch.setattr(memory_needs, "gpu_bytes", lambda: 2 * size * 52 - 1)
    for changes in ({}, {"memory_mapped": True}):  # which is of images
        own = replace(ours, hyperparameters={**ours.hyperparameters, **changes})
        (line,) = memory_needs.bad_memory(replace(own, seeds=(0, 1)), info)
        assert line.endswith("the GPU has 0.0; 99,999 would fit")
        assert not memory_needs.bad_memory(replace(own, seeds=(0,)), info)
    assert not memory_needs.bad_memory(replace(ours, seeds=(0, 1), device="cpu"), info)


def test_humanoid_with_ten_seeds_and_a_million_transitions_needs_28_gb(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = {
        **BASE,
        "environments": ["Humanoid-v5"],
        "algorithms": ["sac"],
        "seeds": ["0-9"],
        "budgets": {"default": 10**6},
    }
    monkeypatch.setattr(memory_needs.os, "sysconf", lambda name: 2**20)
    ours, theirs = (
        next(cell for cell in suite.resolve(raw, "test").cells if cell.implementation == arm)
        for arm in ("scratch", "sb3")
    )
    info = metadata.probe("Humanoid-v5")
    assert memory_needs.memory_bytes(ours, info) / 1e9 == pytest.approx(28, abs=0.8)  # 348 numbers, float32
    assert memory_needs.memory_bytes(theirs, info) / 1e9 == pytest.approx(5.6, abs=0.1)  # one seed, float64
    monkeypatch.setattr(memory_needs.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096}.get(name, 24 * 2**18))
    with pytest.raises(UserError, match=r"of a block of 10 seeds needs 26.7 GiB, the machine has 24.0"):
        suite.resolve(raw, "test")


def test_a_discrete_algorithm_is_refused_on_a_continuous_task_and_the_other_way_round() -> None:
    raw = {**BASE, "environments": ["Pendulum-v1"], "algorithms": ["dqn"]}
    with pytest.raises(UserError, match=r"'dqn' cannot act in 'Pendulum-v1': its actions are continuous"):
        suite.resolve(raw, "test")
    raw = {**BASE, "environments": ["CartPole-v1"], "algorithms": ["sac"]}
    with pytest.raises(UserError, match=r"'sac' cannot act in 'CartPole-v1': its actions are discrete"):
        suite.resolve(raw, "test")


def test_continuous_policies_are_evaluated_as_their_mean_alone() -> None:
    raw = {**BASE, "environments": ["Pendulum-v1"], "algorithms": ["random", "ppo"]}
    raw["budgets"] = {"default": 10_000}
    modes = {cell.algorithm: cell.evaluation.modes for cell in suite.resolve(raw, "test").cells}
    assert modes == {"random": ("sampled",), "ppo": ("deterministic",)}


def test_only_some_agents_learn_from_images() -> None:
    raw = {**BASE, "environments": ["ALE/Pong-v5@nature"], "algorithms": ["ppo", "trpo"]}
    with pytest.raises(UserError) as error:
        suite.resolve({**raw, "budgets": {"default": 10_000}}, "Bad suite")
    (line,) = str(error.value).splitlines()[1:]
    assert "'trpo' cannot learn from the images of 'ALE/Pong-v5@nature'; agents that can: random, a2c" in line


def test_a_return_of_n_steps_fits_the_memory() -> None:
    raw = {**BASE, "environments": ["CartPole-v1"], "algorithms": ["dqn"], "budgets": {"default": 10_000}}
    assert suite.resolve({**raw, "hyperparameters": {"dqn": {"n_steps": 5, "buffer_size": 5}}}, "Bad suite")
    small = {"dqn": {"n_steps": 5, "buffer_size": 4, "learning_starts": 3}}
    with pytest.raises(UserError) as error:
        suite.resolve({**raw, "hyperparameters": small}, "Bad suite")
    assert "learning_starts 3 of 'dqn' in 'CartPole-v1': allowed are 4 and more" in str(error.value)
    assert "buffer_size 4 of 'dqn' in 'CartPole-v1': allowed are 5 and more" in str(error.value)


def test_cost_counts_what_is_left() -> None:
    cells = resolve().cells
    assert cost.describe(cells, [], Path("nowhere")) == "11 cells, all trained"
    steps = 5 * 4096 * 3 + 5 * 2048
    assert f"11 cells, 11 to train: {steps:,} environment steps" in cost.describe(
        cells, cells, Path("nowhere")
    )


def test_cost_uses_measured_rates(tmp_path: Path) -> None:
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "throughput.csv").write_text(
        "algorithm,environment,implementation,seeds,steps_per_second\n"
        "ppo,CartPole-v1,sb3,1,1024\nppo,CartPole-v1,scratch,1,10\nppo,CartPole-v1,scratch,2,2048\n"
    )
    cells = {(cell.implementation, cell.block): cell for cell in resolve(algorithms=["ppo"]).cells}
    rates = Speeds(tmp_path)
    slow, fast = cells["sb3", "seeds-0-0"], cells["scratch", "seeds-0-1"]
    episodes = (4 * 20 + 100) * 2 * EPISODE_S[None]  # two modes, per seed
    assert cost.seconds(slow, rates) == pytest.approx(cost.START_UP_S + 4096 / 1024 + episodes)
    assert cost.seconds(fast, rates) == pytest.approx(cost.START_UP_S + 2 * 4096 / 2048 + 2 * episodes)


def test_a_thousand_cells_are_fingerprinted_within_a_second() -> None:
    import time

    cells = resolve(seeds=list(range(1000)), implementations=["scratch"], algorithms=["ppo"]).cells
    started = time.process_time()
    assert len({fingerprint.of(cell) for cell in cells}) == 1000
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("learning_rate", -1.0, "0 and more"),
        ("learning_rate", float("nan"), "finite"),
        ("gamma", 1.01, "0 to 1"),
        ("n_epochs", 0, "1 and more"),
        ("net_arch", [64, 0], "1 and more units"),
    ],
)
def test_a_hyper_parameter_out_of_range_is_refused_with_what_is_allowed(name, value, allowed):
    (problem,) = value_checks.bad_hyperparameters({name: value}, "ppo", "here")
    assert problem.startswith(f"here.{name}: ")
    assert allowed in problem


def test_exploration_cannot_take_no_time():
    assert "above 0" in value_checks.bad_hyperparameters({"exploration_fraction": 0}, "dqn", "here")[0]


def test_all_gradient_steps_is_minus_one_and_none_is_refused():
    assert value_checks.bad_hyperparameters({"gradient_steps": -1}, "dqn", "here") == []
    assert "or -1" in value_checks.bad_hyperparameters({"gradient_steps": 0}, "dqn", "here")[0]


def test_a_cell_needs_its_replay_memory_and_room_for_the_process() -> None:
    cell = next(cell for cell in resolve(algorithms=["dqn"]).cells if len(cell.seeds) == 3)
    info = resolve().environments["CartPole-v1"].info
    big = replace(cell, budget=10**8, hyperparameters={**cell.hyperparameters, "buffer_size": 2**24})
    assert (
        memory_needs.needed_mib(big, info) == memory_needs.PROCESS_MIB + 3 * 16 * 52
    )  # 2**24 transitions of 52 bytes
    assert memory_needs.machine_bytes() > 2**30


def test_a_report_says_that_it_covers_a_part_of_its_suite() -> None:
    whole, part = resolve(description="All."), resolve({"algorithms": ["ppo"]}, description="All.")
    assert whole.plan()["description"] == "All."
    assert part.plan()["description"] == "All. Only a part of the suite was run: algorithms ppo."
    assert resolve({"tensorboard": True}, description="All.").plan()["description"] == "All."
