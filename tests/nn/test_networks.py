"""Networks with one parameter vector per seed: each row behaves as an ordinary PyTorch network."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import small  # noqa: F401  (one thread)
import torch
from torch import Tensor, nn

from rlparity.nn import networks
from rlparity.nn.networks import Layer, Network, mlp
from rlparity.nn.optimizers import Adam, RMSprop
from rlparity.objectives import schedules

pytestmark = pytest.mark.paper


def generators(n: int, first: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(first + k) for k in range(n)]


def actor_critic(n_seeds: int, hidden: tuple[int, ...] = (64, 64)) -> Network:
    stacks = {"actor": mlp([4, *hidden, 2], 0.01), "critic": mlp([4, *hidden, 1], 1.0)}
    return Network(stacks, generators(n_seeds))


def as_modules(network: Network, k: int, activation: type[nn.Module]) -> dict[str, nn.Sequential]:
    """Seed k as ordinary PyTorch modules with the same weights."""
    modules = {}
    for name, layers in network.stacks.items():
        parts: list[nn.Module] = []
        for weight, bias in layers:
            linear = nn.Linear(weight.shape[1], weight.shape[2])
            linear.weight.data = weight[k].detach().T.clone()
            linear.bias.data = bias[k, 0].detach().clone()
            parts += [linear, activation()]
        modules[name] = nn.Sequential(*parts[:-1])
    return modules


def test_tanh_is_tanh_forwards_and_backwards():
    """To float32's accuracy: a unit in the last place of 1 is 1.2e-7."""
    x = torch.cat([torch.linspace(-20, 20, 4000), torch.linspace(-1e-3, 1e-3, 96)]).view(1, -1, 16)
    grad = torch.linspace(-1, 1, x.numel()).view_as(x)
    ours, theirs = x.clone().requires_grad_(), x.double().requires_grad_()
    networks.tanh(ours).backward(grad)
    torch.tanh(theirs).backward(grad.double())
    torch.testing.assert_close(networks.tanh(x).double(), torch.tanh(x.double()), rtol=0, atol=2.4e-7)
    torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=0, atol=2.4e-7)
    assert networks.tanh(torch.full((1, 1, 16), torch.nan)).isnan().all()


def test_actor_critic_layers_start_orthogonal():
    network = actor_critic(3)
    gains = {"actor": [math.sqrt(2), math.sqrt(2), 0.01], "critic": [math.sqrt(2), math.sqrt(2), 1.0]}
    for name, stack in network.stacks.items():
        for (weight, bias), gain in zip(stack, gains[name], strict=True):
            _, fan_in, fan_out = weight.shape
            product = (
                weight.transpose(1, 2) @ weight if fan_in >= fan_out else weight @ weight.transpose(1, 2)
            )
            unit = gain**2 * torch.eye(min(fan_in, fan_out)).expand_as(product)
            torch.testing.assert_close(product.detach(), unit, rtol=0, atol=3e-6)
            assert bias.count_nonzero() == 0


def test_q_network_layers_start_uniform_within_pytorchs_bounds():
    network = Network({"q": mlp([4, 256, 2])}, generators(2))
    for (weight, bias), fan_in in zip(network.stacks["q"], (4, 256), strict=True):
        bound = 1 / math.sqrt(fan_in)
        for parameter in (weight, bias):
            assert parameter.abs().max() <= bound
        assert weight.abs().max() > 0.97 * bound
        assert weight.mean().abs() < 0.1 * bound
        assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)


def test_seeds_start_differently_and_regardless_of_their_neighbours():
    network = actor_critic(3)
    assert not torch.equal(network.theta[0], network.theta[1])
    stacks = {"actor": mlp([4, 64, 64, 2], 0.01), "critic": mlp([4, 64, 64, 1], 1.0)}
    assert torch.equal(network.theta[2:], Network(stacks, generators(1, first=2)).theta)


