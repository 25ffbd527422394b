"""What lock-step runs: long cases with settings that are trained with, and short ones for a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlparity import settings
from rlparity.errors import UserError, unknown

FULL_STEPS = 20_000
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Case:
    """A run of SB3 to keep step with."""

    algorithm: str  # of ALGORITHMS; its agent has the same name
    environment: str
    env_steps: int  # the budget, on which schedules depend
    n_envs: int = 1
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    time_limit: int | None = None  # steps, in place of the environment's own
    tolerance: float = TOLERANCE  # of relative differences

    def __str__(self) -> str:
        cut = f" cut after {self.time_limit} steps" if self.time_limit else ""
        return f"{self.algorithm} on {self.environment}{cut}"


CART_POLE = {"environment": "CartPole-v1", "time_limit": 25}  # random games end, or are cut
PENDULUM = {"environment": "Pendulum-v1"}
REPLAY = {  # a ring that wraps, updates in bursts, schedules that move
    "learning_rate": 1e-3,
    "learning_rate_schedule": "linear",
    "learning_starts": 60,
    "buffer_size": 300,
    "batch_size": 32,
    "train_freq": 4,
    "gradient_steps": 2,
    "net_arch": [32, 32],
}
SHORT: Mapping[str, Mapping[str, Any]] = {  # seconds, in which all options of an agent have their say
    "a2c": {
        **CART_POLE,
        "env_steps": 1200,
        "n_envs": 3,
        "hyperparameters": {
            "learning_rate": 7e-4,
            "learning_rate_schedule": "linear",
            "ent_coef": 0.01,
            "gae_lambda": 0.9,
        },
    },
    "ppo": {
        **CART_POLE,
        "env_steps": 1152,
        "n_envs": 3,
        "hyperparameters": {
            "learning_rate": 1e-3,
            "learning_rate_schedule": "linear",
            "clip_range": 0.2,
            "clip_range_schedule": "linear",
            "clip_range_vf": 0.5,
            "ent_coef": 0.01,
            "n_steps": 64,
            "batch_size": 48,
            "n_epochs": 3,
            "gamma": 0.98,
        },
    },
    "trpo": {
        **CART_POLE,
        "env_steps": 1152,
        "n_envs": 3,
        "hyperparameters": {"n_steps": 64, "n_critic_updates": 3, "cg_max_steps": 4},
    },
    "dqn": {
        **CART_POLE,
        "env_steps": 900,
        "hyperparameters": {
            **REPLAY,
            "learning_rate": 1e-3,
            "target_update_interval": 50,
            "exploration_fraction": 0.5,
            "max_grad_norm": 1.0,
        },
    },
    "ddpg": {**PENDULUM, "env_steps": 700, "hyperparameters": {**REPLAY, "noise_std": 0.1}},
    "td3": {**PENDULUM, "env_steps": 700, "hyperparameters": {**REPLAY, "noise_std": 0.1}},
    "sac": {**PENDULUM, "env_steps": 700, "hyperparameters": {**REPLAY, "target_update_interval": 2}},
}
ALGORITHMS = tuple(SHORT)
FULL = {"a2c": "CartPole-v1", "ppo": "CartPole-v1", "dqn": "CartPole-v1"}  # all others: Pendulum-v1


def short(algorithm: str) -> Case:
    """A case of seconds."""
    _check(algorithm)
    return Case(algorithm, **SHORT[algorithm])


def full(algorithm: str, env_steps: int = FULL_STEPS, environment: str | None = None) -> Case:
    """The settings that both arms train with; UserError for an algorithm that lock-step does not know."""
    _check(algorithm)
    environment = environment or FULL.get(algorithm, "Pendulum-v1")
    block = settings.library().lookup(environment, algorithm)
    return Case(algorithm, environment, env_steps, block.n_envs, block.hyperparameters)


def _check(algorithm: str) -> None:
    if algorithm not in ALGORITHMS:
        raise UserError(str(unknown("algorithm", algorithm, ALGORITHMS, "lockstep")))
