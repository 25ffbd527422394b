"""Render environments: one episode at a time, drawn into a picture or shown in a window.

The policy observes what it observed in training; the picture for people is drawn beside it.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from rlparity import registry
from rlparity.environments import metadata
from rlparity.environments.configured import making
from rlparity.errors import UserError
from rlparity.training.checkpoint_files import first_line

HEADLIGHT = 0.6  # of a model that brings no light
BACKENDS = ("egl", "osmesa", "glfw")  # of OpenGL, the first that needs no display
PROBE = """\
import gymnasium
env = gymnasium.make("InvertedPendulum-v5", render_mode="rgb_array", width=64, height=64)
env.reset()
assert env.render().any()
"""


class Renderer(Protocol):
    """One environment with a picture."""

    steps_per_s: float  # environment steps per second at the environment's own speed

    def reset(self, seed: int) -> Tensor:
        """Begin an episode; returns the observation (*obs), as in `rlparity.environments`."""

    def step(self, action: Tensor) -> tuple[Tensor, float, bool]:
        """Act: the next observation, the raw reward, and whether the episode is over, for whatever reason."""

    def picture(self) -> np.ndarray:
        """The picture, (H, W, 3) uint8."""

    def close(self) -> None:
        """Close the environment."""


def make(environment: str, window: bool = False) -> Renderer:
    """The screen of an environment. Raises UserError, as its methods do, where it cannot be drawn here."""
    if registry.family(environment) == registry.NAMESPACES["ALE"]:
        from rlparity.playback.atari_rendering import AtariRenderer

        with drawing(environment):
            return AtariRenderer(environment, window)
    if registry.family(environment) == registry.NAMESPACES["MinAtar"]:
        from rlparity.playback.minatar_rendering import MinAtarRenderer

        with drawing(environment):
            return MinAtarRenderer(environment, window)
    with drawing(environment):
        mujoco = metadata.probe(environment).simulator == "mujoco"
    if mujoco and not window:
        choose_opengl()
        return MujocoRenderer(environment)
    return GymnasiumRenderer(environment, "human" if window else "rgb_array")


@contextmanager
def drawing(environment: str) -> Iterator[None]:
    """What goes wrong in a renderer, of whatever kind, in one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # pygame, OpenGL and a user's own module have no exception in common
        raise UserError(f"{environment}: cannot be drawn here ({first_line(error)})") from None


class GymnasiumRenderer:
    """An environment that Gymnasium makes and draws; see `Renderer`. Actions are clipped as in training."""

    def __init__(self, environment: str, mode: str, **keywords: Any):
        self._name, self._window = environment, mode == "human"
        with drawing(environment):
            self._env: Any = making.make_single(environment, render_mode=mode, **keywords)
        self.steps_per_s = float(self._env.metadata.get("render_fps") or 30)

    def reset(self, seed: int) -> Tensor:
        """Begin an episode."""
        with drawing(self._name):
            return _observation(self._env.reset(seed=seed)[0])

    def step(self, action: Tensor) -> tuple[Tensor, float, bool]:
        """One environment step."""
        space, taken = self._env.action_space, action.numpy()
        if isinstance(space, gym.spaces.Box):
            taken = np.clip(taken, space.low, space.high)
        with drawing(self._name):
            obs, reward, ended, cut, _ = self._env.step(taken)
        return _observation(obs), float(reward), bool(ended or cut)

    def picture(self) -> np.ndarray:
        """The environment's own `rgb_array`."""
        with drawing(self._name):
            frame = self._env.render()
            if not isinstance(frame, np.ndarray) or frame.ndim != 3:
                raise UserError(f"{self._name}: cannot be drawn here (its render() gives no picture)")
        return frame

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


class MujocoRenderer(GymnasiumRenderer):
    """A MuJoCo task without shadows and reflections, which cost a software renderer ten times the rest."""

    def __init__(self, environment: str):
        super().__init__(environment, "rgb_array")
        model = self._env.unwrapped.model
        model.vis.quality.offsamples = 0  # pictures are made smaller afterwards
        if model.nlight == 0:
            model.vis.headlight.ambient[:] = model.vis.headlight.diffuse[:] = HEADLIGHT
        self._viewer: Any = None

    def picture(self) -> np.ndarray:
        """The environment's own `rgb_array`, plain."""
        if self._viewer is None:
            with drawing(self._name):
                from mujoco import mjtRndFlag

                self._viewer = self._env.unwrapped.mujoco_renderer._get_viewer("rgb_array")
                for flag in (mjtRndFlag.mjRND_SHADOW, mjtRndFlag.mjRND_REFLECTION):
                    self._viewer.scn.flags[flag] = 0
        return super().picture()

    def close(self) -> None:
        """Close, and free what OpenGL holds while its context is the current one: freed later, it would be
        the next screen's."""
        if self._viewer is not None:
            with suppress(Exception):
                self._viewer.con.free()
        self._viewer = None
        super().close()
        gc.collect()


def choose_opengl() -> None:
    """Set MUJOCO_GL, unless the user did, to a backend that works here. Raises UserError where none does."""
    if os.environ.get("MUJOCO_GL"):
        return
    found = _working_opengl()
    if found is None:
        raise UserError(
            f"MuJoCo cannot be drawn here: no OpenGL by {', '.join(BACKENDS)}; "
            "on Debian, apt-get install libegl1 libgl1-mesa-dri"
        )
    os.environ["MUJOCO_GL"] = found


@cache
def _working_opengl() -> str | None:
    """Tried in processes of their own: what fails may take its process along."""
    for name in BACKENDS:
        with suppress(subprocess.TimeoutExpired):
            tried = subprocess.run(
                [sys.executable, "-c", PROBE],
                env={**os.environ, "MUJOCO_GL": name},
                capture_output=True,
                timeout=120,
                check=False,
            )
            if tried.returncode == 0:
                return name
    return None


def _observation(obs: Any) -> Tensor:
    return torch.from_numpy(np.asarray(obs, dtype=np.float32))
