"""Rollouts in which faults of `prepare` show: ends and time limits at every kind of place, several discounts,
rewards of several sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from rlparity.validation.parity.preparation.reference import Rollout

N_STEPS, N_ENVS = 16, 3
Places = dict[tuple[int, int], str]  # (step, sub-environment) -> "end" or "limit"
LAST = N_STEPS - 1
INNER_ENDS: Places = {(4, 0): "end", (9, 0): "end", (0, 1): "end", (11, 2): "end", (12, 2): "end"}
INNER_LIMITS: Places = {place: "limit" for place in INNER_ENDS}
MIXED: Places = {(3, 0): "end", (8, 0): "limit", (5, 1): "limit", (13, 1): "end", (0, 2): "limit"}
GROUPS = ("ends", "time limits", "gamma, lambda", "size of rewards")


class Given(NamedTuple):
    """A rollout and how it is to be discounted."""

    group: str  # of GROUPS
    what: str  # in words
    rollout: Rollout  # float64
    gamma: float
    gae_lambda: float

    def __str__(self) -> str:
        return f"{self.what}, gamma {self.gamma:g}, lambda {self.gae_lambda:g}"


def given() -> Iterator[Given]:
    """All rollouts, group by group."""
    yield Given("ends", "no end", _rollout({}), 0.9, 0.8)
    yield Given("ends", "ends within the rollout", _rollout(INNER_ENDS), 0.9, 0.8)
    yield Given("ends", "an end at the last step", _rollout({(LAST, 0): "end", (7, 1): "end"}), 0.9, 0.8)
    yield Given("ends", "one sub-environment", _rollout({(6, 0): "end"}, n_envs=1), 0.97, 0.9)

    yield Given("time limits", "limits within the rollout", _rollout(INNER_LIMITS), 0.9, 0.8)
    edge: Places = {(LAST, 0): "limit", (7, 1): "limit", (LAST, 2): "end"}
    yield Given("time limits", "a limit at the last step", _rollout(edge), 0.9, 0.8)
    yield Given("time limits", "ends and limits", _rollout({**MIXED, (LAST, 2): "limit"}), 0.9, 0.8)

    for gamma, gae_lambda in ((1.0, 0.8), (0.9, 1.0), (1.0, 1.0), (0.6, 0.3), (0.9, 0.0), (0.99, 0.95)):
        yield Given("gamma, lambda", "ends and limits", _rollout(MIXED), gamma, gae_lambda)

    yield Given("size of rewards", "rewards of 10,000", _rollout(MIXED, scale=1e4), 0.9, 0.8)
    yield Given("size of rewards", "rewards of 0.001", _rollout(MIXED, scale=1e-3), 0.9, 0.8)
    yield Given("size of rewards", "rewards of 10,000, values of 1", _rollout(MIXED, 1e4, 1.0), 0.99, 0.95)


def _rollout(
    places: Places, scale: float = 1.0, values: float | None = None, n_envs: int = N_ENVS
) -> Rollout:
    """Random rewards and values of these sizes (values: those of the rewards); reproducible.

    Neither has mean 0, so that a sum over the wrong steps is another number.
    """
    rng = torch.Generator().manual_seed(len(places) + 7)
    shape = (N_STEPS, n_envs)
    size = scale if values is None else values
    r, v, final, last = (torch.randn(shape, generator=rng, dtype=torch.float64) for _ in range(4))
    ended, cut = torch.zeros(2, *shape, dtype=torch.float64)
    for place, kind in places.items():
        (ended if kind == "end" else cut)[place] = 1
    return Rollout(
        scale * (r + 0.5), size * (v + 2), ended, cut, size * (final - 3) * cut, size * (last[0] + 4)
    )
