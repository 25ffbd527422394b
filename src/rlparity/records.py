"""The files that a run leaves behind: columns, and writing them whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rlparity.metrics import RETURN

FORMAT = 2  # in run.json; in format 1 evaluations have episode_return and episode_length
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
            ("metric", pa.string()),  # name of a `rlparity.metrics.Metric`
            ("value", pa.float64()),
            ("size", pa.int64()),  # environment steps of the episode, or examples that were measured
        ]
    ),
    "progress": pa.schema(
        [*KEYS, ("wall_time_s", pa.float64()), ("metric", pa.string()), ("value", pa.float64())]
    ),
}


def current(kind: str, table: pa.Table) -> pa.Table:
    """A table of records of any format in the columns of `SCHEMAS`, whose order it gets if it has no others.

    In format 1 every evaluation measured the return of one episode.
    """
    if kind == "evaluations" and "metric" not in table.column_names:
        names = {"episode_return": "value", "episode_length": "size"}
        table = table.rename_columns([names.get(name, name) for name in table.column_names])
        table = table.append_column("metric", pa.array([RETURN.name] * len(table), pa.string()))
    names = SCHEMAS[kind].names
    return table.select(names) if set(table.column_names) == set(names) else table


def write(folder: Path, kind: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of one kind of `SCHEMAS` as Parquet: to a temporary name first, then renamed."""
    write_table(folder, kind, pa.Table.from_pylist(list(rows), schema=SCHEMAS[kind]))


def write_table(folder: Path, kind: str, table: pa.Table, name: str = "") -> None:
    """As `write`, of a table with the schema of `SCHEMAS`; the file is called `name`, else as its kind."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(folder / f"{name or kind}.parquet", sink.getvalue().to_pybytes())


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
