"""Tables of `schemas.TABLES`: read, check, concatenate, write.

`collect` is the stage that turns the records of a suite's cells into four tables. A record counts only if its
hash is that in its run.json, its columns are those of `records.SCHEMAS`, and its rows are of its own cell.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rlparity import records
from rlparity.analysis.columns.column import ARM, DTYPES
from rlparity.analysis.schemas import TABLES
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.metrics import RETURN
from rlparity.records import KEYS, SCHEMAS, write_bytes

ORDER = {  # columns that a table of records is sorted by; equal rows keep their order
    "episodes": [name for name, _ in KEYS],
    "evaluations": [*(name for name, _ in KEYS), "protocol", "episode"],
    "progress": [*(name for name, _ in KEYS), "metric"],
    "runs": [name for name, _ in KEYS[:4]],
}
STATUS = ("done", "failed", "unfinished")
SHIPPED = ("episodes.parquet", "evaluations.parquet")  # files of a cell in a report, beside run.json


def frame(name: str, rows: pd.DataFrame | Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table of `TABLES`, with its columns and dtypes. Raises KeyError for any other column."""
    table, columns = pd.DataFrame(rows), TABLES[name]
    if extra := set(table.columns) - set(columns):
        raise KeyError(f"{name} has no column {', '.join(sorted(extra))}")
    return table.reindex(columns=list(columns)).astype(
        {key: DTYPES[column.dtype][0] for key, column in columns.items()}
    )


def read(path: Path) -> pd.DataFrame:
    """Read `<table>.parquet` or `.csv`; what an older version wrote gets the columns of this one.

    Raises UserError where the file is missing, unreadable or another table.
    """
    columns = TABLES[path.stem]
    if not path.is_file():
        raise UserError(f"{path}: missing; run the stage that makes it")
    try:
        if path.suffix == ".csv":
            dtypes = {key: DTYPES[column.dtype][0] for key, column in columns.items()}
            table = _with_later(path.stem, _with_metric(path.stem, pd.read_csv(path, dtype=dtypes)))
        else:
            table = _current(path.stem, pq.read_table(path)).to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({_line(error)})") from None
    check(path, path.stem, table.columns)
    return table


def _current(kind: str, table: pa.Table) -> pa.Table:
    """A table of records of any format in the columns of today; one that is none comes back as it is."""
    try:
        return records.current(kind, table) if kind in SCHEMAS else table
    except KeyError:
        return table


