"""Environments from ids with keys, S x N of them, see `making`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gymnasium.envs.registration import EnvSpec

from rlparity.environments.base import Role
from rlparity.environments.configured import ids
from rlparity.environments.configured.making import make_single
from rlparity.environments.gymnasium_env import GymnasiumEnv


def make(environment: str, seeds: Sequence[Sequence[int]], role: Role = "training") -> GymnasiumEnv:
    """S x N environments of such an id."""
    return GymnasiumEnv(specification(environment), seeds)  # type: ignore[arg-type]


def specification(environment: str) -> EnvSpec:
    """What `gymnasium.make` takes in place of an id: everything is in its entry point."""
    return EnvSpec(
        id=ids.parse(environment).base.rpartition(":")[2],
        entry_point=partial(make_single, environment),
        order_enforce=False,
        disable_env_checker=True,
    )
