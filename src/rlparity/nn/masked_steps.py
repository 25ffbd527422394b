"""Steps of optimisers and of target networks that look at no number: a mask says which seeds they change.

On a GPU a look at a value waits for the device, and a recorded graph of operations cannot hold it. Every
array is changed in place. Arrays of parameters, gradients and moments are (S, P).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Rate = float | Tensor  # a tensor () where a recorded graph is to take another with each replay


def adam(
    theta: Tensor,
    grad: Tensor,
    moments: Sequence[Tensor],
    counts: Tensor,
    due: Tensor,
    rate: Rate,
    eps: float,
) -> None:
    """Kingma and Ba 2015, Algorithm 1, of the seeds that are due (S,) bool; `counts` (S,) are their steps."""
    mean, square = moments
    counts += due
    first = torch.lerp(mean, grad, 0.1)
    second = (square * 0.999).addcmul_(grad, grad, value=0.001)
    steps = counts.double()
    size = (rate / (1 - 0.9**steps)).to(theta.dtype)[:, None]
    correction = (1 - 0.999**steps).sqrt().to(theta.dtype)[:, None]
    after = theta - size * first / (second.sqrt() / correction + eps)
    put(due, (theta, after), (mean, first), (square, second))


def rmsprop(
    theta: Tensor,
    grad: Tensor,
    square: Tensor,
    due: Tensor,
    rate: Rate,
    alpha: float,
    eps: float,
    tf: bool,
) -> None:
    """As `rlparity.nn.optimizers.RMSprop`, of the seeds that are due (S,) bool."""
    after = (square * alpha).addcmul_(grad, grad, value=1 - alpha)
    scale = (after + eps).sqrt() if tf else after.sqrt() + eps
    put(due, (theta, theta - rate * grad / scale), (square, after))


def lerp(target: Tensor, online: Tensor, tau: float, due: Tensor) -> None:
    """target <- (1 - tau) target + tau online, of the seeds that are due (S,) bool."""
    put(due, (target, torch.lerp(target, online, tau)))


def put(due: Tensor, *changes: tuple[Tensor, Tensor]) -> None:
    """Write the new rows of every (old, new) pair over the old ones where `due` (S,) is true."""
    for old, new in changes:
        old.copy_(torch.where(due[:, None], new, old))
