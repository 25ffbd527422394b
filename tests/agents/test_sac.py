"""SAC by hand-worked numbers; actions of two components within +-2 in the task's units."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small import Protocol, build, cell, of_seed, row, set_output, stream
from torch import Tensor

from rlparity.agents.continuous_control import sac
from rlparity.nn.distributions import gaussian
from rlparity.training import run as train
from rlparity.transitions import Step

pytestmark = pytest.mark.paper


def set_critics(agent: Any, online: tuple[float, float], target: tuple[float, float]) -> None:
    for network, values in ((agent.critic, online), (agent.critic_target, target)):
        for name, value in zip(("q1", "q2"), values, strict=True):
            set_output(network, name, [value])


def density(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """p(a) of a = tanh(u) by u's density and the slope of atanh, measured; (..., A) -> (...)."""
    step = 1e-6
    slope = (torch.atanh(action + step) - torch.atanh(action - step)) / (2 * step)
    u = torch.atanh(action)
    normal = torch.distributions.Normal(mean, log_std.exp()).log_prob(u).exp()
    return (normal * slope).prod(-1)


@pytest.mark.parametrize("components", [1, 2, 6])
def test_log_prob_is_a_change_of_variables_in_every_component(components: int):
    rng = torch.Generator().manual_seed(components)
    mean, log_std, normal = torch.randn(3, 2, 7, components, generator=rng, dtype=torch.float64)
    u = mean + log_std.clamp(-1, 0.5).exp() * normal * 0.5
    action = torch.tanh(u)
    found = gaussian.squashed_log_prob(gaussian.log_prob(mean, log_std, u), action)
    assert found.shape == (2, 7)
    inside = action.abs().amax(-1) < 0.99  # where 1e-6 under the logarithm is nothing
    assert inside.sum() > 2
    expected = density(action, mean, log_std).log()
    assert (found - expected)[inside].abs().max() < 1e-3


def test_squashed_density_integrates_to_one():
    u = torch.linspace(-6, 6, 20_001, dtype=torch.float64)[:, None]
    mean, log_std = torch.tensor([0.4]), torch.tensor([-0.3])
    action = torch.tanh(u)
    p = gaussian.squashed_log_prob(gaussian.log_prob(mean, log_std, u), action).exp()
    assert torch.trapezoid(p, action[:, 0]).item() == pytest.approx(1, abs=1e-4)


def test_samples_are_squashed_gaussian():
    """Mean (0, 0.5), standard deviations e^-1 and e^2 (clamped from e^50), normal numbers 1 and -0.1."""
    agent = build("sac")
    set_output(agent.actor, "actor", [0.0, 0.5, -1.0, 50.0])
    action, log_prob = agent.sample(torch.zeros(1, 1, 2), torch.tensor([[[1.0, -0.1]]]))
    u = [math.exp(-1), 0.5 - 0.1 * math.exp(2)]
    assert action[0, 0].tolist() == pytest.approx([math.tanh(x) for x in u])
    normal = -0.5 * (1 + 0.01) - (-1 + 2) - math.log(2 * math.pi)
    squash = sum(math.log(1 - math.tanh(x) ** 2) for x in u)
    assert log_prob.tolist()[0] == pytest.approx([normal - squash], abs=1e-4)
    set_output(agent.actor, "actor", [0.0, 0.0, -50.0, 0.0])
    assert agent.policy(torch.zeros(1, 1, 2))[1][0, 0].tolist() == [-20, 0]


def test_temperature_loss():
    """log alpha = 2 and log pi = (1, 3), target entropy -1: -(2 * 0 + 2 * 2) / 2."""
    loss = sac.temperature_loss(torch.tensor([[2.0]]), row(1, 3), -1.0)
    assert loss.tolist() == [-2]
    with pytest.raises(AssertionError):
        sac.temperature_loss(torch.tensor([2.0]), row(1, 3), -1.0)


