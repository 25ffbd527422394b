"""Convolutions on images of bytes: the networks of Mnih et al. 2013 and 2015, one set of weights per seed.

On a CPU seeds take turns, channels last, as oneDNN likes it; on a GPU they are groups of one convolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from rlparity.nn import onednn_linear
from rlparity.nn.networks import Layer, dense

WHITE = 255  # the brightest byte
MANY = 16  # rows, from which on converting weights to bfloat16 pays


class Conv(NamedTuple):
    """One convolution without padding. `gain` as in `rlparity.nn.networks.Layer`."""

    channels_in: int
    channels_out: int
    kernel: int  # pixels, square
    stride: int
    gain: float | None = None

    @property
    def fan_in(self) -> int:
        """Numbers that one output sees."""
        return self.channels_in * self.kernel**2

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of one seed's weight and bias, as PyTorch has them."""
        k = self.kernel
        return (self.channels_out, self.channels_in, k, k), (self.channels_out,)

    def start(self, weight: Tensor, bias: Tensor, generator: torch.Generator) -> None:
        """Draw one seed's weight and bias, as a dense layer's over what one output sees."""
        dense = Layer(self.fan_in, self.channels_out, self.gain)
        dense.start(weight.flatten(1).T, bias, generator)

    def side(self, pixels: int) -> int:
        """Height or width of what it makes of an image."""
        return (pixels - self.kernel) // self.stride + 1


FILTERS = {  # channels, kernel, stride
    "2013": ((16, 8, 4), (32, 4, 2)),  # arXiv:1312.5602, section 4.1
    "nature": ((32, 8, 4), (64, 4, 2), (64, 3, 1)),  # Nature 518, Methods, "Model architecture"
}
UNITS = {"2013": 256, "nature": 512}  # of the dense layer that follows


class Trunk(tuple[Conv | Layer, ...]):
    """The layers that turn images into features: convolutions, then dense ones."""

    def features(self, obs: Tensor, leaves: Sequence[tuple[Tensor, Tensor]], precision: str) -> Tensor:
        """Images (S, B, C, H, W) -> (S, B, F). `leaves` are weight and bias of each layer; in bfloat16 the
        layers compute in it where there are rows enough."""
        convs = [layer for layer in self if isinstance(layer, Conv)]
        half = precision == "bfloat16" and obs.shape[1] >= MANY
        with torch.autocast(obs.device.type, torch.bfloat16, enabled=half):
            x, units = run(obs, convs, leaves[: len(convs)]), leaves[len(convs) :]
            if units and not half and onednn_linear.span(x, units):
                return onednn_linear.stack(x, units, "relu", "relu")
            for weight, bias in units:
                x = torch.relu(dense(x, weight, bias))
        return x.float()


def trunk(shape: Sequence[int], gain: float | None, cnn: str, shared_units: bool) -> tuple[Trunk, list[int]]:
    """The trunk for images (channels, height, width), and the sizes that each head begins with.

    Without `shared_units` the dense layer after the convolutions belongs to each head.
    """
    hidden = None if gain is None else math.sqrt(2)
    convs, n_features = filters(shape, cnn, hidden)
    if not shared_units:
        return Trunk(convs), [n_features, UNITS[cnn]]
    return Trunk([*convs, Layer(n_features, UNITS[cnn], hidden)]), [UNITS[cnn]]


def filters(shape: Sequence[int], kind: str, gain: float | None) -> tuple[list[Conv], int]:
    """The convolutions for images (channels, height, width), and how many numbers come out."""
    channels, height, width = shape
    layers = []
    for channels_out, kernel, stride in FILTERS[kind]:
        layers.append(Conv(channels, channels_out, kernel, stride, gain))
        channels, height, width = channels_out, layers[-1].side(height), layers[-1].side(width)
    return layers, math.prod((channels, height, width))


def run(x: Tensor, layers: Sequence[Conv], leaves: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Rectified convolutions of images of 0 to 255: (S, B, C, H, W) -> (S, B, F).

    `leaves` are weight and bias of each layer, (S, *shape).
    """
    if x.device.type == "cpu":
        parts = [[(weight[k], bias[k]) for weight, bias in leaves] for k in range(len(x))]
        rows = [_stack(h, layers, part, 1) for h, part in zip(x, parts, strict=True)]
        return torch.stack(rows).flatten(2)
    s = len(x)
    merged = [(weight.flatten(0, 1), bias.flatten(0, 1)) for weight, bias in leaves]
    y = _stack(x.transpose(0, 1).flatten(1, 2), layers, merged, s)
    return y.unflatten(1, (s, -1)).transpose(0, 1).flatten(2)


def _stack(x: Tensor, layers: Sequence[Conv], leaves: Sequence[tuple[Tensor, Tensor]], groups: int) -> Tensor:
    """x (B, groups C, H, W) -> (B, groups C', H', W')."""
    x = x.contiguous(memory_format=torch.channels_last)  # while they are bytes, which is quicker
    x = x.to(_dtype(x)) / WHITE
    for layer, (weight, bias) in zip(layers, leaves, strict=True):
        x = F.relu(F.conv2d(x, weight, bias, stride=layer.stride, groups=groups))
    return x


def _dtype(x: Tensor) -> torch.dtype:
    """Bytes are exact in any kind of number."""
    if torch.is_autocast_enabled(x.device.type):
        return torch.get_autocast_dtype(x.device.type)
    return x.dtype if x.is_floating_point() else torch.float32
