"""J, the derivative of a stack's outputs by its parameters at fixed inputs, as two products: J v and J^T u.

The Gauss-Newton matrix J^T H J of a mean divergence is its Hessian where the two policies are the same, since
the divergence is flat there (Schulman et al. 2015, arXiv:1502.05477, appendix C.1; Schraudolph 2002). Both
products take what one forward pass has left behind: no graph is built and nothing is differentiated twice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rlparity.nn.networks import ACTIVATIONS, Network, dense, product
from rlparity.nn.onednn_linear import SLOPES


class Jacobian:
    """J of the stack `name` at x (S, B, fan_in); `y` (S, B, fan_out) are the outputs.

    Vectors v (S, P) are laid out as `Network.theta` is.
    """

    @torch.no_grad()
    def __init__(self, network: Network, name: str, x: Tensor):
        self.network, self._name = network, name
        self._inputs, self._times_slope = [x], SLOPES[network.activation]
        *hidden, last = network.stacks[name]
        for layer in hidden:
            x = ACTIVATIONS[network.activation](dense(x, *layer))
            self._inputs.append(x)
        self.y = dense(x, *last)
        self._transposed = [x.mT.contiguous() for x in self._inputs]

    def _layers(self, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        return self.network.lay(rows)[0][self._name]

    @torch.no_grad()
    def push(self, v: Tensor) -> Tensor:
        """J v: how the outputs change with the parameters; (S, P) -> (S, B, fan_out)."""
        changes = zip(self._inputs, self._layers(v), strict=True)
        tangents = [product(x, weight).add_(bias) for x, (weight, bias) in changes]
        for i, (weight, _) in enumerate(self.network.stacks[self._name][1:]):
            tangent = self._times_slope(tangents[i], self._inputs[i + 1])
            tangents[i + 1].add_(product(tangent, weight))
        return tangents[-1]

    @torch.no_grad()
    def pull(self, u: Tensor) -> Tensor:
        """J^T u, summed over the batch: (S, B, fan_out) -> (S, P)."""
        rows = torch.zeros_like(self.network.theta)
        layers = list(zip(self.network.stacks[self._name], self._layers(rows), strict=True))
        for i in range(len(layers) - 1, -1, -1):
            (weight, _), (into_weight, into_bias) = layers[i]
            into_weight.copy_(product(self._transposed[i], u))
            into_bias.copy_(u.sum(1, keepdim=True))
            if i:
                u = self._times_slope(product(u, weight.mT), self._inputs[i])
        return rows
