"""Scale actions between the environment's units and [-1, 1], as off-policy learners store them."""

from __future__ import annotations

import torch
from torch import Tensor

from rlparity.environments.base import EnvSpec
from rlparity.errors import UserError


class Bounds:
    """The box of actions of a continuous environment; UserError if a side of it is infinite."""

    def __init__(self, spec: EnvSpec):
        low, high = torch.tensor([spec.action_low, spec.action_high])
        if not (low.isfinite().all() and high.isfinite().all()):
            raise UserError(
                "actions without finite bounds cannot be scaled to [-1, 1]; choose an on-policy agent"
            )
        self.low, self.high = low.view(spec.action_shape), high.view(spec.action_shape)

    def to_unit(self, action: Tensor) -> Tensor:
        """(..., *action) in the environment's units -> [-1, 1]."""
        return 2.0 * ((action - self.low) / (self.high - self.low)) - 1.0

    def from_unit(self, action: Tensor) -> Tensor:
        """(..., *action) in [-1, 1] -> the environment's units."""
        return self.low + 0.5 * (action + 1.0) * (self.high - self.low)
