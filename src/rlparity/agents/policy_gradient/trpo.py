"""Trust Region Policy Optimization. Schulman et al. 2015, arXiv:1502.05477, eq. 14, section 6 and appendix C.

Without its line search it is the natural policy gradient (Kakade 2001) with steps of one length in KL: the
truncated natural policy gradient of Duan et al. 2016, arXiv:1604.06778, which is the configuration `npg`.

Departures from the papers (all as in sb3-contrib, but for the last):
- separate networks for actor and critic; a rollout has a fixed length;
- advantages by GAE from a critic that Adam fits, and normalised over the rollout (the papers': Monte Carlo);
- `sub_sampling_factor` thins the gradient and the line search, not only the Fisher matrix;
- the constraint is KL(new || old), not KL(old || new), and is strict;
- KL and Fisher matrix are averaged over an action's components (the papers': summed, `kl_components: sum`);
- damping is added to the Fisher matrix, in the step's length too;
- the episode's time limit bootstraps from V of the observation it cut off;
- `npg`: steps of length sqrt(2 delta / s F s), not of a constant learning rate (Kakade 2001).

sb3-contrib starts the conjugate gradient at 1e-4 times normal noise; here it starts at zero, as in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from rlparity.buffers.rollout import Rollout
from rlparity.environments.base import EnvSpec
from rlparity.nn import fisher, networks, optimizers, policies
from rlparity.objectives import schedules, targets
from rlparity.seeding import Streams
from rlparity.transitions import Step

DEPARTURES = [
    "separate networks for actor and critic",
    "advantages by GAE from a learned critic, normalised over the rollout",
    "sub-sampling thins the gradient and the line search, too",
    "the constraint is KL(new || old)",
    "KL is averaged over an action's components, not summed",
    "the step's length counts the damping",
    "a time limit bootstraps from V of the observation it cut off",
    "npg: steps of one length in KL, not of a constant learning rate",
]


@dataclass(frozen=True)
class TRPOConfig:
    """Names and defaults are Stable-Baselines3's."""

    learning_rate: float = 1e-3  # of the critic
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    n_steps: int = 2048  # environment steps per sub-environment and update
    batch_size: int = 128  # transitions per minibatch of the critic
    gamma: float = 0.99  # discount
    gae_lambda: float = 0.95  # lambda
    target_kl: float = 0.01  # delta, nats
    kl_components: Literal["mean", "sum"] = "mean"  # how an action's add up; sum: the KL of the policies
    cg_max_steps: int = 15  # iterations of conjugate gradient
    cg_damping: float = 0.1  # added to the Fisher matrix's diagonal
    line_search: bool = True  # False: the whole natural-gradient step (`npg`)
    line_search_shrinking_factor: float = 0.8
    line_search_max_iter: int = 10
    n_critic_updates: int = 10  # epochs of the critic over the rollout
    normalize_advantage: bool = True
    sub_sampling_factor: int = 1  # the policy's step uses every k-th transition
    net_arch: tuple[int, ...] = (64, 64)  # hidden units
    activation: Literal["tanh", "relu"] = "tanh"
    log_std_init: float = 0.0  # continuous actions, in the environment's units
    ortho_init: bool = True  # else PyTorch's own start


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


def dot(a: Tensor, b: Tensor) -> Tensor:
    """One inner product per seed: (S, P), (S, P) -> (S, 1)."""
    assert a.shape == b.shape
    return (a * b).sum(1, keepdim=True)


def surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor) -> Tensor:
    """L(theta) = mean of pi(a|s) / pi_old(a|s) A, eq. 14: (S, B) -> (S,)."""
    assert log_prob.shape == old_log_prob.shape == advantage.shape
    return ((log_prob - old_log_prob).exp() * advantage).mean(1)


def conjugate_gradient(
    product: Callable[[Tensor], Tensor], b: Tensor, max_steps: int, due: Tensor, tolerance: float = 1e-10
) -> Tensor:
    """x with A x = b for each seed that is due, (S,) bool; zero for the others. Appendix C, and
    Nocedal and Wright 2006, Algorithm 5.2.

    `product` maps (S, P) to A times each row, A symmetric and positive. A seed is done once the square of
    its residual is below `tolerance`; what the others go on with does not touch it.
    """
    x = torch.zeros_like(b)
    residual = direction = b
    square = dot(residual, residual)
    going = due[:, None] & ~(square < tolerance)
    for _ in range(max_steps):
        if not going.any():
            break
        change = product(direction)
        alpha = square / dot(direction, change)
        x = torch.where(going, x + alpha * direction, x)
        residual = residual - alpha * change
        before, square = square, dot(residual, residual)
        going = going & ~(square < tolerance)
        direction = residual + square / before * direction
    return x


