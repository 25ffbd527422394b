"""Networks of one seed in float64, run on one observation at a time, and the optimisers that they learn with.

Nothing of `rlparity.nn` computes here: weights are copied from it, and that is all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from rlparity.nn.networks import Network

FUNCTIONS = {"tanh": torch.tanh, "relu": torch.relu}
TRUNK = "trunk"
STRIDES = (4, 2, 1)  # of the convolutions of Mnih et al. 2015, of which those of 2013 are the first two
WHITE = 255.0


class PlainNetwork:
    """Stacks of dense layers, y = x W + b with a function between, as copies of one seed's parameters."""

    def __init__(self, network: Network, seed: int):
        stacks, vectors = network.lay(network.theta.detach())
        self._function = FUNCTIONS[network.activation]
        self.layers = {
            name: [(_leaf(weight[seed]), _leaf(bias[seed])) for weight, bias in layers]
            for name, layers in stacks.items()
        }
        self.vectors = {name: _leaf(vector[seed, 0]) for name, vector in vectors.items()}
        self.last: list[Tensor] | None = None  # the gradient that was followed last

    def __call__(self, name: str, x: Tensor) -> Tensor:
        """One stack's output (fan_out,) for one input (fan_in,)."""
        layers = self.layers[name]
        for i, (weight, bias) in enumerate(layers):
            x = x @ weight + bias.flatten()
            x = x if i == len(layers) - 1 else self._function(x)
        return x

    def features(self, obs: Tensor) -> Tensor:
        """An observation as the stacks take it: a vector as it is; an image (C, H, W) of bytes in [0, 1]
        through the rectified convolutions and dense layers of the trunk (Mnih et al. 2015, Methods)."""
        if TRUNK not in self.layers:
            return obs
        x = obs.double() / WHITE
        for i, (weight, bias) in enumerate(self.layers[TRUNK]):
            if weight.dim() == 4:
                x = torch.relu(F.conv2d(x[None], weight, bias, stride=STRIDES[i])[0])
            else:
                x = torch.relu(x.flatten() @ weight + bias.flatten())
        return x.flatten()

    def parameters(self) -> list[Tensor]:
        """All of them, in one order."""
        dense = [leaf for layers in self.layers.values() for pair in layers for leaf in pair]
        return [*dense, *self.vectors.values()]

    def copy_from(self, other: PlainNetwork) -> None:
        """Take over the parameters of another network of the same shape."""
        for mine, its in zip(self.parameters(), other.parameters(), strict=True):
            mine.data.copy_(its.data)

    def gradient(self, loss: Tensor) -> list[Tensor]:
        """The gradient of a loss () by `parameters`."""
        return list(torch.autograd.grad(loss, self.parameters(), materialize_grads=True))


def _leaf(values: Tensor) -> Tensor:
    return values.detach().double().clone().requires_grad_()


def names(network: Network) -> list[str]:
    """What the tensors of `PlainNetwork.parameters` are called."""
    stacks, vectors = network.lay(network.theta.detach())
    found = []
    for name, layers in stacks.items():
        for i in range(len(layers)):
            found += [f"weight {i + 1} of {name}", f"bias {i + 1} of {name}"]
    return [*found, *vectors]


def parts(network: Network, values: Tensor, seed: int) -> list[Tensor]:
    """Parameters or gradients (S, P) of one seed, as `PlainNetwork.parameters` has them."""
    stacks, vectors = network.lay(values.detach())
    dense = [leaf[seed] for layers in stacks.values() for pair in layers for leaf in pair]
    return [*dense, *(vector[seed, 0] for vector in vectors.values())]


def clipped(gradient: Sequence[Tensor], most: float | None) -> tuple[list[Tensor], Tensor]:
    """A gradient scaled to the norm `most` where it is longer, as PyTorch does it, and its norm before."""
    norm = torch.stack([(g * g).sum() for g in gradient]).sum().sqrt()
    scale = 1.0 if most is None else min(1.0, most / (norm.item() + 1e-6))
    return [g * scale for g in gradient], norm


class PlainAdam:
    """Kingma and Ba 2015, Algorithm 1."""

    def __init__(self, network: PlainNetwork, eps: float = 1e-8):
        self._network, self._eps, self._steps = network, eps, 0
        self._m = [torch.zeros_like(p) for p in network.parameters()]
        self._v = [torch.zeros_like(p) for p in network.parameters()]

    def step(self, gradient: Sequence[Tensor], rate: float) -> None:
        """theta <- theta - alpha m_hat / (sqrt(v_hat) + epsilon)."""
        self._steps, self._network.last = self._steps + 1, list(gradient)
        for i, (theta, g) in enumerate(zip(self._network.parameters(), gradient, strict=True)):
            self._m[i] = 0.9 * self._m[i].detach() + 0.1 * g
            self._v[i] = 0.999 * self._v[i].detach() + 0.001 * g * g
            m_hat = self._m[i] / (1 - 0.9**self._steps)
            v_hat = self._v[i] / (1 - 0.999**self._steps)
            theta.data.sub_(rate * m_hat / (v_hat.sqrt() + self._eps))


class PlainRMSprop:
    """Tieleman and Hinton 2012, Lecture 6.5: v <- 0.99 v + 0.01 g^2; theta <- theta - alpha g / sqrt(v), with
    epsilon beside the root, or inside it with `tf`, where v starts at one."""

    def __init__(self, network: PlainNetwork, eps: float, tf: bool):
        self._network, self._eps, self._tf = network, eps, tf
        self._v = [torch.full_like(p, float(tf)).detach() for p in network.parameters()]

    def step(self, gradient: Sequence[Tensor], rate: float) -> None:
        """One step against the gradient."""
        self._network.last = list(gradient)
        for i, (theta, g) in enumerate(zip(self._network.parameters(), gradient, strict=True)):
            self._v[i] = 0.99 * self._v[i] + 0.01 * g * g
            root = (self._v[i] + self._eps).sqrt() if self._tf else self._v[i].sqrt() + self._eps
            theta.data.sub_(rate * g / root)
