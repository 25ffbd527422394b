"""The environments of a suite, with its keys about each of them.

Functions add the problems that they find to `found`, one line each with the key it concerns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlparity import atari_names, registry
from rlparity.cell import is_configured, path_name
from rlparity.environments import atari_games, metadata
from rlparity.environments.configured import ids
from rlparity.environments.metadata import EnvironmentInfo
from rlparity.errors import UserError, unknown
from rlparity.metrics import RETURN, Metric
from rlparity.suites import growth, yaml_reader
from rlparity.suites.hyperparameters import Algorithm

SEEDS = 100_000  # of an environment, that a suite may ask for
LARGEST_SEED = 2**63 - 1  # in the columns of records
Block = tuple[int, ...]  # seeds that are trained together


@dataclass(frozen=True)
class Environment:
    """One environment of a suite, with the suite's keys about it."""

    id: str
    info: EnvironmentInfo
    algorithms: tuple[str, ...]
    blocks: tuple[Block, ...]
    budgets: Mapping[str, int]
    threshold: float | None  # of the first metric
    metrics: tuple[Metric, ...] = (RETURN,)
    margins: Mapping[str, float] = field(default_factory=dict)  # by metric, where they are not the suite's
    reference_seeds: Mapping[str, tuple[Block, ...]] = field(default_factory=dict)  # by its configuration

    def budget(self, algorithm: Algorithm) -> int | None:
        """Environment steps per seed: by configuration, else by agent, else the default."""
        names = (algorithm.name, algorithm.agent, "default")
        return next((self.budgets[name] for name in names if name in self.budgets), None)


def environments(raw: Mapping[str, Any], found: list[str]) -> list[Environment]:
    """The environments of a suite whose shape the schema has checked; lists of Atari games are expanded."""
    seen: set[str] = set()
    made: list[Environment] = []
    theirs = {
        name: tuple(seed_blocks(seeds, f"reference_seeds.{name}", found))
        for name, seeds in raw.get("reference_seeds", {}).items()
    }
    grown = growth.read(raw["seeds"], found)
    for i, item in enumerate(raw["environments"]):
        own: Mapping[str, Any] = {"id": item} if isinstance(item, str) else item
        where = f"environments[{i}]"
        if isinstance(raw["seeds"], Mapping):
            blocks = grown.blocks if grown else ()
        else:
            seeds, place = (own["seeds"], f"{where}.seeds") if "seeds" in own else (raw["seeds"], "seeds")
            blocks = tuple(seed_blocks(seeds, place, found))
        for name in _names(own, where, found):
            if path_name(name) in seen:
                found.append(f"{where}: {name!r} is there twice")
            seen.add(path_name(name))
            info = _info(name, where, found)
            if info is not None:
                made.append(_environment(name, info, own, raw, blocks, theirs))
                found += _bad_margins(own.get("margin"), made[-1], f"{where}.margin")
    return made


def _names(own: Mapping[str, Any], where: str, found: list[str]) -> list[str]:
    """The ids that a suite's keys about an environment stand for: one with its kwargs, time limit and
    wrappers, or all games of a list."""
    keys = {key: own[key] for key in ("kwargs", ids.TIME_LIMIT, ids.WRAPPERS) if key in own}
    try:
        if not keys:
            return list(atari_games.expand(ids.canonical(own["id"])))
        if is_configured(own["id"]):
            raise UserError(
                f"{own['id']!r} has keys in its id; write {' and '.join(keys)} there or here, not both"
            )
        return [ids.write(ids.of_keys(own["id"], keys, repr(own["id"])))]
    except UserError as error:
        found.append(f"{where}: {error}")
        return []


def _info(name: str, where: str, found: list[str]) -> EnvironmentInfo | None:
    if not name.startswith("ALE/") and ":" not in name and (ours := atari_names.suggestion(name)):
        found.append(
            f"{where}: unknown environment {name!r}; Atari games have a preset (did you mean {ours!r}?)"
        )
        return None
    try:
        return metadata.probe(name)
    except UserError as error:
        found.append(f"{where}: {error}")
    except (Exception, SystemExit) as error:  # of the user's module, which is imported there
        message = yaml_reader.short(" ".join(f"{type(error).__name__}: {error}".split()))
        found.append(f"{where}: environment {name!r} cannot be made: {message}")
    return None


def _environment(
    name: str,
    info: EnvironmentInfo,
    own: Mapping[str, Any],
    raw: Mapping[str, Any],
    blocks: tuple[Block, ...],
    reference_seeds: Mapping[str, tuple[Block, ...]],
) -> Environment:
    measured, margin = registry.metrics(name), own.get("margin", {})
    return Environment(
        id=name,
        info=info,
        algorithms=tuple(own.get("algorithms", raw["algorithms"])),
        blocks=blocks,
        budgets={**raw["budgets"], **own.get("budgets", {})},
        threshold=own.get("threshold", info.threshold),
        metrics=measured,
        margins=margin if isinstance(margin, Mapping) else {metric.name: margin for metric in measured},
        reference_seeds=reference_seeds,
    )


def _bad_margins(margin: Any, environment: Environment, where: str) -> list[str]:
    """Margins of metrics that the environment does not have."""
    names = [metric.name for metric in environment.metrics]
    keys = margin if isinstance(margin, Mapping) else ()
    return [str(unknown("metric", key, names, where)) for key in keys if key not in names]


def seed_blocks(seeds: Sequence[str | int], where: str, found: list[str]) -> list[Block]:
    """Ranges such as "0-4" or 7 as tuples of seeds."""
    blocks: list[Block] = []
    owner: dict[int, str | int] = {}
    for i, item in enumerate(seeds):
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", str(item).strip())
        ends = (_seed(match[1]), _seed(match[2] or match[1])) if match else None
        problem = _bad_range(item, ends, owner)
        if ends is not None and problem is None:
            blocks.append(tuple(range(ends[0], ends[1] + 1)))
            owner |= dict.fromkeys(blocks[-1], item)
        elif f"{where}[{i}]: {problem}" not in found:
            found.append(f"{where}[{i}]: {problem}")
    return blocks


def _bad_range(item: str | int, ends: tuple[int, int] | None, owner: Mapping[int, str | int]) -> str | None:
    """The problem with a range of seeds, if any; `owner` has the ranges before it, by seed."""
    if ends is None:
        return f'{item!r} is not a range of seeds; write "0-4" or 7, numbers from 0'
    first, last = ends
    if max(ends) > LARGEST_SEED:
        return f"{yaml_reader.short(str(item))} is too large; the largest seed is {LARGEST_SEED}"
    if last < first:
        return f"{item!r} ends before it begins"
    if len(owner) + last - first >= SEEDS:
        return f"{item!r} makes more than {SEEDS:,} seeds; no environment may have more"
    twice = next((seed for seed in range(first, last + 1) if seed in owner), None)
    if twice is None:
        return None
    if str(owner[twice]) == str(item):
        return f"{item!r} is there twice"
    return f"seed {twice} of {item!r} is in {owner[twice]!r} too; blocks may not overlap"


def _seed(digits: str) -> int:
    """The number of some digits, or one that is too large: Python refuses to read thousands of digits."""
    return int(digits) if len(digits) < 100 else LARGEST_SEED + 1
