"""Mutations of Atari games and of memories of frames change what is seen, earned, recorded or replayed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from rlparity.buffers.frame_replay import STACK, FrameReplay
from rlparity.environments import atari
from rlparity.transitions import Step
from rlparity.validation.mutations import corpus
from rlparity.validation.mutations.mutation import planted

pytestmark = pytest.mark.probes
STEPS = 100
Played = tuple[Tensor, Tensor, Tensor, float]  # observations, rewards, discounts, raw return so far


@cache
def actions(n: int) -> list[Tensor]:
    rng = np.random.default_rng(0)
    return [torch.tensor([[a]]) for a in rng.integers(n, size=STEPS).tolist()]


def play(environment: str) -> Played:
    """Random actions in one game."""
    env = atari.make(environment, [[1]])
    try:
        assert env.spec.n_actions is not None
        steps = [env.step(action) for action in actions(env.spec.n_actions)]
        obs, reward, discount = (
            torch.stack([getattr(step, name).clone() for step in steps])
            for name in ("obs", "reward", "discount")
        )
        return obs, reward, discount, float(env._statistics._returns.sum())
    finally:
        env.close()


@cache
def plain(environment: str) -> Played:
    return play(environment)


@pytest.mark.parametrize(
    ("id", "same"),
    [
        ("AT12", lambda a, b: torch.equal(a[2], b[2])),
        ("AT13", lambda a, b: a[3] == b[3]),
        ("AT14", lambda a, b: torch.equal(a[0], b[0])),
        ("AT15", lambda a, b: torch.equal(a[0], b[0])),
        ("AT16", lambda a, b: torch.equal(a[1], b[1])),
    ],
)
def test_a_game_is_another(id: str, same: Callable[[Played, Played], bool]) -> None:
    mutation = corpus.find(id)
    true = plain(mutation.environments[0])
    with planted(mutation):
        assert not same(true, play(mutation.environments[0]))


def replayed() -> list[Tensor]:
    """All transitions of a memory of three games of six steps; every frame has a brightness of its own."""
    memory, bright, stack = FrameReplay(18, 1, 1), iter(range(1, 256)), None

    def frame() -> Tensor:
        return torch.full((1, 1, 1, 2, 2), next(bright), dtype=torch.uint8)

    for t in range(18):
        if stack is None:
            stack = torch.cat([torch.zeros(1, 1, STACK - 1, 2, 2, dtype=torch.uint8), frame()], 2)
        after = torch.cat([stack[:, :, 1:], frame()], 2)
        last = torch.full((1, 1), float(t % 6 == 5))
        zero = torch.zeros(1, 1)
        memory.add(Step(stack, zero.long(), zero, 1 - last, last, after))
        stack = None if last else after
    step = memory.at(torch.arange(18)[None])
    return [step.obs, step.next_obs]


@pytest.mark.parametrize("id", ["AT17", "AT18", "AT19"])
def test_other_frames_are_replayed(id: str) -> None:
    true = replayed()
    with planted(corpus.find(id)):
        assert not all(map(torch.equal, true, replayed()))
    assert all(map(torch.equal, true, replayed()))
