"""DDPG and TD3 by hand-worked numbers; actions of two components within +-2 in the task's units."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small import Protocol, build, cell, of_seed, row, set_output, stream

from rlparity.agents.continuous_control import td3
from rlparity.nn import networks, optimizers
from rlparity.training import run as train
from rlparity.transitions import Step

pytestmark = pytest.mark.paper


def transition(reward: float = 1.0, discount: float = 1.0) -> Step:
    """One transition of one seed, all observations and actions zero."""
    zeros = torch.zeros(1, 1, 2)
    return Step(zeros, zeros, row(reward), row(discount), row(0), zeros)


def set_critics(network: networks.Network, *values: float) -> None:
    for name, value in zip(network.stacks, values, strict=True):
        set_output(network, name, [value])


@pytest.mark.parametrize(("discount", "error"), [(1.0, 11 - 4), (0.0, 1 - 4)])
def test_ddpg_target_is_the_target_critics_opinion(discount: float, error: float):
    """Reward 1, half of Q' = 20, unless the task ended; Q = 4."""
    agent = build("ddpg", gamma=0.5)
    set_critics(agent.critic, 4.0)
    set_critics(agent.critic_target, 20.0)
    metrics = agent.update(transition(discount=discount))
    assert metrics["critic_loss"].tolist() == pytest.approx([error**2])
    assert metrics["q_mean"].tolist() == [4]


@pytest.mark.parametrize("opinions", [(20.0, 30.0), (30.0, 20.0)])
def test_td3_target_is_the_lower_opinion(opinions: tuple[float, float]):
    """y = 1 + 20 / 2 whichever critic says 20; squared errors of Q = 4 and 5 are added."""
    agent = build("td3", gamma=0.5)
    set_critics(agent.critic, 4.0, 5.0)
    set_critics(agent.critic_target, *opinions)
    metrics = agent.update(transition(), torch.zeros(1, 1, 2))
    assert metrics["critic_loss"].tolist() == pytest.approx([7**2 + 6**2])


def test_td3_noise_is_clipped_by_component_before_it_is_added():
    """Noise (0.7, -0.9) becomes (0.5, -0.5); 0.9 + 0.5 is cut at 1."""
    action, noise = torch.tensor([[[0.9, -0.2]]]), torch.tensor([[[0.7, -0.9]]])
    assert td3.smoothed(action, noise, 0.5)[0, 0].tolist() == pytest.approx([1.0, -0.7])
    with pytest.raises(AssertionError):
        td3.smoothed(action.expand(1, 4, 2), noise, 0.5)


def test_td3_every_component_of_every_sample_has_noise_of_its_own():
    """Critics that see a' only, as a1 + 10 a2; sigma 0.2, c = 0.3, the target actor gives (0, 0.5)."""
    agent = build("td3", gamma=1.0, net_arch=(), target_noise_clip=0.3)
    set_output(agent.actor_target, "actor", [0.0, 0.5493061])  # atanh 0.5
    set_critics(agent.critic_target, 0.0, 0.0)
    for name in ("q1", "q2"):
        agent.critic_target.stacks[name][0][0].detach()[0, 2:, 0] = torch.tensor([1.0, 10.0])
    zeros = torch.zeros(1, 3, 2)
    batch = Step(zeros, zeros, row(0, 0, 0), row(1, 1, 0), row(0, 0, 0), zeros)
    normal = torch.tensor([[[1.0, -1.0], [9.0, 0.5], [1.0, 1.0]]])
    expected = [0.2 + 10 * (0.5 - 0.2), 0.3 + 10 * (0.5 + 0.1), 0.0]
    assert agent.target(batch, normal)[0].tolist() == pytest.approx(expected, abs=1e-5)


def test_td3_actor_climbs_the_first_critic():
    """Q1 = a1, Q2 = -a1: the first component rises, the second stays."""
    agent = build("td3", net_arch=(), learning_rate=0.01, policy_delay=1, tau=0.0)
    set_critics(agent.critic, 0.0, 0.0)
    for name, slope in (("q1", 1.0), ("q2", -1.0)):
        agent.critic.stacks[name][0][0].detach()[0, 2, 0] = slope
    obs, before = torch.zeros(1, 1, 2), agent.actor.theta.detach().clone()
    action = agent.policy(agent.actor, obs)
    agent.update_actor(obs, 0.01)
    change = (agent.policy(agent.actor, obs) - action)[0, 0].tolist()
    assert change[0] > 0.001 and change[1] == 0
    assert agent.actor_loss.tolist() == pytest.approx([-action[0, 0, 0].item()])
    assert not torch.equal(agent.actor.theta, before)


