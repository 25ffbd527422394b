"""Soft Actor-Critic, with a learned or a fixed temperature. Haarnoja et al. 2018, arXiv:1812.05905,
Algorithm 1 and eq. 5, 9 and 18; squashed policies: arXiv:1801.01290, appendix C.

Departures from the paper (all as in Stable-Baselines3):
- the temperature's loss is linear in log alpha, not in alpha;
- log standard deviations are clamped to [-20, 2];
- the temperature steps first, and its old value serves the rest of the update;
- uniformly random actions before the first update;
- target updates are counted from the start of each burst of updates.
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
    "the temperature's loss is linear in log alpha, not in alpha",
    "log standard deviations clamped to [-20, 2]",
    "the temperature steps first; its old value serves the rest of the update",
    "uniformly random actions before the first update",
    "target updates counted from the start of each burst of updates",
]
LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0


@dataclass(frozen=True)
class SACConfig:
    """Names and defaults are Stable-Baselines3's."""

    learning_rate: float = 3e-4
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    buffer_size: int = 1_000_000  # transitions
    learning_starts: int = 100  # environment steps; random actions until then
    batch_size: int = 256  # transitions
    tau: float = 0.005  # share of the online parameters in each target update
    gamma: float = 0.99  # discount
    train_freq: int = 1  # steps of all sub-environments between bursts of updates
    gradient_steps: int = 1  # updates per burst; -1: as many as environment steps since the last
    ent_coef: float | Literal["auto"] = "auto"  # alpha; auto: learned, from 1
    target_entropy: float | Literal["auto"] = "auto"  # nats; auto: minus the number of action components
    target_update_interval: int = 1  # updates between target updates
    net_arch: tuple[int, ...] = (256, 256)  # hidden units of actor and critics
    activation: Literal["tanh", "relu"] = "relu"


def temperature_loss(log_alpha: Tensor, log_prob: Tensor, target_entropy: float) -> Tensor:
    """J(alpha) = E[-log alpha (log pi(a|s) + H)], eq. 18 with log alpha for alpha: (S, 1), (S, B) -> (S,).

    Too little entropy makes alpha rise.
    """
    assert log_alpha.shape == (log_prob.shape[0], 1)
    return -(log_alpha * (log_prob.detach() + target_entropy)).mean(1)


