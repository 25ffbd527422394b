"""A part of a suite, as `--config` asks for it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping, Set
from typing import TYPE_CHECKING, Any

from rlparity.arms import OURS, Arm
from rlparity.cell import Cell
from rlparity.environments.configured.ids import base
from rlparity.errors import UserError, unknown
from rlparity.registry import IMPLEMENTATIONS
from rlparity.suites import devices, splitting, yaml_reader
from rlparity.suites.config import typed
from rlparity.suites.config.replaced import SETTINGS
from rlparity.suites.environments import seed_blocks

if TYPE_CHECKING:
    from rlparity.suites.suite import Suite

WHOLE = ("tensorboard", "device", "split", "references", *SETTINGS)  # those that leave no cell out
NARROWING = ("algorithms", "environments", "implementations", "seeds", *WHOLE)
LISTS = ("algorithms", "environments", "implementations")
REFERENCES = ("train", "shipped")


def checked(narrow: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `--config` with those of WHOLE checked; Snakemake reads `false` as a text.

    Raises UserError.
    """
    found = dict(narrow)
    found |= {key: typed.names(narrow[key]) for key in LISTS if key in narrow and key != "environments"}
    if "seeds" in narrow:
        given = narrow["seeds"]
        found["seeds"] = typed.seeds(given if isinstance(given, list | tuple) else [given], "--config seeds")
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
    named = (f"{key} {', '.join(map(str, value))}" for key, value in chosen.items())
    return f"Only a part of the suite was run: {'; '.join(named)}." if chosen else ""


def part(suite: Suite, narrow: Mapping[str, Any]) -> Suite:
    """The suite with the cells that `--config` asks for, and those of the floors of its metrics.

    Of a block of which only some seeds are asked for, these are a cell of their own. Raises UserError for a
    value that the suite does not have, and where no cell is left.
    """
    if not narrow:
        return suite
    if "environments" in narrow:
        narrow = {**narrow, "environments": _environments(narrow["environments"], suite.environments)}
    wanted = {key: narrow[key] for key in LISTS if key in narrow}
    if suite.growth and "seeds" in narrow:
        raise UserError("--config seeds: the seeds of this suite grow until its pairs are decided")
    there = {
        "algorithms": list(suite.algorithms),
        "environments": list(suite.environments),
        "implementations": suite.implementations,
    }
    _refuse_unknown(wanted, there)
    algorithms = list(wanted.get("algorithms", there["algorithms"]))
    algorithms += [name for name in suite.floors if name in suite.algorithms and name not in algorithms]
    references = {suite.algorithms[name].reference for name in algorithms}
    environments = wanted.get("environments", there["environments"])
    implementations = wanted.get("implementations", there["implementations"])
    seeds = {seed for block in seed_blocks(narrow.get("seeds", ()), "seeds", []) for seed in block}

    def is_kept(cell: Cell) -> bool:
        for_reference = cell.implementation in IMPLEMENTATIONS.keys() - {OURS}
        arm = Arm(cell.implementation, cell.algorithm)
        if not (arm in references or (cell.algorithm in algorithms and not for_reference)):
            return False
        return cell.environment in environments and cell.implementation in implementations

    cells = [
        dataclasses.replace(cell, tensorboard=narrow.get("tensorboard", cell.tensorboard), seeds=block)
        for cell in suite.cells
        if is_kept(cell)
        for block in (_within(cell.seeds, seeds) if "seeds" in narrow else (cell.seeds,))
    ]
    if not cells:
        raise UserError(f"--config: no cell of suite {suite.name!r} is left by {dict(narrow)}")
    return _with_cells(suite, cells, algorithms, narrow)


def _within(block: tuple[int, ...], seeds: Set[int]) -> list[tuple[int, ...]]:
    """The seeds of a block that are among others, as blocks of neighbours."""
    chosen = typed.blocks([seed for seed in block if seed in seeds])
    return seed_blocks(chosen, "seeds", [])


def _environments(given: Any, known: Collection[str]) -> list[str]:
    """Ids of a suite as they are typed.

    Keys of an id have commas of their own, and may be left out where one environment alone has that id.
    """
    bare = Counter(map(base, known))
    full = {base(name): name for name in known if bare[base(name)] == 1} | {name: name for name in known}
    if not isinstance(given, str):
        return [
            full.get(str(one), str(one)) for one in (given if isinstance(given, list | tuple) else [given])
        ]
    words, found = given.strip().removeprefix("[").removesuffix("]").split(","), list[str]()
    while words:
        lengths = range(len(words), 0, -1)
        taken = next((n for n in lengths if ",".join(words[:n]).strip() in full), 1)
        name, words = ",".join(words[:taken]).strip(), words[taken:]
        found += [full.get(name, name)] if name else []
    return found


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
