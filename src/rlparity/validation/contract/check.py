"""The first layer of validation: properties of every implementation, whatever its algorithm, in seconds.

`check` tests a candidate from outside; `check_agent` tests one of our own configurations and also inspects
its buffers, running statistics and transitions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from rlparity import registry
from rlparity.candidates import entry_point
from rlparity.candidates.protocol import Factory
from rlparity.cell import Cell, Protocol
from rlparity.environments import metadata
from rlparity.errors import UserError, unknown
from rlparity.suites import hyperparameters as settings
from rlparity.suites.hyperparameters import Algorithm
from rlparity.validation.checks import TIME_LIMIT_S, Answer, Check, timed
from rlparity.validation.contract.candidates import entry_point as candidate_contract
from rlparity.validation.contract.candidates import traced_training
from rlparity.validation.contract.own_agents import check as agent_contract
from rlparity.validation.gradients import check as gradients
from rlparity.validation.plain_environments import is_atari, with_time_limit

LAYER = "contract"
TIME_LIMIT_STEPS = 23  # of an episode, so that time limits occur within seconds
STEPS = 1024  # environment steps of a training, at least
SHORT_EPISODES = Protocol(points=3, episodes=5, final_episodes=5)
LONG_EPISODES = Protocol(points=1, episodes=1, final_episodes=1)
BRIEF = {  # upper bounds of hyper-parameters that delay or prolong learning
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
    """Check a candidate, given as a factory or as `MODULE:FACTORY`, in an environment.

    It is trained five times for about a thousand steps with the settings of the named configuration
    `algorithm`, bounded by BRIEF, and with `hyperparameters` unchanged. If training fails, or lasts
    `time_limit_s` without a step, an action or its end, the only check is a failed one with the reason.
    Raises UserError if the factory, configuration or environment does not exist.
    """
    made = entry_point.load(factory) if isinstance(factory, str) else factory
    cell = brief_cell(environment, algorithm, hyperparameters or {}, time_limit_s)
    started = time.perf_counter()
    trace = traced_training.train(cell, made)
    name = "trains for the whole budget"
    if trace.reason is not None:
        return [Check(LAYER, name, False, trace.reason, time.perf_counter() - started, ran=not trace.broke)]
    episodes = sum(len(env.starts) for env in trace.stepped)
    detail = f"{cell.budget:,} steps of {len(trace.stepped)} sub-environments, {episodes} episodes"
    first = Check(LAYER, name, True, detail, time.perf_counter() - started)
    others = candidate_contract.checks(cell, made, trace)
    return [first, *(timed(LAYER, name, run) for name, run in others.items())]


def check_agent(
    algorithm: str, environment: str, hyperparameters: Mapping[str, Any] | None = None
) -> list[Check]:
    """Check one of our named configurations, in an environment and in one made to show faults.

    The training loop, environments, buffers, running statistics and the evaluator are those of the running
    process, so that a mutation planted in any of them shows. `hyperparameters` replace those of the
    configuration. Raises UserError if it cannot act in the environment.
    """
    named_configuration(algorithm, environment)
    changes = dict(hyperparameters or {})
    found = agent_contract.checks(agent_contract.Trainings(algorithm, environment, changes))
    found |= gradients.checks(algorithm, environment, changes)
    checks = [timed(LAYER, name, partial(_applied, run)) for name, run in found.items()]
    return [check for check in checks if check.detail != NOT_APPLICABLE[1]]


def _applied(run: Callable[[], Answer | None]) -> Answer:
    return run() or NOT_APPLICABLE


def named_configuration(algorithm: str, environment: str) -> Algorithm:
    """Return a named configuration; UserError if it does not exist or cannot act in the environment."""
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
    """A short training of seed 0 in which episodes reach their time limit."""
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
        environment=with_time_limit(environment, TIME_LIMIT_STEPS),
        implementation="candidate",
        algorithm=algorithm or "candidate",
        agent=agent,
        seeds=(0,),
        budget=max(STEPS, 3 * rollout * n_envs),
        n_envs=n_envs,
        normalize=values.pop("normalize", normalize),
        hyperparameters=values,
        evaluation=replace(LONG_EPISODES if is_atari(environment) else SHORT_EPISODES, modes=modes),
        candidate={"time_limit_s": time_limit_s},
    )


def shortened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Bound hyper-parameters by BRIEF, so that a thousand steps contain several updates."""
    counts = {name: value for name, value in values.items() if type(value) is int and name in BRIEF}
    return {**values, **{name: min(value, BRIEF[name]) for name, value in counts.items()}}
