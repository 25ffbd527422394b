"""Advantages and value targets of a rollout: Stable-Baselines3's own code, and a sum from the definition."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor

from rlparity.validation.double_precision import DoubleRollouts


class Rollout(NamedTuple):
    """T steps of N sub-environments, as a candidate's `prepare` is given them; see `parity.candidates`."""

    rewards: Tensor  # (T, N)
    values: Tensor  # (T, N), V of the observation that each step started from
    terminated: Tensor  # (T, N), 1 where the task ended in that step, else 0
    truncated: Tensor  # (T, N), 1 where a time limit cut the episode in that step, else 0
    final_values: Tensor  # (T, N), V of the observation that a time limit cut off; 0 elsewhere
    last_values: (
        Tensor  # (N,), V of the observation that follows the last step, of a new episode if one began
    )

    def to(self, dtype: torch.dtype) -> Rollout:
        """The same numbers in another precision."""
        return Rollout(*(field.to(dtype) for field in self))


class Prepared(NamedTuple):
    """What a rollout is made into, each (T, N)."""

    advantages: Tensor  # before any normalisation
    returns: Tensor  # targets of V


def from_sb3(rollout: Rollout, gamma: float, gae_lambda: float) -> Prepared:
    """What Stable-Baselines3's rollout buffer computes, in the rollout's precision.

    As in `OnPolicyAlgorithm.collect_rollouts`, a step that a time limit cut has gamma V(s') added to its
    reward, and its episode counts as ended.
    """
    doubles = rollout.rewards.dtype == torch.float64
    n_steps, n_envs = rollout.rewards.shape
    box = spaces.Box(-1, 1, (1,))
    buffer = (DoubleRollouts if doubles else RolloutBuffer)(
        n_steps, box, box, "cpu", gae_lambda=gae_lambda, gamma=gamma, n_envs=n_envs
    )
    r, v, ended, cut, final, last = (field.numpy() for field in rollout)
    stopped = ended + cut
    buffer.rewards[:] = r + gamma * final * cut
    buffer.values[:] = v
    buffer.episode_starts[1:] = stopped[:-1]
    buffer.compute_returns_and_advantage(torch.from_numpy(last.copy()), stopped[-1] > 0)
    return Prepared(torch.from_numpy(buffer.advantages), torch.from_numpy(buffer.returns))


def from_definition(rollout: Rollout, gamma: float, gae_lambda: float) -> Prepared:
    """A_t = sum over l of (gamma lambda)^l delta_(t+l), up to the end of the episode or of the rollout, and
    the target A_t + V(s_t), number by number in float64. Schulman et al. 2016, eq. 11 and 16.

    delta_t = r_t + gamma V(s_(t+1)) - V(s_t), where V of the successor is 0 if the task ended, and that of
    the observation that was cut off at a time limit.
    """
    r, v, ended, cut, final, last = (field.tolist() for field in rollout.to(torch.float64))
    n_steps, n_envs = rollout.rewards.shape
    advantages = np.zeros((n_steps, n_envs))
    for n in range(n_envs):
        for t in range(n_steps):
            for k in range(t, n_steps):
                following = v[k + 1][n] if k + 1 < n_steps else last[n]
                following = final[k][n] if cut[k][n] else following
                following = 0.0 if ended[k][n] else following
                delta = r[k][n] + gamma * following - v[k][n]
                advantages[t, n] += (gamma * gae_lambda) ** (k - t) * delta
                if ended[k][n] or cut[k][n]:
                    break
    found = torch.from_numpy(advantages)
    return Prepared(found, found + rollout.values.double())
