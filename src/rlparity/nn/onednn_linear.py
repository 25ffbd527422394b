"""Stacks of wide layers on a CPU: seed by seed through oneDNN, both ways in one node of the graph.

oneDNN takes half the time of `baddbmm` on processors where MKL keeps to older instructions, the activation
comes with the product, and what a seed needs next is still in the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

WIDE = 128  # from this width on oneDNN is quicker, given a quarter as many rows
SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {  # gradient times slope, from an activation's value
    "tanh": torch.ops.aten.tanh_backward,
    "relu": lambda grad, y: torch.ops.aten.threshold_backward(grad, y, 0),
}


def supports(x: Tensor) -> bool:
    """Whether oneDNN takes numbers of this kind."""
    return x.dtype == torch.float32 and x.device.type == "cpu" and torch.backends.mkldnn.is_available()


def span(x: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> range:
    """Which of the layers that x (S, B, fan_in) meets should go through here: a stretch, or none.

    With few rows that is from the first to the last wide layer. With many all of them, narrow ones too.
    """
    rows = x.shape[1]
    if 4 * rows < WIDE or not supports(x):
        return range(0)
    broad = [i for i, (weight, _) in enumerate(layers) if min(weight.shape[1:]) >= WIDE]
    if not broad:
        return range(0)
    return range(len(layers)) if rows >= WIDE else range(broad[0], broad[-1] + 1)


def stack(x: Tensor, layers: Sequence[tuple[Tensor, Tensor]], activation: str, last: str = "none") -> Tensor:
    """Dense layers with an activation (a key of `SLOPES`) between them: x (S, B, fan_in) -> (S, B, fan_out).

    Weights are (S, fan_in, fan_out), biases (S, 1, fan_out); `last` is the activation after the last layer.
    It can be differentiated once.
    """
    y: Tensor = _Stack.apply(activation, last, x, *(leaf for layer in layers for leaf in layer))
    return y


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """x (B, fan_in) times the transpose of weight (fan_out, fan_in), plus bias (fan_out,), activated."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], "")
    return out


class _Stack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, activation: str, last: str, x: Tensor, *leaves: Tensor) -> Tensor:
        weights, biases = leaves[::2], leaves[1::2]
        inputs, outputs = [], []
        for k, h in enumerate(x):
            for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
                inputs.append(h)
                h = product(h, weight[k].T, bias[k, 0], activation)
            inputs.append(h)
            outputs.append(product(h, weights[-1][k].T, biases[-1][k, 0], last))
        y = torch.stack(outputs)
        ctx.activation, ctx.last, ctx.n_layers = activation, last, len(weights)
        ctx.save_for_backward(*weights, *inputs, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        n, slope = ctx.n_layers, SLOPES[ctx.activation]
        weights, inputs, y = ctx.saved_tensors[:n], ctx.saved_tensors[n:-1], ctx.saved_tensors[-1]
        _, _, x_needed, leaves_needed, *_ = ctx.needs_input_grad
        if ctx.last != "none":
            grads = (SLOPES[ctx.last](grads[0], y),)
        leaves: list[Any] = [None] * (2 * n)
        if leaves_needed:
            leaves[::2] = [torch.empty(weight.shape) for weight in weights]
            leaves[1::2] = [torch.empty(len(w), 1, w.shape[2]) for w in weights]
        grad_x = []
        for k, grad in enumerate(grads[0]):
            for i in range(n - 1, -1, -1):
                h, weight = inputs[k * n + i], weights[i][k]
                if leaves_needed:
                    leaves[2 * i][k] = _grad_weight(h, grad)
                    leaves[2 * i + 1][k, 0] = grad.sum(0)
                if i:
                    grad = slope(product(grad, weight), h)
                elif x_needed:
                    grad_x.append(product(grad, weight))
        return None, None, torch.stack(grad_x) if x_needed else None, *leaves


def _grad_weight(x: Tensor, grad: Tensor) -> Tensor:
    """x^T grad: (B, fan_in), (B, fan_out) -> (fan_in, fan_out); oneDNN likes a narrow factor on the left."""
    return product(grad.T, x.T).T if grad.shape[1] < min(x.shape[1], WIDE) else product(x.T, grad.T)
