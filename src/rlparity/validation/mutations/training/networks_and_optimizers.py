"""Bugs of networks, of their gradients and starts, and of optimisers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rlparity.nn import networks, onednn_linear, optimizers
from rlparity.nn.networks import Network
from rlparity.objectives import schedules
from rlparity.validation.mutations import by_graph
from rlparity.validation.mutations.mutation import MutationSet, Patch

bug = MutationSet(source="own")


def adam(patch: Patch, step: Any) -> None:
    """Another Adam: `step(mean, square, count, options)` is what a parameter loses, before the rate."""

    def steps(theta: Any, grad: Any, means: Any, squares: Any, _: Any, counts: Any, **options: Any) -> None:
        b1, b2 = options["beta1"], options["beta2"]
        for parameter, g, mean, square, count in zip(theta, grad, means, squares, counts, strict=True):
            count += 1
            mean.lerp_(g, 1 - b1)
            square.mul_(b2).addcmul_(g, g, value=1 - b2)
            parameter.sub_(options["lr"] * step(mean, square, float(count), options))

    by_graph.adam(patch, steps)


@bug(
    "W1",
    "Adam corrects the first moment for its bias, the second not",
    "dqn CartPole-v1",
    hides="many updates",
)
def w1(patch: Patch) -> None:
    adam(patch, lambda m, v, t, c: m / (1 - c["beta1"] ** t) / (v.sqrt() + c["eps"]))


@bug(
    "W2", "Adam has its epsilon inside the root", "ppo CartPole-v1", "optax#532, on RMSprop", "a tiny epsilon"
)
def w2(patch: Patch) -> None:
    def step(m: Tensor, v: Tensor, t: float, c: Any) -> Tensor:
        return m / (1 - c["beta1"] ** t) / (v / (1 - c["beta2"] ** t) + c["eps"]).sqrt()

    adam(patch, step)


@bug("W3", "Adam divides by the mean square, not by its root", "sac Pendulum-v1")
def w3(patch: Patch) -> None:
    def step(m: Tensor, v: Tensor, t: float, c: Any) -> Tensor:
        return m / (1 - c["beta1"] ** t) / (v / (1 - c["beta2"] ** t) + c["eps"])

    adam(patch, step)


@bug("W4", "gradients are clipped number by number, not by their norm", "ppo CartPole-v1")
def w4(patch: Patch) -> None:
    def clip_grad(self: Any, max_norm: float | None) -> Tensor:
        norm = torch.linalg.vector_norm(self.grad, dim=1)
        if max_norm is not None:
            self.grad.clamp_(-max_norm, max_norm)
        return norm

    by_graph.clip_grad(patch, clip_grad)


@bug("W5", "each layer's gradient is clipped by its own norm", "a2c CartPole-v1")
def w5(patch: Patch) -> None:
    def clip_grad(self: Any, max_norm: float | None) -> Tensor:
        norm = torch.linalg.vector_norm(self.grad, dim=1)
        for leaf in (leaf for stack in self._grad_stacks.values() for layer in stack for leaf in layer):
            if max_norm is not None:
                own = torch.linalg.vector_norm(leaf.flatten(1), dim=1)
                leaf.mul_((max_norm / (own + 1e-6)).clamp(max=1.0)[:, None, None])
        return norm

    patch.replace(Network, "clip_grad", clip_grad)


@bug(
    "W6",
    "small gradients are scaled up to the norm that large ones are clipped to",
    "ppo Pendulum-v1",
    hides="large gradients",
)
def w6(patch: Patch) -> None:
    def clip_grad(self: Any, max_norm: float | None) -> Tensor:
        norm = torch.linalg.vector_norm(self.grad, dim=1)
        if max_norm is not None:
            self.grad.mul_((max_norm / (norm + 1e-6))[:, None])
        return norm

    by_graph.clip_grad(patch, clip_grad)


@bug("W7", "gradients are not clipped at all", "ppo CartPole-v1", hides="small gradients")
def w7(patch: Patch) -> None:
    patch.wrap(
        optimizers.Adam, "step", lambda step, self, rate, due=None, max_norm=None: step(self, rate, due)
    )


@bug("W8", "gradients add to those of the update before: they are not set to zero", "a2c CartPole-v1")
def w8(patch: Patch) -> None:
    def around(backward: Any, self: Any, loss: Tensor) -> None:
        before = self.grad.clone()
        backward(self, loss)
        self.grad.add_(before)

    patch.wrap(Network, "backward", around)


@bug("W9", "the gradient of biases is a mean over the rows, that of weights a sum", "ppo CartPole-v1")
def w9(patch: Patch) -> None:
    def around(pull: Any, self: Any, name: str, tape: Any, by_output: Tensor) -> None:
        pull(self, name, tape, by_output)
        for _, bias in self._grad_stacks[name]:
            bias.div_(by_output.shape[1])

    patch.wrap(Network, "pull", around)


class _Tanh(torch.autograd.Function):
    """tanh, with 1 - y for its slope."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return grad[0] * (1 - y)


