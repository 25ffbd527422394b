"""Seed-wise networks: S independent networks as one batched array program.

Every layer leads with the seed: weights (S, fan_in, fan_out), inputs (S, B, fan_in). The parameters of one
seed lie in one row of `Network.theta` (S, P), so that optimisers, clipping and checkpoints see vectors.
Rows are padded to whole vector registers: kernels then treat a seed alike, whoever stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

PAD = 16  # floats in the widest vector register


class _Tanh(torch.autograd.Function):
    """tanh x = 2 sigmoid(2x) - 1: the same function, several times quicker than `torch.tanh` on a CPU."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.sigmoid(x * 2).mul_(2).sub_(1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return torch.ops.aten.tanh_backward(grad[0], y)


def tanh(x: Tensor) -> Tensor:
    """tanh of (S, B, width). Sigmoid rounds alike for all seeds only in whole vector registers."""
    return _Tanh.apply(x) if x.dtype == torch.float32 and x.shape[-1] % PAD == 0 else torch.tanh(x)


ACTIVATIONS = {"tanh": tanh, "relu": torch.relu}


class Layer(NamedTuple):
    """One dense layer. With a `gain`: orthogonal weights and zero biases, as SB3's actor-critics start;
    without: uniform in +-1/sqrt(fan_in), PyTorch's own start, as in SB3's DQN."""

    fan_in: int
    fan_out: int
    gain: float | None = None


def mlp(sizes: Sequence[int], gain: float | None = None) -> list[Layer]:
    """A stack of layers: hidden gain sqrt(2), the last `gain`; None starts all uniformly."""
    hidden = None if gain is None else math.sqrt(2)
    widths = list(pairwise(sizes))
    return [Layer(i, o, hidden) for i, o in widths[:-1]] + [Layer(*widths[-1], gain)]


class Network:
    """Named stacks of dense layers with one parameter vector per seed.

    `theta` and `grad` are (S, P); the layers are views into `theta`, and `backward` fills `grad`.
    """

    def __init__(
        self,
        stacks: Mapping[str, Sequence[Layer]],
        generators: Sequence[torch.Generator],
        activation: str = "tanh",
    ):
        self._layers = {name: list(layers) for name, layers in stacks.items()}
        self._activation = ACTIVATIONS[activation]
        self.activation = activation
        n_parameters = sum((fan_in + 1) * fan_out for s in self._layers.values() for fan_in, fan_out, _ in s)
        width = math.ceil(n_parameters / PAD) * PAD
        self._bind(torch.zeros(len(generators), width))
        for k, generator in enumerate(generators):
            for name, layers in self._layers.items():
                for layer, (weight, bias) in zip(layers, self.stacks[name], strict=True):
                    _initialise(layer, weight[k].detach(), bias[k].detach(), generator)

    def _bind(self, theta: Tensor) -> None:
        """Lay the layers into the rows of theta (S, P)."""
        self.theta, self.grad = theta, torch.zeros_like(theta)
        self.stacks: dict[str, list[tuple[Tensor, Tensor]]] = {}
        start = 0
        for name, layers in self._layers.items():
            self.stacks[name] = []
            for fan_in, fan_out, _ in layers:
                end = start + fan_in * fan_out
                weight = self._leaf(start, end, fan_in, fan_out)
                self.stacks[name].append((weight, self._leaf(end, end + fan_out, 1, fan_out)))
                start = end + fan_out

    def _leaf(self, start: int, end: int, *shape: int) -> Tensor:
        return self.theta[:, start:end].unflatten(1, shape).requires_grad_()

    def __call__(self, name: str, x: Tensor) -> Tensor:
        """Run one stack: x (S, B, fan_in) -> (S, B, fan_out); a single output drops its axis: (S, B)."""
        layers = self.stacks[name]
        for weight, bias in layers[:-1]:
            x = self._activation(torch.baddbmm(bias, x, weight))
        return dense(x, *layers[-1])

    @property
    def n_seeds(self) -> int:
        """S."""
        return self.theta.shape[0]

    def backward(self, loss: Tensor) -> None:
        """Fill `grad` with the gradient of each seed's loss, (S,): the seeds' sums are independent."""
        leaves = [leaf for stack in self.stacks.values() for pair in stack for leaf in pair]
        gradients = torch.autograd.grad(loss.sum(), leaves, materialize_grads=True)
        used = sum(leaf[0].numel() for leaf in leaves)
        torch.cat([gradient.flatten(1) for gradient in gradients], 1, out=self.grad[:, :used])

    def clip_grad(self, max_norm: float | None) -> Tensor:
        """Scale each seed's gradient to at most `max_norm`; returns the norms before that, (S,)."""
        norm = self.grad.square().sum(1).sqrt()
        if max_norm is not None:
            self.grad.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0)[:, None])
        return norm

    def copy(self) -> Network:
        """A network of the same shape with its own copy of the parameters."""
        twin = object.__new__(Network)
        twin._layers, twin._activation, twin.activation = self._layers, self._activation, self.activation
        twin._bind(self.theta.clone())
        return twin

    def row(self, k: int) -> Network:
        """Seed k alone, S = 1, on the same memory: for learners whose seeds fall out of step."""
        twin = object.__new__(Network)
        twin._layers, twin._activation, twin.activation = self._layers, self._activation, self.activation
        twin._bind(self.theta[k : k + 1])
        return twin


