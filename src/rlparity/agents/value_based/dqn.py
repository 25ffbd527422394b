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

from rlparity.buffers.frame_replay import FrameReplay
from rlparity.buffers.prioritized import Priorities
from rlparity.buffers.replay import Replay
from rlparity.environments.base import EnvSpec
from rlparity.nn import networks
from rlparity.objectives import targets
from rlparity.records import Step
from rlparity.seeding import Streams, Uniforms

DEPARTURES = [
    "Adam instead of RMSProp",
    "Huber loss and clipped gradient norms in place of clipped errors",
    "gradient steps in bursts after every train_freq steps",
    "a time limit does not end a task: its transition bootstraps",
]


@dataclass(frozen=True)
class Config:
    """Names and defaults are Stable-Baselines3's."""

    learning_rate: float = 1e-4
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    buffer_size: int = 1_000_000  # N, transitions
    learning_starts: int = 100  # environment steps; random actions until then
    batch_size: int = 32  # transitions
    gamma: float = 0.99  # discount
    train_freq: int = 4  # steps of all worlds between bursts of updates
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


def dueling(value: Tensor, advantage: Tensor) -> Tensor:
    """Q(s, a) = V(s) + A(s, a) - mean A(s, .), eq. 9 of Wang et al.: (S, B), (S, B, A) -> (S, B, A)."""
    return value[..., None] + advantage - advantage.mean(-1, keepdim=True)


class Agent:
    """Acts epsilon-greedily, remembers everything, learns from random minibatches."""

    def __init__(self, spec: EnvSpec, config: Config, random: Streams, budget: int):
        assert spec.n_actions is not None
        trunk, sizes = networks.inputs(
            spec.obs_shape, config.net_arch, None, config.cnn, shared_units=not config.dueling
        )
        heads = {"value": 1, "advantage": spec.n_actions} if config.dueling else {"q": spec.n_actions}
        stacks = {name: networks.mlp([*sizes, outputs]) for name, outputs in heads.items()}
        generators = random.torch_generators("network")
        self.q = networks.Network(
            {**trunk, **stacks}, generators, config.activation, precision=config.precision
        )
        self.q_target = self.q.copy() if config.target_network else self.q
        self.optimizer = networks.Adam(self.q)
        room = (config.buffer_size, spec.n_seeds, spec.n_envs)
        self.memory = FrameReplay(*room, mapped=config.memory_mapped) if trunk else Replay(*room)
        self.priorities: Priorities | None = None
        if config.prioritized:
            self.priorities = Priorities(self.memory.capacity, spec.n_seeds, config.priority_exponent)
        self.minibatches = Uniforms(random.generators("minibatches"), config.batch_size)
        self.config, self.budget, self.n_actions, self.n_envs = config, budget, spec.n_actions, spec.n_envs
        self.env_steps = 0
        self.uniforms = 2  # whether to explore, and with which action
        self.alive = torch.ones(spec.n_seeds, dtype=torch.bool)

    @property
    def epsilon(self) -> float:
        """Probability of a random action; it falls linearly, then stays."""
        c = self.config
        if self.env_steps < c.learning_starts:
            return 1.0
        done = min(self.env_steps / (c.exploration_fraction * self.budget), 1.0)
        return c.exploration_initial_eps + done * (c.exploration_final_eps - c.exploration_initial_eps)

    def q_values(self, network: networks.Network, obs: Tensor) -> Tensor:
        """Q(s, .) of observations (S, B, *obs) -> (S, B, A)."""
        features = network.features(obs)
        if not self.config.dueling:
            return network("q", features)
        return dueling(network("value", features), network("advantage", features))

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, 2) -> action (S, N)."""
        greedy = self.q_values(self.q, obs).argmax(-1)
        if explore is None:
            return greedy
        anything = (explore[..., 1] * self.n_actions).long()
        return torch.where(explore[..., 0] < self.epsilon, anything, greedy)

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Remember one step of N worlds; learn when due."""
        c = self.config
        self.memory.add(step)
        self.env_steps += self.n_envs
        rounds = self.env_steps // self.n_envs
        if c.target_network and rounds % max(c.target_update_interval // self.n_envs, 1) == 0:
            self.q_target.theta.detach().copy_(self.q.theta.detach())
        metrics: dict[str, Tensor] = {}
        if rounds % c.train_freq == 0 and self.env_steps > c.learning_starts:
            burst = c.gradient_steps if c.gradient_steps >= 0 else c.train_freq * self.n_envs
            for _ in range(burst):
                metrics = self.learn(self.minibatches.next())
        return metrics

    def learn(self, uniform: Tensor) -> dict[str, Tensor]:
        """Draw a minibatch with uniform numbers (S, B), and take a gradient step on it."""
        c = self.config
        if self.priorities is None:
            index = self.memory.index(uniform, c.n_steps)
            return self.update(self.memory.at(index, c.n_steps, c.gamma))
        self.priorities.cover(*self.memory.drawable(c.n_steps))
        index = self.priorities.index(uniform)
        beta = c.priority_correction + (1 - c.priority_correction) * self.env_steps / self.budget
        return self.update(
            self.memory.at(index, c.n_steps, c.gamma), self.priorities.weights(index, beta), index
        )

    def update(
        self, batch: Step, weight: Tensor | float = 1.0, index: Tensor | None = None
    ) -> dict[str, Tensor]:
        """One gradient step on a minibatch (S, B, ...), whose places `index` (S, B) get new priorities."""
        c = self.config
        with torch.no_grad():
            next_q = self.q_values(self.q_target, batch.next_obs)
            chooser = self.q_values(self.q, batch.next_obs) if c.double_q else next_q
            y = targets.td_target(batch.reward, batch.discount, next_q, chooser, c.gamma)
        loss, q = td_loss(self.q_values(self.q, batch.obs), batch.action, y, c.loss, weight)
        if self.priorities is not None and index is not None:
            self.priorities.update(index, y - q)
        self.alive &= loss.isfinite()
        self.q.backward(loss)
        norm = self.q.clip_grad(c.max_grad_norm)
        remaining = 1 - self.env_steps / self.budget
        rate = networks.linear_schedule(c.learning_rate, c.learning_rate_schedule, remaining)
        self.optimizer.step(rate, self.alive)
        return {"loss": loss.detach(), "q_mean": q.detach().mean(1), "grad_norm": norm}

    def state_dict(self) -> dict[str, Tensor]:
        """The parameters of all seeds."""
        return {"theta": self.q.theta.detach()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over saved parameters."""
        self.q.theta.detach().copy_(state["theta"])
