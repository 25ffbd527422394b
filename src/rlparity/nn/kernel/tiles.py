"""Blocks of a matrix that stay in registers: a tile of a product, and a transposed square."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir
from numba import types
from numba.core import cgutils

from rlparity.nn.kernel.llvm_ir import (
    VECTORS,
    first,
    fused,
    lanes_of,
    load,
    load_masked,
    splat,
    store,
    store_masked,
)
from rlparity.nn.kernel.vectors import intrinsic


def tile(n_rows: int, n_vectors: int, partial: bool) -> Callable[..., None]:
    """A product that keeps its n_rows x n_vectors vectors of sums in registers.

    The function returned computes c[i, j] = start[i, j] + sum_k a[i * row + k * step] b[k, j], in the order
    of k, each term added with one rounding. Its arguments: the number of terms; a, row and step; b and the
    distance of its rows; c and the distance of its rows; start and the distance of its rows (an address
    of 0 for none); how many columns of a `partial` vector there are.
    """

    @intrinsic
    def product(
        typingctx,
        terms,
        a,
        row,
        step,
        b,
        b_row,
        c,
        c_row,
        start,
        start_row,
        columns,
    ):
        kind, n = VECTORS[a.dtype], types.intp

        def codegen(context, builder: ir.IRBuilder, sig, args: Sequence[ir.Value]):
            terms, a, row, step, b, b_row, c, c_row, start, start_row, columns = args
            vector = context.get_value_type(kind)
            index = context.get_value_type(n)
            mask = first(builder, vector, columns) if partial else None

            def where(pointer: ir.Value, i: int, distance: ir.Value, j: int) -> ir.Value:
                offset = builder.mul(ir.Constant(index, i), distance)
                return builder.gep(pointer, [builder.add(offset, ir.Constant(index, j * kind.lanes))])

            def read(pointer: ir.Value) -> ir.Value:
                if partial:
                    return load_masked(builder, vector, pointer, mask)
                return load(builder, vector, pointer)

            cells = [(i, j) for i in range(n_rows) for j in range(n_vectors)]
            sums = {cell: cgutils.alloca_once(builder, vector) for cell in cells}
            nothing = builder.icmp_unsigned("==", builder.ptrtoint(start, index), ir.Constant(index, 0))
            with builder.if_else(nothing) as (then, otherwise):
                with then:
                    for cell in cells:
                        builder.store(ir.Constant(vector, [0.0] * kind.lanes), sums[cell])
                with otherwise:
                    for i, j in cells:
                        builder.store(read(where(start, i, start_row, j)), sums[i, j])
            rows = [where(a, i, row, 0) for i in range(n_rows)]
            with cgutils.for_range(builder, terms) as loop:
                k = loop.index
                base = builder.gep(b, [builder.mul(k, b_row)])
                w = [read(where(base, 0, b_row, j)) for j in range(n_vectors)]
                shift = builder.mul(k, step)
                for i in range(n_rows):
                    x = splat(builder, vector, builder.load(builder.gep(rows[i], [shift])))
                    for j in range(n_vectors):
                        builder.store(fused(builder, x, w[j], builder.load(sums[i, j])), sums[i, j])
            for i, j in cells:
                value, pointer = builder.load(sums[i, j]), where(c, i, c_row, j)
                if partial:
                    store_masked(builder, value, pointer, mask)
                else:
                    store(builder, value, pointer)
            return context.get_dummy_value()

        return types.void(n, a, n, n, b, n, c, n, start, n, n), codegen

    return product


@intrinsic
def transpose_block(typingctx, source, source_row, target, target_row):
    """target[j, i] = source[i, j] for a square block of one vector's width."""
    kind, n = VECTORS[source.dtype], types.intp

    def codegen(context, builder: ir.IRBuilder, signature, args: Sequence[ir.Value]):
        source, source_row, target, target_row = args
        vector = context.get_value_type(kind)
        size = kind.lanes

        def row(pointer: ir.Value, i: int, distance: ir.Value) -> ir.Value:
            return builder.gep(pointer, [builder.mul(context.get_constant(n, i), distance)])

        rows = [load(builder, vector, row(source, i, source_row)) for i in range(size)]
        width = size // 2
        while width:  # swap the off-diagonal blocks of every (2 width) x (2 width) block
            for i in range(size):
                if i & width:
                    continue
                x, y = rows[i], rows[i + width]
                low = [j if not j & width else size + j - width for j in range(size)]
                high = [j + width if not j & width else size + j for j in range(size)]
                rows[i] = builder.shuffle_vector(x, y, lanes_of(low))
                rows[i + width] = builder.shuffle_vector(x, y, lanes_of(high))
            width //= 2
        for i in range(size):
            store(builder, rows[i], row(target, i, target_row))
        return context.get_dummy_value()

    return types.void(source, n, target, n), codegen
