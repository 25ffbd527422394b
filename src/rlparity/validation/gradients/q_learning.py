"""Naive Q-learning from a list of transitions: one target and one error at a time.

Mnih et al. 2015, Algorithm 1; van Hasselt et al. 2016, eq. 4; Wang et al. 2016, eq. 9; Sutton and Barto 2018,
eq. 7.1; Schaul et al. 2016, Algorithm 1; Dabney et al. 2018, Algorithm 1, eq. 9 and 10.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlparity.validation.gradients.experience import Record
from rlparity.validation.gradients.learner import Broken, Drawn, Metrics, finite, key, mean, rate
from rlparity.validation.gradients.plain_networks import PlainAdam, PlainNetwork, clipped

LEAST_PRIORITY = 1e-6  # p = |error| + this (Schaul et al. 2016, section 3.3)


class Window(NamedTuple):
    """Up to n steps of one sub-environment, within one episode."""

    first: Record
    total: float  # sum of gamma^k r_k
    beyond: float  # gamma^m for what follows its m steps; 0 where the task ended
    next_obs: Tensor  # the true successor of its last step


class Ring:
    """The last transitions of one seed by number; number k is of sub-environment k % N."""

    def __init__(self, size: int, n_envs: int, n_steps: int, gamma: float):
        self._capacity, self._n_envs, self._n_steps, self._gamma = size, n_envs, n_steps, gamma
        self._records: list[Record] = []
        self._numbers: dict[bytes, int] = {}

    def add(self, new: Sequence[Record]) -> None:
        """One step of all sub-environments."""
        for record in new:
            self._numbers[key(record.obs)] = len(self._records)
            self._records.append(record)

    @property
    def drawable(self) -> range:
        """The transitions that may be drawn: those still held whose window is complete."""
        n, rows = len(self._records), max(self._capacity // self._n_envs, 1)
        return range(max(n - rows * self._n_envs, 0), n - (self._n_steps - 1) * self._n_envs)

    def number(self, obs: bytes) -> int:
        """The transition that was drawn. Broken if it may not be."""
        found = self._numbers.get(obs)
        if found is None or found not in self.drawable:
            raise Broken("a transition was drawn that is not in the replay memory")
        return found

    def window(self, first: int) -> Window:
        """The window that begins with a transition."""
        total, power = 0.0, 1.0
        for k in range(self._n_steps):
            record = self._records[first + k * self._n_envs]
            total += power * record.reward
            power *= self._gamma
            if record.last:
                break
        return Window(self._records[first], total, 0.0 if record.ended else power, record.next_obs)


class Clock:
    """When a value learner updates, and when its target network is copied."""

    def __init__(self, config: Any, n_envs: int, first: int = 0):
        self._config, self._n_envs, self._first = config, n_envs, first
        self.env_steps = 0

    def tick(self) -> tuple[bool, int]:
        """After a step of all sub-environments: whether to copy, and how many updates are due."""
        c, n = self._config, self._n_envs
        self.env_steps += n
        step = self.env_steps // n
        copy = step % max(getattr(c, "target_update_interval", 1) // n, 1) == 0
        if step % c.train_freq or self.env_steps <= max(c.learning_starts, self._first):
            return copy, 0
        return copy, c.gradient_steps if c.gradient_steps >= 0 else c.train_freq * n


class NaiveDQN:
    """y = sum gamma^k r_k + gamma^m max_a Q'(s_m, a), or Q'(s_m, argmax_a Q(s_m, a)); the loss is the mean of
    weight times Huber's or the squared error."""

    def __init__(self, agent: Any, s: int, n_envs: int, budget: int):
        self._config, self._budget = agent.config, budget
        self.q = PlainNetwork(agent.q, s)
        self.q_target = PlainNetwork(agent.q, s)
        self.networks = {"q": self.q, "q_target": self.q_target}
        self._adam = PlainAdam(self.q)
        c = self._config
        self.memory, self._clock = Ring(c.buffer_size, n_envs, c.n_steps, c.gamma), Clock(c, n_envs)
        self._priorities: dict[int, float] = {}
        self._largest = 1.0
        self.alive, self.updates = True, 0

    def values(self, network: PlainNetwork, obs: Tensor) -> Tensor:
        """Q(s, .), (A,)."""
        features = network.features(obs)
        if not self._config.dueling:
            return network("q", features)
        advantage = network("advantage", features)
        return network("value", features)[0] + advantage - advantage.sum() / len(advantage)

    def observe(self, new: Sequence[Record], drawn: Drawn) -> Metrics:
        """See `Learner`."""
        self.memory.add(new)
        copy, due = self._clock.tick()
        if copy and self._config.target_network:
            self.q_target.copy_from(self.q)
        if len(drawn) != due:
            raise Broken(f"{len(drawn)} updates after {self._clock.env_steps} steps, {due} are due")
        metrics: Metrics = {}
        for batch in drawn:
            metrics = self._update([self.memory.number(row) for row in batch.rows])
        return metrics

    def target(self, window: Window) -> float:
        """y of one window."""
        if window.beyond == 0:
            return window.total
        with torch.no_grad():
            values = self.values(self.q_target if self._config.target_network else self.q, window.next_obs)
            chooser = self.values(self.q, window.next_obs) if self._config.double_q else values
        return window.total + window.beyond * values[int(chooser.argmax())].item()

    def weights(self, numbers: Sequence[int]) -> list[float]:
        """(N P(k))^-beta over the largest in the minibatch, beta rising linearly to 1 over the budget."""
        c = self._config
        if not c.prioritized:
            return [1.0] * len(numbers)
        self.cover()
        start = c.priority_correction
        beta = start + (1 - start) * self._clock.env_steps / self._budget
        chances = self.chances()
        found = [(len(chances) * chances[k]) ** -beta for k in numbers]
        return [weight / max(found) for weight in found]

    def cover(self) -> None:
        """Transitions that may be drawn for the first time have the largest priority so far."""
        for k in self.memory.drawable:
            self._priorities.setdefault(k, self._largest)

    def chances(self) -> dict[int, float]:
        """P(k) = p_k^alpha / sum_i p_i^alpha of every transition that may be drawn, by number."""
        powers = {k: self._priorities[k] for k in self.memory.drawable}
        total = sum(powers.values())
        return {k: power / total for k, power in powers.items()}

    def _update(self, numbers: Sequence[int]) -> Metrics:
        c, terms, errors, values = self._config, [], [], []
        for k, weight in zip(numbers, self.weights(numbers), strict=True):
            window = self.memory.window(k)
            q = self.values(self.q, window.first.obs)[int(window.first.action)]
            error = q - self.target(window)
            values.append(q.detach())
            errors.append(error.item())
            terms.append(weight * distance(error, c.loss))
        loss = mean(terms)
        self.alive = self.alive and finite(loss)
        gradient, norm = clipped(self.q.gradient(loss), c.max_grad_norm)
        if self.alive:
            self._adam.step(gradient, rate(c, self._clock.env_steps, self._budget))
            if not c.target_network:
                self.q_target.copy_from(self.q)
        for k, found in zip(numbers, errors, strict=True):
            if found == found:  # not NaN
                self._priorities[k] = (abs(found) + LEAST_PRIORITY) ** c.priority_exponent
                self._largest = max(self._largest, self._priorities[k])
        self.updates += 1
        return {"loss": loss.item(), "q_mean": mean(values).item(), "grad_norm": norm.item()}


