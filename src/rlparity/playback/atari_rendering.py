"""Render Atari: the policy observes the frames of its environment, people see the same game in colour.

The picture comes from a second emulator with the same options, seed and actions. Both pool two frames, so
that nothing flickers that the policy sees whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from rlparity.environments import atari
from rlparity.environments.atari_presets import FRAME_SKIP, parse

FRAMES_PER_S = 60  # of the console
HEIGHT, WIDTH, ZOOM = 210, 160, 3


class AtariRenderer:
    """One game; see `rlparity.playback.rendering.Renderer`."""

    steps_per_s = FRAMES_PER_S / FRAME_SKIP

    def __init__(self, environment: str, window: bool = False):
        game, preset = parse(environment)
        self._task = atari.make(environment, [[0]])
        self._colour = atari.emulators(
            game, preset, 1, num_threads=1, grayscale=False, img_height=HEIGHT, img_width=WIDTH, stack_num=1
        )
        self._window = Window(environment) if window else None

    def reset(self, seed: int) -> Tensor:
        """Begin a game."""
        self._task.reset([[seed]])
        frames, _ = self._colour.reset(seed=np.array([atari.emulator_seed(seed)]))
        self._show(frames)
        return self._task.obs[0, 0]

    def step(self, action: Tensor) -> tuple[Tensor, float, bool]:
        """One step of four frames; the reward is the raw score."""
        self._task.step(action[None, None])
        frames, raw, _, _, info = self._colour.step(action.reshape(1).numpy())
        over = bool(self._task.pop_episodes())
        self._show(info["final_obs"] if over else frames)
        return self._task.obs[0, 0], float(raw[0]), over

    def _show(self, frames: np.ndarray) -> None:
        self._picture = frames[0, 0]
        if self._window is not None:
            self._window.show(self._picture, self.steps_per_s)

    def picture(self) -> np.ndarray:
        """The console's picture, (210, 160, 3)."""
        return self._picture.copy()

    def close(self) -> None:
        """Close both emulators."""
        self._task.close()
        self._colour.close()
        if self._window is not None:
            self._window.close()


class Window:
    """A window at the game's own speed; closing it ends the program."""

    def __init__(self, title: str, size: tuple[int, int] = (WIDTH * ZOOM, HEIGHT * ZOOM)):
        import pygame

        self._pygame: Any = pygame
        pygame.display.init()
        self._surface = pygame.display.set_mode(size)
        pygame.display.set_caption(title)
        self._clock = pygame.time.Clock()

    def show(self, frame: np.ndarray, per_s: float) -> None:
        """Show a frame (H, W, 3) and wait until the next is due."""
        pygame = self._pygame
        picture = pygame.surfarray.make_surface(frame.swapaxes(0, 1))
        self._surface.blit(pygame.transform.scale(picture, self._surface.get_size()), (0, 0))
        pygame.display.flip()
        if any(event.type == pygame.QUIT for event in pygame.event.get()):
            raise KeyboardInterrupt
        self._clock.tick(per_s)

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
