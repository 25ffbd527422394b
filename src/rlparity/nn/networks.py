"""Seed-wise networks: S independent networks as one batched array program.

Every layer leads with the seed: weights (S, fan_in, fan_out), inputs (S, B, fan_in). The parameters of one
seed lie in one row of `Network.theta` (S, P), so that optimisers, clipping and checkpoints see vectors.
Rows are padded to whole vector registers: kernels then treat a seed alike, whoever stands beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rlparity import registry
from rlparity.nn import onednn_linear

TRUNK = "trunk"  # the stack before all others, where observations are images
PAD = 32  # floats in two of the widest vector registers: kernels take two at a time, the rest one by one
LARGE = 2**22  # from that many multiplications on oneDNN's products are quicker than `bmm`


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

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of one seed's weight and bias."""
        return (self.fan_in, self.fan_out), (1, self.fan_out)

    def start(self, weight: Tensor, bias: Tensor, generator: torch.Generator) -> None:
        """Draw one seed's weight (fan_in, fan_out) and bias."""
        if self.gain is None:
            bound = 1 / math.sqrt(self.fan_in)
            weight.uniform_(-bound, bound, generator=generator)
            bias.uniform_(-bound, bound, generator=generator)
        else:  # as torch.nn.Linear holds it, (fan_out, fan_in), so that rows or columns are orthogonal alike
            drawn = torch.empty(self.fan_out, self.fan_in, device="cpu")
            weight.copy_(nn.init.orthogonal_(drawn, self.gain, generator=generator).T)


Stack = Sequence[Any]  # layers, each with `shapes` and `start`


def mlp(sizes: Sequence[int], gain: float | None = None) -> Stack:
    """A stack of layers: hidden gain sqrt(2), the last `gain`; None starts all uniformly."""
    hidden = None if gain is None else math.sqrt(2)
    widths = list(pairwise(sizes))
    return [Layer(i, o, hidden) for i, o in widths[:-1]] + [Layer(*widths[-1], gain)]


def inputs(
    shape: Sequence[int],
    net_arch: Sequence[int],
    gain: float | None,
    cnn: str = "nature",
    shared_units: bool = True,
) -> tuple[dict[str, Stack], list[int]]:
    """What stands before an agent's heads, and the sizes that each head begins with.

    For vectors nothing, and the input with the hidden layers; for images (channels, height, width) a stack
    `trunk` that all heads share, and the size of its features. Without `shared_units` the dense layer after
    the convolutions belongs to each head.
    """
    if len(shape) != 3:
        return {}, [*shape, *net_arch]
    trunk, sizes = registry.part("convolutions", shape)(shape, gain, cnn, shared_units)
    return {TRUNK: trunk}, sizes


