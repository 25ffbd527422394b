"""The games of MinAtar for Stable-Baselines3: the same games as ours, without wrappers of its own."""

from __future__ import annotations

from functools import partial

from stable_baselines3.common.vec_env import DummyVecEnv

from rlparity.environments.minatar.game import make_single
from rlparity.references.sb3_environments import present, raw

__all__ = ["DEPARTURES", "make", "make_single", "present", "raw"]
DEPARTURES: list[str] = []


def make(environment: str, n_envs: int) -> DummyVecEnv:
    """Games side by side."""
    return DummyVecEnv([partial(make_single, environment)] * n_envs)
