"""Stable-Baselines3 with our recorder: same clock, evaluator and hyper-parameters, seeds of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from small import Protocol, cell, of_seed
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

from rlparity.agents import base as agents
from rlparity.environments.gymnasium_env import make_single
from rlparity.playback import play
from rlparity.references import sb3, sb3_models
from rlparity.references.sb3_environments import RecordedEnvironments
from rlparity.seeding import Streams
from rlparity.suites import hyperparameters
from rlparity.training import run as train

pytestmark = [pytest.mark.probes, pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")]
QUICK: dict[str, dict[str, Any]] = {"dqn": {"gradient_steps": 2, "train_freq": 16, "net_arch": [16]}}
QUICK["qrdqn"] = {**QUICK["dqn"], "n_quantiles": 5}


def sb3_cell(algorithm: str, **changes: Any) -> Any:
    """Not a multiple of a rollout, nor of the sub-environments."""
    changes = {"budget": 301, **changes}
    options = {**QUICK.get(algorithm, {}), **changes.pop("hyperparameters", {})}
    return cell(algorithm, (4,), implementation="sb3", hyperparameters=options, **changes)


@pytest.mark.parametrize(
    ("algorithm", "points"),
    [
        ("ppo", [0, 152, 301]),
        ("a2c", [0, 152, 301]),
        ("dqn", [0, 151, 301]),
        ("dqn-nstep", [0, 151, 301]),
        ("qrdqn", [0, 151, 301]),
    ],
)
def test_the_clock_is_that_of_our_own_loop(algorithm: str, points: list[int]):
    """Eight sub-environments cross 150.5 at step 152, one at 151; both arms are asked at the same moments."""
    theirs, again = sb3.run(sb3_cell(algorithm)), sb3.run(sb3_cell(algorithm))
    assert theirs.episodes == again.episodes and theirs.evaluations == again.evaluations
    ours = train.run(cell(algorithm, (4,), budget=301, hyperparameters=QUICK.get(algorithm, {})))
    for rows in (theirs, ours):
        assert sorted({row["env_step"] for row in rows.evaluations}) == points
        assert len(rows.episodes) > 0 and all(0 < row["env_step"] <= 301 for row in rows.episodes)
    keys = ("env_step", "episode", "protocol", "seed")
    asked = [[tuple(row[key] for key in keys) for row in rows.evaluations] for rows in (theirs, ours)]
    assert asked[0] == asked[1]
    assert {row["implementation"] for row in theirs.evaluations} == {"sb3"}
    metrics = {row["metric"] for row in theirs.progress if row["env_step"] == 301}
    assert metrics >= ({"loss"} if "dqn" in algorithm else {"value_loss", "entropy_loss"})


@pytest.mark.parametrize(
    ("algorithm", "environment"), [("ppo", "CartPole-v1"), ("dqn", "CartPole-v1"), ("a2c", "Acrobot-v1")]
)
def test_evaluating_leaves_training_as_it_was(algorithm: str, environment: str):
    c = sb3_cell(
        algorithm, environment=environment, evaluation=Protocol(points=3, episodes=1, final_episodes=1)
    )
    watched, unwatched = sb3.run(c), sb3.run(c, evaluate=False)
    assert watched.episodes == unwatched.episodes and not unwatched.evaluations
    assert set(watched.state) == set(unwatched.state)
    assert ("normaliser.mean" in watched.state) == c.normalize
    for name, value in watched.state.items():
        assert torch.equal(value, unwatched.state[name])


class Stop(Exception):
    """Seen enough."""


def test_every_sub_environment_starts_from_its_own_stream(monkeypatch: pytest.MonkeyPatch):
    first: list[np.ndarray] = []

    def reset(self: RecordedEnvironments) -> Any:
        first.append(self.venv.reset())
        raise Stop

    monkeypatch.setattr(RecordedEnvironments, "reset", reset)
    c = sb3_cell("ppo")
    with pytest.raises(Stop):
        sb3.run(c)
    seeds = Streams(c).environments("training", 8)[0]
    expected = [gym.make("CartPole-v1").reset(seed=seed)[0] for seed in seeds]
    assert np.array_equal(first[0], np.stack(expected))


def test_no_sub_environment_and_no_number_is_shared_with_our_own_arm():
    ours, theirs = Streams(cell("ppo", (4,))), Streams(sb3_cell("ppo"))
    for name in ("training", "evaluation|deterministic|0|0"):
        assert not set(ours.environments(name, 8)[0]) & set(theirs.environments(name, 8)[0])


def test_keywords_become_stable_baselines3s_arguments():
    found = sb3_models.keywords(
        {
            "learning_rate": 0.002,
            "learning_rate_schedule": "linear",
            "clip_range": 0.2,
            "clip_range_schedule": "constant",
            "net_arch": (32, 16),
            "activation": "relu",
            "gamma": 0.9,
        }
    )
    schedule = found.pop("learning_rate")
    assert [schedule(remaining) for remaining in (1.0, 0.5, 0.0)] == [0.002, 0.001, 0]
    assert found == {
        "clip_range": 0.2,
        "gamma": 0.9,
        "policy_kwargs": {"net_arch": [32, 16], "activation_fn": nn.ReLU},
    }
    assert sb3_models.keywords({"gamma": 0.9}) == {"gamma": 0.9, "policy_kwargs": {}}


def test_an_optimiser_as_in_tensorflow_is_passed_to_the_policy():
    tf = {"rms_prop_tf": True, "rms_prop_eps": 0.001}
    optimizer = {"optimizer_class": RMSpropTFLike, "optimizer_kwargs": {"eps": 0.001}}
    assert sb3_models.keywords(tf)["policy_kwargs"] == optimizer
    assert sb3_models.keywords({"rms_prop_tf": False}) == {"policy_kwargs": {}}
    assert sb3_models.keywords({**tf, "use_rms_prop": False})["policy_kwargs"] == {}
    model: Any = sb3_models.build(
        sb3_cell("a2c", hyperparameters=tf), DummyVecEnv([lambda: make_single("CartPole-v1")] * 8), seed=0
    )
    assert type(model.policy.optimizer) is RMSpropTFLike and model.policy.optimizer.defaults["alpha"] == 0.99


def test_a_model_has_the_layers_and_schedules_of_its_block():
    block = {
        "net_arch": [16],
        "activation": "relu",
        "learning_rate": 0.002,
        "learning_rate_schedule": "linear",
    }
    c = sb3_cell("ppo", hyperparameters={**block, "clip_range_schedule": "linear"})
    model: Any = sb3_models.build(c, DummyVecEnv([lambda: make_single("CartPole-v1")] * 8), seed=0)
    widths = [m.out_features for m in model.policy.mlp_extractor.modules() if isinstance(m, nn.Linear)]
    assert widths == [16, 16]  # actor and critic
    assert any(isinstance(module, nn.ReLU) for module in model.policy.modules())
    assert model.lr_schedule(0.5) == 0.001 and model.clip_range(0.5) == pytest.approx(0.1)


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
@pytest.mark.parametrize("environment", ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "LunarLander-v3"])
@pytest.mark.parametrize("algorithm", ["a2c", "ppo", "dqn", "qrdqn"])
def test_both_arms_get_the_same_hyper_parameters(algorithm: str, environment: str):
    """Every name of a block arrives at SB3; every default that a block leaves out agrees."""
    block = hyperparameters.library().lookup(environment, algorithm)
    c = sb3_cell(algorithm, environment=environment, n_envs=1)
    memory = {"buffer_size": 1000} if "dqn" in algorithm else {}
    c = replace(c, hyperparameters={**block.hyperparameters, **memory})
    model: Any = sb3_models.build(c, DummyVecEnv([lambda: make_single(environment)]), seed=0)
    config = vars(agents.settings(algorithm)(**c.hyperparameters))
    ours_alone = hyperparameters.MEANS | hyperparameters.OURS
    ours_alone |= {"net_arch", "activation", "log_std_init", "ortho_init"}
    ours_alone |= {"use_rms_prop", "rms_prop_eps", "rms_prop_tf"}
    remaining = 0.25
    for name, value in config.items():
        if name in ours_alone or name.endswith("_schedule"):
            continue
        theirs = getattr(model, name)
        if name in ("learning_rate", "clip_range"):
            theirs = (model.lr_schedule if name == "learning_rate" else model.clip_range)(remaining)
            value = value * remaining if config[f"{name}_schedule"] == "linear" else value
        elif name == "train_freq":
            theirs = theirs.frequency
        assert theirs == pytest.approx(value), name
    optimizer = model.policy.optimizer
    kind = torch.optim.RMSprop if algorithm == "a2c" else torch.optim.Adam
    assert isinstance(optimizer, kind)
    eps = {"dqn": 1e-8, "qrdqn": 0.01 / config.get("batch_size", 1)}
    assert optimizer.defaults["eps"] == eps.get(algorithm, 1e-5)
    widths = [m.out_features for m in model.policy.modules() if isinstance(m, nn.Linear)]
    assert widths[: len(config["net_arch"])] == list(config["net_arch"])
    activation = {"tanh": nn.Tanh, "relu": nn.ReLU}[config["activation"]]
    assert any(isinstance(module, activation) for module in model.policy.modules())


@pytest.mark.parametrize("algorithm", ["ppo", "dqn", "qrdqn"])
def test_a_policy_acts_as_its_model_does(algorithm: str):
    c = sb3_cell(algorithm)
    model = sb3_models.build(c, DummyVecEnv([lambda: make_single("CartPole-v1")] * c.n_envs), seed=0)
    obs = torch.randn(1, 64, 4, generator=torch.Generator().manual_seed(0))
    expected, _ = model.predict(obs[0].numpy(), deterministic=True)
    assert sb3_models.Policy(model).act(obs).tolist() == [expected.tolist()]


def test_a_view_normalises_with_frozen_statistics():
    env = VecNormalize(DummyVecEnv([lambda: make_single("Acrobot-v1")] * 2))
    env.reset()
    for _ in range(20):
        env.step(np.array([0, 2]))
    obs = torch.randn(1, 5, 6, generator=torch.Generator().manual_seed(0))
    mean = env.obs_rms.mean.copy()
    expected = np.clip((obs.numpy() - mean) / np.sqrt(env.obs_rms.var + 1e-8), -10, 10)
    np.testing.assert_allclose(sb3_models.view(env)(obs).numpy(), expected, rtol=1e-6)
    assert np.array_equal(mean, env.obs_rms.mean)
    state = {"normaliser.mean": torch.from_numpy(mean), "normaliser.var": torch.from_numpy(env.obs_rms.var)}
    torch.testing.assert_close(play._view(state, obs), sb3_models.view(env)(obs))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_diverged_model_is_a_failed_seed_with_its_rows_so_far():
    c = sb3_cell("a2c", hyperparameters={"learning_rate": 1e30, "max_grad_norm": 1e30}, budget=400)
    rows = sb3.run(c)
    assert set(rows.failed) == {4}
    assert {row["env_step"] for row in rows.evaluations} == {0}
    assert rows.evaluations == of_seed(rows, 4)[len(rows.episodes) :]


def test_games_are_booked_with_raw_returns_under_normalisation():
    rows = sb3.run(sb3_cell("a2c", environment="MountainCar-v0", budget=3300), evaluate=False)
    assert len(rows.episodes) == 16
    assert {(row["episode_return"], row["episode_length"]) for row in rows.episodes} == {(-200.0, 200)}


@pytest.mark.parametrize("algorithm", ["a2c", "ppo", "trpo", "ddpg", "td3", "sac"])
def test_a_continuous_policy_acts_as_its_model_does(algorithm: str):
    """In the task's units, within its bounds of +-2 once the task has clipped it."""
    c = sb3_cell(algorithm, environment="Pendulum-v1", n_envs=1, hyperparameters=BRIEF[algorithm])
    model = sb3_models.build(c, DummyVecEnv([lambda: make_single("Pendulum-v1")]), seed=0)
    obs = 3 * torch.randn(1, 64, 3, generator=torch.Generator().manual_seed(0))
    expected, _ = model.predict(obs[0].numpy(), deterministic=True)
    action = sb3_models.Policy(model).act(obs)
    assert action.shape == (1, 64, 1)
    assert action[0].clamp(-2, 2).numpy() == pytest.approx(expected)


