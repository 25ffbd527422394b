"""One-step Sarsa with a network. Rummery and Niranjan 1994; Sutton and Barto 2018, section 6.4 and 10.1.

Departures from the algorithm as taught:
- Adam instead of plain gradient steps;
- one step on all sub-environments at once instead of one after another;
- a time limit does not end a task: its transition bootstraps, from the mean over actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rlparity.environments.base import EnvSpec
from rlparity.nn import networks, optimizers
from rlparity.objectives import schedules, targets
from rlparity.seeding import Streams
from rlparity.transitions import Step

DEPARTURES = [
    "Adam instead of plain gradient steps",
    "one step on all sub-environments at once instead of one after another",
    "a time limit does not end a task: its transition bootstraps, from the mean over actions",
]


@dataclass(frozen=True)
class SarsaConfig:
    """No reference exists; the values are our own."""

    learning_rate: float = 1e-3
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    gamma: float = 0.99  # discount
    epsilon: float = 0.1  # probability of a random action
    net_arch: tuple[int, ...] = (64, 64)  # hidden units
    activation: Literal["tanh", "relu"] = "tanh"


def target(before: Step, next_q: Tensor, next_action: Tensor, gamma: float, epsilon: float) -> Tensor:
    """y = r + gamma * discount * Q(s', a') of transitions (S, N), a' the action that was chosen next.

    At a time limit none was chosen, and the mean over the epsilon-greedy policy stands for it. next_q
    (S, N, A), next_action (S, N) -> (S, N).
    """
    chosen = next_q.gather(-1, next_action.unsqueeze(-1)).squeeze(-1)
    mean = (1 - epsilon) * next_q.amax(-1) + epsilon * next_q.mean(-1)
    value = torch.where(before.last > 0, mean, chosen)
    return targets.one_step(before.reward, before.discount, value, gamma)


class Sarsa:
    """Acts epsilon-greedily; learns from a step once the next action is known."""

    def __init__(self, spec: EnvSpec, config: SarsaConfig, random: Streams, budget: int):
        assert spec.n_actions is not None
        sizes = [*spec.obs_shape, *config.net_arch, spec.n_actions]
        generators = random.torch_generators("network")
        self.network = networks.Network({"q": networks.mlp(sizes)}, generators, config.activation)
        self.alive = optimizers.all_alive(spec.n_seeds)
        self.optimizer = optimizers.Adam(self.network, alive=self.alive)
        self.config, self.budget, self.n_actions, self.n_envs = config, budget, spec.n_actions, spec.n_envs
        self.env_steps = 0
        self.before: Step | None = None  # waits for the action after it
        self.uniforms = 2  # whether to explore, and with which action

    def q_values(self, obs: Tensor) -> Tensor:
        """Q(s, .) of observations (S, N, *obs) -> (S, N, A)."""
        found: Tensor = self.network("q", obs)
        return found.view(*obs.shape[:2], self.n_actions)

    @torch.no_grad()
    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, N, *obs), uniform numbers (S, N, 2) -> action (S, N)."""
        best = self.q_values(obs).argmax(-1)
        if explore is None:
            return best
        anything = (explore[..., 1] * self.n_actions).long()
        return torch.where(explore[..., 0] < self.config.epsilon, anything, best)

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Learn from the step before this one, whose next action is known now."""
        self.env_steps += self.n_envs
        before, self.before = self.before, step
        if before is None:
            return {}
        with torch.no_grad():
            next_q = self.q_values(before.next_obs)
            y = target(before, next_q, step.action, self.config.gamma, self.config.epsilon)
        return self.update(before, y)

    def update(self, step: Step, y: Tensor) -> dict[str, Tensor]:
        """One gradient step towards the targets y (S, N)."""
        q = self.q_values(step.obs).gather(-1, step.action.unsqueeze(-1)).squeeze(-1)
        loss = targets.squared_error(q, y)
        self.optimizer.backward(loss)
        self.optimizer.step(schedules.learning_rate(self.config, self.env_steps, self.budget))
        return {"loss": loss.detach(), "q_mean": q.detach().mean(1)}

    def saved(self) -> dict[str, networks.Network]:
        """The networks that a saved policy consists of."""
        return {"theta": self.network}
