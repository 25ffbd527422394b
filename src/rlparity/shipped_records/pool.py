"""A suite with candidates takes all valid shipped seeds of their references, and the shipped floor.

As `rlparity validate` does; only with `references: shipped`. More seeds of a reference cost no training, and
decide more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rlparity.arms import OURS
from rlparity.cell import Cell
from rlparity.runs import pending
from rlparity.shipped_records import references, restore
from rlparity.shipped_records.restore import Shipped
from rlparity.suites import hyperparameters
from rlparity.suites.suite import Suite


def widened(suite: Suite, reports: Path) -> Suite:
    """The suite with the cells of all shipped records that its candidates can be compared with.

    Seeds of a reference beside those of the suite, where the records are valid; and, in an environment
    without a cell of the floor (the random agent), the shipped cells of it.
    """
    judged = dict.fromkeys((cell.environment, cell.algorithm) for cell in suite.cells if cell.candidate)
    if suite.references != "shipped" or not judged:
        return suite
    catalogue, more = restore.shipped(reports, suite.name), list[Cell]()
    for environment, algorithm in judged:
        template = _reference(suite, environment, algorithm)
        if template is not None:
            more += _seeds(suite, template, catalogue)
            more += _floors(suite, template, [*suite.cells, *more], catalogue)
    return _with(suite, list({str(cell.folder): cell for cell in more}.values()))


def take_floor(suite: Suite, results: Path, reports: Path) -> None:
    """Restore shipped records of the floor for the cells that `widened` has added, which else are trained."""
    if suite.references != "shipped" or not any(cell.candidate for cell in suite.cells):
        return
    catalogue, taken = restore.shipped(reports, suite.name), list[Path]()
    for cell in suite.cells:
        folder = results / cell.folder
        if cell.algorithm in suite.floors and not pending.up_to_date(cell, folder):
            sources, _ = restore.fill(cell, catalogue, suite.parts(cell), folder)
            taken += [folder] if sources else []
    restore.unmark(suite, taken)


def _reference(suite: Suite, environment: str, algorithm: str) -> Cell | None:
    """A cell of the arm that candidates of this configuration are judged against."""
    arm = suite.algorithms[algorithm].reference
    if arm is None:
        return None
    who = (environment, arm.implementation, arm.algorithm)
    return next((cell for cell in suite.cells if _who(cell) == who), None)


def _who(cell: Cell) -> tuple[str, str, str]:
    return cell.environment, cell.implementation, cell.algorithm


def _seeds(suite: Suite, template: Cell, catalogue: Sequence[Shipped]) -> Iterator[Cell]:
    """The cells of an arm's shipped seeds that the suite has not, each of a valid record."""
    there = {seed for cell in suite.cells if _who(cell) == _who(template) for seed in cell.seeds}
    for seed in sorted(references.shipped_seeds(template, catalogue) - there):
        cell = references.of_seed(template, seed, suite)
        if references.valid(cell, catalogue) is not None:
            yield cell


def _floors(
    suite: Suite, template: Cell, cells: Sequence[Cell], catalogue: Sequence[Shipped]
) -> Iterator[Cell]:
    """The shipped cells of the floor of an environment that has no cell of it, each seed once."""
    protocol = template.evaluation
    for floor in suite.floors:
        if any(cell.environment == template.environment and cell.algorithm == floor for cell in cells):
            continue
        seen: set[int] = set()
        for one in catalogue:
            if one.who[:3] != (template.environment, OURS, floor):
                continue
            try:
                cell = Cell.from_json(json.dumps(one.run["cell"]))
            except (KeyError, TypeError, AttributeError):
                continue  # of another version
            cell = references.marked(replace(cell, suite=suite.name), suite)
            fits = (
                cell.budget == template.budget and replace(cell.evaluation, modes=protocol.modes) == protocol
            )
            if fits and not seen & set(cell.seeds) and cell.accepts(one.run):
                seen |= set(cell.seeds)
                yield cell


def _with(suite: Suite, more: Sequence[Cell]) -> Suite:
    """The suite with these cells, and with their configurations where it lacks them."""
    environments, algorithms = dict(suite.environments), dict(suite.algorithms)
    for cell in more:
        place = environments[cell.environment]
        if cell.algorithm not in place.algorithms:
            known = (cell.algorithm, *place.algorithms)
            environments[cell.environment] = replace(place, algorithms=known)
        algorithms.setdefault(cell.algorithm, hyperparameters.library().algorithms[cell.algorithm])
    return replace(suite, environments=environments, algorithms=algorithms, cells=(*suite.cells, *more))
