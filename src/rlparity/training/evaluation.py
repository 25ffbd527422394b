"""The one evaluator, for agents from scratch, references and candidates alike.

Whole games with raw returns, on worlds and random streams of its own; the policy does not learn from them,
and running statistics stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from rlparity.cell import EPSILON, Cell
from rlparity.environments import base as tasks
from rlparity.seeding import Streams, Uniforms

View = Callable[[Tensor], Tensor]


class Policy(Protocol):
    """What acts: see `rlparity.agents.Agent`."""

    uniforms: int

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """obs (S, E, *obs) -> action (S, E); without uniform numbers (S, E, uniforms): deterministically."""


class Outcome(NamedTuple):
    """One evaluation episode."""

    seed_index: int
    episode: int
    protocol: str  # a mode of `rlparity.cell.Protocol`
    episode_return: float
    episode_length: int


class EpsilonGreedy:
    """Another policy's deterministic action, or any with probability epsilon (Mnih et al. 2013, 2015)."""

    uniforms = 2  # whether, and which

    def __init__(self, policy: Policy, epsilon: float, n_actions: int):
        self._policy, self._epsilon, self._n_actions = policy, epsilon, n_actions

    def act(self, obs: Tensor, explore: Tensor | None = None) -> Tensor:
        """See `Policy`."""
        assert explore is not None
        anything = (explore[..., 1] * self._n_actions).long()
        return torch.where(explore[..., 0] < self._epsilon, anything, self._policy.act(obs))


def play(policy: Policy, task: tasks.Env, view: View, explore: Uniforms | None) -> np.ndarray:
    """One game in each of S x E fresh worlds: returns and lengths, (S, E, 2). Later games do not count."""
    live = np.ones(task.spec[:2], dtype=bool)
    games = np.zeros((*live.shape, 2))
    while live.any():
        action = policy.act(view(task.obs), None if explore is None else explore.next())
        task.step(action, live)
        for s, n, _, total, length in task.pop_episodes():
            if live[s, n]:
                games[s, n], live[s, n] = (total, length), False
    return games


class Evaluator:
    """Plays the games that the cell's protocol asks for."""

    def __init__(self, cell: Cell, random: Streams):
        self._cell, self._random = cell, random
        self._task: tasks.Env | None = None

    def __call__(self, policy: Policy, view: View, point: int) -> list[Outcome]:
        """Evaluate at one of the protocol's points; the last one, `points`, has more episodes."""
        protocol = self._cell.evaluation
        wanted = protocol.final_episodes if point == protocol.points else protocol.episodes
        outcomes = []
        for mode in protocol.modes:
            for first in range(0, wanted, protocol.episodes):
                games = self._round(policy, view, mode, f"evaluation|{mode}|{point}|{first}")
                for s, n in np.ndindex(*games.shape[:2]):
                    if first + n < wanted:
                        total, length = games[s, n]
                        outcomes.append(Outcome(s, first + n, mode, float(total), int(length)))
        return sorted(outcomes)

    def _round(self, policy: Policy, view: View, mode: str, name: str) -> np.ndarray:
        n = self._cell.evaluation.episodes
        seeds = self._random.environments(name, n)
        if self._task is None:
            self._task = tasks.make(self._cell.environment, seeds)
        else:
            self._task.reset(seeds)
        explore, n_actions = None, self._task.spec.n_actions
        if mode.startswith(EPSILON):
            assert n_actions is not None
            policy = EpsilonGreedy(policy, float(mode.removeprefix(EPSILON)), n_actions)
        if mode != "deterministic":
            explore = Uniforms(self._random.generators(f"{name}|explore"), n, policy.uniforms)
        return play(policy, self._task, view, explore)

    def close(self) -> None:
        """Close the worlds."""
        if self._task is not None:
            self._task.close()
