"""Running normalisation of observations and rewards, as Stable-Baselines3's `VecNormalize` does it.

One statistic for each seed over all its sub-environments; parallel variance of Chan, Golub and LeVeque 1979.
Clips at 10, epsilon 1e-8, counts start at 1e-4. Recorded returns stay raw.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.environments.base import Env
from rlparity.transitions import Episode, Step

CLIP, EPSILON = 10.0, 1e-8


class Moments:
    """Running mean and variance (S, *shape), float64, of batches (S, N, *shape)."""

    def __init__(self, n_seeds: int, shape: tuple[int, ...] = ()):
        self.mean = torch.zeros(n_seeds, 1, *shape, dtype=torch.float64)
        self.var = torch.ones(n_seeds, 1, *shape, dtype=torch.float64)
        self.count = 1e-4

    def update(self, batch: Tensor) -> None:
        """Take in a batch (S, N, *shape)."""
        n = batch.shape[1]
        mean = batch.mean(1, keepdim=True)
        var = ((batch - mean) ** 2).mean(1, keepdim=True)
        total, delta = self.count + n, mean - self.mean
        self.mean = self.mean + delta * n / total
        m2 = self.var * self.count + var * n + delta**2 * self.count * n / total
        self.var, self.count = m2 / total, total

    def scale(self) -> Tensor:
        """Standard deviation, never zero."""
        return (self.var + EPSILON).sqrt()


class NormalizedEnv:
    """An environment with observations and rewards normalised by running statistics in every `Step`."""

    def __init__(self, env: Env, gamma: float):
        self._env, self._gamma = env, gamma
        self.spec = env.spec
        self.obs_moments = Moments(self.spec.n_seeds, self.spec.obs_shape)
        self.return_moments = Moments(self.spec.n_seeds)
        self._returns = torch.zeros(self.spec.n_seeds, self.spec.n_envs, dtype=torch.float64)
        self.obs_moments.update(env.obs.double())
        self.obs = self.view(env.obs)

    def view(self, obs: Tensor) -> Tensor:
        """Raw observations (S, N, *obs) as the agent sees them; the statistics stay as they are."""
        m = self.obs_moments
        return ((obs.double() - m.mean) / m.scale()).clamp(-CLIP, CLIP).float()

    def step(self, action: Tensor, live: np.ndarray | None = None) -> Step:
        """Act in all; update the statistics with what the next action responds to, resets included."""
        step = self._env.step(action, live)
        before = self.obs
        self.obs_moments.update(self._env.obs.double())
        self.obs = self.view(self._env.obs)
        self._returns = self._returns * self._gamma + step.reward.double()
        self.return_moments.update(self._returns)
        reward = (step.reward.double() / self.return_moments.scale()).clamp(-CLIP, CLIP).float()
        self._returns = torch.where(step.last > 0, 0.0, self._returns)
        return step._replace(obs=before, reward=reward, next_obs=self.view(step.next_obs))

    def state_dict(self) -> dict[str, Tensor]:
        """Mean and variance of observations, which evaluation needs."""
        return {"mean": self.obs_moments.mean, "var": self.obs_moments.var}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over saved statistics."""
        self.obs_moments.mean, self.obs_moments.var = state["mean"], state["var"]

    def snapshot(self) -> dict[str, Any]:
        """The environment's own snapshot, all running statistics and the discounted returns under way."""
        moments = [(m.mean, m.var, m.count) for m in (self.obs_moments, self.return_moments)]
        return {"env": self._env.snapshot(), "moments": moments, "returns": self._returns}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`."""
        self._env.resume(state["env"])
        self._returns.copy_(state["returns"])
        for moments, (mean, var, count) in zip(
            (self.obs_moments, self.return_moments), state["moments"], strict=True
        ):
            moments.mean, moments.var = mean.view_as(moments.mean), var.view_as(moments.var)
            moments.count = count
        self.obs = self.view(self._env.obs)

    def pop_episodes(self) -> list[Episode]:
        """The episodes that ended since the last call, with raw returns."""
        return self._env.pop_episodes()

    def close(self) -> None:
        """Close the environment."""
        self._env.close()
