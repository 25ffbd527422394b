"""The content of a log, unchecked, and the options for reading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlparity.errors import UserError

CLEANRL_TAG = "charts/episodic_return"
TRAINING, EVALUATION = "training", "evaluation"
RUNNING_MEANS = {"ep_rew_mean": "Stable-Baselines3's mean over the last 100 episodes"}  # by the end of a name


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
    environment: str | None = None  # Gymnasium id in the file
    notes: tuple[str, ...] = ()  # assumptions made in reading
    n_envs: int = 0  # sub-environments; 0 if unknown


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

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Reading:
        """Make it from YAML whose keys the schema has checked."""
        return cls(**values)


def refuse_running_means(name: str, source: str) -> None:
    """Raise Refused if a tag or column is known to contain no returns of single episodes."""
    for end, what in RUNNING_MEANS.items():
        if name.endswith(end):
            raise Refused(f"{source}: is {what}; returns of single episodes are needed")


def numbers(values: ArrayLike, source: str, name: str) -> NDArray[np.float64]:
    """Convert a column to numbers, (n,). Raises Refused if a value is not a number."""
    column = np.asarray(values)
    try:
        return column.astype(np.float64).ravel()
    except (TypeError, ValueError):
        wrong = next(i for i, value in enumerate(column.ravel().tolist()) if not _is_number(value))
        raise Refused(f"{source}: {name} {wrong + 1} is {column.ravel()[wrong]!r}, not a number") from None


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True
