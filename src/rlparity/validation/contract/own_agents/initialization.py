"""Initial parameters and values of images, compared with the reference's before training."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor

from rlparity import registry
from rlparity.agents import base as agents
from rlparity.seeding import Streams
from rlparity.suites import hyperparameters
from rlparity.validation import paired_models
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents.traced_training import Log
from rlparity.validation.plain_environments import plain

TRIES = 4  # agents whose initial parameters are compared
SHAPE = (4, 84, 84)  # of an image
NEAR = 1e-4  # relative difference of values, in single precision
FEW = 32  # least number of elements from which a root mean square is reliable
CHANCE_RATIOS = (0.7, 1.4)  # ratios of root mean squares that occur by chance


def parameters(log: Log) -> Answer | None:
    """Compare root mean squares of all initial parameters with the reference's; None without a reference."""
    cell = log.cell
    if hyperparameters.library().algorithms[cell.algorithm].reference is None:
        return None
    envs = DummyVecEnv([lambda: plain(cell.environment)] * cell.n_envs)
    options, single = cell.hyperparameters, torch.float32
    pairs = [paired_models.make(cell.agent, envs, options, single, seed=seed) for seed in range(TRIES)]
    theirs = _sizes([dict(pair.theirs()) for pair in pairs])
    for pair, seed in zip(pairs, range(TRIES), strict=True):
        streams = Streams(type(cell)(**{**vars(cell), "seeds": (seed,)}))
        pair.agent = agents.build(cell.agent, pair.spec, dict(options), streams, cell.budget)
    ours = _sizes([pair.ours() for pair in pairs])
    compared = 0
    for name, (count, size) in theirs.items():
        mine = ours[name][1]
        if (mine == 0) != (size == 0):
            return False, f"{name} starts at {mine:.3g}, the reference's at {size:.3g} (root mean square)"
        if count >= FEW and size and not CHANCE_RATIOS[0] < mine / size < CHANCE_RATIOS[1]:
            return False, f"{name} starts at {mine:.3g}, the reference's at {size:.3g} (root mean square)"
        compared += 1
    envs.close()
    return True, f"{compared} tensors"


def image_values(algorithm: str) -> Answer | None:
    """Compare values of images between networks with the same weights; None without a reference or images."""
    named = hyperparameters.library().algorithms[algorithm]
    if named.reference is None or not registry.AGENTS[named.agent].images:
        return None
    envs = DummyVecEnv([ImageEnv])
    options = (
        {**named.options, "buffer_size": 10} if "buffer_size" in hyperparameters.config(named.agent) else {}
    )
    pair = paired_models.make(named.agent, envs, options, torch.float32)
    images = torch.randint(256, (8, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    agent, policy = pair.agent, pair.model.policy
    with torch.no_grad():
        if hasattr(agent, "value"):
            ours, theirs = agent.value(images[None])[0], policy.predict_values(images)[:, 0]
        elif hasattr(agent, "q"):
            ours, theirs = agent.q.values(images[None])[0], policy.q_net(images)
        else:
            ours, theirs = agent.quantiles(agent.network, images[None])[0], policy.quantile_net(images)
    apart = paired_models.difference(ours, theirs)
    return apart < NEAR, f"values of {len(images)} images are {apart:.1g} apart"


class ImageEnv(gym.Env):
    """The spaces of an Atari environment; it cannot be stepped."""

    observation_space = spaces.Box(0, 255, SHAPE, np.uint8)
    action_space = spaces.Discrete(3)


def _sizes(states: list[dict[str, Tensor]]) -> dict[str, tuple[int, float]]:
    """For every tensor, over several agents: number of elements and root mean square."""
    found = {}
    for name in states[0]:
        numbers = torch.cat([state[name].detach().flatten() for state in states])
        found[name] = numbers.numel(), float(numbers.square().mean().sqrt())
    return found
