"""A dense stack's passes, and clipping with Adam, on tensors: what `Network` and the optimisers call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlparity.compilation import config
from rlparity.nn.kernel import adam, passes, products
from rlparity.nn.kernel.llvm_ir import BYTES
from rlparity.provenance.host import KERNEL

ACTIVATIONS = {"tanh": products.TANH, "relu": products.RELU}
LIKE: dict[torch.dtype, np.floating] = {torch.float32: np.float32(0), torch.float64: np.float64(0)}


class Tape(NamedTuple):
    """What a backward pass needs of the forward pass."""

    x: Tensor  # (S, B, fan_in)
    hidden: Tensor  # (S, numbers), rows of padded width


def clip_adam(
    theta: Tensor,
    grad: Tensor,
    moments: tuple[Tensor, Tensor],
    due: Tensor,
    counts: Tensor,
    rate: float,
    eps: float,
    max_norm: float | None = None,
) -> Tensor:
    """Clip each seed's gradient and step as PyTorch's fused Adam does, where `due` (S,) bool.

    `counts` (S,) float32 are the steps so far; rows of theta, grad and moments (S, P) are contiguous and
    padded to whole vectors. Returns the norms before clipping, of all seeds. Where one is not finite the seed
    keeps its parameters.
    """
    norms = theta.new_empty(theta.shape[0])
    mean, square = moments
    rows = (
        theta.data_ptr(),
        theta.stride(0),
        grad.data_ptr(),
        mean.data_ptr(),
        square.data_ptr(),
        grad.stride(0),
    )
    limits = float(rate), float(eps), float(max_norm or 0)
    like = LIKE[theta.dtype]
    torch.autograd.graph.increment_version(theta)
    adam.clip_adam(like, *theta.shape, *rows, due.data_ptr(), counts.data_ptr(), *limits, norms.data_ptr())
    return norms


class Stack:
    """One stack of dense layers, whose parameters begin at number `start` of every row of theta (S, P)."""

    def __init__(self, sizes: Sequence[int], start: int, activation: str, dtype: torch.dtype = torch.float32):
        self._like = LIKE[dtype]
        bytes_each = self._like.itemsize
        lanes = BYTES // bytes_each
        widths = [products.padded(width, lanes) for width in sizes]
        self._sizes = np.array(sizes, np.int64)  # its address goes to the kernel: it lives as long as this
        self._start, self._lanes = start * bytes_each, lanes
        self._n_in, self._n_out = sizes[0], sizes[-1]
        self._widest, self._kept = max(widths[1:-1], default=0), sum(widths[1:-1])
        whole = -(-max(sizes[1:]) // lanes) * lanes + lanes
        self._transposed = max(widths[0], self._widest) * whole
        self._shape = (len(sizes) - 1, self._sizes.ctypes.data, self._widest, ACTIVATIONS[activation])

    @staticmethod
    def supports(theta: Tensor) -> bool:
        """Whether there are passes for parameters of this kind, where they lie."""
        there = theta.device.type == "cpu" and theta.dtype in LIKE
        return there and os.environ.get(KERNEL) != "off" and not config.DISABLE_JIT

    clip_adam = staticmethod(clip_adam)

    def run(self, theta: Tensor, x: Tensor) -> tuple[Tensor, Tape]:
        """x (S, B, fan_in) -> (S, B, fan_out), and the tape for `pull`."""
        tape = Tape(self._laid(theta, x, self._n_in), x.new_empty(x.shape[0], x.shape[1] * self._kept))
        return self._forward(theta, tape.x, tape.hidden), tape

    def infer(self, theta: Tensor, x: Tensor) -> Tensor:
        """The same output, bit by bit; nothing is kept."""
        return self._forward(theta, self._laid(theta, x, self._n_in), None)

    @staticmethod
    def _laid(theta: Tensor, x: Tensor, width: int) -> Tensor:
        """x (S, B, width) with the rows of each seed one after another, copied if they are not.

        ValueError for other shapes and types: the kernel sees addresses only.
        """
        if x.dtype != theta.dtype or x.dim() != 3 or x.shape[::2] != (theta.shape[0], width):
            expected = f"({theta.shape[0]}, rows, {width}) of {theta.dtype}"
            raise ValueError(f"{tuple(x.shape)} of {x.dtype}, expected {expected}")
        return x if x.stride()[1:] == (width, 1) else x.contiguous()

    def _forward(self, theta: Tensor, x: Tensor, hidden: Tensor | None) -> Tensor:
        n_seeds, n_rows, _ = x.shape
        y = x.new_empty(n_seeds, n_rows, self._n_out)
        scratch = x.new_empty(2 * passes.BLOCK * self._widest + self._transposed)
        kept = (0, 0) if hidden is None else (hidden.data_ptr(), n_rows * self._kept)
        place = theta.data_ptr() + self._start, theta.stride(0), x.data_ptr(), x.stride(0)
        passes.forward(
            self._like, n_seeds, n_rows, *self._shape, *place, *kept, y.data_ptr(), scratch.data_ptr()
        )
        return y

    def pull(
        self,
        theta: Tensor,
        tape: Tape,
        dy: Tensor,
        grad: Tensor | None,
        add: bool = False,
        wish_x: bool = False,
    ) -> Tensor | None:
        """Write the gradient of sum(dy * y) by the parameters into `grad` (S, P), or add it; returns x's."""
        x, dy = tape.x, self._laid(theta, dy, self._n_out).contiguous()
        n_seeds, n_rows, _ = x.shape
        if dy.shape[1] != n_rows:
            raise ValueError(f"{dy.shape[1]} rows, expected {n_rows}")
        dx = x.new_empty(x.shape) if wish_x else None
        scratch = x.new_empty(self._lanes + 2 * n_rows * self._widest + self._transposed)
        place = theta.data_ptr() + self._start, theta.stride(0), x.data_ptr(), x.stride(0)
        kept = tape.hidden.data_ptr(), n_rows * self._kept, dy.data_ptr()
        wish = (0, 0) if grad is None else (grad.data_ptr() + self._start, grad.stride(0))
        by_x = 0 if dx is None else dx.data_ptr()
        passes.backward(
            self._like,
            n_seeds,
            n_rows,
            *self._shape,
            *place,
            *kept,
            *wish,
            int(add),
            by_x,
            scratch.data_ptr(),
        )
        return dx
