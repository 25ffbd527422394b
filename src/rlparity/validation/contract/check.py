"""The first layer: what any implementation must keep, whatever its algorithm, looked at in seconds.

`check` does it to a candidate from outside; `check_agent` to one of our own configurations, whose memories,
normalisers and steps it can look into.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from rlparity import registry
from rlparity.candidates import entry_point
from rlparity.candidates.entry_point import Factory
from rlparity.cell import Cell, Protocol
from rlparity.environments import metadata
from rlparity.errors import UserError, unknown
from rlparity.suites import hyperparameters as settings
from rlparity.suites.hyperparameters import Algorithm
from rlparity.validation.checks import TIME_LIMIT_S, Answer, Check, timed
from rlparity.validation.contract.candidates import entry_point as candidate_contract
from rlparity.validation.contract.candidates import traced_training
from rlparity.validation.contract.own_agents import check as contract_agent
from rlparity.validation.plain_environments import cut, is_atari

LAYER = "contract"
TIME_LIMIT_STEPS = 23  # of games, so that limits are met in seconds
STEPS = 1024  # at least, of a training
SHORT_GAMES = Protocol(points=3, episodes=5, final_episodes=5)
LONG_GAMES = Protocol(points=1, episodes=1, final_episodes=1)
BRIEF = {  # the most of what makes learning begin late or take long
    "n_steps": 32,
    "n_epochs": 2,
    "learning_starts": 64,
    "train_freq": 16,
    "gradient_steps": 4,
    "buffer_size": 10_000,
    "target_update_interval": 100,
}
NOT_APPLICABLE = (True, "not applicable")


def check(
    factory: Factory | str,
    environment: str,
    algorithm: str | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    time_limit_s: float = TIME_LIMIT_S,
) -> list[Check]:
    """Look at a candidate, a factory or its `MODULE:FACTORY`, in an environment.

    It is trained five times for about a thousand steps with the settings of the named configuration
    `algorithm`, cut short, and `hyperparameters`, as they are. Without a training that works, or after
    `time_limit_s` without a step, an action or an end, there is one check, which says why. UserError if there
    is no such factory, configuration or environment.
    """
    made = entry_point.load(factory) if isinstance(factory, str) else factory
    cell = brief_cell(environment, algorithm, hyperparameters or {}, time_limit_s)
    started = time.perf_counter()
    trace = traced_training.train(cell, made)
    name = "trains as many steps as it was asked for"
    if trace.reason is not None:
        return [Check(LAYER, name, False, trace.reason, time.perf_counter() - started)]
    games = sum(len(world.starts) for world in trace.stepped)
    detail = f"{cell.budget:,} steps of {len(trace.stepped)} sub-environments, {games} games"
    first = Check(LAYER, name, True, detail, time.perf_counter() - started)
    looks = candidate_contract.looks(cell, made, trace)
    return [first, *(timed(LAYER, name, look) for name, look in looks.items())]


def check_agent(
    algorithm: str, environment: str, hyperparameters: Mapping[str, Any] | None = None
) -> list[Check]:
    """Look into a named configuration of our own, in an environment and in a world made for the purpose.

    `train.run`, worlds, memories, normalisers and the evaluator are taken as they are now, so that a fault
    planted in any of them shows. `hyperparameters` replace those of the configuration. UserError if it
    cannot act there.
    """
    named_configuration(algorithm, environment)
    agent = contract_agent.Agent(algorithm, environment, dict(hyperparameters or {}))
    checks = [
        timed(LAYER, name, partial(_applied, look)) for name, look in contract_agent.looks(agent).items()
    ]
    return [check for check in checks if check.detail != NOT_APPLICABLE[1]]


def _applied(look: Callable[[], Answer | None]) -> Answer:
    return look() or NOT_APPLICABLE


def named_configuration(algorithm: str, environment: str) -> Algorithm:
    """A configuration that can act in an environment; UserError if there is no such thing."""
    algorithms, actions = settings.library().algorithms, metadata.probe(environment).actions
    if algorithm not in algorithms:
        raise unknown("algorithm", algorithm, algorithms, "contract")
    named = algorithms[algorithm]
    if actions not in registry.AGENTS[named.agent].actions:
        raise UserError(f"contract: {algorithm!r} cannot act in {environment!r}, whose actions are {actions}")
    return named


def brief_cell(
    environment: str, algorithm: str | None, hyperparameters: Mapping[str, Any], time_limit_s: float
) -> Cell:
    """A short training of seed 0 with time limits that are met."""
    agent, n_envs, normalize, values = "", 1, False, dict[str, Any]()
    modes: tuple[str, ...] = ("deterministic",)
    if algorithm is not None:
        named = named_configuration(algorithm, environment)
        block = settings.library().lookup(environment, named.agent)
        agent, n_envs, normalize, modes = named.agent, block.n_envs, block.normalize, named.modes
        fields = {name: field.default for name, field in settings.config(agent).items()}
        values = shortened({**fields, **block.hyperparameters, **named.options_for(environment)})
    values |= hyperparameters
    n_envs = values.pop("n_envs", n_envs)
    rollout = values.get("n_steps", 1)
    return Cell(
        suite="contract",
        environment=cut(environment, TIME_LIMIT_STEPS),
        implementation="candidate",
        algorithm=algorithm or "candidate",
        agent=agent,
        seeds=(0,),
        budget=max(STEPS, 3 * rollout * n_envs),
        n_envs=n_envs,
        normalize=values.pop("normalize", normalize),
        hyperparameters=values,
        evaluation=replace(LONG_GAMES if is_atari(environment) else SHORT_GAMES, modes=modes),
        candidate={"time_limit_s": time_limit_s},
    )


def shortened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hyper-parameters with which several updates come within a thousand steps."""
    counts = {name: value for name, value in values.items() if type(value) is int and name in BRIEF}
    return {**values, **{name: min(value, BRIEF[name]) for name, value in counts.items()}}
