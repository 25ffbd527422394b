"""Environments from ids with keys for Stable-Baselines3: the same as ours, side by side."""

from __future__ import annotations

from functools import partial

from stable_baselines3.common.vec_env import DummyVecEnv

from rlparity.environments.configured.making import make_single
from rlparity.references.sb3_environments import DEPARTURES, present, raw

__all__ = ["DEPARTURES", "make", "make_single", "present", "raw"]


def make(environment: str, n_envs: int) -> DummyVecEnv:
    """Scalar environments side by side."""
    return DummyVecEnv([partial(make_single, environment)] * n_envs)
