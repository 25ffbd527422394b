"""Steps per second of cells: measured by `rlparity bench` or in the runs of reports, else assumed."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeVar

from rlparity import project_files
from rlparity.cell import Cell
from rlparity.environments import metadata
from rlparity.errors import UserError

Number = TypeVar("Number", int, float)
THROUGHPUT = Path("benchmark", "throughput.csv")
MEASURED, TRAINED, SIMILAR, ASSUMED = BASES = ("measured", "trained", "similar", "assumed")
# Aggregate environment steps per second on one core where nothing similar was measured; ours with five seeds.
# By simulator, then by agent; Gymnasium's own environments have no simulator.
GUESSES: dict[str | None, dict[str, float]] = {
    None: {"random": 60_000, "reinforce": 20_000, "actor_critic": 20_000, "dqn": 1_000},
    "mujoco": {"random": 8_000, "ddpg": 100, "td3": 100, "sac": 100},
    "ale-py": {"random": 4_000, "a2c": 480, "ppo": 240, "dqn": 110, "qrdqn": 90},
    "minatar": {"random": 20_000, "a2c": 2_500, "ppo": 2_500, "dqn": 800, "qrdqn": 500},
}
OTHERWISE = {None: 4_000.0, "mujoco": 1_000.0, "ale-py": 200.0, "minatar": 2_000.0}
# An evaluation episode, many side by side.
EPISODE_S = {None: 0.005, "mujoco": 0.1, "ale-py": 2.0, "minatar": 0.01}


class Rate(NamedTuple):
    """Aggregate environment steps per second of a cell's whole block, and its basis, of BASES."""

    steps_per_second: float
    basis: str


class Run(NamedTuple):
    """One measurement."""

    implementation: str
    algorithm: str
    agent: str
    environment: str
    seeds: int
    device: str
    steps_per_second: float
    episode_s: float | None = None  # per episode of its evaluations


class Speeds:
    """The measurements in a folder of reports, and in the reports that came with the project.

    `file` is the table that `rlparity bench` wrote, of the first folder that has one.
    """

    def __init__(self, reports: Path):
        folders = project_files.reports(reports)
        own = next((folder for folder in folders if any(_measured(folder))), None)
        self.file = None if own is None else own / THROUGHPUT
        self._runs = {MEASURED: list(_measured(own or reports)), TRAINED: list(_trained(folders))}
        self._episodes: dict[str, float] = {}
        self._found: dict[tuple[object, ...], Rate] = {}

    def __bool__(self) -> bool:
        return any(self._runs.values())

    def of(self, cell: Cell) -> Rate:
        """The rate of the most similar runs: of the same arm in the same environment, else of the same agent
        in environments of the same simulator, with the nearest number of seeds; else a guess."""
        names = (cell.implementation, cell.algorithm, cell.agent, cell.environment, cell.device)
        key = (*names, len(cell.seeds))
        if key not in self._found:
            self._found[key] = self._look_up(cell)
        return self._found[key]

    def _look_up(self, cell: Cell) -> Rate:
        for basis, runs in self._runs.items():
            if found := [run for run in runs if _is(run, cell) and run.environment == cell.environment]:
                return Rate(_nearest(found, cell), basis)
        simulator = _simulator(cell.environment)
        for runs in self._runs.values():
            alike = [run for run in runs if _is(run, cell) and _simulator(run.environment) == simulator]
            if alike:
                return Rate(_nearest(alike, cell), SIMILAR)
        guesses = GUESSES.get(simulator, {})
        return Rate(guesses.get(cell.agent, OTHERWISE.get(simulator, OTHERWISE[None])), ASSUMED)

    def measured(self, cell: Cell) -> float | None:
        """The rate of that very configuration and number of seeds by `rlparity bench`; None without one."""
        asked = (cell.implementation, cell.algorithm, cell.environment, len(cell.seeds), cell.device)
        rates = [
            run.steps_per_second
            for run in self._runs[MEASURED]
            if (run.implementation, run.algorithm, run.environment, run.seeds, run.device) == asked
        ]
        return rates[-1] if rates else None

    def episode_s(self, cell: Cell) -> float:
        """Seconds of an evaluation episode: in that environment, else in those of the same simulator, else a
        guess."""
        environment = cell.environment
        if environment not in self._episodes:
            simulator = _simulator(environment)
            known = [run for run in self._runs[TRAINED] if run.episode_s is not None]
            here = [run for run in known if run.environment == environment]
            alike = here or [run for run in known if _simulator(run.environment) == simulator]
            times = [run.episode_s for run in alike if run.episode_s is not None]
            self._episodes[environment] = median(times) if times else EPISODE_S.get(simulator, 0.1)
        return self._episodes[environment]


