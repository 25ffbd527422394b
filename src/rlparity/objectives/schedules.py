"""What changes with the clock of a training: falling rates, exploration, and when updates are due."""

from __future__ import annotations

from typing import Any


def scheduled(value: float, kind: str, remaining: Any) -> Any:
    """A value that stays (`constant`) or falls to zero with what remains of the budget (`linear`).

    `remaining` is a number, or a tensor () where the clock is on a device. The last step of N
    sub-environments may end a little beyond the budget; nothing remains then.
    """
    if kind != "linear":
        return value
    return value * (max(remaining, 0.0) if isinstance(remaining, float) else remaining.clamp(min=0.0))


def learning_rate(config: Any, env_steps: Any, budget: int) -> Any:
    """The learning rate of an agent's settings after `env_steps` of its budget."""
    return scheduled(config.learning_rate, config.learning_rate_schedule, 1 - env_steps / budget)


def exploration(config: Any, env_steps: int, budget: int) -> float:
    """Epsilon, the probability of a random action: 1 before learning starts; then it falls linearly over a
    fraction of the budget, and stays (Mnih et al. 2015, Methods)."""
    if env_steps < config.learning_starts:
        return 1.0
    done = min(env_steps / (config.exploration_fraction * budget), 1.0)
    start: float = config.exploration_initial_eps
    return start + done * (config.exploration_final_eps - start)


def updates_due(config: Any, env_steps: int, n_envs: int, first: int = 0) -> int:
    """How many gradient steps follow a step of N sub-environments: a burst after every `train_freq` steps,
    once more than `learning_starts` and `first` environment steps have been taken; -1 `gradient_steps`: as
    many as environment steps since the last burst."""
    waiting = env_steps // n_envs % config.train_freq != 0
    if waiting or env_steps <= max(config.learning_starts, first):
        return 0
    burst: int = config.gradient_steps
    return burst if burst >= 0 else config.train_freq * n_envs


def copy_due(config: Any, env_steps: int, n_envs: int) -> bool:
    """Whether a target network is copied now: every `target_update_interval` environment steps."""
    return env_steps // n_envs % max(config.target_update_interval // n_envs, 1) == 0
