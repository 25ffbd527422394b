"""Cases of lock-step: long ones with settings of real trainings, and short ones for a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rlparity.errors import unknown
from rlparity.suites import hyperparameters as settings

FULL_STEPS = 20_000
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Case:
    """A run of SB3 that our agent follows."""

    algorithm: str  # of ALGORITHMS; its agent has the same name
    environment: str
    env_steps: int  # the budget, on which schedules depend
    n_envs: int = 1
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    settings: str = ""  # source of the hyper-parameters
    time_limit: int | None = None  # steps; None: the environment's own
    tolerance: float = TOLERANCE  # of relative differences

    def __str__(self) -> str:
        cut = f" cut after {self.time_limit} steps" if self.time_limit else ""
        settings = f" with {self.settings}" if self.settings else ""
        return f"{self.algorithm} on {self.environment}{cut}{settings}"


CART_POLE = {
    "environment": "CartPole-v1",
    "time_limit": 25,
}  # episodes of a random policy terminate or are truncated
PENDULUM = {"environment": "Pendulum-v1"}
REPLAY = {  # the replay memory wraps, updates come in bursts, schedules change
    "learning_rate": 1e-3,
    "learning_rate_schedule": "linear",
    "learning_starts": 60,
    "buffer_size": 300,
    "batch_size": 32,
    "train_freq": 4,
    "gradient_steps": 2,
    "net_arch": [32, 32],
}
PPO = {
    "learning_rate": 3e-3,
    "learning_rate_schedule": "linear",
    "clip_range": 0.1,
    "clip_range_schedule": "linear",
    "clip_range_vf": 0.5,
    "ent_coef": 0.01,
    "n_steps": 64,
    "batch_size": 48,
    "n_epochs": 3,
    "gamma": 0.98,
}
SHORT: Mapping[str, tuple[Mapping[str, Any], ...]] = {  # they take seconds and use all options
    "a2c": (
        {
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
        {
            **PENDULUM,
            "env_steps": 800,
            "n_envs": 2,
            "hyperparameters": {"ent_coef": 0.01, "log_std_init": -0.5, "normalize_advantage": True},
        },
    ),
    "ppo": (
        {**CART_POLE, "env_steps": 1152, "n_envs": 3, "hyperparameters": PPO},
        {  # the last minibatch is one transition
            **PENDULUM,
            "env_steps": 1040,
            "n_envs": 2,
            "hyperparameters": {
                **PPO,
                "n_steps": 65,
                "batch_size": 43,
                "target_kl": 0.003,
                "log_std_init": -0.5,
            },
        },
    ),
    "trpo": (
        {
            **CART_POLE,
            "env_steps": 1152,
            "n_envs": 3,
            "hyperparameters": {"n_steps": 64, "n_critic_updates": 3, "cg_max_steps": 4},
        },
        {  # the trust region is too wide, so that line searches fail
            **PENDULUM,
            "env_steps": 1024,
            "n_envs": 2,
            "hyperparameters": {
                "n_steps": 64,
                "n_critic_updates": 3,
                "cg_max_steps": 3,
                "target_kl": 20.0,
                "line_search_max_iter": 2,
            },
        },
    ),
    "dqn": (
        {
            **CART_POLE,
            "time_limit": 15,
            "env_steps": 600,
            "hyperparameters": {
                **REPLAY,
                "target_update_interval": 50,
                "exploration_fraction": 0.5,
                "max_grad_norm": 1.0,
            },
        },
    ),
    "ddpg": ({**PENDULUM, "env_steps": 500, "hyperparameters": {**REPLAY, "noise_std": 0.1}},),
    "td3": ({**PENDULUM, "env_steps": 500, "hyperparameters": {**REPLAY, "noise_std": 0.1}},),
    "sac": ({**PENDULUM, "env_steps": 500, "hyperparameters": {**REPLAY, "target_update_interval": 2}},),
}
ALGORITHMS = tuple(SHORT)
TUNED, DEFAULTS = "hyperparameters.yaml", "SB3's defaults"
NARROW = {"net_arch": [64, 64], "batch_size": 64}  # ten times faster than the tuned networks in float64
FULL: Mapping[str, tuple[tuple[str, str, Mapping[str, Any]], ...]] = {  # environment, settings, and changes
    "a2c": (("CartPole-v1", TUNED, {}),),
    "ppo": (("CartPole-v1", DEFAULTS, {}), ("Pendulum-v1", TUNED, {}), ("CartPole-v1", TUNED, {})),
    "dqn": (("CartPole-v1", DEFAULTS, {}), ("CartPole-v1", TUNED, {})),
    "trpo": (("Pendulum-v1", TUNED, {"cg_max_steps": 4}),),
    "ddpg": (("Pendulum-v1", TUNED, NARROW),),
    "td3": (("Pendulum-v1", TUNED, NARROW),),
    "sac": (("Pendulum-v1", TUNED, NARROW),),
}


def short(algorithm: str) -> list[Case]:
    """Short cases of an algorithm; UserError if it is unknown."""
    _check(algorithm)
    return [Case(algorithm, **plan) for plan in SHORT[algorithm]]


def full(algorithm: str, env_steps: int = FULL_STEPS) -> list[Case]:
    """Long cases of an algorithm, the decisive one first; UserError if it is unknown."""
    _check(algorithm)
    return [_full(algorithm, env_steps, *plan) for plan in FULL[algorithm]]


def _full(algorithm: str, env_steps: int, environment: str, name: str, changes: Mapping[str, Any]) -> Case:
    if name == DEFAULTS:
        return Case(algorithm, environment, env_steps, settings=name)
    block = settings.library().lookup(environment, algorithm)
    values = {**block.hyperparameters, **changes}
    named = ", ".join([name, *(f"{key} {value}" for key, value in changes.items())])
    return Case(algorithm, environment, env_steps, block.n_envs, values, named)


def _check(algorithm: str) -> None:
    if algorithm not in ALGORITHMS:
        raise unknown("algorithm", algorithm, ALGORITHMS, "lockstep")
