"""The inputs of updates and the recording of Stable-Baselines3's run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from rlparity.transitions import Step
from rlparity.validation.parity.recording.trace import Trace

STEPWISE = ("a2c", "ppo")  # every gradient step counts as an update; elsewhere, every minibatch or rollout


class Enough(Exception):
    """The requested number of updates has been made."""


class RawRollout(NamedTuple):
    """A rollout before normalisation, and the observations of the next actions."""

    rollout: Step
    seen: Tensor  # (1, N, T, *obs)


class UpdateInputs(NamedTuple):
    """The inputs of one call of `update`."""

    batch: dict[str, Tensor]  # names of SB3's samples: a rollout (N T, ...), or a minibatch (B, ...)
    draws: dict[str, Any]  # random numbers, progress of training, and whether targets are updated
    env_steps: int  # environment steps so far
    n_updates: int = 1  # updates that SB3 made from them
    rollout: Step | None = None  # on-policy: the transitions of the batch, (1, N, T, ...)
    raw: RawRollout | None = None  # the same before normalisation, if there is any


@dataclass
class Recording:
    """Everything recorded of one run of SB3."""

    start: dict[str, Tensor]  # parameters before the first update
    trace: Trace = field(default_factory=Trace)
    inputs: list[UpdateInputs] = field(default_factory=list)
