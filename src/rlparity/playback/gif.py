"""Animated GIFs: one palette for the whole film, and between frames only what changed."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

SAMPLED = 8  # frames that the palette is made from
HOLD_CS = 100  # how long the last frame stays before the film begins again


def encode(
    frames: Sequence[np.ndarray], delay_cs: int, width: int | None = None, colours: int = 256
) -> bytes:
    """RGB frames (H, W, 3), uint8, as a GIF that repeats.

    `delay_cs` hundredths of a second pass from frame to frame (browsers take less than 2 for 10); frames
    wider than `width` pixels are made smaller. The same frames give the same bytes.
    """
    images = _images(frames, width, colours)
    delays = [delay_cs] * (len(images) - 1) + [max(delay_cs, HOLD_CS)]
    first, *others = images
    buffer = io.BytesIO()
    first.save(
        buffer, "GIF", save_all=True, append_images=others, duration=[10 * cs for cs in delays], loop=0
    )
    return buffer.getvalue()


def still(frame: np.ndarray, width: int | None = None, colours: int = 256) -> bytes:
    """One frame as a PNG."""
    buffer = io.BytesIO()
    _images([frame], width, colours)[0].save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def size(frame: np.ndarray, width: int | None = None) -> tuple[int, int]:
    """Width and height in pixels of a frame (H, W, 3) that is made no wider than `width`."""
    h, w = frame.shape[:2]
    return (w, h) if width is None or w <= width else (width, round(h * width / w))


def _images(frames: Sequence[np.ndarray], width: int | None, colours: int) -> list[Image.Image]:
    """Frames in the size and the colours of the film."""
    into = size(frames[0], width)
    full = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    images = [image if image.size == into else image.resize(into, Image.Resampling.BOX) for image in full]
    sample = images[:: -(-len(images) // SAMPLED)]
    mosaic = Image.new("RGB", (into[0], into[1] * len(sample)))
    for place, image in enumerate(sample):
        mosaic.paste(image, (0, place * into[1]))
    palette = mosaic.quantize(colours, Image.Quantize.MEDIANCUT, kmeans=1)
    return [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
