"""Uniformly random actions: the floor that every score is read against.

Departures from the paper: none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from rlparity.environments.base import EnvSpec
from rlparity.nn.networks import Network
from rlparity.seeding import Streams
from rlparity.transitions import Step

DEPARTURES: list[str] = []


@dataclass(frozen=True)
class RandomConfig:
    """Nothing to set."""


class Random:
    """Chooses every action with the same probability; has no deterministic policy."""

    def __init__(self, spec: EnvSpec, config: RandomConfig, random: Streams, budget: int):
        self._n_actions, self._shape = spec.n_actions, spec.action_shape
        self._bounds = [
            torch.tensor(end).view(self._shape) for end in (spec.action_low, spec.action_high) if end
        ]
        self.uniforms = math.prod(spec.action_shape)
        self.alive = torch.ones(spec.n_seeds, dtype=torch.bool)

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """uniform numbers (S, N, uniforms) -> action (S, N), or (S, N, *action) within the bounds."""
        assert explore is not None, "a random agent has no deterministic policy"
        if self._n_actions is not None:
            return (explore[..., 0] * self._n_actions).long()
        low, high = self._bounds
        return low + explore.unflatten(-1, self._shape) * (high - low)

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Learn nothing."""
        return {}

    def saved(self) -> dict[str, Network]:
        """Nothing is learned."""
        return {}
