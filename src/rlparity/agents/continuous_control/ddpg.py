"""Deep Deterministic Policy Gradient. Lillicrap et al. 2016, arXiv:1509.02971, Algorithm 1.

Departures from the paper (all as in Stable-Baselines3):
- uncorrelated Gaussian exploration noise instead of an Ornstein-Uhlenbeck process;
- uniformly random actions before the first update, with exploration noise on top;
- one learning rate for actor and critic, no weight decay, no batch normalisation, PyTorch's own start;
- the critic takes the action with its first layer;
- a time limit does not end a task: its transition bootstraps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rlparity.buffers.replay import Replay
from rlparity.environments.base import EnvSpec
from rlparity.nn import networks, optimizers
from rlparity.nn.action_scaling import Bounds
from rlparity.nn.distributions import gaussian
from rlparity.objectives import schedules, targets
from rlparity.seeding import Streams, Uniforms
from rlparity.transitions import Step

DEPARTURES = [
    "Gaussian exploration noise instead of an Ornstein-Uhlenbeck process",
    "uniformly random actions before the first update, with exploration noise on top",
    "one learning rate, no weight decay, no batch normalisation, PyTorch's own start of every layer",
    "the critic takes the action with its first layer",
    "a time limit does not end a task: its transition bootstraps",
]


@dataclass(frozen=True)
class DDPGConfig:
    """Names and defaults are Stable-Baselines3's."""

    learning_rate: float = 1e-3
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    buffer_size: int = 1_000_000  # transitions
    learning_starts: int = 100  # environment steps; random actions until then
    batch_size: int = 256  # transitions
    tau: float = 0.005  # share of the online parameters in each target update
    gamma: float = 0.99  # discount
    train_freq: int = 1  # steps of all sub-environments between bursts of updates
    gradient_steps: int = 1  # updates per burst; -1: as many as environment steps since the last
    noise_std: float = 0.0  # of the Gaussian exploration noise, actions being in [-1, 1]
    net_arch: tuple[int, ...] = (400, 300)  # hidden units of actor and critics
    activation: Literal["tanh", "relu"] = "relu"


class DDPG:
    """A deterministic policy that climbs the gradient of one critic; both have slow target copies.

    Inside, actions are in [-1, 1]: what the actor gives, the critic sees and the memory holds.
    """

    def __init__(self, spec: EnvSpec, config: DDPGConfig, random: Streams, budget: int):
        (inputs,), n_components = spec.obs_shape, math.prod(spec.action_shape)
        generators = random.torch_generators("network")
        actor = networks.mlp([inputs, *config.net_arch, n_components])
        critic = networks.mlp([inputs + n_components, *config.net_arch, 1])
        self.actor = networks.Network({"actor": actor}, generators, config.activation)
        self.critic = networks.Network({"q": critic}, generators, config.activation)
        self.actor_target, self.critic_target = self.actor.copy(), self.critic.copy()
        self.alive = optimizers.all_alive(spec.n_seeds)
        self.actor_optimizer = optimizers.Adam(self.actor, alive=self.alive)
        self.critic_optimizer = optimizers.Adam(self.critic, alive=self.alive)
        self.memory = Replay(config.buffer_size, spec.n_seeds, spec.n_envs)
        self.minibatches = Uniforms(random.generators("minibatches"), config.batch_size)
        self.config, self.budget, self.n_envs, self.n_components = config, budget, spec.n_envs, n_components
        self.bounds, self.action_shape = Bounds(spec), spec.action_shape
        self.env_steps = 0
        self.uniforms = 2 * n_components  # a random action, and noise

    def policy(self, actor: networks.Network, obs: Tensor) -> Tensor:
        """mu(s): obs (S, B, *obs) -> actions (S, B, A) in [-1, 1]."""
        return networks.tanh(actor("actor", obs).view(*obs.shape[:2], self.n_components))

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, 2 A) -> action (S, N, *action), unscaled."""
        if explore is None:
            action = self.policy(self.actor, obs)
        else:
            anything, noise = explore.chunk(2, -1)
            starting = self.env_steps < self.config.learning_starts
            action = 2 * anything - 1 if starting else self.policy(self.actor, obs)
            action = (action + self.config.noise_std * gaussian.normal(noise)).clamp(-1, 1)
        return self.bounds.from_unit(action.view(*obs.shape[:2], *self.action_shape))

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Store one step of N sub-environments; update when due."""
        unit_action = self.bounds.to_unit(step.action).reshape(*step.reward.shape, -1)
        self.memory.add(step._replace(action=unit_action))
        self.env_steps += self.n_envs
        metrics: dict[str, Tensor] = {}
        for _ in range(schedules.updates_due(self.config, self.env_steps, self.n_envs)):
            metrics = self.update(self.memory.sample(self.minibatches.next()))
        return metrics

    def update(self, batch: Step) -> dict[str, Tensor]:
        """One gradient step of the critic, then of the actor, on a minibatch (S, B, ...)."""
        c = self.config
        rate = schedules.learning_rate(c, self.env_steps, self.budget)
        with torch.no_grad():
            next_action = self.policy(self.actor_target, batch.next_obs)
            next_q = self.critic_target("q", torch.cat([batch.next_obs, next_action], -1))
            y = targets.one_step(batch.reward, batch.discount, next_q, c.gamma)
        q = self.critic("q", torch.cat([batch.obs, batch.action], -1))
        critic_loss = targets.squared_error(q, y)
        self.critic_optimizer.backward(critic_loss)
        self.critic_optimizer.step(rate)

        action = self.policy(self.actor, batch.obs)
        actor_loss = -self.critic("q", torch.cat([batch.obs, action], -1), constant=True).mean(1)
        self.actor_optimizer.backward(actor_loss)
        self.actor_optimizer.step(rate)
        optimizers.polyak(self.critic_target, self.critic, c.tau, self.alive)
        optimizers.polyak(self.actor_target, self.actor, c.tau, self.alive)
        losses = {"critic_loss": critic_loss.detach(), "actor_loss": actor_loss.detach()}
        return {**losses, "q_mean": q.detach().mean(1)}

    def saved(self) -> dict[str, networks.Network]:
        """The networks that a saved policy consists of."""
        return {"theta": self.actor}
