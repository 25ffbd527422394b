"""Raw returns and lengths of whole episodes, added up by the environment: no agent can change them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rlparity.transitions import Episode


class EpisodeStatistics:
    """Add up the rewards of S x N sub-environments; return each episode once it has ended."""

    def __init__(self, n_seeds: int, n_envs: int):
        self._returns = np.zeros((n_seeds, n_envs))
        self._lengths = np.zeros((n_seeds, n_envs), dtype=np.int64)
        self._ended: list[Episode] = []
        self.env_step = 0  # environment steps per seed

    def add(self, reward: np.ndarray, last: np.ndarray) -> None:
        """Add one step: raw rewards (S, N), and where an episode ended (S, N) bool."""
        self.env_step += reward.shape[1]
        self._returns += reward
        self._lengths += 1
        if last.any():
            for s, n in np.argwhere(last).tolist():
                total, length = float(self._returns[s, n]), int(self._lengths[s, n])
                self._ended.append(Episode(s, n, self.env_step, total, length))
            self._returns[last] = 0
            self._lengths[last] = 0

    def pop(self) -> list[Episode]:
        """The episodes that ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def snapshot(self) -> dict[str, Any]:
        """Running episodes; those that ended have been returned."""
        return {"returns": self._returns, "lengths": self._lengths, "env_step": self.env_step}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`."""
        self._returns, self._lengths = np.array(state["returns"]), np.array(state["lengths"])
        self.env_step = state["env_step"]
