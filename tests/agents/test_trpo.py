"""Trust Region Policy Optimization by hand-worked numbers, and five classic bugs planted in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from small import build, cell, row, stream
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.agents.policy_gradient import trpo
from rlparity.environments.base import EnvSpec
from rlparity.nn import fisher, policies
from rlparity.nn.distributions import kl_divergence
from rlparity.nn.jacobian import Jacobian
from rlparity.nn.networks import Network, mlp
from rlparity.seeding import Streams
from rlparity.training import run as train

pytestmark = pytest.mark.paper

DISCRETE = EnvSpec(2, 1, (4,), n_actions=3)
CONTINUOUS = EnvSpec(2, 1, (4,), None, (2,), (-1.0,) * 2, (1.0,) * 2)
ONE = EnvSpec(2, 1, (4,), None, (1,), (-1.0,), (1.0,))
EVERY = torch.tensor([True])


# --- divergences


def test_categorical_divergence_and_its_curvature():
    """p = (1/2, 1/2), q = (3/4, 1/4): log(4/3) / 2. (diag p - p p^T) (1, 0) at p is (1/4, -1/4)."""
    p, q = row(1, 1), row(math.log(3), 0)
    assert kl_divergence.categorical(p, q).tolist() == pytest.approx([math.log(4 / 3) / 2])
    assert kl_divergence.categorical(q, q).tolist() == [0]
    assert kl_divergence.categorical_fisher(p, row(1, 0)).tolist() == [pytest.approx([0.25, -0.25])]


def test_gaussian_divergence_and_its_curvature():
    """Means 1 and 0, sigmas 1 and 2: log 2 + 2/8 - 1/2, twice for two components; 1 / 2^2 by the mean."""
    value = kl_divergence.gaussian(row(1, 1), row(0, 0), row(0, 0), row(math.log(2), math.log(2)))
    assert value.tolist() == pytest.approx([2 * (math.log(2) - 0.25)])
    assert kl_divergence.gaussian(row(1, 3), row(2, -1), row(1, 3), row(2, -1)).tolist() == [0]
    assert kl_divergence.gaussian_fisher(row(math.log(2)), row(1)).tolist() == [pytest.approx([0.25])]


def double(policy: policies.Policy, inputs: int, activation: str, hidden: tuple[int, ...]) -> Network:
    generators = [torch.Generator().manual_seed(k) for k in range(2)]
    stack = {"actor": mlp([inputs, *hidden, policy.n_outputs], 1.0)}
    network = Network(stack, generators, activation, policy.vectors)
    return network._view(network.theta.double())


def hessian_product(policy: policies.Policy, network: Network, obs: Tensor, v: Tensor) -> Tensor:
    """The mean divergence from the policy itself, differentiated twice."""
    leaves, old, n = network._leaves(), network.copy(), network.n_parameters
    kl = fisher.divergence(policy, network, old, obs).mean(1).sum()
    gradients = torch.autograd.grad(kl, leaves, create_graph=True)
    slope = sum((g.flatten(1) * part).sum() for g, part in zip(gradients, split(network, v), strict=True))
    second = torch.autograd.grad(slope, leaves)
    rows = torch.zeros_like(v)
    rows[:, :n] = torch.cat([g.flatten(1) for g in second], 1)
    return rows


def split(network: Network, v: Tensor) -> list[Tensor]:
    sizes = [leaf[0].numel() for leaf in network._leaves()]
    return list(v[:, : sum(sizes)].split(sizes, 1))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("task", [DISCRETE, CONTINUOUS, ONE])
@pytest.mark.parametrize("hidden", [(16, 8), (5,), ()], ids=str)
def test_fisher_products_are_hessian_products(
    task: EnvSpec, activation: str, hidden: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
):
    """In float64 to 1e-10, one after the other from the same pass (T5: a second product is as good).

    The kernel has no second derivatives.
    """
    monkeypatch.setenv("RLPARITY_KERNEL", "off")
    policy = policies.build(task, log_std_init=-0.3)
    network = double(policy, 4, activation, hidden)
    rng = torch.Generator().manual_seed(0)
    obs = torch.randn(2, 40, 4, generator=rng, dtype=torch.float64)
    product = fisher.fisher(policy, network, obs)
    for _ in range(4):
        v = torch.randn(network.theta.shape, generator=rng, dtype=torch.float64)
        v[:, network.n_parameters :] = 0
        true = hessian_product(policy, network, obs, v)
        assert (product(v) - true).abs().max() < 1e-10 * true.abs().max()


def test_jacobians_by_hand():
    """y = w2 tanh(w1 x + b1) + b2 at w1 = 0, b1 = 0, w2 = 3: dy = 3 (x dw1 + db1) + db2."""
    network = Network({"y": mlp([1, 1, 1])}, [torch.Generator().manual_seed(0)])
    for leaf, value in zip(network._leaves(), (0, 0, 3, 1), strict=True):
        leaf.detach().fill_(value)
    jacobian = Jacobian(network, "y", torch.tensor([[[2.0], [5.0]]]))
    v = torch.zeros_like(network.theta)
    v[0, :4] = torch.tensor([1.0, 10.0, 7.0, 100.0])  # w1, b1, w2, b2; tanh(0) = 0 leaves w2 without effect
    assert jacobian.y.flatten().tolist() == [1, 1]
    assert jacobian.push(v).flatten().tolist() == [3 * (2 + 10) + 100, 3 * (5 + 10) + 100]
    assert jacobian.pull(torch.tensor([[[1.0], [2.0]]]))[0, :4].tolist() == [3 * (2 + 10), 9, 0, 3]


# --- conjugate gradient


def times(*matrix: list[float]) -> Callable[[Tensor], Tensor]:
    return lambda v: v @ torch.tensor(matrix)


TWO = times([4.0, 1.0], [1.0, 3.0])


def test_conjugate_gradient_by_hand():
    """A = (4 1; 1 3), b = (1, 2): A b = (6, 7), alpha = 5/20, x = (1/4, 1/2), residual (-1/2, 1/4), whose
    square is 5/16; the second step ends at (1, 7) / 11."""
    b = row(1, 2)
    assert trpo.conjugate_gradient(TWO, b, 0, EVERY).tolist() == [[0, 0]]
    assert trpo.conjugate_gradient(TWO, b, 1, EVERY).tolist() == [[0.25, 0.5]]
    assert trpo.conjugate_gradient(TWO, b, 2, EVERY).tolist() == [pytest.approx([1 / 11, 7 / 11])]
    assert trpo.conjugate_gradient(TWO, b, 50, EVERY).tolist() == [pytest.approx([1 / 11, 7 / 11])]
    assert trpo.conjugate_gradient(TWO, b, 2, EVERY, tolerance=0.4).tolist() == [[0.25, 0.5]]
    assert trpo.conjugate_gradient(TWO, b, 2, EVERY, tolerance=6.0).tolist() == [[0, 0]]  # b b = 5


def test_conjugate_gradient_ends_for_each_seed_by_itself():
    """Seed 0 is not due, seed 1 done after one step (b is an eigenvector), seed 2 at once, seed 3 never."""
    scale = torch.tensor([[1.0, 1, 1], [2, 2, 2], [1, 1, 1], [1, 2, 4]])
    b = torch.tensor([[1.0, 1, 1], [1, 2, 3], [0, 0, 0], [1, 2, 4]])
    calls: list[Tensor] = []

    def product(v: Tensor) -> Tensor:
        calls.append(v)
        return v * scale

    x = trpo.conjugate_gradient(product, b, 9, torch.tensor([False, True, True, True]))
    assert x[:3].tolist() == [[0, 0, 0], [0.5, 1, 1.5], [0, 0, 0]]
    assert x[3].tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    assert len(calls) == 3


def assert_solves(product: Callable[[Tensor], Tensor], v: Tensor) -> None:
    """Conjugate gradient on `product` finds what A's inverse gives, A being what `product` is at first."""
    unit = torch.eye(v.shape[1], dtype=v.dtype)
    matrix = torch.stack([product(e.expand_as(v).contiguous()) for e in unit], -1)
    b = (matrix @ v[..., None])[..., 0]
    due = torch.ones(len(v), dtype=torch.bool)
    x = trpo.conjugate_gradient(product, b, 60, due, tolerance=1e-20)
    assert torch.allclose(x, v, atol=1e-6)


