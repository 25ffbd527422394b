"""From a suite's keys to its table of cells; everything that cannot work is found here, before anything runs.

Functions add what they find wrong to `found`, one line each with the key it concerns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlparity import registry
from rlparity.cell import EPSILON, Cell, Protocol, path_name
from rlparity.environments import atari_games, metadata
from rlparity.environments.metadata import EnvironmentInfo
from rlparity.errors import UserError, unknown
from rlparity.suites import candidates, hyperparameters, yaml_reader
from rlparity.suites.candidates import Candidate
from rlparity.suites.hyperparameters import Algorithm, Settings
from rlparity.suites.memory_needs import value

Arm = str | Candidate  # "scratch", "sb3", or one that is brought
SEEDS = 100_000  # of an environment, that a suite may ask for
NAME_BYTES = 255  # of a file
LARGEST_SEED = 2**63 - 1  # that the records' columns hold


@dataclass(frozen=True)
class Environment:
    """One environment of a suite, with what the suite says about it."""

    id: str
    info: EnvironmentInfo
    algorithms: tuple[str, ...]
    blocks: tuple[tuple[int, ...], ...]
    budgets: Mapping[str, int]
    threshold: float | None

    def budget(self, algorithm: Algorithm) -> int | None:
        """Environment steps per seed: by configuration, else by agent, else the default."""
        names = (algorithm.name, algorithm.agent, "default")
        return next((self.budgets[name] for name in names if name in self.budgets), None)


def bad_names(raw: Mapping[str, Any], algorithms: Mapping[str, Algorithm]) -> list[str]:
    """Names that the library does not have, wherever a suite may use one; other shapes are the schema's."""
    keys = {"default", *algorithms, *registry.AGENTS}
    found = []
    tables = {"": raw, **{f"environments[{i}].": own for i, own in enumerate(_list(raw.get("environments")))}}
    for prefix, table in ((prefix, _mapping(table)) for prefix, table in tables.items()):
        names = [name for name in _list(table.get("algorithms")) if isinstance(name, str)]
        for i, name in enumerate(names):
            if name not in algorithms:
                found.append(str(unknown("value", name, algorithms, f"{prefix}algorithms[{i}]")))
            elif name in names[:i]:
                found.append(f"{prefix}algorithms[{i}]: {name!r} is there twice")
        wrong = [key for key in _mapping(table.get("budgets")) if key not in keys]
        found += [str(unknown("key", key, keys, f"{prefix}budgets")) for key in wrong]
    wrong = [key for key in _mapping(raw.get("hyperparameters")) if key not in algorithms]
    return found + [str(unknown("key", key, algorithms, "hyperparameters")) for key in wrong]


def bad_paths(raw: Mapping[str, Any]) -> list[str]:
    """Where a candidate names what no file could be called."""
    keys = ("folder", "entry", "logs")
    named = {
        f"candidates.{name}.{key}": str(_mapping(values).get(key, ""))
        for name, values in _mapping(raw.get("candidates")).items()
        for key in keys
    }
    return [
        f"{where}: {yaml_reader.short(repr(text))} is no path; its parts are of at most {NAME_BYTES} bytes"
        for where, text in named.items()
        if any(len(part.encode(errors="replace")) > NAME_BYTES for part in text.split("/"))
    ]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def environments(raw: Mapping[str, Any], found: list[str]) -> list[Environment]:
    """The environments of a suite, lists of games written out; what is wrong is added to `found`."""
    seen: set[str] = set()
    made = []
    for i, item in enumerate(raw["environments"]):
        own: Mapping[str, Any] = {"id": item} if isinstance(item, str) else item
        where = f"environments[{i}]"
        seeds, place = (own["seeds"], f"{where}.seeds") if "seeds" in own else (raw["seeds"], "seeds")
        blocks = tuple(_blocks(seeds, place, found))
        try:
            names = atari_games.expand(own["id"])
        except UserError as error:
            found.append(f"{where}: {error}")
            continue
        for name in names:
            if path_name(name) in seen:
                found.append(f"{where}: {name!r} is there twice")
            seen.add(path_name(name))
            try:
                info = metadata.probe(name)
            except UserError as error:
                found.append(f"{where}: {error}")
                continue
            except Exception as error:  # of the user's module, which is imported there
                said = yaml_reader.short(" ".join(f"{type(error).__name__}: {error}".split()))
                found.append(f"{where}: environment {name!r} cannot be made: {said}")
                continue
            made.append(
                Environment(
                    id=name,
                    info=info,
                    algorithms=tuple(own.get("algorithms", raw["algorithms"])),
                    blocks=blocks,
                    budgets={**raw["budgets"], **own.get("budgets", {})},
                    threshold=own.get("threshold", info.threshold),
                )
            )
    return made