@pytest.mark.parametrize(("log_std", "change"), [(-3.0, 1.0), (-0.3, -1.0)])
def test_temperature_rises_where_entropy_is_below_its_target(log_std: float, change: float):
    """Adam's first step is one learning rate. With a deviation of e^-3 the entropy is about -3, below -2;
    at e^-0.3 it is above."""
    agent = build("sac", learning_rate=0.01)
    assert agent.target_entropy == -2
    set_output(agent.actor, "actor", [0.0, 0.0, log_std, log_std])
    zeros, normal = torch.zeros(1, 5, 2), torch.zeros(1, 2, 5, 2)
    normal[:, 0] = torch.tensor([-1.5, -0.7, 0.0, 0.7, 1.5])[:, None]
    step = Step(zeros, zeros, *torch.zeros(3, 1, 5), zeros)
    metrics = agent.update(step, normal)
    assert (metrics["entropy"] < -2).tolist() == [change > 0]
    assert agent.temperature.vectors["log_alpha"][0, 0].tolist() == pytest.approx([0.01 * change])
    assert metrics["ent_coef"].tolist() == [1]  # as it was before


def entropy_of_zero(log_std: float) -> float:
    """-log pi of the action 0 of two components, at its mean."""
    return math.log(2 * math.pi) + 2 * log_std


@pytest.mark.parametrize("opinions", [(20.0, 30.0), (30.0, 20.0)])
@pytest.mark.parametrize(("ent_coef", "alpha"), [("auto", 1.0), (0.5, 0.5), (0.0, 0.0)])
def test_target_is_the_lower_opinion_plus_entropy(opinions: tuple[float, float], ent_coef: Any, alpha: float):
    """y = 1 + (20 - alpha log pi) / 2; half the squared errors of Q = 4 and 5; the actor's loss is
    alpha log pi - 4, on critics that hardly moved."""
    agent = build("sac", gamma=0.5, ent_coef=ent_coef, learning_rate=1e-6)
    set_output(agent.actor, "actor", [0.0, 0.0, -1.0, -1.0])
    set_critics(agent, (4.0, 5.0), opinions)
    zeros = torch.zeros(1, 1, 2)
    step = Step(zeros, zeros, row(1), row(1), row(0), zeros)
    metrics = agent.update(step, torch.zeros(1, 2, 1, 2))
    entropy = entropy_of_zero(-1.0)
    y = 1 + 0.5 * (20 + alpha * entropy)
    assert metrics["critic_loss"].tolist() == pytest.approx([0.5 * ((y - 4) ** 2 + (y - 5) ** 2)], rel=1e-5)
    assert metrics["actor_loss"].tolist() == pytest.approx([-alpha * entropy - 4], rel=1e-4)
    assert metrics["ent_coef"].tolist() == [alpha]
    assert ("ent_coef_loss" in metrics) == (ent_coef == "auto")


def test_nothing_follows_an_end():
    """Discount 0: y = 3 whatever the target critics say."""
    agent = build("sac")
    set_critics(agent, (3.0, 3.0), (500.0, 500.0))
    zeros = torch.zeros(1, 1, 2)
    step = Step(zeros, zeros, row(3), row(0), row(1), zeros)
    assert agent.update(step, torch.zeros(1, 2, 1, 2))["critic_loss"].tolist() == [0]


def test_actor_sees_the_critics_after_their_step():
    """One large step towards y = 100 lifts Q from 0 before the actor asks."""
    agent = build("sac", ent_coef=0.0, learning_rate=0.1)
    set_critics(agent, (0.0, 0.0), (0.0, 0.0))
    zeros = torch.zeros(1, 1, 2)
    step = Step(zeros, zeros, row(100), row(0), row(1), zeros)
    assert agent.update(step, torch.zeros(1, 2, 1, 2))["actor_loss"].item() < -0.09


