"""TRPO's updates beside sb3-contrib's own `train`: the same weights, rollouts and minibatches in both.

Conjugate gradient magnifies rounding from step to step until it has converged: on Pendulum, in float64,
updates that differ in nothing but the order of their sums are 1e-14 apart after 2 steps, 1e-11 after 5, 1e-5
after 8 and, converged, 1e-6. So bounds of 1e-10 are for few steps, and the whole way gets 1e-4.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from sb3_contrib import TRPO
from small import cell
from stable_baselines3.common.vec_env import DummyVecEnv
from test_update_parity import actor_critic_stacks, copy_weights, flat, largest_difference

from rlparity import agents
from rlparity.agents import trpo
from rlparity.networks import Adam
from rlparity.seeding import Streams
from rlparity.tasks import TaskSpec

N_ENVS, UPDATES = 2, 5
SHARED: dict[str, Any] = {
    "n_steps": 75,
    "batch_size": 64,
    "gamma": 0.95,
    "gae_lambda": 0.9,
    "learning_rate": 3e-3,
    "n_critic_updates": 3,
}
BUDGET = N_ENVS * SHARED["n_steps"] * UPDATES
TASKS = {
    "CartPole-v1": TaskSpec(1, N_ENVS, (4,), n_actions=2),
    "Pendulum-v1": TaskSpec(1, N_ENVS, (3,), None, (1,), (-2.0,), (2.0,)),
}
LOGGED = {  # our metrics, and what sb3-contrib calls them
    "policy_objective": "policy_objective",
    "kl_divergence": "kl_divergence_loss",
    "line_search_success": "is_line_search_success",
    "value_loss": "value_loss",
    "explained_variance": "explained_variance",
}
FEW = {"cg_max_steps": 4}


class Pair:
    """sb3-contrib's learner and ours, in one precision, from the same weights."""

    def __init__(self, environment: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch, **options: Any):
        worlds = DummyVecEnv([lambda: gym.make(environment)] * N_ENVS)
        self.dtype, self.patch, shared = dtype, monkeypatch, {**SHARED, **options}
        self.patch.setattr(
            "stable_baselines3.common.policies.preprocess_obs", lambda obs, *_, **__: obs.to(dtype)
        )
        self.theirs: Any = TRPO("MlpPolicy", worlds, seed=0, **shared)
        self.theirs.policy.to(dtype)
        self.theirs.lr_schedule = lambda remaining: remaining * SHARED["learning_rate"]
        self.theirs.rollout_buffer.to_torch = lambda array, copy=True: torch.tensor(array).to(dtype)
        shared["learning_rate_schedule"] = "linear"
        random = Streams(cell("trpo"))
        self.ours: Any = agents.build("trpo", TASKS[environment], shared, random, BUDGET)
        self.ours.actor = self.ours.actor._twin(self.ours.actor.theta.to(dtype))
        self.ours.critic = self.ours.critic._twin(self.ours.critic.theta.to(dtype))
        self.ours.optimizer = Adam(self.ours.critic, self.ours.optimizer._eps)
        stacks = actor_critic_stacks(self.theirs.policy)
        self.networks = [
            (self.ours.actor, {"actor": stacks["actor"]}),
            (self.ours.critic, {"critic": stacks["critic"]}),
        ]
        for network, stack in self.networks:
            copy_weights(network, stack)

    def learn(self, noise: bool = False) -> list[float]:
        """Let sb3-contrib collect and learn, and ours make each update first; how far they are apart after
        each. Without `noise` their conjugate gradient starts at zero, as ours does."""
        train, differences = self.theirs.train, list[float]()
        self.metrics: list[tuple[dict[str, float], dict[str, float]]] = []

        def both() -> None:
            metrics = self._update()
            with self.patch.context() as patch:
                if not noise:
                    patch.setattr(torch, "randn_like", torch.zeros_like)
                train()
            logged = self.theirs.logger.name_to_value
            self.metrics.append((metrics, {name: float(logged[f"train/{name}"]) for name in LOGGED.values()}))
            differences.append(self._difference())

        self.theirs.train = both
        self.theirs.learn(BUDGET, log_interval=BUDGET)
        assert len(differences) == UPDATES
        return differences

    def _update(self) -> dict[str, float]:
        buffer, epochs = self.theirs.rollout_buffer, SHARED["n_critic_updates"]
        obs, action = flat(buffer.observations).to(self.dtype), flat(buffer.actions)
        columns = (buffer.log_probs, buffer.values, buffer.advantages, buffer.returns)
        action = action.to(self.dtype) if self.ours.policy.vectors else action[..., 0].long()
        batch = trpo.Batch(obs, action, *(flat(x)[..., 0].to(self.dtype) for x in columns))
        self.ours.env_steps = self.theirs.num_timesteps
        state = np.random.get_state()
        orders = np.stack([np.random.permutation(obs.shape[1]) for _ in range(1 + epochs)])
        np.random.set_state(state)
        metrics = self.ours.update(batch, torch.from_numpy(orders)[:, None])
        return {name: value.item() for name, value in metrics.items()}

    def _difference(self) -> float:
        found = [largest_difference(network, stack) for network, stack in self.networks]
        if self.ours.policy.vectors:
            ours, theirs = self.ours.actor.vectors["log_std"][0, 0], self.theirs.policy.log_std
            found.append((ours.exp() - theirs.exp()).abs().max().item())
        return max(found)


pytestmark = pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
CASES = [
    (torch.float32, 1e-4, {}),
    (torch.float64, 1e-10, FEW),
    (torch.float64, 1e-10, {**FEW, "sub_sampling_factor": 3, "normalize_advantage": False}),
]


@pytest.mark.parametrize(("dtype", "tolerance", "options"), CASES, ids=str)
@pytest.mark.parametrize("environment", TASKS)
def test_updates_are_sb3_contribs(
    environment: str,
    dtype: torch.dtype,
    tolerance: float,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
):
    """Five, each with 3 epochs of 3 minibatches, the last one short; learning rate on a falling line."""
    pair = Pair(environment, dtype, monkeypatch, **options)
    before = [network.theta.detach().clone() for network, _ in pair.networks]
    differences = pair.learn()
    assert max(differences) < tolerance, differences
    for (network, _), start in zip(pair.networks, before, strict=True):
        assert (network.theta - start).abs().max() > 0.01
    for ours, theirs in pair.metrics:
        assert ours["line_search_success"] == 1
        for name, logged in LOGGED.items():
            assert ours[name] == pytest.approx(theirs[logged], rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("environment", TASKS)
def test_a_line_search_fails_where_sb3_contribs_does(environment: str, monkeypatch: pytest.MonkeyPatch):
    """A trust region that is far too wide, and no more than two trials in it: both outcomes occur."""
    options = {"target_kl": 20.0, "line_search_max_iter": 2, "cg_max_steps": 3}
    pair = Pair(environment, torch.float64, monkeypatch, **options)
    differences = pair.learn()
    assert max(differences) < 1e-6, differences
    succeeded = [ours["line_search_success"] for ours, _ in pair.metrics]
    assert succeeded == [theirs["is_line_search_success"] for _, theirs in pair.metrics]
    assert set(succeeded) == {0.0, 1.0}


def test_the_noise_that_sb3_contrib_starts_from_is_harmless(monkeypatch: pytest.MonkeyPatch):
    """1e-4 times normal numbers for the first guess: the answer is the same to three digits."""
    differences = Pair("CartPole-v1", torch.float64, monkeypatch).learn(noise=True)
    assert 1e-8 < max(differences) < 2e-3, differences
