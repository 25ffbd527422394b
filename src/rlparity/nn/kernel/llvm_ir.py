"""Vectors of 64 bytes in LLVM's intermediate language, as Numba's type of them needs it.

LLVM splits a vector into two or four registers where they are narrower (AVX2, NEON), so that results do not
depend on the processor: every operation rounds as IEEE 754 says, and nothing is reordered.
"""

from __future__ import annotations

from collections.abc import Sequence

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import models, register_model

BYTES = 64


class Vector(types.Type):
    """As many numbers of `dtype` as fill 64 bytes."""

    def __init__(self, dtype: types.Float):
        self.dtype, self.lanes = dtype, BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"Vector({dtype})")


VECTORS = {real: Vector(real) for real in (types.float32, types.float64)}


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager, kind: Vector):
        super().__init__(manager, kind, ir.VectorType(manager[kind.dtype].get_value_type(), kind.lanes))


def wide_registers() -> bool:
    """Whether the processor that Numba compiles for has 32 registers of 64 bytes."""
    chosen = config.CPU_FEATURES  # NUMBA_CPU_FEATURES, for processors of other machines
    return "+avx512f" in (llvm.get_host_cpu_features().flatten() if chosen is None else chosen)


def llvm_call(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: Sequence[ir.Value]) -> ir.Value:
    """Call one of LLVM's own functions."""
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


def suffix(kind: ir.VectorType) -> str:
    """LLVM's name for a type of vector in the names of its functions."""
    return f"v{kind.count}f{32 if isinstance(kind.element, ir.FloatType) else 64}"


def lanes_of(indices: Sequence[int]) -> ir.Constant:
    """Which lanes a shuffle takes."""
    return ir.Constant(ir.VectorType(ir.IntType(32), len(indices)), list(indices))


def splat(builder: ir.IRBuilder, kind: ir.VectorType, number: ir.Value) -> ir.Value:
    """A vector of the same number everywhere."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), lanes_of([0] * kind.count))


def element_bytes(kind: ir.VectorType) -> int:
    return BYTES // kind.count


def load(builder: ir.IRBuilder, kind: ir.VectorType, pointer: ir.Value) -> ir.Value:
    return builder.load(builder.bitcast(pointer, kind.as_pointer()), align=element_bytes(kind))


def store(builder: ir.IRBuilder, value: ir.Value, pointer: ir.Value) -> None:
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=element_bytes(value.type))


def first(builder: ir.IRBuilder, kind: ir.VectorType, count: ir.Value) -> ir.Value:
    """A mask of the first `count` lanes."""
    wide = ir.VectorType(ir.IntType(32), kind.count)
    lanes = ir.Constant(wide, list(range(kind.count)))
    return builder.icmp_signed("<", lanes, splat(builder, wide, builder.trunc(count, ir.IntType(32))))


def load_masked(builder: ir.IRBuilder, kind: ir.VectorType, pointer: ir.Value, mask: ir.Value) -> ir.Value:
    """Zero where the mask is false; memory is not touched there."""
    align = ir.Constant(ir.IntType(32), element_bytes(kind))
    zero = ir.Constant(kind, [0.0] * kind.count)
    pointer = builder.bitcast(pointer, kind.as_pointer())
    return llvm_call(builder, f"llvm.masked.load.{suffix(kind)}.p0", kind, [pointer, align, mask, zero])


def store_masked(builder: ir.IRBuilder, value: ir.Value, pointer: ir.Value, mask: ir.Value) -> None:
    align = ir.Constant(ir.IntType(32), element_bytes(value.type))
    pointer = builder.bitcast(pointer, value.type.as_pointer())
    name = f"llvm.masked.store.{suffix(value.type)}.p0"
    llvm_call(builder, name, ir.VoidType(), [value, pointer, align, mask])


def fused(builder: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    return llvm_call(builder, f"llvm.fma.{suffix(x.type)}", x.type, [x, y, z])
