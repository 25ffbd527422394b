"""S x N games of MinAtar (Young and Tian 2019, arXiv:1903.03176); see `game` for how they are played."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlparity.environments.base import EnvSpec, Role
from rlparity.environments.episode_statistics import EpisodeStatistics
from rlparity.environments.minatar.game import make_single
from rlparity.transitions import Episode, Step


def make(environment: str, seeds: Sequence[Sequence[int]], role: Role = "training") -> MinAtar:
    """S x N games, such as "MinAtar/Breakout-v1"."""
    return MinAtar(environment, seeds)


class MinAtar:
    """S x N games, reset in the step in which they end; see `rlparity.environments.base.Env`.

    Observations are (S, N, channels, 10, 10) booleans. `snapshot` keeps how a game came about: the state of
    its chance before the last reset, and the actions since.
    """

    def __init__(self, environment: str, seeds: Sequence[Sequence[int]]):
        self._shape = (len(seeds), len(seeds[0]))
        self._games = [make_single(environment) for row in seeds for _ in row]
        game = self._games[0]
        self.spec = EnvSpec(*self._shape, game.shape, n_actions=len(game.actions))
        self.reset(seeds)

    def reset(self, seeds: Sequence[Sequence[int]]) -> None:
        """Reset all."""
        self._statistics = EpisodeStatistics(*self._shape)
        flat = [seed for row in seeds for seed in row]
        self._chance: list[dict[str, Any]] = [{} for _ in flat]
        self._since: list[list[int]] = [[] for _ in flat]
        self._set_obs(np.stack([self._start(i, seed) for i, seed in enumerate(flat)]))

    def _start(self, i: int, seed: int | None = None) -> np.ndarray:
        """Reset game i, and store the state of its chance that it is reset with."""
        game = self._games[i]
        if seed is not None:
            game.reseed(seed)
        self._chance[i], self._since[i] = game.chance(), []
        return game.reset()[0]

    def _set_obs(self, obs: np.ndarray) -> None:
        self._obs, self.obs = obs, self._view(obs)

    def _view(self, obs: np.ndarray) -> Tensor:
        return torch.from_numpy(obs).view(*self._shape, *self.spec.obs_shape)

    def step(self, action: Tensor, live: np.ndarray | None = None) -> Step:
        """Act in the live games (S, N); the others stand still, with reward 0."""
        actions = action.reshape(-1).tolist()
        m = len(actions)
        next_obs, obs = self._obs.copy(), self._obs.copy()
        reward = np.zeros(m)
        ended, last = np.zeros(m, dtype=bool), np.zeros(m, dtype=bool)
        for i in range(m) if live is None else np.flatnonzero(live).tolist():
            self._since[i].append(actions[i])
            next_obs[i], reward[i], ended[i], cut, _ = self._games[i].step(actions[i])
            obs[i] = next_obs[i]
            if ended[i] or cut:
                last[i] = True
                obs[i] = self._start(i)
        before = self.obs
        self._set_obs(obs)
        self._statistics.add(reward.reshape(self._shape), last.reshape(self._shape))
        floats = torch.from_numpy(np.stack((reward, ~ended, last)).astype(np.float32)).view(3, *self._shape)
        return Step(before, action, floats[0], floats[1], floats[2], self._view(next_obs))

    def pop_episodes(self) -> list[Episode]:
        """The episodes that ended since the last call."""
        return self._statistics.pop()

    def snapshot(self) -> dict[str, Any]:
        """States of chance before the last reset, and the actions since."""
        since = [np.array(actions, dtype=np.int64) for actions in self._since]
        return {"chance": self._chance, "since": since, "statistics": self._statistics.snapshot()}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Replay the same reset, then the same actions, in every game."""
        obs = self._obs.copy()
        for i, (game, chance, actions) in enumerate(
            zip(self._games, state["chance"], state["since"], strict=True)
        ):
            game.set_chance(chance)
            obs[i] = self._start(i)
            for action in actions.tolist():
                self._since[i].append(action)
                obs[i] = game.step(action)[0]
        self._statistics.resume(state["statistics"])
        self._set_obs(obs)

    def close(self) -> None:
        """Close every game."""
        for game in self._games:
            game.close()