@pytest.mark.parametrize(("name", "module"), [("tanh", nn.Tanh), ("relu", nn.ReLU)])
@pytest.mark.parametrize("hidden", [(64, 64), (30,)])
def test_each_seed_is_an_ordinary_network(name: str, module: type[nn.Module], hidden: tuple[int, ...]):
    stacks = {"actor": mlp([4, *hidden, 2], 0.01), "critic": mlp([4, *hidden, 1], 1.0)}
    network = Network(stacks, generators(3), name)
    x = torch.randn(3, 20, 4, generator=generators(1)[0])
    actor, critic = network("actor", x), network("critic", x)
    assert actor.shape == (3, 20, 2) and critic.shape == (3, 20)
    network.backward((actor.square().sum(-1) + critic).mean(1))
    for k in range(3):
        modules = as_modules(network, k, module)
        y = modules["actor"](x[k]).square().sum(-1) + modules["critic"](x[k])[:, 0]
        y.mean().backward()
        torch.testing.assert_close(actor[k], modules["actor"](x[k]), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(critic[k], modules["critic"](x[k])[:, 0], rtol=1e-5, atol=1e-6)
        start = 0
        for stack in modules.values():
            for linear in stack[::2]:
                for true in (linear.weight.grad.T, linear.bias.grad):
                    got = network.grad[k, start : start + true.numel()].view_as(true)
                    torch.testing.assert_close(got, true, rtol=1e-4, atol=1e-6)
                    start += true.numel()
        assert network.grad[k, start:].count_nonzero() == 0  # padding


def test_a_stack_without_part_in_the_loss_gets_no_gradient():
    network = actor_critic(2)
    network.backward(network("critic", torch.ones(2, 5, 4)).mean(1))
    first = sum(w[0].numel() + b[0].numel() for w, b in network.stacks["actor"])
    assert network.grad[:, :first].count_nonzero() == 0 and network.grad[:, first:].count_nonzero() > 0


def test_clipping_is_pytorchs_for_each_seed():
    network = actor_critic(3)
    scale = torch.tensor([1e-3, 1.0, 100.0])[:, None]
    network.grad.copy_(torch.randn(network.grad.shape, generator=generators(1)[0]) * scale)
    before = network.grad.clone()
    norms = network.clip_grad(0.5)
    for k in range(3):
        parameter = nn.Parameter(torch.zeros_like(before[k]))
        parameter.grad = before[k].clone()
        norm = nn.utils.clip_grad_norm_([parameter], 0.5)
        torch.testing.assert_close(norms[k], norm)
        torch.testing.assert_close(network.grad[k], parameter.grad)
    assert torch.equal(network.grad[0], before[0])  # short enough
    assert network.grad[2].norm().item() == pytest.approx(0.5, rel=1e-4)
    unclipped = network.grad.clone()
    network.clip_grad(None)
    assert torch.equal(network.grad, unclipped)


OPTIMIZERS: list[tuple[Callable[[Network], Adam | RMSprop], Callable[[Tensor], torch.optim.Optimizer]]] = [
    (lambda network: Adam(network, eps=1e-5), lambda p: torch.optim.Adam([p], lr=0.01, eps=1e-5)),
    (
        lambda network: RMSprop(network, eps=1e-5),
        lambda p: torch.optim.RMSprop([p], lr=0.01, alpha=0.99, eps=1e-5),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), OPTIMIZERS, ids=["adam", "rmsprop"])
def test_optimisers_are_pytorchs(ours, theirs):
    network = actor_critic(1, (16,))
    parameter = nn.Parameter(network.theta[0].detach().clone())
    optimizer, reference = ours(network), theirs(parameter)
    rng = generators(1)[0]
    for _ in range(20):
        network.grad.copy_(torch.randn(network.grad.shape, generator=rng))
        parameter.grad = network.grad[0].clone()
        optimizer.step(0.01)
        reference.step()
    torch.testing.assert_close(network.theta[0].detach(), parameter.detach(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("make", "_"), OPTIMIZERS, ids=["adam", "rmsprop"])
def test_a_seed_that_is_not_due_keeps_its_parameters_moments_and_step_count(make, _):
    """Seed 1 misses steps 1 and 2, with NaN for a gradient, and ends where its steps alone lead."""
    network = actor_critic(3, (16,))
    alone = network.row(1).copy()
    optimizer, own = make(network), make(alone)
    rng = generators(1)[0]
    for t in range(5):
        network.grad.copy_(torch.randn(network.grad.shape, generator=rng))
        due = torch.tensor([True, t not in (1, 2), True])
        if due[1]:
            alone.grad.copy_(network.grad[1:2])
            own.step(0.01)
        else:
            network.grad[1] = torch.nan
        before = network.theta[1].detach().clone()
        optimizer.step(0.01, due)
        assert torch.equal(network.theta[1], before) != bool(due[1])
    assert torch.equal(network.theta[1], alone.theta[0])
    for moments, kept in zip(optimizer._moments, own._moments, strict=True):
        assert torch.equal(moments[1], kept[0])


def test_a_copy_has_parameters_of_its_own_and_a_row_has_not():
    network = Network({"q": mlp([3, 16, 2])}, generators(2))
    twin, row = network.copy(), network.row(1)
    x = torch.ones(2, 1, 3)
    assert torch.equal(twin("q", x), network("q", x))
    assert torch.equal(row("q", x[1:]), network("q", x)[1:])
    network.theta.detach().mul_(2)
    assert not torch.equal(twin("q", x), network("q", x))
    assert torch.equal(row.theta[0], network.theta[1])


def test_a_stack_has_its_gain_last():
    assert mlp([4, 8, 2], 0.01) == [Layer(4, 8, math.sqrt(2)), Layer(8, 2, 0.01)]
    assert mlp([4, 8, 2]) == [Layer(4, 8, None), Layer(8, 2, None)]


def test_linear_schedule():
    assert schedules.scheduled(0.4, "constant", 0.25) == 0.4
    assert schedules.scheduled(0.4, "linear", 0.25) == pytest.approx(0.1)
    assert schedules.scheduled(0.4, "linear", -0.01) == 0  # a last round may pass the budget's end
