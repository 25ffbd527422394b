"""Bugs of QR-DQN and of prioritised replay."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rlparity.agents import base as agents
from rlparity.buffers.prioritized import Priorities, PrioritizedSampler
from rlparity.validation.mutations.mutation import MutationSet, Patch

dqn, qrdqn = agents.module("dqn"), agents.module("qrdqn")
bug = MutationSet(source="own")


def quantile_loss(patch: Patch, weigh: Any) -> None:
    """QR-DQN's loss with other weights: `weigh` makes them of tau (N,) and u (S, B, N, M)."""

    def loss(theta: Tensor, y: Tensor) -> Tensor:
        n = theta.shape[-1]
        tau = (torch.arange(n, dtype=theta.dtype) + 0.5) / n
        theta, y = torch.broadcast_tensors(theta[..., None], y[..., None, :])
        weight = weigh(tau, (y - theta).detach())
        return (weight * F.smooth_l1_loss(theta, y, reduction="none")).sum(2).mean((1, 2))

    patch.replace(qrdqn, "quantile_huber_loss", loss)


@bug("V1", "the quantiles' weights have the wrong side: |tau - 1{u > 0}|", "qrdqn CartPole-v1")
def v1(patch: Patch) -> None:
    quantile_loss(patch, lambda tau, u: (tau[:, None] - (u > 0).to(u.dtype)).abs())


@bug("V2", "tau_i is i / N, not the midpoint (i + 1/2) / N", "qrdqn CartPole-v1", hides="many quantiles")
def v2(patch: Patch) -> None:
    quantile_loss(patch, lambda tau, u: (tau[:, None] - 0.5 / len(tau) - (u < 0).to(u.dtype)).abs())


@bug(
    "V3",
    "tau runs along the target's quantiles, not along those that learn",
    "qrdqn CartPole-v1",
    "BY571/QR-DQN#1, on how tau is broadcast",
)
def v3(patch: Patch) -> None:
    quantile_loss(patch, lambda tau, u: (tau - (u < 0).to(u.dtype)).abs())


@bug(
    "V4",
    "every quantile of the target is the best of any action, not that of the best action",
    "qrdqn CartPole-v1",
)
def v4(patch: Patch) -> None:
    def target(reward: Tensor, discount: Tensor, next_theta: Tensor, gamma: float) -> Tensor:
        return reward[..., None] + gamma * discount[..., None] * next_theta.amax(-1)

    patch.replace(qrdqn, "target_quantiles", target)


@bug(
    "V5",
    "the quantile loss is a mean over the quantiles, not a sum",
    "qrdqn CartPole-v1",
    hides="in part Adam, which does not mind scale but for its epsilon",
)
def v5(patch: Patch) -> None:
    patch.wrap(qrdqn, "quantile_huber_loss", lambda loss, theta, y: loss(theta, y) / theta.shape[-1])


@bug("V9", "beta stays at its start: importance weights never correct in full", "dqn-prioritized CartPole-v1")
def v9(patch: Patch) -> None:
    patch.wrap(PrioritizedSampler, "draw", lambda draw, self, uniform, progress: draw(self, uniform, 0.0))


@bug(
    "V10",
    "the sign of an error is kept: transitions of a negative one get the lowest priority",
    "dqn-prioritized CartPole-v1",
)
def v10(patch: Patch) -> None:
    patch.wrap(
        Priorities, "update", lambda update, self, index, error: update(self, index, error.clamp(min=0))
    )


@bug(
    "V11",
    "new transitions enter with priority 1, not with the largest so far",
    "dqn-prioritized CartPole-v1",
    hides="errors below 1",
)
def v11(patch: Patch) -> None:
    def around(cover: Any, self: Any, first: int, last: int) -> None:
        largest, self._largest = self._largest, np.ones_like(self._largest)
        cover(self, first, last)
        self._largest = largest

    patch.wrap(Priorities, "cover", around)


@bug("V12", "priorities are errors times importance weights", "dqn-prioritized CartPole-v1")
def v12(patch: Patch) -> None:
    def around(update: Any, self: Any, batch: Any, error: Tensor) -> None:
        update(self, batch, error * batch.weight)

    patch.wrap(PrioritizedSampler, "update_priorities", around)


@bug(
    "V13",
    "transitions are drawn in proportion to their error: alpha is not applied",
    "dqn-prioritized CartPole-v1",
)
def v13(patch: Patch) -> None:
    def around(build: Any, self: Any, capacity: int, n_seeds: int, *_: Any) -> None:
        build(self, capacity, n_seeds, 1.0)

    patch.wrap(Priorities, "__init__", around)


MUTATIONS = bug.mutations
