"""What travels between rooms: one step of the worlds, and the rows a run leaves behind."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from torch import Tensor


class Step(NamedTuple):
    """One step of S x N worlds, or B sampled transitions per seed (N is then B)."""

    obs: Tensor  # (S, N, *obs)
    action: Tensor  # (S, N) integers, or (S, N, *action)
    reward: Tensor  # (S, N)
    discount: Tensor  # (S, N) 0 where the task truly ended, else 1; a time limit does not end a task
    last: Tensor  # (S, N) 1 where the episode stopped here, for either reason
    next_obs: Tensor  # (S, N, *obs) the true successor, never the observation after a reset


class Episode(NamedTuple):
    """A whole game, as the environment's own books have it."""

    seed_index: int  # row of the seed axis
    world: int  # which of the seed's worlds
    env_step: int  # environment steps of that seed when the game ended
    episode_return: float  # sum of raw rewards
    episode_length: int  # environment steps


KEYS = [
    ("implementation", pa.string()),
    ("algorithm", pa.string()),
    ("environment", pa.string()),
    ("seed", pa.int64()),
    ("env_step", pa.int64()),
]
SCHEMAS = {
    "episodes": pa.schema([*KEYS, ("episode_return", pa.float64()), ("episode_length", pa.int64())]),
    "evaluations": pa.schema(
        [
            *KEYS,
            ("episode", pa.int64()),
            ("protocol", pa.string()),  # a mode of `rlparity.cell.Protocol`
            ("episode_return", pa.float64()),
            ("episode_length", pa.int64()),
        ]
    ),
    "progress": pa.schema(
        [*KEYS, ("wall_time_s", pa.float64()), ("metric", pa.string()), ("value", pa.float64())]
    ),
}


def write(folder: Path, kind: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of one kind of `SCHEMAS` as Parquet: to a temporary name first, then renamed."""
    table = pa.Table.from_pylist(list(rows), schema=SCHEMAS[kind])
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(folder / f"{kind}.parquet", sink.getvalue().to_pybytes())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that is either wholly there or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
