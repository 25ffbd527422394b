"""Returns that an episode can have at all, where the rules of an environment say so."""

from __future__ import annotations

import math

from rlparity.environments.atari_ids import game
from rlparity.metrics import RETURN, Metric

ANYTHING = (-math.inf, math.inf)
RETURNS = {  # lowest and highest, from the rewards and time limits in Gymnasium's documentation
    "CartPole-v1": (1.0, 500.0),  # 1 in each of at most 500 steps
    "Acrobot-v1": (-500.0, 0.0),  # -1 in each of at most 500 steps, 0 in the one that reaches the line
    "MountainCar-v0": (-200.0, -1.0),  # -1 in each of at most 200 steps
    "Pendulum-v1": (-200 * (math.pi**2 + 0.1 * 8**2 + 0.001 * 2**2), 0.0),  # angle, speed, torque
    "InvertedPendulum-v5": (0.0, 1000.0),  # 1 in each of at most 1,000 healthy steps
}
REWARDED = (0.0, math.inf)  # the games of MinAtar have no negative rewards
GAMES = {"Pong": (-21.0, 21.0)}  # whole games: the first side with 21 points wins


def values(environment: str, metric: Metric | str) -> tuple[float, float]:
    """Lowest and highest value of a metric, or of the one with that name, in an environment; infinite where
    the rules do not bound it."""
    if (metric if isinstance(metric, str) else metric.name) != RETURN.name:
        return ANYTHING
    if environment.startswith("MinAtar/"):
        return REWARDED
    atari = game(environment)
    return GAMES.get(atari.name, ANYTHING) if atari else RETURNS.get(environment, ANYTHING)


def oriented(environment: str, metric: Metric) -> tuple[float, float]:
    """The same of values that were multiplied by `metric.better`, so that larger ones are better."""
    low, high = sorted(metric.better * value for value in values(environment, metric))
    return low, high


def clipped(interval: tuple[float, float], bounds: tuple[float, float]) -> tuple[float, float]:
    """An interval without what cannot be; NaN stays."""
    (low, high), (lowest, highest) = interval, bounds
    return max(low, lowest) if low == low else low, min(high, highest) if high == high else high
