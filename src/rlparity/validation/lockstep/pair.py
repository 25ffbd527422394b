"""Stable-Baselines3 and our agent in lock-step: SB3's loop drives, ours follows each of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor

from rlparity.cell import Cell
from rlparity.environments import base as tasks
from rlparity.records import Step
from rlparity.seeding import Streams
from rlparity.validation import double_precision, paired_models
from rlparity.validation.lockstep import environments, random_draws
from rlparity.validation.lockstep.batches import Batches
from rlparity.validation.lockstep.cases import Case
from rlparity.validation.lockstep.distance import Yardstick
from rlparity.validation.lockstep.rounding_control import Nudged


class Difference(NamedTuple):
    """Where two learners part."""

    env_step: int  # environment steps when it showed
    what: str  # the tensor, or what one of them does and the other does not
    size: float = float("inf")  # see `Yardstick`

    def __str__(self) -> str:
        size = f" by {self.size:.1e}" if np.isfinite(self.size) else ""
        return f"{self.what}{size} at environment step {self.env_step:,}"


class Point(NamedTuple):
    """The two learners after they have learned."""

    env_step: int
    updates: int  # rollouts or minibatches that both have learned from
    distance: float  # the largest of a parameter, see `Yardstick`


class Spent(Exception):
    """The next environment step would be one too many, or one after the learners parted."""


class Pair:
    """Both learners, and what was found so far. With `own_actions` ours acts by itself in its own task; with
    `stop` the run ends where the two part; with `control` a nudged copy of ours learns from the same."""

    def __init__(
        self,
        case: Case,
        own_actions: bool = False,
        stop: bool = True,
        control: bool = False,
        seed: int = 0,
    ):
        self.case, self._own_actions, self._stop = case, own_actions, stop
        self.twins = paired_models.make(
            case.algorithm,
            environments.Worlds(case, self),
            case.hyperparameters,
            budget=case.env_steps,
            seed=seed,
        )
        self.model, self.agent = self.twins.model, self.twins.agent
        if getattr(self.model, "action_noise", None) is not None:
            self.model.action_noise._dtype = np.float64
        self._measure, self._seen = Yardstick(self.twins.from_zero), Yardstick()
        self._tape, self._batches = random_draws.Tape(), Batches(self._compare)
        random_draws.hand_over(self.agent, self._tape.learning)
        self._nudged = Nudged(self.twins) if control else None
        cell = Cell("lockstep", case.environment, "both", case.algorithm, case.algorithm, (seed,), 0)
        self._seeds = Streams(cell).environments("training", case.n_envs)
        self._task: tasks.Env | None = None
        self._pending: Step | None = None  # what ours has yet to observe
        self.env_step = self.updates = self.episodes = self.cut = 0
        self.curve: list[Point] = []
        self.control: list[Point] = []  # the same of the nudged copy and the agent itself
        self.first: Difference | None = None

    def run(self) -> None:
        """Let SB3 learn and ours follow, until the budget is spent."""
        self.model.env.venv._seeds = list(self._seeds[0])
        with ExitStack() as stack:
            stack.enter_context(double_precision.precision(torch.float64))
            stack.enter_context(environments.time_limit(self.case))
            stack.enter_context(random_draws.given())
            stack.callback(self.model.env.close)
            if self._own_actions:
                self._task = tasks.make(self.case.environment, self._seeds)
                stack.callback(self._task.close)
            stack.enter_context(self._batches.watching(self.agent, self.model))
            stack.enter_context(self._tape.running(self.model))
            with suppress(Spent):
                self.model.learn(self.case.env_steps, log_interval=self.case.env_steps)
                self._settle()

    def chosen(self, obs: np.ndarray, actions: np.ndarray) -> None:
        """Ours takes its last step, then chooses, too."""
        self._settle()
        if self.env_step >= self.case.env_steps:
            raise Spent
        if self._task is not None:
            handed = random_draws.explore(self.case.algorithm, self._tape.acting, self.model)
            action = self.agent.act(self._task.obs.double(), handed)
            bounded = _bounded(action, self.model.action_space)
            self._compare(
                {"observation": self._task.obs, "action": bounded}, {"observation": obs, "action": actions}
            )
            self._pending = _take(self._task, action)
        self._tape.acting.clear()

    def stepped(self, step: Step, ended: list[environments.Ended]) -> None:
        """Ours gets SB3's step, or that of its own task, which should be the same."""
        self.env_step += self.case.n_envs
        self.episodes, self.cut = self.episodes + len(ended), self.cut + sum(each.cut for each in ended)
        if self._task is None:
            self._pending = step
            return
        assert self._pending is not None
        theirs = step._asdict()
        del theirs["obs"], theirs["action"]  # compared before
        self._compare(self._pending._asdict(), theirs)
        ours = [episode.episode_return for episode in self._task.pop_episodes()]
        returns = [each.episode_return for each in ended]
        self._compare({"episode return": torch.tensor(ours)}, {"episode return": torch.tensor(returns)})

    def _settle(self) -> None:
        """SB3 has learned all it will from its last step: let ours do so, and compare."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        if self._task is None and self._batches.drawn is not None:
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
            found = self._measure(self.twins.ours(), self.twins.theirs())
            self.curve.append(Point(self.env_step, self.updates, max(found.values())))
            if self._nudged is not None:
                self.control.append(Point(self.env_step, self.updates, self._nudged.distance()))
            self._judge(found)
        self._tape.learning.clear()

    def _compare_exploration(self) -> None:
        """Epsilon, once it is in use."""
        if self.case.algorithm == "dqn" and self.env_step >= self.agent.config.learning_starts:
            rates = torch.tensor([[self.agent.epsilon, self.model.exploration_rate]], dtype=torch.float64)
            self._compare({"epsilon": rates[:, 0]}, {"epsilon": rates[:, 1]})

    def _compare(self, ours: Mapping[str, Tensor], theirs: Mapping[str, Any]) -> None:
        """Tensors of the same name, in the order of ours; SB3's may have another shape."""
        if self.first is not None:
            return
        mine = {name: tensor for name, tensor in ours.items() if name in theirs}
        other = {name: torch.as_tensor(theirs[name]) for name in mine}
        self._judge(self._seen(mine, {name: _shaped(other[name], mine[name]) for name in mine}))

    def _judge(self, found: Mapping[str, float]) -> None:
        """Keep the first difference above the tolerance; a NaN is above it."""
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
    """In the shape of another that has as many elements."""
    return tensor.reshape(like.shape) if tensor.numel() == like.numel() else tensor


def _take(task: tasks.Env, action: Tensor) -> Step:
    """A step of our task that is handed the action in float32, and remembered with it as it was."""
    if not action.is_floating_point():
        return environments.doubles(task.step(action))
    step = task.step(action.float())
    whole = torch.equal(step.action, action.float())
    return environments.doubles(step._replace(action=action) if whole else step)


def _bounded(action: Tensor, space: gym.Space) -> Tensor:
    """What the worlds make of an action."""
    if not isinstance(space, gym.spaces.Box):
        return action
    return action.clamp(torch.from_numpy(space.low), torch.from_numpy(space.high))
