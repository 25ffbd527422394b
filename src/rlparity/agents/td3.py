"""Twin Delayed DDPG: its hyper-parameters, for both arms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEPARTURES: list[str] = []


@dataclass(frozen=True)
class Config:
    """Names and defaults are Stable-Baselines3's."""

    learning_rate: float = 1e-3
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    buffer_size: int = 1_000_000  # transitions
    learning_starts: int = 100  # environment steps; random actions until then
    batch_size: int = 256  # transitions
    tau: float = 0.005  # share of the online parameters in each target update
    gamma: float = 0.99  # discount
    train_freq: int = 1  # steps of all worlds between bursts of updates
    gradient_steps: int = 1  # updates per burst; -1: as many as environment steps since the last
    noise_std: float = 0.0  # of the Gaussian exploration noise, actions being in [-1, 1]
    policy_delay: int = 2  # d, critic updates per update of actor and targets
    target_policy_noise: float = 0.2  # sigma, of the smoothing noise, actions being in [-1, 1]
    target_noise_clip: float = 0.5  # c
    net_arch: tuple[int, ...] = (400, 300)  # hidden units of actor and critics
    activation: Literal["tanh", "relu"] = "relu"
