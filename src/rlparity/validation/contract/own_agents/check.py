"""The checks of our own agents' contract: see `contract.check.check_agent`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from rlparity.buffers.replay import Replay
from rlparity.cell import Cell, Protocol
from rlparity.suites import hyperparameters
from rlparity.training import object_state
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents import (
    atari_games,
    buffers,
    exploration,
    fault_showing_env,
    frame_arena,
    initialization,
    normalization,
    seeds,
    traced_training,
    transitions,
)
from rlparity.validation.contract.own_agents.kinds import check as kinds
from rlparity.validation.contract.own_agents.traced_training import Log
from rlparity.validation.plain_environments import is_atari

LazyCheck = Callable[[], Answer | None]  # None where a check does not apply
SEEDS = (0, 1)
QUICK: dict[str, Any] = {  # hyper-parameters with which a hundred steps contain updates, resets and clipping
    "n_epochs": 2,
    "learning_starts": 30,
    "train_freq": 2,
    "gradient_steps": 2,
    "buffer_size": 120,
    "target_update_interval": 12,
    "exploration_fraction": 0.5,
    "n_critic_updates": 2,
    "cg_max_steps": 3,
    "n_episodes": 3,
    "n_quantiles": 5,
    "net_arch": [24, 24],
    "log_std_init": -0.7,
    "noise_std": 0.1,
}


@dataclass
class Trainings:
    """The trainings of a named configuration that its checks examine, each run at its first use."""

    algorithm: str
    environment: str
    changes: dict[str, Any] = field(default_factory=dict)  # other values of hyper-parameters

    def _cell(self, environment: str, n_envs: int, n_steps: int, **fields: Any) -> Cell:
        named = hyperparameters.library().algorithms[self.algorithm]
        block = hyperparameters.library().lookup(self.environment, named.agent)
        known = hyperparameters.config(named.agent)
        values = {**block.hyperparameters, **named.options_for(environment)}
        rollout = "n_steps" in known and "buffer_size" not in known
        quick = QUICK | {"n_steps": n_steps, "batch_size": n_steps * n_envs - 1} if rollout else QUICK
        if not rollout:
            quick = quick | {"batch_size": 16}
        values |= {name: value for name, value in quick.items() if name in known}
        modes = named.modes
        if self._continuous and "deterministic" in modes:
            modes = ("deterministic",)
        length = n_steps if rollout else 25
        return Cell(
            suite="contract",
            environment=environment,
            implementation="scratch",
            algorithm=self.algorithm,
            agent=named.agent,
            seeds=SEEDS,
            budget=3 * length * n_envs + 5,
            n_envs=n_envs,
            hyperparameters={**values, **self.changes},
            evaluation=Protocol(points=2, episodes=3, final_episodes=4, modes=modes),
            checkpoint_every=10**9,
            **fields,
        )

    @cached_property
    def _continuous(self) -> bool:
        if is_atari(self.environment):
            return False
        return transitions.is_continuous(self.environment)

    @property
    def home(self) -> Cell:
        """A training in its own environment; instead of images, in the fault-showing environment."""
        if is_atari(self.environment):
            return self.fault_showing_cell
        block = hyperparameters.library().lookup(
            self.environment, hyperparameters.library().algorithms[self.algorithm].agent
        )
        return self._cell(self.environment, max(block.n_envs, 2), 16, normalize=block.normalize)

    @property
    def fault_showing_cell(self) -> Cell:
        """A training in the fault-showing environment, with running normalisation."""
        environment = fault_showing_env.CONTINUOUS if self._continuous else fault_showing_env.DISCRETE
        return self._cell(environment, 3, 16, normalize=True)

    @cached_property
    def block(self) -> Log:
        """All seeds trained together."""
        return traced_training.run(self.home)

    @cached_property
    def alone(self) -> Log:
        """The second seed trained alone."""
        return traced_training.run(replace(self.home, seeds=SEEDS[1:2]))

    @cached_property
    def fault_showing(self) -> Log:
        """All seeds in the fault-showing environment, traced in detail."""
        return traced_training.run(self.fault_showing_cell, in_detail=True)


def checks(trainings: Trainings) -> dict[str, LazyCheck]:
    """All checks by name."""
    own = {**_environment_checks(trainings), **_seed_checks(trainings), **_learning_checks(trainings)}
    return own | kinds.checks(trainings)


def _environment_checks(t: Trainings) -> dict[str, LazyCheck]:
    return {
        "all numbers stay finite": lambda: seeds.finite(t.block, t.fault_showing),
        "initial parameters match the reference's": lambda: initialization.parameters(t.fault_showing),
        "values of images match the reference's": lambda: _if_images(t),
        "games are the emulator's, frame by frame": lambda: _if_games(t),
        "frames kept once give back whole stacks": lambda: _if_frames(t),
        "steps are Gymnasium's": lambda: transitions.faithful(t.block),
        "steps are Gymnasium's at the time limit": lambda: transitions.to_the_limit(t.home.environment),
        "steps are Gymnasium's at terminations and short limits": lambda: transitions.faithful(
            t.fault_showing
        ),
        "episode statistics match RecordEpisodeStatistics": lambda: transitions.episodes(t.block),
        "episode statistics match RecordEpisodeStatistics under normalisation": lambda: transitions.episodes(
            t.fault_showing
        ),
        "evaluations report the episodes that were played": lambda: transitions.evaluated(t.block),
    }


def _seed_checks(t: Trainings) -> dict[str, LazyCheck]:
    def again(evaluate: bool = True) -> Log:
        return traced_training.run(replace(t.home, seeds=SEEDS[1:2]), evaluate)

    return {
        "the same seed gives the same run": lambda: seeds.same(t.alone, again()),
        "evaluation does not change training": lambda: seeds.same(t.alone, again(evaluate=False)),
        "a seed trained alone matches the seed in a block": lambda: seeds.among_others(t.block, t.alone),
        "sub-environments share no random stream": lambda: seeds.no_shared_streams(t.block),
        "seeds differ": lambda: seeds.all_differ(t.block),
    }


def _learning_checks(t: Trainings) -> dict[str, LazyCheck]:
    found: dict[str, Callable[[Log], Answer | None]] = {
        "replay memory holds the observed transitions": _if_replay,
        "updates use the observed transitions": buffers.learning,
        "running statistics match all observed steps": normalization.normalised,
        "evaluation normalises by the statistics of training": normalization.viewed,
        "actions are within their bounds": _if_bounded,
        "saved parameters give the same actions": partial(_if_learning, seeds.loaded),
        "an interrupted run resumes identically": seeds.interrupted,
        "a failed seed is named and isolated": partial(_if_learning, seeds.failed),
        "actions follow the policy's distribution": exploration.exploration,
    }
    return {name: lambda check=check: check(t.fault_showing) for name, check in found.items()}  # type: ignore[misc]


def _if_images(trainings: Trainings) -> Answer | None:
    return initialization.image_values(trainings.algorithm) if is_atari(trainings.environment) else None


def _if_games(trainings: Trainings) -> Answer | None:
    return atari_games.emulated(trainings.environment) if is_atari(trainings.environment) else None


def _if_frames(trainings: Trainings) -> Answer | None:
    if not is_atari(trainings.environment):
        return None
    return frame_arena.rebuilt(trainings.algorithm, trainings.environment)


def _if_replay(log: Log) -> Answer | None:
    return buffers.replayed(log) if object_state.find(log.agent, Replay) else None


def _if_bounded(log: Log) -> Answer | None:
    return exploration.bounded(log) if hasattr(log.agent, "bounds") else None


def _if_learning(check: Callable[[Log], Answer], log: Log) -> Answer | None:
    return check(log) if hasattr(log.agent, "update") else None
