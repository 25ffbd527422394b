"""TensorBoard's event files, one by one: scalars and texts in the order in which they were written."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HEAD, FOOT = 12, 4  # bytes before and after the data of a record


class Scalar(NamedTuple):
    """One value of a tag."""

    step: float
    value: float
    wall_time: float  # seconds since 1970


class Events(NamedTuple):
    """The content of one file."""

    path: Path
    scalars: dict[str, list[Scalar]]  # by tag
    texts: dict[str, str]  # the first of each tag
    begins: float  # environment step from which rows of earlier files are void; NaN: not logged
    damaged: bool  # whether it ends in what cannot be read


def read(path: Path) -> Events:
    """Read a file to its end or to the first record that is damaged. Raises OSError."""
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog

    scalars: dict[str, list[Scalar]] = {}
    texts: dict[str, str] = {}
    begins, damaged = math.nan, False
    for record in _records(path.read_bytes()):
        try:
            event = Event.FromString(record) if record is not None else None
        except Exception:  # protobuf's DecodeError, which each of its implementations has its own of
            event = None
        if event is None:
            damaged = True
            break
        if event.HasField("session_log") and event.session_log.status == SessionLog.START:
            begins = float(event.step) if math.isnan(begins) else begins
        for value in event.summary.value:
            content = _content(value)
            if isinstance(content, str):
                texts.setdefault(value.tag, content)
            elif content is not None:
                scalars.setdefault(value.tag, []).append(Scalar(event.step, content, event.wall_time))
    return Events(path, scalars, texts, begins, damaged)


def _records(content: bytes) -> Iterator[bytes | None]:
    """The records of a file, each a length, its checksum, the data and its checksum; None and the end where
    one is incomplete or damaged."""
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    at = 0
    while at < len(content):
        head = content[at : at + HEAD]
        length = struct.unpack("<Q", head[:8])[0] if len(head) == HEAD else len(content)
        data = content[at + HEAD : at + HEAD + length]
        foot = content[at + HEAD + length : at + HEAD + length + FOOT]
        if len(data) < length or len(foot) < FOOT or masked_crc32c(data) != struct.unpack("<I", foot)[0]:
            yield None
            return
        yield data
        at += HEAD + length + FOOT


def _content(value: Any) -> float | str | None:
    """A scalar or a text; None of anything else, such as an image."""
    from tensorboard.util import tensor_util

    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind != "tensor":
        return None
    try:
        if value.tensor.string_val:
            return b"".join(value.tensor.string_val).decode(errors="replace")
        array = tensor_util.make_ndarray(value.tensor)
        return float(array.item()) if array.size == 1 and array.dtype.kind in "fiu" else None
    except Exception:  # a tensor of a type or shape that is none
        return None
