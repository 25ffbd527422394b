"""Wrappers that Gymnasium lacks."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

MOST = 100_000  # actions that an agent chooses among


class FlattenAction(gym.ActionWrapper):
    """Number all actions of a finite space from 0, as one Discrete space.

    Finite are Discrete (with another start), MultiDiscrete, MultiBinary, and Tuple and Dict of these. The
    last component changes fastest, as in `numpy.unravel_index`. ValueError for other spaces.
    """

    def __init__(self, env: gym.Env):
        super().__init__(env)
        n = _size(env.action_space)
        if n > MOST:
            raise ValueError(f"{env.action_space} has {n:,} actions; at most {MOST:,} can be numbered")
        self.action_space = spaces.Discrete(n)

    def action(self, action: Any) -> Any:
        """The action of the wrapped environment that has this number."""
        return _decoded(self.env.action_space, int(action))


def _size(space: gym.Space) -> int:
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.MultiDiscrete):
        return math.prod(int(n) for n in space.nvec.ravel())
    if isinstance(space, spaces.MultiBinary):
        return int(2 ** math.prod(space.shape))
    if isinstance(space, spaces.Tuple):
        return math.prod(map(_size, space.spaces))
    if isinstance(space, spaces.Dict):
        return math.prod(map(_size, space.spaces.values()))
    raise ValueError(f"{space} is not finite, its actions cannot be numbered")


def _decoded(space: gym.Space, number: int) -> Any:
    if isinstance(space, spaces.Discrete):
        return space.start + number
    if isinstance(space, spaces.MultiDiscrete):
        chosen = np.array(np.unravel_index(number, space.nvec.ravel())).reshape(space.nvec.shape)
        return (chosen + space.start).astype(space.dtype)
    if isinstance(space, spaces.MultiBinary):
        n = math.prod(space.shape)
        return np.array([number >> (n - 1 - i) & 1 for i in range(n)], dtype=np.int8).reshape(space.shape)
    inner = list(space.spaces.items()) if isinstance(space, spaces.Dict) else list(enumerate(space.spaces))  # type: ignore[attr-defined]
    parts: dict[Any, Any] = {}
    for key, each in reversed(inner):
        number, part = divmod(number, _size(each))
        parts[key] = _decoded(each, part)
    ordered = {key: parts[key] for key, _ in inner}
    return ordered if isinstance(space, spaces.Dict) else tuple(ordered.values())