class _Relu(torch.autograd.Function):
    """relu, with 1 for its slope everywhere."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.relu(x)

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> Tensor:
        return grad[0]


def activation(patch: Patch, name: str, function: Any, slope: Any) -> None:
    """Let PyTorch compute all stacks, with another activation; `slope(grad, y)` is its backward pass."""
    patch.replace(networks, "ACTIVATIONS", {**networks.ACTIVATIONS, name: function})
    patch.replace(onednn_linear, "SLOPES", {**onednn_linear.SLOPES, name: slope})
    patch.replace(Network, "_kernel_stacks", lambda self: {})


@bug("W10", "the slope of tanh is 1 - y, not 1 - y^2", "ppo Pendulum-v1", hides="networks of relu")
def w10(patch: Patch) -> None:
    activation(patch, "tanh", _Tanh.apply, lambda grad, y: grad * (1 - y))


@bug("W11", "gradients pass through units of relu that are off", "dqn CartPole-v1", hides="networks of tanh")
def w11(patch: Patch) -> None:
    activation(patch, "relu", _Relu.apply, lambda grad, y: grad)


@bug(
    "W12",
    "no gradient is written for log sigma: it stays where it started",
    "ppo Pendulum-v1",
    hides="discrete actions",
)
def w12(patch: Patch) -> None:
    patch.replace(Network, "pull_vector", lambda self, name, gradient: None)


@bug("W13", "hidden layers start with gain 1, not sqrt(2)", "ppo CartPole-v1", hides="copied weights")
def w13(patch: Patch) -> None:
    def around(mlp: Any, sizes: Any, gain: float | None = None) -> Any:
        found = mlp(sizes, gain)
        hidden = [layer._replace(gain=None if gain is None else 1.0) for layer in found[:-1]]
        return [*hidden, found[-1]]

    patch.wrap(networks, "mlp", around)


@bug(
    "W14",
    "layers start within 1 / sqrt(fan_out), not 1 / sqrt(fan_in)",
    "dqn CartPole-v1",
    hides="copied weights",
)
def w14(patch: Patch) -> None:
    def around(start: Any, self: Any, weight: Tensor, bias: Tensor, generator: Any) -> None:
        start(self, weight, bias, generator)
        if self.gain is None:
            factor = (self.fan_in / self.fan_out) ** 0.5
            weight.mul_(factor)
            bias.mul_(factor)

    patch.wrap(networks.Layer, "start", around)


@bug(
    "W15",
    "the critic starts as the actor does, with a last layer of gain 0.01",
    "a2c CartPole-v1",
    hides="copied weights",
)
def w15(patch: Patch) -> None:
    def around(mlp: Any, sizes: Any, gain: float | None = None) -> Any:
        return mlp(sizes, 0.01 if gain == 1.0 else gain)

    patch.wrap(networks, "mlp", around)


@bug(
    "W16",
    "linear schedules end at a tenth of their start, not at zero",
    "ppo CartPole-v1",
    hides="short runs",
)
def w16(patch: Patch) -> None:
    def around(scheduled: Any, value: float, kind: str, remaining: Any) -> Any:
        return scheduled(value, kind, 0.1 + 0.9 * remaining)

    patch.wrap(schedules, "scheduled", around)


@bug("W17", "RMSprop forgets with 0.9, not with 0.99", "a2c CartPole-v1")
def w17(patch: Patch) -> None:
    def around(build: Any, self: Any, network: Any, **options: Any) -> None:
        build(self, network, alpha=0.9, **options)

    patch.wrap(optimizers.RMSprop, "__init__", around)


MUTATIONS = bug.mutations