class TRPO:
    """After every rollout: one natural gradient step of the policy, then the critic's epochs."""

    def __init__(self, spec: EnvSpec, config: TRPOConfig, random: Streams, budget: int):
        self.policy = policies.build(spec, config.log_std_init)
        self.components = math.prod(spec.action_shape) if config.kl_components == "mean" else 1
        (inputs,) = spec.obs_shape
        hidden = [inputs, *config.net_arch]
        gains = (0.01, 1.0) if config.ortho_init else (None, None)
        actor = {"actor": networks.mlp([*hidden, self.policy.n_outputs], gains[0])}
        critic = {"critic": networks.mlp([*hidden, 1], gains[1])}
        generators = random.torch_generators("network")
        self.actor = networks.Network(actor, generators, config.activation, self.policy.vectors)
        self.critic = networks.Network(critic, generators, config.activation)
        self.alive = optimizers.all_alive(spec.n_seeds)
        self.optimizer = optimizers.Adam(self.critic, eps=1e-5, alive=self.alive)
        self.memory = Rollout(config.n_steps)
        self.config, self.budget, self.env_steps = config, budget, 0
        self.shuffles = random.generators("minibatches")
        self.uniforms = self.policy.uniforms

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, uniforms) -> action (S, N) or (S, N, *action)."""
        if explore is None:
            return self.policy.mode(self.actor, obs)
        return self.policy.sample(self.actor, obs, explore)

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Store one step of N sub-environments; update when the rollout is full."""
        self.env_steps += step.reward.shape[1]
        if not self.memory.add(step):
            return {}
        batch = self.prepare(self.memory.pop())
        shuffles = [
            [rng.permutation(batch.advantage.shape[1]) for rng in self.shuffles]
            for _ in range(1 + self.config.n_critic_updates)
        ]
        return self.update(batch, torch.from_numpy(np.array(shuffles)))

    @torch.no_grad()
    def prepare(self, rollout: Step) -> Batch:
        """Advantages and value targets of a rollout (S, N, T, ...), under the policy that acted."""
        c = self.config
        obs, action, next_obs = (x.flatten(1, 2) for x in (rollout.obs, rollout.action, rollout.next_obs))
        shape = rollout.reward.shape
        value = self.critic("critic", obs).view(shape)
        next_value = self.critic("critic", next_obs).view(shape)
        advantage = targets.gae(
            rollout.reward, value, next_value, rollout.discount, rollout.last, c.gamma, c.gae_lambda
        )
        log_prob = self.policy.log_prob(self.actor, obs, action)
        flat = (x.flatten(1, 2) for x in (value, advantage, advantage + value))
        return Batch(obs, action, log_prob, *flat)

    def update(self, batch: Batch, shuffles: Tensor) -> dict[str, Tensor]:
        """The policy's step on every k-th transition in the order of shuffles[0], the critic's in that of the
        others; shuffles (1 + epochs, S, B)."""
        stride = self.config.sub_sampling_factor
        metrics = self.improve(batch if stride == 1 else batch.at(shuffles[0][:, ::stride]))
        metrics["value_loss"] = self.fit(batch, shuffles[1:])
        metrics["explained_variance"] = targets.explained_variance(batch.value, batch.returns)
        return metrics

    def improve(self, batch: Batch) -> dict[str, Tensor]:
        """Step along the natural gradient, as far as the trust region allows."""
        c, advantage = self.config, batch.advantage
        if c.normalize_advantage:
            spread = advantage.std(1, keepdim=True) + 1e-8
            batch = batch._replace(advantage=(advantage - advantage.mean(1, keepdim=True)) / spread)
        log_prob = self.policy.log_prob(self.actor, batch.obs, batch.action)
        objective = surrogate(log_prob, batch.log_prob, batch.advantage)
        self.alive &= objective.isfinite()
        self.actor.backward(objective)
        product = fisher.fisher(self.policy, self.actor, batch.obs)

        def damped(v: Tensor) -> Tensor:
            return product(v) / self.components + c.cg_damping * v

        s = conjugate_gradient(damped, self.actor.grad, c.cg_max_steps, self.alive)
        step = (2 * c.target_kl / dot(s, damped(s))).sqrt() * s
        return self.search(batch, step, objective.detach())

    @torch.no_grad()
    def search(self, batch: Batch, step: Tensor, objective: Tensor) -> dict[str, Tensor]:
        """Backtrack along `step` (S, P) to the first point that is better than `objective` (S,) and inside
        the trust region; a seed that finds none keeps its parameters. Without line search: the whole step."""
        c, theta, trial = self.config, self.actor.theta.detach(), self.actor.copy()
        found = torch.zeros_like(self.alive)
        searching = self.alive & step.isfinite().all(1)
        kl, fraction, best = torch.zeros_like(objective), torch.zeros_like(objective), theta
        for k in range(c.line_search_max_iter if c.line_search else 1):
            shrunk = c.line_search_shrinking_factor**k
            trial.theta.detach().copy_(theta + shrunk * step)
            log_prob = self.policy.log_prob(trial, batch.obs, batch.action)
            new = surrogate(log_prob, batch.log_prob, batch.advantage)
            new_kl = fisher.divergence(self.policy, trial, self.actor, batch.obs).mean(1) / self.components
            here = searching & (new_kl < c.target_kl) & (new > objective) if c.line_search else searching
            best = torch.where(here[:, None], trial.theta, best)
            objective, kl = torch.where(here, new, objective), torch.where(here, new_kl, kl)
            fraction = torch.where(here, shrunk, fraction)
            found, searching = found | here, searching & ~here
            if not searching.any():
                break
        theta.copy_(best)
        metrics = {"policy_objective": objective, "kl_divergence": kl, "step_fraction": fraction}
        return {**metrics, "line_search_success": found.float()} if c.line_search else metrics

    def fit(self, batch: Batch, shuffles: Tensor) -> Tensor:
        """Epochs of the critic in the order of `shuffles` (K, S, B); its mean squared error, (S,)."""
        c = self.config
        rate = schedules.learning_rate(c, self.env_steps, self.budget)
        seed = torch.arange(shuffles.shape[1])[:, None]
        losses = []
        for order in shuffles:
            obs, returns = batch.obs[seed, order], batch.returns[seed, order]
            for start in range(0, order.shape[1], c.batch_size):
                rows = slice(start, start + c.batch_size)
                value = self.critic("critic", obs[:, rows])
                assert value.shape == returns[:, rows].shape
                loss = (returns[:, rows] - value).square().mean(1)
                self.optimizer.backward(loss)
                self.optimizer.step(rate)
                losses.append(loss.detach())
        return torch.stack(losses).mean(0)

    def saved(self) -> dict[str, networks.Network]:
        """The networks that a saved policy consists of."""
        return {"actor": self.actor, "critic": self.critic}
