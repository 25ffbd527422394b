"""Train Stable-Baselines3 (sb3-contrib included) as the reference: same environments, evaluator, records and
hyper-parameters as our own agents.

Time limits, normalisation and seeds are SB3's own, except that every sub-environment gets an independent seed
(SB3's seed + i overlaps between runs). Only the modules of this package import SB3.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from rlparity import registry
from rlparity.cell import Cell
from rlparity.references.sb3_environments import RecordedEnvironments
from rlparity.references.sb3_models import Policy, build, finite, view
from rlparity.seeding import Streams
from rlparity.training.evaluation import Evaluator, View

if TYPE_CHECKING:
    from rlparity.training.checkpointing import Checkpointer
    from rlparity.training.recorder import OnEpisodes, Recorder, State

DEPARTURES = ["sub-environments are seeded independently, not seed + i"]


class BudgetSpent(Exception):
    """The next environment step would be one too many."""


class BeforeRollout(BaseCallback):
    """Call a function whenever a rollout is about to begin, after the update that came before it."""

    def __init__(self, call: Callable[[], None]):
        super().__init__()
        self._call = call

    def _on_rollout_start(self) -> None:
        self._call()

    def _on_step(self) -> bool:
        return True


@dataclass
class Training:
    """A reference in training."""

    cell: Cell
    recorder: Recorder
    evaluator: Evaluator
    evaluate: bool
    model: BaseAlgorithm = field(init=False)
    env: Any = field(init=False)  # as the model sees it
    environments: RecordedEnvironments = field(init=False)
    point: int = 0  # the next of the protocol's evaluations
    between_rollouts: Callable[[], None] = lambda: None
    interruptible: Callable[[View], View] = lambda view: view  # lets a signal end an evaluation

    def before_step(self, env_step: int) -> None:
        """Evaluate if a point of the protocol has been reached; stop where the budget is spent."""
        if env_step >= self.cell.budget:
            raise BudgetSpent
        n_points = self.cell.evaluation.points
        if self.evaluate and env_step * n_points >= self.point * self.cell.budget:
            self.point = env_step * n_points // self.cell.budget
            self.evaluate_at(env_step)
            self.point += 1

    def evaluate_at(self, env_step: int) -> None:
        """Evaluate at `point`; a model whose parameters are not finite fails its seed."""
        if not finite(self.model):
            self.recorder.fail(0, env_step, "the parameters were not finite")
            raise BudgetSpent
        started = time.perf_counter()
        outcomes = self.evaluator(Policy(self.model), self.interruptible(view(self.env)), self.point)
        self.recorder.evaluation_time_s += time.perf_counter() - started
        metrics = {
            name.removeprefix("train/"): torch.tensor([float(value)])
            for name, value in self.model.logger.name_to_value.items()
            if name.startswith("train/") and value is not None
        }
        self.recorder.evaluated(env_step, outcomes, metrics)
        self.recorder.on_policy(env_step, lambda: state(self.model, self.env))


def train(training: Training, on_episodes: OnEpisodes, restore: Callable[[Training], int]) -> None:
    """Build the model and train it until the budget is spent.

    `restore` brings it to its last checkpoint and returns how often that has happened: what is resumed goes
    on with new episodes and new random streams.
    """
    cell, random = training.cell, Streams(training.cell)
    family = import_module(registry.family(cell.environment).reference)
    environments = family.make(cell.environment, cell.n_envs)
    training.environments = RecordedEnvironments(
        environments, training.before_step, training.recorder, on_episodes, family.raw
    )
    training.env = family.present(training.environments)
    if cell.normalize:
        training.env = VecNormalize(training.env, gamma=cell.hyperparameters.get("gamma", 0.99))
    training.model = build(cell, training.env, random.integers("model")[0])
    training.model.set_logger(Logger(folder=None, output_formats=[]))
    times_resumed = restore(training)
    again = f"|resumed {times_resumed}" if times_resumed else ""
    if again:
        training.model.set_random_seed(random.integers(f"model{again}")[0])
    environments._seeds = list(random.environments(f"training{again}", cell.n_envs)[0])
    _learn(training)
    if training.evaluate and not training.recorder.failed:
        training.point = cell.evaluation.points
        with suppress(BudgetSpent):  # the last update made parameters that are not finite
            training.evaluate_at(cell.budget)


def _learn(training: Training) -> None:
    model, recorder, budget = training.model, training.recorder, training.cell.budget
    try:
        model.learn(
            budget - model.num_timesteps,
            BeforeRollout(training.between_rollouts),
            log_interval=budget,
            reset_num_timesteps=model.num_timesteps == 0,
        )
    except BudgetSpent:
        pass
    except ValueError as error:  # SB3's distributions refuse NaN
        if finite(model):
            raise
        recorder.fail(0, model.num_timesteps, f"SB3 stopped: {str(error).splitlines()[0]}")
    if not recorder.failed:
        training.between_rollouts()


def state(model: BaseAlgorithm, env: VecEnv) -> State:
    """What the policy acts with: its parameters, and the statistics that normalise observations."""
    found = {f"policy.{name}": value.cpu() for name, value in model.policy.state_dict().items()}
    if isinstance(env, VecNormalize):
        moments: Any = env.obs_rms
        found |= {"normaliser.mean": torch.from_numpy(moments.mean)}
        found |= {"normaliser.var": torch.from_numpy(moments.var)}
    return found


def departures(cell: Cell) -> list[str]:
    """In what a reference's cell differs from plain SB3, and its environments from ours."""
    family = import_module(registry.family(cell.environment).reference)
    return [*DEPARTURES, *family.DEPARTURES]


def run(
    cell: Cell,
    on_episodes: OnEpisodes | None = None,
    evaluate: bool = True,
    checkpointer: Checkpointer | None = None,
    recorder: Recorder | None = None,
) -> Recorder:
    """Train SB3 on the one seed of a cell; arguments as in `training.run.run`, the checkpointer for a
    `resumable` cell alone."""
    from rlparity.references import sb3_resume
    from rlparity.training import recorder as recording

    assert len(cell.seeds) == 1, "SB3 has no axis of seeds"
    assert checkpointer is None or sb3_resume.resumable(cell), "resumed with new episodes, it is not exact"
    made = recorder or recording.Recorder(cell)
    training = Training(cell, made, Evaluator(cell, Streams(cell)), evaluate)
    restore = sb3_resume.attach(training, checkpointer) if checkpointer else lambda _: 0
    made.start()
    try:
        train(training, on_episodes or recording.ignore, restore)
        made.finish()
        made.state = state(training.model, training.env)
    finally:
        training.evaluator.close()
        if hasattr(training, "env"):
            training.env.close()
    return made
