"""Proximal Policy Optimization. Schulman et al. 2017, arXiv:1707.06347, Algorithm 1 and eq. 7 and 9.

Departures from the paper (all as in Stable-Baselines3):
- separate networks for actor and critic instead of shared features, except for images;
- advantages are normalised over each minibatch;
- the episode's time limit bootstraps from V of the observation it cut off;
- gradient norms are clipped at 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlparity.buffers.rollout import Rollout
from rlparity.environments.base import EnvSpec
from rlparity.nn import networks, optimizers, policies
from rlparity.objectives import schedules, targets
from rlparity.seeding import Streams
from rlparity.transitions import Step

DEPARTURES = [
    "separate networks for actor and critic, except for images",
    "advantages normalised over each minibatch",
    "a time limit bootstraps from V of the observation it cut off",
    "gradient norms clipped",
]


@dataclass(frozen=True)
class PPOConfig:
    """Names and defaults are Stable-Baselines3's."""

    learning_rate: float = 3e-4
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    n_steps: int = 2048  # T, environment steps per sub-environment and update
    batch_size: int = 64  # M, transitions per minibatch
    n_epochs: int = 10  # K
    gamma: float = 0.99  # discount
    gae_lambda: float = 0.95  # lambda
    clip_range: float = 0.2  # epsilon
    clip_range_schedule: Literal["constant", "linear"] = "constant"
    clip_range_vf: float | None = None  # in units of return; None: values are not clipped
    normalize_advantage: bool = True
    ent_coef: float = 0.0  # c2, per nat
    vf_coef: float = 0.5  # c1
    max_grad_norm: float = 0.5
    target_kl: float | None = None  # nats; an update stops above 1.5 times this
    net_arch: tuple[int, ...] = (64, 64)  # hidden units; images: the shared network of Nature 2015
    activation: Literal["tanh", "relu"] = "tanh"
    log_std_init: float = 0.0  # continuous actions, in the environment's units
    ortho_init: bool = True  # else PyTorch's own start
    precision: Literal["float32", "bfloat16"] = "float32"  # of learning from images


class Batch(NamedTuple):
    """Flattened rollout, one row per transition: (S, B, ...)."""

    obs: Tensor
    action: Tensor
    log_prob: Tensor  # under the policy that acted
    value: Tensor  # V before the update
    advantage: Tensor
    returns: Tensor  # target of V

    def at(self, index: Tensor) -> Batch:
        """Rows `index` (S, M) of each seed."""
        seed = torch.arange(index.shape[0])[:, None]
        return Batch(*(field[seed, index] for field in self))


