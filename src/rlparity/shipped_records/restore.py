"""Takes over records that the reports carry, so that nobody trains twice what somebody has trained."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rlparity import project_files, records
from rlparity.cell import Cell
from rlparity.errors import StorageError
from rlparity.provenance import fingerprint, host
from rlparity.runs import pending, regrouping
from rlparity.suites import growth
from rlparity.suites.suite import Suite

POLICY = "policy.pt"  # which a report may carry, see `playback.shipped_policy`
SHAPE = (  # of run.json
    *((name, dict) for name in ("cell", "hashes", "versions", "hardware", "definitions", "files")),
    ("vouched", list),
)


class Shipped(NamedTuple):
    """Records of one cell, as a report carries them."""

    folder: Path
    run: Mapping[str, Any]  # run.json
    report: str = ""  # the suite whose report it is in

    @property
    def who(self) -> tuple[Any, ...]:
        return who(self.run.get("cell", {}))

    def is_of(self, suite: str) -> bool:
        """Whether it was trained for this suite, or is in its report."""
        return suite in (self.report, self.run.get("cell", {}).get("suite"))

    def damaged(self) -> str | None:
        """The name of a file that is not the one whose hash run.json has."""
        return regrouping.damaged(self.folder, self.run)


class Restored(NamedTuple):
    """What `restore` has done."""

    lines: list[str]  # about cells, and notes
    counts: dict[str, int]  # of cells, by what became of them

    def __str__(self) -> str:
        summary = ", ".join(f"{number} {what}" for what, number in self.counts.items())
        return "\n".join([*self.lines, summary])


def restore(suite: Suite, results: Path, reports: Path) -> Restored:
    """Copy every shipped record that a cell of the suite asks for.

    Seeds of our own agents are also taken from the records of other blocks. Cells whose records are in
    `results` already are left alone. Where seeds grow, cells that no look has asked for yet are restored if
    they are shipped, and else left out.
    """
    asked = {str(cell.folder) for cell in growth.reached(suite, results)}
    catalogue, folders, taken = shipped(reports, suite.name), list[Path](), list[Shipped]()
    lines, counts = [], {"restored": 0, "there already": 0, "stale": 0, "not shipped": 0}
    for cell in suite.cells:
        name = str(cell.folder)
        if pending.up_to_date(cell, results / cell.folder):
            counts["there already"] += 1
            continue
        origins, reason = fill(cell, catalogue, suite.parts(cell), results / cell.folder)
        if origins:
            taken += origins
            folders.append(results / cell.folder)
            counts["restored"] += 1
            lines.append(f"restored {name} from {', '.join(str(one.folder) for one in origins)}")
        elif name not in asked:
            continue
        elif reason is None:
            counts["not shipped"] += 1
        else:
            counts["stale"] += 1
            lines.append(f"stale    {name}: {reason}")
    asked |= {str(folder.relative_to(results)) for folder in folders}
    pending.update([cell for cell in suite.cells if str(cell.folder) in asked], results)
    unmark(suite, folders)
    return Restored([*lines, *_made_elsewhere(taken)], counts)


def _made_elsewhere(taken: Sequence[Shipped]) -> list[str]:
    """A note for every kind of machine that rounds in another way than this one, or that is not known to."""
    here = host.rounding(host.hardware()) if taken else ""
    machines = [one.run.get("hardware") or {} for one in taken]
    made = Counter(str(machine.get("cpu")) for machine in machines if host.rounding(machine) != here)
    return [
        f"note     {number} of them made on {cpu}, with other or unknown instructions, kernel or variables; "
        "trained here they may differ in the last bits"
        for cpu, number in sorted(made.items())
    ]


def unmark(suite: Suite, folders: Sequence[Path]) -> None:
    """Tell Snakemake that records of a training that was killed are whole now; else it trains them again."""
    marked = Path(".snakemake", "incomplete")
    files = [str(folder / name) for folder in folders for name in pending.OUTPUTS]
    if files and suite.path is not None and marked.is_dir() and any(marked.iterdir()):
        command = [sys.executable, "-P", "-m", "snakemake", "--snakefile", str(project_files.SNAKEFILE)]
        command += ["--configfile", str(suite.path), "--cleanup-metadata", *files]
        subprocess.run(command, capture_output=True, check=False)


def shipped(reports: Path, suite: str = "") -> list[Shipped]:
    """All finished records that may be taken over: those of `reports`, then those that came with the project,
    of each those of the report of `suite` first.

    A file that is no run.json is left out.
    """
    return [one for folder in project_files.reports(reports) for one in in_reports(folder, suite)]


def in_reports(reports: Path, suite: str = "") -> list[Shipped]:
    """Those of one folder of reports."""
    found = []
    own = reports / suite
    paths = reports.glob("*/records/**/run.json")
    for path in sorted(paths, key=lambda path: (own not in path.parents, path)):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            continue
        if _is_record(run) and run.get("status") != "unfinished":
            found.append(Shipped(path.parent, run, path.relative_to(reports).parts[0]))
    return found


def _is_record(run: Any) -> bool:
    """Whether JSON has the shape of a run.json, as far as a record is chosen by it."""
    if not isinstance(run, dict) or not all(isinstance(run.get(key, kind()), kind) for key, kind in SHAPE):
        return False
    seeds = run.get("cell", {}).get("seeds", [])
    whole = isinstance(seeds, list) and all(type(seed) is int for seed in seeds)
    return whole and all(isinstance(entry, dict) for entry in run.get("vouched", ()))


def fill(
    cell: Cell, catalogue: Iterable[Shipped], parts: Mapping[str, Any], folder: Path, others: bool = False
) -> tuple[list[Shipped], str | None]:
    """Write the records of a cell from its own shipped record, else from those of other blocks.

    Returns what they are from. If that is nothing, there is a reason where a record of the same name is
    stale. `others`: as of `choose`.
    """
    source, reason = choose(cell, catalogue, parts, others)
    if source is not None:
        take(source, folder)
        return [source], None
    blocks = regrouping.sources(cell, ((one.folder, one.run) for one in catalogue))
    if blocks:
        try:
            regrouping.write(cell, folder, blocks)
        except OSError as error:
            raise StorageError(f"{folder}: cannot be restored: {error.strerror}") from None
    return [Shipped(*block) for block in blocks], reason


def choose(
    cell: Cell, catalogue: Iterable[Shipped], parts: Mapping[str, Any], others: bool = False
) -> tuple[Shipped | None, str | None]:
    """The record that a cell may take over, else why those of the same name may not; neither if none is.

    A record of another suite with other settings is not stale, but another cell's: it is a reason only with
    `others`. One that its own fingerprint made comes before one that was vouched for.
    """
    mine = who(json.loads(cell.to_json()))
    reasons: list[list[str]] = []
    for candidate in sorted(catalogue, key=lambda one: one.run.get("fingerprint") != cell.fingerprint):
        if cell.accepts(candidate.run):
            damaged = candidate.damaged()
            if damaged is None:
                return candidate, None
            reasons.append([f"{candidate.folder / damaged} is not the file whose hash run.json has"])
        elif candidate.who == mine and (
            others or candidate.is_of(cell.suite) or not fingerprint.other_settings(cell, candidate.run)
        ):
            reasons.append(fingerprint.differences(cell, parts, candidate.run))
    shortest = min(reasons, key=len, default=[])
    return None, "; ".join(shortest) or None


def take(source: Shipped, folder: Path) -> None:
    """Copy records: to temporary names first, then renamed, run.json last. Progress is not shipped."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".restore.{uuid.uuid4().hex}"
    try:
        shutil.copytree(source.folder, temporary, copy_function=shutil.copyfile)
        records.write(temporary, "progress", [])
        (folder / "run.json").unlink(missing_ok=True)
        (folder / POLICY).unlink(missing_ok=True)
        for name in (*([POLICY] if (temporary / POLICY).is_file() else []), *pending.OUTPUTS):
            (temporary / name).replace(folder / name)  # run.json is the last of them
    except OSError as error:
        raise StorageError(f"{folder}: cannot be restored: {error.strerror}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def who(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes records those of the same cell, up to date or not."""
    names = ("environment", "implementation", "algorithm")
    return (*(cell.get(name) for name in names), *cell.get("seeds", ()))
