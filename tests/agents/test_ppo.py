"""Proximal Policy Optimization by hand-worked numbers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from small import build, cell, row, stream
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.agents.policy_gradient import ppo
from rlparity.environments.base import EnvSpec
from rlparity.nn import policies
from rlparity.nn.networks import Network, mlp
from rlparity.seeding import Streams

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
    batch, half = ppo_batch(math.log(0.8), row(3, 1), 0.5, 2.0), row(0.5, 0.5)
    loss, metrics = agent.loss(batch, half.log(), math.log(2) * row(1, 1), row(1, 1), epsilon=0.2)
    assert metrics["policy_loss"].tolist() == pytest.approx([-1.25])
    assert metrics["value_loss"].tolist() == pytest.approx([value_loss])
    assert metrics["entropy"].tolist() == pytest.approx([math.log(2)])
    assert metrics["clip_fraction"].tolist() == [1.0]
    assert loss.tolist() == pytest.approx([-1.25 + 0.5 * value_loss - 0.1 * math.log(2)])


def test_the_clip_takes_the_gradient_where_it_binds():
    """As above: (ratio, A) -> A / 5 but where the clip binds. At its ends it does not, and A may be 0."""
    ratio = row(1.5, 0.5, 1.5, 0.5, 1.1)
    assert ppo.clipped_slope(ratio, row(1, 1, -1, -1, 1), 0.2).tolist()[0] == pytest.approx(
        [0, 0.2, -0.2, 0, 0.2]
    )
    ends = torch.tensor([[1.25, 0.75, 1.25, 0.75, 1.5]]).requires_grad_()
    advantage = row(1, -1, -1, 1, 0)
    ppo.clipped_objective(ends, advantage, 0.25).sum().backward()
    assert torch.equal(ppo.clipped_slope(ends.detach(), advantage, 0.25), ends.grad)


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers in float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("ent_coef", [0.0, 0.1])
@pytest.mark.parametrize("clip_range_vf", [None, 0.3])
def test_slopes_are_the_gradient_of_the_loss(ent_coef: float, clip_range_vf: float | None):
    """Of 200 outputs some are clipped and some are not."""
    agent = build("ppo", n_seeds=3, ent_coef=ent_coef, clip_range_vf=clip_range_vf, vf_coef=0.7)
    old, value, advantage, returns, change, new = draw(6, 3, 200)
    nothing = torch.zeros(3, 200, 1)
    batch = ppo.Batch(nothing, nothing, old, value, advantage, returns)
    outputs = [
        each.requires_grad_() for each in (old + 0.3 * change, draw(3, 200, seed=1), value + 0.4 * new)
    ]
    loss, metrics = agent.loss(batch, *outputs, 0.2)
    assert (metrics["clip_fraction"] > 0.1).all() and (metrics["clip_fraction"] < 0.9).all()
    true = torch.autograd.grad(loss.sum(), outputs, materialize_grads=True)
    log_prob, _, value = (each.detach() for each in outputs)
    found = agent.slopes(batch, log_prob, value, 0.2)
    assert (found[1] is None) == (ent_coef == 0)
    for ours, theirs in zip(found, true, strict=True):
        torch.testing.assert_close(
            torch.zeros_like(theirs) if ours is None else ours, theirs, rtol=1e-12, atol=0
        )
    if clip_range_vf is not None:
        assert 0 < true[2].count_nonzero() < true[2].numel()


TASKS = {
    "categorical": EnvSpec(3, 1, (4,), n_actions=5),
    "gaussian": EnvSpec(3, 1, (4,), None, (2,), (-1.0,) * 2, (1.0,) * 2),
    "one component": EnvSpec(3, 1, (4,), None, (1,), (-1.0,), (1.0,)),
}


def policy_and_network(task: str, activation: str) -> tuple[policies.Policy, Network]:
    """In float64, with log sigma different in every seed and component."""
    policy = policies.build(TASKS[task], -0.3)
    generators = [torch.Generator().manual_seed(k) for k in range(3)]
    stacks = {"critic": mlp([4, 16, 1]), "actor": mlp([4, 16, 8, policy.n_outputs], 1.0)}
    network = Network(stacks, generators, activation, policy.vectors)
    network = network._view(network.theta.double())
    for vector in network.vectors.values():
        vector.detach().add_(0.2 * draw(*vector.shape, seed=3))
    return policy, network


@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "operations"])
@pytest.mark.parametrize("entropy", [True, False], ids=["entropy", "no entropy"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("task", TASKS)
def test_a_policy_is_pulled_as_autograd_does(
    task: str, activation: str, entropy: bool, kernel: bool, monkeypatch: pytest.MonkeyPatch
):
    if not kernel:
        monkeypatch.setenv("RLPARITY_KERNEL", "off")
    policy, network = policy_and_network(task, activation)
    assert bool(network.kernel) == kernel
    obs, by_log_prob, by_entropy = draw(3, 30, 4), draw(3, 30, seed=1), draw(3, 30, seed=2)
    if task == "categorical":
        action = torch.arange(90).view(3, 30) % 5
    else:
        action = draw(3, 30, *TASKS[task].action_shape, seed=4)
    log_prob, found_entropy = policy.log_prob_and_entropy(network, obs, action)
    network.backward((log_prob * by_log_prob + entropy * found_entropy * by_entropy).sum(1))
    true = network.grad.clone()
    network.grad.fill_(torch.nan)
    with torch.no_grad():
        *outputs, tape = policy.run(network, obs, action)
        policy.pull(network, tape, by_log_prob, by_entropy if entropy else None)
    torch.testing.assert_close(outputs, [log_prob.detach(), found_entropy.detach()], rtol=1e-12, atol=1e-12)
    first = sum(leaf[0].numel() for layer in network.stacks["critic"] for leaf in layer)
    written = slice(first, network.n_parameters)
    torch.testing.assert_close(network.grad[:, written], true[:, written], rtol=1e-10, atol=1e-12)
    assert network.grad[:, :first].isnan().all()  # the critic's part is left alone
    assert network.grad[:, network.n_parameters :].isnan().all()


@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "operations"])
@pytest.mark.parametrize("continuous", [False, True], ids=["categorical", "gaussian"])
def test_an_update_follows_the_gradient_of_the_loss(
    continuous: bool, kernel: bool, monkeypatch: pytest.MonkeyPatch
):
    """All outputs together: what `differentiate` writes is the gradient of `loss` by the parameters."""
    if not kernel:
        monkeypatch.setenv("RLPARITY_KERNEL", "off")
    options = {"ent_coef": 0.1, "clip_range_vf": 0.3}
    spec = TASKS["gaussian" if continuous else "categorical"]
    agent = build_for(spec, **options)
    obs, m = draw(3, 50, 4).float(), 50
    action = draw(3, m, 2).float() if continuous else torch.arange(3 * m).view(3, m) % 5
    with torch.no_grad():
        log_prob, value = agent.policy.log_prob(agent.network, obs, action), agent.value(obs)
    noise = draw(4, 3, m, seed=5).float()
    batch = ppo.Batch(obs, action, log_prob + 0.3 * noise[0], value + 0.4 * noise[1], noise[2], noise[3])
    assert set(agent.differentiate(batch, 0.2, measured=False)) == set()
    metrics = agent.differentiate(batch, 0.2)
    found = agent.network.grad.clone()
    log_prob, entropy = agent.policy.log_prob_and_entropy(agent.network, obs, action)
    loss, true = agent.loss(batch, log_prob, entropy, agent.network("critic", obs), 0.2)
    agent.network.backward(loss)
    torch.testing.assert_close(found, agent.network.grad, rtol=1e-4, atol=1e-6)
    for name, value in true.items():
        torch.testing.assert_close(metrics[name], value.detach())


def build_for(spec: EnvSpec, **options: Any) -> ppo.PPO:
    streams = Streams(cell("ppo", tuple(range(spec.n_seeds))))
    return agents.build("ppo", spec, options, streams, 1000)


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
