"""Wide stacks through oneDNN are the plain ones, forwards and backwards; and a seed has no neighbours.

oneDNN computes where `rlparity.nn.kernel` does not.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from rlparity.nn import networks, onednn_linear
from rlparity.nn.networks import Network, mlp

SEEDS = 10
SHAPES = [
    (64, 17, [256, 256], 12),
    (100, 23, [400, 300], 1),
    (50, 3, [136, 128], 1),
    (33, 11, [200, 130, 150], 3),
]


@pytest.fixture(autouse=True)
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RLPARITY_KERNEL", "off")


needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN")


def draw(*shape: int) -> Tensor:
    return torch.randn(SEEDS, *shape, generator=torch.Generator().manual_seed(sum(shape)))


def build(seeds: range, inputs: int, hidden: list[int], outputs: int, activation: str) -> Network:
    generators = [torch.Generator().manual_seed(k) for k in seeds]
    return Network({"net": mlp([inputs, *hidden, outputs])}, generators, activation)


def run(network: Network, x: Tensor) -> list[Tensor]:
    """Outputs, and the gradients of a loss by parameters and inputs."""
    x = x.clone().requires_grad_()
    y = network("net", x)
    loss = y.square().flatten(1).mean(1)
    (grad_x,) = torch.autograd.grad(loss.sum(), x, retain_graph=True)
    network.backward(loss)
    return [y.detach(), grad_x, network.grad]


@needs_onednn
@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
@pytest.mark.parametrize(("batch", "inputs", "hidden", "outputs"), SHAPES)
def test_a_wide_stack_is_the_plain_one(
    batch: int, inputs: int, hidden: list[int], outputs: int, activation: str, monkeypatch: Any
):
    network, x = build(range(SEEDS), inputs, hidden, outputs, activation), draw(batch, inputs)
    assert onednn_linear.span(x, network.stacks["net"])
    found = [value.clone() for value in run(network, x)]
    monkeypatch.setattr(onednn_linear, "span", lambda x, layers: range(0))
    for ours, plain in zip(found, run(network, x), strict=True):
        assert ours.shape == plain.shape
        assert torch.allclose(ours, plain, rtol=1e-4, atol=1e-6 * float(plain.abs().max()))


@needs_onednn
@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
@pytest.mark.parametrize(("batch", "inputs", "hidden", "outputs"), SHAPES)
def test_a_seed_alone_is_the_seed_among_others(
    batch: int, inputs: int, hidden: list[int], outputs: int, activation: str
):
    x = draw(batch, inputs)
    whole = run(build(range(SEEDS), inputs, hidden, outputs, activation), x)
    for seeds in (range(4, 7), range(7, 8)):
        rows = slice(seeds.start, seeds.stop)
        part = run(build(seeds, inputs, hidden, outputs, activation), x[rows])
        assert all(torch.equal(a[rows], b) for a, b in zip(whole, part, strict=True))


@pytest.mark.parametrize("hidden", [[256, 256], [8]], ids=str)
def test_a_constant_stack_passes_the_gradient_on_and_takes_none(hidden: list[int]):
    network = build(range(SEEDS), 5, hidden, 1, "relu")
    x = draw(64, 5).requires_grad_()
    free, constant = (network("net", x, constant=flag) for flag in (False, True))
    assert torch.equal(free, constant)
    leaves = [leaf for layer in network.stacks["net"] for leaf in layer]
    for y, expected in ((free, True), (constant, False)):
        found = torch.autograd.grad(y.sum(), [x, *leaves], allow_unused=True, retain_graph=True)
        assert [gradient is not None for gradient in found] == [True] + [expected] * len(leaves)
    ours, plain = (torch.autograd.grad(y.sum(), x)[0] for y in (constant, free))
    assert torch.equal(ours, plain)


def test_narrow_stacks_few_rows_and_other_numbers_are_left_alone():
    layers = build(range(2), 17, [256, 256], 1, "relu").stacks["net"]
    narrow = build(range(2), 17, [64, 64], 1, "relu").stacks["net"]
    x = torch.zeros(2, 64, 17)
    assert not onednn_linear.span(x, narrow)
    assert not onednn_linear.span(x[:, :8], layers)
    assert not onednn_linear.span(x.double(), layers)


@needs_onednn
def test_with_few_rows_the_narrow_ends_of_a_stack_are_left_alone():
    layers = build(range(2), 17, [256, 300, 8], 1, "relu").stacks["net"]
    assert onednn_linear.span(torch.zeros(2, 64, 17), layers) == range(1, 2)
    assert onednn_linear.span(torch.zeros(2, 128, 17), layers) == range(4)


def test_parameters_that_changed_before_the_gradient_are_noticed():
    network = build(range(1), 4, [256, 256], 1, "relu")
    y = network("net", torch.ones(1, 64, 4))
    network.theta.detach().add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        network.backward(y.mean(1))
