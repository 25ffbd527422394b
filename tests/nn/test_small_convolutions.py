"""The network for small images: sizes of the paper, SB3's side of it, seeds apart, precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from rlparity import registry
from rlparity.errors import UserError
from rlparity.nn import networks, small_convolutions
from rlparity.nn.networks import TRUNK, Network
from rlparity.references.sb3_small_images import SmallCNN

SHAPE = (4, 10, 10)


def build(seeds: range, precision: str = "float32", gain: float | None = 1.0) -> Network:
    trunk, sizes = networks.inputs(SHAPE, (), gain)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    stacks = {**trunk, "q": networks.mlp([*sizes, 3], gain)}
    return Network(stacks, generators, "relu", precision=precision)


def images(n_seeds: int, batch: int) -> Tensor:
    return torch.rand(n_seeds, batch, *SHAPE, generator=torch.Generator().manual_seed(1)) < 0.3


def learn(network: Network, x: Tensor) -> Tensor:
    network.backward(network("q", network.features(x)).square().mean((1, 2)))
    return network.grad


def test_sizes_are_those_of_the_paper() -> None:
    """16 filters of 3x3 over four channels, 8x8 places, 128 units, three actions."""
    assert build(range(1)).n_parameters == 16 * (4 * 9 + 1) + (16 * 8 * 8 + 1) * 128 + 129 * 3
    trunk, sizes = networks.inputs(SHAPE, (), None, shared_units=False)
    assert sizes == [1024, 128] and len(trunk[TRUNK]) == 1


def test_features_are_those_of_the_references_extractor() -> None:
    network, x = build(range(3)), images(3, 5)
    theirs = SmallCNN(spaces.Box(0, 1, SHAPE, np.bool_))
    (filters, offsets), (weight, bias) = network.stacks[TRUNK]
    with torch.no_grad():
        theirs.cnn[0].weight.copy_(filters[1])
        theirs.cnn[0].bias.copy_(offsets[1])
        theirs.linear[0].weight.copy_(weight[1].T)
        theirs.linear[0].bias.copy_(bias[1, 0])
    assert torch.allclose(network.features(x)[1], theirs(x[1].float()), rtol=1e-4, atol=1e-5)
    assert torch.equal(network.features(x.float()), network.features(x))


@pytest.mark.parametrize("batch", [1, 8, 32, 256])
def test_a_seed_alone_is_the_seed_among_others(batch: int) -> None:
    x = images(10, batch)
    whole, alone = build(range(10)), build(range(4, 5))
    assert torch.equal(whole.theta[4:5], alone.theta)
    assert torch.equal(whole.features(x)[4:5], alone.features(x[4:5]))
    assert torch.equal(learn(whole, x)[4:5], learn(alone, x[4:5]))


def test_seeds_as_groups_of_one_convolution_are_seeds_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU computes, on the CPU."""
    x, (weight, bias) = images(3, 4).float(), build(range(3)).stacks[TRUNK][0]
    in_turn = small_convolutions._convolve(x, weight, bias)
    together = small_convolutions._grouped(x, weight, bias).relu()
    assert torch.allclose(together.flatten(2), in_turn, rtol=1e-4, atol=1e-5)


def test_half_precision_is_close_and_not_the_same() -> None:
    x = images(2, 32)
    exact, rough = build(range(2)), build(range(2), "bfloat16")
    features = rough.features(x)
    assert features.dtype == torch.float32
    difference = (features - exact.features(x)).abs().max() / exact.features(x).abs().max()
    assert 0 < difference < 0.03
    assert torch.equal(rough.features(x[:, :1]), exact.features(x[:, :1]))


def test_other_networks_are_refused() -> None:
    with pytest.raises(UserError, match="cnn '2013' is for images of 84x84"):
        networks.inputs(SHAPE, (), None, "2013")


def test_what_is_small() -> None:
    """Nature's convolutions leave one place of 36 pixels, and nothing of 35."""
    assert registry.is_small((4, 35, 84)) and not registry.is_small((4, 36, 36))
    assert not registry.is_small((4,)) and not registry.is_small(())
    assert registry.part("convolutions") is registry.part("convolutions", (4, 84, 84))
    assert registry.part("convolutions", SHAPE) is small_convolutions.trunk
    assert registry.part("kernel", SHAPE) is registry.part("kernel")