def _blocks(seeds: Sequence[str | int], where: str, found: list[str]) -> list[tuple[int, ...]]:
    """Ranges such as "0-4" or 7 as tuples of seeds."""
    blocks: list[tuple[int, ...]] = []
    owner: dict[int, str | int] = {}
    for i, item in enumerate(seeds):
        match = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", str(item).strip())
        first, last = (_seed(match[1]), _seed(match[2] or match[1])) if match else (0, -1)
        problem = None
        if match is None:
            problem = f'{item!r} is not a range of seeds; write "0-4" or 7, numbers from 0'
        elif max(first, last) > LARGEST_SEED:
            problem = f"{yaml_reader.short(str(item))} is too large; the largest seed is {LARGEST_SEED}"
        elif last < first:
            problem = f"{item!r} ends before it begins"
        elif len(owner) + last - first >= SEEDS:
            problem = f"{item!r} makes more than {SEEDS:,} seeds; no environment may have more"
        elif twice := [seed for seed in range(first, last + 1) if seed in owner]:
            other = owner[twice[0]]
            problem = f"seed {twice[0]} of {item!r} is in {other!r} too; blocks may not overlap"
            problem = f"{item!r} is there twice" if str(other) == str(item) else problem
        if problem is None:
            blocks.append(tuple(range(first, last + 1)))
            owner |= dict.fromkeys(blocks[-1], item)
        elif f"{where}[{i}]: {problem}" not in found:
            found.append(f"{where}[{i}]: {problem}")
    return blocks


def _seed(digits: str) -> int:
    """Their number, or one that is too large; Python refuses to read thousands of digits."""
    return int(digits) if len(digits) < 100 else LARGEST_SEED + 1


def cells(raw: Mapping[str, Any], places: Sequence[Environment], found: list[str]) -> list[Cell]:
    """All cells: per environment and algorithm the blocks of ours, then the single seeds of the reference and
    of every candidate that claims to be the algorithm. `raw` names the device, `cpu` or `cuda`."""
    table: dict[str, Cell] = {}
    brought = candidates.read(raw, [(each.id, each.algorithms) for each in places], found)
    for environment in places:
        for name in environment.algorithms:
            algorithm = hyperparameters.library().algorithms[name]
            arms: list[tuple[Algorithm, Arm]] = [(algorithm, "scratch")]
            if algorithm.reference is not None:
                arms.append((hyperparameters.library().algorithms[algorithm.reference], "sb3"))
            chosen = [(one, arm) for one, arm in arms if arm in raw["implementations"]]
            chosen += [(algorithm, one) for one in brought if one.claims(name, environment.id)]
            for configuration, arm in chosen:
                for cell in _arm(raw, environment, configuration, arm, found):
                    table.setdefault(str(cell.folder), cell)
    return list(table.values())