@pytest.mark.parametrize(("delay", "moved"), [(1, [1, 2, 3, 4, 5, 6]), (2, [2, 4, 6]), (3, [3, 6])])
def test_td3_actor_and_targets_move_with_every_dth_update(delay: int, moved: list[int]):
    agent = build("td3", policy_delay=delay, batch_size=4)
    slow = [agent.actor, agent.actor_target, agent.critic_target]
    changed: list[list[int]] = [[], [], []]
    for update, step in enumerate(stream(1, 4, 6, continuous=True), 1):
        before = [network.theta.clone() for network in slow]
        critic = agent.critic.theta.clone()
        agent.update(step, torch.zeros(1, 4, 2))
        assert not torch.equal(agent.critic.theta, critic)
        for i, network in enumerate(slow):
            if not torch.equal(network.theta, before[i]):
                changed[i].append(update)
    assert changed == [moved] * 3


def test_polyak_moves_the_target_by_tau_for_the_seeds_that_are_due():
    """From 1 a quarter of the way to 5 is 2."""
    agent = build("ddpg", n_seeds=3)
    slow, fast = agent.critic_target, agent.critic
    slow.theta.detach().fill_(1.0)
    fast.theta.detach().fill_(5.0)
    optimizers.polyak(slow, fast, 0.25, torch.tensor([True, False, True]))
    assert slow.theta[:, 0].tolist() == [2, 1, 2]
    optimizers.polyak(slow, fast, 0.25)
    assert slow.theta[:, 7].tolist() == [2.75, 2, 2.75]
    assert (fast.theta == 5).all()


@pytest.mark.parametrize("algorithm", ["ddpg", "td3"])
def test_exploration_is_random_at_first_then_noisy(algorithm: str):
    """Units: actions within +-2. Normal numbers of uniform 0.5 and 0.8413447 are 0 and 1."""
    agent = build(algorithm, learning_starts=10, noise_std=0.1)
    set_output(agent.actor, "actor", [0.5493061, -9.0])  # tanh: 0.5 and -1
    obs = torch.zeros(1, 1, 2)
    assert agent.uniforms == 4
    explore = torch.tensor([[[0.75, 0.1, 0.5, 0.5]]])
    noisy = torch.tensor([[[0.75, 0.1, 0.8413447, 0.8413447]]])
    agent.env_steps = 9
    assert agent.act(obs, explore)[0, 0].tolist() == pytest.approx([1.0, -1.6], abs=1e-5)
    assert agent.act(obs, noisy)[0, 0].tolist() == pytest.approx([1.2, -1.4], abs=1e-5)
    agent.env_steps = 10
    assert agent.act(obs, explore)[0, 0].tolist() == pytest.approx([1.0, -2.0], abs=1e-5)
    assert agent.act(obs, noisy)[0, 0].tolist() == pytest.approx([1.2, -1.8], abs=1e-5)
    assert agent.act(obs, 1 - noisy)[0, 0].tolist() == pytest.approx([0.8, -2.0], abs=1e-5)
    assert agent.act(obs)[0, 0].tolist() == pytest.approx([1.0, -2.0], abs=1e-5)


def test_one_action_component_keeps_its_axis():
    block = train.run(cell("td3", (0, 1), budget=60))
    assert block.state["theta"].shape[0] == 2


@pytest.mark.parametrize("algorithm", ["ddpg", "td3"])
def test_a_seed_whose_loss_is_not_finite_is_frozen(algorithm: str):
    """Nothing of it moves any more; the others do not notice."""
    found: dict[bool, list[torch.Tensor]] = {}
    for spoilt in (False, True):
        agent = build(algorithm, n_seeds=3, batch_size=4)
        held = [n.theta.detach().clone() for n in (agent.actor, agent.critic, agent.critic_target)]
        draws = [torch.zeros(3, 4, 2)] if algorithm == "td3" else []
        for step in stream(3, 4, 4, continuous=True):
            reward = step.reward.clone()
            reward[1] = torch.nan if spoilt else 0.0
            agent.update(step._replace(reward=reward), *draws)
        found[spoilt] = [n.theta.detach() for n in (agent.actor, agent.critic, agent.critic_target)]
        assert agent.alive.tolist() == [True, not spoilt, True]
    for before, whole, spoilt_rows in zip(held, *found.values(), strict=True):
        assert torch.equal(spoilt_rows[1], before[1])
        assert torch.equal(spoilt_rows[0], whole[0]) and torch.equal(spoilt_rows[2], whole[2])


WIDE: dict[str, Any] = {"net_arch": [256, 256], "batch_size": 64, "learning_starts": 40, "train_freq": 2}


@pytest.mark.probes
@pytest.mark.parametrize("algorithm", ["ddpg", "td3"])
@pytest.mark.parametrize(
    "options", [WIDE, {**WIDE, "net_arch": [400, 300], "batch_size": 50}], ids=["256", "400"]
)
def test_a_wide_seed_alone_is_the_seed_in_a_block_of_ten(algorithm: str, options: dict[str, Any]):
    short = Protocol(points=1, episodes=1, final_episodes=1)
    changes = {"budget": 80, "hyperparameters": options, "evaluation": short}
    block = train.run(cell(algorithm, tuple(range(10)), **changes))
    alone = train.run(cell(algorithm, (7,), **changes))
    assert of_seed(alone, 7) and of_seed(block, 7) == of_seed(alone, 7)
    assert torch.equal(block.state["theta"][7], alone.state["theta"][0])
