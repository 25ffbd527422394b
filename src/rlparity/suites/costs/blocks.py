"""Whether ten seeds are quicker in one process or in several, from the rates of 1, 5 and 10 seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rlparity.cell import Cell
from rlparity.suites.costs.cost import START_UP_S
from rlparity.suites.costs.speeds import THROUGHPUT, Speeds

SEEDS, SIZES = 10, (10, 5, 1)
WORDS = {10: "one of ten", 5: "two of five", 1: "ten of one"}
CORES = (1, 2, 3, 4, 5, 10)
BUDGETS = {"ppo": 100_000, "dqn": 50_000}  # environment steps per seed, as in suite cartpole


def seconds(size: int, cores: int, rate: float, budget: int) -> float:
    """Time until ten seeds are trained in processes of `size` seeds, each on one core at `rate` steps/s."""
    turns = -(-(SEEDS // size) // cores)
    return turns * (START_UP_S + size * budget / rate)


def quickest(rates: Mapping[int, float], cores: int, budget: int) -> int:
    """The size of process that ends first; of equal ones the largest, which takes the fewest cores."""
    return min(SIZES, key=lambda size: (seconds(size, cores, rates[size], budget), -size))


def lines(environment: str, reports: Path) -> Iterator[str]:
    """A table for each algorithm whose blocks of 1, 5 and 10 seeds were measured."""
    speeds = Speeds(reports)
    yield "Ten seeds: minutes of training until all are done, and the quickest split"
    yield "Rates are of one process alone; several at once share caches and memory, and may be slower."
    for algorithm, budget in BUDGETS.items():
        rates = {size: speeds.measured(_cell(environment, algorithm, size)) for size in SIZES}
        known = {size: rate for size, rate in rates.items() if rate is not None}
        if len(known) < len(SIZES):
            missing = ",".join(str(size) for size in reversed(SIZES) if size not in known)
            command = f"rlparity bench --algorithms {algorithm} --environment {environment} --seeds {missing}"
            yield f"{algorithm} in {environment}: not in {reports / THROUGHPUT}; {command}"
            continue
        yield f"{algorithm} in {environment}, {budget:,} steps per seed"
        yield f"  {'cores':>5} " + " ".join(f"{WORDS[size]:>12}" for size in SIZES) + "  quickest"
        for cores in CORES:
            minutes = [seconds(size, cores, known[size], budget) / 60 for size in SIZES]
            best = WORDS[quickest(known, cores, budget)]
            yield f"  {cores:>5} " + " ".join(f"{each:>12.2f}" for each in minutes) + f"  {best}"


def _cell(environment: str, algorithm: str, size: int) -> Cell:
    return Cell("blocks", environment, "scratch", algorithm, algorithm, tuple(range(size)), 1)
