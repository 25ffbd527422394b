"""Dense stacks for one seed after another, forwards and backwards.

Sums run in a fixed order: products over k = 0, 1, ..., with one rounding per term, whatever the processor,
the number of rows and the other seeds. All arrays come as addresses (`tensor.data_ptr()`) and distances in
numbers; `like` is a NumPy scalar of their type. Rows of the tape and of scratch are `padded`; what lies in
the padding is never read.
"""

from __future__ import annotations

from rlparity.compilation import entry
from rlparity.nn.kernel.products import ABSENT, FEW, UNIT, ZERO, head, padded, product, transpose
from rlparity.nn.kernel.vectors import at, lanes, pointer

BLOCK = 48  # rows that go through all layers before the next: their hidden layers stay in the cache


@entry
def forward(
    like,
    seeds,
    rows,
    depth,
    sizes,
    widest,
    activation,
    theta,
    theta_row,
    x,
    x_row,
    tape,
    tape_row,
    y,
    scratch,
):
    """y = the stack's output for x. Hidden layers are kept in `tape`, or nothing if its address is 0.

    Of every seed: theta holds weight, bias, weight, bias ... of `depth` layers, whose widths are in `sizes`;
    x is (rows, sizes[0]), y (rows, sizes[depth]), the tape one (rows, padded width) after another.
    Scratch: `scratch_size` numbers.
    """
    sizes = pointer(sizes, seeds)
    theta, x, tape, y, scratch = (
        pointer(theta, like),
        pointer(x, like),
        pointer(tape, like),
        pointer(y, like),
        pointer(scratch, like),
    )
    kept = tape_row > 0
    size = lanes(x)
    n_in, n_out, last = sizes[0], sizes[depth], sizes[depth - 1]
    transposed = at(scratch, 2 * BLOCK * widest)
    few = n_out <= FEW
    for seed in range(seeds):
        weights = at(theta, seed * theta_row)
        offset = 0
        for layer in range(depth - 1):
            offset += (sizes[layer] + 1) * sizes[layer + 1]
        if few:
            transpose(last, n_out, at(weights, offset), n_out, transposed, padded(last, size))
        for begin in range(0, rows, BLOCK):
            n = min(BLOCK, rows - begin)
            inputs, row = at(x, seed * x_row + begin * n_in), n_in
            offset, behind = 0, 0
            for layer in range(depth - 1):
                k, width = sizes[layer], sizes[layer + 1]
                distance = padded(width, size)
                if kept:
                    outputs = at(tape, seed * tape_row + behind + begin * distance)
                else:
                    outputs = at(scratch, (layer & 1) * BLOCK * widest)
                weight = at(weights, offset)
                product(
                    n,
                    width,
                    k,
                    inputs,
                    row,
                    UNIT,
                    weight,
                    width,
                    outputs,
                    distance,
                    at(weight, k * width),
                    ZERO,
                    activation,
                    outputs,
                    distance,
                )
                inputs, row = outputs, distance
                offset += (k + 1) * width
                behind += rows * distance
            weight = at(weights, offset)
            bias = at(weight, last * n_out)
            outputs = at(y, (seed * rows + begin) * n_out)
            if few:
                head(n, last, n_out, inputs, row, transposed, padded(last, size), bias, outputs)
            else:
                product(
                    n,
                    n_out,
                    last,
                    inputs,
                    row,
                    UNIT,
                    weight,
                    n_out,
                    outputs,
                    n_out,
                    bias,
                    ZERO,
                    ZERO,
                    outputs,
                    ZERO,
                )


@entry
def backward(
    like,
    seeds,
    rows,
    depth,
    sizes,
    widest,
    activation,
    theta,
    theta_row,
    x,
    x_row,
    tape,
    tape_row,
    dy,
    grad,
    grad_row,
    add,
    dx,
    scratch,
):
    """The gradients of sum(dy * y) by the stack's parameters, written to `grad` or added to it, and by x.

    Addresses of 0: `grad` for no gradients by the parameters, `dx` for none by x, which is (rows, sizes[0]).
    """
    sizes = pointer(sizes, seeds)
    wish, wish_x = grad != 0, dx != 0
    nothing = pointer(0, like)
    theta, x, tape, dy, grad, dx, scratch = (
        pointer(theta, like),
        pointer(x, like),
        pointer(tape, like),
        pointer(dy, like),
        pointer(grad, like),
        pointer(dx, like),
        pointer(scratch, like),
    )
    size = lanes(x)
    slope = activation + 2
    one = scratch
    one[0] = 1.0
    here, there = at(scratch, size), at(scratch, size + rows * widest)
    transposed = at(there, rows * widest)
    for seed in range(seeds):
        offset, behind = 0, 0
        for layer in range(depth):
            offset += (sizes[layer] + 1) * sizes[layer + 1]
            behind += rows * padded(sizes[layer + 1], size) if layer < depth - 1 else 0
        g, g_row = at(dy, seed * rows * sizes[depth]), sizes[depth]
        for step in range(depth):
            layer = depth - 1 - step
            k, width = sizes[layer], sizes[layer + 1]
            offset -= (k + 1) * width
            weight = at(theta, seed * theta_row + offset)
            if layer:
                row = padded(k, size)
                behind -= rows * row
                inputs = at(tape, seed * tape_row + behind)
            else:
                row = k
                inputs = at(x, seed * x_row)
            if wish:
                by_weight = at(grad, seed * grad_row + offset)
                by_bias = at(by_weight, k * width)
                start, start_row = (by_bias, ZERO) if add else (nothing, ABSENT)
                product(
                    UNIT,
                    width,
                    rows,
                    one,
                    ZERO,
                    ZERO,
                    g,
                    g_row,
                    by_bias,
                    width,
                    start,
                    start_row,
                    ZERO,
                    by_bias,
                    ZERO,
                )
                if width <= FEW and layer:  # (g^T x)^T: few rows of full vectors
                    distance = padded(k, size)
                    product(
                        width,
                        k,
                        rows,
                        g,
                        UNIT,
                        g_row,
                        inputs,
                        row,
                        transposed,
                        distance,
                        nothing,
                        ABSENT,
                        ZERO,
                        transposed,
                        ZERO,
                    )
                    for i in range(k):
                        for j in range(width):
                            value = transposed[j * distance + i]
                            by_weight[i * width + j] = by_weight[i * width + j] + value if add else value
                else:
                    start, start_row = (by_weight, width) if add else (nothing, ABSENT)
                    product(
                        k,
                        width,
                        rows,
                        inputs,
                        UNIT,
                        row,
                        g,
                        g_row,
                        by_weight,
                        width,
                        start,
                        start_row,
                        ZERO,
                        by_weight,
                        ZERO,
                    )
            if layer or wish_x:
                distance = padded(k, size)
                transpose(k, width, weight, width, transposed, distance)
                if layer:
                    product(
                        rows,
                        k,
                        width,
                        g,
                        g_row,
                        UNIT,
                        transposed,
                        distance,
                        here,
                        distance,
                        nothing,
                        ABSENT,
                        slope,
                        inputs,
                        row,
                    )
                    g, g_row = here, distance
                    here, there = there, here
                else:
                    by_x = at(dx, seed * rows * k)
                    product(
                        rows,
                        k,
                        width,
                        g,
                        g_row,
                        UNIT,
                        transposed,
                        distance,
                        by_x,
                        k,
                        nothing,
                        ABSENT,
                        ZERO,
                        by_x,
                        ZERO,
                    )
