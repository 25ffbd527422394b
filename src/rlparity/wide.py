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


def pays(x: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> bool:
    """Whether x (S, B, fan_in) should go through these layers here."""
    rows = 4 * x.shape[1]
    return any(min(rows, *weight.shape[1:]) >= WIDE for weight, _ in layers) and supports(x)


def stack(x: Tensor, layers: Sequence[tuple[Tensor, Tensor]], activation: str) -> Tensor:
    """Dense layers with an activation (a key of `SLOPES`) between them: x (S, B, fan_in) -> (S, B, fan_out).

    Weights are (S, fan_in, fan_out), biases (S, 1, fan_out). It can be differentiated once.
    """
    y: Tensor = _Stack.apply(activation, x, *(leaf for layer in layers for leaf in layer))
    return y


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """x (B, fan_in) times the transpose of weight (fan_out, fan_in), plus bias (fan_out,), activated."""
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], "")
    return out


class _Stack(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, activation: str, x: Tensor, *leaves: Tensor) -> Tensor:
        weights, biases = leaves[::2], leaves[1::2]
        inputs, outputs = [], []
        for k, h in enumerate(x):
            for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
                inputs.append(h)
                h = product(h, weight[k].T, bias[k, 0], activation)
            inputs.append(h)
            outputs.append(product(h, weights[-1][k].T, biases[-1][k, 0]))
        ctx.activation, ctx.n_layers = activation, len(weights)
        ctx.save_for_backward(*weights, *inputs)
        return torch.stack(outputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        n, slope = ctx.n_layers, SLOPES[ctx.activation]
        weights, inputs = ctx.saved_tensors[:n], ctx.saved_tensors[n:]
        _, x_needed, leaves_needed, *_ = ctx.needs_input_grad
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
        return None, torch.stack(grad_x) if x_needed else None, *leaves


def _grad_weight(x: Tensor, grad: Tensor) -> Tensor:
    """x^T grad: (B, fan_in), (B, fan_out) -> (fan_in, fan_out); oneDNN likes the fewer rows on the left."""
    return product(grad.T, x.T).T if grad.shape[1] < x.shape[1] else product(x.T, grad.T)
