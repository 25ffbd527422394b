"""Clipping and Adam in one pass."""

from __future__ import annotations

import math

import numpy as np

from rlparity.compilation import entry
from rlparity.nn.kernel.vectors import at, fma, get, if_less, lanes, pointer, put, sqrt, total, zero

NOTHING = 1e-33  # smaller moments are zero: numbers below 1e-38 would take a processor ten times as long


@entry
def clip_adam(
    like, seeds, length, theta, theta_row, grad, mean, square, row, due, counts, rate, eps, max_norm, norms
):
    """Scale each seed's gradient to at most `max_norm` (0: not at all), then a step of Adam as PyTorch's.

    Rows hold `length` numbers, a whole number of vectors. Norms before scaling are written to `norms` (S,).
    A seed steps if `due` (S,) bytes has it and its norm is finite; `counts` (S,) float32 are its steps.
    """
    due = pointer(due, np.uint8(0))
    counts = pointer(counts, np.float32(0))
    theta, grad, mean, square, norms = (
        pointer(theta, like),
        pointer(grad, like),
        pointer(mean, like),
        pointer(square, like),
        pointer(norms, like),
    )
    size = lanes(theta)
    for seed in range(seeds):
        g = at(grad, seed * row)
        s0, s1, s2, s3 = zero(g), zero(g), zero(g), zero(g)
        i = 0
        while i + 4 * size <= length:
            v0, v1 = get(at(g, i)), get(at(g, i + size))
            v2, v3 = get(at(g, i + 2 * size)), get(at(g, i + 3 * size))
            s0, s1, s2, s3 = fma(v0, v0, s0), fma(v1, v1, s1), fma(v2, v2, s2), fma(v3, v3, s3)
            i += 4 * size
        while i < length:
            v0 = get(at(g, i))
            s0 = fma(v0, v0, s0)
            i += size
        norm = math.sqrt(total((s0 + s1) + (s2 + s3)))
        norms[seed] = norm
        if not due[seed] or not math.isfinite(norm):
            continue
        counts[seed] += 1
        scale = 1.0
        if max_norm > 0:
            scale = max_norm / (norm + 1e-6)
            if scale > 1:
                scale = 1.0
        count = float(counts[seed])
        step = -rate / (1 - 0.9**count)
        correction = math.sqrt(1 - 0.999**count)
        p, m, q = at(theta, seed * theta_row), at(mean, seed * row), at(square, seed * row)
        for i in range(0, length, size):
            v = get(at(g, i)) * scale
            put(at(g, i), v)
            first = get(at(m, i))
            first = fma(v - first, 0.1, first)
            first = if_less(first, NOTHING, if_less(-NOTHING, first, 0.0, first), first)
            second = fma(get(at(q, i)), 0.999, v * 0.001 * v)
            second = if_less(second, NOTHING, 0.0, second)
            put(at(m, i), first)
            put(at(q, i), second)
            put(at(p, i), get(at(p, i)) + first * step / (sqrt(second) / correction + eps))
