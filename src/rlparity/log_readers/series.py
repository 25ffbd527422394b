"""The content of a log, unchecked, and the options for reading it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlparity.errors import UserError

CLEANRL_TAG = "charts/episodic_return"
TRAINING, EVALUATION = "training", "evaluation"


class Refused(UserError):
    """A log, or rows of it, cannot be used; the message is the reason, in one line."""


class Series(NamedTuple):
    """The content of one file about one run, neither sorted nor checked."""

    source: str  # file and part of it, for messages
    measure: str  # TRAINING, returns of episodes that were learnt from, or EVALUATION
    env_step: NDArray[np.float64]  # (n,) environment steps over all sub-environments
    episode_return: NDArray[np.float64]  # (n,)
    episode_length: NDArray[np.float64]  # (n,) environment steps; 0 if unknown
    seed: int | None = None
    environment: str | None = None  # id in the file
    notes: tuple[str, ...] = ()  # assumptions made in reading
    n_envs: int = 0  # sub-environments; 0 if unknown
    means: bool = False  # rows are means that the format is known to hold, not single episodes
    summed: bool = False  # environment steps are no column, but sums of lengths in the order of rows
    time: NDArray[np.float64] | None = None  # (n,) seconds from the first step, where `summed`
    files: tuple[Path, ...] = ()  # that it was read from
    when: float = math.nan  # seconds since 1970 at which its first row was written; NaN if unknown
    until: float = math.nan  # ... its last row
    begins: float = math.nan  # environment step at which this part of a run begins; NaN: not logged

    def take(self, rows: NDArray[Any]) -> Series:
        """Some of the rows, by index or mask."""
        columns = ("env_step", "episode_return", "episode_length")
        return self._replace(**{name: getattr(self, name)[rows] for name in columns})

    def noted(self, *notes: str) -> Series:
        """The same with more notes."""
        return self._replace(notes=(*self.notes, *notes))


@dataclass(frozen=True)
class Reading:
    """Options for reading returns, from the mapping `returns` of a candidate."""

    files: str = ""  # pattern of the files, relative to a run's folder; empty: all of known formats
    format: str = ""  # a key of `convert.READERS`; empty: by the name of the file
    tag: str = ""  # of TensorBoard's scalars; empty: CLEANRL_TAG
    columns: Mapping[str, str] = field(default_factory=dict)  # ours -> the table's
    measure: str = ""  # TRAINING or EVALUATION, for formats of both
    deterministic: bool | None = None  # of evaluations; None: True, the default of SB3
    iteration_steps: int = 0  # environment steps of one of Dopamine's iterations
    agent: str = ""  # of a Dopamine file
    n_envs: int = 0  # sub-environments in parallel; 0: those of the cell
    longer: bool = False  # the run was longer than the budget, and its first part is meant

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Reading:
        """Make it from YAML whose keys the schema has checked."""
        return cls(**values)


def numbers(values: ArrayLike, source: str, name: str) -> NDArray[np.float64]:
    """Convert a column to numbers, (n,). Raises Refused if a value is not a number."""
    column = np.asarray(values)
    if np.iscomplexobj(column):
        raise Refused(f"{source}: {name} has complex numbers")
    try:
        return column.astype(np.float64).ravel()
    except (TypeError, ValueError):
        wrong = next(i for i, value in enumerate(column.ravel().tolist()) if not _is_number(value))
        value = column.ravel()[wrong]
        shown = value.item() if isinstance(value, np.generic) else value
        raise Refused(f"{source}: {name} {wrong + 1} is {str(shown)[:40]!r}, not a number") from None


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True
