"""An implementation under validation that comes as a Python entry point, `MODULE:FACTORY`.

Same worlds, clock, evaluator and records as our own agents and the reference: the candidate brings a learner
and its loop. docs/candidates.md explains what it promises, with a complete example.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import gymnasium as gym
import numpy as np
from torch import Tensor

from rlparity import registry
from rlparity.candidates import environments
from rlparity.candidates.environments import BudgetSpent, Ended, Ledger, Misbehaved
from rlparity.candidates.importing import bad_signature, load
from rlparity.candidates.policy import Policy, ambient_randomness, blamed
from rlparity.candidates.time_limit import Patience
from rlparity.cell import Cell
from rlparity.provenance import source_code
from rlparity.seeding import Streams
from rlparity.suites import hyperparameters as settings
from rlparity.training.evaluation import Evaluator
from rlparity.training.recorder import OnEpisodes, Recorder, ignore

if TYPE_CHECKING:
    from rlparity.training.checkpointing import Checkpointer

TIME_LIMIT_S = 600.0  # without a step, an action or an end; `candidate["time_limit_s"]` of a cell


class Candidate(Protocol):
    """What `factory(observation_space, action_space, hyperparameters)` gives: an untrained learner.

    It may have more: `episode_returns`, the returns of its training games as it has counted them itself;
    `save(path)` and `load(path)`; and for update parity `update(batch, draws)`, `load_reference(state)` and
    `reference_state()`, see `rlparity.validation.parity`.
    """

    def train(self, make_env: Callable[[int], gym.Env], seed: int, budget: int) -> None:
        """Learn from `budget` environment steps, counted over all sub-environments.

        `make_env(i)` gives sub-environment i, 0 and up, whose first `reset()` seeds it: leave `seed=` out.
        All other randomness follows from `seed`. An environment's `step` ends training by an exception once
        the budget is spent, and evaluates `act` in between.
        """

    def act(self, obs: np.ndarray, deterministic: bool) -> np.ndarray:
        """Raw observations (E, *obs) -> actions (E,) integers, or (E, *action) floats in the task's units.

        Learns nothing, and changes nothing that training depends on.
        """


Factory = Callable[[gym.Space, gym.Space, Mapping[str, Any]], Candidate]


def hyperparameters(cell: Cell) -> dict[str, Any]:
    """What a factory is given: all settings of the named configuration by Stable-Baselines3's names, defaults
    included, with `n_envs` (sub-environments) and `normalize` (running normalisation wanted)."""
    fields = settings.config(cell.agent) if cell.agent in registry.AGENTS else {}
    defaults = {name: field.default for name, field in fields.items()}
    known = {name: value for name, value in defaults.items() if value is not source_code.UNREADABLE}
    return {**known, **cell.hyperparameters, "n_envs": cell.n_envs, "normalize": cell.normalize}


def build(cell: Cell, factory: Factory) -> Candidate:
    """An untrained candidate for the cell; Misbehaved if there is none."""
    env = environments.make(cell.environment)
    try:
        with blamed("the factory"):
            made: Candidate = factory(env.observation_space, env.action_space, hyperparameters(cell))
    finally:
        env.close()
    need_methods(made)
    return made


def need_methods(made: Any) -> None:
    """Misbehaved if `train` or `act` is missing, or takes other arguments."""
    takes = {"train": "(make_env, seed, budget)", "act": "(obs, deterministic)"}
    for name, arguments in takes.items():
        method = getattr(made, name, None)
        if not callable(method):
            raise Misbehaved(
                f"the factory gave a {type(made).__name__}, which has no method {name}{arguments}"
            )
        if problem := bad_signature(method, arguments.count(",") + 1):
            raise Misbehaved(f"{name} cannot be called with {arguments}: {problem}")


def run(
    cell: Cell,
    watch: OnEpisodes = ignore,
    evaluate: bool = True,
    checkpointer: Checkpointer | None = None,
    rows: Recorder | None = None,
) -> Recorder:
    """Train the one seed of a cell whose `candidate["entry"]` names a factory.

    `watch`, `evaluate` and `rows` are as in `train.run`. Whatever the candidate does wrong is the reason why
    its seed failed. UserError if there is no such factory.
    """
    assert checkpointer is None, "a candidate's training cannot be saved"
    return train(cell, load(cell.candidate["entry"]), watch, evaluate, rows)


def train(
    cell: Cell,
    factory: Factory,
    watch: OnEpisodes = ignore,
    evaluate: bool = True,
    rows: Recorder | None = None,
) -> Recorder:
    """As `run`, with the factory itself."""
    assert len(cell.seeds) == 1, "a candidate has no axis of seeds"
    rows = rows or Recorder(cell)
    with Patience(cell.candidate.get("time_limit_s", TIME_LIMIT_S)) as patience:
        session = Session(cell, rows, watch, evaluate, patience)
        rows.start()
        try:
            session.train(factory)
        finally:
            session.close()
        rows.finish()
    return rows


class Session:
    """One seed of a candidate in training."""

    def __init__(self, cell: Cell, rows: Recorder, watch: OnEpisodes, evaluate: bool, patience: Patience):
        self._cell, self._rows, self._patience = cell, rows, patience
        self._random = Streams(cell)
        self._evaluator = Evaluator(cell, self._random) if evaluate else None
        self._point = 0  # the next of the protocol's evaluations
        self._policy: Policy | None = None
        self._ledger = Ledger(cell, rows, watch, self._before_step, patience.moved)

    def train(self, factory: Factory) -> None:
        """Build, train, evaluate once more; what the candidate does wrong fails the seed."""
        cell, ledger = self._cell, self._ledger
        try:
            made = build(cell, factory)
            self._policy = Policy(made, cell.environment, self._patience.moved)
            self._learn(made)
            if ledger.env_step < cell.budget:
                raise Misbehaved(f"it ended training after {ledger.env_step:,} of {cell.budget:,} steps")
            check_returns(made, [row["episode_return"] for row in self._rows.episodes])
            self._evaluate(cell.evaluation.points, cell.budget)
        except Misbehaved as error:
            if error.__cause__ is not None:
                traceback.print_exception(error.__cause__)
            self._rows.fail(0, ledger.env_step, str(error))

    def _learn(self, made: Candidate) -> None:
        ledger = self._ledger
        try:
            with blamed("train"):
                made.train(ledger.make_env, self._cell.seeds[0], self._cell.budget)
        except Ended:
            if ledger.raised is None:
                raise
        if not (ledger.raised is None or isinstance(ledger.raised, BudgetSpent)):
            raise ledger.raised  # whatever the candidate made of it

    def _before_step(self, env_step: int) -> None:
        points, budget = self._cell.evaluation.points, self._cell.budget
        if env_step >= budget:
            raise BudgetSpent
        if env_step * points >= self._point * budget:
            self._point = env_step * points // budget
            self._evaluate(self._point, env_step)
            self._point += 1

    def _evaluate(self, point: int, env_step: int) -> None:
        if self._evaluator is None:
            return
        assert self._policy is not None
        started = time.perf_counter()
        with ambient_randomness(self._random.integers(f"evaluation|ambient|{point}")[0]):
            outcomes = self._evaluator(self._policy, _as_it_is, point)
        self._rows.evaluation_time_s += time.perf_counter() - started
        self._rows.evaluated(env_step, outcomes, {})

    def close(self) -> None:
        """Close all worlds."""
        if self._evaluator is not None:
            self._evaluator.close()
        self._ledger.close()


def _as_it_is(obs: Tensor) -> Tensor:
    """A candidate that normalises observations does so itself."""
    return obs


def check_returns(made: Candidate, booked: list[float]) -> None:
    """Misbehaved if the candidate has counted its games' returns otherwise than the books; it may leave out
    the last ones."""
    reported = getattr(made, "episode_returns", None)
    if reported is None:
        return
    with blamed("reading episode_returns"):
        values = [float(value) for value in reported]
    if len(values) > len(booked):
        raise Misbehaved(f"it reports {len(values)} games, {len(booked)} were played")
    for i, (said, true) in enumerate(zip(values, booked, strict=False)):
        if not abs(said - true) <= 1e-4 * max(1.0, abs(true)):
            raise Misbehaved(f"it reports a return of {said:g} for game {i + 1}, which paid {true:g}")
