"""Stable-Baselines3 and our agent in lock-step: SB3 runs its own loop, our agent follows every step."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from rlparity.cell import Cell
from rlparity.environments import base as env_base
from rlparity.seeding import Streams
from rlparity.transitions import Step
from rlparity.validation import double_precision, paired_models
from rlparity.validation.lockstep import environments, random_draws
from rlparity.validation.lockstep.batches import Batches
from rlparity.validation.lockstep.cases import Case
from rlparity.validation.lockstep.distance import RelativeDistance
from rlparity.validation.lockstep.rounding_control import Nudged


class Difference(NamedTuple):
    """The place where two learners part."""

    env_step: int  # environment steps so far
    what: str  # the tensor, or an action that only one of them takes
    size: float = float("inf")  # see `RelativeDistance`

    def __str__(self) -> str:
        size = f" by {self.size:.1e}" if np.isfinite(self.size) else ""
        return f"{self.what}{size} at environment step {self.env_step:,}"


class Point(NamedTuple):
    """The distance of the two learners after an update."""

    env_step: int
    updates: int  # rollouts or minibatches that both have learned from
    distance: float  # the largest of all parameters, see `RelativeDistance`


class Spent(Exception):
    """The budget is spent, or the learners have parted."""


class Pair:
    """Both learners and the findings so far. With `own_actions` our agent acts in its own environment; with
    `stop` the run ends where the two part; with `control` a nudged copy of our agent learns alongside."""

    def __init__(
        self,
        case: Case,
        own_actions: bool = False,
        stop: bool = True,
        control: bool = False,
        seed: int = 0,
    ):
        self.case, self._own_actions, self._stop = case, own_actions, stop
        self.models = paired_models.make(
            case.algorithm,
            environments.SharedEnvs(case, self),
            case.hyperparameters,
            budget=case.env_steps,
            seed=seed,
        )
        self.model, self.agent = self.models.model, self.models.agent
        if getattr(self.model, "action_noise", None) is not None:
            self.model.action_noise._dtype = np.float64
        self._measure, self._measure_inputs = RelativeDistance(self.models.from_zero), RelativeDistance()
        self._tape, self._batches = random_draws.Tape(), Batches(self._compare)
        random_draws.hand_over(self.agent, self._tape.learning)
        self._nudged = Nudged(self.models) if control else None
        cell = Cell("lockstep", case.environment, "both", case.algorithm, case.algorithm, (seed,), 0)
        self._seeds = Streams(cell).environments("training", case.n_envs)
        self._own_env: env_base.Env | None = None
        self._pending: Step | None = None  # the step that our agent observes next
        self.env_step = self.updates = self.episodes = self.truncated = 0
        self.curve: list[Point] = []
        self.control: list[Point] = []  # distances of the nudged copy from our agent
        self.first: Difference | None = None

    def run(self) -> None:
        """Let SB3 learn and our agent follow until the budget is spent."""
        self.model.env.venv._seeds = list(self._seeds[0])
        with ExitStack() as stack:
            stack.enter_context(double_precision.precision(torch.float64))
            stack.enter_context(environments.time_limit(self.case))
            stack.enter_context(random_draws.normal_inputs())
            stack.callback(self.model.env.close)
            if self._own_actions:
                self._own_env = env_base.make(self.case.environment, self._seeds)
                stack.callback(self._own_env.close)
            stack.enter_context(self._batches.recording(self.agent, self.model))
            stack.enter_context(self._tape.running(self.model))
            with suppress(Spent):
                self.model.learn(self.case.env_steps, log_interval=self.case.env_steps)
                self._settle()

    def chosen(self, obs: np.ndarray, actions: np.ndarray) -> None:
        """Let our agent learn from its last step, then choose its actions."""
        self._settle()
        if self.env_step >= self.case.env_steps:
            raise Spent
        if self._own_env is not None:
            draws = random_draws.explore(self.case.algorithm, self._tape.acting, self.model)
            action = self.agent.act(self._own_env.obs.double(), draws)
            bounded = _bounded(action, self.model.action_space)
            self._compare(
                {"observation": self._own_env.obs, "action": bounded}, {"observation": obs, "action": actions}
            )
            self._pending = _take(self._own_env, action)
        self._tape.acting.clear()

    def stepped(self, step: Step, ended: list[environments.FinishedEpisode]) -> None:
        """Store SB3's step, or compare it with that of our agent's own environment."""
        self.env_step += self.case.n_envs
        self.episodes += len(ended)
        self.truncated += sum(each.truncated for each in ended)
        if self._own_env is None:
            self._pending = step
            return
        assert self._pending is not None
        theirs = step._asdict()
        del theirs["obs"], theirs["action"]  # compared in `chosen`
        self._compare(self._pending._asdict(), theirs)
        ours = [episode.episode_return for episode in self._own_env.pop_episodes()]
        returns = [each.episode_return for each in ended]
        self._compare({"episode return": torch.tensor(ours)}, {"episode return": torch.tensor(returns)})

    def _settle(self) -> None:
        """Let our agent learn from the step that SB3 has learned from, and compare both."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        if self._own_env is None and self._batches.drawn is not None:
            pending = pending._replace(action=self._batches.drawn.view_as(pending.action))
        try:
            if self._nudged is not None:
                self._nudged.observe(pending, self._tape.learning)
            self.agent.observe(pending)
            learned = self._batches.settle()
        except random_draws.Parted as parted:
            self._part(Difference(self.env_step, str(parted)))
            raise Spent from None
        self._compare_exploration()
        if learned:
            self.updates += learned
            found = self._measure(self.models.ours(), self.models.theirs())
            self.curve.append(Point(self.env_step, self.updates, max(found.values())))
            if self._nudged is not None:
                self.control.append(Point(self.env_step, self.updates, self._nudged.distance()))
            self._judge(found)
        self._tape.learning.clear()

    def _compare_exploration(self) -> None:
        """Compare epsilon after learning has started."""
        if self.case.algorithm == "dqn" and self.env_step >= self.agent.config.learning_starts:
            rates = torch.tensor([[self.agent.epsilon, self.model.exploration_rate]], dtype=torch.float64)
            self._compare({"epsilon": rates[:, 0]}, {"epsilon": rates[:, 1]})

    def _compare(self, ours: Mapping[str, Tensor], theirs: Mapping[str, Any]) -> None:
        """Compare tensors of the same name, in the order of ours; SB3's may have another shape."""
        if self.first is not None:
            return
        mine = {name: tensor for name, tensor in ours.items() if name in theirs}
        other = {name: torch.as_tensor(theirs[name]) for name in mine}
        self._judge(self._measure_inputs(mine, {name: _shaped(other[name], mine[name]) for name in mine}))

    def _judge(self, found: Mapping[str, float]) -> None:
        """Record the first difference above the tolerance; NaN is above it."""
        if self.first is None:
            for what, size in found.items():
                if not size <= self.case.tolerance:
                    self._part(Difference(self.env_step, what, size))
                    return

    def _part(self, where: Difference) -> None:
        self.first = self.first or where
        if self._stop:
            raise Spent


def _shaped(tensor: Tensor, like: Tensor) -> Tensor:
    """Reshape a tensor like another with as many elements."""
    return tensor.reshape(like.shape) if tensor.numel() == like.numel() else tensor


def _take(env: env_base.Env, action: Tensor) -> Step:
    """Take a step with the action rounded to float32; the step contains the unrounded action."""
    if not action.is_floating_point():
        return environments.doubles(env.step(action))
    step = env.step(action.float())
    whole = torch.equal(step.action, action.float())
    return environments.doubles(step._replace(action=action) if whole else step)


def _bounded(action: Tensor, space: gym.Space) -> Tensor:
    """Clip an action as environments do."""
    if not isinstance(space, gym.spaces.Box):
        return action
    return action.clamp(torch.from_numpy(space.low), torch.from_numpy(space.high))
