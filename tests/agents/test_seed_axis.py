"""Seed k is the same to the last bit alone, in a block of three and in a block of ten (CPU, one thread).

First every operation, layer shape, activation, loss and optimiser in use, forwards and backwards; then every
agent and named configuration as a whole. `==` and `torch.equal` throughout: nothing is approximate here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small import CONFIGURATIONS, Protocol, cell, of_seed
from torch import Tensor
from torch.nn import functional as F

from rlparity import registry
from rlparity.agents.policy_gradient import a2c, ppo
from rlparity.agents.value_based import dqn, qrdqn
from rlparity.nn import networks
from rlparity.nn.distributions import categorical, gaussian
from rlparity.nn.networks import Network, mlp
from rlparity.nn.optimizers import Adam, RMSprop
from rlparity.objectives import targets
from rlparity.suites import hyperparameters
from rlparity.training import run as train

pytestmark = pytest.mark.probes

SEEDS = 10
BLOCKS = (1, 3)  # compared with SEEDS
BATCHES = (1, 5, 8, 20, 64, 100, 256)  # rows per seed: sub-environments, evaluation episodes, minibatches
WIDTHS = ([64, 64], [256, 256], [30], [16], [48], [1], [])
HEADS = (1, 2, 3, 4)


def draw(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(SEEDS, *shape, generator=torch.Generator().manual_seed(sum(shape)))


def assert_alike(function: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Values and gradients of each seed do not depend on how many others there are."""
    whole = _both_ways(function, inputs, range(SEEDS))
    for size in BLOCKS:
        for first in range(0, SEEDS - size + 1, 4):
            part = _both_ways(function, inputs, range(first, first + size))
            for a, b in zip(whole, part, strict=True):
                assert torch.equal(a[first : first + size], b)


def _both_ways(function: Callable[..., Tensor], inputs: tuple[Tensor, ...], seeds: range) -> list[Tensor]:
    rows = [x[seeds.start : seeds.stop].clone() for x in inputs]
    leaves = [x.requires_grad_() for x in rows if x.is_floating_point()]
    value = function(*rows)
    if not value.requires_grad:
        return [value]
    gradients = torch.autograd.grad(value.sum(), leaves, materialize_grads=True)
    return [value.detach(), *gradients]


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "exp": torch.exp,
    "relu": torch.relu,
    "square": torch.square,
    "mean": lambda x: x.mean(1),
    "sum": lambda x: x.sum(1),
    "std": lambda x: x.std(1),
    "variance": lambda x: x.var(1),
    "norm": lambda x: torch.linalg.vector_norm(x, dim=1),
    "clamp": lambda x: x.clamp(-0.8, 1.2),
    "normalised advantage": ppo.normalised,
    "approximate KL": lambda x: ppo.approximate_kl(x / 10),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name: str):
    for batch in BATCHES:
        if batch == 1 and name in ("std", "variance"):
            continue
        assert_alike(OPERATIONS[name], draw(batch))


@pytest.mark.parametrize("width", [16, 30, 48, 64, 256])
def test_activations(width: int):
    for activation in networks.ACTIVATIONS.values():
        for batch in BATCHES:
            assert_alike(activation, draw(batch, width))


@pytest.mark.parametrize("n_actions", HEADS[1:])
def test_policies(n_actions: int):
    for batch in BATCHES:
        logits, action = draw(batch, n_actions), draw(batch).abs().long() % n_actions
        uniform = torch.rand(SEEDS, batch, generator=torch.Generator().manual_seed(1))
        assert_alike(lambda z, a: torch.stack(categorical.log_prob_and_entropy(z, a)).sum(0), logits, action)
        assert_alike(lambda z, u: categorical.sample(z, u).float(), logits, uniform)
        assert_alike(lambda z: torch.softmax(z, -1), logits)


