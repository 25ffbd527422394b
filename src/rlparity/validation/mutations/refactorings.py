"""Equivalent rewrites, with the same numbers up to rounding: no layer may raise an alarm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.nn import networks, optimizers
from rlparity.nn.distributions import categorical, gaussian
from rlparity.nn.networks import Network
from rlparity.objectives import targets
from rlparity.validation.mutations import by_graph
from rlparity.validation.mutations.mutation import MutationSet, Patch

ppo, a2c, dqn, trpo = (agents.module(name) for name in ("ppo", "a2c", "dqn", "trpo"))
refactoring = MutationSet("refactoring", source="own")


@refactoring("F1", "means over a minibatch are summed from its other end", "ppo CartPole-v1")
def f1(patch: Patch) -> None:
    def around(differentiate: Any, self: Any, batch: Any, *rest: Any, **keywords: Any) -> Any:
        return differentiate(self, ppo.Batch(*(field.flip(1) for field in batch)), *rest, **keywords)

    patch.wrap(ppo.PPO, "differentiate", around)


@refactoring("F2", "dense layers are einsum and addition, not baddbmm", "ppo Pendulum-v1")
def f2(patch: Patch) -> None:
    def dense(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.einsum("sbi,sio->sbo", x, weight) + bias

    patch.replace(networks, "dense", dense)
    patch.replace(Network, "_kernel_stacks", lambda self: {})


@refactoring("F3", "log-softmax is logits minus the logarithm of summed exponentials", "a2c CartPole-v1")
def f3(patch: Patch) -> None:
    def log_prob_and_entropy(logits: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        shifted = logits - logits.amax(-1, keepdim=True).detach()
        normaliser = shifted.exp().sum(-1).log()
        p = shifted.exp() / normaliser.exp().unsqueeze(-1)
        log_prob = shifted.gather(-1, action.unsqueeze(-1)).squeeze(-1) - normaliser
        return log_prob, normaliser - (p * shifted).sum(-1)

    patch.replace(categorical, "log_prob_and_entropy", log_prob_and_entropy)


@refactoring("F4", "generalised advantages are one product with a triangle of decays", "ppo CartPole-v1")
def f4(patch: Patch) -> None:
    def gae(
        reward: Tensor,
        value: Tensor,
        next_value: Tensor,
        discount: Tensor,
        last: Tensor,
        gamma: float,
        lam: float,
    ) -> Tensor:
        delta = reward + gamma * discount * next_value - value
        n = delta.shape[-1]
        age = torch.arange(n)[None] - torch.arange(n)[:, None]  # of step j seen from step i
        decay = torch.where(age >= 0, (gamma * lam) ** age.clamp(min=0).to(delta.dtype), 0.0)
        ended = last.cumsum(-1) - last  # episodes that stopped before each step
        together = ended[..., :, None] == ended[..., None, :]
        return (decay * together * delta[..., None, :]).sum(-1)

    patch.replace(targets, "gae", gae)


@refactoring("F5", "Huber's loss is written with where", "dqn CartPole-v1")
def f5(patch: Patch) -> None:
    def td_loss(
        q_values: Tensor, action: Tensor, y: Tensor, loss: str, weight: Tensor | float = 1.0
    ) -> tuple[Tensor, Tensor]:
        chosen = torch.nn.functional.one_hot(action, q_values.shape[-1]).to(q_values.dtype)
        q = (q_values * chosen).sum(-1)
        error = (q - y).abs()
        square = error.square()
        distance = torch.where(error < 1, square / 2, error - 0.5) if loss == "huber" else square
        return (weight * distance).mean(1), q

    patch.replace(dqn, "td_loss", td_loss)
    patch.replace(dqn, "td_slope", by_graph.td_slope(td_loss))


@refactoring("F6", "target networks follow by products and a sum, not by lerp", "td3 Pendulum-v1")
def f6(patch: Patch) -> None:
    def polyak(target: Any, online: Any, tau: float, due: Tensor | None = None) -> None:
        slow, fast = target.theta.detach(), online.theta.detach()
        moved = (1 - tau) * slow + tau * fast
        slow.copy_(moved if due is None else torch.where(due[:, None], moved, slow))

    patch.replace(optimizers, "polyak", polyak)


@refactoring("F7", "Adam corrects the step's length for bias, not the moments", "sac Pendulum-v1")
def f7(patch: Patch) -> None:
    def adam(
        theta: Sequence[Tensor],
        grad: Sequence[Tensor],
        means: Sequence[Tensor],
        squares: Sequence[Tensor],
        _: Any,
        counts: Sequence[Tensor],
        **options: Any,
    ) -> None:
        b1, b2 = options["beta1"], options["beta2"]
        for parameter, g, mean, square, count in zip(theta, grad, means, squares, counts, strict=True):
            count += 1
            t = float(count)
            mean.mul_(b1).add_((1 - b1) * g)
            square.mul_(b2).add_((1 - b2) * g * g)
            root = (1 - b2**t) ** 0.5
            length = options["lr"] * root / (1 - b1**t)
            parameter.sub_(length * mean / (square.sqrt() + options["eps"] * root))

    by_graph.adam(patch, adam)


@refactoring("F8", "minibatches are gathered row by row and stacked", "ppo Pendulum-v1")
def f8(patch: Patch) -> None:
    def at(self: Any, index: Tensor) -> Any:
        rows = ([field[s].index_select(0, order) for s, order in enumerate(index)] for field in self)
        return ppo.Batch(*(torch.stack(row) for row in rows))

    patch.replace(ppo.Batch, "at", at)


@refactoring("F9", "a Gaussian's log-density is written with its variance", "ppo Pendulum-v1")
def f9(patch: Patch) -> None:
    def log_prob(mean: Tensor, log_std: Tensor, action: Tensor) -> Tensor:
        variance = (2 * log_std).exp()
        each = (action - mean).square() / variance + variance.log() + gaussian.LOG_2PI
        return -each.sum(-1) / 2

    patch.replace(gaussian, "log_prob", log_prob)
    by_graph.gaussian_slopes(patch)


@refactoring("F10", "gradients are scaled by one factor from a sum of squares", "dqn CartPole-v1")
def f10(patch: Patch) -> None:
    def clip_grad(self: Any, max_norm: float | None) -> Tensor:
        norm = (self.grad * self.grad).sum(1).sqrt()
        if max_norm is not None:
            factor = torch.where(norm + 1e-6 > max_norm, max_norm / (norm + 1e-6), torch.ones_like(norm))
            self.grad *= factor[:, None]
        return norm

    by_graph.clip_grad(patch, clip_grad)


MUTATIONS = refactoring.mutations
