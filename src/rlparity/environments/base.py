"""S seeds x N sub-environments that step together, with exact ends of episodes and raw returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from torch import Tensor

from rlparity.registry import family
from rlparity.transitions import Episode, Step

Role = Literal["training", "evaluation"]  # evaluation may draw from data that training never sees


class EnvSpec(NamedTuple):
    """What an agent may know about an environment before it acts."""

    n_seeds: int  # S
    n_envs: int  # N, sub-environments per seed
    obs_shape: tuple[int, ...]
    n_actions: int | None  # discrete actions
    action_shape: tuple[int, ...] = ()  # continuous actions
    action_low: tuple[float, ...] = ()  # bounds of each component, which the environment clips to
    action_high: tuple[float, ...] = ()


class Env(Protocol):
    """S x N sub-environments. `obs` is what the next action responds to; one that ended is reset in the same
    step."""

    spec: EnvSpec
    obs: Tensor  # (S, N, *obs)

    def reset(self, seeds: Sequence[Sequence[int]]) -> None:
        """Reset all, sub-environment n of seed s from `seeds[s][n]`."""

    def step(self, action: Tensor, live: np.ndarray | None = None) -> Step:
        """Act in all (S, N); where `live` (S, N) is false, a sub-environment may stand still."""

    def pop_episodes(self) -> list[Episode]:
        """The episodes that ended since the last call."""

    def snapshot(self) -> dict[str, Any]:
        """The state of all sub-environments as arrays, numbers and text, when no ended episode waits."""

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`, bit for bit."""

    def close(self) -> None:
        """Release what Gymnasium holds."""


def make(environment: str, seeds: Sequence[Sequence[int]], role: Role = "training") -> Env:
    """S x N copies of one environment, sub-environment n of seed s started from `seeds[s][n]`."""
    made: Env = import_module(family(environment).module).make(environment, seeds, role)
    return made