@pytest.mark.parametrize("components", [1, 2, 3, 6, 17])
def test_gaussian_policies(components: int):
    """Any number of action components: HalfCheetah has 6, Humanoid 17."""
    for batch in BATCHES:
        mean, action = draw(batch, components), draw(batch, components, scale=3)
        log_std = draw(1, components, scale=0.5)
        uniform = torch.rand(SEEDS, batch, components, generator=torch.Generator().manual_seed(1))
        assert_alike(gaussian.log_prob, mean, log_std, action)
        assert_alike(gaussian.entropy, log_std)
        assert_alike(gaussian.sample, mean, log_std, uniform)
        assert_alike(
            lambda m, s, u: gaussian.squashed_log_prob(gaussian.log_prob(m, s, u), networks.tanh(u)),
            mean,
            log_std.expand(SEEDS, batch, components),
            action,
        )


@pytest.mark.parametrize("batch", BATCHES)
def test_targets(batch: int):
    values = [draw(2, batch, scale=k + 1) for k in range(3)]
    last = (draw(2, batch, scale=2) > 0.5).float()
    assert_alike(lambda r, v, n, d: targets.gae(r, v, n, 1 - d, d, 0.99, 0.95), *values, last)
    reward, discount, q, chooser = draw(batch), last[:, 0], draw(batch, 3), draw(batch, 3, scale=2)
    assert_alike(lambda *x: targets.td_target(*x, 0.99), reward, discount, q, chooser)
    assert_alike(lambda r, d, q: targets.td_target(r, d, q, q, 0.99), reward, discount, q)
    if batch > 1:
        assert_alike(targets.explained_variance, reward, draw(batch, scale=3))


@pytest.mark.parametrize("batch", BATCHES)
def test_losses(batch: int):
    ratio, advantage = draw(batch).exp(), draw(batch, scale=2)
    action = (draw(batch) > 0).long()
    assert_alike(lambda r, a: ppo.clipped_objective(r, a, 0.2), ratio, advantage)
    assert_alike(a2c.policy_objective, ratio.log(), advantage)
    for loss in ("huber", "mse"):
        assert_alike(
            lambda q, a, y, loss=loss: dqn.td_loss(q, a, y, loss)[0], draw(batch, 2), action, advantage
        )
    assert_alike(lambda a, b: F.mse_loss(a, b, reduction="none").mean(1), ratio, advantage)


@pytest.mark.parametrize("n", [1, 5, 10, 25, 170, 200])
def test_quantile_losses(n: int):
    """Quantiles and minibatches of any number."""
    for batch in (1, 5, 8) if n > 100 else (1, 5, 8, 20, 64):
        theta, next_theta = draw(batch, n, scale=2), draw(batch, n, 3)
        reward, discount = draw(batch), (draw(batch) > 0).float()
        assert_alike(qrdqn.quantile_huber_loss, theta, draw(batch, n, 1).squeeze(-1))
        assert_alike(lambda *x: qrdqn.target_quantiles(*x, 0.99), reward, discount, next_theta)


def network(n_seeds: range, hidden: list[int], inputs: int = 4, activation: str = "tanh") -> Network:
    generators = [torch.Generator().manual_seed(k) for k in n_seeds]
    stacks = {f"head{n}": mlp([inputs, *hidden, n], 1.0) for n in HEADS}
    return Network(stacks, generators, activation)


@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
@pytest.mark.parametrize("hidden", WIDTHS, ids=str)
def test_networks(hidden: list[int], activation: str):
    """Every head, one output included, over every batch: outputs, parameter gradients and their norms."""
    for batch in BATCHES if hidden != [256, 256] else (1, 8, 32, 64, 128):
        x = draw(batch, 6)
        found = {}
        for seeds in (range(SEEDS), range(4, 7), range(7, 8)):
            net = network(seeds, hidden, 6, activation)
            outputs = [net(name, x[seeds.start : seeds.stop]) for name in net.stacks]
            net.backward(sum(y.square().flatten(1).mean(1) for y in outputs))
            norm = net.clip_grad(0.5)
            found[seeds] = [*(y.detach() for y in outputs), net.grad, norm]
        for seeds, values in found.items():
            for whole, part in zip(found[range(SEEDS)], values, strict=True):
                assert torch.equal(whole[seeds.start : seeds.stop], part)


