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
from rlparity.environments.action_scaling import Bounds
from rlparity.environments.base import EnvSpec
from rlparity.nn import networks
from rlparity.nn.distributions import gaussian
from rlparity.objectives import targets
from rlparity.records import Step
from rlparity.seeding import Streams, Uniforms

DEPARTURES = [
    "Gaussian exploration noise instead of an Ornstein-Uhlenbeck process",
    "uniformly random actions before the first update, with exploration noise on top",
    "one learning rate, no weight decay, no batch normalisation, PyTorch's own start of every layer",
    "the critic takes the action with its first layer",
    "a time limit does not end a task: its transition bootstraps",
]


@dataclass(frozen=True)
class Config:
    """Names and defaults are Stable-Baselines3's."""

    learning_rate: float = 1e-3
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    buffer_size: int = 1_000_000  # transitions
    learning_starts: int = 100  # environment steps; random actions until then
    batch_size: int = 256  # transitions
    tau: float = 0.005  # share of the online parameters in each target update
    gamma: float = 0.99  # discount
    train_freq: int = 1  # steps of all worlds between bursts of updates
    gradient_steps: int = 1  # updates per burst; -1: as many as environment steps since the last
    noise_std: float = 0.0  # of the Gaussian exploration noise, actions being in [-1, 1]
    net_arch: tuple[int, ...] = (400, 300)  # hidden units of actor and critics
    activation: Literal["tanh", "relu"] = "relu"


class Agent:
    """A deterministic policy that climbs the gradient of one critic; both have slow target copies.

    Inside, actions are in [-1, 1]: what the actor gives, the critic sees and the memory holds.
    """

    def __init__(self, spec: EnvSpec, config: Config, random: Streams, budget: int):
        (inputs,), n_components = spec.obs_shape, math.prod(spec.action_shape)
        generators = random.torch_generators("network")
        actor = networks.mlp([inputs, *config.net_arch, n_components])
        critic = networks.mlp([inputs + n_components, *config.net_arch, 1])
        self.actor = networks.Network({"actor": actor}, generators, config.activation)
        self.critic = networks.Network({"q": critic}, generators, config.activation)
        self.actor_target, self.critic_target = self.actor.copy(), self.critic.copy()
        self.actor_optimizer, self.critic_optimizer = networks.Adam(self.actor), networks.Adam(self.critic)
        self.memory = Replay(config.buffer_size, spec.n_seeds, spec.n_envs)
        self.minibatches = Uniforms(random.generators("minibatches"), config.batch_size)
        self.config, self.budget, self.n_envs, self.n_components = config, budget, spec.n_envs, n_components
        self.bounds, self.action_shape = Bounds(spec), spec.action_shape
        self.env_steps = 0
        self.uniforms = 2 * n_components  # a random action, and noise
        self.alive = torch.ones(spec.n_seeds, dtype=torch.bool)

    def policy(self, actor: networks.Network, obs: Tensor) -> Tensor:
        """mu(s): obs (S, B, *obs) -> actions (S, B, A) in [-1, 1]."""
        return networks.tanh(actor("actor", obs).view(*obs.shape[:2], self.n_components))

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, 2 A) -> action (S, N, *action) in the task's units."""
        if explore is None:
            action = self.policy(self.actor, obs)
        else:
            anything, noise = explore.chunk(2, -1)
            starting = self.env_steps < self.config.learning_starts
            action = 2 * anything - 1 if starting else self.policy(self.actor, obs)
            action = (action + self.config.noise_std * gaussian.normal(noise)).clamp(-1, 1)
        return self.bounds.from_unit(action.view(*obs.shape[:2], *self.action_shape))

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Remember one step of N worlds; learn when due."""
        c = self.config
        self.memory.add(
            step._replace(action=self.bounds.to_unit(step.action).reshape(*step.reward.shape, -1))
        )
        self.env_steps += self.n_envs
        metrics: dict[str, Tensor] = {}
        if self.env_steps // self.n_envs % c.train_freq == 0 and self.env_steps > c.learning_starts:
            burst = c.gradient_steps if c.gradient_steps >= 0 else c.train_freq * self.n_envs
            for _ in range(burst):
                metrics = self.update(self.memory.sample(self.minibatches.next()))
        return metrics

    def update(self, batch: Step) -> dict[str, Tensor]:
        """One gradient step of the critic, then of the actor, on a minibatch (S, B, ...)."""
        c = self.config
        remaining = 1 - self.env_steps / self.budget
        rate = networks.linear_schedule(c.learning_rate, c.learning_rate_schedule, remaining)
        with torch.no_grad():
            next_action = self.policy(self.actor_target, batch.next_obs)
            next_q = self.critic_target("q", torch.cat([batch.next_obs, next_action], -1))
            y = targets.one_step(batch.reward, batch.discount, next_q, c.gamma)
        q = self.critic("q", torch.cat([batch.obs, batch.action], -1))
        critic_loss = targets.squared_error(q, y)
        self.alive &= critic_loss.isfinite()
        self.critic.backward(critic_loss)
        self.critic_optimizer.step(rate, self.alive)

        action = self.policy(self.actor, batch.obs)
        actor_loss = -self.critic("q", torch.cat([batch.obs, action], -1), constant=True).mean(1)
        self.alive &= actor_loss.isfinite()
        self.actor.backward(actor_loss)
        self.actor_optimizer.step(rate, self.alive)
        networks.polyak(self.critic_target, self.critic, c.tau, self.alive)
        networks.polyak(self.actor_target, self.actor, c.tau, self.alive)
        losses = {"critic_loss": critic_loss.detach(), "actor_loss": actor_loss.detach()}
        return {**losses, "q_mean": q.detach().mean(1)}

    def state_dict(self) -> dict[str, Tensor]:
        """The parameters of the actors of all seeds."""
        return {"theta": self.actor.theta.detach()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over saved parameters."""
        self.actor.theta.detach().copy_(state["theta"])
