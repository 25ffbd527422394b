"""Render games of MinAtar: a square for each cell of the grid, a colour for each kind of thing."""

from __future__ import annotations

import colorsys

import numpy as np
from torch import Tensor

from rlparity.environments.minatar import vectorized
from rlparity.playback.atari_rendering import Window

ZOOM = 32  # pixels of a picture for each of the game


class MinAtarRenderer:
    """One game; see `rlparity.playback.rendering.Renderer`."""

    steps_per_s = 15.0  # the games have no speed of their own; this is Atari's, in steps

    def __init__(self, environment: str, window: bool = False):
        self._games = vectorized.make(environment, [[0]])
        channels, height, width = self._games.spec.obs_shape
        hues = [colorsys.hsv_to_rgb(k / channels, 0.7, 1.0) for k in range(channels)]
        self._colours = np.array([(0.0, 0.0, 0.0), *hues])
        self._window = Window(environment, (width * ZOOM, height * ZOOM)) if window else None

    def reset(self, seed: int) -> Tensor:
        """Begin a game."""
        self._games.reset([[seed]])
        return self._seen(self._games.obs)

    def step(self, action: Tensor) -> tuple[Tensor, float, bool]:
        """One step."""
        step = self._games.step(action[None, None])
        return self._seen(step.next_obs), float(step.reward), bool(self._games.pop_episodes())

    def _seen(self, obs: Tensor) -> Tensor:
        image = obs[0, 0].numpy()
        front = (image * np.arange(1, len(image) + 1)[:, None, None]).max(0)  # the last channel covers others
        small = (255 * self._colours[front]).astype(np.uint8)
        self._picture = small.repeat(ZOOM, 0).repeat(ZOOM, 1)
        if self._window is not None:
            self._window.show(self._picture, self.steps_per_s)
        return obs[0, 0].float()

    def picture(self) -> np.ndarray:
        """The grid, (320, 320, 3)."""
        return self._picture.copy()

    def close(self) -> None:
        """Close the game and its window."""
        self._games.close()
        if self._window is not None:
            self._window.close()
