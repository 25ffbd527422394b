"""More equivalent rewrites, of what learns action values, with the same numbers up to rounding."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from rlparity.agents import base as agents
from rlparity.buffers.prioritized import Priorities
from rlparity.buffers.replay import Replay
from rlparity.nn import q_networks
from rlparity.nn.distributions import gaussian
from rlparity.objectives import targets
from rlparity.validation.mutations.mutation import MutationSet, Patch

ppo, dqn, qrdqn, td3, sac, trpo, reinforce = (
    agents.module(name) for name in ("ppo", "dqn", "qrdqn", "td3", "sac", "trpo", "reinforce")
)
refactoring = MutationSet("refactoring", source="own")


@refactoring("F14", "the quantile loss is a sum of two one-sided ones", "qrdqn CartPole-v1")
def f14(patch: Patch) -> None:
    def loss(theta: Tensor, y: Tensor) -> Tensor:
        n = theta.shape[-1]
        tau = (torch.arange(n, dtype=theta.dtype) + 0.5) / n
        u = y[:, :, None, :] - theta[..., None]
        above, below = u.clamp(min=0), (-u).clamp(min=0)

        def huber(x: Tensor) -> Tensor:
            return torch.where(x < 1, x * x / 2, x - 0.5)

        whole = tau[:, None] * huber(above) + (1 - tau)[:, None] * huber(below)
        return whole.mean(3).sum(2).mean(1)

    patch.replace(qrdqn, "quantile_huber_loss", loss)


@refactoring("F15", "dueling values are one product with a matrix that centres", "dqn-dueling CartPole-v1")
def f15(patch: Patch) -> None:
    def dueling(value: Tensor, advantage: Tensor) -> Tensor:
        n = advantage.shape[-1]
        return value[..., None] + advantage @ (torch.eye(n) - 1 / n)

    patch.replace(q_networks, "dueling", dueling)


@refactoring("F16", "a window of several steps is summed from its end", "dqn-nstep CartPole-v1")
def f16(patch: Patch) -> None:
    def windows(self: Any, start: Tensor, n_steps: int, gamma: float) -> Any:
        fields = self._fields
        flat = [ring.flatten(0, 1) for ring in (fields.reward, fields.discount)]
        places, on = [start], [torch.ones_like(start, dtype=torch.bool)]
        for _ in range(n_steps - 1):
            on.append(on[-1] & self._goes_on(places[-1]))
            places.append(self._after(places[-1]))
        end, length = start, torch.zeros_like(start)
        for k in range(1, n_steps):
            end, length = torch.where(on[k], places[k], end), torch.where(on[k], k, length)
        reward = torch.zeros_like(flat[0][start])
        for k in range(n_steps - 1, -1, -1):
            reward = torch.where(on[k], flat[0][places[k]] + gamma * reward, reward)
        return end, reward, gamma**length * flat[1][end]

    patch.replace(Replay, "_windows", windows)


@refactoring("F17", "priorities are summed level by level over whole trees", "dqn-prioritized CartPole-v1")
def f17(patch: Patch) -> None:
    def around(update: Any, self: Any, index: Tensor, error: Tensor) -> None:
        update(self, index, error)
        for level in reversed(range(self._depth)):
            low = 1 << level
            below = self._tree[:, 2 * low : 4 * low].reshape(len(self._tree), low, 2)
            self._tree[:, low : 2 * low] = below[:, :, 0] + below[:, :, 1]

    patch.wrap(Priorities, "update", around)


@refactoring("F18", "double DQN's target masks the values with one-hot actions", "dqn-double CartPole-v1")
def f18(patch: Patch) -> None:
    def target(reward: Tensor, discount: Tensor, next_q: Tensor, chooser: Tensor, gamma: float) -> Tensor:
        best = torch.nn.functional.one_hot(chooser.argmax(-1), chooser.shape[-1])
        return reward + discount * gamma * (next_q * best).sum(-1)

    patch.replace(targets, "td_target", target)


@refactoring("F19", "the smoothing noise is clipped by minimum and maximum", "td3 Pendulum-v1")
def f19(patch: Patch) -> None:
    def smoothed(action: Tensor, noise: Tensor, clip: float) -> Tensor:
        bounded = torch.minimum(torch.maximum(noise, noise.new_tensor(-clip)), noise.new_tensor(clip))
        return torch.minimum(torch.maximum(action + bounded, noise.new_tensor(-1.0)), noise.new_tensor(1.0))

    patch.replace(td3, "smoothed", smoothed)


@refactoring(
    "F20",
    "log-probabilities of squashed actions multiply densities, then take one logarithm",
    "sac Pendulum-v1",
)
def f20(patch: Patch) -> None:
    def squashed(log_prob: Tensor, action: Tensor) -> Tensor:
        stretch = (1 - action * action + gaussian.SQUASH_EPS).prod(-1)
        return log_prob - stretch.log()

    patch.replace(gaussian, "squashed_log_prob", squashed)


@refactoring(
    "F21", "actor and critics of SAC see the lower value as a mean less half a distance", "sac Pendulum-v1"
)
def f21(patch: Patch) -> None:
    def around(values: Any, self: Any, *arguments: Any, **constant: bool) -> tuple[Tensor, Tensor]:
        q1, q2 = values(self, *arguments, **constant)
        if not (constant or arguments[0] is self.critic_target):
            return q1, q2
        lower = (q1 + q2) / 2 - (q1 - q2).abs() / 2
        return lower, lower

    patch.wrap(sac.SAC, "values", around)


@refactoring("F29", "normal numbers are made by the inverse error function", "ddpg Pendulum-v1")
def f29(patch: Patch) -> None:
    def normal(uniform: Tensor) -> Tensor:
        bounded = uniform.clamp(gaussian.LEAST, 1 - 2 * gaussian.LEAST).double()
        return (math.sqrt(2) * torch.erfinv(2 * bounded - 1)).to(uniform.dtype)

    patch.replace(gaussian, "normal", normal)


MUTATIONS = refactoring.mutations
