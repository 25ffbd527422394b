"""Naive TRPO and natural policy gradient: the Fisher matrix written out, conjugate gradient on it.

Schulman et al. 2015, eq. 14 and appendix C; Kakade 2001; Nocedal and Wright 2006, Algorithm 5.2.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rlparity.validation.gradients.experience import Record
from rlparity.validation.gradients.learner import Drawn, Metrics, finite, mean, rate
from rlparity.validation.gradients.on_policy import Rollouts, Row, explained, in_order, normalised
from rlparity.validation.gradients.plain_networks import PlainAdam, PlainNetwork
from rlparity.validation.gradients.plain_policies import LOG_STD, divergence, fisher, flat, log_prob

SMALL_RESIDUAL = 1e-10  # square at which the conjugate gradient stops


class NaiveTRPO:
    """theta moves by sqrt(2 delta / s A s) s, A s = g, A the damped Fisher matrix and g the gradient of the
    surrogate; backtracking keeps it inside the trust region. The critic fits A + V by Adam."""

    def __init__(self, agent: Any, s: int, n_envs: int, budget: int):
        self._config, self._budget, self._n_envs, self._env_steps = agent.config, budget, n_envs, 0
        self.actor, self.critic = PlainNetwork(agent.actor, s), PlainNetwork(agent.critic, s)
        self.networks = {"actor": self.actor, "critic": self.critic}
        self._adam = PlainAdam(self.critic, 1e-5)
        self._rollouts = Rollouts(n_envs)
        self.alive, self.updates = True, 0

    def observe(self, new: Sequence[Record], drawn: Drawn) -> Metrics:
        """See `Learner`."""
        c = self._config
        self._env_steps += self._n_envs
        if self._rollouts.add(new) < c.n_steps:
            return {}
        rows = in_order(self._rollouts.rows(self.actor, self.critic, c.gamma, c.gae_lambda), drawn)
        first, *others = drawn[0].numbers.tolist()
        k = c.sub_sampling_factor
        metrics = self._improve(rows if k == 1 else [rows[i] for i in first[::k]])
        metrics["value_loss"] = self._fit(rows, others)
        self.updates += 1
        return {**metrics, "explained_variance": explained(rows)}

    @property
    def _components(self) -> int:
        """By which KL and Fisher matrix are divided."""
        if LOG_STD not in self.actor.vectors or self._config.kl_components == "sum":
            return 1
        return len(self.actor.vectors[LOG_STD])

    def surrogate(self, actor: PlainNetwork, rows: Sequence[Row], advantages: Sequence[float]) -> Tensor:
        """Mean of pi(a|s) / pi_old(a|s) A."""
        terms = []
        for row, advantage in zip(rows, advantages, strict=True):
            likely = log_prob(actor, row.record.obs, row.record.action)
            terms.append(torch.exp(likely - row.log_prob) * advantage)
        return mean(terms)

    def _improve(self, rows: Sequence[Row]) -> Metrics:
        c = self._config
        advantages = [row.advantage for row in rows]
        if c.normalize_advantage:
            advantages = normalised(advantages)
        objective = self.surrogate(self.actor, rows, advantages)
        self.alive = self.alive and finite(objective)
        if not self.alive:
            return {}
        gradient = flat(self.actor, objective)
        matrix = mean([fisher(self.actor, row.record.obs) for row in rows]) / self._components
        matrix = matrix + c.cg_damping * torch.eye(len(gradient), dtype=torch.float64)
        s = conjugate_gradient(matrix, gradient, c.cg_max_steps)
        step = (2 * c.target_kl / (s @ matrix @ s)).sqrt() * s
        return self._search(rows, advantages, step, objective.item())

    def _search(
        self, rows: Sequence[Row], advantages: Sequence[float], step: Tensor, objective: float
    ) -> Metrics:
        c = self._config
        if not bool(step.isfinite().all()):
            return {}
        for k in range(c.line_search_max_iter if c.line_search else 1):
            share = c.line_search_shrinking_factor**k
            trial, start = copy.deepcopy(self.actor), 0
            for theta in trial.parameters():
                theta.data.add_(share * step[start : start + theta.numel()].view_as(theta))
                start += theta.numel()
            better = self.surrogate(trial, rows, advantages).item()
            kl = sum(divergence(trial, self.actor, row.record.obs) for row in rows) / len(rows)
            kl /= self._components
            if not c.line_search or (kl < c.target_kl and better > objective):
                self.actor.copy_from(trial)
                return {"policy_objective": better, "kl_divergence": kl, "step_fraction": share}
        return {"policy_objective": objective, "kl_divergence": 0.0, "step_fraction": 0.0}

    def _fit(self, rows: Sequence[Row], orders: Sequence[Sequence[int]]) -> float:
        """Epochs of the critic over minibatches; the mean of its losses."""
        c, losses = self._config, []
        for order in orders:
            for start in range(0, len(order), c.batch_size):
                chosen = [rows[i] for i in order[start : start + c.batch_size]]
                errors = []
                for row in chosen:
                    value = self.critic("critic", row.record.obs)[0]
                    errors.append((row.advantage + row.value - value) ** 2)
                loss = mean(errors)
                self.alive = self.alive and finite(loss)
                if self.alive:
                    self._adam.step(self.critic.gradient(loss), rate(c, self._env_steps, self._budget))
                losses.append(loss.item())
        return sum(losses) / len(losses)


def conjugate_gradient(matrix: Tensor, b: Tensor, most: int) -> Tensor:
    """x with A x = b after at most that many steps from zero."""
    x, residual = torch.zeros_like(b), b.clone()
    direction = residual.clone()
    for _ in range(most):
        square = residual @ residual
        if square < SMALL_RESIDUAL:
            break
        change = matrix @ direction
        alpha = square / (direction @ change)
        x, residual = x + alpha * direction, residual - alpha * change
        direction = residual + (residual @ residual) / square * direction
    return x