def _initialise(layer: Layer, weight: Tensor, bias: Tensor, generator: torch.Generator) -> None:
    if layer.gain is None:
        bound = 1 / math.sqrt(layer.fan_in)
        weight.uniform_(-bound, bound, generator=generator)
        bias.uniform_(-bound, bound, generator=generator)
    else:  # as torch.nn.Linear holds it, (fan_out, fan_in), so that rows or columns are orthogonal alike
        start = torch.empty(layer.fan_out, layer.fan_in)
        weight.copy_(nn.init.orthogonal_(start, layer.gain, generator=generator).T)


def dense(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b; a single output is a sum of products, because one-column `baddbmm` rounds by neighbours."""
    if weight.shape[-1] == 1:
        return (x * weight.transpose(1, 2)).sum(-1) + bias.squeeze(-1)
    return torch.baddbmm(bias, x, weight)


class Optimizer:
    """A torch optimiser that holds one parameter vector per seed, with a step count for each.

    A seed that is not due keeps its parameters, moments and count untouched.
    """

    def __init__(self, kind: type[torch.optim.Optimizer], network: Network, **settings: object):
        self._network = network
        self._rows = [row for row in network.theta.detach()]
        self._torch = kind(self._rows, **settings)

    def step(self, learning_rate: float, due: Tensor | None = None) -> None:
        """Follow the gradients of the seeds that are due, (S,) bool; all if None."""
        for k, row in enumerate(self._rows):
            row.grad = self._network.grad[k] if due is None or due[k] else None
        for group in self._torch.param_groups:
            group["lr"] = learning_rate
        self._torch.step()


def adam(network: Network, eps: float = 1e-8) -> Optimizer:
    """Adam, Kingma and Ba 2015; one fused kernel per seed."""
    return Optimizer(torch.optim.Adam, network, lr=1.0, eps=eps, fused=True)


def rmsprop(network: Network, alpha: float = 0.99, eps: float = 1e-5) -> Optimizer:
    """RMSprop with epsilon outside the root, as PyTorch and SB3's A2C have it."""
    return Optimizer(torch.optim.RMSprop, network, lr=1.0, alpha=alpha, eps=eps, foreach=True)


def linear_schedule(value: float, schedule: str, remaining: float) -> float:
    """A value that stays (`constant`) or falls to zero with what remains of the budget (`linear`)."""
    return value * remaining if schedule == "linear" else value
