"""Probe the environments of cells before they are trained: one function for all commands that train."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace

from rlparity.cell import Cell
from rlparity.environments.probing import request
from rlparity.environments.probing.process import STALL_S
from rlparity.errors import UserError

JOBS = 4  # at most; the process that they come from needs a few hundred MiB


def checked(
    cells: Iterable[Cell],
    say: Callable[[str], None],
    waiting: Callable[[Cell], bool] = lambda cell: True,
    stall_s: float = STALL_S,
) -> list[Cell]:
    """The cells, after the environments of those that are `waiting` to be trained were probed.

    UserError for environments that cannot be trained in, one line each. Notes go to `say`. Where the state of
    an environment cannot be brought back, its cells have no checkpoints: interrupted, they begin anew.
    """
    given = list(cells)
    names = [cell.environment for cell in given if cell.kind != "logs" and waiting(cell)]
    found = {each.environment: each for each in request.probe(names, _jobs(), stall_s)}
    refused = [f"environment {one.environment!r}: {one.refused}" for one in found.values() if one.refused]
    if refused:
        raise UserError(refused[0] if len(refused) == 1 else "\n  - ".join(["Bad environments:", *refused]))
    for one in found.values():
        for note in one.notes:
            say(f"note: environment {one.environment!r}: {note}")
        if not one.resumes:
            say(
                f"note: environment {one.environment!r}: its chance does not come from self.np_random alone, "
                "so an interrupted training of our own agents begins anew"
            )
    inexact = {one.environment for one in found.values() if not one.resumes}
    return [replace(cell, checkpoint_every=0) if cell.environment in inexact else cell for cell in given]


def _jobs() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(JOBS, cores)
