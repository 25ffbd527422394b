"""What a suite must know of a game of MinAtar before anything is trained; needs no torch."""

from __future__ import annotations

import math

from rlparity.environments.metadata import EnvironmentInfo, unknown_environment
from rlparity.environments.minatar import ids
from rlparity.errors import UserError


def probe(environment: str) -> EnvironmentInfo:
    """Make a game once. UserError for an unknown id, or without the package."""
    if ids.parse(environment) is None:
        allowed = "a game of MinAtar, such as 'MinAtar/Breakout-v1'"
        raise UserError(unknown_environment(environment, ids.IDS, allowed, 0.8))
    try:
        from rlparity.environments.minatar.game import make_single
    except ImportError as error:
        raise UserError(f"environment {environment!r} needs a package, minatar: {error}") from None
    shape = make_single(environment).shape
    return EnvironmentInfo(
        actions="discrete",
        observation_bytes=math.prod(shape),
        observation_size=math.prod(shape),
        action_size=1,
        threshold=None,
        time_limit=ids.TIME_LIMIT,
        simulator="minatar",
        module=None,
        image=shape,
    )
