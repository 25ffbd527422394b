"""Data that pass between environments, agents and recorders: one step, and one finished episode."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Step(NamedTuple):
    """One step of S x N environments, or B sampled transitions per seed (N is then B)."""

    obs: Tensor  # (S, N, *obs)
    action: Tensor  # (S, N) integers, or (S, N, *action)
    reward: Tensor  # (S, N)
    discount: Tensor  # (S, N) 0 where the episode terminated, else 1; a time limit does not terminate it
    last: Tensor  # (S, N) 1 where the episode stopped here, for either reason
    next_obs: Tensor  # (S, N, *obs) the true successor, never the observation after a reset


class Episode(NamedTuple):
    """One whole episode, as the environment recorded it."""

    seed_index: int  # row of the seed axis
    env_index: int  # which of the seed's sub-environments
    env_step: int  # environment steps of that seed when the episode ended
    episode_return: float  # sum of raw rewards
    episode_length: int  # environment steps
