"""An environment of random images."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

SHAPE, N_ACTIONS = (4, 84, 84), 3


class Snow(gym.Env):
    """Random images and rewards; games of five steps."""

    observation_space = spaces.Box(0, 255, SHAPE, np.uint8)
    action_space = spaces.Discrete(N_ACTIONS)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.left = 5
        return self.draw(), {}

    def draw(self) -> np.ndarray:
        """Blocks of any brightness: fine noise looks all the same to a network, gradients would cancel."""
        blocks = self.np_random.integers(256, size=(4, 6, 6), dtype=np.uint8)
        return blocks.repeat(14, 1).repeat(14, 2)

    def step(self, action: Any) -> Any:
        self.left -= 1
        return self.draw(), float(self.left % 3 - 1), self.left == 0, False, {}