class SAC:
    """A squashed Gaussian policy that climbs the lower of two critics plus alpha times its entropy.

    Inside, actions are in [-1, 1]: those of the actor, of the critics and in the memory.
    """

    def __init__(self, spec: EnvSpec, config: SACConfig, random: Streams, budget: int):
        (inputs,), n_components = spec.obs_shape, math.prod(spec.action_shape)
        generators = random.torch_generators("network")
        actor = networks.mlp([inputs, *config.net_arch, 2 * n_components])
        critic = networks.mlp([inputs + n_components, *config.net_arch, 1])
        self.actor = networks.Network({"actor": actor}, generators, config.activation)
        self.critic = networks.Network({"q1": critic, "q2": critic}, generators, config.activation)
        self.critic_target = self.critic.copy()
        self.temperature = networks.Network({}, generators, vectors={"log_alpha": [0.0]})
        self.alive = optimizers.all_alive(spec.n_seeds)
        self.actor_optimizer = optimizers.Adam(self.actor, alive=self.alive)
        self.critic_optimizer = optimizers.Adam(self.critic, alive=self.alive)
        self.temperature_optimizer = optimizers.Adam(self.temperature, alive=self.alive)
        self.target_entropy = -n_components if config.target_entropy == "auto" else config.target_entropy
        self.memory = Replay(config.buffer_size, spec.n_seeds, spec.n_envs)
        self.minibatches = Uniforms(random.generators("minibatches"), config.batch_size)
        self.noise = Uniforms(random.generators("noise"), 2, config.batch_size, n_components)
        self.config, self.budget, self.n_envs = config, budget, spec.n_envs
        self.bounds, self.action_shape = Bounds(spec), spec.action_shape
        self.env_steps = 0
        self.uniforms = n_components

    def policy(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation before squashing: obs (S, B, *obs) -> (S, B, A) each."""
        mean, log_std = self.actor("actor", obs).chunk(2, -1)
        return mean, log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)

    def sample(self, obs: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
        """a = tanh(mean + std * normal) and log pi(a|s): obs (S, B, *obs) -> (S, B, A) and (S, B)."""
        mean, log_std = self.policy(obs)
        unsquashed = mean + log_std.exp() * normal
        action = networks.tanh(unsquashed)
        log_prob = gaussian.log_prob(mean, log_std, unsquashed)
        return action, gaussian.squashed_log_prob(log_prob, action)

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, A) -> action (S, N, *action), unscaled."""
        if explore is not None and self.env_steps < self.config.learning_starts:
            action = 2 * explore - 1
        else:
            mean, log_std = self.policy(obs)
            action = networks.tanh(mean if explore is None else gaussian.sample(mean, log_std, explore))
        return self.bounds.from_unit(action.view(*obs.shape[:2], *self.action_shape))

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Store one step of N sub-environments; update when due."""
        unit_action = self.bounds.to_unit(step.action).reshape(*step.reward.shape, -1)
        self.memory.add(step._replace(action=unit_action))
        self.env_steps += self.n_envs
        metrics: dict[str, Tensor] = {}
        for k in range(schedules.updates_due(self.config, self.env_steps, self.n_envs)):
            batch = self.memory.sample(self.minibatches.next())
            normal = gaussian.normal(self.noise.next())
            metrics = self.update(batch, normal, k % self.config.target_update_interval == 0)
        return metrics

    def update(self, batch: Step, normal: Tensor, target_update: bool = True) -> dict[str, Tensor]:
        """One gradient step of temperature, critics and actor on a minibatch (S, B, ...), with normal numbers
        (S, 2, B, A) for the actions at s and at s'; then, if asked, one of the targets."""
        c = self.config
        rate = schedules.learning_rate(c, self.env_steps, self.budget)
        action, log_prob = self.sample(batch.obs, normal[:, 0])
        alpha, alpha_loss = self.update_temperature(log_prob, rate)
        critic_loss, q = self.update_critics(batch, alpha, normal[:, 1], rate)
        q_pi = torch.minimum(*self.values(self.critic, batch.obs, action, constant=True))
        actor_loss = (alpha * log_prob - q_pi).mean(1)
        self.actor_optimizer.backward(actor_loss)
        self.actor_optimizer.step(rate)
        if target_update:
            optimizers.polyak(self.critic_target, self.critic, c.tau, self.alive)
        return {
            "critic_loss": critic_loss,
            "actor_loss": actor_loss.detach(),
            "q_mean": q,
            "entropy": -log_prob.detach().mean(1),
            "ent_coef": alpha[:, 0],
            **alpha_loss,
        }

    def update_temperature(self, log_prob: Tensor, rate: float) -> tuple[Tensor, dict[str, Tensor]]:
        """One gradient step of log alpha, if it is learned; alpha as it was before, (S, 1), and the loss."""
        if self.config.ent_coef != "auto":
            return torch.full_like(log_prob[:, :1], self.config.ent_coef), {}
        log_alpha = self.temperature.vectors["log_alpha"][:, 0]
        alpha = log_alpha.detach().exp()
        loss = temperature_loss(log_alpha, log_prob, self.target_entropy)
        self.temperature_optimizer.backward(loss)
        self.temperature_optimizer.step(rate)
        return alpha, {"ent_coef_loss": loss.detach()}

    def update_critics(
        self, batch: Step, alpha: Tensor, normal: Tensor, rate: float
    ) -> tuple[Tensor, Tensor]:
        """One gradient step of both critics towards the soft target, eq. 5; loss and mean Q, (S,) each."""
        with torch.no_grad():
            next_action, next_log_prob = self.sample(batch.next_obs, normal)
            next_q = torch.minimum(*self.values(self.critic_target, batch.next_obs, next_action))
            soft_value = next_q - alpha * next_log_prob
            y = targets.one_step(batch.reward, batch.discount, soft_value, self.config.gamma)
        q1, q2 = self.values(self.critic, batch.obs, batch.action)
        loss = 0.5 * (targets.squared_error(q1, y) + targets.squared_error(q2, y))
        self.critic_optimizer.backward(loss)
        self.critic_optimizer.step(rate)
        return loss.detach(), q1.detach().mean(1)

    def values(
        self, critic: networks.Network, obs: Tensor, action: Tensor, constant: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Q_1(s, a) and Q_2(s, a), as `constant` functions or not: (S, B, *obs), (S, B, A) -> (S, B) each."""
        critic_input = torch.cat([obs, action], -1)
        return critic("q1", critic_input, constant), critic("q2", critic_input, constant)

    def saved(self) -> dict[str, networks.Network]:
        """The networks that a saved policy consists of."""
        return {"theta": self.actor}
