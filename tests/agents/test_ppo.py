"""Proximal Policy Optimization by hand-worked numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small import build, row, set_output, stream
from torch import Tensor

from rlparity.agents.policy_gradient import ppo

pytestmark = pytest.mark.paper

HALF = math.log(0.5)


def test_ppo_clips_what_would_move_the_policy_further_the_way_it_went():
    """eps = 0.2. (ratio, A) -> min(r A, clip(r) A): (1.5, 1) 1.2; (0.5, 1) 0.5; (1.5, -1) -1.5;
    (0.5, -1) -0.8; (1.1, 1) 1.1. Mean 0.1; clipped terms have no gradient."""
    ratio, advantage = row(1.5, 0.5, 1.5, 0.5, 1.1).requires_grad_(), row(1, 1, -1, -1, 1)
    objective = ppo.clipped_objective(ratio, advantage, 0.2)
    assert objective.tolist() == pytest.approx([0.1])
    objective.sum().backward()
    assert ratio.grad.tolist()[0] == pytest.approx([0, 0.2, -0.2, 0, 0.2])


def test_ppo_normalises_advantages_over_each_seeds_minibatch_but_not_a_single_one():
    advantage = ppo.normalised(torch.tensor([[1.0, 2.0, 3.0], [10.0, 30.0, 50.0]]))
    assert advantage.tolist() == [pytest.approx([-1, 0, 1]), pytest.approx([-1, 0, 1])]
    assert ppo.normalised(row(7)).tolist() == [[7]]


def test_ppo_estimates_the_kl_divergence():
    """(r - 1) - log r at r = 1 and r = 2: 0 and 1 - log 2."""
    assert ppo.approximate_kl(row(0, math.log(2))).tolist() == pytest.approx([(1 - math.log(2)) / 2])


def ppo_batch(log_prob: float, advantage: Tensor, value: float, returns: float) -> ppo.Batch:
    """Observations of nothing but zeros, which a fresh actor answers with probabilities of one half."""
    n, m = advantage.shape
    full = torch.ones(n, m)
    action = (torch.arange(m) % 2).expand(n, m)
    return ppo.Batch(torch.zeros(n, m, 2), action, full * log_prob, full * value, advantage, full * returns)


@pytest.mark.parametrize(("clip_range_vf", "value_loss"), [(None, (2 - 1) ** 2), (0.2, (2 - 0.7) ** 2)])
def test_ppo_loss(clip_range_vf: float | None, value_loss: float):
    """V = 1 was 0.5 and should be 2; with a clip at 0.2 it counts as 0.7. Ratio 0.5 / 0.8, A = (3, 1),
    entropy log 2: -(0.625 * 3 + 0.625 * 1) / 2 + 0.5 * value loss - 0.1 * log 2."""
    agent = build("ppo", clip_range_vf=clip_range_vf, ent_coef=0.1, normalize_advantage=False)
    set_output(agent.network, "critic", [1.0])
    loss, metrics = agent.loss(ppo_batch(math.log(0.8), row(3, 1), 0.5, 2.0), epsilon=0.2)
    assert metrics["policy_loss"].tolist() == pytest.approx([-1.25])
    assert metrics["value_loss"].tolist() == pytest.approx([value_loss])
    assert metrics["entropy"].tolist() == pytest.approx([math.log(2)])
    assert metrics["clip_fraction"].tolist() == [1.0]
    assert loss.tolist() == pytest.approx([-1.25 + 0.5 * value_loss - 0.1 * math.log(2)])


def ppo_two_seeds(target_kl: float | None) -> tuple[Any, Tensor]:
    """Seed 0's policy is off the one that acted by a ratio of 2, seed 1's not at all; one update."""
    agent = build("ppo", n_seeds=2, target_kl=target_kl, batch_size=2, clip_range=5.0)
    batch = ppo_batch(HALF, row(1, -1, 2, 3).expand(2, 4), 0.0, 1.0)
    batch.log_prob[0] = math.log(0.25)
    before = agent.network.theta.detach().clone()
    agent.update(batch, torch.arange(4).expand(3, 2, 4))
    return agent, before


KL = 1 - math.log(2)


def test_ppo_stops_a_seed_before_the_step_that_passes_one_and_a_half_times_its_target():
    """KL 0.307 at the first minibatch of seed 0: above 1.5 times KL / 1.6, below 1.5 times KL / 1.4."""
    stopped, before = ppo_two_seeds(KL / 1.6)
    going, _ = ppo_two_seeds(KL / 1.4)
    free, _ = ppo_two_seeds(None)
    assert torch.equal(stopped.network.theta[0], before[0])
    assert not torch.equal(going.network.theta[0], before[0])
    for agent in (stopped, going):
        assert torch.equal(agent.network.theta[1], free.network.theta[1])
    assert not torch.equal(stopped.network.theta[1], before[1])


def test_ppo_takes_the_steps_before_the_stop_and_none_after():
    """Steps so long that the second of them is refused: the end is where one minibatch alone leads."""
    batch = ppo_batch(HALF, row(1, -1, 2, 3), 0.0, 1.0)
    options = {"target_kl": 0.01, "learning_rate": 0.5, "batch_size": 2}
    several, one = build("ppo", **options), build("ppo", **options)
    order = torch.tensor([[0, 1, 2, 3]])
    several.update(batch, order.expand(4, 1, 4))
    one.update(batch.at(order[:, :2]), order[:, :2].expand(1, 1, 2))
    assert torch.equal(several.network.theta, one.network.theta)


def test_ppo_shuffles_anew_in_every_epoch_and_leaves_no_transition_out():
    agent = build("ppo", n_envs=2, n_steps=5, batch_size=4, n_epochs=3)
    seen: list[Tensor] = []
    agent.update = lambda batch, shuffles: seen.append(shuffles) or {}
    for step in stream(1, 2, 5):
        agent.observe(step)
    (shuffles,) = seen
    assert shuffles.shape == (3, 1, 10)
    assert all(sorted(order[0].tolist()) == list(range(10)) for order in shuffles)
    assert len({tuple(order[0].tolist()) for order in shuffles}) == 3