def distance(error: Tensor, loss: str) -> Tensor:
    """Huber's: half the square within 1, beyond it the distance less a half; or the square."""
    if loss == "mse":
        return error**2
    return 0.5 * error**2 if abs(error.item()) < 1 else error.abs() - 0.5


class NaiveQRDQN:
    """sum_i mean_j |tau_i - 1{u_ij < 0}| L(u_ij), u_ij = r + gamma theta_j(s', a*) - theta_i(s, a)."""

    def __init__(self, agent: Any, s: int, n_envs: int, budget: int):
        self._config, self._budget, self._n_actions = agent.config, budget, agent.n_actions
        self.network, self.target = PlainNetwork(agent.network, s), PlainNetwork(agent.target, s)
        self.networks = {"network": self.network, "target": self.target}
        c = self._config
        self._adam = PlainAdam(self.network, 0.01 / c.batch_size)
        self.memory = Ring(c.buffer_size, n_envs, c.n_steps, c.gamma)
        self._clock = Clock(c, n_envs, (c.n_steps - 1) * n_envs)
        self.alive, self.updates = True, 0

    def quantiles(self, network: PlainNetwork, obs: Tensor) -> list[Tensor]:
        """theta_1 to theta_N of every action, each (A,)."""
        flat, a = network("quantiles", network.features(obs)), self._n_actions
        return [flat[i * a : (i + 1) * a] for i in range(self._config.n_quantiles)]

    def observe(self, new: Sequence[Record], drawn: Drawn) -> Metrics:
        """See `Learner`."""
        self.memory.add(new)
        copy, due = self._clock.tick()
        if copy:
            self.target.copy_from(self.network)
        if len(drawn) != due:
            raise Broken(f"{len(drawn)} updates after {self._clock.env_steps} steps, {due} are due")
        metrics: Metrics = {}
        for batch in drawn:
            metrics = self._update([self.memory.window(self.memory.number(row)) for row in batch.rows])
        return metrics

    def _update(self, windows: Sequence[Window]) -> Metrics:
        c, losses, means = self._config, [], []
        for window in windows:
            with torch.no_grad():
                after = self.quantiles(self.target, window.next_obs)
                best = int(mean(after).argmax())
            targets = [window.total + window.beyond * theta[best].item() for theta in after]
            loss = torch.zeros((), dtype=torch.float64)
            thetas = self.quantiles(self.network, window.first.obs)
            for i, theta in enumerate(thetas):
                tau, own = (i + 0.5) / len(thetas), theta[int(window.first.action)]
                means.append(own.detach())
                for y in targets:
                    weight = abs(tau - float(y - own.item() < 0))
                    loss = loss + weight * distance(y - own, "huber") / len(targets)
            losses.append(loss)
        loss = mean(losses)
        self.alive = self.alive and finite(loss)
        gradient, norm = clipped(self.network.gradient(loss), c.max_grad_norm)
        if self.alive:
            self._adam.step(gradient, rate(c, self._clock.env_steps, self._budget))
        self.updates += 1
        return {"loss": loss.item(), "q_mean": mean(means).item(), "grad_norm": norm.item()}
