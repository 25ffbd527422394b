"""Soft Actor-Critic: its hyper-parameters, for both arms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEPARTURES: list[str] = []


@dataclass(frozen=True)
class Config:
    """Names and defaults are Stable-Baselines3's."""

    learning_rate: float = 3e-4
    learning_rate_schedule: Literal["constant", "linear"] = "constant"  # linear: to zero at the end
    buffer_size: int = 1_000_000  # transitions
    learning_starts: int = 100  # environment steps; random actions until then
    batch_size: int = 256  # transitions
    tau: float = 0.005  # share of the online parameters in each target update
    gamma: float = 0.99  # discount
    train_freq: int = 1  # steps of all worlds between bursts of updates
    gradient_steps: int = 1  # updates per burst; -1: as many as environment steps since the last
    ent_coef: float | Literal["auto"] = "auto"  # alpha; auto: learned, from 1
    target_entropy: float | Literal["auto"] = "auto"  # nats; auto: minus the number of action components
    target_update_interval: int = 1  # updates between target updates
    net_arch: tuple[int, ...] = (256, 256)  # hidden units of actor and critics
    activation: Literal["tanh", "relu"] = "relu"
