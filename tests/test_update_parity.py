"""Updates beside Stable-Baselines3's, from the same weights on the same batches."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3 as sb3
import torch
from small import build, cell
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor, nn

from rlparity import agents
from rlparity.agents import a2c, ppo
from rlparity.networks import Network
from rlparity.records import Step
from rlparity.seeding import Streams
from rlparity.tasks import TaskSpec


def linears(modules: nn.Sequential | nn.Linear) -> list[nn.Linear]:
    return [module for module in modules.modules() if isinstance(module, nn.Linear)]


def copy_weights(network: Network, stacks: dict[str, list[nn.Linear]]) -> None:
    for name, layers in stacks.items():
        for (weight, bias), linear in zip(network.stacks[name], layers, strict=True):
            weight.detach()[0] = linear.weight.detach().T
            bias.detach()[0, 0] = linear.bias.detach()


def largest_difference(network: Network, stacks: dict[str, list[nn.Linear]]) -> float:
    """Relative to the largest parameter of each layer."""
    found = []
    for name, layers in stacks.items():
        for (weight, bias), linear in zip(network.stacks[name], layers, strict=True):
            for ours, theirs in ((weight[0].T, linear.weight), (bias[0, 0], linear.bias)):
                found.append(((ours - theirs).abs().max() / theirs.abs().max()).item())
    return max(found)


def flat(array: np.ndarray) -> Tensor:
    """SB3's (T, N, ...) as ours, (1, N T, ...)."""
    return torch.from_numpy(RolloutBuffer.swap_and_flatten(array.copy()))[None]


def actor_critic_stacks(policy: Any) -> dict[str, list[nn.Linear]]:
    extractor = policy.mlp_extractor
    return {
        "actor": [*linears(extractor.policy_net), policy.action_net],
        "critic": [*linears(extractor.value_net), policy.value_net],
    }


@pytest.mark.filterwarnings("ignore:You have specified a mini-batch size")
@pytest.mark.parametrize("environment", ["CartPole-v1", "Reacher-v5"])
@pytest.mark.parametrize("algorithm", ["ppo", "a2c"])
def test_updates_are_stable_baselines3s(algorithm: str, environment: str):
    """Six updates (PPO: 4 epochs of 3 minibatches each, the last one short) with every option on, the
    deviations of a Gaussian policy among the parameters."""
    shared: dict[str, Any] = {
        "n_steps": 20,
        "gamma": 0.97,
        "gae_lambda": 0.9,
        "ent_coef": 0.01,
        "vf_coef": 0.4,
    }
    if algorithm == "ppo":
        shared |= {"batch_size": 16, "n_epochs": 4, "clip_range_vf": 0.3, "learning_rate": 3e-3}
    else:
        shared |= {"normalize_advantage": True}
    worlds: Any = DummyVecEnv([lambda: gym.make(environment)] * 2)
    continuous = environment != "CartPole-v1"
    kind: Any = sb3.PPO if algorithm == "ppo" else sb3.A2C
    start = {"log_std_init": -0.5} if continuous else {}
    model: Any = kind("MlpPolicy", worlds, seed=0, **shared, policy_kwargs=dict(start))
    model.learning_rate = model.lr_schedule = lambda remaining: (
        remaining * (shared.get("learning_rate", 7e-4))
    )
    spec = TaskSpec(1, 2, worlds.observation_space.shape, *((None, (2,)) if continuous else (2,)))
    options = {**shared, **start, "learning_rate_schedule": "linear"}
    agent: Any = agents.build(algorithm, spec, options, Streams(cell(algorithm)), 240)
    stacks = actor_critic_stacks(model.policy)
    copy_weights(agent.network, stacks)
    train, differences = model.train, []

    def both() -> None:
        b = model.rollout_buffer
        obs, action = flat(b.observations).float(), flat(b.actions)
        action = action if continuous else action[..., 0].long()
        value, advantage, returns, log_prob = (
            flat(x)[..., 0] for x in (b.values, b.advantages, b.returns, b.log_probs)
        )
        agent.env_steps = model.num_timesteps
        state = np.random.get_state()
        if algorithm == "ppo":
            orders = np.stack([np.random.permutation(40) for _ in range(4)])
            agent.update(
                ppo.Batch(obs, action, log_prob, value, advantage, returns), torch.from_numpy(orders)[:, None]
            )
        else:
            agent.update(a2c.Batch(obs, action, value, advantage, returns))
        np.random.set_state(state)
        train()
        differences.append(largest_difference(agent.network, stacks))
        if continuous:
            log_std = agent.network.vectors["log_std"].flatten() - model.policy.log_std
            differences[-1] = max(differences[-1], log_std.abs().max().item())

    before = agent.network.theta.detach().clone()
    model.train = both
    model.learn(240)
    assert len(differences) == 6
    assert max(differences) < 1e-4, differences
    assert (agent.network.theta - before).abs().max() > 1e-3
    if continuous:
        assert (agent.network.vectors["log_std"] + 0.5).abs().min() > 1e-4


def test_dqn_updates_are_stable_baselines3s():
    """Twelve updates, the target network copied after six; learning rate on a falling line."""
    shared: dict[str, Any] = {"learning_rate": 5e-3, "batch_size": 32, "gamma": 0.95, "max_grad_norm": 1.0}
    model: Any = sb3.DQN("MlpPolicy", gym.make("CartPole-v1"), seed=0, **shared)
    model._setup_learn(240)
    model.lr_schedule = lambda remaining: remaining * 5e-3
    agent = build("dqn", inputs=4, budget=240, **shared, learning_rate_schedule="linear")
    q, target = ({"q": linears(net)} for net in (model.q_net, model.q_net_target))
    copy_weights(agent.q, q)
    copy_weights(agent.q_target, target)
    rng = torch.Generator().manual_seed(0)
    for update in range(12):
        obs, next_obs = torch.randn(2, 1, 32, 4, generator=rng)
        action = torch.randint(2, (1, 32), generator=rng)
        reward, chance = 3 * torch.rand(2, 1, 32, generator=rng)
        ended = (chance < 0.6).float()
        agent.env_steps = 20 * update
        model._current_progress_remaining = 1 - agent.env_steps / 240
        columns = (obs[0], action.T, next_obs[0], ended.T, reward.T)
        model.replay_buffer.sample = lambda *_, data=columns, **__: ReplayBufferSamples(*data)
        if update == 6:
            model.q_net_target.load_state_dict(model.q_net.state_dict())
            agent.q_target.theta.detach().copy_(agent.q.theta)
        model.train(gradient_steps=1, batch_size=32)
        agent.update(Step(obs, action, reward, 1 - ended, ended, next_obs))
        assert largest_difference(agent.q, q) < 1e-4
    assert largest_difference(agent.q_target, target) < 1e-4
    assert largest_difference(agent.q, target) > 1e-2  # it has moved since