class Network:
    """Named stacks of layers, and named vectors, with one parameter vector per seed.

    `theta` and `grad` are (S, P); the layers are views into `theta`, and `backward` fills `grad`. A vector is
    given as its start, and is (S, 1, length). A stack `trunk` makes features of images for the other stacks,
    see `features`; it may calculate in bfloat16, all else does in float32.

    Stacks are computed in one of two ways. On a CPU, without a trunk, `rlparity.nn.kernel` does it: each pass
    is one node of PyTorch's graph, and there need be no graph where an agent knows the gradient of its loss
    by the outputs (`run`, `pull`). Otherwise they are PyTorch operations.
    """

    DERIVED = ("stacks", "vectors", "grad", "kernel", "_token", "_grad_stacks", "_grad_vectors", "_written")

    def __init__(
        self,
        stacks: Mapping[str, Stack],
        generators: Sequence[torch.Generator],
        activation: str = "tanh",
        vectors: Mapping[str, Sequence[float]] | None = None,
        precision: str = "float32",
    ):
        self._layers = dict(stacks)
        self._lengths = {name: len(start) for name, start in (vectors or {}).items()}
        self._activation = ACTIVATIONS[activation]
        self.activation, self._precision = activation, precision
        shapes = [shape for layers in self._layers.values() for layer in layers for shape in layer.shapes]
        self.n_parameters = sum(map(math.prod, shapes)) + sum(self._lengths.values())
        width = math.ceil(self.n_parameters / PAD) * PAD
        start = torch.zeros(len(generators), width, device="cpu")  # drawn alike for every device
        laid, plain = self.lay(start)
        for k, generator in enumerate(generators):
            for name, layers in self._layers.items():
                for layer, (weight, bias) in zip(layers, laid[name], strict=True):
                    layer.start(weight[k], bias[k], generator)
        for name, values in (vectors or {}).items():
            plain[name].copy_(torch.tensor(values, device="cpu"))
        self._bind(start.to(torch.get_default_device()))

    def _bind(self, theta: Tensor) -> None:
        """Make the rows of theta (S, P) the parameters."""
        self.theta, self.grad = theta, torch.zeros_like(theta)
        self.stacks, self.vectors = self.lay(theta)
        for leaf in self._leaves():
            leaf.requires_grad_()
        self.kernel = self._kernel_stacks()
        self._token = torch.zeros((), requires_grad=True)  # stands for all stacks in PyTorch's graph
        self._grad_stacks, self._grad_vectors = self.lay(self.grad)
        self._written: set[str] = set()  # stacks whose part of `grad` this backward pass has begun

    def _kernel_stacks(self) -> dict[str, Any]:
        """The stacks as `rlparity.nn.kernel` computes them; empty where PyTorch does."""
        if self.has_trunk or self.theta.device.type != "cpu":
            return {}
        kernel = registry.part("kernel")
        if not kernel.supports(self.theta):
            return {}
        found, start = {}, 0
        for name, layers in self._layers.items():
            sizes = [layers[0].fan_in, *(layer.fan_out for layer in layers)]
            found[name] = kernel(sizes, start, self.activation, self.theta.dtype)
            start += sum(math.prod(shape) for layer in layers for shape in layer.shapes)
        return found

    def lay(self, theta: Tensor) -> tuple[dict[str, list[tuple[Tensor, Tensor]]], dict[str, Tensor]]:
        """The rows of theta (S, P) as weights and biases of every stack, and as vectors."""
        stacks: dict[str, list[tuple[Tensor, Tensor]]] = {}
        start = 0

        def leaf(*shape: int) -> Tensor:
            nonlocal start
            start += math.prod(shape)
            return theta[:, start - math.prod(shape) : start].unflatten(1, shape)

        for name, layers in self._layers.items():
            stacks[name] = [(leaf(*weight), leaf(*bias)) for weight, bias in (each.shapes for each in layers)]
        return stacks, {name: leaf(1, length) for name, length in self._lengths.items()}

    def _leaves(self) -> list[Tensor]:
        layers = [leaf for stack in self.stacks.values() for pair in stack for leaf in pair]
        return [*layers, *self.vectors.values()]

    @property
    def has_trunk(self) -> bool:
        """Whether observations are images, whose features the heads share."""
        return TRUNK in self._layers

    def features(self, obs: Tensor) -> Tensor:
        """The input of the heads: vectors as they are; of images (S, B, C, H, W) the trunk's output."""
        trunk: Any = self._layers.get(TRUNK)
        return obs if trunk is None else trunk.features(obs, self.stacks[TRUNK], self._precision)

    def __call__(self, name: str, x: Tensor, constant: bool = False) -> Tensor:
        """Run one stack: x (S, B, fan_in) -> (S, B, fan_out); a single output drops its axis: (S, B).

        The parameters of a `constant` stack get no gradient, which saves its cost where only x needs one.
        """
        if not self.kernel:
            y = self._operations(name, x, constant)
        elif torch.is_grad_enabled():
            y = _Pass.apply(self, name, x, None if constant else self._token)
        else:
            y = self.kernel[name].infer(self.theta, x)
        return y.squeeze(-1) if y.shape[-1] == 1 else y

    def _operations(self, name: str, x: Tensor, constant: bool) -> Tensor:
        layers = self.stacks[name]
        if constant:
            layers = [(weight.detach(), bias.detach()) for weight, bias in layers]
        through, n = onednn_linear.span(x, layers), len(layers)
        for i in range(n):
            if i not in through:
                x = dense(x, *layers[i])
                x = x if i == n - 1 else self._activation(x)
            elif i == through.start:
                last = "none" if through.stop == n else self.activation
                x = onednn_linear.stack(x, layers[i : through.stop], self.activation, last)
        return x

    def run(self, name: str, x: Tensor) -> tuple[Tensor, Any]:
        """As `__call__` without a graph of its own, and what `pull` needs of it."""
        if self.kernel:
            y, tape = self.kernel[name].run(self.theta.detach(), x)
        else:
            with torch.enable_grad():
                y = tape = self._operations(name, x, constant=False)
            y = y.detach()
        return y.squeeze(-1) if y.shape[-1] == 1 else y, tape

    def pull(self, name: str, tape: Any, by_output: Tensor) -> None:
        """Write the gradient of one stack's parameters into `grad`, given the loss's by its output."""
        by_output = by_output.reshape(*by_output.shape[:2], -1)
        if self.kernel:
            self.kernel[name].pull(self.theta.detach(), tape, by_output, self.grad)
            return
        leaves = [leaf for layer in self.stacks[name] for leaf in layer]
        targets = [leaf for layer in self._grad_stacks[name] for leaf in layer]
        for target, gradient in zip(targets, torch.autograd.grad(tape, leaves, by_output), strict=True):
            target.copy_(gradient)

    def pull_vector(self, name: str, gradient: Tensor) -> None:
        """Write the gradient (S, length) of a named vector into `grad`."""
        self._grad_vectors[name].copy_(gradient.view_as(self._grad_vectors[name]))

    @property
    def n_seeds(self) -> int:
        """S."""
        return self.theta.shape[0]

    def backward(self, loss: Tensor) -> None:
        """Fill `grad` with the gradient of each seed's loss, (S,): the seeds' sums are independent."""
        if not self.kernel:
            gradients = torch.autograd.grad(loss.sum(), self._leaves(), materialize_grads=True)
            torch.cat(
                [gradient.flatten(1) for gradient in gradients], 1, out=self.grad[:, : self.n_parameters]
            )
            return
        self._written.clear()
        leaves = [self._token, *self.vectors.values()]
        _, *by_vector = torch.autograd.grad(loss.sum(), leaves, materialize_grads=True)
        for name, gradient in zip(self.vectors, by_vector, strict=True):
            self.pull_vector(name, gradient)
        for name in self.kernel.keys() - self._written:
            for leaf in (leaf for layer in self._grad_stacks[name] for leaf in layer):
                leaf.zero_()

    def pull_in_graph(
        self, name: str, tape: Any, by_output: Tensor, wish_x: bool, constant: bool
    ) -> Tensor | None:
        """As `pull`, from a node of PyTorch's graph: gradients of one backward pass are added up."""
        grad, add = None if constant else self.grad, name in self._written
        if not constant:
            self._written.add(name)
        found: Tensor | None = self.kernel[name].pull(self.theta.detach(), tape, by_output, grad, add, wish_x)
        return found

    def clip_grad(self, max_norm: float | None) -> Tensor:
        """Scale each seed's gradient to at most `max_norm`; returns the norms before that, (S,)."""
        norm = torch.linalg.vector_norm(self.grad, dim=1)
        if max_norm is not None:
            self.grad.mul_((max_norm / (norm + 1e-6)).clamp(max=1.0)[:, None])
        return norm

    def copy(self) -> Self:
        """A network of the same shape with its own copy of the parameters."""
        return self._view(self.theta.detach().clone())

    def row(self, k: int) -> Self:
        """Seed k alone, S = 1, on the same memory: for learners whose seeds fall out of step."""
        return self._view(self.theta[k : k + 1])

    def _view(self, theta: Tensor) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._bind(theta)
        return other


