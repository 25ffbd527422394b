"""Keep timed processes on one core, so that rows and the machine's product rate are of the same one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rlparity.errors import UserError


def allowed() -> list[int]:
    """Cores that this process may run on; empty where the system keeps no process to a core."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def choose(wish: int | None = None) -> int | None:
    """The core to measure on: as wished, else the last that is allowed; None where there is no choice.

    Raises UserError for a core that this process may not run on.
    """
    cores = allowed()
    if wish is None:
        return cores[-1] if cores else None
    if wish not in cores:
        known = ", ".join(map(str, cores)) or "none, as this system keeps no process to a core"
        raise UserError(f"bench: --core {wish}; allowed are {known}")
    return wish


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Keep this thread, and the processes that it starts meanwhile, on one core; None: as they are."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
