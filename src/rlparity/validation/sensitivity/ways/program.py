"""Our agents as somebody's program: train a block of seeds with a mutation planted, and write logs.

    python -m rlparity.validation.sensitivity.ways MUTATION ALGORITHM ENVIRONMENT SEEDS BUDGET FOLDER

MUTATION is an id or `none`, SEEDS one number or a range `0-4`, FOLDER may
be left out; settings are those of the named configuration.
Nothing of the validator takes part: environments, evaluation and logs are the program's, so that every
mutation acts. A single seed logs into the folder itself, several into `seed-K`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rlparity.cell import Cell, Protocol
from rlparity.runs import malloc
from rlparity.suites import hyperparameters
from rlparity.training import run as training
from rlparity.validation.mutations import corpus
from rlparity.validation.mutations.mutation import planted

NONE = "none"
POINTS, EPISODES = 20, 5  # evaluations before the last, and episodes of each
COLUMNS = ("env_step", "episode_return", "episode_length")


def cell(algorithm: str, environment: str, seeds: tuple[int, ...], budget: int) -> Cell:
    """A training of a named configuration with the settings for an environment."""
    library = hyperparameters.library()
    named = library.algorithms[algorithm]
    block = library.lookup(environment, named.agent)
    return Cell(
        suite="program",
        environment=environment,
        implementation="scratch",
        algorithm=algorithm,
        agent=named.agent,
        seeds=seeds,
        budget=budget,
        n_envs=block.n_envs,
        normalize=block.normalize,
        hyperparameters={**block.hyperparameters, **named.options_for(environment)},
        evaluation=Protocol(POINTS, EPISODES, EPISODES, named.modes[:1]),
    )


def main(arguments: Sequence[str]) -> None:
    """Train and write logs."""
    mutation, algorithm, environment, block, budget, *rest = arguments
    first, _, last = block.partition("-")
    seeds = tuple(range(int(first), int(last or first) + 1))
    torch.set_num_threads(1)
    malloc.keep_freed_memory()
    with nullcontext() if mutation == NONE else planted(corpus.find(mutation)):
        recorder = training.run(cell(algorithm, environment, seeds, int(budget)))
    if recorder.failed:
        raise SystemExit("; ".join(f"seed {seed}: {reason}" for seed, reason in recorder.failed.items()))
    folder = Path(*rest)
    for seed in seeds:
        place = folder / f"seed-{seed}" if len(seeds) > 1 else folder
        place.mkdir(parents=True, exist_ok=True)
        _write(place, seed, recorder.episodes, recorder.evaluations)


def _write(
    folder: Path, seed: int, episodes: list[dict[str, Any]], evaluations: list[dict[str, Any]]
) -> None:
    """A table of the episodes in training, and evaluations as Stable-Baselines3 saves them."""
    with (folder / "episodes.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(row for row in episodes if row["seed"] == seed)
    points: dict[int, list[Mapping[str, Any]]] = {}
    for row in evaluations:
        if row["seed"] == seed:
            points.setdefault(row["env_step"], []).append(row)
    np.savez(
        folder / "evaluations.npz",
        timesteps=np.array(list(points)),
        results=np.array([[row["value"] for row in rows] for rows in points.values()]),
        ep_lengths=np.array([[row["size"] for row in rows] for rows in points.values()]),
    )
