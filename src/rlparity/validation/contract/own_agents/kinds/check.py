"""All checks by kind of fault, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from rlparity.cell import Cell
from rlparity.environments.base import EnvSpec
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents import seeds
from rlparity.validation.contract.own_agents.kinds import (
    checkpoints,
    deterministic_actions,
    game_starts,
    initial_weights,
    neighbours,
    random_streams,
)
from rlparity.validation.contract.own_agents.traced_training import Log
from rlparity.validation.plain_environments import is_atari

LazyCheck = Callable[[], Answer | None]  # None where a check does not apply


class Trainings(Protocol):
    """The trainings of a named configuration that checks examine."""

    algorithm: str
    environment: str
    changes: dict[str, Any]

    @property
    def home(self) -> Cell:
        """A training in its own environment."""

    @property
    def fault_showing(self) -> Log:
        """All seeds in the fault-showing environment, traced in detail."""


def checks(t: Trainings) -> dict[str, LazyCheck]:
    """All checks by name, for a named configuration."""

    def cell() -> Cell:
        return t.fault_showing.cell

    @cache
    def ten() -> random_streams.Drawn:
        return random_streams.train(cell(), random_streams.SEEDS)

    @cache
    def one() -> random_streams.Drawn:
        return random_streams.train(cell(), random_streams.SEEDS[random_streams.ALONE :][:1])

    found: dict[str, LazyCheck] = {
        "initial parameters have their distributions": lambda: initial_weights.distribution(
            t.algorithm, t.environment, t.changes
        ),
        "random numbers are neither shared nor repeated": lambda: random_streams.independent(ten()),
        "a seed alone draws what it draws among ten": lambda: random_streams.alone(ten(), one()),
        "a seed trained alone matches the seed among ten": lambda: seeds.among_others(ten().log, one().log),
        "a checkpoint holds all of a training": lambda: checkpoints.complete(t.home, cell()),
        "a training that dies again and again ends the same": lambda: checkpoints.reborn(
            t.fault_showing.cell
        ),
        "evaluations act as their mode says": lambda: deterministic_actions.evaluated(t.fault_showing),
    }
    return found | _of_learners(t) | (_of_games(t.environment) if is_atari(t.environment) else {})


def _of_learners(t: Trainings) -> dict[str, LazyCheck]:
    def asked() -> tuple[Cell, EnvSpec]:
        return t.fault_showing.cell, t.fault_showing.environments[0].spec

    return {
        "a seed outlives the failure of the first": lambda: neighbours.outlived(t.fault_showing),
        "no fate of a neighbour changes a seed's course": lambda: neighbours.undisturbed(*asked()),
        "deterministic actions are the policy's mode": lambda: deterministic_actions.modes(
            *asked(), is_atari(t.environment)
        ),
        "evaluations with random actions have their share": lambda: deterministic_actions.epsilon_evaluated(
            *asked()
        ),
    }


def _of_games(environment: str) -> dict[str, LazyCheck]:
    return {
        "games are played as their preset was published": lambda: game_starts.as_published(environment),
        "games start and are cut as their preset says": lambda: game_starts.drawn(environment),
    }