def _with_metric(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A CSV with its column `metric`: one of a version without metrics is of returns."""
    columns = list(TABLES[name])
    if "metric" in columns and list(table) == [column for column in columns if column != "metric"]:
        table.insert(columns.index("metric"), "metric", RETURN.name)
    return table


def _with_later(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """A table of speeds with the columns that older versions did not know, empty."""
    later = [key for key, column in TABLES[name].items() if not column.required and key not in table]
    if name != "throughput" or set(table) | set(later) != set(TABLES[name]):
        return table
    return frame(name, table)


def check(path: Path, name: str, found: Iterable[str]) -> None:
    """Raise UserError unless the columns are those of the table, in order."""
    wanted, found = list(TABLES[name]), list(found)
    if found != wanted:
        raise UserError(f"{path}: not a table of {name}: its columns are {', '.join(found) or 'none'}")


def write_csv(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Write `<folder>/<name>.csv`, whole or not at all; the same table gives the same bytes."""
    check(folder / f"{name}.csv", name, table.columns)
    text = table.to_csv(index=False, float_format="%.10g", lineterminator="\n")
    write_bytes(folder / f"{name}.csv", text.encode())


def collect(
    cells: Sequence[Cell],
    results: Path,
    reports: Path,
    plan: Mapping[str, Any],
    places: Mapping[str, Path] | None = None,
) -> None:
    """Write the tables of all cells to `results/<suite>/tables/`, and their records to the report's folder.

    A failed cell has the rows up to its failure, and its reason in the table of runs. A cell restored from a
    report has no `progress.parquet`. `places` maps cell folders to where their records are instead.
    Raises UserError, naming the file, for records that are missing, damaged, of another cell, or of other
    code or settings than those of the suite.
    """
    tables, shipped = gather(cells, results, places)
    shelf = reports / plan["name"] / "records"
    into = results / plan["name"] / "tables"
    for kind, table in tables.items():
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        write_bytes(into / f"{kind}.parquet", sink.getvalue().to_pybytes())
    for name, content in shipped.items():
        path = shelf / name
        if not path.exists() or path.read_bytes() != content:
            write_bytes(path, content)
    text = json.dumps(plan, indent=1) + "\n"
    for folder in (into, reports / plan["name"]):
        write_bytes(folder / "plan.json", text.encode())


def gather(
    cells: Sequence[Cell], results: Path, places: Mapping[str, Path] | None = None
) -> tuple[dict[str, pa.Table], dict[Path, bytes]]:
    """The tables of records of all cells, sorted, and what a report ships of them, by its place there.

    As of `collect`, which writes them.
    """
    parts: dict[str, list[pa.Table]] = {kind: [schema.empty_table()] for kind, schema in SCHEMAS.items()}
    runs: list[dict[str, Any]] = []
    shipped: dict[Path, bytes] = {}
    for cell in cells:
        folder = (places or {}).get(str(cell.folder), results / cell.folder)
        run, own = read_run(folder, cell), Path(*cell.folder.parts[1:])
        for kind in SCHEMAS:
            file = folder / f"{kind}.parquet"
            if kind == "progress" and not file.exists():
                continue
            content = _verified(file, run)
            parts[kind].append(_records(file, content, cell))
            if file.name in SHIPPED:
                shipped[own / file.name] = content
        shipped[own / "run.json"] = (folder / "run.json").read_bytes()
        runs += _runs(cell, run)
    tables = {kind: pa.concat_tables(tables) for kind, tables in parts.items()}
    tables["runs"] = pa.Table.from_pylist(runs, schema=_schema("runs"))
    return {
        kind: table.sort_by([(key, "ascending") for key in ORDER[kind]]) for kind, table in tables.items()
    }, shipped


def read_run(folder: Path, cell: Cell) -> dict[str, Any]:
    """The cell's run.json. Raises UserError where it is missing, damaged or of another fingerprint."""
    file = folder / "run.json"
    if not file.is_file():
        raise UserError(f"{file}: missing; cell {cell.folder} has not been run to its end")
    try:
        run: dict[str, Any] = json.loads(file.read_bytes())
        made, hashes, status, accepted = run["fingerprint"], run["hashes"], run["status"], cell.made(run)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: not the record of a run ({_line(error)})") from None
    if not isinstance(hashes, dict) or status not in STATUS:
        raise UserError(
            f"{file}: not the record of a run (status is {status!r}, allowed are {', '.join(STATUS)})"
        )
    if not accepted:
        raise UserError(
            f"{file}: cell {cell.folder} was trained with fingerprint {made}, the suite now asks for "
            f"{cell.fingerprint}; train it again"
        )
    return run


def _verified(file: Path, run: Mapping[str, Any]) -> bytes:
    if not file.is_file():
        raise UserError(f"{file}: missing, though run.json beside it records a finished run; run again")
    content, again = file.read_bytes(), f"delete the folder {file.parent} and run again"
    expected = run["hashes"].get(file.name)
    if expected is None and file.name in SHIPPED:
        raise UserError(f"{file.parent / 'run.json'}: key hashes lacks {file.name}; {again}")
    if expected not in (None, hashlib.sha256(content).hexdigest()):
        raise UserError(f"{file}: truncated or changed since run.json was written; {again}")
    return content


def _records(file: Path, content: bytes, cell: Cell) -> pa.Table:
    try:
        table = _current(file.stem, pq.read_table(pa.BufferReader(content)))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{file}: not a Parquet file ({_line(error)})") from None
    if not table.schema.equals(SCHEMAS[file.stem]):
        found = ", ".join(f"{field.name} {field.type}" for field in table.schema)
        raise UserError(f"{file}: not a table of {file.stem}: its columns are {found or 'none'}")
    own = {name: {getattr(cell, name)} for name in ARM} | {"seed": set(cell.seeds)}
    for name, allowed in own.items():
        if foreign := set(pc.unique(table[name]).to_pylist()) - allowed:
            raise UserError(
                f"{file}: has rows of {name} {min(foreign, key=str)!r}, not of cell {cell.folder}"
            )
    return table


def _runs(cell: Cell, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each seed. In a failed cell that names no seed all of them failed."""
    reasons = {int(seed): str(reason) for seed, reason in run.get("failed_seeds", {}).items()}
    if run["status"] == "failed" and not reasons:
        reasons = dict.fromkeys(cell.seeds, str(run.get("reason", "the cell failed")))
    whole = {name: run.get(name) for name in TABLES["runs"] if name in run}
    whole |= {name: getattr(cell, name) for name in (*ARM, "budget", "n_envs")}
    git = run.get("git") or {}
    whole |= {"commit": git.get("commit"), "dirty": git.get("dirty")}
    whole |= {"seeds_in_cell": len(cell.seeds), "cell": str(cell.folder)}
    broken = "failed" if run["status"] == "done" else run["status"]
    status = {seed: broken if seed in reasons else "done" for seed in cell.seeds}
    return [
        {**whole, "seed": seed, "status": status[seed], "reason": reasons.get(seed)} for seed in cell.seeds
    ]


def _schema(name: str) -> pa.Schema:
    return pa.schema([(key, DTYPES[column.dtype][1]) for key, column in TABLES[name].items()])


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
