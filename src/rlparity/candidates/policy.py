"""A candidate's `act` as a policy for the evaluator, without an influence on its training."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from rlparity.candidates import environments
from rlparity.candidates.environments import Misbehaved, bad_actions
from rlparity.candidates.importing import one_line
from rlparity.candidates.protocol import Candidate


class Policy:
    """A candidate as the evaluator's policy, with S = 1. It draws its own random numbers."""

    uniforms = 1

    def __init__(self, candidate: Candidate, environment: str, progressed: Callable[[], None]):
        env = environments.make(environment)
        self._space, self._dtype = env.action_space, env.observation_space.dtype
        env.close()
        self._candidate, self._progressed = candidate, progressed

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """Map obs (1, E, *obs) to actions (1, E) or (1, E, *action)."""
        raw = obs[0].numpy().astype(self._dtype)
        with candidate_code("act"):
            action = self._candidate.act(raw, explore is None)
        self._progressed()
        if problem := bad_actions(action, self._space, (len(raw),)):
            raise Misbehaved(f"act gave {problem}")
        dtype = np.int64 if isinstance(self._space, spaces.Discrete) else np.float32
        return torch.from_numpy(action.astype(dtype))[None]


@contextmanager
def candidate_code(what: str) -> Iterator[None]:
    """Run code of a candidate; an exception becomes Misbehaved, with the original as its cause."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise Misbehaved(f"{what} raised {one_line(error)}") from error


@contextmanager
def ambient_randomness(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, numpy and torch; restore their states at the end."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
