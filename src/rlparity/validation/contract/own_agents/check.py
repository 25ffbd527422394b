"""The contract of our own agents, which can be looked into: see `contract.check_agent`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from rlparity.buffers.replay import Replay
from rlparity.cell import Cell, Protocol
from rlparity.suites import hyperparameters
from rlparity.training import object_state
from rlparity.validation.checks import Answer
from rlparity.validation.contract.own_agents import (
    buffers,
    exploration,
    fault_showing_env,
    initialization,
    normalization,
    traced_training,
    transitions,
)
from rlparity.validation.contract.own_agents import seeds as contract_seeds
from rlparity.validation.contract.own_agents.traced_training import Log
from rlparity.validation.plain_environments import is_atari

SEEDS = (0, 1)
QUICK: dict[str, Any] = {  # hyper-parameters with which much happens within some hundred steps
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
class Agent:
    """A named configuration with the trainings that its contract looks at, each run when first asked for."""

    algorithm: str
    environment: str
    changes: dict[str, Any] = field(default_factory=dict)  # of hyper-parameters

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
        """In its own environment; an image's place is taken by the arena."""
        if is_atari(self.environment):
            return self.arena_cell
        block = hyperparameters.library().lookup(
            self.environment, hyperparameters.library().algorithms[self.algorithm].agent
        )
        return self._cell(self.environment, max(block.n_envs, 2), 16, normalize=block.normalize)

    @property
    def arena_cell(self) -> Cell:
        """In a world where everything happens soon, seen through running statistics."""
        world = fault_showing_env.CONTINUOUS if self._continuous else fault_showing_env.DISCRETE
        return self._cell(world, 3, 16, normalize=True)

    @cached_property
    def block(self) -> Log:
        """All seeds at once."""
        return traced_training.run(self.home)

    @cached_property
    def alone(self) -> Log:
        """The second of them."""
        return traced_training.run(replace(self.home, seeds=SEEDS[1:2]))

    @cached_property
    def arena(self) -> Log:
        """Looked at closely."""
        return traced_training.run(self.arena_cell, closely=True)


def looks(agent: Agent) -> dict[str, Callable[[], Answer | None]]:
    """What is looked at, by name; None where it does not apply."""
    alone = replace(agent.home, seeds=SEEDS[1:2])
    return {
        "its numbers stay finite": lambda: contract_seeds.finite(agent.block, agent.arena),
        "parameters start as the reference's": lambda: initialization.alike(agent.arena),
        "images are seen as the reference sees them": lambda: _if_images(agent),
        "steps are Gymnasium's": lambda: transitions.faithful(agent.block),
        "steps are Gymnasium's at its time limit": lambda: transitions.to_the_limit(agent.home.environment),
        "steps are Gymnasium's at ends and short limits": lambda: transitions.faithful(agent.arena),
        "books are RecordEpisodeStatistics'": lambda: transitions.booked(agent.block),
        "books are RecordEpisodeStatistics' under normalisation": lambda: transitions.booked(agent.arena),
        "evaluations are the games that were played": lambda: transitions.evaluated(agent.block),
        "the same seed is the same run": lambda: contract_seeds.same(agent.alone, traced_training.run(alone)),
        "evaluation leaves training as it was": lambda: contract_seeds.same(
            agent.alone, traced_training.run(alone, evaluate=False)
        ),
        "a seed alone is that seed in a block": lambda: contract_seeds.among_others(agent.block, agent.alone),
        "worlds share no stream": lambda: contract_seeds.no_shared_worlds(agent.block),
        "seeds differ": lambda: contract_seeds.all_differ(agent.block),
        "replay memory is a list of what was seen": lambda: _if_replay(agent.arena),
        "it learns from what it saw": lambda: buffers.learning(agent.arena),
        "running statistics are those of all that was seen": lambda: normalization.normalised(agent.arena),
        "evaluation sees by the statistics of training": lambda: normalization.viewed(agent.arena),
        "actions are within their bounds": lambda: _if_bounded(agent.arena),
        "saved parameters act the same": lambda: _if_learning(agent.arena, contract_seeds.loaded),
        "an interrupted run goes on": lambda: contract_seeds.interrupted(agent.arena),
        "a failed seed is named and kept apart": lambda: _if_learning(
            agent.arena, lambda log: contract_seeds.failed(log.cell, log)
        ),
        "actions are drawn as the policy says": lambda: exploration.exploration(agent.arena),
    }


def _if_images(agent: Agent) -> Answer | None:
    return initialization.seen_alike(agent.algorithm) if is_atari(agent.environment) else None


def _if_replay(log: Log) -> Answer | None:
    return buffers.replayed(log) if object_state.find(log.agent, Replay) else None


def _if_bounded(log: Log) -> Answer | None:
    return exploration.bounded(log) if hasattr(log.agent, "bounds") else None


def _if_learning(log: Log, look: Callable[[Log], Answer]) -> Answer | None:
    return look(log) if hasattr(log.agent, "memory") else None
