"""Files that outlive a process: the parameters that `rlparity play` acts with, and the state of a cell in
training, with its replay memories in segments.

Every file is written under a temporary name, synchronised and renamed. The state lists the segments that
belong to it and is written after them, so that a kill at any moment leaves the old checkpoint or the new one.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rlparity.buffers.replay import Replay
from rlparity.errors import UserError
from rlparity.records import write_bytes

FILE, STATE, SEGMENT = "agent.pt", "state.pt", "replay-"
POLICY = "agent"  # how the names of all files of parameters begin
SEGMENT_BYTES = 64 * 2**20  # of one file of replay memory


def save(folder: Path, state: dict[str, Tensor], name: str = FILE) -> None:
    """Write named parameters: of a finished cell, or under another name of one in training."""
    unique: dict[Any, Tensor] = {}  # what goes by several names is written once
    for value in state.values():
        unique.setdefault(_place(value), value.contiguous().clone())
    write_bytes(folder / name, _packed({key: unique[_place(value)] for key, value in state.items()}))


def load(folder: Path, name: str = FILE) -> dict[str, Tensor]:
    """Read named parameters; nothing but tensors is unpickled."""
    path = folder / name
    try:
        state: dict[str, Tensor] = torch.load(path, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no checkpoint; train the cell first") from None
    except Exception as error:
        raise UserError(f"{path}: not a readable checkpoint ({first_line(error)})") from None
    return state


def write_state(folder: Path, state: dict[str, Any]) -> None:
    """Write plain data (`rlparity.training.object_state`)."""
    write_bytes(folder / STATE, _packed(state))


def read_state(folder: Path) -> dict[str, Any]:
    """Read what `write_state` wrote; some exception if it is damaged.

    PyTorch checks no checksums, so that flipped bits of a tensor would pass.
    """
    with zipfile.ZipFile(folder / STATE) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"{damaged} is damaged")
    state: dict[str, Any] = torch.load(folder / STATE, weights_only=True)
    return state


class Segment(NamedTuple):
    """One file of replay memory, which is never written twice."""

    name: str
    memory: int  # which of the agent's
    first: int  # number of the first transition in it
    last: int  # one past the last
    size: int  # bytes
    crc32: int  # of the bytes


def write_segments(folder: Path, number: int, memory: Replay, first: int) -> Iterator[Segment]:
    """Write what a memory holds of transitions number `first` and on."""
    first = max(first, memory.added - memory.size)
    while first < memory.added:
        row = sum(x.nbytes for x in memory.read(first, first + 1))
        last = min(first + max(SEGMENT_BYTES // row, 1), memory.added)
        content = _packed(list(memory.read(first, last)))
        segment = Segment(
            f"{SEGMENT}{number}-{first}-{last}.pt", number, first, last, len(content), zlib.crc32(content)
        )
        write_bytes(folder / segment.name, content)
        yield segment
        first = last


def read_segments(folder: Path, segments: Sequence[Segment], memories: Sequence[Replay]) -> None:
    """Fill memories again; some exception if a segment is missing or damaged."""
    reached = [memory.added - memory.size for memory in memories]
    for segment in segments:
        content = (folder / segment.name).read_bytes()
        if (len(content), zlib.crc32(content)) != (segment.size, segment.crc32):
            raise ValueError(f"{segment.name} is damaged")
        if segment.first > reached[segment.memory]:
            raise ValueError(f"the transitions before {segment.name} are missing")
        fields = torch.load(io.BytesIO(content), weights_only=True)
        memories[segment.memory].write(segment.first, fields)
        reached[segment.memory] = segment.last
    if reached != [memory.added for memory in memories]:
        raise ValueError("transitions are missing")


def sweep(folder: Path, segments: Collection[Segment]) -> None:
    """Remove all but these segments, and what a kill left half written."""
    listed = {segment.name for segment in segments}
    with suppress(OSError):
        _synchronise(folder)
        for path in list(folder.iterdir()):
            half = path.name.startswith((f".{STATE}.", f".{POLICY}", f".{SEGMENT}"))
            if half or (path.name.startswith(SEGMENT) and path.name not in listed):
                path.unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """Remove what a finished cell does not need to go on with; `agent.pt` stays."""
    with suppress(OSError):
        (folder / STATE).unlink(missing_ok=True)
    sweep(folder, ())


def first_line(error: Exception) -> str:
    """What an exception says, in one line."""
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _place(value: Tensor) -> tuple[Any, ...]:
    return value.data_ptr(), value.shape, value.stride(), value.dtype


def _packed(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _synchronise(folder: Path) -> None:
    """Let renames reach the disk before what they replaced is removed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
