"""Replay memory of images: every frame is kept once, as bytes.

A transition of a four-frame stack shares seven of its eight frames with its neighbours. Kept once, a million
transitions of 84x84 take 6.6 GiB; kept whole, as Stable-Baselines3 does, 52.6.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlparity.buffers.replay import Replay
from rlparity.errors import StorageError
from rlparity.transitions import Step

STACK = 4  # frames of an observation, newest last
OLDER = STACK - 1


class Fields(NamedTuple):
    """What is kept of every transition: rings (S, capacity, ...)."""

    frame: Tensor  # (S, N, H, W) bytes, the newest of `obs`
    action: Tensor
    reward: Tensor
    discount: Tensor
    last: Tensor
    age: Tensor  # (S, N) bytes, steps since the stack was started, at most OLDER


class FrameReplay(Replay):
    """A `Replay` of observations (S, N, 4, H, W): stacks of the last four frames (Mnih et al. 2015).

    A step continues the stack of the step before if its `obs` is that step's `next_obs`, to the last byte. So
    a lost life leaves the stack alone, and whatever follows a reset starts a new one. What a ring of newest
    frames lacks at a start is kept aside under the transition's number: the three older frames, and the frame
    that the stopped stack ended with. Windows of several steps stop where a stack does, even if no episode
    ended there: a resumed cell starts new games.

    It holds three more rows of sub-environments than asked for, the oldest ones of a ring that has gone
    round; they lend their frames and are not drawn.
    """

    def __init__(self, capacity: int, n_seeds: int, n_envs: int, mapped: bool = False):
        """`mapped`: frames lie in a file without a name in the folder for temporary files (TMPDIR), of its
        final size from the first step on; the system keeps in RAM what there is room for. UserError if the
        disk is full."""
        super().__init__(capacity, n_seeds, n_envs)
        self.capacity += OLDER * n_envs
        self._mapped = mapped
        self._latest: Tensor | None = None  # (S, N, 4, H, W), `next_obs` of the newest row
        # (number, seed) -> (4, H, W), last frame of the stack before, then older frames of the new one
        self._starts: dict[tuple[int, int], Tensor] = {}
        self._back = torch.arange(-OLDER, 2) * n_envs

    def add(self, step: Step) -> None:
        """Add one step (S, N). ValueError unless `next_obs` is `obs` and one new frame."""
        _check(step)
        goes_on = torch.zeros_like(step.last, dtype=torch.bool)
        if self._latest is not None:
            goes_on = (step.obs ^ self._latest).flatten(2).any(2) == 0
        frame, age = step.obs[:, :, -1], torch.zeros_like(step.last, dtype=torch.uint8)
        fields = Fields(frame, step.action, step.reward, step.discount, step.last, age)
        before = (self.added - self._n_envs) % self.capacity
        older = self._rings(fields).age[:, before : before + self._n_envs]
        self._append(fields._replace(age=torch.where(goes_on, (older + 1).clamp(max=OLDER), age)))
        number = self.added - self._n_envs
        for s, n in (~goes_on).nonzero().tolist():
            final = step.obs[s, n, :1] if self._latest is None else self._latest[s, n, -1:]
            self._starts[number + n, s] = torch.cat([final, step.obs[s, n, :-1]])
        self._latest = step.next_obs.clone()
        self._forget()

    def _forget(self) -> None:
        """Drop the starts of transitions that were overwritten; rows are in order."""
        oldest = self.added - self.size
        while self._starts and (first := next(iter(self._starts)))[0] < oldest:
            del self._starts[first]

    def _rings(self, like: Sequence[Tensor]) -> Any:
        if self._fields is None:
            frame, *rest = like
            shape = (self._n_seeds, self.capacity, *frame.shape[2:])
            frames = _mapped(shape) if self._mapped else self._ring(frame)
            self._fields = Fields(frames, *(self._ring(x) for x in rest))
        return self._fields

    def drawable(self, n_steps: int = 1) -> tuple[int, int]:
        """See `Replay`; all frames of their stacks are there."""
        first, last = super().drawable(n_steps)
        if self.added > self.capacity:
            first += OLDER * self._n_envs
        return first, max(first, last)

    def _goes_on(self, place: Tensor) -> Tensor:
        return super()._goes_on(place) & (self._age(self._after(place)) > 0)

    def _age(self, place: Tensor) -> Tensor:
        return self._fields.age.flatten()[place]

    def _ends(self, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        frames = self._stacks(end)
        seen = frames if start is end else self._stacks(start)
        return seen[:, :, :STACK], frames[:, :, 1:]

    def _stacks(self, place: Tensor) -> Tensor:
        """The frames of `obs` and the newest of `next_obs`: places (S, B) -> (S, B, 5, H, W)."""
        ring, own = self._fields.frame, self._seed * self.capacity
        around = own[..., None] + ((place - own)[..., None] + self._back) % self.capacity
        flat = around.flatten().to(ring.device)
        frames = ring.flatten(0, 1).index_select(0, flat).view(*around.shape, *ring.shape[2:])
        frames = frames.to(place.device)
        behind = (self.added - 1 + own - place) % self.capacity  # transitions that came later
        age, stopped = self._age(place), self._age(around[..., -1]) == 0
        newest = behind < self._n_envs
        rare = (age < OLDER) | stopped | newest
        for s, b in rare.nonzero().tolist():
            number = self.added - 1 - int(behind[s, b])
            self._mend(frames[s, b], number, s, int(age[s, b]))
        return frames

    def _mend(self, frames: Tensor, number: int, seed: int, age: int) -> None:
        """Put into a transition's frames (5, H, W) those that no neighbour in the ring holds."""
        assert self._latest is not None
        if age < OLDER:
            frames[: OLDER - age] = self._starts[number - age * self._n_envs, seed][1 + age :]
        after = number + self._n_envs
        if after >= self.added:
            frames[-1] = self._latest[seed, number % self._n_envs, -1]
        elif (after, seed) in self._starts:
            frames[-1] = self._starts[after, seed][0]

    def read(self, first: int, last: int) -> Sequence[Tensor]:
        """See `Replay`; the fields, then (M, 2) number and seed of stacks that start there and (M, 4, H, W)
        their frames."""
        fields = super().read(first, last)
        where = [key for key in self._starts if first <= key[0] < last]
        starts = [self._starts[key] for key in where]
        none = fields[0].new_empty(0, STACK, *fields[0].shape[2:])
        numbers = torch.tensor(where, dtype=torch.long).view(-1, 2)
        return *fields, numbers, torch.stack(starts) if starts else none

    def write(self, first: int, content: Sequence[Tensor]) -> None:
        """Put back what `read` gave, as transitions number `first` and on, in ascending order."""
        *fields, where, starts = content
        super().write(first, fields)
        for (number, seed), start in zip(where.tolist(), starts, strict=True):
            self._starts[number, seed] = start.clone()

    def snapshot(self) -> dict[str, Any]:
        """How many transitions came in, and what followed the newest; the rest goes through `read`."""
        return {"added": self.added, "latest": self._latest}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a `snapshot`, once the transitions are put back."""
        self.added, self._latest = state["added"], state["latest"]


def _check(step: Step) -> None:
    if step.obs.dtype != torch.uint8 or step.obs.ndim != 5 or step.obs.shape[2] != STACK:
        found = f"{step.obs.dtype} of shape {tuple(step.obs.shape)}"
        raise ValueError(f"observations are {found}, expected torch.uint8 of shape (S, N, {STACK}, H, W)")
    if (step.next_obs[:, :, :-1] ^ step.obs[:, :, 1:]).any():
        raise ValueError("next_obs is not obs with one new frame")


def _mapped(shape: Sequence[int]) -> Tensor:
    """Bytes in a file that has no name and goes with the process. Its blocks are reserved at once: a disk
    that fills up later would kill the process."""
    size, folder = torch.Size(shape).numel(), tempfile.gettempdir()
    try:
        if (free := shutil.disk_usage(folder).free) < size:
            raise OSError(errno.ENOSPC, f"{free / 2**30:,.1f} are free")
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            content = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise StorageError(
            f"{folder}: no room for {size / 2**30:,.1f} GiB of memory-mapped replay ({error.strerror}); "
            "let TMPDIR name a folder with more, or lower buffer_size"
        ) from None
    return torch.frombuffer(content, dtype=torch.uint8).view(shape)
