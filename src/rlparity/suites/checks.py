"""What cannot work in a suite, one line for each problem with the key it concerns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rlparity import registry
from rlparity.cell import Cell
from rlparity.environments.metadata import EnvironmentInfo
from rlparity.errors import unknown
from rlparity.registry import IMPLEMENTATIONS
from rlparity.suites import hyperparameters, value_checks, yaml_reader
from rlparity.suites.environments import Environment
from rlparity.suites.hyperparameters import Algorithm, Settings
from rlparity.suites.memory_needs import value

NAME_BYTES = 255  # of a file


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
    for i, name in enumerate(_list(raw.get("implementations"))):
        if isinstance(name, str) and name not in IMPLEMENTATIONS:
            found.append(str(unknown("value", name, IMPLEMENTATIONS, f"implementations[{i}]")))
    for key in ("hyperparameters", "reference", "reference_seeds"):
        wrong = [name for name in _mapping(raw.get(key)) if name not in algorithms]
        found += [str(unknown("key", name, algorithms, key)) for name in wrong]
    return [*found, *_bad_references(raw, algorithms)]


def _bad_references(raw: Mapping[str, Any], algorithms: Mapping[str, Algorithm]) -> Iterator[str]:
    """References of a suite that are neither trained beside ours nor among its candidates."""
    known = [*IMPLEMENTATIONS, *_mapping(raw.get("candidates"))]
    for name, data in _mapping(raw.get("reference")).items():
        if isinstance(data, str) or _mapping(data).keys() >= {"implementation", "algorithm"}:
            yield from hyperparameters.bad_reference(data, known, algorithms, f"reference.{name}")


def bad_paths(raw: Mapping[str, Any]) -> list[str]:
    """Keys of candidates that no file can be named."""
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


def bad_spaces(environment: str, info: EnvironmentInfo, algorithm: Algorithm) -> list[str]:
    """Why a configuration has no use for the actions or observations of an environment."""
    found = []
    known = registry.AGENTS[algorithm.agent].actions
    if info.actions not in known:
        found.append(
            f"algorithm {algorithm.name!r} cannot act in {environment!r}: its actions are "
            f"{info.actions}, agent {algorithm.agent!r} knows {', '.join(known)}{info.hint}"
        )
    if info.image and not registry.AGENTS[algorithm.agent].images:
        seeing = ", ".join(name for name, entry in registry.AGENTS.items() if entry.images)
        found.append(
            f"algorithm {algorithm.name!r} cannot learn from the images of {environment!r}; agents that "
            f"can: {seeing}"
        )
    return found


def bad_choice(
    raw: Mapping[str, Any], environment: Environment, algorithm: Algorithm, chosen: Settings
) -> list[str]:
    """Why a configuration cannot be trained in an environment."""
    found = bad_spaces(environment.id, environment.info, algorithm)
    if environment.budget(algorithm) is None:
        found.append(
            f"budgets: nothing for {algorithm.name!r} in {environment.id!r}; name it, or add 'default'"
        )
    block = hyperparameters.library().block(environment.id, algorithm.agent)
    options = algorithm.options_for(environment.id)
    tables = {
        f"{hyperparameters.place()}: settings.{block}.{algorithm.agent}": chosen.hyperparameters,
        f"{hyperparameters.place()}: algorithms.{algorithm.name}.options": options,
        f"hyperparameters.{algorithm.name}": raw.get("hyperparameters", {}).get(algorithm.name, {}),
    }
    for where, values in tables.items():
        found += value_checks.bad_hyperparameters(values, algorithm.agent, where)
    return found


def bad_cell(cell: Cell) -> list[str]:
    """Why a cell cannot be trained as a suite asks for it."""
    return [*_bad_budget(cell), *_bad_replay(cell)]


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
