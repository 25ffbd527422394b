"""Networks for images: shapes of the papers, SB3's NatureCNN, seeds apart, precision."""

from __future__ import annotations

import math

import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import NatureCNN
from torch import Tensor

from rlparity.nn import convolutions, networks, optimizers
from rlparity.nn.networks import TRUNK, Network

SHAPE = (4, 84, 84)


def build(seeds: range, cnn: str = "nature", precision: str = "float32", gain: float | None = 1.0) -> Network:
    trunk, sizes = networks.inputs(SHAPE, (), gain, cnn)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    stacks = {**trunk, "q": networks.mlp([*sizes, 6], gain)}
    return Network(stacks, generators, "relu", precision=precision)


def images(n_seeds: int, batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (n_seeds, batch, *SHAPE), dtype=torch.uint8, generator=generator)


def learn(network: Network, x: Tensor) -> Tensor:
    network.backward(network("q", network.features(x)).square().mean((1, 2)))
    return network.grad


def test_sizes_are_those_of_the_papers():
    """2013: 16 filters 8x8, 32 of 4x4, 256 units. 2015: 32, 64, 64 filters, 512 units."""
    old = 16 * (4 * 64 + 1) + 32 * (16 * 16 + 1) + (32 * 9 * 9 + 1) * 256 + 257 * 6
    assert build(range(1), "2013").n_parameters == old
    new = 32 * (4 * 64 + 1) + 64 * (32 * 16 + 1) + 64 * (64 * 9 + 1) + (64 * 7 * 7 + 1) * 512 + 513 * 6
    assert build(range(1)).n_parameters == new


def test_features_are_those_of_nature_cnn():
    network, x = build(range(3)), images(3)
    theirs = NatureCNN(spaces.Box(0, 1, SHAPE), normalized_image=True)
    leaves = network.stacks[TRUNK]
    with torch.no_grad():
        for layer, (weight, bias) in zip([theirs.cnn[0], theirs.cnn[2], theirs.cnn[4]], leaves, strict=False):
            layer.weight.copy_(weight[1])
            layer.bias.copy_(bias[1])
        theirs.linear[0].weight.copy_(leaves[3][0][1].T)
        theirs.linear[0].bias.copy_(leaves[3][1][1, 0])
    expected = theirs(x[1].float() / 255)
    assert torch.allclose(network.features(x)[1], expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(network.features(x.float()), network.features(x))


@pytest.mark.probes
@pytest.mark.parametrize("cnn", convolutions.FILTERS)
@pytest.mark.parametrize("batch", [8, 32])
def test_a_seed_alone_is_the_seed_among_others(cnn: str, batch: int):
    x = images(3, batch)
    whole, alone = build(range(3), cnn), build(range(1, 2), cnn)
    assert torch.equal(whole.theta[1:2], alone.theta)
    for some in (x, x[:, :1], x[:, :3]):
        assert torch.equal(whole.features(some)[1:2], alone.features(some[1:2]))
    assert torch.equal(learn(whole, x)[1:2], learn(alone, x[1:2]))


@pytest.mark.probes
def test_seeds_as_groups_of_one_convolution_are_seeds_in_turn():
    network, x = build(range(3)), images(3).float()
    layers, _ = convolutions.filters(SHAPE, "nature", None)
    merged = [(w.flatten(0, 1), b.flatten(0, 1)) for w, b in network.stacks[TRUNK][:3]]
    y = convolutions._stack(x.transpose(0, 1).flatten(1, 2), layers, merged, 3)
    together = y.unflatten(1, (3, -1)).transpose(0, 1).flatten(2)
    in_turn = convolutions.run(x, layers, network.stacks[TRUNK][:3])
    assert torch.allclose(together, in_turn, rtol=1e-4, atol=1e-5)


def test_orthogonal_filters():
    """With a gain g the rows of a flattened filter bank are orthogonal and of length g sqrt(2); biases 0."""
    weight, bias = build(range(2)).stacks[TRUNK][0]
    rows = weight[1].flatten(1)
    assert torch.allclose(rows @ rows.T, 2 * torch.eye(32), atol=1e-5)
    assert not bias.any()


def test_filters_start_as_pytorch_starts_them():
    """Without a gain: uniform within 1/sqrt(fan-in), 4 x 8 x 8 inputs in the first layer."""
    weight, bias = build(range(1), gain=None).stacks[TRUNK][0]
    bound = 1 / math.sqrt(256)
    for leaf in (weight, bias):
        assert leaf.abs().max() <= bound
    assert weight.abs().max() > 0.99 * bound
    assert float(weight.detach().std()) == pytest.approx(bound / math.sqrt(3), rel=0.02)


@pytest.mark.probes
def test_half_precision_is_close_and_not_the_same():
    x = images(2, convolutions.MANY)
    exact, rough = build(range(2)), build(range(2), precision="bfloat16")
    assert torch.equal(exact.theta, rough.theta)
    features = rough.features(x)
    assert features.dtype == torch.float32
    difference = (features - exact.features(x)).abs().max() / exact.features(x).abs().max()
    assert 0 < difference < 0.03
    assert torch.equal(rough.features(x[:, :1]), exact.features(x[:, :1]))  # too few to be worth it
    g, r = learn(exact, x), learn(rough, x)
    assert 0 < (g - r).norm() / g.norm() < 0.1


def test_heads_may_have_the_dense_layer_for_themselves():
    trunk, sizes = networks.inputs(SHAPE, (), None, shared_units=False)
    assert sizes == [3136, 512]
    assert all(isinstance(layer, convolutions.Conv) for layer in trunk[TRUNK])


def test_vectors_have_no_trunk():
    assert networks.inputs((4,), (64, 32), None) == ({}, [4, 64, 32])
    x = torch.randn(1, 2, 4)
    network = Network({"q": networks.mlp([4, 8, 2])}, [torch.Generator()])
    assert network.features(x) is x


def test_rmsprop_as_tensorflow_has_it():
    """One step from statistics of 1: s = 0.9 + 0.1 g^2, theta -= rate g / sqrt(s + eps)."""
    network = Network({"q": [networks.Layer(1, 1)]}, [torch.Generator().manual_seed(k) for k in range(2)])
    optimizer = optimizers.RMSprop(network, alpha=0.9, eps=0.01, tf=True)
    start = network.theta.detach().clone()
    network.grad[:] = 2.0
    optimizer.step(0.5, torch.tensor([True, False]))
    step = 0.5 * 2 / math.sqrt(0.9 + 0.1 * 4 + 0.01)
    assert torch.allclose(network.theta[0], start[0] - step)
    assert torch.equal(network.theta[1], start[1])
