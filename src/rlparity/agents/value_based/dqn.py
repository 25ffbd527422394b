"""Deep Q-learning with experience replay. Mnih et al. 2013, arXiv:1312.5602, Algorithm 1 (`dqn-2013`);
with a target network: Mnih et al. 2015, Nature 518, Algorithm 1 (`dqn`);
double: van Hasselt et al. 2016, arXiv:1509.06461, eq. 4 (`dqn-double`);
dueling: Wang et al. 2016, arXiv:1511.06581, eq. 9 (`dqn-dueling`);
returns of n steps: Sutton 1988, as in Hessel et al. 2018, arXiv:1710.02298 (`dqn-nstep`);
prioritised replay: Schaul et al. 2016, arXiv:1511.05952, Algorithm 1 (`dqn-prioritized`).

Departures from the papers (all as in Stable-Baselines3):
- Adam instead of RMSProp;
- the Huber loss and clipped gradient norms in place of clipped errors (2015);
- gradient steps come in bursts after every `train_freq` steps;
- a time limit does not end a task: its transition bootstraps.
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
from rlparity.nn import networks, optimizers, q_networks
from rlparity.objectives import schedules, targets
from rlparity.seeding import Streams, Uniforms
from rlparity.transitions import Step

BURST = 128  # updates for which minibatches are drawn together, at most
DEPARTURES = [
    "Adam instead of RMSProp",
    "Huber loss and clipped gradient norms in place of clipped errors",
    "gradient steps in bursts after every train_freq steps",
    "a time limit does not end a task: its transition bootstraps",
]


@dataclass(frozen=True)
class DQNConfig:
    """Names and defaults are Stable-Baselines3's."""

    learning_rate: float = 1e-4
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    buffer_size: int = 1_000_000  # N, transitions
    learning_starts: int = 100  # environment steps; random actions until then
    batch_size: int = 32  # transitions
    gamma: float = 0.99  # discount
    train_freq: int = 4  # steps of all sub-environments between bursts of updates
    gradient_steps: int = 1  # updates per burst; -1: as many as environment steps since the last
    target_update_interval: int = 10_000  # C, environment steps
    exploration_fraction: float = 0.1  # of the budget, over which epsilon falls
    exploration_initial_eps: float = 1.0
    exploration_final_eps: float = 0.05
    max_grad_norm: float | None = 10.0
    n_steps: int = 1  # n, rewards in a target
    net_arch: tuple[int, ...] = (64, 64)  # hidden units; images: `cnn`
    activation: Literal["tanh", "relu"] = "relu"
    cnn: Literal["nature", "2013"] = "nature"  # the network that sees images
    precision: Literal["float32", "bfloat16"] = "float32"  # of learning from images
    memory_mapped: bool = False  # images in a file instead of memory
    target_network: bool = True  # False: Q itself gives the targets (2013)
    double_q: bool = False  # Q chooses the action that the target network values
    dueling: bool = False  # Q is a state value plus advantages
    prioritized: bool = False  # transitions are drawn by their last error
    priority_exponent: float = 0.6  # alpha
    priority_correction: float = 0.4  # beta at the start; it rises to 1 over the budget
    loss: Literal["huber", "mse"] = "huber"


def td_loss(
    q_values: Tensor, action: Tensor, y: Tensor, loss: str, weight: Tensor | float = 1.0
) -> tuple[Tensor, Tensor]:
    """Mean distance of Q(s, a) from y, (S,), and Q(s, a), (S, B): q_values (S, B, A), the rest (S, B)."""
    q = q_values.gather(-1, action.unsqueeze(-1)).squeeze(-1)
    assert q.shape == y.shape
    distance = F.smooth_l1_loss if loss == "huber" else F.mse_loss
    return (weight * distance(q, y, reduction="none")).mean(1), q


def td_slope(q: Tensor, y: Tensor, loss: str, weight: Tensor | float = 1.0) -> Tensor:
    """Gradient of `td_loss` by each Q(s, a): the error, clipped at 1 by the Huber loss; (S, B) -> (S, B)."""
    error = (q - y).clamp(-1, 1) if loss == "huber" else 2 * (q - y)
    return weight * error / q.shape[1]


