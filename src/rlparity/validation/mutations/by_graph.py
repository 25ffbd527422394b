"""Ways round what our agents compute by hand, so that a mutated loss or optimiser step is wrong throughout.

Where an agent knows its loss's gradient in closed form, the gradient of a mutated loss comes from PyTorch's
graph. Where a compiled kernel clips and steps, a mutation lets PyTorch do it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rlparity.nn import optimizers
from rlparity.nn.distributions import gaussian
from rlparity.validation.mutations.mutation import Patch


def gradients(function: Callable[..., Tensor], *at: Tensor) -> tuple[Tensor, ...]:
    """The gradients of a function's sum by all its arguments; zero where it does not depend on one."""
    with torch.enable_grad():
        leaves = [x.detach().clone().requires_grad_() for x in at]
        return torch.autograd.grad(function(*leaves).sum(), leaves, allow_unused=True, materialize_grads=True)


def clipped_slope(objective: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """PPO's `clipped_slope` of another objective."""

    def slope(ratio: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        return gradients(lambda r: objective(r, advantage, epsilon), ratio)[0]

    return slope


def td_slope(td_loss: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., Tensor]:
    """DQN's `td_slope` of another loss: one action, whose value is Q(s, a)."""

    def slope(q: Tensor, y: Tensor, loss: str, weight: Tensor | float = 1.0) -> Tensor:
        only = torch.zeros_like(q, dtype=torch.long)
        return gradients(lambda each: td_loss(each.unsqueeze(-1), only, y, loss, weight)[0], q)[0]

    return slope


def gaussian_slopes(patch: Patch) -> None:
    """Let a Gaussian's slopes follow from its `log_prob` and `entropy`, which are to be mutated."""

    def slopes(
        mean: Tensor, log_std: Tensor, action: Tensor, by_log_prob: Tensor, by_entropy: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        def total(mean: Tensor, log_std: Tensor) -> Tensor:
            found = by_log_prob * gaussian.log_prob(mean, log_std, action)
            return found if by_entropy is None else found + by_entropy * gaussian.entropy(log_std)

        by_mean, by_log_std = gradients(total, mean, log_std)
        return by_mean, by_log_std.squeeze(1)

    patch.replace(gaussian, "slopes", slopes)


def adam(patch: Patch, step: Callable[..., None]) -> None:
    """Replace PyTorch's Adam by `step`, and let it step for all networks."""

    def without_kernel(original: Any, self: Any, *arguments: Any) -> Tensor:
        kernel, self.network.kernel = self.network.kernel, {}
        try:
            norm: Tensor = original(self, *arguments)
        finally:
            self.network.kernel = kernel
        return norm

    patch.replace(optimizers, "adam", step)
    patch.wrap(optimizers.Adam, "step", without_kernel)


def clip_grad(patch: Patch, clip: Callable[[Any, float | None], Tensor]) -> None:
    """Replace the clipping of a network's gradients, also where Adam's kernel would do it."""

    def clipped(step: Any, self: Any, rate: float, due: Any = None, max_norm: float | None = None) -> Tensor:
        norm: Tensor = self.network.clip_grad(max_norm)
        step(self, rate, due, None)
        return norm

    patch.replace(optimizers.Network, "clip_grad", clip)
    patch.wrap(optimizers.Adam, "step", clipped)


def without_bursts(patch: Patch, agent: Any) -> None:
    """Let DQN draw every minibatch, and compute its targets, after the update before."""

    def around(build: Any, self: Any, *arguments: Any) -> None:
        build(self, *arguments)
        self.burst = 1

    patch.wrap(agent, "__init__", around)
