"""Trainings that go on step by step, and states that are compared to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.environments import base as tasks
from rlparity.environments.normalization import NormalizedEnv
from rlparity.seeding import Streams, Uniforms
from rlparity.training.loop import Training
from rlparity.training.recorder import Recorder


def fresh(c: Cell) -> Training:
    """A training as `train.run` builds it."""
    streams = Streams(c)
    env: Any = tasks.make(c.environment, streams.environments("training", c.n_envs))
    env = NormalizedEnv(env, 0.99) if c.normalize else env
    agent = agents.build(c.agent, env.spec, dict(c.hyperparameters), streams, c.budget)
    explore = Uniforms(streams.generators("explore"), c.n_envs, agent.uniforms)
    return Training(agent, env, explore, Recorder(c))


def advance(training: Training, n: int) -> list[Tensor]:
    """Go on for n steps of all worlds; what was seen, done and learned."""
    trace = []
    for _ in range(n):
        agent, env = training.agent, training.env
        action = agent.act(env.obs, training.explore.next())
        step = env.step(action)
        training.metrics = agent.observe(step) or training.metrics
        training.env_step += step.reward.shape[1]
        training.rows.ended(env.pop_episodes())
        trace += [action, step.reward, env.obs, *training.metrics.values(), *agent.state_dict().values()]
    return [x.clone() for x in trace]


def same(a: Any, b: Any) -> bool:
    """Equal to the last bit; NaN is NaN."""
    if isinstance(a, Tensor | np.ndarray):
        a, b = torch.as_tensor(a), torch.as_tensor(b)
        return a.dtype == b.dtype and torch.equal(a.nan_to_num(7.5), b.nan_to_num(7.5))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b) or (a != a and b != b)
