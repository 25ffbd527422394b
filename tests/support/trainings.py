"""Trainings that go on step by step, and states that are compared to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.cell import Cell
from rlparity.seeding import Streams
from rlparity.training import loop
from rlparity.training.recorder import Recorder
from rlparity.training.run import Session


def fresh(c: Cell) -> Session:
    """A session as `training.run.run` builds it."""
    return Session(loop.build(c, Streams(c)), Recorder(c))


def advance(session: Session, n: int) -> list[Tensor]:
    """Go on for n steps; returns what was observed, done and learned."""
    trace, training = [], session.training
    for _ in range(n):
        agent, env = training.agent, training.env
        action = agent.act(env.obs, training.explore.next())
        step = env.step(action)
        training.metrics = agent.observe(step) or training.metrics
        training.env_step += step.reward.shape[1]
        session.recorder.ended(env.pop_episodes())
        learned = agents.state_dict(agent).values()
        trace += [action, step.reward, env.obs, *training.metrics.values(), *learned]
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