def test_planted_bug_products_that_are_good_only_twice():
    """T5: the system of a small network takes more than two steps, with every one of them right."""
    policy = policies.build(CONTINUOUS, 0.0)
    network = double(policy, 4, "tanh", (3,))
    obs = torch.randn(2, 50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    product, width, calls = fisher.fisher(policy, network, obs), network.theta.shape[1], 0
    v = torch.ones_like(network.theta)
    assert_solves(lambda v: product(v) + 0.1 * v, v)

    def tired(v: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return product(v) * (calls <= width + 2) + 0.1 * v

    with pytest.raises(AssertionError):
        assert_solves(tired, v)


# --- the step. Observations of nothing but zeros: the last biases alone count, and start at zero


def linear(n_seeds: int = 1, kind: type[trpo.TRPO] = trpo.TRPO, **options: Any) -> Any:
    """An agent for two actions without hidden layers."""
    spec, streams = EnvSpec(n_seeds, 1, (2,), 2), Streams(cell("trpo", tuple(range(n_seeds))))
    options = {"net_arch": (), "normalize_advantage": False, "cg_damping": 0.0, **options}
    return kind(spec, trpo.TRPOConfig(**options), streams, budget=1000)


def zeros(advantage: Tensor) -> trpo.Batch:
    """Action 0 in every row, with a probability of one half."""
    n, m = advantage.shape
    nothing = torch.zeros(n, m)
    action, log_prob = nothing.long(), nothing + math.log(0.5)
    return trpo.Batch(torch.zeros(n, m, 2), action, log_prob, nothing, advantage, nothing + 1)


def bias(agent: Any) -> Tensor:
    return agent.actor.stacks["actor"][-1][1].detach()[:, 0]


def along(agent: Any, *x: float) -> Tensor:
    """A step of the biases by (x, -x), x for each seed."""
    step = torch.zeros_like(agent.actor.theta)
    agent.actor.lay(step)[0]["actor"][-1][1].copy_(torch.tensor([[[v, -v]] for v in x]))
    return step


def assert_step(agent: Any, damping: float) -> None:
    """Gradient A (1/2, -1/2), an eigenvector of F to 1/2: the step is sqrt(delta / (1/2 + damping)) (1, -1),
    whatever A is."""
    agent.improve(zeros(row(3, 3, 3)))
    x = math.sqrt(0.01 / (0.5 + damping))
    assert bias(agent)[0].tolist() == pytest.approx([x, -x], rel=1e-4)


@pytest.mark.parametrize("damping", [0.0, 0.1, 1.5])
def test_the_natural_gradient_step_by_hand(damping: float):
    for line_search in (True, False):
        assert_step(linear(cg_damping=damping, line_search=line_search), damping)


def test_planted_bug_no_damping():
    """T3."""
    with pytest.raises(AssertionError):
        assert_step(linear(cg_damping=0.0), 0.1)


def assert_backtracks(agent: Any) -> None:
    """p = sigmoid(2 x), KL = log 2 - H(p): 0.0741 at x = 0.4, 0.0196 at 0.2, 0.0050 at 0.1; delta = 0.01."""
    metrics = agent.search(zeros(row(1, 1)), along(agent, 0.4), torch.ones(1))
    assert metrics["step_fraction"].tolist() == [0.25]
    assert metrics["kl_divergence"].tolist() == pytest.approx([0.00498], rel=1e-2)
    p = 1 / (1 + math.exp(-0.2))
    assert metrics["policy_objective"].tolist() == pytest.approx([2 * p])  # pi / (1/2) times A = 1
    assert metrics["line_search_success"].tolist() == [1]
    assert bias(agent)[0].tolist() == pytest.approx([0.1, -0.1])


def test_the_line_search_backtracks_into_the_trust_region():
    assert_backtracks(linear(line_search_shrinking_factor=0.5))


def test_planted_bug_no_backtracking():
    """T4: what `npg` does on purpose."""
    agent = linear(line_search_shrinking_factor=0.5, line_search=False)
    with pytest.raises(AssertionError):
        assert_backtracks(agent)
    assert bias(agent)[0].tolist() == pytest.approx([0.4, -0.4])


def assert_keeps(agent: Any) -> None:
    """Seed 0 would get worse, 1 would leave the region, 2 has no finite step, and seed 3 finds a place."""
    rng = torch.Generator().manual_seed(0)
    agent.actor.theta.detach().add_(0.1 * torch.randn(agent.actor.theta.shape, generator=rng))
    before = agent.actor.theta.detach().clone()
    step = along(agent, -0.05, 9, math.nan, 0.05)
    metrics = agent.search(zeros(row(1, 1).expand(4, 2)), step, agent_objective(agent))
    assert metrics["line_search_success"].tolist() == [0, 0, 0, 1]
    assert metrics["step_fraction"].tolist() == metrics["line_search_success"].tolist()
    assert metrics["kl_divergence"][:3].tolist() == [0, 0, 0]
    assert torch.equal(agent.actor.theta[:3], before[:3])
    assert not torch.equal(agent.actor.theta[3], before[3])


def agent_objective(agent: Any) -> Tensor:
    batch = zeros(row(1, 1).expand(4, 2))
    log_prob = agent.policy.log_prob(agent.actor, batch.obs, batch.action)
    return trpo.surrogate(log_prob, batch.log_prob, batch.advantage).detach()


class Forgetful(trpo.TRPO):
    """T1: a failed line search leaves its last trial behind."""

    def search(self, batch: trpo.Batch, step: Tensor, objective: Tensor) -> dict[str, Tensor]:
        theta = self.actor.theta.detach()
        trial = theta + self.config.line_search_shrinking_factor**2 * step
        metrics = super().search(batch, step, objective)
        failed = (metrics["line_search_success"] == 0) & step.isfinite().all(1)
        theta.copy_(torch.where(failed[:, None], trial, theta))
        return metrics


def test_a_seed_whose_line_search_fails_keeps_its_parameters():
    assert_keeps(linear(4, line_search_max_iter=3))


def test_planted_bug_parameters_that_are_not_restored():
    with pytest.raises(AssertionError):
        assert_keeps(linear(4, Forgetful, line_search_max_iter=3))


@pytest.mark.parametrize("line_search", [True, False])
def test_no_gradient_no_step(line_search: bool):
    """Seed 0's advantages are all zero: s F s is zero, too. It stays, alive; seed 1 goes."""
    agent = linear(2, line_search=line_search)
    before = agent.actor.theta.detach().clone()
    metrics = agent.improve(zeros(torch.tensor([[0.0, 0.0], [1.0, 1.0]])))
    assert torch.equal(agent.actor.theta[0], before[0]) and not torch.equal(agent.actor.theta[1], before[1])
    assert agent.alive.all() and metrics["step_fraction"].tolist() == [0, 1]


def test_a_seed_whose_objective_is_not_finite_is_frozen():
    """Seed 0's advantages are NaN; what its critic would learn is not."""
    agent = linear(2)
    before = {name: value.clone() for name, value in agents.state_dict(agent).items()}
    metrics = agent.update(
        zeros(torch.tensor([[math.nan, 1.0], [1.0, 1.0]])), torch.arange(2).expand(3, 2, 2)
    )
    assert agent.alive.tolist() == [False, True] and metrics["step_fraction"].tolist() == [0, 1]
    for name, value in agents.state_dict(agent).items():
        assert torch.equal(value[0], before[name][0]) and not torch.equal(value[1], before[name][1])


def test_advantages_are_normalised_over_the_rollout():
    """(1, 2, 6) becomes (-2, -1, 3) / sqrt 7; every ratio is 1 at first, so the objective is its mean."""
    agent, seen = linear(normalize_advantage=True), []
    agent.search = lambda batch, step, objective: seen.append((batch.advantage, objective)) or {}
    agent.improve(zeros(row(1, 2, 6)))
    ((advantage, objective),) = seen
    assert advantage.tolist() == [pytest.approx([-2 / math.sqrt(7), -1 / math.sqrt(7), 3 / math.sqrt(7)])]
    assert objective.tolist() == pytest.approx([0], abs=1e-6)


# --- the critic


def assert_apart(agent: Any) -> None:
    """The policy's step leaves the critic alone, the critic's steps the policy."""
    batch = zeros(row(1, 1, 1, 1))
    critic = agent.critic.theta.detach().clone()
    agent.improve(batch)
    assert torch.equal(agent.critic.theta, critic)
    actor = agent.actor.theta.detach().clone()
    agent.fit(batch, torch.arange(4).expand(3, 1, 4))
    assert torch.equal(agent.actor.theta, actor)
    assert not torch.equal(agent.critic.theta, critic)


def test_policy_and_critic_learn_apart():
    assert_apart(linear())


def test_planted_bug_the_policy_in_the_critics_optimiser():
    """T6: the policy's gradient is still there when the critic's optimiser steps."""
    agent = linear()
    own, other = agent.optimizer, type(agent.optimizer)(agent.actor)

    class Both:
        backward = own.backward

        def step(self, rate: float, due: Tensor | None = None) -> None:
            own.step(rate, due)
            other.step(rate, due)

    agent.optimizer = Both()
    with pytest.raises(AssertionError):
        assert_apart(agent)


def test_the_critic_takes_every_minibatch_of_every_epoch():
    """Adam's first steps are of length 0.01, towards V = 1: two epochs of minibatches of 2, 2 and 1."""
    agent = linear(learning_rate=0.01, batch_size=2)
    loss = agent.fit(zeros(row(1, 1, 1, 1, 1)), torch.arange(5).expand(2, 1, 5))
    value = agent.critic("critic", torch.zeros(1, 1, 2)).item()
    assert value == pytest.approx(0.06, rel=1e-2)
    assert loss.tolist() == pytest.approx([sum((1 - k / 100) ** 2 for k in range(6)) / 6], rel=1e-3)


def test_orders_for_the_policy_and_each_of_the_critics_epochs():
    agent = build("trpo", n_envs=2, n_steps=5, batch_size=4, n_critic_updates=3)
    seen: list[Tensor] = []
    agent.update = lambda batch, shuffles: seen.append(shuffles) or {}
    for step in stream(1, 2, 5):
        agent.observe(step)
    (shuffles,) = seen
    assert shuffles.shape == (4, 1, 10)
    assert all(sorted(order[0].tolist()) == list(range(10)) for order in shuffles)
    assert len({tuple(order[0].tolist()) for order in shuffles}) == 4


# --- the seed axis

SEEDS = 10


def trained(seeds: range, task: EnvSpec, **options: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Three updates on random batches; parameters and metrics."""
    spec, streams = task._replace(n_seeds=len(seeds)), Streams(cell("trpo", tuple(seeds)))
    agent: Any = agents.build("trpo", spec, options, streams, budget=1000)
    rng, history = torch.Generator().manual_seed(0), []
    for _ in range(3):
        obs = torch.randn(SEEDS, 256, 4, generator=rng)
        value, advantage, returns, old = torch.randn(4, SEEDS, 256, generator=rng)
        action = torch.randn(SEEDS, 256, *task.action_shape, generator=rng)
        if task.n_actions:
            action = (action.abs() * 5).long() % task.n_actions
        scale = torch.logspace(-9, 1, SEEDS)[:, None]  # conjugate gradient ends early for some, and fails
        batch = trpo.Batch(obs, action, 0.1 * old - 1, value, scale * advantage, returns)
        shuffles = torch.stack([torch.randperm(256, generator=rng) for _ in range(3 * SEEDS)])
        rows = slice(seeds.start, seeds.stop)
        own = trpo.Batch(*(field[rows] for field in batch))
        metrics = agent.update(own, shuffles.view(3, SEEDS, 256)[:, rows])
        history += list(metrics.values())
    return [agent.actor.theta.detach(), agent.critic.theta.detach()], history


SWEPT: list[dict[str, Any]] = [
    {"normalize_advantage": False, "cg_max_steps": 12, "line_search_max_iter": 2},
    {"net_arch": (128, 128), "activation": "relu", "batch_size": 100},
    {"net_arch": (30,), "sub_sampling_factor": 3, "line_search": False},
]


@pytest.mark.probes
@pytest.mark.parametrize("options", SWEPT, ids=str)
@pytest.mark.parametrize("task", [DISCRETE, CONTINUOUS, ONE])
def test_a_seed_alone_is_the_seed_in_a_block_of_ten(task: EnvSpec, options: dict[str, Any]):
    state, history = trained(range(SEEDS), task, **options)
    for seeds in (range(3, 4), range(9, 10), range(4, 7)):
        own_state, own_history = trained(seeds, task, **options)
        for whole, part in zip(state + history, own_state + own_history, strict=True):
            assert torch.equal(whole[seeds.start : seeds.stop], part)


@pytest.mark.probes
@pytest.mark.parametrize(("algorithm", "environment"), [("trpo", "Pendulum-v1"), ("npg", "CartPole-v1")])
def test_so_it_is_in_real_worlds(algorithm: str, environment: str):
    changes = {"environment": environment, "budget": 520, "n_envs": 2}
    block, alone = (
        train.run(cell(algorithm, seeds, **changes), evaluate=False) for seeds in (tuple(range(SEEDS)), (6,))
    )
    for name in ("actor", "critic"):
        assert torch.equal(block.state[name][6], alone.state[name][0])
        assert not torch.equal(block.state[name][6], block.state[name][5])
