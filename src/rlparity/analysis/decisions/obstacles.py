"""What stands against any verdict on two arms, whatever their difference is."""

from __future__ import annotations

import numpy as np

from rlparity.analysis import statistics
from rlparity.analysis.scores import Floor
from rlparity.analysis.statistics import Array
from rlparity.metrics import RETURN

FEWEST = 5  # seeds per arm below which nothing is decided, unless it is deterministic
TOO_FEW = f"fewer than {FEWEST} seeds"  # a reason, or the beginning of one
NOTHING_FINISHED = "no finished seed"  # the beginning of a reason
NOTHING_LEARNED = "reference did not learn"  # the beginning of a reason
AT_THE_CEILING = "all at the ceiling"  # the beginning of a reason
RANDOM = str(RETURN.floor)


def constant(arm: Array) -> bool:
    """Whether an arm has seeds, (n,), and all have the same score."""
    return len(arm) > 0 and bool(np.ptp(arm) == 0)


def obstacle(
    x: Array,
    y: Array,
    floor: Floor,
    floor_name: str,
    fixed: tuple[bool, bool],
    fewest: int,
) -> str:
    """The reason against any verdict, or none; `fixed` marks the arms that are deterministic."""
    given = np.ndim(floor) == 0  # a constant has no spread
    if not len(y):
        return "no finished run of the reference"
    if not len(x):
        return f"{NOTHING_FINISHED}: could not be judged"
    if not np.size(floor):
        return f"no {floor_name} agent in the suite"
    if any(len(arm) < fewest and not exact for arm, exact in zip((x, y), fixed, strict=True)):
        return TOO_FEW
    if np.size(floor) < 2 and not given:
        return f"fewer than 2 seeds of the {floor_name} agent"
    above = statistics.welch(y, np.atleast_1d(floor), (fixed[1], given))
    equal, seeds = constant(np.concatenate([x, y])) and not all(fixed), f"{len(x)} and {len(y)} seeds"
    if above.difference <= 3 * above.se:
        return NOTHING_LEARNED + (f": all at the floor, {seeds}" if equal else "")
    return f"{AT_THE_CEILING}, {seeds}" if equal else ""
