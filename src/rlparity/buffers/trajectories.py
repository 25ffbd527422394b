"""Whole episodes, for Monte Carlo updates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from rlparity.transitions import Step


class Trajectory(NamedTuple):
    """One whole episode of one sub-environment: (T, ...)."""

    obs: Tensor
    action: Tensor
    reward: Tensor


class Trajectories:
    """Whole episodes, kept apart for each seed, as they end at different times."""

    def __init__(self, n_seeds: int, n_envs: int, length: int = 512):
        self._time = torch.zeros(n_seeds, n_envs, dtype=torch.long)  # steps of the episode so far
        self._seed, self._env = torch.arange(n_seeds)[:, None], torch.arange(n_envs)[None]
        self._length, self._running = length, Trajectory(*(torch.empty(0) for _ in range(3)))
        self.finished: list[list[Trajectory]] = [[] for _ in range(n_seeds)]

    def add(self, step: Step) -> None:
        """Add one step (S, N); episodes that ended move to `finished`."""
        now = Trajectory(step.obs, step.action, step.reward)
        if not self._running.obs.numel():
            self._running = Trajectory(*(_empty(x, self._length) for x in now))
        elif self._time.max() == self._running.reward.shape[2]:
            self._running = Trajectory(*(torch.cat([x, torch.empty_like(x)], 2) for x in self._running))
        for buffer, x in zip(self._running, now, strict=True):
            buffer[self._seed, self._env, self._time] = x
        self._time += 1
        for s, n in torch.nonzero(step.last).tolist():
            episode = (x[s, n, : self._time[s, n]].clone() for x in self._running)
            self.finished[s].append(Trajectory(*episode))
            self._time[s, n] = 0

    def pop(self, seed_index: int) -> list[Trajectory]:
        """Return and drop the finished episodes of one seed."""
        episodes, self.finished[seed_index] = self.finished[seed_index], []
        return episodes


def _empty(x: Tensor, length: int) -> Tensor:
    return torch.empty(*x.shape[:2], length, *x.shape[2:], dtype=x.dtype)


def ready(memory: Trajectories, n_episodes: int) -> list[int]:
    """The seeds that have at least that many finished episodes."""
    return [s for s, episodes in enumerate(memory.finished) if len(episodes) >= n_episodes]
