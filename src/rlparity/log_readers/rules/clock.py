"""Environment steps of episodes whose log has lengths alone, of several sub-environments in one file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ends = NDArray[np.float64]


def of_sub_environments(length: NDArray[np.float64], n: int, time_limit: int | None) -> Ends | None:
    """The environment step at which each episode ended, (rows,), if n sub-environments that step together can
    have ended episodes of these lengths in this order; None if not.

    Each begins an episode where its last one ended. An episode is of the sub-environment with which it ends
    soonest, but not before the row above it: no other one can then have an episode under way that is longer
    than the time limit.
    """
    if n < 2 or len(length) < n:
        return None
    free = np.zeros(n)  # own steps at which each began its episode under way
    ends = np.empty(len(length))
    now = 0.0
    for i, steps in enumerate(length):
        possible = free + steps
        possible[possible < now] = np.inf
        chosen = int(possible.argmin())
        now = possible[chosen]
        if not np.isfinite(now):
            return None
        free[chosen] = ends[i] = now
        if time_limit is not None and now - free.min() > time_limit:
            return None
    return ends * n
