"""Products of matrices of any size, with what follows a layer's sums; sums run in a fixed order."""

from __future__ import annotations

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from rlparity.compilation import inner
from rlparity.nn.kernel.llvm_ir import wide_registers
from rlparity.nn.kernel.tiles import tile, transpose_block
from rlparity.nn.kernel.vectors import (
    at,
    each_tanh,
    fma,
    get,
    get_first,
    if_at_most,
    if_less,
    lanes,
    put,
    stay_apart,
    total,
    zero,
)

NONE, TANH, RELU, TANH_SLOPE, RELU_SLOPE = range(5)  # what happens to a product's sums
FEW = 8  # outputs up to which a head is a sum over lanes rather than a product with a half-empty vector

# As NumPy's: Numba would compile a function anew for every literal number that it is given.
ZERO, UNIT, ABSENT = np.int64(0), np.int64(1), np.int64(-1)

WIDE = 4 if wide_registers() else 1  # vectors of a tile: 6 x 4 registers of 64 bytes, or 6 x 2 of 32
_six, _four, _two, _one = (tile(rows, WIDE, False) for rows in (6, 4, 2, 1))
_six_narrow, _one_narrow = tile(6, 1, True), tile(1, 1, True)


def tanh(x):
    """tanh of a vector."""
    raise NotImplementedError


@overload(tanh, jit_options={"error_model": "numpy"})
def _tanh(x):
    if x.dtype == types.float64:
        return lambda x: each_tanh(x)

    def rational(x):  # Eigen's approximation of degrees 13 and 6: 5 units in the last place
        z = if_less(x, -7.90531110763549805, -7.90531110763549805, x)
        z = if_less(7.90531110763549805, z, 7.90531110763549805, z)
        q = z * z
        p = fma(q, -2.76076847742355e-16, 2.00018790482477e-13)
        p = fma(p, q, -8.60467152213735e-11)
        p = fma(p, q, 5.12229709037114e-08)
        p = fma(p, q, 1.48572235717979e-05)
        p = fma(p, q, 6.37261928875436e-04)
        p = fma(p, q, 4.89352455891786e-03)
        d = fma(q, 1.19825839466702e-06, 1.18534705686654e-04)
        d = fma(d, q, 2.26843463243900e-03)
        d = fma(d, q, 4.89352518554385e-03)
        return p * z / d

    return rational


@register_jitable
def padded(width, lanes):
    """The distance of rows of `width` numbers: an odd number of vectors, to spread columns in the cache."""
    return ((width + lanes - 1) // lanes | 1) * lanes


@inner
def _finish(what, n_rows, width, c, c_row, h, h_row):
    """Activate, or times the slope of an activation whose values are h. Whole vectors, padding too."""
    step = lanes(c)
    for i in range(n_rows):
        for j in range(0, width, step):
            p = at(c, i * c_row + j)
            y = get(p)
            if what == TANH:
                put(p, tanh(y))
            elif what == RELU:
                put(p, if_less(y, 0.0, 0.0, y))
            else:
                value = get(at(h, i * h_row + j))
                if what == TANH_SLOPE:
                    put(p, y * fma(value * -1.0, value, 1.0))
                else:
                    put(p, if_at_most(value, 0.0, 0.0, y))


@inner
def product(n_rows, n_columns, terms, a, row, step, b, b_row, c, c_row, start, start_row, what, h, h_row):
    """c[i, j] = start[i, j] + sum_k a[i * row + k * step] b[k, j], then `what`."""
    stay_apart()
    one = lanes(c)
    broad = WIDE * one
    j = 0
    while j < n_columns:
        wide = n_columns - j >= broad
        width = broad if wide else one
        columns = n_columns - j
        i = 0
        while i < n_rows:
            left = n_rows - i
            p, q, s = at(a, i * row), at(b, j), at(c, i * c_row + j)
            begin = at(start, i * start_row + j) if start_row >= 0 else start
            if wide:
                if left >= 6:
                    size = 6
                    _six(terms, p, row, step, q, b_row, s, c_row, begin, start_row, columns)
                elif left >= 4:
                    size = 4
                    _four(terms, p, row, step, q, b_row, s, c_row, begin, start_row, columns)
                elif left >= 2:
                    size = 2
                    _two(terms, p, row, step, q, b_row, s, c_row, begin, start_row, columns)
                else:
                    size = 1
                    _one(terms, p, row, step, q, b_row, s, c_row, begin, start_row, columns)
            elif left >= 6:
                size = 6
                _six_narrow(terms, p, row, step, q, b_row, s, c_row, begin, start_row, columns)
            else:
                size = 1
                _one_narrow(terms, p, row, step, q, b_row, s, c_row, begin, start_row, columns)
            if what:
                _finish(what, size, width, s, c_row, at(h, i * h_row + j), h_row)
            i += size
        j += width


@inner
def transpose(n_rows, n_columns, source, source_row, target, target_row):
    """target[j, i] = source[i, j]."""
    stay_apart()
    size = lanes(source)
    for i in range(0, n_rows, size):
        for j in range(0, n_columns, size):
            if n_rows - i >= size and n_columns - j >= size:
                transpose_block(
                    at(source, i * source_row + j), source_row, at(target, j * target_row + i), target_row
                )
            else:
                for m in range(i, min(n_rows, i + size)):
                    for n in range(j, min(n_columns, j + size)):
                        target[n * target_row + m] = source[m * source_row + n]


@inner
def head(n_rows, width, n_out, x, x_row, weight, weight_row, bias, y):
    """y = x W + b of few outputs, the weights transposed. Each lane sums every 16th term (of float32)."""
    size = lanes(x)
    whole = width // size * size
    for i in range(n_rows):
        for o in range(n_out):
            sums = zero(x)
            for k in range(0, whole, size):
                sums = fma(get(at(x, i * x_row + k)), get(at(weight, o * weight_row + k)), sums)
            if whole < width:
                left = width - whole
                last = get_first(at(weight, o * weight_row + whole), left)
                sums = fma(get_first(at(x, i * x_row + whole), left), last, sums)
            y[i * n_out + o] = total(sums) + bias[o]
