"""CSV and Parquet files with any columns, and a mapping from our columns to theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rlparity.log_readers.formats import layouts, text
from rlparity.log_readers.series import EVALUATION, TRAINING, Reading, Refused, Series, numbers

NEEDED = ("env_step", "episode_return")
OPTIONAL = ("episode_length", "seed", "environment", "algorithm")


def read(paths: Sequence[Path], reading: Reading) -> tuple[list[Series], list[str]]:
    """Read a run for each seed and environment of a file; without such columns, the file is one run. Names
    the files that cannot be read, if others can."""
    found: list[Series] = []
    problems: list[str] = []
    for path in paths:
        try:
            found += _file(path, reading)
        except Refused as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"{path}: cannot be read ({error.strerror})")
    if not found:
        raise Refused("; ".join(problems))
    return found, problems


def measure(reading: Reading) -> str:
    """What a table contains, TRAINING or EVALUATION."""
    return reading.measure or TRAINING


@dataclass(frozen=True)
class _Columns:
    """A file by columns, however it was stored."""

    source: str
    names: list[str]
    stored: text.Table | pa.Table
    notes: tuple[str, ...] = ()

    def texts(self, name: str) -> list[str]:
        """A column as text; empty where a value is missing."""
        if isinstance(self.stored, text.Table):
            place = self.names.index(name)
            return [row[place] for row in self.stored.rows]
        return ["" if value is None else str(value) for value in self.stored[name].to_pylist()]

    def numbers(self, name: str) -> text.Column:
        if isinstance(self.stored, text.Table):
            return text.column(self.stored, name)
        column = self.stored[name]
        blank = np.asarray(column.is_null().to_numpy(), dtype=bool)
        if pa.types.is_nested(column.type) or pa.types.is_dictionary(column.type):
            raise Refused(f"{self.source}: column {name} is of type {column.type}, not of numbers")
        values = [np.nan if value is None else value for value in column.to_pylist()]
        return text.Column(numbers(np.asarray(values), self.source, name), blank)

    def where(self, row: int) -> str:
        """A row by its place in the file."""
        return f"line {self.stored.lines[row]}" if isinstance(self.stored, text.Table) else f"row {row + 1}"


def _file(path: Path, reading: Reading) -> list[Series]:
    names = {ours: reading.columns.get(ours, ours) for ours in (*NEEDED, *OPTIONAL)}
    table = _load(path, list(names.values()))
    needed = {ours for ours in names if ours in NEEDED or ours in reading.columns}
    if missing := sorted(names[ours] for ours in needed if names[ours] not in table.names):
        there = ", ".join(name or "''" for name in table.names[:30])
        hint = layouts.describe(table.names) or "name yours with `columns`"
        raise Refused(f"{path}: no column {', '.join(missing)}; there are {there} ({hint})")
    layouts.refuse_means(
        names["episode_return"], f"{path}, column {names['episode_return']}", reading.measure
    )
    if names["algorithm"] in table.names:
        several = sorted(set(table.texts(names["algorithm"])))
        if len(several) > 1:
            raise Refused(f"{path}: rows of several algorithms ({', '.join(several[:5])}); split it")
    series = _rows(path, table, names, reading)
    return list(_groups(path, table, names, series))


def _rows(
    path: Path, table: _Columns, names: dict[str, str], reading: Reading
) -> tuple[Series, NDArray[Any]]:
    """All rows of the file that have a return, and which those are."""
    step, returns = (table.numbers(names[ours]) for ours in NEEDED)
    notes = list(table.notes) + (
        [] if reading.measure else [f"assumed to be returns in {TRAINING}, not in {EVALUATION}"]
    )
    if "episode_length" not in reading.columns and names["episode_length"] not in table.names:
        notes.append("lengths of episodes are not logged, recorded as 0")
        length = text.Column(np.zeros(len(step.values)), np.zeros(len(step.values), dtype=bool))
    else:
        length = table.numbers(names["episode_length"])
    kept = ~returns.blank
    early = np.cumsum(np.isfinite(returns.values)) == 0
    if returns.blank.any():
        notes.append(f"{returns.blank.sum()} rows without {names['episode_return']} are no rows")
    if (before := kept & early & np.isnan(returns.values)).any() and not early.all():
        notes.append(f"{before.sum()} rows from before the first episode ended are no rows")
        kept &= ~before
    _numbers(path, table, kept, {names["env_step"]: step, names["episode_return"]: returns})
    lengths = np.where(np.isfinite(length.values), length.values, 0.0)
    columns = (step.values, returns.values, lengths)
    return Series(str(path), measure(reading), *columns, notes=tuple(notes), files=(path,)), np.flatnonzero(
        kept
    )


def _numbers(path: Path, table: _Columns, kept: NDArray[Any], columns: dict[str, text.Column]) -> None:
    """Raise Refused if a row that has a return lacks a number."""
    for name, column in columns.items():
        if len(wrong := np.flatnonzero(kept & ~np.isfinite(column.values))):
            i = wrong[0]
            what = "blank" if column.blank[i] else f"{column.values[i]}"
            raise Refused(f"{path}: {table.where(i)}: {name} is {what}")


def _groups(
    path: Path, table: _Columns, names: dict[str, str], read: tuple[Series, NDArray[Any]]
) -> Iterator[Series]:
    """The rows of each seed in each environment."""
    series, kept = read
    places = np.array(table.texts(names["environment"]) if names["environment"] in table.names else [])
    seeds = _seeds(path, table, names["seed"], kept) if names["seed"] in table.names else None
    for place in dict.fromkeys(places[kept].tolist()) if len(places) else [None]:
        here = kept if place is None else kept[places[kept] == place]
        named = series._replace(environment=place or None)
        if seeds is None:
            yield named.take(here)
            continue
        for seed in map(int, dict.fromkeys(seeds[here].tolist())):
            yield named._replace(source=f"{path}, seed {seed}", seed=seed).take(here[seeds[here] == seed])


def _seeds(path: Path, table: _Columns, name: str, kept: NDArray[Any]) -> NDArray[np.float64]:
    seeds = table.numbers(name).values
    here = seeds[kept]
    if not (np.isfinite(here) & (here >= 0) & (here == np.floor(here)) & (here < 2**53)).all():
        raise Refused(f"{path}: column {name} contains a value that is not a seed, a whole number from 0")
    return seeds


def _load(path: Path, used: Sequence[str]) -> _Columns:
    if path.suffix != ".parquet":
        found = text.table(str(path), text.lines(path))
        found = text.complete(found, [name for name in used if name in found.names])
        return _Columns(str(path), found.names, found, found.notes)
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Refused(f"{path}: not a table ({reason[:120]})") from None
    names = table.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Refused(f"{path}: column {twice[0]!r} is there twice")
    return _Columns(str(path), names, table)
