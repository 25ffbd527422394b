"""Advantage Actor-Critic: the synchronous form of A3C. Mnih et al. 2016, arXiv:1602.01783, Algorithm S3.

Departures from the paper (all as in Stable-Baselines3):
- one learner steps all sub-environments together instead of asynchronous workers;
- separate networks for actor and critic instead of shared features, except for images;
- RMSprop's statistics belong to the one learner, with epsilon outside the root unless `rms_prop_tf`;
- the episode's time limit bootstraps from V of the observation it cut off.

Off unless asked for: generalised (`gae_lambda` below 1) and normalised advantages, Adam.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from rlparity.buffers.rollout import Rollout
from rlparity.environments.base import EnvSpec
from rlparity.nn import networks, optimizers, policies
from rlparity.objectives import schedules, targets
from rlparity.seeding import Streams
from rlparity.transitions import Step

DEPARTURES = [
    "synchronous: one learner steps all sub-environments together",
    "separate networks for actor and critic, except for images",
    "RMSprop with epsilon outside the root, unless rms_prop_tf",
    "a time limit bootstraps from V of the observation it cut off",
]


@dataclass(frozen=True)
class A2CConfig:
    """Names and defaults are Stable-Baselines3's."""

    learning_rate: float = 7e-4
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    n_steps: int = 5  # t_max, environment steps per sub-environment and update
    gamma: float = 0.99  # discount
    gae_lambda: float = 1.0  # 1: the paper's n-step return
    ent_coef: float = 0.0  # beta, per nat
    vf_coef: float = 0.5  # weight of the squared error
    max_grad_norm: float = 0.5
    normalize_advantage: bool = False
    use_rms_prop: bool = True  # else Adam
    rms_prop_eps: float = 1e-5
    rms_prop_tf: bool = False  # epsilon inside the root and a start at one, as in TensorFlow (Nature's too)
    net_arch: tuple[int, ...] = (64, 64)  # hidden units; images: the shared network of Nature 2015
    activation: Literal["tanh", "relu"] = "tanh"
    log_std_init: float = 0.0  # continuous actions, in the environment's units
    ortho_init: bool = True  # else PyTorch's own start
    precision: Literal["float32", "bfloat16"] = "float32"  # of learning from images


class Batch(NamedTuple):
    """Flattened rollout, one row per transition: (S, B, ...)."""

    obs: Tensor
    action: Tensor
    value: Tensor  # V before the update
    advantage: Tensor
    returns: Tensor  # target of V


def policy_objective(log_prob: Tensor, advantage: Tensor) -> Tensor:
    """Mean of log pi(a|s) A, whose gradient ascends the return; (S, B) -> (S,)."""
    assert log_prob.shape == advantage.shape
    return (log_prob * advantage).mean(1)


class A2C:
    """Updates once after every n_steps in N sub-environments."""

    def __init__(self, spec: EnvSpec, config: A2CConfig, random: Streams, budget: int):
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
        self.optimizer: optimizers.RMSprop | optimizers.Adam
        if config.use_rms_prop:
            self.optimizer = optimizers.RMSprop(
                self.network, eps=config.rms_prop_eps, tf=config.rms_prop_tf, alive=self.alive
            )
        else:
            self.optimizer = optimizers.Adam(self.network, eps=1e-5, alive=self.alive)
        self.memory = Rollout(config.n_steps)
        self.config, self.budget, self.env_steps = config, budget, 0
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
        return self.update(self.prepare(self.memory.pop())) if self.memory.add(step) else {}

    @torch.no_grad()
    def prepare(self, rollout: Step) -> Batch:
        """Advantages and value targets of a rollout (S, N, T, ...)."""
        c = self.config
        obs, action = (x.flatten(1, 2) for x in (rollout.obs, rollout.action))
        value = self.value(obs).view(rollout.reward.shape)
        next_value = targets.next_values(rollout, value, self.value)
        advantage = targets.gae(
            rollout.reward, value, next_value, rollout.discount, rollout.last, c.gamma, c.gae_lambda
        )
        value, advantage = value.flatten(1), advantage.flatten(1)
        return Batch(obs, action, value, advantage, advantage + value)

    def update(self, batch: Batch) -> dict[str, Tensor]:
        """One gradient step on the whole batch."""
        c = self.config
        loss, metrics = self.loss(batch)
        self.optimizer.backward(loss)
        rate = schedules.learning_rate(c, self.env_steps, self.budget)
        metrics["grad_norm"] = self.optimizer.step(rate, None, c.max_grad_norm)
        return metrics

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Policy, value and entropy loss of each seed, (S,), and what it is made of."""
        c = self.config
        advantage = batch.advantage
        if c.normalize_advantage:
            spread = advantage.std(1, keepdim=True) + 1e-8
            advantage = (advantage - advantage.mean(1, keepdim=True)) / spread
        features = self.network.features(batch.obs)
        log_prob, entropy = self.policy.log_prob_and_entropy(self.network, features, batch.action)
        policy_loss = -policy_objective(log_prob, advantage)
        value = self.network("critic", features)
        assert value.shape == batch.returns.shape
        value_loss = (batch.returns - value).square().mean(1)
        entropy = entropy.mean(1)
        loss = policy_loss + c.vf_coef * value_loss - c.ent_coef * entropy
        terms = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
        return loss, {name: term.detach() for name, term in terms.items()}

    def saved(self) -> dict[str, networks.Network]:
        """The networks that a saved policy consists of."""
        return {"theta": self.network}
