"""REINFORCE, the actor-critic and the random agent by hand-worked numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small import build, row, set_output, stream

from rlparity.agents import base as agents
from rlparity.agents.policy_gradient import actor_critic, reinforce
from rlparity.buffers.trajectories import Trajectory

pytestmark = pytest.mark.paper

HALF = math.log(0.5)


def test_reinforce_weighs_actions_by_what_its_variant_says():
    reward = torch.tensor([1.0, 2.0, 4.0])
    assert reinforce.weights(reward, "trajectory", 0.5).tolist() == [7, 7, 7]
    assert reinforce.weights(reward, "togo", 0.5).tolist() == [7, 6, 4]
    assert reinforce.weights(reward, "discounted", 0.5).tolist() == [3, 4, 4]


def test_reinforce_loss_is_a_sum_over_steps_and_a_mean_over_games():
    assert reinforce.policy_loss(row(-1, -2, -3), row(1, 2, 3), n_episodes=2).tolist() == [7]


def test_the_moving_average_takes_in_a_game_only_after_it_was_judged():
    """Means 10, 20, 0 with decay 0.9: judged against nothing, 10, and 0.9 * 10 + 0.1 * 20 = 11."""
    agent = build("reinforce-baseline", n_seeds=2)
    judged = [agent.constant(1, torch.full((1, 4), mean)) for mean in (10.0, 20.0, 0.0)]
    assert judged == pytest.approx([0, 10, 11])
    assert agent.average == [None, pytest.approx(9.9)]


def bandit_gradient(reward: float, action: int, baseline: float) -> float:
    """Of one game of one step on the logit of action 0; the policy is even."""
    logits = torch.zeros(1, 1, 2, requires_grad=True)
    log_prob = torch.log_softmax(logits, -1)[..., action]
    reinforce.policy_loss(log_prob, row(reward - baseline), 1).backward()
    return -logits.grad[0, 0, 0].item()


def test_a_baseline_leaves_the_gradient_unbiased_and_lowers_its_variance():
    """Rewards 11 and 10: gradients 11/2 and -10/2 average to 1/4; with baseline 10.5 both of them are 1/4."""
    for baseline in (0.0, 10.5, -3.0):
        both = [bandit_gradient(reward, action, baseline) for action, reward in enumerate((11.0, 10.0))]
        assert np.mean(both) == pytest.approx(0.25)
        assert np.var(both) == pytest.approx((10.5 - baseline) ** 2 / 4)


def one_step_games(offset: float) -> list[Trajectory]:
    """Two games in which action 0 paid 1."""
    reward = torch.tensor([1.0 + offset])
    return [Trajectory(torch.zeros(1, 2), torch.tensor([0]), reward)] * 2


@pytest.mark.parametrize("algorithm", ["reinforce", "reinforce-baseline"])
def test_a_constant_added_to_all_rewards_changes_only_an_update_without_baseline(algorithm: str):
    """Rewards 1, 11 or -9: the gradient on action 0's bias is that times 1/2 upwards; or 0 where the average
    of earlier games is subtracted, which has moved with them."""
    gradients = []
    for offset in (0.0, 10.0, -10.0):
        agent = build(algorithm)
        if algorithm == "reinforce-baseline":
            agent.constant(0, torch.tensor([[1.0 + offset]]))
        agent.update(0, one_step_games(offset))
        used = sum(w[0].numel() + b[0].numel() for w, b in agent.network.stacks["actor"])
        gradients.append(agent.network.grad[0, used - 2 : used].tolist())
    expected = {
        "reinforce": [[-0.5, 0.5], [-5.5, 5.5], [4.5, -4.5]],
        "reinforce-baseline": [[0, 0]] * 3,
    }
    assert gradients == [pytest.approx(pair) for pair in expected[algorithm]]


def test_reinforce_regresses_its_value_on_the_weights_and_not_the_policy_on_the_value():
    """V = 1; rewards (2, 4), gamma 1/2: w = (4, 4), advantages 3; value loss 9. d(0.5 * 9)/dV = -3."""
    agent = build("reinforce-value", gamma=0.5)
    set_output(agent.network, "critic", [1.0])
    game = Trajectory(torch.zeros(2, 2), torch.tensor([0, 1]), torch.tensor([2.0, 4.0]))
    agent.update(0, [game])
    policy, value, entropy = agent._metrics[:, 0].tolist()
    assert policy == pytest.approx(-3 * 2 * HALF)
    assert value == pytest.approx(9) and entropy == pytest.approx(math.log(2))
    used = sum(w[0].numel() + b[0].numel() for s in agent.network.stacks.values() for w, b in s)
    assert agent.network.grad[0, used - 1].item() == pytest.approx(-3)


def test_actor_critic_advantages():
    """To go with gamma 1/2: (3, 4, 4) and (8); minus V."""
    games = [
        Trajectory(torch.zeros(3, 2), torch.zeros(3).long(), torch.tensor([1.0, 2.0, 4.0])),
        Trajectory(torch.zeros(1, 2), torch.zeros(1).long(), torch.tensor([8.0])),
    ]
    assert actor_critic.advantages(games, row(1, 1, 2, 3), 0.5).tolist() == [[2, 3, 2, 5]]


def test_actor_critic_moves_actor_and_critic_each_by_its_own_loss():
    """As above, over two such games: d(9)/dV = -6."""
    agent = build("actor-critic", gamma=0.5)
    set_output(agent.critic, "critic", [1.0])
    game = Trajectory(torch.zeros(2, 2), torch.tensor([0, 1]), torch.tensor([2.0, 4.0]))
    agent.update(0, [game, game])
    policy, value, _ = agent._metrics[:, 0].tolist()
    assert policy == pytest.approx(-3 * 2 * HALF) and value == pytest.approx(9)
    used = sum(w[0].numel() + b[0].numel() for w, b in agent.critic.stacks["critic"])
    assert agent.critic.grad[0, used - 1].item() == pytest.approx(-6)


@pytest.mark.parametrize("algorithm", ["reinforce-value", "actor-critic"])
def test_a_seed_that_learns_leaves_the_others_where_their_own_games_led(algorithm: str):
    agent = build(algorithm, n_seeds=2)
    agent.update(0, one_step_games(0.0))
    led = {name: value[0].clone() for name, value in agents.state_dict(agent).items()}
    agent.update(1, one_step_games(1.0))
    for name, value in agents.state_dict(agent).items():
        assert torch.equal(value[0], led[name])


@pytest.mark.parametrize("algorithm", ["reinforce", "actor-critic"])
def test_each_seed_learns_once_it_has_m_games(algorithm: str):
    agent = build(algorithm, n_seeds=2, n_envs=2, n_episodes=3)
    learned: list[tuple[int, int]] = []
    agent.update = lambda s, games: learned.append((s, len(games)))
    last = [[[1, 0], [0, 0]], [[1, 1], [1, 0]], [[0, 0], [1, 1]]]
    for ends in map(torch.tensor, last):
        agent.observe(stream(2, 2, 1)[0]._replace(last=ends.float()))
    assert learned == [(0, 3), (1, 3)]


def test_a_random_agent_chooses_evenly_and_has_no_deterministic_policy():
    agent = build("random")
    explore = ((torch.arange(1000) + 0.5) / 1000).view(1, -1, 1)
    assert agent.act(torch.zeros(1, 1000, 2), explore).flatten().bincount().tolist() == [500, 500]
    with pytest.raises(AssertionError):
        agent.act(torch.zeros(1, 1, 2))
