"""A candidate's `act` as the evaluator asks it, and what is done so that asking changes nothing."""

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
from rlparity.candidates.importing import told
from rlparity.candidates.protocol import Candidate


class Policy:
    """A candidate as the evaluator sees it, with S = 1; it draws from random numbers of its own."""

    uniforms = 1

    def __init__(self, candidate: Candidate, environment: str, moved: Callable[[], None]):
        env = environments.make(environment)
        self._space, self._dtype = env.action_space, env.observation_space.dtype
        env.close()
        self._candidate, self._moved = candidate, moved

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (1, E, *obs) -> action (1, E) or (1, E, *action)."""
        seen = obs[0].numpy().astype(self._dtype)
        with blamed("act"):
            action = self._candidate.act(seen, explore is None)
        self._moved()
        if problem := bad_actions(action, self._space, (len(seen),)):
            raise Misbehaved(f"act gave {problem}")
        dtype = np.int64 if isinstance(self._space, spaces.Discrete) else np.float32
        return torch.from_numpy(action.astype(dtype))[None]


@contextmanager
def blamed(what: str) -> Iterator[None]:
    """What other people's code raises becomes Misbehaved, with the original as its cause."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise Misbehaved(f"{what} raised {told(error)}") from error


@contextmanager
def ambient_randomness(seed: int) -> Iterator[None]:
    """Random numbers that code draws from the generators of Python, numpy and torch start from `seed`, and go
    on afterwards as if nothing had been drawn."""
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
