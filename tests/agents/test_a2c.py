"""Advantage actor-critic by hand-worked numbers."""

from __future__ import annotations

import math

import pytest
import torch
from small import build, row, set_output

from rlparity.agents.policy_gradient import a2c

pytestmark = pytest.mark.paper

HALF = math.log(0.5)


def test_a2c_loss():
    """log pi = log 1/2, A = (3, 1): -2 log 1/2; V = 1 for 2 and weight 0.5; entropy log 2 and weight 0.1."""
    agent = build("a2c", ent_coef=0.1)
    set_output(agent.network, "critic", [1.0])
    batch = a2c.Batch(torch.zeros(1, 2, 2), torch.tensor([[0, 1]]), row(0, 0), row(3, 1), row(2, 2))
    loss, metrics = agent.loss(batch)
    assert metrics["policy_loss"].tolist() == pytest.approx([-2 * HALF])
    assert loss.tolist() == pytest.approx([-2 * HALF + 0.5 * 1 + 0.1 * HALF])


def test_a2c_normalises_advantages_on_request():
    """A = (1, 2, 6) becomes (-2, -1, 3) / sqrt 7; pi = (3/4, 1/4), actions 0, 0, 1: log 3 / sqrt 7."""
    agent = build("a2c", normalize_advantage=True)
    set_output(agent.network, "actor", [math.log(3), 0])
    zeros = row(0, 0, 0)
    batch = a2c.Batch(torch.zeros(1, 3, 2), torch.tensor([[0, 0, 1]]), zeros, row(1, 2, 6), zeros)
    assert agent.loss(batch)[1]["policy_loss"].tolist() == pytest.approx([math.log(3) / math.sqrt(7)])
