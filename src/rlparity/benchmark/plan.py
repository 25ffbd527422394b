"""What is measured: the reference's cell of a configuration, and ours with each number of seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rlparity import registry
from rlparity.arms import OURS
from rlparity.cell import Cell
from rlparity.errors import UserError
from rlparity.suites import suite

BUDGETS = {  # environment steps per seed, some seconds of SB3
    "ppo": 32_768,
    "a2c": 64_000,
    **dict.fromkeys(("ddpg", "td3", "sac"), 1_000),
}
OTHERWISE = 8_192
PIXELS = {"ppo": 8_192, "a2c": 4_000, "dqn": 2_000, "qrdqn": 2_000}  # where a step takes milliseconds
EARLY = {"learning_starts": 100}  # off-policy learners with an update per step; the rest is learning
BRIEF = {**EARLY, "buffer_size": 10_000}  # on images, enough for the steps that are timed
TUNED, DEFAULTS = "hyperparameters.yaml", "SB3's defaults"  # values of the column `settings`


def cells(
    algorithm: str,
    environment: str,
    sizes: Sequence[int],
    settings: str = TUNED,
    device: str = "cpu",
    budget: int | None = None,
) -> list[Cell]:
    """The reference's cell with one seed, then ours with each number of seeds.

    `budget`: environment steps per seed; None: those of the table above. On a GPU a replay memory is no
    larger than that: there all of it is allocated at once, for every seed.
    """
    pixels = environment.startswith("ALE/")
    agent = algorithm.split("-")[0]
    raw = {
        "name": "bench",
        "title": "Benchmark",
        "environments": [environment],
        "algorithms": [algorithm],
        "implementations": list(registry.IMPLEMENTATIONS),
        "seeds": [0],
        "budgets": {"default": budget or (PIXELS if pixels else BUDGETS).get(agent, OTHERWISE)},
        "checkpoint_every": 0,
    }
    found = {cell.implementation: cell for cell in suite.resolve(raw, "bench").cells}
    references = [name for name in found if name != OURS]
    if not references:
        raise UserError(f"bench: {algorithm} has no reference in hyperparameters.yaml; choose one that has")
    if settings == DEFAULTS:
        plain: dict[str, Any] = {"n_envs": 1, "normalize": False, "hyperparameters": {}}
        found = {name: replace(cell, **plain) for name, cell in found.items()}
    early: dict[str, Any] = EARLY if agent in ("ddpg", "td3", "sac") else {}
    if early and device == "cuda":
        early = {**EARLY, "buffer_size": found[OURS].budget}
    if pixels and agent in ("dqn", "qrdqn"):
        early = BRIEF
    found = {
        name: replace(cell, device=device, hyperparameters={**cell.hyperparameters, **early})
        for name, cell in found.items()
    }
    return [found[references[0]], *(replace(found[OURS], seeds=tuple(range(size))) for size in sizes)]
