"""Convolutions on small images, which Nature's are too large for: the network of Young and Tian 2019.

arXiv:1903.03176, section 3: one convolution of 16 filters, 3x3 pixels, stride 1, then a dense layer of 128
units, both rectified; a quarter of the units of Nature 2015. One set of weights per seed, and whole networks
per seed, as in `rlparity.nn.convolutions`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from rlparity.errors import UserError
from rlparity.nn import onednn_linear
from rlparity.nn.convolutions import MANY, Conv
from rlparity.nn.networks import Layer, dense

FILTERS, KERNEL, UNITS = 16, 3, 128


class SmallTrunk(tuple[Conv | Layer, ...]):
    """One convolution, and the dense layer that follows unless it belongs to each head."""

    def features(self, obs: Tensor, leaves: Sequence[tuple[Tensor, Tensor]], precision: str) -> Tensor:
        """Images (S, B, C, H, W) of booleans or numbers -> (S, B, F). `leaves` are weight and bias of each
        layer; in bfloat16 the layers compute in it where there are rows enough."""
        half = precision == "bfloat16" and obs.shape[1] >= MANY
        with torch.autocast(obs.device.type, torch.bfloat16, enabled=half):
            x, units = _convolve(obs, *leaves[0]), leaves[1:]
            if units and not half and onednn_linear.span(x, units):
                return onednn_linear.stack(x, units, "relu", "relu")
            for weight, bias in units:
                x = torch.relu(dense(x, weight, bias))
        return x.float() if half else x


def trunk(
    shape: Sequence[int], gain: float | None, cnn: str, shared_units: bool
) -> tuple[SmallTrunk, list[int]]:
    """The trunk for images (channels, height, width), and the sizes that each head begins with.

    Without `shared_units` the dense layer after the convolution belongs to each head. There is one kind of
    network: UserError where `cnn` asks for another than the default.
    """
    if cnn != "nature":
        raise UserError(f"cnn {cnn!r} is for images of 84x84; allowed for images this small is the default")
    channels, height, width = shape
    hidden = None if gain is None else math.sqrt(2)
    conv = Conv(channels, FILTERS, KERNEL, 1, hidden)
    n_features = FILTERS * conv.side(height) * conv.side(width)
    if not shared_units:
        return SmallTrunk([conv]), [n_features, UNITS]
    return SmallTrunk([conv, Layer(n_features, UNITS, hidden)]), [UNITS]


def _convolve(obs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One rectified convolution, (S, B, C, H, W) -> (S, B, F): seeds take turns on a CPU, so that none sees
    how many there are, and are groups of one convolution on a GPU."""
    x = obs.to(weight.dtype)
    if x.device.type == "cpu":
        rows = [F.conv2d(h, w, b) for h, w, b in zip(x, weight, bias, strict=True)]
        return F.relu(torch.stack(rows)).flatten(2)
    return F.relu(_grouped(x, weight, bias)).flatten(2)


def _grouped(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """One convolution with a group for each seed, (S, B, C, H, W) -> (S, B, C', H', W')."""
    merged = F.conv2d(x.transpose(0, 1).flatten(1, 2), weight.flatten(0, 1), bias.flatten(), groups=len(x))
    return merged.unflatten(1, (len(x), -1)).transpose(0, 1)