def clipped_objective(ratio: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
    """L^CLIP, eq. 7: mean of min(r A, clip(r, 1 - eps, 1 + eps) A); (S, M) -> (S,)."""
    assert ratio.shape == advantage.shape
    clipped = ratio.clamp(1 - epsilon, 1 + epsilon)
    return torch.min(ratio * advantage, clipped * advantage).mean(1)


def clipped_slope(ratio: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
    """Gradient of L^CLIP, eq. 7, by each ratio; (S, M) -> (S, M). It is zero where the clip binds."""
    free = torch.where(advantage > 0, ratio <= 1 + epsilon, ratio >= 1 - epsilon)
    return advantage * free / ratio.shape[1]


def normalised(advantage: Tensor) -> Tensor:
    """Zero mean and unit deviation over each seed's minibatch; (S, M) -> (S, M)."""
    if advantage.shape[1] == 1:
        return advantage
    return (advantage - advantage.mean(1, keepdim=True)) / (advantage.std(1, keepdim=True) + 1e-8)


def approximate_kl(log_ratio: Tensor) -> Tensor:
    """KL(old || new) by the estimator (r - 1) - log r (Schulman 2020); (S, M) -> (S,), nats."""
    return ((log_ratio.exp() - 1) - log_ratio).mean(1)


class PPO:
    """Alternates between collecting T steps in N sub-environments and K epochs of minibatch updates."""

    def __init__(self, spec: EnvSpec, config: PPOConfig, random: Streams, budget: int):
        self.policy = policies.build(spec, config.log_std_init)
        gains = (0.01, 1.0) if config.ortho_init else (None, None)
        trunk, sizes = networks.inputs(spec.obs_shape, config.net_arch, gains[1])
        stacks = {
            **trunk,
            "actor": networks.mlp([*sizes, self.policy.n_outputs], gains[0]),
            "critic": networks.mlp([*sizes, 1], gains[1]),
        }
        generators = random.torch_generators("network")
        self.network = networks.Network(
            stacks, generators, config.activation, self.policy.vectors, config.precision
        )
        self.alive = optimizers.all_alive(spec.n_seeds)
        self.optimizer = optimizers.Adam(self.network, eps=1e-5, alive=self.alive)
        self.memory = Rollout(config.n_steps)
        self.config, self.budget, self.env_steps = config, budget, 0
        self.shuffles = random.generators("minibatches")
        self.uniforms = self.policy.uniforms

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, uniforms) -> action (S, N) or (S, N, *action)."""
        features = self.network.features(obs)
        if explore is None:
            return self.policy.mode(self.network, features)
        return self.policy.sample(self.network, features, explore)

    def value(self, obs: Tensor) -> Tensor:
        """V(s) of observations (S, B, *obs) -> (S, B)."""
        return self.network("critic", self.network.features(obs))

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Store one step of N sub-environments; update when the rollout is full."""
        self.env_steps += step.reward.shape[1]
        if not self.memory.add(step):
            return {}
        batch = self.prepare(self.memory.pop())
        size, c = batch.advantage.shape[1], self.config
        if c.batch_size >= size:  # nothing to shuffle
            return self.update(batch, torch.empty(c.n_epochs, 0))
        shuffles = [[rng.permutation(size) for rng in self.shuffles] for _ in range(c.n_epochs)]
        return self.update(batch, torch.tensor(np.array(shuffles)))

    @torch.no_grad()
    def prepare(self, rollout: Step) -> Batch:
        """Advantages and value targets of a rollout (S, N, T, ...), under the policy that acted."""
        c = self.config
        obs, action = (x.flatten(1, 2) for x in (rollout.obs, rollout.action))
        features = self.network.features(obs)
        value = self.network("critic", features).view(rollout.reward.shape)
        next_value = targets.next_values(rollout, value, self.value)
        advantage = targets.gae(
            rollout.reward, value, next_value, rollout.discount, rollout.last, c.gamma, c.gae_lambda
        )
        log_prob = self.policy.log_prob(self.network, features, action)
        flat = (x.flatten(1, 2) for x in (value, advantage, advantage + value))
        return Batch(obs, action, log_prob, *flat)

    def update(self, batch: Batch, shuffles: Tensor) -> dict[str, Tensor]:
        """K epochs over the batch in the order of `shuffles` (K, S, B)."""
        c, size = self.config, batch.advantage.shape[1]
        whole = self.normalise(batch) if c.batch_size >= size else None
        due = torch.ones_like(self.alive)  # false once a seed's KL is too large
        metrics: dict[str, Tensor] = {}
        for epoch, order in enumerate(shuffles, 1):
            for start in range(0, size, c.batch_size):
                minibatch = whole or self.normalise(batch.at(order[:, start : start + c.batch_size]))
                measured = c.target_kl is not None or (epoch == c.n_epochs and start + c.batch_size >= size)
                due, metrics = self.learn(minibatch, due, measured)
        metrics["explained_variance"] = targets.explained_variance(batch.value, batch.returns)
        return metrics

    def learn(self, batch: Batch, due: Tensor, measured: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """One gradient step on a minibatch, of the seeds that are due, (S,) bool; returns which still are."""
        c = self.config
        rate = schedules.learning_rate(c, self.env_steps, self.budget)
        epsilon = schedules.scheduled(c.clip_range, c.clip_range_schedule, 1 - self.env_steps / self.budget)
        metrics = self.differentiate(batch, epsilon, measured)
        if c.target_kl is not None:
            due = due & (metrics["approx_kl"] <= 1.5 * c.target_kl)
        metrics["grad_norm"] = self.optimizer.step(rate, due, c.max_grad_norm)
        return due, metrics

    def normalise(self, batch: Batch) -> Batch:
        """A minibatch with advantages as the loss takes them."""
        if not self.config.normalize_advantage:
            return batch
        return batch._replace(advantage=normalised(batch.advantage))

    def differentiate(self, batch: Batch, epsilon: float, measured: bool = True) -> dict[str, Tensor]:
        """Compute the network's gradient, and if `measured` what the loss is made of."""
        if self.network.has_trunk:
            features = self.network.features(batch.obs)
            log_prob, entropy = self.policy.log_prob_and_entropy(self.network, features, batch.action)
            value = self.network("critic", features)
            loss, metrics = self.loss(batch, log_prob, entropy, value, epsilon)
            self.optimizer.backward(loss)
            return metrics
        with torch.no_grad():
            log_prob, entropy, tape = self.policy.run(self.network, batch.obs, batch.action)
            value, critic_tape = self.network.run("critic", batch.obs)
            by_log_prob, by_entropy, by_value = self.slopes(batch, log_prob, value, epsilon)
            self.policy.pull(self.network, tape, by_log_prob, by_entropy)
            self.network.pull("critic", critic_tape, by_value)
            return self.loss(batch, log_prob, entropy, value, epsilon)[1] if measured else {}

    def loss(
        self, batch: Batch, log_prob: Tensor, entropy: Tensor, value: Tensor, epsilon: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Negative of eq. 9 for each seed, (S,), and what it is made of; the network's outputs are (S, M)."""
        c = self.config
        log_ratio = log_prob - batch.log_prob
        ratio = log_ratio.exp()
        policy_loss = -clipped_objective(ratio, batch.advantage, epsilon)
        if c.clip_range_vf is not None:
            value = batch.value + (value - batch.value).clamp(-c.clip_range_vf, c.clip_range_vf)
        assert value.shape == batch.returns.shape
        value_loss = (batch.returns - value).square().mean(1)
        loss = policy_loss + c.vf_coef * value_loss - c.ent_coef * entropy.mean(1)
        with torch.no_grad():
            metrics = {
                "policy_loss": policy_loss.detach(),
                "value_loss": value_loss.detach(),
                "entropy": entropy.mean(1),
                "approx_kl": approximate_kl(log_ratio),
                "clip_fraction": ((ratio - 1).abs() > epsilon).float().mean(1),
            }
        return loss, metrics

    def slopes(
        self, batch: Batch, log_prob: Tensor, value: Tensor, epsilon: float
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Gradients of `loss` by log pi(a|s), entropy and value, each (S, M); None: no entropy bonus."""
        c, size = self.config, value.shape[1]
        ratio = (log_prob - batch.log_prob).exp()
        by_log_prob = -clipped_slope(ratio, batch.advantage, epsilon) * ratio
        by_entropy = torch.full_like(value, -c.ent_coef / size) if c.ent_coef else None
        change = value - batch.value
        if c.clip_range_vf is not None:
            value = batch.value + change.clamp(-c.clip_range_vf, c.clip_range_vf)
        by_value = (value - batch.returns) * (2 * c.vf_coef / size)
        if c.clip_range_vf is not None:
            by_value *= change.abs() <= c.clip_range_vf
        return by_log_prob, by_entropy, by_value

    def saved(self) -> dict[str, networks.Network]:
        """The networks that a saved policy consists of."""
        return {"theta": self.network}
