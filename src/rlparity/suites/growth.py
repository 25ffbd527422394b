"""Seeds that grow until the pairs of a suite are decided: which cells each look at them needs.

A suite says `seeds: {start: 5, step: 5, until: decided, at_most: 40}`. The judged arms, ours and
candidates, get the seeds of a look only where their pair is still open after the look before. References
and floors have all their seeds at the first look, since the design takes their number as fixed; arms that
are compared with nothing have those of the first look. What a look found open is in a file of the suite's
results.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rlparity.arms import OURS, Arm
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.records import write_bytes

if TYPE_CHECKING:
    from rlparity.suites.hyperparameters import Algorithm
    from rlparity.suites.suite import Suite

FOLDER = "looks"  # of a suite's results
MOST = 1000  # looks


class Judged(NamedTuple):
    """An arm in an environment whose seeds may grow."""

    environment: str
    implementation: str
    algorithm: str


@dataclass(frozen=True)
class Growth:
    """Looks at seeds from `first` on: how many there are at each."""

    first: int
    seeds: tuple[int, ...]

    @property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """The seeds that come with each look."""
        ends = [self.first + n for n in (0, *self.seeds)]
        return tuple(tuple(range(low, high)) for low, high in itertools.pairwise(ends))

    def look(self, cell: Cell) -> int:
        """The look, from 1, that first has all seeds of a cell."""
        return next(k + 1 for k, n in enumerate(self.seeds) if max(cell.seeds) < self.first + n)

    def plan(self) -> dict[str, Any]:
        """For plan.json."""
        return {"first": self.first, "seeds": list(self.seeds)}


def read(seeds: Any, found: list[str]) -> Growth | None:
    """A suite's key `seeds`, its shape checked by the schema, if they grow; adds problems to `found`."""
    if not isinstance(seeds, Mapping):
        return None
    start, step, most = (int(seeds[key]) for key in ("start", "step", "at_most"))
    if most < start or (most - start) % step:
        found.append(f"seeds.at_most: {most} is not {start} (start) and a multiple of {step} (step) more")
        return None
    if (most - start) // step >= MOST:
        found.append(f"seeds.step: {step} makes more than {MOST:,} looks")
        return None
    return Growth(int(seeds.get("first", 0)), tuple(range(start, most + 1, step)))


def judged(
    cells: Collection[Cell], algorithms: Mapping[str, Algorithm], floors: Collection[str]
) -> set[Judged]:
    """The arms whose seeds may grow: those that are judged, and are neither a reference nor a floor."""
    references = {algorithm.reference for algorithm in algorithms.values()}
    candidates = {cell.implementation for cell in cells if cell.candidate}
    found = set()
    for cell in cells:
        own = cell.implementation == OURS or cell.implementation in candidates
        reference, arm = algorithms[cell.algorithm].reference, Arm(cell.implementation, cell.algorithm)
        if own and reference not in (None, arm) and arm not in references and cell.algorithm not in floors:
            found.add(of(cell))
    return found


def of(cell: Cell) -> Judged:
    """The arm of a cell in its environment."""
    return Judged(cell.environment, cell.implementation, cell.algorithm)


def kept(suite: Suite) -> Suite:
    """The suite without the cells that no look needs: later seeds of arms that are compared with nothing."""
    growth = suite.growth
    if growth is None:
        return suite
    growing = judged(suite.cells, suite.algorithms, suite.floors)
    references = {algorithm.reference for algorithm in suite.algorithms.values()}

    def is_needed(cell: Cell) -> bool:
        fixed = Arm(cell.implementation, cell.algorithm) in references or cell.algorithm in suite.floors
        theirs = cell.implementation != OURS and not cell.candidate
        return fixed or theirs or of(cell) in growing or growth.look(cell) == 1

    return replace(suite, cells=tuple(filter(is_needed, suite.cells)))


def problems(raw: Mapping[str, Any], suite: Suite) -> list[str]:
    """What cannot be in a suite whose seeds grow, a line each."""
    if suite.growth is None:
        return []
    found = [
        f"environments[{i}].seeds: the seeds of this suite grow until its pairs are decided"
        for i, own in enumerate(raw["environments"])
        if isinstance(own, Mapping) and "seeds" in own
    ]
    plan = suite.plan()["algorithms"]
    found += [
        f"algorithms: {name!r} is judged against {plan[name]['plain']!r} too, whose seeds grow as well; "
        "leave one out"
        for name in plan
        if plan[name]["plain"] in plan
    ]
    found += [f"{arm} is declared deterministic: more seeds tell nothing" for arm in suite.deterministic]
    found += [
        f"candidates.{name}: scores of a command or of logs depend on all their seeds; seeds cannot grow"
        for name in dict.fromkeys(
            cell.implementation for cell in suite.cells if cell.kind in ("command", "logs")
        )
    ]
    return found


def at(suite: Suite, look: int, pairs: Collection[Judged] | None = None) -> list[Cell]:
    """The cells that a look needs and the looks before did not, of open pairs, or of all."""
    growth = suite.growth
    assert growth is not None
    growing = judged(suite.cells, suite.algorithms, suite.floors)
    first = [cell for cell in suite.cells if look == 1 and of(cell) not in growing]
    mine = [cell for cell in suite.cells if of(cell) in growing and growth.look(cell) == look]
    return first + [cell for cell in mine if pairs is None or of(cell) in pairs]


def reached(suite: Suite, results: Path, until: int | None = None) -> list[Cell]:
    """The cells that are needed by the looks so far: those of the first, and of each that a look asked for.

    All cells of a suite whose numbers of seeds are fixed. `until`: the last look that counts.
    """
    if suite.growth is None:
        return list(suite.cells)
    found = at(suite, 1)
    for look in range(1, until or len(suite.growth.seeds)):
        pairs = still_open(file(results, suite, look))
        if not pairs:
            break
        found += at(suite, look + 1, pairs)
    wanted = {str(cell.folder) for cell in found}
    return [cell for cell in suite.cells if str(cell.folder) in wanted]


def settled(suite: Suite, results: Path) -> Suite:
    """The suite with the cells that were reached."""
    return suite if suite.growth is None else replace(suite, cells=tuple(reached(suite, results)))


def is_complete(suite: Suite, results: Path) -> bool:
    """Whether every look was taken that was asked for: no pair is left open before the last."""
    if suite.growth is None:
        return True
    for look in range(1, len(suite.growth.seeds)):
        path = file(results, suite, look)
        if not path.is_file():
            return False
        if not still_open(path):
            break
    return True


def file(results: Path, suite: Suite, look: int) -> Path:
    """Where a look says which pairs it left open."""
    return results / suite.name / FOLDER / f"{look}.json"


def still_open(path: Path) -> set[Judged]:
    """The pairs that a look left open; none where it was not taken. Raises UserError for another file."""
    try:
        return {Judged(*map(str, pair)) for pair in json.loads(path.read_text(encoding="utf-8"))["open"]}
    except FileNotFoundError:
        return set()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not the file of a look ({error}); delete it") from None


def write(path: Path, pairs: Sequence[Judged]) -> None:
    """Write which pairs a look leaves open."""
    text = json.dumps({"open": [list(pair) for pair in pairs]}, indent=1)
    write_bytes(path, (text + "\n").encode())
