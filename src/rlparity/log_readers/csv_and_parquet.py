"""CSV and Parquet files with any columns, and a mapping from our columns to theirs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from rlparity.log_readers.series import (
    EVALUATION,
    TRAINING,
    Reading,
    Refused,
    Series,
    numbers,
    refuse_running_means,
)

NEEDED = ("env_step", "episode_return")
OPTIONAL = ("episode_length", "seed", "environment", "algorithm")


def read(paths: Sequence[Path], reading: Reading) -> list[Series]:
    """Read a run for each seed of a file; without a column of seeds, the file is one run."""
    return [series for path in paths for series in _file(path, reading)]


def measure(reading: Reading) -> str:
    """What a table contains, TRAINING or EVALUATION."""
    return reading.measure or TRAINING


def _file(path: Path, reading: Reading) -> list[Series]:
    table = _load(path)
    names = {ours: reading.columns.get(ours, ours) for ours in (*NEEDED, *OPTIONAL)}
    needed = {ours for ours in names if ours in NEEDED or ours in reading.columns}
    if missing := sorted(names[ours] for ours in needed if names[ours] not in table.column_names):
        there = ", ".join(table.column_names)
        raise Refused(
            f"{path}: no column {', '.join(missing)}; there are {there} (name yours with `columns`)"
        )
    refuse_running_means(names["episode_return"], f"{path}, column {names['episode_return']}")
    for ours in ("environment", "algorithm"):
        if names[ours] in table.column_names and len(found := _values(table, names[ours])) > 1:
            raise Refused(f"{path}: rows of several {ours}s ({', '.join(found)}); split it")
    environment = (
        _values(table, names["environment"])[0] if names["environment"] in table.column_names else None
    )
    if names["seed"] not in table.column_names:
        return [_series(str(path), table, names, None, environment, reading)]
    seeds = numbers(table[names["seed"]].to_numpy(), str(path), "seed")
    if not (np.isfinite(seeds) & (seeds >= 0) & (seeds == np.floor(seeds))).all():
        raise Refused(
            f"{path}: column {names['seed']} contains a value that is not a seed, a whole number from 0"
        )
    return [
        _series(
            f"{path}, seed {seed}", table.filter(pa.array(seeds == seed)), names, seed, environment, reading
        )
        for seed in map(int, dict.fromkeys(seeds.tolist()))
    ]


def _series(
    source: str,
    table: pa.Table,
    names: dict[str, str],
    seed: int | None,
    environment: str | None,
    reading: Reading,
) -> Series:
    there = {
        ours: numbers(table[theirs].to_numpy(), source, theirs)
        for ours, theirs in names.items()
        if ours in (*NEEDED, "episode_length") and theirs in table.column_names
    }
    notes = [] if reading.measure else [f"assumed to be returns in {TRAINING}, not in {EVALUATION}"]
    if "episode_length" not in there:
        notes.append("lengths of episodes are not logged, recorded as 0")
    length = there.get("episode_length", np.zeros(table.num_rows))
    columns = (there["env_step"], there["episode_return"], length)
    return Series(source, measure(reading), *columns, seed, environment, notes=tuple(notes))


def _values(table: pa.Table, name: str) -> list[str]:
    return sorted(str(value) for value in pc.unique(table[name]).to_pylist())


def _load(path: Path) -> pa.Table:
    try:
        return pq.read_table(path) if path.suffix == ".parquet" else pyarrow.csv.read_csv(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Refused(f"{path}: not a table ({reason[:120]})") from None
