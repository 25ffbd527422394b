"""One game of MinAtar (Young and Tian 2019, arXiv:1903.03176) as a Gymnasium environment, channels first.

The package's own ids are those of a Gymnasium plugin, which Gymnasium 1 no longer looks for, and its
environment takes seeds below 2**32 alone. Rules are the package's: with a probability of 0.1 the action
before is taken again (sticky actions), the difficulty of Asterix, Seaquest and Space Invaders rises while one
plays, Freeway ends after 2,500 steps. Ours is a time limit of 5,000 steps, at which an episode is cut.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import gymnasium as gym
import numpy as np

from rlparity.environments.minatar.ids import TIME_LIMIT, parse

DRAWING = ("matplotlib", "seaborn")  # which the package imports for a window, and does without


def _package() -> Any:
    """The package, without what it draws with: seconds and 150 MiB of every process that trains."""
    absent = [name for name in DRAWING if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    logging.disable()  # of a warning that nothing can be drawn
    try:
        return import_module("minatar")
    finally:
        logging.disable(logging.NOTSET)
        for name in absent:
            del sys.modules[name]


def make_single(environment: str) -> MinAtarGame:
    """One game, such as "MinAtar/Breakout-v1"."""
    game = parse(environment)
    assert game is not None, environment
    return MinAtarGame(game.name, game.minimal)


class MinAtarGame(gym.Env):
    """A game; observations are (channels, 10, 10) booleans, one channel for each kind of thing.

    All chance comes from one generator, which a seed starts and a reset without a seed leaves as it is. As in
    the package the last action of an episode may be taken again at the start of the next one.
    """

    def __init__(self, game: str, minimal: bool, time_limit: int = TIME_LIMIT):
        self.game = _package().Environment(game)
        self.actions = self.game.minimal_action_set() if minimal else list(range(self.game.num_actions()))
        height, width, channels = self.game.state_shape()
        self.shape: tuple[int, int, int] = (channels, height, width)
        self.observation_space = gym.spaces.Box(0, 1, self.shape, np.bool_)
        self.action_space = gym.spaces.Discrete(len(self.actions))
        self._time_limit, self._steps = time_limit, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode."""
        if seed is not None:
            self.reseed(seed)
        self.game.reset()
        self._steps = 0
        return self._obs(), {}

    def reseed(self, seed: int) -> None:
        """Start all chance anew, from any number that is not negative."""
        bits = np.random.MT19937(np.random.SeedSequence(seed))
        self.game.random = self.game.env.random = np.random.RandomState(bits)
        self.game.last_action = 0

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One frame."""
        reward, ended = self.game.act(self.actions[int(action)])
        self._steps += 1
        cut = self._steps >= self._time_limit
        return self._obs(), float(reward), bool(ended), cut and not ended, {}

    def _obs(self) -> np.ndarray:
        return np.ascontiguousarray(self.game.state().transpose(2, 0, 1))

    def chance(self) -> dict[str, Any]:
        """The state of the generator, and the action that may be taken again."""
        return {**self.game.random.get_state(legacy=False), "last_action": self.game.last_action}

    def set_chance(self, state: Mapping[str, Any]) -> None:
        """Go on from what `chance` gave."""
        self.game.random.set_state({name: state[name] for name in state if name != "last_action"})
        self.game.last_action = state["last_action"]
