"""Which settings and options a cell gets: blocks of an environment or its namespace, options of both arms."""

from __future__ import annotations

from typing import Any

import pytest

from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.suites import hyperparameters, suite, value_checks

PONG = "ALE/Pong-v5@nature"
BASE: dict[str, Any] = {
    "name": "some",
    "title": "Some",
    "implementations": ["scratch", "sb3"],
    "seeds": [0],
    "budgets": {"default": 4096},
    "evaluation": {"points": 4, "episodes": 1, "final_episodes": 1},
}


def cells(environment: str, algorithm: str, **values: Any) -> dict[str, Cell]:
    raw = {**BASE, "environments": [environment], "algorithms": [algorithm]}
    raw["hyperparameters"] = {algorithm: {"buffer_size": 500} if "dqn" in algorithm else {}}
    raw["hyperparameters"][algorithm] |= values
    return {cell.implementation: cell for cell in suite.resolve(raw, "some").cells}


@pytest.mark.parametrize(
    ("environment", "namespace"),
    [("CartPole-v1", ""), (PONG, "ALE"), ("my.games:Own-v0", ""), ("my.games:own/Game-v0", "own")],
)
def test_a_namespace_is_what_stands_before_the_name(environment: str, namespace: str):
    assert hyperparameters.namespace(environment) == namespace


def test_the_closest_block_serves_an_environment():
    blocks = {
        "ALE/Pong-v5@nature": {"dqn": hyperparameters.Settings("own")},
        "ALE": {"dqn": hyperparameters.Settings("games"), "ppo": hyperparameters.Settings("games")},
        "default": {name: hyperparameters.Settings("others") for name in ("dqn", "ppo", "a2c")},
    }
    library = hyperparameters.Library({}, blocks)
    found = [library.lookup(PONG, agent).source for agent in ("dqn", "ppo", "a2c")]
    assert found == ["own", "games", "others"]
    assert library.lookup("ALE/Pong-v5@machado", "dqn").source == "games"
    assert library.lookup("Pong-v5", "dqn").source == "others"
    assert library.lookup(PONG, "random") == hyperparameters.Settings()


def test_all_games_share_one_block_of_every_agent_that_sees_images():
    library = hyperparameters.library()
    for agent in ("dqn", "qrdqn", "a2c", "ppo"):
        assert library.block(PONG, agent) == library.block("ALE/Alien-v5@machado", agent) == "ALE"


def test_options_of_a_namespace_reach_its_environments_alone():
    assert "cnn" not in cells("CartPole-v1", "dqn-2013")["scratch"].hyperparameters
    assert cells(PONG, "dqn-2013")["scratch"].hyperparameters["cnn"] == "2013"
    assert "cnn" not in cells(PONG, "dqn")["scratch"].hyperparameters


@pytest.mark.parametrize("environment", ["CartPole-v1", PONG])
def test_a_reference_of_the_same_name_is_the_same_variant(environment: str):
    arms = cells(environment, "dqn-nstep")
    assert arms["sb3"].hyperparameters == arms["scratch"].hyperparameters
    assert arms["sb3"].hyperparameters["n_steps"] == 3 and arms["sb3"].algorithm == "dqn-nstep"


def test_how_our_arm_computes_is_not_for_the_reference_to_know():
    arms = cells(PONG, "dqn", memory_mapped=True, precision="bfloat16", loss="huber", gamma=0.9)
    assert arms["scratch"].hyperparameters["memory_mapped"] is True
    assert arms["scratch"].hyperparameters["precision"] == "bfloat16"
    assert arms["sb3"].hyperparameters["gamma"] == 0.9
    assert not {"memory_mapped", "precision", "loss"} & arms["sb3"].hyperparameters.keys()


@pytest.mark.parametrize(("name", "value"), [("dueling", True), ("cnn", "2013"), ("loss", "mse")])
def test_what_no_reference_has_is_refused_in_one_line(name: str, value: Any):
    with pytest.raises(UserError) as error:
        cells(PONG, "dqn", **{name: value})
    *_, line = str(error.value).splitlines()
    assert f"hyperparameters.dqn.{name}: Stable-Baselines3 has no {name} = {value!r}" in line
    assert "'implementations'" in line


@pytest.mark.parametrize(
    ("algorithm", "name", "value", "words"),
    [
        ("dqn", "cnn", "2014", "expected Literal['nature', '2013'], got '2014'"),
        ("dqn", "memory_mapped", 1, "expected bool, got 1"),
        ("dqn", "n_steps", 0, "0 is out of range; allowed is 1 and more"),
        ("qrdqn", "n_quantiles", 0, "0 is out of range; allowed is 1 and more"),
        ("a2c", "rms_prop_tf", "yes", "expected bool, got 'yes'"),
        ("qrdqn", "dueling", True, "unknown hyper-parameter 'dueling'"),
    ],
)
def test_an_option_that_does_not_fit_is_named_with_what_does(
    algorithm: str, name: str, value: Any, words: str
):
    with pytest.raises(UserError, match="hyperparameters") as error:
        cells(PONG, algorithm, **{name: value})
    assert words in str(error.value)


def test_options_of_namespaces_fit_their_agents():
    for name, algorithm in hyperparameters.library().algorithms.items():
        for namespace, options in algorithm.options_in.items():
            assert value_checks.bad_hyperparameters(options, algorithm.agent, f"{name}.{namespace}") == []
            assert options.keys().isdisjoint(algorithm.options)
