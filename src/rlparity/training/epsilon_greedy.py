"""Evaluate with a share of random actions, as Mnih et al. 2013 and 2015 do."""

from __future__ import annotations

import torch
from torch import Tensor

from rlparity.training.evaluation import Policy


class EpsilonGreedy:
    """Another policy's deterministic action, or any with probability epsilon (Mnih et al. 2013, 2015)."""

    uniforms = 2  # whether, and which

    def __init__(self, policy: Policy, epsilon: float, n_actions: int):
        self._policy, self._epsilon, self._n_actions = policy, epsilon, n_actions

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """See `Policy`."""
        assert explore is not None
        anything = (explore[..., 1] * self._n_actions).long()
        return torch.where(explore[..., 0] < self._epsilon, anything, self._policy.act(obs))
