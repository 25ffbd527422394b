"""Deep Q-learning by hand-worked numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small import build, row, set_output, stream
from torch import Tensor

from rlparity.agents.value_based import dqn
from rlparity.buffers.replay import Minibatch
from rlparity.nn import q_networks
from rlparity.transitions import Step

pytestmark = pytest.mark.paper


def test_dqn_loss_is_hubers_or_the_square_of_the_error():
    """Q(s, a) = (1, 5), y = (1.5, 2): errors 0.5 and 3; Huber 0.125 and 2.5."""
    q, action, y = torch.tensor([[[1.0, 9.0], [9.0, 5.0]]]), torch.tensor([[0, 1]]), row(1.5, 2)
    huber, taken = dqn.td_loss(q, action, y, "huber")
    assert taken.tolist() == [[1, 5]]
    assert huber.tolist() == [(0.125 + 2.5) / 2]
    assert dqn.td_loss(q, action, y, "mse")[0].tolist() == [(0.25 + 9) / 2]


@pytest.mark.parametrize("loss", ["huber", "mse"])
@pytest.mark.parametrize("weighted", [False, True], ids=["all alike", "weighted"])
def test_dqn_slope_is_the_gradient_of_its_loss(loss: str, weighted: bool):
    """In float64; errors below and above 1, one of exactly 1 and one of 0."""
    rng = torch.Generator().manual_seed(0)
    values = 2 * torch.randn(3, 40, 2, generator=rng, dtype=torch.float64)
    y = 2 * torch.randn(3, 40, generator=rng, dtype=torch.float64)
    action = torch.randint(2, (3, 40), generator=rng)
    values[0, :2], y[0, 0], y[0, 1] = 1.5, 0.5, 1.5
    weight = torch.rand(3, 40, generator=rng, dtype=torch.float64) if weighted else 1.0
    values.requires_grad_()
    found, q = dqn.td_loss(values, action, y, loss, weight)
    (true,) = torch.autograd.grad(found.sum(), values)
    ours = torch.zeros_like(true).scatter_(
        -1, action.unsqueeze(-1), dqn.td_slope(q.detach(), y, loss, weight).unsqueeze(-1)
    )
    torch.testing.assert_close(ours, true, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dueling", [False, True], ids=["plain", "dueling"])
@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "operations"])
def test_values_are_pulled_as_autograd_does(dueling: bool, kernel: bool, monkeypatch: pytest.MonkeyPatch):
    if not kernel:
        monkeypatch.setenv("RLPARITY_KERNEL", "off")
    network = build("dqn", n_seeds=3, dueling=dueling).q
    assert bool(network.kernel) == kernel
    network = network._view(network.theta.double())
    obs, by_values = torch.randn(2, 3, 40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = network.values(obs)
    network.backward((values * by_values).sum((1, 2)))
    true = network.grad.clone()
    network.grad.zero_()
    with torch.no_grad():
        found, tape = network.run_values(obs)
        network.pull_values(tape, by_values)
    torch.testing.assert_close(found, values.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(network.grad, true, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"n_steps": 3}, {"dueling": True}, {"loss": "mse"}], ids=str)
def test_dqn_learns_the_same_in_bursts_and_update_by_update(options: dict[str, Any]):
    """To the last bit, and so do agents whose updates change the targets: those have no bursts."""
    one, many = (build("dqn", n_seeds=2, n_envs=2, learning_starts=10**6, **options) for _ in range(2))
    assert one.burst == dqn.BURST
    for step in stream(2, 2, 40):
        one.observe(step)
        many.observe(step)
    metrics = many.learn(7)
    for _ in range(7):
        alone = one.learn(1)
    assert torch.equal(one.q.theta, many.q.theta)
    assert {name: value.tolist() for name, value in alone.items()} == {
        name: value.tolist() for name, value in metrics.items()
    }
    assert torch.equal(one.minibatches.next(), many.minibatches.next())


@pytest.mark.parametrize("options", [{"double_q": True}, {"prioritized": True}, {"target_network": False}])
def test_dqn_draws_one_minibatch_at_a_time_where_an_update_changes_the_next(options: dict[str, Any]):
    assert build("dqn", **options).burst == 1


def test_dqn_of_more_updates_than_a_burst_takes_several(monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    agent = build("dqn", n_envs=2, learning_starts=0, train_freq=4, gradient_steps=300)
    agent.learn = lambda size: sizes.append(size) or {}
    for step in stream(1, 2, 4):
        agent.observe(step)
    assert sizes == [128, 128, 44]


def test_dqn_refuses_shapes_that_would_broadcast():
    q, action = torch.zeros(1, 4, 2), torch.zeros(1, 4).long()
    with pytest.raises(AssertionError):
        dqn.td_loss(q, action, torch.zeros(1, 4, 1), "huber")


@pytest.mark.parametrize(
    ("algorithm", "target"),
    [("dqn", 1 + 0.5 * 30), ("dqn-double", 1 + 0.5 * 20), ("dqn-2013", 1 + 0.5 * 4)],
)
def test_dqn_variants_look_ahead_differently(algorithm: str, target: float):
    """Q = (4, 2), the target network has (20, 30), reward 1, discount 1/2: its own best, Q's best valued by
    it, or Q alone. The error is larger than 1, except that of 2013: 3 - 4."""
    agent = build(algorithm, gamma=0.5)
    set_output(agent.q, "q", [4.0, 2.0])
    if algorithm != "dqn-2013":
        set_output(agent.q_target, "q", [20.0, 30.0])
    zeros = torch.zeros(1, 1, 2)
    step = Step(zeros, torch.tensor([[0]]), row(1), row(1), row(0), zeros)
    error = target - 4
    loss = error**2 if algorithm == "dqn-2013" else error - 0.5
    y = agent.targets(step)
    assert y.tolist() == [[pytest.approx(target)]]
    assert agent.update(Minibatch(step), y)["loss"].tolist() == pytest.approx([loss])


def test_dueling_adds_the_value_and_centres_the_advantages():
    """V = 3, A = (1, 5): Q = 3 + (1 - 3, 5 - 3) = (1, 5). With A = (0, 4), the same."""
    value = torch.tensor([[3.0]])
    for advantage in ([1.0, 5.0], [0.0, 4.0]):
        assert q_networks.dueling(value, torch.tensor([[advantage]])).tolist() == [[[1, 5]]]
    agent = build("dqn", dueling=True)
    set_output(agent.q, "value", [3.0])
    set_output(agent.q, "advantage", [1.0, 5.0])
    assert agent.q.values(torch.zeros(1, 1, 2)).tolist() == [[[1, 5]]]


def test_dqn_of_n_steps_adds_up_their_rewards():
    """Rewards 1, 2, 4, gamma 1/2, then Q' = 8: y = 1 + 1 + 1 + 8/8 = 4, Q = 0, Huber 3.5."""
    agent = build("dqn", gamma=0.5, n_steps=3, learning_starts=0, batch_size=4)
    set_output(agent.q, "q", [0.0, 0.0])
    set_output(agent.q_target, "q", [8.0, 8.0])
    zeros = torch.zeros(1, 1, 2)
    for reward in (1.0, 2.0, 4.0):
        agent.replay.add(Step(zeros, torch.tensor([[0]]), row(reward), row(1), row(0), zeros))
    batch = agent.replay.draw(torch.zeros(1, 4), 0)
    assert agent.update(batch, agent.targets(batch.step))["loss"].tolist() == pytest.approx([3.5])


