"""Quantile regression by hand-worked numbers, and beside sb3-contrib's QRDQN."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import pytest
import sb3_contrib
import torch
from small import build, row, set_output, stream
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor

from rlparity.agents.value_based import qrdqn
from rlparity.nn import optimizers
from rlparity.validation.parity import cases
from rlparity.validation.parity import compare as parity

pytestmark = pytest.mark.paper


def test_the_loss_sums_over_quantiles_that_learn_and_averages_over_those_they_learn_from():
    """theta = (0, 1) at tau = (1/4, 3/4), y = (0.5, 3): u = (0.5, 3) and (-0.5, 2), L = (0.125, 2.5) and
    (0.125, 1.5), weights (1/4, 1/4) and (1/4, 3/4)."""
    theta, y = torch.tensor([[[0.0, 1.0]]]), torch.tensor([[[0.5, 3.0]]])
    first = (0.25 * 0.125 + 0.25 * 2.5) / 2
    second = (0.25 * 0.125 + 0.75 * 1.5) / 2
    assert qrdqn.quantile_huber_loss(theta, y).tolist() == [first + second]
    batch = qrdqn.quantile_huber_loss(theta.expand(1, 2, 2), torch.cat([y, theta], 1))
    equal = (0 + 0.25 * 0.5) / 2 + (0.25 * 0.5 + 0) / 2  # y = theta: u = (0, 1) and (-1, 0)
    assert batch.tolist() == [(first + second + equal) / 2]


def test_as_many_targets_as_one_likes_teach_a_single_quantile():
    """The median: weights of 1/2."""
    loss = qrdqn.quantile_huber_loss(torch.zeros(1, 1, 1), torch.tensor([[[0.5, 3.0, -2.0]]]))
    assert loss.tolist() == pytest.approx([0.5 * (0.125 + 2.5 + 1.5) / 3])


def test_the_loss_refuses_shapes_that_would_broadcast():
    with pytest.raises(AssertionError):
        qrdqn.quantile_huber_loss(torch.zeros(1, 4, 3), torch.zeros(1, 1, 3))
    with pytest.raises(AssertionError):
        qrdqn.target_quantiles(torch.zeros(1, 4), torch.zeros(1, 1), torch.zeros(1, 4, 3, 2), 0.9)


def test_quantiles_settle_where_the_pulls_of_all_outcomes_balance():
    """Of 0, 10, 20 and 30, equally likely: the first quantile, tau 1/8, is pulled down by 7/8 of its distance
    to 0 and up by 3/8; the second, 3/8, down by 5/8 and 5/8 of its distance to 10, and up by 6/8."""
    theta, y = torch.full((1, 1, 4), 15.0, requires_grad=True), torch.tensor([[[0.0, 10.0, 20.0, 30.0]]])
    for _ in range(400):
        (grad,) = torch.autograd.grad(qrdqn.quantile_huber_loss(theta, y).sum(), theta)
        theta.data -= 0.5 * grad
    assert theta.flatten().tolist() == pytest.approx([3 / 7, 10.2, 19.8, 30 - 3 / 7], abs=1e-3)


def test_targets_are_all_quantiles_of_the_action_with_the_best_mean():
    """Means 5 and 4; reward 1, discount 1/2; the second transition ended."""
    next_theta = torch.tensor([[[[0.0, 4.0], [10.0, 4.0]]] * 2])
    y = qrdqn.target_quantiles(row(1, 1), row(1, 0), next_theta, 0.5)
    assert y.tolist() == [[[1, 6], [1, 1]]]


def test_it_acts_on_the_mean_or_at_random():
    """Quantiles (0, 10) of action 0 and (4, 7) of action 1: one median is higher, the other mean."""
    agent = build("qrdqn", n_quantiles=2, learning_starts=0, exploration_fraction=0.5)
    set_output(agent.network, "quantiles", [0.0, 4.0, 10.0, 7.0])
    obs = torch.zeros(1, 4, 2)
    agent.env_steps = 750
    assert agent.epsilon == pytest.approx(0.01)
    explore = torch.tensor([[[0.009, 0.1], [0.009, 0.9], [0.02, 0.1], [0.9, 0.9]]])
    assert agent.act(obs, explore).tolist() == [[0, 1, 1, 1]]
    assert agent.act(obs).tolist() == [[1, 1, 1, 1]]


def mean_of_all(loss: Callable[..., Tensor], theta: Tensor, y: Tensor) -> Tensor:
    return loss(theta, y) / theta.shape[-1]


def mirrored(loss: Callable[..., Tensor], theta: Tensor, y: Tensor) -> Tensor:
    return loss(-theta, -y)


@pytest.mark.probes
@pytest.mark.parametrize("plant", [mean_of_all, mirrored])
def test_planted_bugs_of_the_loss_are_found(plant: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(qrdqn, "quantile_huber_loss", partial(plant, qrdqn.quantile_huber_loss))
    first = parity.compare_case(cases.of("qrdqn")[0], "float64", (1,)).first
    assert first is not None and (first.kind, first.name) == ("losses", "loss")


@pytest.mark.probes
def test_an_end_that_is_ignored_is_found(monkeypatch: pytest.MonkeyPatch):
    target = qrdqn.target_quantiles
    monkeypatch.setattr(qrdqn, "target_quantiles", lambda r, d, *rest: target(r, torch.ones_like(d), *rest))
    first = parity.compare_case(cases.of("qrdqn")[0], "float64", (1,)).first
    assert first is not None and (first.kind, first.name) == ("targets", "target_quantiles")


@pytest.mark.probes
def test_the_usual_epsilon_of_adam_is_found(monkeypatch: pytest.MonkeyPatch):
    adam = optimizers.Adam
    monkeypatch.setattr(optimizers, "Adam", lambda network, eps, alive: adam(network, 1e-8, alive))
    first = parity.compare_case(cases.of("qrdqn")[0], "float64", (1,)).first
    assert first is not None and first.kind == "parameters"


@pytest.mark.probes
@pytest.mark.parametrize(
    ("n_envs", "options"),
    [
        (1, {"learning_starts": 10, "train_freq": 4, "gradient_steps": 3}),
        (2, {"learning_starts": 12, "train_freq": 3, "gradient_steps": -1}),
        (2, {"learning_starts": 0, "train_freq": 1, "gradient_steps": 1, "target_update_interval": 6}),
    ],
)
def test_updates_and_exploration_come_at_the_same_moments(n_envs: int, options: dict[str, int]):
    """Environment steps of all updates, epsilon and copies to the target network, within 24 steps."""
    sub_envs = DummyVecEnv([lambda: gym.make("CartPole-v1")] * n_envs)
    shared = {"buffer_size": 50, "exploration_fraction": 0.5, **options}
    model: Any = sb3_contrib.QRDQN("MlpPolicy", sub_envs, policy_kwargs={"n_quantiles": 2}, **shared)
    theirs: list[tuple[str, float]] = []
    ours: list[tuple[str, float]] = []
    model.train = lambda gradient_steps, batch_size: theirs.extend(
        [("update", model.num_timesteps)] * gradient_steps
    )
    copied, on_step = watch(model.quantile_net_target), model._on_step

    def stepped() -> None:
        on_step()
        theirs.extend([("copy", model.num_timesteps)] * copied())
        shake(model.quantile_net)

    model._on_step = stepped
    model.learn(24)
    agent = build("qrdqn", n_envs=n_envs, budget=24, n_quantiles=2, **shared)
    agent.update = lambda batch: ours.append(("update", agent.env_steps)) or {}
    before = agent.target.theta.clone()
    for step in stream(1, n_envs, 24 // n_envs):
        agent.observe(step)
        if not torch.equal(agent.target.theta, before):
            ours.append(("copy", agent.env_steps))
            before = agent.target.theta.clone()
        agent.network.theta.detach().add_(1)
        progress = 1 - agent.env_steps / 24
        if agent.env_steps >= agent.config.learning_starts:
            assert agent.epsilon == pytest.approx(model.exploration_schedule(progress))
    assert sorted(ours) == sorted(theirs) and len(ours) > 2


def watch(network: torch.nn.Module) -> Callable[[], bool]:
    """Whether the network's parameters changed since the last call."""
    seen = [torch.cat([p.detach().flatten() for p in network.parameters()])]

    def changed() -> bool:
        now = torch.cat([p.detach().flatten() for p in network.parameters()])
        seen.append(now)
        return not torch.equal(now, seen[-2])

    return changed


@torch.no_grad()
def shake(network: torch.nn.Module) -> None:
    for parameter in network.parameters():
        parameter.add_(1)


@pytest.mark.parametrize("n_steps", [1, 3])
def test_nothing_is_learned_before_a_whole_window_is_there(n_steps: int):
    agent = build("qrdqn", n_envs=2, learning_starts=0, train_freq=1, n_steps=n_steps, n_quantiles=2)
    learned: list[Tensor] = []
    for step in stream(1, 2, 5):
        learned += agent.observe(step).get("loss", [])
    assert len(learned) == 5 - (n_steps - 1)