class DQN:
    """Acts epsilon-greedily, stores every transition, learns from random minibatches."""

    def __init__(self, spec: EnvSpec, config: DQNConfig, random: Streams, budget: int):
        assert spec.n_actions is not None
        self.q = q_networks.build(spec, config, random.torch_generators("network"))
        self.q_target = self.q.copy() if config.target_network else self.q
        self.alive = optimizers.all_alive(spec.n_seeds)
        self.optimizer = optimizers.Adam(self.q, alive=self.alive)
        self.replay = replay.build(spec, config)
        self.minibatches = Uniforms(random.generators("minibatches"), config.batch_size)
        self.config, self.budget, self.n_actions, self.n_envs = config, budget, spec.n_actions, spec.n_envs
        self.env_steps = 0
        follows = config.double_q or config.prioritized or not config.target_network
        self.burst = 1 if follows else BURST  # updates whose minibatches and targets none of them changes
        self.uniforms = 2  # whether to explore, and with which action

    @property
    def epsilon(self) -> float:
        """Probability of a random action."""
        return schedules.exploration(self.config, self.env_steps, self.budget)

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, 2) -> action (S, N)."""
        if explore is None:
            return self.q.values(obs).argmax(-1)
        anything = (explore[..., 1] * self.n_actions).long()
        if self.epsilon >= 1:
            return anything
        return torch.where(explore[..., 0] < self.epsilon, anything, self.q.values(obs).argmax(-1))

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Store one step of N sub-environments; update when due."""
        c = self.config
        self.replay.add(step)
        self.env_steps += self.n_envs
        if c.target_network and schedules.copy_due(c, self.env_steps, self.n_envs):
            self.q_target.theta.detach().copy_(self.q.theta.detach())
        due = schedules.updates_due(c, self.env_steps, self.n_envs)
        metrics: dict[str, Tensor] = {}
        while due:
            size = min(due, self.burst)
            metrics = self.learn(size)
            due -= size
        return metrics

    def learn(self, size: int) -> dict[str, Tensor]:
        """`size` gradient steps, for which minibatches and targets are made together."""
        uniform = torch.cat([self.minibatches.next() for _ in range(size)], 1)
        drawn = self.replay.draw(uniform, self.env_steps / self.budget)
        y = self.targets(drawn.step)
        for batch, y_batch in zip(drawn.split(size), y.chunk(size, 1), strict=True):
            metrics = self.update(batch, y_batch)
        return metrics

    @torch.no_grad()
    def targets(self, step: Step) -> Tensor:
        """y of transitions (S, B)."""
        next_q = self.q_target.values(step.next_obs)
        chooser = self.q.values(step.next_obs) if self.config.double_q else next_q
        return targets.td_target(step.reward, step.discount, next_q, chooser, self.config.gamma)

    def update(self, batch: Minibatch, y: Tensor) -> dict[str, Tensor]:
        """One gradient step on a minibatch (S, B, ...) with targets y (S, B)."""
        c, step = self.config, batch.step
        if self.q.has_trunk:
            loss, q = td_loss(self.q.values(step.obs), step.action, y, c.loss, batch.weight)
            self.optimizer.backward(loss)
        else:
            with torch.no_grad():
                values, tape = self.q.run_values(step.obs)
                loss, q = td_loss(values, step.action, y, c.loss, batch.weight)
                self.alive &= loss.isfinite()  # Huber's slope of an infinite error is finite
                by_q = td_slope(q, y, c.loss, batch.weight).unsqueeze(-1)
                self.q.pull_values(
                    tape, torch.zeros_like(values).scatter_(-1, step.action.unsqueeze(-1), by_q)
                )
        self.replay.update_priorities(batch, y - q)
        rate = schedules.learning_rate(c, self.env_steps, self.budget)
        norm = self.optimizer.step(rate, None, c.max_grad_norm)
        return {"loss": loss.detach(), "q_mean": q.detach().mean(1), "grad_norm": norm}

    def saved(self) -> dict[str, networks.Network]:
        """The networks that a saved policy consists of."""
        return {"theta": self.q}
