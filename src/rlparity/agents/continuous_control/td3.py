"""Twin Delayed DDPG. Fujimoto, van Hoof and Meger 2018, arXiv:1802.09477, Algorithm 1.

Departures from the paper (as in Stable-Baselines3):
- exploration noise comes on top of the random actions of the start, too.
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

DEPARTURES = ["exploration noise on top of the random actions of the start, too"]


@dataclass(frozen=True)
class TD3Config:
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
    policy_delay: int = 2  # d, critic updates per update of actor and targets
    target_policy_noise: float = 0.2  # sigma, of the smoothing noise, actions being in [-1, 1]
    target_noise_clip: float = 0.5  # c
    net_arch: tuple[int, ...] = (400, 300)  # hidden units of actor and critics
    activation: Literal["tanh", "relu"] = "relu"


def smoothed(action: Tensor, noise: Tensor, clip: float) -> Tensor:
    """a~ = a + clip(epsilon, -c, c), Algorithm 1, kept in [-1, 1]. Each component of each sample has noise of
    its own: all (S, B, A)."""
    assert action.shape == noise.shape
    return (action + noise.clamp(-clip, clip)).clamp(-1, 1)


class TD3:
    """A deterministic policy that climbs the gradient of the first of two critics, of which the lower one
    gives the targets.

    Inside, actions are in [-1, 1]: those of the actor, of the critics and in the memory.
    """

    def __init__(self, spec: EnvSpec, config: TD3Config, random: Streams, budget: int):
        (inputs,), n_components = spec.obs_shape, math.prod(spec.action_shape)
        generators = random.torch_generators("network")
        actor = networks.mlp([inputs, *config.net_arch, n_components])
        critic = networks.mlp([inputs + n_components, *config.net_arch, 1])
        self.actor = networks.Network({"actor": actor}, generators, config.activation)
        self.critic = networks.Network({"q1": critic, "q2": critic}, generators, config.activation)
        self.actor_target, self.critic_target = self.actor.copy(), self.critic.copy()
        self.alive = optimizers.all_alive(spec.n_seeds)
        self.actor_optimizer = optimizers.Adam(self.actor, alive=self.alive)
        self.critic_optimizer = optimizers.Adam(self.critic, alive=self.alive)
        self.memory = Replay(config.buffer_size, spec.n_seeds, spec.n_envs)
        self.minibatches = Uniforms(random.generators("minibatches"), config.batch_size)
        self.smoothing = Uniforms(random.generators("smoothing"), config.batch_size, n_components)
        self.config, self.budget, self.n_envs, self.n_components = config, budget, spec.n_envs, n_components
        self.bounds, self.action_shape = Bounds(spec), spec.action_shape
        self.env_steps = self.updates = 0
        self.uniforms = 2 * n_components  # a random action, and noise
        self.actor_loss = torch.full((spec.n_seeds,), torch.nan)  # of the last update that had one

    def policy(self, actor: networks.Network, obs: Tensor) -> Tensor:
        """pi(s): obs (S, B, *obs) -> actions (S, B, A) in [-1, 1]."""
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
            batch = self.memory.sample(self.minibatches.next())
            metrics = self.update(batch, gaussian.normal(self.smoothing.next()))
        return metrics

    def update(self, batch: Step, normal: Tensor) -> dict[str, Tensor]:
        """One gradient step of the critics on a minibatch (S, B, ...), with normal numbers (S, B, A) for the
        smoothing; with every d-th, one of the actor and of the targets."""
        self.updates += 1
        return self.learn(batch, normal, self.updates % self.config.policy_delay == 0)

    def learn(self, batch: Step, normal: Tensor, with_actor: bool) -> dict[str, Tensor]:
        """As `update`; `with_actor`: it is a d-th one."""
        c = self.config
        rate = schedules.learning_rate(c, self.env_steps, self.budget)
        y = self.target(batch, normal)
        critic_input = torch.cat([batch.obs, batch.action], -1)
        q1, q2 = (self.critic(name, critic_input) for name in ("q1", "q2"))
        critic_loss = targets.squared_error(q1, y) + targets.squared_error(q2, y)
        self.critic_optimizer.backward(critic_loss)
        self.critic_optimizer.step(rate)
        if with_actor:
            self.update_actor(batch.obs, rate)
        losses = {"critic_loss": critic_loss.detach(), "actor_loss": self.actor_loss.clone()}
        return {**losses, "q_mean": q1.detach().mean(1)}

    @torch.no_grad()
    def target(self, batch: Step, normal: Tensor) -> Tensor:
        """y = r + gamma min_i Q_i'(s', a~), (S, B): the lower of two opinions on the smoothed action."""
        c = self.config
        next_action = self.policy(self.actor_target, batch.next_obs)
        next_action = smoothed(next_action, c.target_policy_noise * normal, c.target_noise_clip)
        critic_input = torch.cat([batch.next_obs, next_action], -1)
        next_q = torch.minimum(*(self.critic_target(name, critic_input) for name in ("q1", "q2")))
        return targets.one_step(batch.reward, batch.discount, next_q, c.gamma)

    def update_actor(self, obs: Tensor, rate: float) -> None:
        """Ascend Q_1(s, pi(s)), obs (S, B, *obs); then let all targets follow."""
        action = self.policy(self.actor, obs)
        loss = -self.critic("q1", torch.cat([obs, action], -1), constant=True).mean(1)
        self.actor_optimizer.backward(loss)
        self.actor_optimizer.step(rate)
        optimizers.polyak(self.critic_target, self.critic, self.config.tau, self.alive)
        optimizers.polyak(self.actor_target, self.actor, self.config.tau, self.alive)
        self.actor_loss.copy_(loss.detach())

    def saved(self) -> dict[str, networks.Network]:
        """The networks that a saved policy consists of."""
        return {"theta": self.actor}
