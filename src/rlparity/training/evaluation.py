"""Evaluate a policy: the same evaluator for our agents, references and candidates.

Whole episodes with raw returns, in environments and on random streams of their own. The policy does not learn
from them, and running statistics do not change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from torch import Tensor

from rlparity import registry
from rlparity.cell import EPSILON, Cell
from rlparity.environments import base as environments
from rlparity.environments.base import Env
from rlparity.seeding import Streams, Uniforms

View = Callable[[Tensor], Tensor]


class Policy(Protocol):
    """What acts: see `rlparity.agents.base.Agent`."""

    uniforms: int

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, E, *obs) -> action (S, E); without uniform numbers (S, E, uniforms): deterministically."""


class Outcome(NamedTuple):
    """One measurement of an evaluation: here, of one episode."""

    seed_index: int
    episode: int  # number of the episode, or of what else was measured
    protocol: str  # a mode of `rlparity.cell.Protocol`
    metric: str  # name of a `rlparity.metrics.Metric`
    value: float
    size: int  # environment steps of the episode, or examples that were measured


def play(policy: Policy, env: Env, view: View, explore: Uniforms | None) -> np.ndarray:
    """One episode in each of S x E freshly reset environments: returns and lengths, (S, E, 2)."""
    live = np.ones(env.spec[:2], dtype=bool)
    found = np.zeros((*live.shape, 2))
    while live.any():
        action = policy.act(view(env.obs), None if explore is None else explore.next())
        env.step(action, live)
        for s, n, _, total, length in env.pop_episodes():
            if live[s, n]:
                found[s, n], live[s, n] = (total, length), False
    return found


class Evaluator:
    """Run the episodes that the cell's protocol asks for."""

    def __init__(self, cell: Cell, random: Streams):
        self._cell, self._random = cell, random
        (self._metric,) = (metric.name for metric in registry.metrics(cell.environment))
        self._env: Env | None = None

    def __call__(self, policy: Policy, view: View, point: int) -> list[Outcome]:
        """Evaluate at one of the protocol's points; the last one, `points`, has more episodes."""
        protocol = self._cell.evaluation
        wanted = protocol.final_episodes if point == protocol.points else protocol.episodes
        outcomes = []
        for mode in protocol.modes:
            for first in range(0, wanted, protocol.episodes):
                found = self._round(policy, view, mode, f"evaluation|{mode}|{point}|{first}")
                for s, n in np.ndindex(*found.shape[:2]):
                    if first + n < wanted:
                        total, length = found[s, n]
                        outcomes.append(Outcome(s, first + n, mode, self._metric, float(total), int(length)))
        return sorted(outcomes)

    def _round(self, policy: Policy, view: View, mode: str, name: str) -> np.ndarray:
        n = self._cell.evaluation.episodes
        seeds = self._random.environments(name, n)
        if self._env is None:
            self._env = environments.make(self._cell.environment, seeds, "evaluation")
        else:
            self._env.reset(seeds)
        explore, n_actions = None, self._env.spec.n_actions
        if mode.startswith(EPSILON):
            assert n_actions is not None
            epsilon = float(mode.removeprefix(EPSILON))
            policy = registry.part("epsilon-greedy")(policy, epsilon, n_actions)
        if mode != "deterministic":
            explore = Uniforms(self._random.generators(f"{name}|explore"), n, policy.uniforms)
        return play(policy, self._env, view, explore)

    def close(self) -> None:
        """Close the environments."""
        if self._env is not None:
            self._env.close()
