"""What a played episode is written as: the ending of the file's name decides."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from rlparity.errors import UserError
from rlparity.playback import gif

Encoder = Callable[[Sequence[np.ndarray], float], bytes]  # frames (H, W, 3) uint8, frames per second
CODECS = ("vp09", "mp4v")  # VP9, which browsers play, else MPEG-4
ENDINGS = (".gif", ".mp4")


def encoder(file: Path) -> Encoder:
    """What writes a file of this name. Raises UserError for an ending that is not known."""
    ending = file.suffix.lower()
    if ending not in ENDINGS:
        raise UserError(f"{file}: films are written as {' or '.join(ENDINGS)}; end the name so")
    return mp4 if ending == ".mp4" else _gif


def _gif(frames: Sequence[np.ndarray], rate: float) -> bytes:
    return gif.encode(frames, round(100 / rate))


def mp4(frames: Sequence[np.ndarray], rate: float) -> bytes:
    """RGB frames as an MP4, by OpenCV; a row or column is left out where their number is odd."""
    import cv2

    height, width = (size - size % 2 for size in frames[0].shape[:2])
    os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")  # of codecs that are tried
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "film.mp4")
        for codec in CODECS:
            made = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*codec), rate, (width, height))
            if made.isOpened():
                for frame in frames:
                    made.write(np.ascontiguousarray(frame[:height, :width, ::-1]))
                made.release()
                if file.is_file() and file.stat().st_size:
                    return file.read_bytes()
    raise UserError(f"no MP4 can be written here: OpenCV has neither {' nor '.join(CODECS)}; write a .gif")
