"""The results of the blocks as one small archive, and back: rows of throughput.csv, records of cells, logs.

In the archive: `gpu.json`, what was run; `logs/<block>.log`, the end of what it printed;
`throughput/<block>.csv`; and below `<suite>/records/`, as in a report, the records of finished cells.
"""

from __future__ import annotations

import csv
import io
import json
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import rlparity
from rlparity.benchmark import plan, table
from rlparity.benchmark.gpu import blocks
from rlparity.errors import UserError, not_written
from rlparity.provenance import host
from rlparity.records import write_bytes
from rlparity.runs import pending
from rlparity.shipped_records import restore
from rlparity.suites import suite

FORMAT = 1
MANIFEST = "gpu.json"
LOG_BYTES = 2**16  # of the end of each log
LARGEST = 2**30  # bytes of all files
SHIPPED = ("episodes.parquet", "evaluations.parquet", "run.json")  # of a cell


def write(work: Path, path: Path, about: Mapping[str, Any]) -> None:
    """Pack what the work folder holds; `about`: "suite", its name, "device", "sources" and "blocks"."""
    manifest = {"format": FORMAT, "rlparity": rlparity.__version__, **about, "facts": _facts(work)}
    files = {MANIFEST: json.dumps(manifest, indent=1).encode()}
    for log in sorted((work / "logs").glob("*.log")):
        files[f"logs/{log.name}"] = log.read_bytes()[-LOG_BYTES:]
    for rows in sorted(work.glob(f"*/{blocks.TABLE}")):
        files[f"throughput/{rows.parents[1].name}.csv"] = rows.read_bytes()
    trained = work / blocks.RESULTS / about["suite"]
    for run in sorted(trained.glob("*/*/*/*/run.json")):
        if pending.finished(run.parent) is not None:
            place = f"{about['suite']}/records/{run.parent.relative_to(trained).as_posix()}"
            files |= {f"{place}/{name}": (run.parent / name).read_bytes() for name in SHIPPED}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    write_bytes(path, packed.getvalue())


def _facts(work: Path) -> Any:
    """What the block `facts` found; None if it has not run."""
    try:
        return json.loads((work / blocks.FACTS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


class Taken(NamedTuple):
    """What came of an archive."""

    device: str
    rows: int  # of throughput.csv
    lines: list[str]  # what was taken, to be printed


def take(path: Path, asked: Path, results: Path, reports: Path) -> Taken:
    """Add the rows of an archive to `reports`/benchmark, and its records of the suite in the file `asked` to
    `results`, where cells do not have theirs.

    Raises UserError for a file that is no such archive, one of another format, and one of another suite.
    """
    with _unpacked(path) as folder:
        manifest = _manifest(path, folder)
        loaded = suite.load(asked, {"device": manifest["device"]}, elsewhere=True)
        if loaded.name != manifest["suite"]:
            raise UserError(f"{path}: has records of the suite {manifest['suite']!r}; name it with --suite")
        rows = [row for file in sorted((folder / "throughput").glob("*.csv")) for row in _rows(path, file)]
        commit = _commit(manifest)
        rows = [{**row, "commit": row["commit"] or commit} for row in rows]
        lines = [*manifest["about"], f"{len(rows)} rows of {blocks.TABLE.name}"]
        if rows:
            table.save(reports / blocks.TABLE, rows)
        about = {name: manifest.get(name) for name in ("rlparity", "device", "facts", "blocks")}
        write_bytes(reports / "benchmark" / MANIFEST, (json.dumps(about, indent=1) + "\n").encode())
        restored = restore.restore(loaded, results, folder).replace(f"{folder}/", "")
        return Taken(manifest["device"], len(rows), [*lines, *restored.splitlines()])


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """A folder with the files of the archive; nothing is written outside of it."""
    if not hasattr(tarfile, "data_filter"):
        raise UserError("gpu: --take unpacks files of others safely with Python 3.11.4 or newer")
    with tempfile.TemporaryDirectory() as folder:
        try:
            with tarfile.open(path, "r:gz") as archive:
                if any(total > LARGEST for total in accumulate(member.size for member in archive)):
                    raise UserError(f"{path}: unpacked it has more than {LARGEST // 2**20:,} MiB; not taken")
                archive.extractall(folder, filter="data")
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except tarfile.FilterError as error:
            raise UserError(f"{path}: not taken: {error}") from None
        except OSError as error:
            if error.errno is not None:
                raise not_written(error, f"{path}: cannot be unpacked ({error.strerror})") from None
            raise UserError(f"{path}: not an archive of rlparity gpu ({_line(error)})") from None
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: not an archive of rlparity gpu ({_line(error)})") from None
        yield Path(folder)


def _manifest(path: Path, folder: Path) -> dict[str, Any]:
    """`gpu.json`. Raises UserError where it is missing, damaged or of another format."""
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            advice = f"take it with rlparity {found.get('rlparity')}, which wrote it"
            raise UserError(f"{path}: an archive of format {found['format']!r}, expected {FORMAT}; {advice}")
        if not (isinstance(found["blocks"], dict) and found["device"] in ("cpu", "cuda")):
            raise ValueError("its blocks or its device are not known")
        return {**found, "about": _described(found), "suite": str(found["suite"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not an archive of rlparity gpu ({MANIFEST}: {_line(error)})") from None


def _rows(path: Path, file: Path) -> list[dict[str, Any]]:
    """The rows of a table of the archive. Raises UserError where it is no throughput.csv."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened, strict=True))
        for row in rows:
            if set(row) - set(table.COLUMNS) or not set(table.KEY) <= set(row):
                raise ValueError(f"its columns are {', '.join(map(str, row))}")
            if not (int(row["seeds"]) > 0 and float(row["steps_per_second"]) > 0):
                raise ValueError("a number of seeds or a speed is not above 0")
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path}: throughput/{file.name} is no table of speeds ({_line(error)})") from None
    blank = {**dict.fromkeys(table.COLUMNS, ""), "settings": plan.TUNED}
    return [{**blank, **row} for row in rows]


def _commit(manifest: Mapping[str, Any]) -> str:
    """The commit of rows that were measured where there was no checkout of git: that of this one if it has
    no changes and the same sources, else unknown."""
    here = host.git()
    same = manifest.get("sources") == blocks.sources() and here["dirty"] is False
    return (here["commit"] or "") if same else ""


def _described(manifest: Mapping[str, Any]) -> list[str]:
    """A line about the machine, and one about the blocks. Raises KeyError, TypeError, AttributeError."""
    facts, ran = manifest.get("facts") or {}, manifest["blocks"]
    gpu, rates = facts.get("gpu"), facts.get("product_tflops") or {}
    where = f"{gpu['name']}, {gpu['memory_bytes'] / 2**30:.0f} GiB" if gpu else manifest["device"]
    speeds = ", ".join(f"{name} {rate:g} TFLOP/s" for name, rate in sorted(rates.items()))
    outcomes = ", ".join(f"{name} {one['outcome']}" for name, one in ran.items())
    return [": ".join(filter(None, [where, speeds])), f"blocks: {outcomes or 'none'}"]


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
