"""What an update is handed, and what Stable-Baselines3 made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from rlparity.transitions import Step
from rlparity.validation.parity.recording.trace import Trace

ON_POLICY = ("a2c", "ppo", "trpo")
STEPWISE = (
    "a2c",
    "ppo",
)  # every gradient step counts as an update; elsewhere every minibatch or rollout does


class Enough(Exception):
    """There have been as many updates as were asked for."""


class Raw(NamedTuple):
    """A rollout before normalisation: what happened, and what the next actions answered to."""

    rollout: Step
    seen: Tensor  # (1, N, T, *obs)


class Handed(NamedTuple):
    """One call of `update`."""

    batch: dict[str, Tensor]  # names of SB3's samples: a rollout (N T, ...), or a minibatch (B, ...)
    draws: dict[str, Any]  # random numbers, and what the moment decides
    env_steps: int  # environment steps so far
    n_updates: int = 1  # that SB3 made of it
    rollout: Step | None = None  # on-policy: the transitions behind the batch, (1, N, T, ...)
    raw: Raw | None = None  # the same before normalisation, if there is any


@dataclass
class Recording:
    """A run of SB3."""

    start: dict[str, Tensor]  # parameters before the first update
    trace: Trace = field(default_factory=Trace)
    handed: list[Handed] = field(default_factory=list)
