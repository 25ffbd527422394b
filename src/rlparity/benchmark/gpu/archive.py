"""The results of the blocks as one small archive, and back: rows of throughput.csv, records of cells, logs.

In the archive: `gpu.json`, what was run; `logs/<block>.log`, the end of what it printed;
`throughput/<block>.csv`; and below `<suite>/records/`, as in a report, the records of finished cells.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from rlparity.suites.costs import splits

FORMAT = 1
MANIFEST = "gpu.json"
LOG_BYTES = 2**16  # of the end of each log
LARGEST, MOST = 2**30, 100_000  # bytes of all files, and their number
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
        loaded = splits.load(asked, {"device": manifest["device"]}, True, reports, results)
        if loaded.name != manifest["suite"]:
            raise UserError(f"{path}: has records of the suite {manifest['suite']!r}; name it with --suite")
        rows = list[dict[str, Any]]()
        for file in sorted((folder / "throughput").glob("*.csv")):
            commit = _commit(manifest, file.stem)
            rows += [{**row, "commit": row["commit"] or commit} for row in _rows(path, file)]
        lines = [*manifest["about"], f"{len(rows)} rows of {blocks.TABLE.name}"]
        if rows:
            table.save(reports / blocks.TABLE, rows)
        about = {name: manifest.get(name) for name in ("rlparity", "device", "facts", "blocks")}
        write_bytes(reports / "benchmark" / MANIFEST, (json.dumps(about, indent=1) + "\n").encode())
        splits.keep(loaded, results)
        restored = str(restore.restore(loaded, results, folder)).replace(f"{folder}/", "")
        return Taken(manifest["device"], len(rows), [*lines, *restored.splitlines()])


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """A folder with the files of the archive; nothing is written outside of it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
                for member in _checked(path, archive):
                    _extract(archive, member, Path(folder, member.name))
                _read_to_the_end(stream)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except OSError as error:
            if error.errno is not None:
                raise not_written(error, f"{path}: cannot be unpacked ({error.strerror})") from None
            raise _no_archive(path, error) from None
        except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError) as error:
            raise _no_archive(path, error) from None
        yield Path(folder)


def _checked(path: Path, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """The members, which are files with plain names, few and not large: a stranger may have packed them.

    Raises UserError for others.
    """
    total = 0
    for number, member in enumerate(archive, start=1):
        name, parts = member.name, set(member.name.split("/"))
        if not member.isreg() or member.size < 0 or {"", ".", ".."} & parts or not name.isprintable():
            raise UserError(f"{path}: not taken: {name!r:.100} is not a file with a plain name")
        total += member.size
        if total > LARGEST or number > MOST:
            limit = f"{MOST:,} files or {LARGEST // 2**20:,} MiB"
            raise UserError(f"{path}: unpacked it has more than {limit}; not taken")
        yield member


def _read_to_the_end(stream: gzip.GzipFile) -> None:
    """Behind the last member is the checksum, which nobody else reads. Raises an error if it does not fit."""
    if any(len(part) and stream.tell() > 2 * LARGEST for part in iter(lambda: stream.read(2**20), b"")):
        raise EOFError("there is too much behind the last file")


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    into.parent.mkdir(parents=True, exist_ok=True)
    content = archive.extractfile(member)
    assert content is not None  # it is a file
    with content, into.open("wb") as file:
        shutil.copyfileobj(content, file)


def _no_archive(path: Path, error: Exception, where: str = "") -> UserError:
    return UserError(f"{path}: not an archive of rlparity dev gpu ({where}{_line(error)})")


def _manifest(path: Path, folder: Path) -> dict[str, Any]:
    """`gpu.json`. Raises UserError where it is missing, damaged or of another format."""
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            advice = f"take it with rlparity {found.get('rlparity')!s:.20}, which wrote it"
            its = f"{found['format']!r:.20}"
            raise UserError(f"{path}: an archive of format {its}, expected {FORMAT}; {advice}")
        if not (isinstance(found["blocks"], dict) and found["device"] in ("cpu", "cuda")):
            raise ValueError("its blocks or its device are not known")
        return {**found, "about": _described(found), "suite": str(found["suite"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_archive(path, error, f"{MANIFEST}: ") from None


def _rows(path: Path, file: Path) -> list[dict[str, Any]]:
    """The rows of a table of the archive. Raises UserError where it is no throughput.csv."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened, strict=True))
        for row in rows:
            table.check(row)
    except (OSError, ValueError, TypeError, RecursionError, csv.Error) as error:
        raise UserError(f"{path}: throughput/{file.name} is no table of speeds ({_line(error)})") from None
    blank = {**dict.fromkeys(table.COLUMNS, ""), "settings": plan.TUNED}
    return [{**blank, **row} for row in rows]


def _commit(manifest: Mapping[str, Any], block: str) -> str:
    """The commit of rows that were measured where there was no checkout of git: that of this one if it has
    no changes and the sources that the block ran, else unknown."""
    here, order = host.git(), manifest["blocks"].get(block, {}).get("order")
    same = isinstance(order, dict) and order.get("sources") == blocks.sources() and here["dirty"] is False
    return (here["commit"] or "") if same else ""


def _described(manifest: Mapping[str, Any]) -> list[str]:
    """A line about the machine, and one about the blocks. Raises KeyError, TypeError, AttributeError."""
    facts, ran = manifest.get("facts") or {}, manifest["blocks"]
    gpu, rates = facts.get("gpu"), facts.get("product_tflops") or {}
    where = f"{gpu['name']}, {gpu['memory_bytes'] / 2**30:.0f} GiB" if gpu else manifest["device"]
    speeds = ", ".join(f"{name} {rate:g} TFLOP/s" for name, rate in sorted(rates.items()))
    outcomes = ", ".join(f"{name} {one['outcome']}" for name, one in ran.items())
    lines = [": ".join(filter(None, [where, speeds])), f"blocks: {outcomes or 'none'}"]
    if not all(line.isprintable() for line in lines):
        raise ValueError("a name has characters that cannot be printed")
    return lines


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
