"""Train a candidate that is a Python entry point, `MODULE:FACTORY`.

The candidate provides a learner and its training loop. Environments, step count, evaluation and records are
those of our own agents and of the reference. docs/guide/validate.md is the guide, with a complete example.
"""

from __future__ import annotations

import traceback
from typing import Any

from rlparity import registry
from rlparity.candidates import environments
from rlparity.candidates.environments import BudgetSpent, Ended, Misbehaved, TrainingEnvironments
from rlparity.candidates.examination import Answers, Examiner
from rlparity.candidates.importing import bad_signature, load
from rlparity.candidates.policy import Policy, ambient_randomness, candidate_code
from rlparity.candidates.protocol import Candidate, Factory
from rlparity.candidates.time_limit import TimeLimit
from rlparity.cell import Cell
from rlparity.provenance import source_code
from rlparity.seeding import Streams
from rlparity.suites import hyperparameters as settings
from rlparity.training.recorder import OnEpisodes, Recorder, ignore

TIME_LIMIT_S = 600.0  # without a step, an action or an end; default of `candidate["time_limit_s"]`


def hyperparameters(cell: Cell) -> dict[str, Any]:
    """The hyper-parameters that a factory is given, under Stable-Baselines3's names, defaults included.

    Besides: `n_envs`, the number of sub-environments, and `normalize`, whether the configuration normalises
    observations and rewards by running statistics.
    """
    fields = settings.config(cell.agent) if cell.agent in registry.AGENTS else {}
    defaults = {name: field.default for name, field in fields.items()}
    known = {name: value for name, value in defaults.items() if value is not source_code.UNREADABLE}
    return {**known, **cell.hyperparameters, "n_envs": cell.n_envs, "normalize": cell.normalize}


def build(cell: Cell, factory: Factory) -> Candidate:
    """Make an untrained candidate for a cell. Raises Misbehaved if the factory fails."""
    env = environments.make(cell.environment)
    try:
        with candidate_code("the factory"):
            made: Candidate = factory(env.observation_space, env.action_space, hyperparameters(cell))
    finally:
        env.close()
    need_methods(made)
    return made


def need_methods(made: Any) -> None:
    """Raise Misbehaved if `train` or `act` is missing, or takes other arguments."""
    needed = {"train": "(make_env, seed, budget)", "act": "(obs, deterministic)"}
    for name, arguments in needed.items():
        method = getattr(made, name, None)
        if not callable(method):
            raise Misbehaved(
                f"the factory gave a {type(made).__name__}, which has no method {name}{arguments}"
            )
        if problem := bad_signature(method, arguments.count(",") + 1):
            raise Misbehaved(f"{name} cannot be called with {arguments}: {problem}")


def run(
    cell: Cell,
    on_episodes: OnEpisodes = ignore,
    evaluate: bool | Answers = True,
    recorder: Recorder | None = None,
    stated: list[Any] | None = None,
) -> Recorder:
    """Train the one seed of a cell whose `candidate["entry"]` names a factory.

    The other arguments are those of `training.run.run`; with `Answers`, another process evaluates and records
    evaluations. The candidate's attribute `answer`, if it has one, is added to `stated`. If the candidate
    breaks its contract, the seed fails with the reason. Raises UserError if there is no such factory.
    """
    return train(cell, load(cell.candidate["entry"]), on_episodes, evaluate, recorder, stated)


def train(
    cell: Cell,
    factory: Factory,
    on_episodes: OnEpisodes = ignore,
    evaluate: bool | Answers = True,
    recorder: Recorder | None = None,
    stated: list[Any] | None = None,
) -> Recorder:
    """As `run`, with the factory itself."""
    assert len(cell.seeds) == 1, "candidates are trained seed by seed"
    recorder = recorder or Recorder(cell)
    examiner = Examiner(cell, recorder) if evaluate is True else evaluate or None
    with TimeLimit(cell.candidate.get("time_limit_s", TIME_LIMIT_S)) as limit:
        session = Session(cell, recorder, on_episodes, examiner, limit)
        recorder.start()
        try:
            session.train(factory)
        finally:
            session.close()
        recorder.finish()
        if stated is not None and session.answer is not None:
            stated.append(session.answer)
    return recorder


class Session:
    """The training of one seed of a candidate."""

    def __init__(
        self,
        cell: Cell,
        recorder: Recorder,
        on_episodes: OnEpisodes,
        examiner: Examiner | Answers | None,
        limit: TimeLimit,
    ):
        self._cell, self._recorder, self._limit = cell, recorder, limit
        self._random = Streams(cell)
        self._examiner = examiner
        self._point = 0  # the next of the protocol's evaluations
        self._policy: Policy | None = None
        self.answer: Any = None  # the candidate's, about its settings
        self._environments = TrainingEnvironments(cell, recorder, on_episodes, self._before_step, limit.renew)

    def train(self, factory: Factory) -> None:
        """Build, train, evaluate at the end. If the candidate breaks its contract, its seed fails."""
        cell, environments = self._cell, self._environments
        try:
            made = build(cell, factory)
            self._policy = Policy(made, cell.environment, self._limit.renew)
            self._learn(made)
            with candidate_code("reading answer"):
                self.answer = getattr(made, "answer", None)
            if environments.env_step < cell.budget:
                raise Misbehaved(
                    f"it ended training after {environments.env_step:,} of {cell.budget:,} steps"
                )
            check_returns(made, [row["episode_return"] for row in self._recorder.episodes])
            self._evaluate(cell.evaluation.points, cell.budget)
        except Misbehaved as error:
            if error.__cause__ is not None:
                traceback.print_exception(error.__cause__)
            self._recorder.fail(0, environments.env_step, str(error))
        finally:
            self._recorder.env_step = environments.env_step

    def _learn(self, made: Candidate) -> None:
        environments = self._environments
        try:
            with candidate_code("train"):
                made.train(environments.make_env, self._cell.seeds[0], self._cell.budget)
        except Ended:
            if environments.raised is None:
                raise
        if not (environments.raised is None or isinstance(environments.raised, BudgetSpent)):
            raise environments.raised  # also where the candidate has caught it

    def _before_step(self, env_step: int) -> None:
        points, budget = self._cell.evaluation.points, self._cell.budget
        if env_step >= budget:
            raise BudgetSpent
        if env_step * points >= self._point * budget:
            self._point = env_step * points // budget
            self._evaluate(self._point, env_step)
            self._point += 1

    def _evaluate(self, point: int, env_step: int) -> None:
        if self._examiner is None:
            return
        assert self._policy is not None
        with ambient_randomness(self._random.integers(f"evaluation|ambient|{point}")[0]):
            self._examiner(self._policy, point, env_step)

    def close(self) -> None:
        """Close all environments."""
        if self._examiner is not None:
            self._examiner.close()
        self._environments.close()


def check_returns(made: Candidate, recorded: list[float]) -> None:
    """Raise Misbehaved if `episode_returns` of the candidate differ from the recorded ones.

    The last episodes may be missing from it.
    """
    reported = getattr(made, "episode_returns", None)
    if reported is None:
        return
    with candidate_code("reading episode_returns"):
        values = [float(value) for value in reported]
    if len(values) > len(recorded):
        raise Misbehaved(f"it reports {len(values)} episodes; {len(recorded)} ended")
    for i, (value, true) in enumerate(zip(values, recorded, strict=False)):
        if not abs(value - true) <= 1e-4 * max(1.0, abs(true)):
            raise Misbehaved(f"it reports a return of {value:g} for episode {i + 1}; it was {true:g}")
