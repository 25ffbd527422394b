"""From (cell, seed) to named, independent random streams.

A stream is named by words, never derived by adding to a seed: runs seeded 0, 1, 2 whose sub-environments
are seeded seed + i share most of their streams and are not independent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rlparity.cell import Cell

CHUNK = 128  # draws fetched at once; part of what "same seed, same bytes" means


class Streams:
    """The random streams of the seeds of one cell. A stream depends on its own seed and on no neighbour."""

    def __init__(self, cell: Cell):
        self.seeds = cell.seeds
        self._who = f"{cell.environment}|{cell.implementation}|{cell.algorithm}"

    def sequences(self, name: str) -> list[np.random.SeedSequence]:
        """One seed sequence for each seed, for the stream of that name."""
        words = (f"{self._who}|{seed}|{name}".encode() for seed in self.seeds)
        return [np.random.SeedSequence(int.from_bytes(hashlib.sha256(word).digest()[:16])) for word in words]

    def generators(self, name: str) -> list[np.random.Generator]:
        """One numpy generator for each seed."""
        return [np.random.default_rng(sequence) for sequence in self.sequences(name)]

    def torch_generators(self, name: str) -> list[torch.Generator]:
        """One torch generator for each seed."""
        return [torch.Generator().manual_seed(state) for state in self.integers(name)]

    def integers(self, name: str) -> list[int]:
        """One number below 2**32 for each seed, for libraries that want a plain seed."""
        return [int(sequence.generate_state(1)[0]) for sequence in self.sequences(name)]

    def environments(self, name: str, n: int) -> list[list[int]]:
        """Seeds for n sub-environments of each seed: S lists of n numbers."""
        return [
            [int(child.generate_state(1, np.uint64)[0]) for child in sequence.spawn(n)]
            for sequence in self.sequences(name)
        ]


class Uniforms:
    """Uniform numbers in [0, 1), one generator for each seed: `next()` gives float32 (S, *shape).

    Fetched in chunks, because a call per seed and step would cost more than the numbers.
    """

    def __init__(self, generators: Sequence[np.random.Generator], *shape: int):
        self._generators, self._shape = generators, shape
        self._chunk, self._used = torch.empty(0), CHUNK

    def next(self) -> Tensor:
        """The next numbers of every seed's stream, float32 (S, *shape)."""
        if self._used == CHUNK:
            drawn = [rng.random((CHUNK, *self._shape), dtype=np.float32) for rng in self._generators]
            self._chunk, self._used = torch.from_numpy(np.stack(drawn, axis=1)), 0
        self._used += 1
        return self._chunk[self._used - 1]
