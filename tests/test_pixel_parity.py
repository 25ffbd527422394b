"""Updates on images beside Stable-Baselines3's CnnPolicy, from the same weights on the same batches."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3 as sb3
import torch
from gymnasium import spaces
from small import cell
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.sb2_compat.rmsprop_tf_like import RMSpropTFLike
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor, nn

from rlparity import agents, targets
from rlparity.agents import a2c, ppo
from rlparity.networks import TRUNK, Network
from rlparity.records import Step
from rlparity.seeding import Streams
from rlparity.tasks import TaskSpec

SHAPE, N_ACTIONS = (4, 84, 84), 3


class Snow(gym.Env):
    """Random images and rewards; games of five steps."""

    observation_space = spaces.Box(0, 255, SHAPE, np.uint8)
    action_space = spaces.Discrete(N_ACTIONS)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.left = 5
        return self.draw(), {}

    def draw(self) -> np.ndarray:
        """Blocks of any brightness: fine noise looks all the same to a network, gradients would cancel."""
        blocks = self.np_random.integers(256, size=(4, 6, 6), dtype=np.uint8)
        return blocks.repeat(14, 1).repeat(14, 2)

    def step(self, action: Any) -> Any:
        self.left -= 1
        return self.draw(), float(self.left % 3 - 1), self.left == 0, False, {}


def spec(n_envs: int) -> TaskSpec:
    return TaskSpec(1, n_envs, SHAPE, N_ACTIONS)


def layers(*modules: nn.Module) -> list[Any]:
    return [m for module in modules for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def pairs(network: Network, stacks: dict[str, list[Any]]) -> list[tuple[Tensor, Tensor]]:
    """Our leaves and theirs, in the same shape."""
    found = []
    for name, modules in stacks.items():
        for (weight, bias), module in zip(network.stacks[name], modules, strict=True):
            theirs = module.weight if isinstance(module, nn.Conv2d) else module.weight.T
            found += [(weight[0], theirs), (bias[0].flatten(), module.bias)]
    return found


def difference(network: Network, stacks: dict[str, list[Any]], start: list[Tensor]) -> float:
    """Length of ours - theirs, relative to how far theirs went from the start; the largest of all layers.

    Single weights may differ more: Adam makes steps of full length out of gradients that are all rounding.
    """
    found = []
    for (ours, theirs), before in zip(pairs(network, stacks), start, strict=True):
        theirs = theirs.detach()
        found.append(float((ours.detach() - theirs).norm() / (theirs - before).norm()))
    return max(found)


def start_of(network: Network, stacks: dict[str, list[Any]]) -> list[Tensor]:
    """Give the network their weights; a copy of them."""
    for ours, theirs in pairs(network, stacks):
        ours.detach().copy_(theirs.detach())
    return [theirs.detach().clone() for _, theirs in pairs(network, stacks)]


def flat(array: np.ndarray) -> Tensor:
    return torch.from_numpy(RolloutBuffer.swap_and_flatten(array.copy()))[None]


@pytest.mark.parametrize("algorithm", ["ppo", "a2c"])
def test_actor_critics_with_shared_convolutions(algorithm: str):
    """Three updates, each from the same weights: a rectifier at its kink amplifies rounding. A2C has RMSprop
    as in TensorFlow."""
    shared: dict[str, Any] = {
        "n_steps": 8,
        "gamma": 0.97,
        "gae_lambda": 0.9,
        "ent_coef": 0.01,
        "vf_coef": 0.25,
    }
    ours, theirs, policy = dict(shared), dict(shared), {}
    if algorithm == "ppo":
        shared = {"batch_size": 8, "n_epochs": 2, "clip_range": 0.5, "learning_rate": 2.5e-4}
        ours, theirs = {**ours, **shared}, {**theirs, **shared}
    else:
        ours |= {"rms_prop_tf": True, "rms_prop_eps": 1e-5}
        policy = {"optimizer_class": RMSpropTFLike, "optimizer_kwargs": {"eps": 1e-5, "alpha": 0.99}}
    kind: Any = sb3.PPO if algorithm == "ppo" else sb3.A2C
    model: Any = kind("CnnPolicy", DummyVecEnv([Snow] * 2), seed=0, **theirs, policy_kwargs=policy)
    agent: Any = agents.build(algorithm, spec(2), ours, Streams(cell(algorithm)), 48)
    extractor = model.policy.features_extractor
    stacks = {
        TRUNK: layers(extractor),
        "actor": [model.policy.action_net],
        "critic": [model.policy.value_net],
    }
    starts = [start_of(agent.network, stacks)]
    train, differences = model.train, []

    def both() -> None:
        b = model.rollout_buffer
        obs, action = flat(b.observations), flat(b.actions)[..., 0].long()
        value, advantage, returns, log_prob = (
            flat(x)[..., 0] for x in (b.values, b.advantages, b.returns, b.log_probs)
        )
        agent.env_steps = model.num_timesteps
        state = np.random.get_state()
        if algorithm == "ppo":
            orders = np.stack([np.random.permutation(16) for _ in range(2)])
            batch: Any = ppo.Batch(obs, action, log_prob, value, advantage, returns)
            agent.update(batch, torch.from_numpy(orders)[:, None])
        else:
            agent.update(a2c.Batch(obs, action, value, advantage, returns))
        np.random.set_state(state)
        train()
        differences.append(difference(agent.network, stacks, starts[-1]))
        starts.append(start_of(agent.network, stacks))

    model.train = both
    model.learn(48)
    assert len(differences) == 3
    assert max(differences) < 1e-3, differences


def test_dqn_with_convolutions():
    """Three updates on bytes."""
    shared: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 8, "gamma": 0.95}
    model: Any = sb3.DQN("CnnPolicy", Snow(), seed=0, buffer_size=10, **shared)
    model._setup_learn(240)
    agent: Any = agents.build("dqn", spec(1), {**shared, "buffer_size": 10}, Streams(cell("dqn")), 240)
    q, target = (
        {TRUNK: layers(net.features_extractor), "q": layers(net.q_net)}
        for net in (model.q_net, model.q_net_target)
    )
    start = start_of(agent.q, q)
    start_of(agent.q_target, target)
    rng = torch.Generator().manual_seed(0)
    for _ in range(3):
        obs, next_obs = torch.randint(256, (2, 1, 8, *SHAPE), dtype=torch.uint8, generator=rng)
        action = torch.randint(N_ACTIONS, (1, 8), generator=rng)
        reward, chance = 3 * torch.rand(2, 1, 8, generator=rng)
        ended = (chance < 0.6).float()
        columns = (obs[0], action.T, next_obs[0], ended.T, reward.T)
        model.replay_buffer.sample = lambda *_, data=columns, **__: ReplayBufferSamples(*data)
        model.train(gradient_steps=1, batch_size=8)
        agent.update(Step(obs, action, reward, 1 - ended, ended, next_obs))
        assert difference(agent.q, q, start) < 1e-3


def test_values_of_successors_are_those_of_their_own_images():
    """Two seeds, two worlds, four steps; a game ends in one world of one seed, another at the seam."""
    agent: Any = agents.build("ppo", TaskSpec(2, 2, SHAPE, N_ACTIONS), {}, Streams(cell("ppo", (0, 1))), 99)
    rng = torch.Generator().manual_seed(3)
    frames = torch.randint(256, (2, 2, 6, *SHAPE), dtype=torch.uint8, generator=rng)
    obs, next_obs, last = frames[:, :, :4].clone(), frames[:, :, 1:5].clone(), torch.zeros(2, 2, 4)
    last[0, 1, 1] = last[1, 0, 3] = 1
    next_obs[0, 1, 1] = frames[0, 1, 5]
    rollout = Step(obs, last.long(), last, 1 - last, last, next_obs)
    with torch.no_grad():
        value = agent.value(obs.flatten(1, 2)).view(2, 2, 4)
        found = targets.next_values(rollout, value, agent.value)
        wanted = agent.value(next_obs.flatten(1, 2)).view(2, 2, 4)
    assert torch.allclose(found, wanted, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(found[0, 1, 1], value[0, 1, 2], rtol=1e-3)
