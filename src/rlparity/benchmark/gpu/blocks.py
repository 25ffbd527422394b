"""The blocks: what each runs, for how long at most, and on what its outcome depends.

Limits are guesses for an H200 with 16 cores until one has run this. Their sum is below `MINUTES`.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rlparity import project_files
from rlparity.arms import OURS
from rlparity.cell import Cell, path_name
from rlparity.provenance import host, source_code
from rlparity.runs import pending
from rlparity.suites import splitting, suite
from rlparity.suites.suite import Suite

MINUTES = 9
SIZES = (1, 10, 50)  # seeds trained at once
BENCHES = {  # algorithm, environment, sizes (empty: all), seconds
    "ppo": ("ppo", "CartPole-v1", (), 65),
    "dqn": ("dqn", "CartPole-v1", (), 55),
    "sac": ("sac", "HalfCheetah-v5", (), 55),
    "td3": ("td3", "HalfCheetah-v5", (), 50),
    "pong": ("ppo", "ALE/Pong-v5@nature", (1,), 45),
}
FACTS_S, TESTS_S, CELLS_S = 20, 60, 44
MOST_AT_ONCE, CELL_GIB = 8, 4  # cells on one GPU, and memory of it for each
FACTS, TABLE, RESULTS = Path("facts", "facts.json"), Path("benchmark", "throughput.csv"), Path("results")
TESTS = project_files.PROJECT / "tests"  # which a wheel does not have
Command = list[str]


class Options(NamedTuple):
    """What the command line asks for."""

    device: str  # cuda or cpu
    sizes: Sequence[int]
    budget: int | None  # environment steps per seed of every measurement; None: those of `rlparity bench`
    suite: Path


@dataclass(frozen=True)
class Block:
    """A part of the script, run by a process of its own."""

    name: str
    limit_s: float
    order: Mapping[str, Any]  # all that its outcome depends on, as JSON has it
    command: Callable[[Path], Command | None]  # given the work folder; None: nothing is left to do
    takes_spare: bool = False  # gets the time that blocks before it left over


class Plan(NamedTuple):
    """All blocks, in the order in which they are run."""

    blocks: list[Block]
    about: dict[str, str]  # suite, its name; device; sources, their hash


def plan(options: Options) -> Plan:
    """What is to be run. Raises UserError for a bad suite."""
    loaded = suite.load(options.suite, {"device": options.device}, elsewhere=True)
    python, device = [sys.executable, "-m"], options.device
    common = {"device": device, "sources": sources()}
    facts = [*python, "rlparity", "dev", "gpu", "--device", device, "--facts"]
    chosen = "cuda" if device == "cuda" else "not cuda"
    tests = [*python, "pytest", str(TESTS / "cuda"), "-m", chosen]
    tests += ["-rfEs", "--durations=10", "-p", "no:cacheprovider"]
    found = [
        Block("facts", FACTS_S, common, lambda work: [*facts, str(work / FACTS)]),
        *([Block("tests", TESTS_S, common, lambda work: tests)] if TESTS.is_dir() else []),
        *(_bench(name, options, common) for name in BENCHES),
        *_cells(loaded, options),
    ]
    return Plan(found, {"suite": loaded.name, **common})


def sources() -> str:
    """A hash of the sources that all blocks run, 16 hexadecimal digits."""
    found = hashlib.sha256()
    files = [*source_code.PACKAGE.rglob("*.py"), project_files.find(project_files.SETTINGS)]
    for folder in ("cuda", "support"):
        files += (TESTS / folder).glob("*.py")
    for file in sorted(files):
        found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()[:16]


def _bench(name: str, options: Options, common: Mapping[str, Any]) -> Block:
    algorithm, environment, only, limit_s = BENCHES[name]
    sizes = list(only or options.sizes)
    folder = f"bench-{name}"
    order = {**common, "sizes": sizes, "budget": options.budget}

    def command(work: Path) -> Command | None:
        measured = _measured(work / folder / TABLE)
        left = [size for size in sizes if size not in measured]
        if not left:
            return None
        asked = [sys.executable, "-P", "-m", "rlparity", "bench", "--device", options.device]
        asked += ["--algorithms", algorithm, "--environment", environment, "--rounds", "1"]
        asked += ["--seeds", ",".join(map(str, left)), "--reports", str(work / folder), "--table-only"]
        return asked + ([] if options.budget is None else ["--budget", str(options.budget)])

    return Block(folder, limit_s, order, command)


def _measured(table: Path) -> set[int]:
    """Numbers of seeds that ours were measured with."""
    if not table.is_file():
        return set()
    with table.open(encoding="utf-8", newline="") as file:
        return {int(row["seeds"]) for row in csv.DictReader(file) if row["implementation"] == OURS}


def _cells(loaded: Suite, options: Options) -> list[Block]:
    """A block for each environment of the suite."""
    found = []
    for environment in loaded.environments:
        cells = [cell for cell in loaded.cells if cell.environment == environment]
        order = {"fingerprints": [cell.fingerprint for cell in cells]}
        command = partial(_train, cells, options, 1 if loaded.split == splitting.AUTO else loaded.split)
        found.append(Block(f"cells-{path_name(environment)}", CELLS_S, order, command, takes_spare=True))
    return found


def _train(cells: Sequence[Cell], options: Options, split: int | str, work: Path) -> Command | None:
    """Snakemake on the cells that are still to be trained, whose blocks are divided as in `cells` whatever
    the cores. The script keeps others from the folder, and a lock of Snakemake's own would outlive a kill."""
    results = work.resolve() / RESULTS
    left = [cell for cell in cells if not pending.up_to_date(cell, results / cell.folder)]
    if not left:
        return None
    cores = host.cores()
    command = [
        sys.executable,
        "-P",
        "-m",
        "snakemake",
        *(str(RESULTS / cell.folder / "run.json") for cell in left),
    ]
    command += ["--snakefile", str(project_files.SNAKEFILE), "--configfile", str(options.suite.resolve())]
    command += ["--directory", str(work.resolve()), "--nolock"]
    command += ["--config", f"device={options.device}", f"split={split}"]
    return [*command, "--cores", str(cores), "--resources", f"gpu={at_once(cores, _gpu_bytes(work))}"]


def at_once(cores: int, gpu_bytes: int) -> int:
    """How many cells share one GPU: a core for each and one for its environments, CELL_GIB of memory."""
    return max(min(MOST_AT_ONCE, cores // 2, gpu_bytes // (CELL_GIB * 2**30)), 1)


def _gpu_bytes(work: Path) -> int:
    """Memory of the GPU by the block `facts`; 0 where that is not known."""
    try:
        facts = json.loads((work / FACTS).read_text(encoding="utf-8"))
        return int(facts["gpu"]["memory_bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
