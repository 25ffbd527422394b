"""Our agents and Stable-Baselines3's models with the same weights, tensor by tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from snow import Snow
from stable_baselines3.common.vec_env import DummyVecEnv

from rlparity.validation import double_precision, paired_models
from rlparity.validation.counterparts import COUNTERPARTS, ON_POLICY
from rlparity.validation.paired_models import PairedModels, difference
from rlparity.validation.parity import cases, environments

pytestmark = pytest.mark.probes

SMALL: dict[str, Any] = {"net_arch": (8, 6)}
OFF_POLICY = {**SMALL, "buffer_size": 50, "learning_starts": 0}


def pair(algorithm: str, dtype: torch.dtype = torch.float64, **options: Any) -> PairedModels:
    if algorithm in ON_POLICY:
        return paired_models.make(
            algorithm, environments.short_episodes(True, 2), {**SMALL, **options}, dtype
        )
    envs = environments.constant(algorithm not in ("dqn", "qrdqn"), 2)
    return paired_models.make(algorithm, envs, {**OFF_POLICY, **options}, dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("algorithm", COUNTERPARTS)
def test_every_parameter_has_a_counterpart(algorithm: str, dtype: torch.dtype):
    made = pair(algorithm, dtype)
    ours, theirs = made.ours(), made.theirs()
    assert set(ours) == set(theirs)
    assert {x.dtype for x in (*ours.values(), *theirs.values())} == {dtype}
    assert set(made.differences().values()) == {0.0}
    networks = {id(net): net for net in (getattr(made.agent, name) for name in COUNTERPARTS[algorithm])}
    assert sum(x.numel() for x in ours.values()) == sum(net.n_parameters for net in networks.values())
    with torch.no_grad():
        for parameter in theirs.values():
            parameter.add_(torch.rand_like(parameter))
    assert min(made.differences().values()) > 0
    made.align()
    assert set(made.differences().values()) == {0.0}


@pytest.mark.parametrize("algorithm", ["a2c", "ppo", "dqn", "qrdqn"])
def test_networks_for_images_have_counterparts(algorithm: str):
    options = {"buffer_size": 10} if algorithm in ("dqn", "qrdqn") else {}
    made = paired_models.make(algorithm, DummyVecEnv([Snow]), options, torch.float32)
    assert set(made.ours()) == set(made.theirs())
    assert set(made.differences().values()) == {0.0}


def test_both_compute_the_same_values_in_doubles():
    made = pair("ppo")
    obs = torch.randn(1, 5, 3, dtype=torch.float64)
    with double_precision.precision(torch.float64), torch.no_grad():
        value = made.model.policy.predict_values(obs[0]).flatten()
    assert value.dtype == torch.float64
    assert torch.allclose(made.agent.value(obs)[0], value, rtol=1e-14, atol=1e-15)


def test_optimisers_move_the_parameters_in_doubles():
    made = pair("sac", tau=0.5)
    names = ("log_ent_coef", "actor.mu.bias", "critic.qf1.4.bias", "critic_target.qf0.4.bias")
    before = {name: made.theirs()[name].detach().clone() for name in names}
    with double_precision.precision(torch.float64):
        made.model.learn(6)
    assert all((made.theirs()[name] != x).all() for name, x in before.items())
    assert made.model.log_ent_coef.dtype == torch.float64


def test_rollouts_are_kept_in_doubles():
    made = pair("a2c", n_steps=3)
    with double_precision.precision(torch.float64):
        made.model.learn(6)
    buffer = made.model.rollout_buffer
    assert {buffer.rewards.dtype, buffer.values.dtype, buffer.advantages.dtype} == {np.dtype(np.float64)}
    assert (buffer.values != buffer.values.astype(np.float32)).any()


def test_what_starts_as_zeros_is_measured_absolutely():
    made = pair("ppo")
    assert {"log_std", "action_net.bias", "value_net.bias"} < made.from_zero
    assert "action_net.weight" not in made.from_zero
    with torch.no_grad():
        made.theirs()["value_net.bias"].fill_(0.25)
        made.theirs()["action_net.weight"].mul_(2)
    found = made.differences()
    assert found["value_net.bias"] == 0.25
    assert found["action_net.weight"] == pytest.approx(0.5)


def test_differences_by_hand():
    a, b = torch.tensor([1.0, 2.0]), torch.tensor([1.5, -4.0])
    assert difference(a, b) == 6 / 4
    assert difference(a, b, absolute=True) == 6
    assert difference(a, torch.zeros(2)) == 2  # nothing to be relative to
    assert difference(a, torch.zeros(3)) == math.inf
    assert difference(a, torch.tensor([1.0, math.nan])) == math.inf
    both = torch.tensor([1.0, math.nan])
    assert difference(both, both) == 0
    assert difference(torch.empty(0), torch.empty(0)) == 0


def test_our_own_options_stay_ours():
    case = cases.of("dqn", "double (patched into SB3)")[0]
    made = case.pair(torch.float64)
    assert made.agent.config.double_q
    assert made.model.gamma == made.agent.config.gamma
