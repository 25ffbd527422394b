"""Naive REINFORCE and actor-critic: whole episodes, one log-probability at a time.

Williams 1992, Machine Learning 8, eq. 11: E[sum_t (w_t - b) grad log pi(a_t|s_t)] over m episodes; Sutton and
Barto 2018, section 13.3 and 13.4 (reward to go, baselines).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rlparity.validation.gradients.experience import Record
from rlparity.validation.gradients.learner import Drawn, Metrics, entropy, finite, log_softmax, mean, rate
from rlparity.validation.gradients.plain_networks import PlainAdam, PlainNetwork

Episode = list[Record]


class _Episodes:
    """Whole episodes of one seed's sub-environments."""

    def __init__(self, n_envs: int):
        self._running: list[Episode] = [[] for _ in range(n_envs)]
        self.finished: list[Episode] = []

    def add(self, new: Sequence[Record]) -> None:
        """Add one step of all; what stops, for whatever reason, is a whole episode."""
        for n, record in enumerate(new):
            self._running[n].append(record)
            if record.last:
                self.finished.append(self._running[n])
                self._running[n] = []

    def take(self) -> list[Episode]:
        """The finished episodes, once."""
        finished, self.finished = self.finished, []
        return finished


def to_go(episode: Episode, t: int, gamma: float) -> float:
    """sum over t' >= t of gamma^(t' - t) r_t'."""
    return sum(gamma ** (later - t) * episode[later].reward for later in range(t, len(episode)))


class NaiveREINFORCE:
    """Descends -1/m sum_i sum_t (w_t - b) log pi(a_t|s_t) + vf_coef mean (w_t - V(s_t))^2."""

    def __init__(self, agent: Any, s: int, n_envs: int, budget: int):
        self._config, self._budget, self._n_envs, self._env_steps = agent.config, budget, n_envs, 0
        self.network = PlainNetwork(agent.network, s)
        self.networks = {"network": self.network}
        self._adam = PlainAdam(self.network)
        self._episodes = _Episodes(n_envs)
        self._average: float | None = None
        self.alive, self.updates = True, 0

    def weight(self, episode: Episode, t: int) -> float:
        """w_t of the variant."""
        if self._config.weight == "trajectory":
            return sum(record.reward for record in episode)
        return to_go(episode, t, self._config.gamma if self._config.weight == "discounted" else 1.0)

    def observe(self, new: Sequence[Record], drawn: Drawn) -> Metrics:
        """See `Learner`."""
        self._env_steps += self._n_envs
        self._episodes.add(new)
        if len(self._episodes.finished) < self._config.n_episodes:
            return {}
        return self._update(self._episodes.take())

    def _update(self, episodes: list[Episode]) -> Metrics:
        c = self._config
        weights = [self.weight(episode, t) for episode in episodes for t in range(len(episode))]
        taken = [record for episode in episodes for record in episode]
        constant = 0.0
        if c.baseline == "average":
            constant = self._moved_average(sum(weights) / len(weights))
        policy = torch.zeros((), dtype=torch.float64)
        errors, entropies = [], []
        for record, weight in zip(taken, weights, strict=True):
            log_pi = log_softmax(self.network("actor", record.obs))
            entropies.append(entropy(log_pi))
            advantage = weight - constant
            if c.baseline == "value":
                value = self.network("critic", record.obs)[0]
                errors.append((weight - value) ** 2)
                advantage = weight - value.item()
            policy = policy - advantage * log_pi[int(record.action)] / len(episodes)
        value_loss = mean(errors) if errors else torch.zeros((), dtype=torch.float64)
        loss = policy + c.vf_coef * value_loss
        self.alive = self.alive and finite(loss)
        if self.alive:
            self._adam.step(self.network.gradient(loss), rate(c, self._env_steps, self._budget))
        self.updates += 1
        return _metrics(policy, value_loss, entropies)

    def _moved_average(self, now: float) -> float:
        """b, from earlier episodes only; these then enter it: b <- decay b + (1 - decay) mean w."""
        before, decay = self._average, self._config.baseline_decay
        self._average = now if before is None else decay * before + (1 - decay) * now
        return 0.0 if before is None else before

    def probabilities(self, obs: Tensor) -> Tensor:
        """pi(.|s), (A,)."""
        return torch.exp(log_softmax(self.network("actor", obs))).detach()


class NaiveActorCritic:
    """A_t = sum gamma^(t'-t) r_t' - V(s_t): the actor descends -1/m sum A_t log pi, the critic mean A_t^2
    (Sutton and Barto 2018, section 13.4)."""

    def __init__(self, agent: Any, s: int, n_envs: int, budget: int):
        self._config = agent.config
        self.actor, self.critic = PlainNetwork(agent.actor, s), PlainNetwork(agent.critic, s)
        self.networks = {"actor": self.actor, "critic": self.critic}
        self._adams = PlainAdam(self.actor), PlainAdam(self.critic)
        self._episodes = _Episodes(n_envs)
        self.alive, self.updates = True, 0

    def observe(self, new: Sequence[Record], drawn: Drawn) -> Metrics:
        """See `Learner`."""
        self._episodes.add(new)
        if len(self._episodes.finished) < self._config.n_episodes:
            return {}
        episodes, c = self._episodes.take(), self._config
        policy = torch.zeros((), dtype=torch.float64)
        errors, entropies = [], []
        for episode in episodes:
            for t, record in enumerate(episode):
                advantage = to_go(episode, t, c.gamma) - self.critic("critic", record.obs)[0]
                log_pi = log_softmax(self.actor("actor", record.obs))
                policy = policy - advantage.item() * log_pi[int(record.action)] / len(episodes)
                errors.append(advantage**2)
                entropies.append(entropy(log_pi))
        value_loss = mean(errors)
        self.alive = self.alive and finite(policy, value_loss)
        if self.alive:
            self._adams[0].step(self.actor.gradient(policy), c.learning_rate)
            self._adams[1].step(self.critic.gradient(value_loss), c.vf_learning_rate)
        self.updates += 1
        return _metrics(policy, value_loss, entropies)

    def probabilities(self, obs: Tensor) -> Tensor:
        """pi(.|s), (A,)."""
        return torch.exp(log_softmax(self.actor("actor", obs))).detach()


def _metrics(policy: Tensor, value_loss: Tensor, entropies: list[Tensor]) -> Metrics:
    found = {"policy_loss": policy.item(), "value_loss": value_loss.item()}
    return {**found, "entropy": mean(entropies).item()}
