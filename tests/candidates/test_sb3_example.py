"""`examples/sb3_ppo.py`: Stable-Baselines3's own PPO as a candidate passes every layer."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from small import cell

from examples.sb3_ppo import SB3PPO
from rlparity.candidates import entry_point, settings
from rlparity.training.recorder import Recorder
from rlparity.validation.contract import check as contract
from rlparity.validation.parity import compare


@pytest.mark.probes
@pytest.mark.parametrize("case", ["default", "default, continuous"])
def test_its_updates_are_those_of_the_reference(case: str) -> None:
    (check,) = compare.check_candidate(SB3PPO, "ppo", (case,), updates=(1,))
    assert check.passed, check.detail


@pytest.mark.whole
@pytest.mark.parametrize("environment", ["CartPole-v1", "Pendulum-v1"])
def test_it_passes_the_contract(environment: str) -> None:
    checks = contract.check(SB3PPO, environment, "ppo")
    assert len(checks) == 10 and [check for check in checks if not check.passed] == []


def made(**changes: Any) -> SB3PPO:
    env = gym.make("CartPole-v1")
    given = entry_point.hyperparameters(cell("ppo"))
    return SB3PPO(env.observation_space, env.action_space, {**given, **changes})


def test_it_prepares_a_rollout_as_stable_baselines3_does() -> None:
    """Two sub-environments, gamma 0.5, lambda 0.5; the first is cut by a time limit at V = 4 after its second
    step, the second ends its task there. From the back, with A = delta + 0.25 A' where no episode ends:
    first: 1 + 0.5 * 2 - 1 = 1; 1 + 0.5 * 4 - 1 = 2; 1 + 0.5 * 1 - 1 + 0.25 * 2 = 1;
    second: the same; 1 - 1 = 0; 1 + 0.5 * 1 - 1 + 0.25 * 0 = 0.5."""
    ones = torch.ones(3, 2)
    ended, cut, final = torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2)
    cut[1, 0], final[1, 0], ended[1, 1] = 1, 4, 1
    rollout = {"rewards": ones, "values": ones, "terminated": ended, "truncated": cut, "final_values": final}
    found = made(gamma=0.5, gae_lambda=0.5).prepare({**rollout, "last_values": torch.tensor([2.0, 2.0])})
    wanted = torch.tensor([[1.0, 0.5], [2.0, 0.0], [1.0, 1.0]])
    assert torch.allclose(found["advantages"], wanted)
    assert torch.allclose(found["returns"], wanted + 1)


def test_it_answers_what_it_set() -> None:
    one = cell("ppo")
    understood = settings._understood(made().answer, settings.given(one), "ppo")
    assert understood.values == settings.given(one) and understood.not_offered == understood.problems == []
    assert understood.departures == []
    stated: list[Any] = []
    brief = cell("ppo", implementation="theirs", budget=64, n_envs=2, candidate={"entry": "x:y"})
    recorder = entry_point.train(brief, SB3PPO, evaluate=False, recorder=Recorder(brief), stated=stated)
    assert not recorder.failed and stated == [made().answer]


def test_normalised_observations_are_saved_and_loaded(tmp_path: Any) -> None:
    one, other = made(normalize=True), made(normalize=True)
    one.envs.obs_rms.update(np.random.default_rng(0).normal(3, 2, (50, 4)))
    one.save(tmp_path / "saved.pt")
    other.load(tmp_path / "saved.pt")
    obs = np.random.default_rng(1).normal(3, 2, (64, 4)).astype(np.float32)
    assert np.array_equal(one.act(obs, True), other.act(obs, True))
    assert other.envs.obs_rms.count == one.envs.obs_rms.count
