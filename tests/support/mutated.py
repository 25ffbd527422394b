"""Cells that show within a hundred steps what a mutation changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from small import QUICK, cell

from rlparity.cell import Cell, Protocol
from rlparity.suites import hyperparameters
from rlparity.validation.plain_environments import with_time_limit

BRIEF = Protocol(points=1, episodes=2, final_episodes=2)


def brief(agent: str, environment: str, needs: Mapping[str, Any]) -> Cell:
    """Several updates, and episodes that terminate and are truncated, within a hundred steps."""
    named = hyperparameters.library().algorithms[agent].agent
    known = hyperparameters.config(named)
    quick = {
        **QUICK.get(named, {}),
        "net_arch": [16, 16],
        "learning_starts": 20,
        "batch_size": 21 if named == "ppo" else 16,
        "n_epochs": 4,
        "n_episodes": 2,
        "clip_range": 0.05,
        "learning_rate": 1e-2,
        "exploration_fraction": 0.5,
        "target_update_interval": 20,
        "train_freq": 4,
    }
    if "buffer_size" not in known:
        quick["n_steps"] = 16
    values = {name: value for name, value in {**needs, **quick}.items() if name in known}
    if environment == "Pendulum-v1":
        environment = with_time_limit(environment, 7)
    n_envs = 1 if "buffer_size" in known else 4
    start = cell(agent, (0, 1), environment=environment, n_envs=n_envs, hyperparameters=values, budget=128)
    normalize = hyperparameters.library().lookup("Pendulum-v1", named).normalize and "Cut" in environment
    return replace(start, evaluation=BRIEF, normalize=normalize)
