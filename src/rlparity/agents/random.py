"""Uniformly random actions: the floor that every score is read against.

Departures from the paper: none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rlparity.records import Step
from rlparity.seeding import Streams
from rlparity.tasks import TaskSpec

DEPARTURES: list[str] = []


@dataclass(frozen=True)
class Config:
    """Nothing to set."""


class Agent:
    """Chooses every action with the same probability; has no deterministic policy."""

    def __init__(self, task: TaskSpec, config: Config, random: Streams, budget: int):
        assert task.n_actions is not None
        self._n_actions = task.n_actions
        self.uniforms = 1
        self.alive = torch.ones(task.n_seeds, dtype=torch.bool)

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """uniform numbers (S, N, 1) -> action (S, N)."""
        assert explore is not None, "a random agent has no deterministic policy"
        return (explore[..., 0] * self._n_actions).long()

    def observe(self, step: Step) -> dict[str, Tensor]:
        """Learn nothing."""
        return {}

    def state_dict(self) -> dict[str, Tensor]:
        """Nothing is learned."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Nothing is learned."""
