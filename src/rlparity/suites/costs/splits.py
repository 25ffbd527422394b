"""Which split of the blocks is done first on a number of cores, by estimated times of cells."""

from __future__ import annotations

import heapq
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from rlparity.arms import OURS
from rlparity.cell import Cell
from rlparity.records import write_bytes
from rlparity.suites import splitting
from rlparity.suites import suite as suites
from rlparity.suites.costs import cost
from rlparity.suites.costs.speeds import Speeds
from rlparity.suites.splitting import AUTO
from rlparity.suites.suite import Suite

NOTE = "split"  # file of a suite's results: the split that they were made with
LEAST_S, LEAST_SHARE = 60.0, 0.1  # that a split must save, of estimates that are as rough


class Outcome(NamedTuple):
    """A split of the blocks into `n` cells each."""

    n: int
    cells: int  # of all arms
    seconds: float  # until the last of them is done


def load(
    path: Path,
    narrow: Mapping[str, Any],
    elsewhere: bool,
    reports: Path,
    results: Path | None = None,
    cores: int = 1,
) -> Suite:
    """`suite.load`, with `split: auto` chosen for this number of cores. Raises UserError.

    The choice is of the whole suite, not of the part that `narrow` asks for, and is kept where cells of the
    suite were trained in `results` or are shipped in `reports`. A suite on CUDA is not divided.
    """
    loaded = suites.load(path, narrow, elsewhere)
    if loaded.split != AUTO:
        return loaded
    if any(cell.device != "cpu" for cell in loaded.cells):
        return loaded
    n = _kept(loaded, reports, results)
    if n is None:
        kept = {key: narrow[key] for key in ("device", "references", *loaded.changed) if key in narrow}
        n = chosen(suites.load(path, kept, elsewhere), cores, Speeds(reports))
    return loaded if n == 1 else suites.load(path, {**narrow, "split": n}, elsewhere)


def keep(suite: Suite, results: Path) -> None:
    """Note in `results` which split a suite has. With `auto` on a GPU, that of its cells on CPUs stays."""
    if suite.split == AUTO and any(cell.device != "cpu" for cell in suite.cells):
        return
    text = b"1" if suite.split == AUTO else str(suite.split).encode()
    file = results / suite.name / NOTE
    if not file.is_file() or file.read_bytes() != text:
        write_bytes(file, text)


def _kept(suite: Suite, reports: Path, results: Path | None) -> int | None:
    """The split of what is trained in `results`, else of what `reports` ship; None if there is neither."""
    if results is not None:
        with suppress(OSError, ValueError):
            return _split(int((results / suite.name / NOTE).read_text(encoding="utf-8")))
        ours = (results / suite.name).glob(f"*/{OURS}/*/seeds-*/*")
        if any(file.name in ("run.json", "checkpoint") for file in ours):
            return 1
    with suppress(OSError, ValueError, AttributeError, RecursionError):
        plan = json.loads((reports / suite.name / "plan.json").read_text(encoding="utf-8"))
        return _split(plan.get("split", 1))
    return None


def _split(value: Any) -> int:
    """A split that a file names. Raises ValueError where it is none."""
    if value == AUTO or splitting.problem(value, NOTE):
        raise ValueError(f"{value!r} is no split")
    return int(value)


def chosen(suite: Suite, cores: int, rates: Speeds) -> int:
    """The split that `auto` stands for, of a suite with whole blocks.

    Only splits with no more cells than cores count: whatever the rates are, they are not slower than whole
    blocks.
    """
    cells = [cell for cell in suite.cells if not suite.restored(cell)]
    if any(cell.device != "cpu" for cell in cells):
        return 1
    whole, *others = outcomes(cells, cores, rates)
    return quickest([whole, *(one for one in others if one.cells <= cores)]).n


def quickest(found: Sequence[Outcome]) -> Outcome:
    """The one that is done first; the fewest cells of those that are done hardly later."""
    least = min(one.seconds for one in found)
    return next(one for one in found if one.seconds - least <= max(LEAST_S, LEAST_SHARE * one.seconds))


def outcomes(cells: Sequence[Cell], cores: int, rates: Speeds) -> list[Outcome]:
    """What becomes of several splits of these cells, with whole blocks of our own agents; 1 is the first.

    One process on each core, those that take longest first.
    """
    ours = [cell for cell in cells if cell.implementation == OURS]
    return [
        _outcome(n, divided(cells, n), cores, rates)
        for n in _numbers(max((len(cell.seeds) for cell in ours), default=1), len(ours), cores)
    ]


def divided(cells: Sequence[Cell], n: int) -> list[Cell]:
    """The cells with each of ours in `n` parts. Their fingerprints stay: these cells are for estimates."""
    return [
        replace(cell, seeds=seeds)
        for cell in cells
        for seeds in (splitting.parts(cell.seeds, n) if cell.implementation == OURS else (cell.seeds,))
    ]


def _numbers(largest: int, blocks: int, cores: int) -> list[int]:
    """1, 2, 5, 10, ... up to the seeds of the largest block, their number, and what fills the cores."""
    series = {step * 10**power for power in range(len(str(largest))) for step in (1, 2, 5)}
    candidates = series | {largest, cores, cores // max(blocks, 1)}
    return sorted(n for n in candidates if 1 <= n <= largest)


def _outcome(n: int, cells: Sequence[Cell], cores: int, rates: Speeds) -> Outcome:
    ends = [0.0] * max(min(cores, len(cells)), 1)
    for seconds in sorted((cost.seconds(cell, rates) for cell in cells), reverse=True):
        heapq.heappushpop(ends, ends[0] + seconds)
    return Outcome(n, len(cells), max(ends))


def describe(suite: Suite, waiting: Collection[Cell], cores: int, rates: Speeds, words: str) -> Iterator[str]:
    """For `rlparity plan`: hours of every split, the one that is done first, and the words to type for it.

    Nothing where no block of more than one seed is still to be trained on CPUs.
    """
    cells = _whole(suite, [cell for cell in waiting if not suite.restored(cell)])
    if not any(
        cell.implementation == OURS and len(cell.seeds) > 1 and cell.device == "cpu" for cell in cells
    ):
        return
    found = outcomes(cells, cores, rates)
    first, now = quickest(found).n, suite.split if isinstance(suite.split, int) else 1
    hours = ", ".join(f"{one.n}: {one.seconds / 3600:,.2f}" for one in found)
    advice = "as it is here" if first == now else f"rlparity run {quote(words)} --config split={first}"
    on = f"{cores:,} core{'s' * (cores > 1)}"
    yield f"hours on {on} by cells per block: {hours}; done first: {first}, {advice}"


def _whole(suite: Suite, cells: Sequence[Cell]) -> list[Cell]:
    """The cells with those of ours put together to the suite's blocks, as far as their seeds are there."""
    found = [cell for cell in cells if cell.implementation != OURS]
    arms: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.implementation == OURS:
            arms.setdefault((cell.environment, cell.algorithm), []).append(cell)
    for (environment, _), parts in arms.items():
        there = {seed for cell in parts for seed in cell.seeds}
        for block in suite.environments[environment].blocks:
            if seeds := tuple(seed for seed in block if seed in there):
                found.append(replace(parts[0], seeds=seeds))
    return found
