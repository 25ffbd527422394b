"""What a Python candidate implements: a factory that makes it, and the two methods that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import gymnasium as gym
import numpy as np


class Candidate(Protocol):
    """An untrained learner, made by a `Factory`.

    Optional besides: `answer`, what it made of the hyper-parameters, see `rlparity.candidates.settings`;
    `episode_returns`, the returns of its training episodes as it counted them; `save(path)` and `load(path)`;
    for parity `prepare(rollout)`, `update(batch, draws)`, `load_reference(state)` and `reference_state()`,
    see `rlparity.validation.parity.candidates`.
    """

    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        """Learn from `budget` environment steps, counted over all sub-environments.

        `make_env(i)` makes sub-environment i, counted from 0. Its first `reset()` is seeded: pass no `seed=`.
        All other randomness must follow from `seed`. `step` calls `act` for evaluations in between, and
        raises an exception that ends training once the budget is spent.
        """

    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        """Map raw observations (E, *obs) to actions: integers (E,), or floats (E, *action) in the
        environment's units.

        Must neither learn nor change anything that training depends on.
        """


# (observation space, action space, hyper-parameters) -> an untrained learner
Factory = Callable[[gym.Space, gym.Space, Mapping[str, Any]], Candidate]
