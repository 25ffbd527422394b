"""From a suite's keys to its table of cells.

Functions add the problems that they find to `found`, one line each with the key it concerns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rlparity import registry
from rlparity.arms import OURS
from rlparity.cell import EPSILON, Cell, Protocol
from rlparity.environments.metadata import EnvironmentInfo
from rlparity.suites import candidates, checks, hyperparameters, splitting
from rlparity.suites.candidates import Candidate
from rlparity.suites.environments import Block, Environment
from rlparity.suites.hyperparameters import Algorithm, Library, Settings

Trained = str | Candidate  # a key of `registry.IMPLEMENTATIONS`, or a candidate


def cells(
    raw: Mapping[str, Any], places: Sequence[Environment], library: Library, found: list[str]
) -> list[Cell]:
    """All cells: per environment and algorithm the blocks of ours, then the single seeds of the reference and
    of every candidate that claims to be the algorithm. `raw` names the device, `cpu` or `cuda`, and may have
    a number as `split`."""
    table: dict[str, Cell] = {}
    brought = candidates.read(raw, [(each.id, each.algorithms) for each in places], library, found)
    for environment in places:
        for name in environment.algorithms:
            for algorithm, trained in _arms(raw, library, name, environment, brought):
                for cell in _cells(raw, environment, algorithm, trained, found):
                    table.setdefault(str(cell.folder), cell)
    return list(table.values())


def _arms(
    raw: Mapping[str, Any],
    library: Library,
    name: str,
    environment: Environment,
    brought: Sequence[Candidate],
) -> list[tuple[Algorithm, Trained]]:
    """The arms of a configuration in an environment: ours, its reference, and candidates."""
    algorithm = library.algorithms[name]
    arms: list[tuple[Algorithm, Trained]] = [(algorithm, OURS)]
    if algorithm.reference is not None:
        arms.append((library.algorithms[algorithm.reference.algorithm], algorithm.reference.implementation))
    chosen = [(one, trained) for one, trained in arms if trained in raw["implementations"]]
    return chosen + [(algorithm, one) for one in brought if one.claims(name, environment.id)]


def _cells(
    raw: Mapping[str, Any],
    environment: Environment,
    algorithm: Algorithm,
    trained: Trained,
    found: list[str],
) -> list[Cell]:
    """The cells of one arm in one environment."""
    chosen = hyperparameters.library().lookup(environment.id, algorithm.agent)
    if problems := checks.bad_choice(raw, environment, algorithm, chosen):
        _add(problems, found)
        return []
    budget = environment.budget(algorithm)
    assert budget is not None
    resumes = not isinstance(trained, Candidate) and _reference_resumes(environment, algorithm, chosen)
    resumed = trained == OURS or resumes
    values = _values(raw, environment, algorithm, chosen, trained, found)
    made = [
        Cell(
            suite=raw["name"],
            environment=environment.id,
            implementation=trained.name if isinstance(trained, Candidate) else trained,
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
            candidate=trained.candidate if isinstance(trained, Candidate) else {},
        )
        for block in _blocks(environment, algorithm.name, trained, raw.get("split", 1), found)
    ]
    for cell in made:
        _add(checks.bad_cell(cell), found)
    return made


def _add(problems: Sequence[str], found: list[str]) -> None:
    """Add the problems that are new."""
    found += [problem for problem in problems if problem not in found]


def _values(
    raw: Mapping[str, Any],
    environment: Environment,
    algorithm: Algorithm,
    chosen: Settings,
    trained: Trained,
    found: list[str],
) -> dict[str, Any]:
    """The hyper-parameters of an arm."""
    overrides = raw.get("hyperparameters", {}).get(algorithm.name, {})
    values = {**chosen.hyperparameters, **algorithm.options_for(environment.id), **overrides}
    if trained == OURS:
        return values
    where = f"hyperparameters.{algorithm.name}"
    _add(hyperparameters.beyond_reference(values, algorithm.agent, where), found)
    return hyperparameters.for_reference(values, algorithm.agent)


def _blocks(
    environment: Environment, algorithm: str, trained: Trained, split: int, found: list[str]
) -> tuple[Block, ...]:
    """The blocks of seeds of an arm: of ours those of the suite, divided, of all others single seeds."""
    if trained == OURS:
        return tuple(part for block in environment.blocks for part in splitting.parts(block, split))
    theirs = {} if isinstance(trained, Candidate) else environment.reference_seeds
    single = tuple((seed,) for block in theirs.get(algorithm, environment.blocks) for seed in block)
    return trained.blocks(environment.id, single, found) if isinstance(trained, Candidate) else single


def _reference_resumes(environment: Environment, algorithm: Algorithm, chosen: Settings) -> bool:
    """As `references.sb3_resume.resumable`: without replay memory, and where the records after a resumption
    may differ from those without one."""
    exact = registry.family(environment.id).resumes_exactly
    return not exact and not chosen.normalize and "buffer_size" not in hyperparameters.config(algorithm.agent)


def _protocol(asked: Mapping[str, Any], algorithm: Algorithm, info: EnvironmentInfo) -> Protocol:
    """A continuous policy is evaluated as its mean alone, if it has one; `epsilon` disturbs the deterministic
    choice of a discrete one."""
    modes = algorithm.modes
    if info.actions == "continuous" and "deterministic" in modes:
        modes = ("deterministic",)
    elif epsilon := asked.get("epsilon"):
        modes = tuple(f"{EPSILON}{epsilon:g}" if mode == "deterministic" else mode for mode in modes)
    return Protocol(**{key: value for key, value in asked.items() if key != "epsilon"}, modes=modes)