class _Pass(torch.autograd.Function):
    """A stack's passes as one node of PyTorch's graph. It can be differentiated once."""

    @staticmethod
    def forward(ctx: Any, network: Network, name: str, x: Tensor, token: Tensor | None) -> Tensor:
        y, ctx.tape = network.kernel[name].run(network.theta.detach(), x)
        ctx.save_for_backward(network.theta)  # which must not change before `backward`: PyTorch looks
        ctx.network, ctx.name, ctx.constant = network, name, token is None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by_output: Tensor) -> tuple[Tensor | None, ...]:
        _ = ctx.saved_tensors
        wish_x = ctx.needs_input_grad[2]
        by_x = ctx.network.pull_in_graph(ctx.name, ctx.tape, by_output[0], wish_x, ctx.constant)
        return None, None, by_x, None


def dense(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x W + b, written out for a single output or input, where `baddbmm` rounds by neighbours."""
    if weight.shape[-1] == 1:
        return (x * weight.transpose(1, 2)).sum(-1, keepdim=True) + bias
    if weight.shape[-2] == 1:
        return x * weight + bias
    return torch.baddbmm(bias, x, weight)


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x W for each seed, (S, M, K) and (S, K, N) -> (S, M, N), without a graph; large ones through oneDNN."""
    if weight.shape[-1] == 1:
        return (x * weight.mT).sum(-1, keepdim=True)
    if x.shape[1] * weight.shape[1] * weight.shape[2] >= LARGE and onednn_linear.supports(x):
        return torch.stack([onednn_linear.product(*row) for row in zip(x, weight.mT, strict=True)])
    return torch.bmm(x, weight)
