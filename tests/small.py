"""Cells of any named configuration, small enough for a test, and what their runs have to say."""

from __future__ import annotations

from typing import Any

import torch

from rlparity import settings
from rlparity.cell import Cell, Protocol
from rlparity.train import Rows

torch.set_num_threads(1)

CONFIGURATIONS = tuple(settings.library().algorithms)
BRIEF = Protocol(points=2, episodes=2, final_episodes=3)
QUICK: dict[str, dict[str, Any]] = {  # several updates within a few hundred steps
    "ppo": {"n_epochs": 2, "batch_size": 128},
    "dqn": {"learning_starts": 40, "train_freq": 16, "gradient_steps": 2},
}


def cell(algorithm: str, seeds: tuple[int, ...] = (0,), **changes: Any) -> Cell:
    """A cell of a named configuration with its settings from hyperparameters.yaml, cut short.

    `changes` are fields of the cell; `hyperparameters` among them are added to the configuration's own.
    """
    library = settings.library()
    named = library.algorithms[algorithm]
    environment = changes.pop("environment", "CartPole-v1")
    block = library.lookup(environment, named.agent)
    own = {**block.hyperparameters, **named.options, **QUICK.get(named.agent, {})}
    fields = {
        "suite": "test",
        "implementation": "scratch",
        "budget": 520,
        "n_envs": block.n_envs,
        "normalize": block.normalize,
        "evaluation": Protocol(**{**vars(BRIEF), "modes": named.modes}),
        **changes,
        "hyperparameters": {**own, **changes.get("hyperparameters", {})},
    }
    return Cell(environment=environment, algorithm=algorithm, agent=named.agent, seeds=seeds, **fields)


def of_seed(rows: Rows, seed: int) -> list[dict[str, Any]]:
    """All episode and evaluation rows of one seed; equal rows are equal to the last bit."""
    return [row for row in [*rows.episodes, *rows.evaluations] if row["seed"] == seed]