def _arm(
    raw: Mapping[str, Any],
    environment: Environment,
    algorithm: Algorithm,
    arm: Arm,
    found: list[str],
) -> list[Cell]:
    chosen = hyperparameters.library().lookup(environment.id, algorithm.agent)
    problems = _bad_choice(raw, environment, algorithm, chosen)
    if problems:
        found += [problem for problem in problems if problem not in found]
        return []
    budget = environment.budget(algorithm)
    assert budget is not None
    blocks, ours = environment.blocks, arm == "scratch"
    overrides = raw.get("hyperparameters", {}).get(algorithm.name, {})
    values = {**chosen.hyperparameters, **algorithm.options_for(environment.id), **overrides}
    if not ours:
        problems = hyperparameters.beyond_reference(
            values, algorithm.agent, f"hyperparameters.{algorithm.name}"
        )
        found += [problem for problem in problems if problem not in found]
        values = hyperparameters.for_reference(values, algorithm.agent)
        blocks = tuple((seed,) for block in blocks for seed in block)
    if isinstance(arm, Candidate):
        blocks = arm.blocks(environment.id, blocks, found)
    resumed = ours or (arm == "sb3" and _reference_resumes(environment, algorithm, chosen))
    block_cells = [
        Cell(
            suite=raw["name"],
            environment=environment.id,
            implementation=arm.name if isinstance(arm, Candidate) else arm,
            algorithm=algorithm.name,
            agent=algorithm.agent,
            seeds=block,
            budget=budget,
            n_envs=chosen.n_envs,
            normalize=chosen.normalize,
            hyperparameters=values,
            evaluation=_protocol(raw.get("evaluation", {}), algorithm, environment.info),
            tensorboard=raw.get("tensorboard", False),
            device=raw["device"],
            checkpoint_every=raw.get("checkpoint_every", max(budget // 20, 1)) if resumed else 0,
            candidate=arm.candidate if isinstance(arm, Candidate) else {},
        )
        for block in blocks
    ]
    for cell in block_cells:
        problems = [*_bad_budget(cell), *_bad_replay(cell)]
        found += [problem for problem in problems if problem not in found]
    return block_cells


def _reference_resumes(environment: Environment, algorithm: Algorithm, chosen: Settings) -> bool:
    """As `reference_checkpoint.resumable`: without replay memory, and in Atari, which promises no identical
    records."""
    atari = registry.family(environment.id) == registry.NAMESPACES["ALE"]
    return atari and not chosen.normalize and "buffer_size" not in hyperparameters.config(algorithm.agent)


def _protocol(asked: Mapping[str, Any], algorithm: Algorithm, info: EnvironmentInfo) -> Protocol:
    """A continuous policy is evaluated as its mean alone, if it has one; `epsilon` disturbs the deterministic
    choice of a discrete one."""
    modes = algorithm.modes
    if info.actions == "continuous" and "deterministic" in modes:
        modes = ("deterministic",)
    elif epsilon := asked.get("epsilon"):
        modes = tuple(f"{EPSILON}{epsilon:g}" if mode == "deterministic" else mode for mode in modes)
    return Protocol(**{key: value for key, value in asked.items() if key != "epsilon"}, modes=modes)


def _bad_choice(
    raw: Mapping[str, Any], environment: Environment, algorithm: Algorithm, chosen: Settings
) -> list[str]:
    """What keeps an algorithm out of an environment."""
    found = []
    known = registry.AGENTS[algorithm.agent].actions
    if environment.info.actions not in known:
        found.append(
            f"algorithm {algorithm.name!r} cannot act in {environment.id!r}: its actions are "
            f"{environment.info.actions}, agent {algorithm.agent!r} knows {', '.join(known)}"
        )
    if environment.info.frame_bytes and not registry.AGENTS[algorithm.agent].images:
        seeing = ", ".join(name for name, entry in registry.AGENTS.items() if entry.images)
        found.append(
            f"algorithm {algorithm.name!r} cannot learn from the images of {environment.id!r}; agents that "
            f"can: {seeing}"
        )
    if environment.budget(algorithm) is None:
        found.append(
            f"budgets: nothing for {algorithm.name!r} in {environment.id!r}; name it, or add 'default'"
        )
    block = hyperparameters.library().block(environment.id, algorithm.agent)
    options = algorithm.options_for(environment.id)
    tables = {
        f"{hyperparameters.RESOURCES}: settings.{block}.{algorithm.agent}": chosen.hyperparameters,
        f"{hyperparameters.RESOURCES}: algorithms.{algorithm.name}.options": options,
        f"hyperparameters.{algorithm.name}": raw.get("hyperparameters", {}).get(algorithm.name, {}),
    }
    for where, values in tables.items():
        found += hyperparameters.bad_hyperparameters(values, algorithm.agent, where)
    return found


def _bad_budget(cell: Cell) -> list[str]:
    length, what = value(cell, "train_freq"), "train_freq"
    if not isinstance(length, int):
        length, what = value(cell, "n_steps"), "n_steps"
    least = length * cell.n_envs if isinstance(length, int) else 1
    where = f"budgets: {cell.budget} steps for {cell.algorithm!r} in {cell.environment!r}"
    if cell.budget < least:
        return [f"{where} are fewer than one rollout; allowed are {least} ({what} x n_envs) and more"]
    if cell.budget < cell.evaluation.points:
        return [f"{where} are fewer than evaluation.points; allowed are {cell.evaluation.points} and more"]
    return []


def _bad_replay(cell: Cell) -> list[str]:
    """A return of n steps needs as many in the memory before the first update."""
    if value(cell, "buffer_size") is None:
        return []
    window = (value(cell, "n_steps") or 1) * cell.n_envs
    least = {"learning_starts": window - 1, "buffer_size": window}
    return [
        f"{name} {value(cell, name)} of {cell.algorithm!r} in {cell.environment!r}: "
        f"allowed are {number} and more (n_steps x n_envs)"
        for name, number in least.items()
        if value(cell, name) < number
    ]
