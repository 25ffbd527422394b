"""The only door to Gymnasium: S seeds x N worlds that step together, with exact ends and raw books."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor

from rlparity.records import Episode, Step
from rlparity.registry import family


class EnvSpec(NamedTuple):
    """What an agent may know about a task before it acts."""

    n_seeds: int  # S
    n_envs: int  # N, sub-environments per seed
    obs_shape: tuple[int, ...]
    n_actions: int | None  # discrete tasks
    action_shape: tuple[int, ...] = ()  # continuous tasks
    action_low: tuple[float, ...] = ()  # bounds of each component, which the task clips to
    action_high: tuple[float, ...] = ()


class Env(Protocol):
    """S x N worlds. `obs` is what the next action answers to; an ended world is reset in the same step."""

    spec: EnvSpec
    obs: Tensor  # (S, N, *obs)

    def reset(self, seeds: Sequence[Sequence[int]]) -> None:
        """Start all worlds anew, world n of seed s from `seeds[s][n]`."""

    def step(self, action: Tensor, live: np.ndarray | None = None) -> Step:
        """Act in all worlds (S, N); where `live` (S, N) is false, a world may stand still."""

    def pop_episodes(self) -> list[Episode]:
        """The games that ended since the last call."""

    def snapshot(self) -> dict[str, Any]:
        """The state of all worlds as arrays, numbers and text; asked for when no ended game waits."""

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`, bit for bit."""

    def close(self) -> None:
        """Release what Gymnasium holds."""


def make(environment: str, seeds: Sequence[Sequence[int]]) -> Env:
    """S x N worlds of one environment, world n of seed s started from `seeds[s][n]`."""
    return import_module(family(environment)).make(environment, seeds)
