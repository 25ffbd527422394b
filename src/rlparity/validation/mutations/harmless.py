"""Harmless differences: parity must name them, and the verdict of statistics must not be WORSE."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rlparity.agents import base as agents
from rlparity.nn import optimizers
from rlparity.nn.distributions import gaussian
from rlparity.nn.networks import Network
from rlparity.validation.mutations import by_graph
from rlparity.validation.mutations.mutation import MutationSet, Patch

ppo, sac, dqn = agents.module("ppo"), agents.module("sac"), agents.module("dqn")
harmless = MutationSet("harmless", source="own")


@harmless(
    "P13",
    "advantages are normalised over the batch, not over each minibatch",
    "ppo Pendulum-v1",
    "zhangchuheng123/Reinforcement-Implementation#3",
    "one minibatch",
)
def p13(patch: Patch) -> None:
    normalised = ppo.normalised

    def around(update: Any, self: Any, batch: Any, shuffles: Tensor) -> Any:
        return update(self, batch._replace(advantage=normalised(batch.advantage)), shuffles)

    patch.replace(ppo, "normalised", lambda advantage: advantage)
    patch.wrap(ppo.PPO, "update", around)


@harmless(
    "P24", "Adam's epsilon is 1e-8 in place of 1e-5", "ppo CartPole-v1", "SB3 and CleanRL differ from PyTorch"
)
def p24(patch: Patch) -> None:
    def around(build: Any, self: Any, network: Any, eps: float = 1e-8, alive: Tensor | None = None) -> None:
        build(self, network, 1e-8, alive)

    patch.wrap(optimizers.Adam, "__init__", around)


@harmless(
    "S1",
    "the temperature's loss is linear in alpha, not in log alpha",
    "sac Pendulum-v1",
    "SB3#36, #712, #802, #2013; CleanRL#414; Tianshou#565; araffin/sbx#56",
    "a fixed temperature",
)
def s1(patch: Patch) -> None:
    patch.wrap(sac, "temperature_loss", lambda loss, log_alpha, *rest: loss(log_alpha.exp(), *rest))


@harmless("H1", "advantages are divided by the deviation over n, not over n - 1", "ppo CartPole-v1")
def h1(patch: Patch) -> None:
    def normalised(advantage: Tensor) -> Tensor:
        spread = advantage.std(1, correction=0, keepdim=True) + 1e-8
        return (advantage - advantage.mean(1, keepdim=True)) / spread

    patch.replace(ppo, "normalised", normalised)


@harmless("H2", "the norm that gradients are clipped by has no 1e-6 added", "a2c CartPole-v1")
def h2(patch: Patch) -> None:
    def clip_grad(self: Any, max_norm: float | None) -> Tensor:
        norm = torch.linalg.vector_norm(self.grad, dim=1)
        if max_norm is not None:
            self.grad.mul_((max_norm / norm).nan_to_num(1.0).clamp(max=1.0)[:, None])
        return norm

    patch.replace(Network, "clip_grad", clip_grad)


@harmless(
    "H3", "the Jacobian of tanh is exact: 2 (log 2 - u - softplus(-2u)), without 1e-6", "sac Pendulum-v1"
)
def h3(patch: Patch) -> None:
    def around(density: Any, log_prob: Tensor, squashed: Tensor) -> Tensor:
        unsquashed = torch.atanh(squashed.clamp(-1 + 1e-7, 1 - 1e-7))
        slope = 2 * (0.6931471805599453 - unsquashed - F.softplus(-2 * unsquashed))
        return log_prob - slope.sum(-1)

    patch.wrap(gaussian, "squashed_log_prob", around)


@harmless("H4", "Huber's loss bends at 1.5, not at 1", "dqn CartPole-v1")
def h4(patch: Patch) -> None:
    def td_loss(
        q_values: Tensor, action: Tensor, y: Tensor, loss: str, weight: Tensor | float = 1.0
    ) -> tuple[Tensor, Tensor]:
        q = q_values.gather(-1, action.unsqueeze(-1)).squeeze(-1)
        distance = F.huber_loss(q, y, reduction="none", delta=1.5)
        return (weight * distance).mean(1), q

    patch.replace(dqn, "td_loss", td_loss)
    patch.replace(dqn, "td_slope", by_graph.td_slope(td_loss))


MUTATIONS = harmless.mutations
