"""Numbers and lists as people type them, and settings of a suite that `--config` replaces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rlparity.errors import UserError
from rlparity.suites import suite
from rlparity.suites.config import replaced, typed

BASE = {
    "name": "made-up",
    "title": "Made up",
    "environments": [
        "CartPole-v1",
        {"id": "Acrobot-v1", "budgets": {"ppo": 8192}, "margin": 0.3, "seeds": ["0-1", 7]},
    ],
    "algorithms": ["random", "ppo", "dqn"],
    "implementations": ["scratch", "sb3"],
    "seeds": ["0-4"],
    "budgets": {"default": 100_000, "dqn": 50_000},
    "hyperparameters": {"ppo": {"gamma": 0.9}},
}


def blocks(made: suite.Suite, environment: str, implementation: str = "scratch") -> list[tuple[int, ...]]:
    return [
        cell.seeds
        for cell in made.cells
        if (cell.environment, cell.implementation, cell.algorithm) == (environment, implementation, "ppo")
    ]


def budgets(made: suite.Suite) -> dict[tuple[str, str], int]:
    return {(cell.environment, cell.algorithm): cell.budget for cell in made.cells}


STEPS = {
    **{"100000": 100_000, "100k": 100_000, "1e5": 100_000, "1_000_000": 1_000_000, "2M": 2_000_000},
    **{"1.5m": 1_500_000, "1E+6": 1_000_000, " 7 ": 7, "0.5k": 500, 5: 5, 1e5: 100_000},
}
RANGES = {
    **{("0-4",): ["0-4"], ("0,1,2",): ["0-2"], ("7",): ["7"], (7,): ["7"], ("0-4", "7"): ["0-4", "7"]},
    **{("[0-2]",): ["0-2"], ("0-4,", "10-11"): ["0-4", "10-11"], ("3", "1", "2"): ["1-3"]},
    **{("[0,", "2]"): ["0", "2"], ("0-4,5-9",): ["0-9"]},
}


@pytest.mark.parametrize(("text", "steps"), STEPS.items())
def test_steps_as_people_type_them(text: Any, steps: int) -> None:
    assert typed.steps(text, "--steps") == steps


@pytest.mark.parametrize(
    "text", ["", "0", "-5", "1.5", "1e-3", "ten", "1e99", "1,000", "k", "5 k", "nan", "0x10"]
)
def test_what_is_no_number_of_steps(text: str) -> None:
    with pytest.raises(UserError, match=r"^--steps.*: write a whole number from 1, such as 100000, 100_000"):
        typed.steps(text, "--steps")


@pytest.mark.parametrize(("words", "meant"), RANGES.items())
def test_seeds_as_people_type_them(words: tuple[Any, ...], meant: list[str]) -> None:
    assert typed.seeds(words, "--seeds") == meant


@pytest.mark.parametrize(
    "word", ["a", "4-0", "-1", "0..4", "1.5", "", "0-", "99999999999999999999", "0-9999999"]
)
def test_what_are_no_seeds(word: str) -> None:
    with pytest.raises(UserError, match=r"^--seeds.*: write ranges such as 0-4"):
        typed.seeds([word], "--seeds")
    with pytest.raises(UserError, match="seed 2 is there twice"):
        typed.seeds(["0-2", "2-3"], "--seeds")


@given(st.sets(st.integers(0, 60), min_size=1))
def test_blocks_hold_the_seeds_that_they_are_made_of(numbers: set[int]) -> None:
    texts = typed.blocks(sorted(numbers))
    found = [
        seed for a, _, b in (text.partition("-") for text in texts) for seed in range(int(a), int(b or a) + 1)
    ]
    assert found == sorted(numbers) and typed.seeds(texts, "") == texts


def test_names_are_read_with_and_without_brackets() -> None:
    for value in ("ppo,dqn", "[ppo, dqn]", "ppo dqn", ["ppo", "dqn"]):
        assert typed.names(value) == ["ppo", "dqn"]


def test_seeds_inside_a_block_leave_the_others_out() -> None:
    whole, part = suite.resolve(BASE, ""), suite.resolve(BASE, "", {"seeds": ["0-2"]})
    assert blocks(part, "CartPole-v1") == [(0, 1, 2)] and blocks(part, "Acrobot-v1") == [(0, 1)]
    assert blocks(part, "CartPole-v1", "sb3") == [(0,), (1,), (2,)]
    assert not part.changed and "Only a part of the suite was run: seeds 0-2." in part.plan()["description"]
    prints = {str(cell.folder): cell.fingerprint for cell in whole.cells}
    same = [cell for cell in part.cells if str(cell.folder) in prints]
    assert len(same) > 6 and all(prints[str(cell.folder)] == cell.fingerprint for cell in same)
    holes = suite.resolve(BASE, "", {"seeds": "[0, 2-4]"})
    assert blocks(holes, "CartPole-v1") == [(0,), (2, 3, 4)]
    assert blocks(suite.resolve(BASE, "", {"seeds": 7}), "Acrobot-v1") == [(7,)]


def test_seeds_that_the_suite_has_not_are_those_of_every_environment() -> None:
    made = suite.resolve(BASE, "", {"seeds": ["0-9"]})
    assert blocks(made, "CartPole-v1") == blocks(made, "Acrobot-v1") == [tuple(range(10))]
    assert made.plan()["description"] == "Other settings than in the suite's file: seeds 0-9."


def test_one_budget_is_that_of_everything_and_a_named_one_of_its_configuration() -> None:
    assert set(budgets(suite.resolve(BASE, "", {"budgets": "20k"})).values()) == {20_000}
    named = budgets(suite.resolve(BASE, "", {"budgets": {"ppo": "1e4"}}))
    assert named == budgets(suite.resolve(BASE, "")) | {
        ("CartPole-v1", "ppo"): 10_000,
        ("Acrobot-v1", "ppo"): 10_000,
    }


def test_the_identity_of_cells_follows_the_settings() -> None:
    prints = [
        {cell.fingerprint for cell in suite.resolve(BASE, "", narrow).cells if cell.algorithm == "ppo"}
        for narrow in ({}, {"budgets": 20_000}, {"hyperparameters": {"ppo": {"learning_rate": "2e-3"}}})
    ]
    assert not prints[0] & prints[1] and not prints[0] & prints[2] and not prints[1] & prints[2]
    assert prints[0] == {
        cell.fingerprint for cell in suite.resolve(BASE, "", {"margin": 0.1}).cells if cell.algorithm == "ppo"
    }


def test_a_margin_is_that_of_every_environment_and_hyper_parameters_join_those_there_are() -> None:
    made = suite.resolve(BASE, "", {"margin": "0.1", "hyperparameters": {"ppo": {"n_epochs": "3"}}})
    margins = [place["margins"] for place in made.plan()["environments"].values()]
    assert made.margin == 0.1 and margins == [{"return": 0.1}] * 2
    values = next(cell.hyperparameters for cell in made.cells if cell.algorithm == "ppo")
    assert values["n_epochs"] == 3 and values["gamma"] == 0.9
    assert "margin 0.1; ppo.n_epochs 3." in made.plan()["description"]


@pytest.mark.parametrize(
    ("narrow", "expected"),
    [
        ({"margin": 2}, "--config margin: expected a number above 0, at most 1, got 2"),
        ({"margin": "wide"}, "--config margin: expected a number"),
        ({"budgets": "many"}, "--config budgets many: write a whole number from 1"),
        ({"budgets": {"ppo": 0}}, "--config budgets.ppo 0: write a whole number"),
        ({"budgets": {"pppo": 10}}, "budgets: unknown key 'pppo'"),
        ({"hyperparameters": {"ppo": 3}}, "--config hyperparameters: write them by configuration"),
        ({"hyperparameters": {"ppo": {"gama": 1}}}, "unknown"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_a_line(narrow: dict[str, Any], expected: str) -> None:
    with pytest.raises(UserError) as caught:
        suite.resolve(BASE, "Bad suite", narrow)
    assert expected in str(caught.value)


def test_the_copy_beside_the_results_is_the_same_suite(tmp_path: Path) -> None:
    file, results = tmp_path / "made-up.yaml", tmp_path / "results"
    file.write_text(yaml.safe_dump(BASE))
    narrow = {"budgets": {"ppo": "7k"}, "margin": 0.1, "seeds": "0-9", "algorithms": "ppo"}
    made = suite.load(file, narrow)
    replaced.keep(file, made.changed, results)
    copy = results / "suite.yaml"
    again = suite.load(copy, {"algorithms": "ppo"})
    assert again.cells == made.cells and again.margin == 0.1 and not again.changed
    head = copy.read_text().splitlines()[0]
    assert head == f"# {file} with --config. {replaced.describe(made.changed)}"
    replaced.keep(copy, again.changed, results)
    assert copy.is_file()  # the suite that is run
    replaced.keep(file, {}, results)
    assert not copy.exists()


def test_environments_with_keys_are_named_whole_or_by_their_id() -> None:
    """Keys of an id have commas of their own, which separate environments as well."""
    keyed = "CartPole-v1@sutton_barto_reward=true,max_episode_steps=200"
    own = {"id": "CartPole-v1", "kwargs": {"sutton_barto_reward": True}, "max_episode_steps": 200}
    raw = {**BASE, "environments": [own, "Acrobot-v1"]}
    for asked in (keyed, "CartPole-v1", f"Acrobot-v1,{keyed}", [keyed], f"[{keyed}, Acrobot-v1]"):
        part = suite.resolve(raw, "Bad suite", {"environments": asked})
        wanted = {keyed, "Acrobot-v1"} if "Acrobot" in asked else {keyed}
        assert {cell.environment for cell in part.cells} == wanted
    with pytest.raises(UserError, match="'Nowhere-v0'"):
        suite.resolve(raw, "Bad suite", {"environments": "CartPole-v1,Nowhere-v0"})


def test_a_report_or_restore_without_config_keeps_the_copy_of_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the only record of what made the results."""
    from rlparity.cli import suites as commands

    copy = tmp_path / "cartpole" / "suite.yaml"
    copy.parent.mkdir()
    copy.write_text("name: cartpole\n")
    commands._keep_copy(suite.load(suite.find("cartpole"), elsewhere=True), tmp_path)
    assert copy.read_text() == "name: cartpole\n"