@pytest.mark.parametrize(("interval", "moves"), [(1, 3), (2, 2), (3, 1)])
def test_target_updates_are_counted_within_a_burst(interval: int, moves: int):
    """Bursts of three updates: 0, 1, 2; the targets follow where the number is a multiple of the interval."""
    agent = build(
        "sac",
        learning_starts=0,
        batch_size=4,
        buffer_size=20,
        train_freq=1,
        gradient_steps=3,
        target_update_interval=interval,
    )
    seen: list[bool] = []
    agent.update = lambda batch, normal, target_update: seen.append(target_update) or {}
    for step in stream(1, 1, 2, continuous=True):
        agent.observe(step)
    assert len(seen) == 6 and seen[0] and sum(seen) == 2 * moves


def test_targets_move_when_asked():
    agent = build("sac", tau=0.25)
    step = stream(1, 4, 1, continuous=True)[0]
    for asked in (False, True):
        before = agent.critic_target.theta.clone()
        agent.update(step, torch.zeros(1, 2, 4, 2), asked)
        assert torch.equal(agent.critic_target.theta, before) != asked
        expected = torch.lerp(before, agent.critic.theta.detach(), 0.25 * asked)
        assert torch.allclose(agent.critic_target.theta, expected)


def test_acts_at_random_then_by_its_policy():
    """Units: actions within +-2. The normal number of uniform 0.8413447 is 1."""
    agent = build("sac", learning_starts=10)
    set_output(agent.actor, "actor", [0.0, -9.0, -1.0, -1.0])
    obs, explore = torch.zeros(1, 1, 2), torch.tensor([[[0.8413447, 0.1]]])
    assert agent.uniforms == 2
    agent.env_steps = 9
    assert agent.act(obs, explore)[0, 0].tolist() == pytest.approx([1.3653788, -1.6])
    agent.env_steps = 10
    sampled = agent.act(obs, explore)[0, 0].tolist()
    assert sampled == pytest.approx([2 * math.tanh(math.exp(-1)), -2.0], abs=1e-5)
    assert agent.act(obs)[0, 0].tolist() == pytest.approx([0.0, -2.0], abs=1e-5)


@pytest.mark.parametrize("ent_coef", ["auto", 0.2])
def test_a_seed_whose_loss_is_not_finite_is_frozen(ent_coef: Any):
    """Nothing of it moves any more; the others do not notice."""
    found: dict[bool, list[Tensor]] = {}
    for spoilt in (False, True):
        agent = build("sac", n_seeds=3, batch_size=4, ent_coef=ent_coef)
        parts = (agent.actor, agent.critic, agent.critic_target, agent.temperature)
        held = [n.theta.detach().clone() for n in parts]
        for step in stream(3, 4, 4, continuous=True):
            obs = step.obs.clone()
            obs[1] = torch.nan if spoilt else 0.0
            agent.update(step._replace(obs=obs), torch.zeros(3, 2, 4, 2))
        found[spoilt] = [n.theta.detach() for n in parts]
        assert agent.alive.tolist() == [True, not spoilt, True]
    for before, whole, spoilt_rows in zip(held, *found.values(), strict=True):
        assert torch.equal(spoilt_rows[1], before[1])
        assert torch.equal(spoilt_rows[0], whole[0]) and torch.equal(spoilt_rows[2], whole[2])


WIDE: dict[str, Any] = {"net_arch": [256, 256], "batch_size": 64, "learning_starts": 40, "train_freq": 2}


@pytest.mark.probes
@pytest.mark.parametrize(
    "options",
    [WIDE, {**WIDE, "net_arch": [400, 300], "batch_size": 50, "ent_coef": 0.1}],
    ids=["256", "400"],
)
def test_a_wide_seed_alone_is_the_seed_in_a_block_of_ten(options: dict[str, Any]):
    short = Protocol(points=1, episodes=1, final_episodes=1)
    changes = {"budget": 80, "hyperparameters": options, "evaluation": short}
    block = train.run(cell("sac", tuple(range(10)), **changes))
    alone = train.run(cell("sac", (7,), **changes))
    assert of_seed(alone, 7) and of_seed(block, 7) == of_seed(alone, 7)
    assert torch.equal(block.state["theta"][7], alone.state["theta"][0])
