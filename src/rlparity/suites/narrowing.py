"""A part of a suite, as `--config` asks for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rlparity.arms import OURS, Arm
from rlparity.cell import Cell
from rlparity.errors import UserError, unknown
from rlparity.registry import IMPLEMENTATIONS
from rlparity.suites import devices, splitting, yaml_reader

if TYPE_CHECKING:
    from rlparity.suites.suite import Suite

WHOLE = ("tensorboard", "device", "split", "references")  # of NARROWING, those that leave no cell out
NARROWING = ("algorithms", "environments", "implementations", "seeds", *WHOLE)
REFERENCES = ("train", "shipped")


def checked(narrow: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `--config` with those of WHOLE checked; Snakemake reads `false` as a text.

    Raises UserError.
    """
    found = dict(narrow)
    if "tensorboard" in narrow:
        text = str(narrow["tensorboard"])
        if text.lower() not in ("true", "false"):
            raise UserError(f"--config tensorboard: expected true or false, got {yaml_reader.short(text)}")
        found["tensorboard"] = text.lower() == "true"
    if narrow.get("device", "cpu") not in devices.CHOICES:
        raise unknown("value", narrow["device"], devices.CHOICES, "--config device")
    if narrow.get("references", "train") not in REFERENCES:
        raise unknown("value", narrow["references"], REFERENCES, "--config references")
    if problems := splitting.problem(narrow.get("split", 1), "--config split"):
        raise UserError(problems[0])
    return found


def describe(narrow: Mapping[str, Any]) -> str:
    """A sentence for the report on what was left of the suite; empty where it is whole."""
    chosen = {key: value for key, value in narrow.items() if key not in WHOLE}
    named = (f"{key} {', '.join(map(str, _as_list(value)))}" for key, value in chosen.items())
    return f"Only a part of the suite was run: {'; '.join(named)}." if chosen else ""


def part(suite: Suite, narrow: Mapping[str, Any]) -> Suite:
    """The suite with the cells that `--config` asks for, and those of the floors of its metrics.

    Raises UserError for a value that the suite does not have, and where no cell is left.
    """
    if not narrow:
        return suite
    wanted = {key: _as_list(value) for key, value in narrow.items() if key not in WHOLE}
    if suite.growth and "seeds" in wanted:
        raise UserError("--config seeds: the seeds of this suite grow until its pairs are decided")
    blocks = _blocks(suite)
    there = {
        "algorithms": list(suite.algorithms),
        "environments": list(suite.environments),
        "implementations": suite.implementations,
        "seeds": list(blocks),
    }
    _refuse_unknown(wanted, there)
    algorithms = [str(name) for name in wanted.get("algorithms", there["algorithms"])]
    algorithms += [name for name in suite.floors if name in suite.algorithms and name not in algorithms]
    references = {suite.algorithms[name].reference for name in algorithms}
    environments = wanted.get("environments", there["environments"])
    implementations = wanted.get("implementations", there["implementations"])
    seeds = {seed for name in wanted.get("seeds", there["seeds"]) for seed in blocks[str(name)]}

    def is_kept(cell: Cell) -> bool:
        for_reference = cell.implementation in IMPLEMENTATIONS.keys() - {OURS}
        arm = Arm(cell.implementation, cell.algorithm)
        if not (arm in references or (cell.algorithm in algorithms and not for_reference)):
            return False
        here = cell.environment in environments and cell.implementation in implementations
        return here and ("seeds" not in wanted or seeds.issuperset(cell.seeds))

    cells = [
        dataclasses.replace(cell, tensorboard=narrow.get("tensorboard", cell.tensorboard))
        for cell in suite.cells
        if is_kept(cell)
    ]
    if not cells:
        raise UserError(f"--config: no cell of suite {suite.name!r} is left by {dict(narrow)}")
    return _with_cells(suite, cells, algorithms, narrow)


def _blocks(suite: Suite) -> dict[str, tuple[int, ...]]:
    """The blocks of seeds of a suite, by name: "0-4", of a single seed "7" too."""
    blocks = {
        f"{block[0]}-{block[-1]}": block for each in suite.environments.values() for block in each.blocks
    }
    return blocks | {str(block[0]): block for block in blocks.values() if len(block) == 1}


def _refuse_unknown(wanted: Mapping[str, list[Any]], there: Mapping[str, list[str]]) -> None:
    for key, values in wanted.items():
        for value in values:
            if str(value) not in there[key]:
                raise unknown("value", value, there[key], f"--config {key}")


def _with_cells(suite: Suite, cells: list[Cell], algorithms: list[str], narrow: Mapping[str, Any]) -> Suite:
    """The suite with some of its cells, and the environments and configurations that these leave."""
    kept = {
        name: dataclasses.replace(each, algorithms=tuple(a for a in each.algorithms if a in algorithms))
        for name, each in suite.environments.items()
        if name in {cell.environment for cell in cells}
    }
    used = {name for each in kept.values() for name in each.algorithms}
    return dataclasses.replace(
        suite,
        algorithms={name: algorithm for name, algorithm in suite.algorithms.items() if name in used},
        environments=kept,
        cells=tuple(cells),
        narrowed=dict(narrow),
    )


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
