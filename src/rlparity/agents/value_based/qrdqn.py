"""Distributional reinforcement learning with quantile regression (QR-DQN). Dabney et al. 2018,
arXiv:1710.10044, Algorithm 1 with the quantile Huber loss of eq. 9 and 10.

Departures from the paper (as in sb3-contrib):
- a time limit does not end a task: its transition bootstraps.

Off unless asked for: returns of several steps (`n_steps`), clipped gradient norms, falling learning rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from rlparity.buffers import replay
from rlparity.buffers.replay import Minibatch
from rlparity.environments.base import EnvSpec
from rlparity.nn import networks, optimizers
from rlparity.objectives import schedules
from rlparity.seeding import Streams, Uniforms
from rlparity.transitions import Step

DEPARTURES = ["a time limit does not end a task: its transition bootstraps"]


@dataclass(frozen=True)
class QRDQNConfig:
    """Names and defaults are sb3-contrib's, which are the paper's but for `learning_starts`."""

    learning_rate: float = 5e-5
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    buffer_size: int = 1_000_000  # transitions
    learning_starts: int = 100  # environment steps; random actions until then
    batch_size: int = 32  # transitions; Adam's epsilon is 0.01 / batch_size
    gamma: float = 0.99  # discount
    train_freq: int = 4  # steps of all sub-environments between bursts of updates
    gradient_steps: int = 1  # updates per burst; -1: as many as environment steps since the last
    target_update_interval: int = 10_000  # environment steps
    exploration_fraction: float = 0.005  # of the budget, over which epsilon falls
    exploration_initial_eps: float = 1.0
    exploration_final_eps: float = 0.01
    max_grad_norm: float | None = None
    n_steps: int = 1  # rewards in a target
    n_quantiles: int = 200  # N
    net_arch: tuple[int, ...] = (64, 64)  # hidden units; images: the network of Nature 2015
    activation: Literal["tanh", "relu"] = "relu"
    precision: Literal["float32", "bfloat16"] = "float32"  # of learning from images
    memory_mapped: bool = False  # images in a file instead of memory


def target_quantiles(reward: Tensor, discount: Tensor, next_theta: Tensor, gamma: float) -> Tensor:
    """T theta_j = r + gamma * discount * theta_j(s', a*), a* being best by the mean over j (Algorithm 1).

    reward, discount (S, B); next_theta (S, B, N, A) -> (S, B, N).
    """
    best = next_theta.mean(2).argmax(-1)[..., None, None].expand(*next_theta.shape[:3], 1)
    bootstrap = next_theta.gather(-1, best).squeeze(-1)
    assert bootstrap.shape[:2] == reward.shape == discount.shape
    return reward[..., None] + gamma * discount[..., None] * bootstrap


def quantile_huber_loss(theta: Tensor, y: Tensor) -> Tensor:
    """sum_i E_j |tau_i - 1{u_ij < 0}| L(u_ij), u_ij = y_j - theta_i, over the minibatch: (S,).

    L is Huber's loss with kappa 1 (eq. 9), tau_i = (i + 1/2) / N the midpoints (eq. 10 and Lemma 2).
    theta (S, B, N); y (S, B, M).
    """
    assert theta.shape[:2] == y.shape[:2] and theta.dim() == y.dim() == 3
    n = theta.shape[-1]
    tau = ((torch.arange(n, dtype=theta.dtype, device=theta.device) + 0.5) / n)[:, None]
    theta, y = torch.broadcast_tensors(theta[..., None], y[..., None, :])  # (S, B, N, M)
    weight = (tau - (y < theta.detach()).to(theta.dtype)).abs()
    return (weight * F.smooth_l1_loss(theta, y, reduction="none")).sum(2).mean((1, 2))


class QRDQN:
    """Acts epsilon-greedily on mean returns, stores every transition, learns from random minibatches."""

    def __init__(self, spec: EnvSpec, config: QRDQNConfig, random: Streams, budget: int):
        assert spec.n_actions is not None
        trunk, sizes = networks.inputs(spec.obs_shape, config.net_arch, None)
        head = networks.mlp([*sizes, config.n_quantiles * spec.n_actions])
        generators = random.torch_generators("network")
        self.network = networks.Network(
            {**trunk, "quantiles": head}, generators, config.activation, precision=config.precision
        )
        self.target = self.network.copy()
        self.alive = optimizers.all_alive(spec.n_seeds)
        self.optimizer = optimizers.Adam(self.network, eps=0.01 / config.batch_size, alive=self.alive)
        self.replay = replay.build(spec, config)
        self.minibatches = Uniforms(random.generators("minibatches"), config.batch_size)
        self.config, self.budget, self.n_actions, self.n_envs = config, budget, spec.n_actions, spec.n_envs
        self.env_steps = 0
        self.uniforms = 2  # whether to explore, and with which action

    @property
    def epsilon(self) -> float:
        """Probability of a random action."""
        return schedules.exploration(self.config, self.env_steps, self.budget)

    def quantiles(self, network: networks.Network, obs: Tensor) -> Tensor:
        """theta(s, .) of observations (S, B, *obs) -> (S, B, N, A)."""
        flat = network("quantiles", network.features(obs))
        return flat.unflatten(-1, (self.config.n_quantiles, self.n_actions))

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, 2) -> action (S, N)."""
        greedy = self.quantiles(self.network, obs).mean(2).argmax(-1)
        if explore is None:
            return greedy
        anything = (explore[..., 1] * self.n_actions).long()
        return torch.where(explore[..., 0] < self.epsilon, anything, greedy)

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Store one step of N sub-environments; update when due."""
        c = self.config
        self.replay.add(step)
        self.env_steps += self.n_envs
        if schedules.copy_due(c, self.env_steps, self.n_envs):
            self.target.theta.detach().copy_(self.network.theta.detach())
        metrics: dict[str, Tensor] = {}
        filled = (c.n_steps - 1) * self.n_envs
        for _ in range(schedules.updates_due(c, self.env_steps, self.n_envs, filled)):
            metrics = self.update(self.replay.draw(self.minibatches.next(), self.env_steps / self.budget))
        return metrics

    def update(self, batch: Minibatch) -> dict[str, Tensor]:
        """One gradient step on a minibatch (S, B, ...)."""
        c, step = self.config, batch.step
        with torch.no_grad():
            next_theta = self.quantiles(self.target, step.next_obs)
            y = target_quantiles(step.reward, step.discount, next_theta, c.gamma)
        action = step.action[..., None, None].expand(*y.shape, 1)
        theta = self.quantiles(self.network, step.obs).gather(-1, action).squeeze(-1)
        loss = quantile_huber_loss(theta, y)
        self.optimizer.backward(loss)
        rate = schedules.learning_rate(c, self.env_steps, self.budget)
        norm = self.optimizer.step(rate, None, c.max_grad_norm)
        return {"loss": loss.detach(), "q_mean": theta.detach().mean((1, 2)), "grad_norm": norm}

    def saved(self) -> dict[str, networks.Network]:
        """The networks that a saved policy consists of."""
        return {"theta": self.network}
