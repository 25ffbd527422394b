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

WHITE = 255  # the brightest byte


class Conv(NamedTuple):
    """One convolution without padding. `gain` as in `rlparity.networks.Layer`."""

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

    def side(self, pixels: int) -> int:
        """Height or width of what it makes of an image."""
        return (pixels - self.kernel) // self.stride + 1


FILTERS = {  # channels, kernel, stride
    "2013": ((16, 8, 4), (32, 4, 2)),  # arXiv:1312.5602, section 4.1
    "nature": ((32, 8, 4), (64, 4, 2), (64, 3, 1)),  # Nature 518, Methods, "Model architecture"
}
UNITS = {"2013": 256, "nature": 512}  # of the dense layer that follows


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
