"""How far Stable-Baselines3 is from itself once its sums run in another order: what no implementation can be
asked to beat.

Conjugate gradient magnifies rounding from step to step until it has converged, and every rollout of TRPO
starts from what the last one left. So its tolerance is measured, not chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import numpy as np
import torch

from rlparity.validation.paired_models import PairedModels
from rlparity.validation.parity.recording.readers import reference_read
from rlparity.validation.parity.recording.trace import Trace

SLACK = 100  # times as far as SB3 from itself is allowed: one other order of many, and chaos


def from_zero() -> AbstractContextManager[Any]:
    """sb3-contrib starts its conjugate gradient at 1e-4 times normal noise; here at zero, as in the paper."""
    return mock.patch.object(torch, "randn_like", torch.zeros_like)


class Beside:
    """A second SB3 model with the same weights that learns from the first one's rollouts, each seen as a
    whole in another order; epochs of the critic have the same."""

    def __init__(self, twins: PairedModels, first: PairedModels):
        self._twins, self.trace = twins, Trace()
        self._rng = np.random.default_rng(0)
        with torch.no_grad():
            for name, parameter in twins.theirs().items():
                parameter.copy_(first.theirs()[name])

    def train(self, buffer: Mapping[str, Any], remaining: float, orders: list[np.ndarray]) -> None:
        """Learn from the first model's buffer (its attributes before it learned)."""
        model = self._twins.model
        vars(model.rollout_buffer).update(buffer)
        model._current_progress_remaining = remaining
        with from_zero(), self._drawing(orders), reference_read(self._twins, self.trace, per_step=False):
            model.train()
        self.trace.close(self._twins.theirs())

    def _drawing(self, orders: list[np.ndarray]) -> AbstractContextManager[Any]:
        waiting = iter([self._rng.permutation(orders[0]), *orders[1:]])
        return mock.patch.object(np.random, "permutation", lambda n: next(waiting))
