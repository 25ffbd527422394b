"""DDPG, TD3 and SAC compared with Stable-Baselines3's: the same replay memory after the same steps, and
updates at the same steps. Planted bugs are found. (The updates themselves: test_parity.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import stable_baselines3 as sb3
import torch
from small import cell
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.environments import base as environments
from rlparity.nn.action_scaling import Bounds
from rlparity.seeding import Streams

pytestmark = pytest.mark.probes

REFERENCE: dict[str, Any] = {"ddpg": sb3.DDPG, "td3": sb3.TD3, "sac": sb3.SAC}


def remembered(spoil: Callable[[Any], Any] = lambda agent: agent) -> tuple[list[Tensor], list[np.ndarray]]:
    """Fields of both memories after 210 random steps of Pendulum, whose episodes are cut after 200."""
    options: dict[str, Any] = {"buffer_size": 300, "learning_starts": 999}
    model: Any = sb3.SAC("MlpPolicy", gym.make("Pendulum-v1"), policy_kwargs={"net_arch": [8]}, **options)
    model.env._seeds = [5]
    chosen: list[np.ndarray] = []
    step = model.env.step
    model.env.step = lambda actions: chosen.append(actions) or step(actions)
    model.learn(210)
    env = environments.make("Pendulum-v1", [[5]])
    agent: Any = spoil(agents.build("sac", env.spec, options, Streams(cell("sac")), budget=210))
    for action in chosen:
        agent.observe(env.step(torch.from_numpy(action)[None]))
    ours = agent.memory.read(0, 210)
    b = model.replay_buffer
    fields = (b.observations, b.actions, b.rewards, 1 - b.dones * (1 - b.timeouts), b.next_observations)
    mine = [ours.obs, ours.action, ours.reward, ours.discount, ours.next_obs]
    return [x[0] for x in mine], [field[:210].reshape(210, -1).squeeze() for field in fields]


def agree(fields: tuple[list[Tensor], list[np.ndarray]]) -> list[bool]:
    return [
        bool(np.allclose(a.squeeze().numpy(), b, rtol=0, atol=1e-5)) for a, b in zip(*fields, strict=True)
    ]


def test_memories_hold_the_same():
    """Actions in [-1, 1], true successors, and a time limit is no end."""
    ours, theirs = remembered()
    assert agree((ours, theirs)) == [True] * 5
    assert float(ours[1].abs().max()) <= 1 and ours[3].min() == 1


def time_limit_as_end(agent: Any) -> Any:
    observe = agent.observe
    agent.observe = lambda step: observe(step._replace(discount=1 - step.last))
    return agent


def actions_not_rescaled(agent: Any) -> Any:
    assert isinstance(agent.bounds, Bounds)
    agent.bounds.to_unit = lambda action: action
    return agent


def test_planted_bugs_of_memory_are_found():
    assert agree(remembered(time_limit_as_end)) == [True, True, True, False, True]
    assert agree(remembered(actions_not_rescaled)) == [True, False, True, True, True]


@pytest.mark.parametrize("algorithm", REFERENCE)
@pytest.mark.parametrize(
    ("n_envs", "options"),
    [
        (1, {"learning_starts": 10, "train_freq": 1, "gradient_steps": 1}),
        (1, {"learning_starts": 12, "train_freq": 4, "gradient_steps": 3}),
        (2, {"learning_starts": 12, "train_freq": 3, "gradient_steps": 2}),
        (2, {"learning_starts": 10, "train_freq": 4, "gradient_steps": -1}),
        (1, {"learning_starts": 0, "train_freq": 2, "gradient_steps": 0}),
    ],
)
def test_updates_come_at_the_same_moments(algorithm: str, n_envs: int, options: dict[str, int]):
    """Environment steps at every update within 24, whole rounds of collection for all cases."""
    envs = DummyVecEnv([lambda: gym.make("Pendulum-v1")] * n_envs)
    model: Any = REFERENCE[algorithm](
        "MlpPolicy", envs, buffer_size=50, policy_kwargs={"net_arch": [8]}, **options
    )
    theirs: list[int] = []
    model.train = lambda gradient_steps, batch_size: theirs.extend([model.num_timesteps] * gradient_steps)
    model.learn(24)

    env = environments.make("Pendulum-v1", [list(range(n_envs))])
    settings = {"batch_size": 8, "buffer_size": 50, "net_arch": [8], **options}
    agent: Any = agents.build(algorithm, env.spec, settings, Streams(cell(algorithm)), budget=24)
    ours: list[int] = []
    agent.update = lambda *_: ours.append(agent.env_steps) or {}
    while agent.env_steps < 24:
        agent.observe(env.step(torch.zeros(1, n_envs, 1)))
    assert ours == theirs
    assert bool(ours) == (options["gradient_steps"] != 0)