@pytest.mark.parametrize("make", [Adam, RMSprop])
@pytest.mark.parametrize("hidden", [[64, 64], [30], [3]], ids=str)
def test_optimisers(make: Any, hidden: list[int]):
    """Ten steps, of which one seed in three misses some."""
    found = {}
    for seeds in (range(SEEDS), range(4, 7), range(7, 8)):
        net = network(seeds, hidden)
        optimizer = make(net)
        for t in range(10):
            net.grad.copy_(draw(net.grad.shape[1], scale=t - 4.5)[seeds.start : seeds.stop])
            due = torch.tensor([(seed + t) % 3 > 0 or t < 3 for seed in seeds])
            optimizer.step(0.01, due)
        found[seeds] = net.theta.detach()
    for seeds, theta in found.items():
        assert torch.equal(found[range(SEEDS)][seeds.start : seeds.stop], theta)


def test_the_sweep_can_fail():
    """A value head through `baddbmm` rounds by its neighbours: the reason why `dense` takes another way."""
    weight, bias, x = draw(64, 1), draw(1, 1), draw(100, 64)
    with pytest.raises(AssertionError):
        assert_alike(lambda b, x, w: torch.baddbmm(b, x, w), bias, x, weight)


def assert_same_seed(block: train.Recorder, alone: train.Recorder) -> None:
    (seed,) = alone.cell.seeds
    index = block.cell.seeds.index(seed)
    rows = of_seed(alone, seed)
    assert len(rows) > 5 and of_seed(block, seed) == rows
    for name, value in alone.state.items():
        assert torch.equal(block.state[name][index], value[0]), name


@pytest.mark.parametrize("algorithm", CONFIGURATIONS)
def test_a_seed_alone_is_the_seed_in_a_block_of_ten(algorithm: str):
    """Rows and final parameters of seeds 2 and 9, and of a block that is run again."""
    block = train.run(cell(algorithm, tuple(range(SEEDS))))
    for seed in (2, 9):
        assert_same_seed(block, train.run(cell(algorithm, (seed,))))
    assert of_seed(block, 2) != [{**row, "seed": 2} for row in of_seed(block, 9)]


CASES = [
    ("a2c", "Acrobot-v1", {}),
    ("ppo", "MountainCar-v0", {}),
    ("ppo", "CartPole-v1", {"net_arch": [30], "batch_size": 100}),
    ("ppo", "CartPole-v1", {"target_kl": 0.001, "clip_range_vf": 0.2, "n_epochs": 6, "ent_coef": 0.01}),
    ("a2c", "CartPole-v1", {"net_arch": [], "use_rms_prop": False, "normalize_advantage": True}),
    ("dqn-double", "Acrobot-v1", {"net_arch": [30], "activation": "tanh", "gradient_steps": 1}),
    ("qrdqn", "Acrobot-v1", {"net_arch": [30], "n_quantiles": 7, "n_steps": 3, "gradient_steps": 1}),
    ("reinforce-value", "CartPole-v1", {"net_arch": [30], "learning_rate_schedule": "linear"}),
    ("ppo", "Pendulum-v1", {"n_steps": 50, "batch_size": 60, "target_kl": 0.005}),
    ("a2c", "Pendulum-v1", {}),
    ("ppo", "Reacher-v5", {"n_steps": 64}),
]


@pytest.mark.parametrize(("algorithm", "environment", "options"), CASES)
def test_so_it_is_with_other_worlds_and_options(algorithm: str, environment: str, options: dict[str, Any]):
    """Running normalisation, odd widths and minibatches, no hidden layer, seeds that stop at a KL bound."""
    short = Protocol(points=1, episodes=3, final_episodes=3)
    changes = {"environment": environment, "hyperparameters": options, "evaluation": short, "budget": 800}
    block = train.run(cell(algorithm, tuple(range(SEEDS)), **changes))
    assert_same_seed(block, train.run(cell(algorithm, (6,), **changes)))


def test_the_same_seeds_twice_give_the_same_rows():
    for algorithm in ("ppo", "dqn", "reinforce-baseline"):
        first, second = (train.run(cell(algorithm, (3, 1))) for _ in range(2))
        assert first.episodes == second.episodes and first.evaluations == second.evaluations
        assert {row["seed"] for row in first.episodes} == {1, 3}


def test_every_agent_is_swept():
    agents = {hyperparameters.library().algorithms[name].agent for name in CONFIGURATIONS}
    assert agents == set(registry.AGENTS)
