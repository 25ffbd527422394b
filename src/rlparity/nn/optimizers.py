"""Optimisers with one parameter vector per seed, and target networks that follow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop

from rlparity import registry
from rlparity.nn.networks import Network


def all_alive(n_seeds: int) -> Tensor:
    """(S,) bool, true: no seed has had a loss that was not finite. The optimisers of one agent share it."""
    return torch.ones(n_seeds, dtype=torch.bool)


def by_mask(theta: Tensor) -> bool:
    """Whether seeds that are not due are left out without a look at them: not on a CPU, see
    `rlparity.nn.masked_steps`."""
    return theta.device.type != "cpu"


class Optimizer:
    """PyTorch's functional optimisers on one parameter vector per seed, with moments for each.

    A seed that is frozen or not due keeps its parameters, moments and step count.
    """

    def __init__(self, network: Network, n_moments: int, alive: Tensor | None = None):
        """`alive` (S,) is shared by the optimisers of one agent."""
        self.network = network
        self.alive = all_alive(network.n_seeds) if alive is None else alive
        self._moments = [torch.zeros_like(network.theta) for _ in range(n_moments)]
        self._counts = torch.zeros(network.n_seeds)  # steps taken

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
        counts = list(self._counts.unbind())
        if due.all():
            return [list(x.unbind(0)) for x in table], counts
        seeds = torch.nonzero(due).flatten().tolist()
        return [[x[k] for k in seeds] for x in table], [counts[k] for k in seeds]


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

    def step(self, learning_rate: float, due: Tensor | None = None, max_norm: float | None = None) -> Tensor:
        """Clip gradients to `max_norm` and follow those of the seeds that are alive and due, (S,) bool.

        Without `due` all are. Returns the norms before clipping, (S,). A seed with one not finite freezes.
        """
        network, due = self.network, self._due(due)
        if network.kernel:
            rows = network.theta.detach(), network.grad, self._moments, due, self._counts
            norm: Tensor = registry.part("kernel").clip_adam(*rows, learning_rate, self._eps, max_norm)
            self.alive &= norm.isfinite() | ~due
            return norm
        norm = network.clip_grad(max_norm)
        self.alive &= norm.isfinite() | ~due
        due = due & self.alive
        if by_mask(network.theta):
            state = network.theta.detach(), network.grad, self._moments, self._counts
            registry.part("masked adam")(*state, due, learning_rate, self._eps)
            return norm
        (theta, grad, mean, square), counts = self._rows(due)
        options: dict[str, Any] = {
            "amsgrad": False,
            "beta1": 0.9,
            "beta2": 0.999,
            "weight_decay": 0.0,
            "maximize": False,
        }
        adam(theta, grad, mean, square, [], counts, fused=True, lr=learning_rate, eps=self._eps, **options)
        return norm


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

    def step(self, learning_rate: float, due: Tensor | None = None, max_norm: float | None = None) -> Tensor:
        """As `Adam.step`."""
        network, due = self.network, self._due(due)
        norm = network.clip_grad(max_norm)
        self.alive &= norm.isfinite() | ~due
        due, (square,) = due & self.alive, self._moments
        if by_mask(network.theta):
            how = learning_rate, self._alpha, self._eps, self._tf
            registry.part("masked rmsprop")(network.theta.detach(), network.grad, square, due, *how)
            return norm
        if due.all():  # no count enters the step: all seeds are one array
            rows, counts = [[network.theta.detach()], [network.grad], [square]], list(self._counts[:1])
        else:
            rows, counts = self._rows(due)
        theta, grad, squares = rows
        if self._tf:
            for parameter, g, square in zip(theta, grad, squares, strict=True):
                square.mul_(self._alpha).addcmul_(g, g, value=1 - self._alpha)
                parameter.addcdiv_(g, square.add(self._eps).sqrt_(), value=-learning_rate)
            return norm
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
        return norm


def polyak(target: Network, online: Network, tau: float, due: Tensor | None = None) -> None:
    """target <- (1 - tau) target + tau online, for the seeds that are due, (S,) bool; for all if None."""
    slow, fast = target.theta.detach(), online.theta.detach()
    if due is not None and by_mask(slow):
        registry.part("masked lerp")(slow, fast, tau, due)
        return
    if due is None or due.all():
        slow.lerp_(fast, tau)
        return
    for k in torch.nonzero(due).flatten().tolist():
        slow[k].lerp_(fast[k], tau)
