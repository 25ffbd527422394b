"""Replay memory of images that are no stacks of frames: each is kept whole, as the environment gives it."""

from __future__ import annotations

from rlparity.buffers.replay import Replay


class WholeImages(Replay):
    """A `Replay` whose observations are small images. They stay in memory, whatever `mapped` says: a hundred
    thousand transitions of 10x10 booleans in four channels take 76 MiB."""

    def __init__(self, capacity: int, n_seeds: int, n_envs: int, mapped: bool = False):
        super().__init__(capacity, n_seeds, n_envs)
