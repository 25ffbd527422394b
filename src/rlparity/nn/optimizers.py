"""Optimisers with one parameter vector per seed, and target networks that follow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop

from rlparity.nn.networks import Network


def all_alive(n_seeds: int) -> Tensor:
    """(S,) bool, true: no seed has had a loss that was not finite. The optimisers of one agent share it."""
    return torch.ones(n_seeds, dtype=torch.bool)


class Optimizer:
    """PyTorch's functional optimisers on one parameter vector per seed, with moments for each.

    A seed that is frozen or not due keeps its parameters, moments and step count.
    """

    def __init__(self, network: Network, n_moments: int, alive: Tensor | None = None):
        """`alive` (S,) is shared by the optimisers of one agent."""
        self.network = network
        self.alive = all_alive(network.n_seeds) if alive is None else alive
        self._moments = [torch.zeros_like(network.theta) for _ in range(n_moments)]
        self._counts = [torch.zeros(()) for _ in range(network.n_seeds)]

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of each seed's loss, (S,). A seed whose loss is not finite is frozen."""
        self.alive &= loss.isfinite()
        self.network.backward(loss)

    def _due(self, due: Tensor | None) -> Tensor:
        """The seeds that a step is for, (S,) bool."""
        return self.alive if due is None else due & self.alive

    def _rows(self, due: Tensor) -> tuple[list[list[Tensor]], list[Tensor]]:
        """Parameters, gradients and moments of the seeds that are due, and their step counts."""
        table = [self.network.theta.detach(), self.network.grad, *self._moments]
        if due.all():
            return [list(x.unbind(0)) for x in table], self._counts
        seeds = torch.nonzero(due).flatten().tolist()
        return [[x[k] for k in seeds] for x in table], [self._counts[k] for k in seeds]


def backward_row(optimizer: Optimizer, seed: int, row: Network, loss: Tensor) -> None:
    """As `Optimizer.backward`, for one seed: the loss (1,) of `row`, which is `network.row(seed)`."""
    optimizer.alive[seed] &= loss.isfinite().item()
    row.backward(loss)
    optimizer.network.grad[seed] = row.grad[0]


class Adam(Optimizer):
    """Kingma and Ba 2015, arXiv:1412.6980, Algorithm 1, with PyTorch's default decay rates."""

    def __init__(self, network: Network, eps: float = 1e-8, alive: Tensor | None = None):
        super().__init__(network, 2, alive)
        self._eps = eps

    def step(self, learning_rate: float, due: Tensor | None = None) -> None:
        """Follow the gradients of the seeds that are alive and due, (S,) bool; None: due are all."""
        (theta, grad, mean, square), counts = self._rows(self._due(due))
        options: dict[str, Any] = {
            "amsgrad": False,
            "beta1": 0.9,
            "beta2": 0.999,
            "weight_decay": 0.0,
            "maximize": False,
        }
        adam(theta, grad, mean, square, [], counts, fused=True, lr=learning_rate, eps=self._eps, **options)


class RMSprop(Optimizer):
    """Tieleman and Hinton 2012, with epsilon outside the root, as PyTorch and SB3's A2C have it; with `tf`
    inside, and statistics that start at one, as in TensorFlow and SB3's `RMSpropTFLike`."""

    def __init__(
        self,
        network: Network,
        alpha: float = 0.99,
        eps: float = 1e-5,
        tf: bool = False,
        alive: Tensor | None = None,
    ):
        super().__init__(network, 1, alive)
        self._alpha, self._eps, self._tf = alpha, eps, tf
        if tf:
            self._moments[0].fill_(1)

    def step(self, learning_rate: float, due: Tensor | None = None) -> None:
        """Follow the gradients of the seeds that are alive and due, (S,) bool; None: due are all."""
        due = self._due(due)
        if due.all():  # no count enters the step: all seeds are one array
            (square,), network = self._moments, self.network
            rows, counts = [[network.theta.detach()], [network.grad], [square]], self._counts[:1]
        else:
            rows, counts = self._rows(due)
        theta, grad, squares = rows
        if self._tf:
            for parameter, g, square in zip(theta, grad, squares, strict=True):
                square.mul_(self._alpha).addcmul_(g, g, value=1 - self._alpha)
                parameter.addcdiv_(g, square.add(self._eps).sqrt_(), value=-learning_rate)
            return
        rmsprop(
            theta,
            grad,
            squares,
            [],
            [],
            counts,
            foreach=False,
            lr=learning_rate,
            alpha=self._alpha,
            eps=self._eps,
            weight_decay=0.0,
            momentum=0.0,
            centered=False,
        )


def polyak(target: Network, online: Network, tau: float, due: Tensor | None = None) -> None:
    """target <- (1 - tau) target + tau online, for the seeds that are due, (S,) bool; for all if None."""
    slow, fast = target.theta.detach(), online.theta.detach()
    if due is None or due.all():
        slow.lerp_(fast, tau)
        return
    for k in torch.nonzero(due).flatten().tolist():
        slow[k].lerp_(fast[k], tau)
