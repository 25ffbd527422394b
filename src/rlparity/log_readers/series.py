"""What a log says, as it stands there, and how it is to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlparity.errors import UserError

CLEANRL_TAG = "charts/episodic_return"
TRAINING, EVALUATION = "training", "evaluation"
RUNNING_MEANS = {"ep_rew_mean": "Stable-Baselines3's mean over the last 100 games"}  # by the name's end


class Refused(UserError):
    """A log, or rows of it, that cannot be used: one line with the reason."""


class Series(NamedTuple):
    """What one file says of one run: neither sorted nor checked."""

    source: str  # file, and what of it, for messages
    measure: str  # TRAINING: returns of the games it learnt from, or EVALUATION
    env_step: NDArray[np.float64]  # (n,) environment steps over all sub-environments
    episode_return: NDArray[np.float64]  # (n,)
    episode_length: NDArray[np.float64]  # (n,) environment steps; 0 where the file does not say
    seed: int | None = None
    environment: str | None = None  # Gymnasium id, as the file has it
    notes: tuple[str, ...] = ()  # what had to be assumed to read it
    n_envs: int = 0  # sub-environments, where the files tell; 0 where they do not


@dataclass(frozen=True)
class Reading:
    """How returns are read, from the mapping `returns` of a candidate."""

    files: str = ""  # pattern of the files to read, relative to a run's folder; all that are known if empty
    format: str = ""  # a key of `logs.READERS`; told by the file's name if empty
    tag: str = ""  # of TensorBoard's scalars; CLEANRL_TAG if empty
    columns: Mapping[str, str] = field(default_factory=dict)  # ours -> the table's
    measure: str = ""  # TRAINING or EVALUATION, where the format leaves it open
    deterministic: bool | None = None  # of evaluations; SB3's default, True, if None
    iteration_steps: int = 0  # environment steps of one of Dopamine's iterations
    agent: str = ""  # whose rows of a Dopamine file
    n_envs: int = 0  # sub-environments that trained side by side; the cell's if 0

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Reading:
        """From YAML whose keys the schema has checked."""
        return cls(**values)


def games_only(name: str, source: str) -> None:
    """Raises Refused where a tag or column is known to hold no returns of single games."""
    for end, what in RUNNING_MEANS.items():
        if name.endswith(end):
            raise Refused(f"{source}: is {what}, which no return of one game compares with")


def numbers(values: ArrayLike, source: str, name: str) -> NDArray[np.float64]:
    """A column as numbers, (n,). Raises Refused where one is not a number."""
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