BRIEF: dict[str, dict[str, Any]] = {
    "a2c": {},
    "ppo": {"n_steps": 64},
    "trpo": {"n_steps": 64},
    **{
        name: {"buffer_size": 1000, "net_arch": [16], "learning_starts": 60}
        for name in ("ddpg", "td3", "sac")
    },
}


@pytest.mark.parametrize("algorithm", BRIEF)
def test_continuous_references_are_trained_twice_alike(algorithm: str):
    """Evaluated at the moments of our own loop; returns are of raw rewards."""
    c = sb3_cell(algorithm, environment="Pendulum-v1", hyperparameters=BRIEF[algorithm], budget=410)
    c = replace(c, evaluation=replace(c.evaluation, modes=("deterministic",)))
    rows, again = sb3.run(c), sb3.run(c)
    assert rows.episodes == again.episodes and rows.evaluations == again.evaluations
    first = -(-205 // c.n_envs) * c.n_envs
    assert sorted({row["env_step"] for row in rows.evaluations}) == [0, first, 410]
    lengths = [row["episode_length"] for row in rows.episodes]
    assert {*lengths, *(row["size"] for row in rows.evaluations)} == {200}
    assert all(-2000 < row["episode_return"] < 0 for row in rows.episodes)
    assert not rows.failed


def test_exploration_noise_is_the_blocks():
    c = sb3_cell("td3", environment="Pendulum-v1", hyperparameters={**BRIEF["td3"], "noise_std": 0.3})
    model: Any = sb3_models.build(c, DummyVecEnv([lambda: make_single("Pendulum-v1")]), seed=0)
    assert model.action_noise._sigma.tolist() == [pytest.approx(0.3)]
    c = replace(c, hyperparameters=BRIEF["td3"])
    model = sb3_models.build(c, DummyVecEnv([lambda: make_single("Pendulum-v1")]), seed=0)
    assert model.action_noise is None


@pytest.mark.parametrize("algorithm", ["trpo", "ddpg", "td3", "sac"])
def test_defaults_of_the_continuous_agents_are_the_references(algorithm: str):
    """A block that leaves a name out means the same to both arms."""
    c = sb3_cell(algorithm, environment="Pendulum-v1")
    c = replace(c, n_envs=1, hyperparameters={"buffer_size": 1000} if algorithm != "trpo" else {})
    model: Any = sb3_models.build(c, DummyVecEnv([lambda: make_single("Pendulum-v1")]), seed=0)
    ours_alone = hyperparameters.MEANS | hyperparameters.OURS
    ours_alone |= {
        "learning_rate_schedule",
        "noise_std",
        "net_arch",
        "activation",
        "log_std_init",
        "ortho_init",
        "buffer_size",
    }
    config = vars(agents.settings(algorithm)())
    for name in config.keys() - ours_alone - {"target_entropy", "train_freq"}:
        assert getattr(model, name) == config[name], name
    assert config["net_arch"] == tuple(
        (model.policy.net_arch["pi"] if isinstance(model.policy.net_arch, dict) else model.policy.net_arch)
        if algorithm != "trpo"
        else (64, 64)
    )
    kind = {"tanh": nn.Tanh, "relu": nn.ReLU}[config["activation"]]
    assert model.policy.activation_fn is kind


def test_a_model_that_its_last_update_broke_is_a_failed_seed(monkeypatch: pytest.MonkeyPatch):
    c = sb3_cell("dqn")
    monkeypatch.setattr(sb3, "finite", lambda model: model.num_timesteps < c.budget)
    rows = sb3.run(c)
    assert rows.failed == {4: "the parameters were not finite by environment step 301"}
    assert {row["env_step"] for row in rows.evaluations} == {0, 151}
