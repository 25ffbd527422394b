"""The rounding floor: the difference of Stable-Baselines3 from itself when its sums run in another order.

Conjugate gradient amplifies rounding from step to step until it converges, and every rollout of TRPO starts
from the result of the last one. So the tolerance of TRPO is measured; no implementation can be closer.
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

SLACK = 100  # allowed multiple of the floor, which is measured with a single other order


def from_zero() -> AbstractContextManager[Any]:
    """Let sb3-contrib's conjugate gradient start at zero, as in the paper, not at 1e-4 times normal noise."""
    return mock.patch.object(torch, "randn_like", torch.zeros_like)


class ReorderedReference:
    """A second SB3 model with the same weights that learns from the first one's rollouts in another order of
    transitions; the critic's epochs keep their order."""

    def __init__(self, pair: PairedModels, first: PairedModels):
        self._pair, self.trace = pair, Trace()
        self._rng = np.random.default_rng(0)
        with torch.no_grad():
            for name, parameter in pair.theirs().items():
                parameter.copy_(first.theirs()[name])

    def train(self, buffer: Mapping[str, Any], remaining: float, orders: list[np.ndarray]) -> None:
        """Learn from the first model's buffer (its attributes before it learned)."""
        model = self._pair.model
        vars(model.rollout_buffer).update(buffer)
        model._current_progress_remaining = remaining
        with from_zero(), self._drawing(orders), reference_read(self._pair, self.trace, per_step=False):
            model.train()
        self.trace.close(self._pair.theirs())

    def _drawing(self, orders: list[np.ndarray]) -> AbstractContextManager[Any]:
        waiting = iter([self._rng.permutation(orders[0]), *orders[1:]])
        return mock.patch.object(np.random, "permutation", lambda n: next(waiting))