def _is(run: Run, cell: Cell) -> bool:
    own = run.implementation == cell.implementation and run.device == cell.device
    return own and (run.algorithm == cell.algorithm or run.agent == cell.agent)


def _nearest(runs: list[Run], cell: Cell) -> float:
    """The rate of a block of this many seeds: median of the runs of the same configuration, else of all.

    Between two sizes that were measured the rate is interpolated, as a straight line where both axes are
    logarithmic; beyond them it is that of the nearest.
    """
    runs = [run for run in runs if run.algorithm == cell.algorithm] or runs
    sizes, wanted = sorted({run.seeds for run in runs}), len(cell.seeds)
    low = max((size for size in sizes if size <= wanted), default=sizes[0])
    high = min((size for size in sizes if size >= wanted), default=sizes[-1])
    at_low, at_high = (median(run.steps_per_second for run in runs if run.seeds == n) for n in (low, high))
    if low == high:
        return at_low
    share = math.log(wanted / low) / math.log(high / low)
    return at_low * (at_high / at_low) ** share


def _simulator(environment: str) -> str | None:
    if environment.startswith("ALE/"):
        return "ale-py"
    try:
        return metadata.probe(environment).simulator
    except UserError:  # not installed here: similar to nothing else
        return environment


def positive(text: str, kind: Callable[[str], Number]) -> Number:
    """A number of a file, finite and above 0; else ValueError."""
    number = kind(text)
    if not 0 < number < math.inf:
        raise ValueError(f"{text!r} is not above 0")
    return number


def _measured(reports: Path) -> Iterator[Run]:
    try:
        with (reports / THROUGHPUT).open(encoding="utf-8", newline="") as file:
            yield from filter(None, map(_row, csv.DictReader(file)))
    except (OSError, ValueError, csv.Error):
        return


def _row(row: Mapping[str, str]) -> Run | None:
    """A row of throughput.csv; None if it was cut short, or not measured with the settings of suites."""
    try:
        return None if row.get("settings", "").startswith("SB3") else _run(row)
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def _run(row: Mapping[str, str]) -> Run:
    return Run(
        row["implementation"],
        row["algorithm"],
        row["algorithm"].split("-")[0],
        row["environment"],
        positive(row["seeds"], int),
        row.get("device", "cpu"),
        positive(row["steps_per_second"], float),
    )


def _trained(folders: Sequence[Path]) -> Iterator[Run]:
    """Medians over every kind of finished run in the reports. Other work may have slowed the machine down."""
    found: dict[Run, list[Run]] = defaultdict(list)
    for path in sorted(path for folder in folders for path in folder.glob("*/records/**/run.json")):
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            # An unfinished run has only a part of its evaluations; one of other blocks has their rate.
            if run.get("status") != "unfinished" and not any("of" in one for one in run.get("vouched", ())):
                measured = _finished(run)
                found[measured._replace(steps_per_second=0.0, episode_s=None)].append(measured)
        except (OSError, KeyError, ValueError, TypeError, ZeroDivisionError):
            continue
    for kind, runs in found.items():
        yield kind._replace(
            steps_per_second=median(run.steps_per_second for run in runs),
            episode_s=median(run.episode_s for run in runs if run.episode_s is not None),
        )


def _finished(run: Mapping[str, Any]) -> Run:
    """The measurement in a run.json."""
    cell, protocol = run["cell"], run["cell"]["evaluation"]
    episodes = protocol["points"] * protocol["episodes"] + protocol["final_episodes"]
    episodes *= len(protocol["modes"]) * len(cell["seeds"])
    return Run(
        cell["implementation"],
        cell["algorithm"],
        cell["agent"],
        cell["environment"],
        len(cell["seeds"]),
        cell.get("device", "cpu"),
        positive(run["steps_per_second"], float),
        float(run["evaluation_time_s"]) / episodes,
    )