def test_prioritised_dqn_weighs_errors_and_remembers_them():
    """Errors 2 and 4, drawn as likely as p = 1 and 3 (alpha 1): with beta 1 the first counts three times."""
    agent = build(
        "dqn", gamma=0.0, prioritized=True, priority_exponent=1.0, priority_correction=1.0, batch_size=2
    )
    set_output(agent.q, "q", [0.0, 0.0])
    zeros = torch.zeros(1, 1, 2)
    for reward in (2.0, 4.0):
        agent.replay.add(Step(zeros, torch.tensor([[0]]), row(reward), row(1), row(0), zeros))
    agent.replay.priorities.cover(0, 2)
    agent.replay.priorities.update(torch.tensor([[0, 1]]), torch.tensor([[1.0, 3.0]]))
    batch = agent.replay.draw(torch.tensor([[0.0, 0.9]]), 0)  # the first quarter of the sum is transition 0
    loss = agent.update(batch, agent.targets(batch.step))["loss"]
    assert loss.tolist() == pytest.approx([(1 * 1.5 + 3.5 / 3) / 2], rel=1e-5)
    weights = agent.replay.priorities.weights(torch.tensor([[0, 1]]), 1.0)
    assert weights.tolist()[0] == pytest.approx([1, 0.5], rel=1e-5)  # the errors are 2 and 4 now


