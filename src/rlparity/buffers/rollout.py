"""The last steps of all sub-environments, for on-policy updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from rlparity.transitions import Step


class Rollout:
    """Consecutive steps of all sub-environments, until `n_steps` are there."""

    def __init__(self, n_steps: int):
        self.n_steps = n_steps
        self._steps: list[Step] = []

    def add(self, step: Step) -> bool:
        """Add one step (S, N); true once the rollout is full."""
        self._steps.append(step)
        return len(self._steps) == self.n_steps

    def pop(self) -> Step:
        """The whole rollout as (S, N, T, ...), and empty the buffer."""
        steps, self._steps = self._steps, []
        return Step(*(torch.stack(field, 2) for field in zip(*steps, strict=True)))

    def snapshot(self) -> dict[str, Any]:
        """The steps so far, each field in one piece (T, S, N, ...)."""
        return {"steps": [torch.stack(field) for field in zip(*self._steps, strict=True)]}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`."""
        fields = (field.unbind() for field in state["steps"])
        self._steps = [Step(*step) for step in zip(*fields, strict=True)]
