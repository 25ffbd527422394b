"""Naive A2C and PPO: rollouts of fixed length, one advantage and one term of the loss at a time.

Mnih et al. 2016, Algorithm S3; Schulman et al. 2016, eq. 11 and 16 (advantages); Schulman et al. 2017, eq. 7
and 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlparity.validation.gradients.experience import Record
from rlparity.validation.gradients.learner import Broken, Drawn, Metrics, finite, key, mean, rate
from rlparity.validation.gradients.plain_networks import PlainAdam, PlainNetwork, PlainRMSprop, clipped
from rlparity.validation.gradients.plain_policies import entropy_of, log_prob


class Row(NamedTuple):
    """One transition of a rollout as the losses take it; all numbers from before the update."""

    record: Record
    value: float
    advantage: float
    log_prob: float


class Rollouts:
    """The steps of one seed since its last update."""

    def __init__(self, n_envs: int):
        self._records: list[list[Record]] = [[] for _ in range(n_envs)]

    def add(self, new: Sequence[Record]) -> int:
        """Add one step of all sub-environments; returns how many there are."""
        for n, record in enumerate(new):
            self._records[n].append(record)
        return len(self._records[0])

    def rows(self, actor: PlainNetwork, critic: PlainNetwork, gamma: float, lam: float) -> dict[bytes, Row]:
        """All transitions by the key of their observation, and an empty rollout from now on.

        A_t = sum_k (gamma lambda)^k delta_{t+k} within the episode; delta = r + gamma V(s') - V(s), where
        V(s') is that of the true successor, or nothing where the task ended.
        """
        found = {}
        with torch.no_grad():
            for records in self._records:
                value = [critic("critic", critic.features(record.obs)).item() for record in records]
                for t, record in enumerate(records):
                    advantage = 0.0
                    for k in range(t, len(records)):
                        after, delta = records[k], records[k].reward - value[k]
                        if not after.ended:
                            delta += gamma * critic("critic", critic.features(after.next_obs)).item()
                        advantage += (gamma * lam) ** (k - t) * delta
                        if after.last:
                            break
                    likely = log_prob(actor, actor.features(record.obs), record.action).item()
                    found[key(record.obs)] = Row(record, value[t], advantage, likely)
        self._records = [[] for _ in self._records]
        return found


def in_order(rows: dict[bytes, Row], drawn: Drawn) -> list[Row]:
    """The rows of a rollout in the order in which the agent has them; Broken if it has others."""
    if len(drawn) != 1:
        raise Broken(f"{len(drawn)} updates from a rollout, 1 is due")
    if sorted(drawn[0].rows) != sorted(rows):
        raise Broken("the batch is not the rollout")
    return [rows[row] for row in drawn[0].rows]


def normalised(advantages: Sequence[float]) -> list[float]:
    """(A - mean) / (standard deviation with n - 1, plus 1e-8); one alone stays as it is."""
    n = len(advantages)
    if n == 1:
        return list(advantages)
    middle = sum(advantages) / n
    spread = (sum((a - middle) ** 2 for a in advantages) / (n - 1)) ** 0.5
    return [(a - middle) / (spread + 1e-8) for a in advantages]


def explained(rows: Sequence[Row]) -> float:
    """1 - Var[A] / Var[A + V]."""

    def variance(x: Sequence[float]) -> float:
        return sum((a - sum(x) / len(x)) ** 2 for a in x)

    spread = variance([row.advantage + row.value for row in rows])
    return 1 - variance([row.advantage for row in rows]) / spread if spread else float("nan")


class NaiveA2C:
    """Descends mean(-A log pi + vf_coef (A + V - V(s))^2 - ent_coef H), once for each rollout."""

    def __init__(self, agent: Any, s: int, n_envs: int, budget: int):
        self._config, self._budget, self._n_envs, self._env_steps = agent.config, budget, n_envs, 0
        self.network = PlainNetwork(agent.network, s)
        self.networks = {"network": self.network}
        c = self._config
        self._optimizer: Any = PlainAdam(self.network, 1e-5)
        if c.use_rms_prop:
            self._optimizer = PlainRMSprop(self.network, c.rms_prop_eps, c.rms_prop_tf)
        self._rollouts = Rollouts(n_envs)
        self.alive, self.updates = True, 0

    def observe(self, new: Sequence[Record], drawn: Drawn) -> Metrics:
        """See `Learner`."""
        c, network = self._config, self.network
        self._env_steps += self._n_envs
        if self._rollouts.add(new) < c.n_steps:
            return {}
        rows = in_order(self._rollouts.rows(network, network, c.gamma, c.gae_lambda), drawn)
        advantages = [row.advantage for row in rows]
        if c.normalize_advantage:
            advantages = normalised(advantages)
        policy, errors, entropies = [], [], []
        for row, advantage in zip(rows, advantages, strict=True):
            features = network.features(row.record.obs)
            policy.append(-advantage * log_prob(network, features, row.record.action))
            errors.append((row.advantage + row.value - network("critic", features)[0]) ** 2)
            entropies.append(entropy_of(network, features))
        terms = {"policy_loss": mean(policy), "value_loss": mean(errors), "entropy": mean(entropies)}
        loss = terms["policy_loss"] + c.vf_coef * terms["value_loss"] - c.ent_coef * terms["entropy"]
        self.alive = self.alive and finite(loss)
        gradient, norm = clipped(network.gradient(loss), c.max_grad_norm)
        if self.alive:
            self._optimizer.step(gradient, rate(c, self._env_steps, self._budget))
        self.updates += 1
        return {**{name: term.item() for name, term in terms.items()}, "grad_norm": norm.item()}


class NaivePPO:
    """Descends mean(-min(r A, clip(r) A) + vf_coef (A + V - V(s))^2 - ent_coef H) over minibatches."""

    def __init__(self, agent: Any, s: int, n_envs: int, budget: int):
        self._config, self._budget, self._n_envs, self._env_steps = agent.config, budget, n_envs, 0
        self.network = PlainNetwork(agent.network, s)
        self.networks = {"network": self.network}
        self._adam = PlainAdam(self.network, 1e-5)
        self._rollouts = Rollouts(n_envs)
        self.alive, self.updates = True, 0

    def observe(self, new: Sequence[Record], drawn: Drawn) -> Metrics:
        """See `Learner`."""
        c, network = self._config, self.network
        self._env_steps += self._n_envs
        if self._rollouts.add(new) < c.n_steps:
            return {}
        rows = in_order(self._rollouts.rows(network, network, c.gamma, c.gae_lambda), drawn)
        metrics: Metrics = {}
        stopped = False
        for order in drawn[0].numbers.tolist():
            order = order or list(range(len(rows)))
            for start in range(0, len(order), c.batch_size):
                metrics, kl = self._learn([rows[i] for i in order[start : start + c.batch_size]], stopped)
                stopped = stopped or kl
        self.updates += 1
        return {**metrics, "explained_variance": explained(rows)}

    def _learn(self, rows: Sequence[Row], stopped: bool) -> tuple[Metrics, bool]:
        """One minibatch; whether its KL stops the update from here on."""
        c, network = self._config, self.network
        share = max(0.0, 1 - self._env_steps / self._budget)
        epsilon = c.clip_range * (share if c.clip_range_schedule == "linear" else 1.0)
        advantages = [row.advantage for row in rows]
        if c.normalize_advantage:
            advantages = normalised(advantages)
        objectives, errors, entropies, divergences, outside = [], [], [], [], []
        for row, advantage in zip(rows, advantages, strict=True):
            features = network.features(row.record.obs)
            log_ratio = log_prob(network, features, row.record.action) - row.log_prob
            ratio = torch.exp(log_ratio)
            inside = min(max(ratio.item(), 1 - epsilon), 1 + epsilon)
            binds = inside * advantage < ratio.item() * advantage
            objectives.append(_constant(inside * advantage) if binds else ratio * advantage)
            errors.append(self._error(row, network("critic", features)[0]))
            entropies.append(entropy_of(network, features))
            divergences.append((ratio - 1 - log_ratio).detach())
            outside.append(_constant(float(abs(ratio.item() - 1) > epsilon)))
        policy, value, spread = -mean(objectives), mean(errors), mean(entropies)
        loss = policy + c.vf_coef * value - c.ent_coef * spread
        kl = mean(divergences).item()
        stops = c.target_kl is not None and not kl <= 1.5 * c.target_kl
        gradient, norm = clipped(network.gradient(loss), c.max_grad_norm)
        self.alive = self.alive and (finite(norm) or stopped or stops)
        if self.alive and not (stopped or stops):
            self._adam.step(gradient, rate(c, self._env_steps, self._budget))
        found = {"policy_loss": policy.item(), "value_loss": value.item(), "entropy": spread.item()}
        if epsilon > 0:  # else rounding decides which ratios are outside
            found["clip_fraction"] = mean(outside).item()
        return {**found, "approx_kl": kl, "grad_norm": norm.item()}, stops

    def _error(self, row: Row, value: Tensor) -> Tensor:
        """(A + V - V(s))^2, V(s) kept within clip_range_vf of V."""
        most = self._config.clip_range_vf
        if most is not None and abs(value.item() - row.value) > most:
            value = _constant(row.value + (most if value.item() > row.value else -most))
        return (row.advantage + row.value - value) ** 2


def _constant(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