def frozen(algorithm: str, bad: float) -> tuple[list[bool], bool]:
    """Which of two seeds live on after an update with a reward of seed 1 that is not finite, and whether the
    update left its parameters alone."""
    agent = build(algorithm, n_seeds=2)
    zeros, ones = torch.zeros(2, 4, 2), torch.ones(2, 4)
    reward = ones.clone()
    reward[1, 0] = bad
    step = Step(zeros, torch.zeros(2, 4).long(), reward, ones, 0 * ones, zeros)
    before = agent.q.theta.detach().clone()
    agent.update(Minibatch(step), agent.targets(step))
    assert not torch.equal(agent.q.theta[0], before[0])
    return agent.alive.tolist(), torch.equal(agent.q.theta[1], before[1])


@pytest.mark.parametrize(
    ("algorithm", "bad"),
    [
        ("dqn", math.nan),
        ("dqn", math.inf),  # whose Huber loss has a finite slope
        ("dqn-2013", math.nan),
        ("dqn-2013", math.inf),
    ],
)
def test_dqn_freezes_a_seed_whose_loss_is_not_finite(algorithm: str, bad: float):
    assert frozen(algorithm, bad) == ([True, False], True)


def test_dqn_freezes_a_seed_without_the_kernel_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RLPARITY_KERNEL", "off")
    assert frozen("dqn", math.nan) == ([True, False], True)


def test_dqn_explores_less_and_less():
    """Random until step 50, then on a line from 1 at step 0 to 0.05 at a tenth of 1000 steps."""
    agent = build("dqn", learning_starts=50)
    found = []
    for agent.env_steps in (0, 49, 50, 75, 100, 999):
        found.append(agent.epsilon)
    assert found == pytest.approx([1, 1, 0.525, 0.2875, 0.05, 0.05])


def test_dqn_acts_greedily_or_at_random():
    agent = build("dqn")
    set_output(agent.q, "q", [0.0, 1.0])
    agent.env_steps = 500
    assert agent.epsilon == pytest.approx(0.05)
    obs = torch.zeros(1, 4, 2)
    explore = torch.tensor([[[0.04, 0.1], [0.04, 0.9], [0.06, 0.1], [0.9, 0.9]]])
    assert agent.act(obs, explore).tolist() == [[0, 1, 1, 1]]
    assert agent.act(obs).tolist() == [[1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("n_envs", "starts", "gradient_steps", "bursts"),
    [
        (1, 10, 3, {12: 3, 16: 3, 20: 3, 24: 3}),  # at every multiple of 4
        (1, 12, 3, {16: 3, 20: 3, 24: 3}),  # after the start, not at it
        (2, 10, 3, {16: 3, 24: 3}),  # four steps of two sub-environments
        (2, 10, -1, {16: 8, 24: 8}),  # as many updates as steps
        (1, 10, 0, {}),
    ],
)
def test_dqn_learns_in_bursts(n_envs: int, starts: int, gradient_steps: int, bursts: dict[int, int]):
    agent = build("dqn", n_envs=n_envs, learning_starts=starts, train_freq=4, gradient_steps=gradient_steps)
    counts: dict[int, int] = {}

    def count(batch: Minibatch, y: Tensor) -> dict[str, Tensor]:
        assert batch.step.reward.shape == y.shape == (1, 32)
        counts[agent.env_steps] = counts.get(agent.env_steps, 0) + 1
        return {}

    agent.update = count
    for step in stream(1, n_envs, 24 // n_envs):
        agent.observe(step)
    assert counts == bursts


def test_dqn_copies_its_parameters_to_the_target_network_at_intervals_of_environment_steps():
    """Every 6 steps, three steps of two sub-environments, and before the updates of that moment."""
    agent = build("dqn", n_envs=2, learning_starts=0, train_freq=1, target_update_interval=6)
    changes, before = [], agent.q_target.theta.clone()
    for step in stream(1, 2, 10):
        held = agent.q.theta.detach().clone()
        agent.observe(step)
        if not torch.equal(agent.q_target.theta, before):
            changes.append(agent.env_steps)
            assert torch.equal(agent.q_target.theta, held)
        before = agent.q_target.theta.clone()
    assert changes == [6, 12, 18]


def test_dqn_of_2013_has_no_target_network():
    agent = build("dqn-2013")
    assert agent.q_target is agent.q
    assert (agent.config.loss, agent.config.max_grad_norm) == ("mse", None)
