"""An environment made to show faults within seconds.

Episodes are short and end by termination, by truncation or by both at once. Every observation is new and has
components of different sizes. Continuous actions have bounds other than -1 and 1.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

DISCRETE, CONTINUOUS = "Arena/Discrete-v0", "Arena/Continuous-v0"
TIME_LIMIT = 9  # steps
END = 0.08  # probability that a step terminates the episode
LOW, HIGH = np.array([[-3.0, 1.0], [1.0, 5.0]], np.float32)
CENTRE, SCALE = np.array([[0.0, 5.0, -1.0], [1.0, 10.0, 0.1]], np.float32)


class Arena(gym.Env):
    """An environment with random observations and one best action in each state."""

    def __init__(self, continuous: bool):
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space = spaces.Box(LOW, HIGH) if continuous else spaces.Discrete(3)
        self._continuous = continuous

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        return self._observe(), {}

    def _observe(self) -> np.ndarray:
        self._obs = CENTRE + SCALE * self.np_random.standard_normal(3).astype(np.float32)
        return self._obs

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Pay a noisy reward for the action and draw the next observation."""
        right = float(self._obs[0] > 0)
        if self._continuous:
            reward = 2.0 - abs(float(action[0]) - right) - 0.3 * float(action[1])
        else:
            reward = 3.0 * (int(action) == right) - 1.0
        reward += float(self.np_random.normal())
        return self._observe(), reward, bool(self.np_random.random() < END), False, {}


for name, continuous in ((DISCRETE, False), (CONTINUOUS, True)):
    gym.register(name, f"{__name__}:Arena", max_episode_steps=TIME_LIMIT, kwargs={"continuous": continuous})
