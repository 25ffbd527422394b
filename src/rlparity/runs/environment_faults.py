"""Name environment, seed and step of what goes wrong in a user's environment, in every arm.

An exception ends the cell. Observations and rewards that are not finite fail their seed, as a loss that is
not finite does: rows from there on are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rlparity.cell import Cell
from rlparity.environments import guard
from rlparity.environments.guard import Broken, Fault
from rlparity.errors import UserError
from rlparity.seeding import Streams
from rlparity.training.checkpointing import Checkpointer
from rlparity.training.recorder import Recorder


@contextmanager
def named(cell: Cell, recorder: Recorder, checkpointer: Checkpointer) -> Iterator[None]:
    """Watch the environments of a cell in training. UserError for an exception in one of them.

    A fault is noted in the recorder at once, so that checkpoints have it too. An exception of the training
    after a fault, which numbers that are not finite are likely to have caused, fails all other seeds.
    """

    def note(fault: Fault) -> None:
        _fail(cell, recorder, fault, checkpointer.times_resumed)

    ended = ""
    with guard.watching(cell.environment, note) as faults:
        try:
            yield
        except Broken as error:
            place = _text(cell, error.fault, checkpointer.times_resumed)
            raise UserError(f"environment {cell.environment!r}, {place}: {error.fault.what}") from error
        except (UserError, MemoryError, OSError):  # an interruption, a lost lock, a full disk: never a number
            raise
        except Exception as error:
            if not faults:
                raise
            recorder.finish()
            ended = guard.summary(error)
    for fault in faults:
        _fail(cell, recorder, fault, checkpointer.times_resumed)
        if not checkpointer.times_resumed:
            _leave_out(cell, recorder, fault)
    if ended:
        at = "" if recorder.env_step is None else f" after environment step {recorder.env_step:,}"
        for seed in cell.seeds:
            recorder.failed.setdefault(seed, f"the cell's training ended{at}: {ended}")


def _fail(cell: Cell, recorder: Recorder, fault: Fault, times_resumed: int) -> None:
    """Fail the seed of a fault."""
    found = _found(cell, fault)
    seed = cell.seeds[found[0] if found else 0]
    if not recorder.failed.get(seed, "").startswith("environment "):
        place = _text(cell, fault, times_resumed)
        recorder.failed[seed] = f"environment {cell.environment!r}, {place}: {fault.what}"


def _leave_out(cell: Cell, recorder: Recorder, fault: Fault) -> None:
    """Leave out the rows of a seed from its fault on."""
    found = _found(cell, fault)
    index, env_step = (found[0], found[2]) if found else (0, 0)
    for rows in (recorder.episodes, recorder.evaluations, recorder.progress):
        rows[:] = [row for row in rows if row["seed"] != cell.seeds[index] or row["env_step"] < env_step]


def _text(cell: Cell, fault: Fault, times_resumed: int) -> str:
    """Seed and step of a fault in words."""
    found = _found(cell, fault)
    if found is None:
        return f"a sub-environment that was reset with seed {fault.seed}, step {fault.steps:,} since then"
    index, where, env_step = found
    if where == "training" and not times_resumed:
        return f"seed {cell.seeds[index]}, environment step {env_step:,}"
    since = "it was resumed" if where == "training" else "its reset"
    return f"seed {cell.seeds[index]}, {where}, step {fault.steps:,} since {since}"


def _found(cell: Cell, fault: Fault) -> tuple[int, str, int] | None:
    """Of the sub-environment with the fault: index of its seed, what it is for, and environment steps of that
    seed's training when it happened."""
    random, protocol = Streams(cell), cell.evaluation
    for index, seeds in enumerate(random.environments("training", cell.n_envs)):
        if fault.seed in seeds:
            return index, "training", fault.steps * cell.n_envs
    for point in range(protocol.points + 1):
        wanted = protocol.final_episodes if point == protocol.points else protocol.episodes
        for mode in protocol.modes:
            for first in range(0, wanted, protocol.episodes):
                table = random.environments(f"evaluation|{mode}|{point}|{first}", protocol.episodes)
                for index, seeds in enumerate(table):
                    if fault.seed in seeds:
                        env_step = point * cell.budget // protocol.points
                        return index, f"evaluation at environment step {env_step:,}", env_step
    return None
