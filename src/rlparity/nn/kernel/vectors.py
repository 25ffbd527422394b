"""Pointers and vectors for functions that Numba compiles.

Pointers are `CPointer(float32)` or `CPointer(float64)`; offsets count numbers, not bytes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import extending, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import lower_builtin, lower_cast

from rlparity.nn.kernel.llvm_ir import (
    VECTORS,
    Vector,
    first,
    fused,
    lanes_of,
    llvm_call,
    load,
    load_masked,
    splat,
    store,
    suffix,
)

intrinsic: Any = extending.intrinsic  # whose annotations know only the first argument


@intrinsic
def pointer(typingctx, address, like):
    """The numbers at an address (an integer), of the type of `like`."""
    result = types.CPointer(like)

    def codegen(context, builder: ir.IRBuilder, signature, args: Sequence[ir.Value]):
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return result(types.intp, like), codegen


@intrinsic
def at(typingctx, p, offset):
    """The pointer `offset` numbers further."""

    def codegen(context, builder: ir.IRBuilder, signature, args: Sequence[ir.Value]):
        return builder.gep(args[0], [args[1]])

    return p(p, types.intp), codegen


@intrinsic
def stay_apart(typingctx):
    """Keep LLVM from copying the function that says this into its callers, which takes seconds to compile."""

    def codegen(context, builder: ir.IRBuilder, signature, args: Sequence[ir.Value]):
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def lanes(typingctx, p):
    """How many of the numbers at p are one vector."""
    count = VECTORS[p.dtype].lanes

    def codegen(context, builder: ir.IRBuilder, signature, args: Sequence[ir.Value]):
        return context.get_constant(types.intp, count)

    return types.intp(p), codegen


@lower_cast(types.Number, Vector)
def _number_to_vector(context, builder: ir.IRBuilder, source, target: Vector, value: ir.Value) -> ir.Value:
    number = context.cast(builder, value, source, target.dtype)
    return splat(builder, context.get_value_type(target), number)


def _operation(emit: Callable[..., ir.Value], n_arguments: int) -> Callable[..., Any]:
    """An intrinsic of vectors, and of numbers which count as vectors of the same number everywhere."""

    def typed(*arguments: types.Type):
        (kind,) = {argument for argument in arguments if isinstance(argument, Vector)}

        def codegen(context, builder: ir.IRBuilder, signature, args: Sequence[ir.Value]):
            return emit(builder, *args)

        return kind(*[kind] * n_arguments), codegen

    if n_arguments == 1:
        return intrinsic(lambda typingctx, x: typed(x))
    if n_arguments == 3:
        return intrinsic(lambda typingctx, x, y, z: typed(x, y, z))
    return intrinsic(lambda typingctx, x, y, a, b: typed(x, y, a, b))


def _choose(comparison: str) -> Callable[..., ir.Value]:
    return lambda builder, x, y, a, b: builder.select(builder.fcmp_ordered(comparison, x, y), a, b)


fma = _operation(fused, 3)  # x y + z, rounded once
if_less = _operation(_choose("<"), 4)  # a where x < y, b elsewhere and where either is not a number
if_at_most = _operation(_choose("<="), 4)
sqrt = _operation(lambda builder, x: llvm_call(builder, f"llvm.sqrt.{suffix(x.type)}", x.type, [x]), 1)


def _binary(symbol, name: str) -> None:
    @infer_global(symbol)
    class Template(AbstractTemplate):
        def generic(self, args, kws):
            kinds = {argument for argument in args if isinstance(argument, Vector)}
            if len(kinds) == 1 and all(isinstance(each, Vector | types.Number) for each in args):
                (kind,) = kinds
                return signature(kind, kind, kind)
            return None

    @lower_builtin(symbol, Vector, Vector)
    def lower(context, builder: ir.IRBuilder, sig, args: Sequence[ir.Value]) -> ir.Value:
        return getattr(builder, name)(*args)


for _symbol, _name in [
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
]:
    _binary(_symbol, _name)


@intrinsic
def get(typingctx, p):
    """The vector that starts at p."""
    kind = VECTORS[p.dtype]

    def codegen(context, builder: ir.IRBuilder, signature, args: Sequence[ir.Value]):
        return load(builder, context.get_value_type(kind), args[0])

    return kind(p), codegen


@intrinsic
def get_first(typingctx, p, count):
    """The first `count` numbers at p, then zeros."""
    kind = VECTORS[p.dtype]

    def codegen(context, builder: ir.IRBuilder, signature, args: Sequence[ir.Value]):
        vector = context.get_value_type(kind)
        return load_masked(builder, vector, args[0], first(builder, vector, args[1]))

    return kind(p, types.intp), codegen


@intrinsic
def put(typingctx, p, value):
    """Write a vector to p."""
    kind = VECTORS[p.dtype]

    def codegen(context, builder: ir.IRBuilder, signature, args: Sequence[ir.Value]):
        store(builder, args[1], args[0])
        return context.get_dummy_value()

    return types.void(p, kind), codegen


@intrinsic
def zero(typingctx, p):
    """A vector of zeros, of the kind of p."""
    kind = VECTORS[p.dtype]

    def codegen(context, builder: ir.IRBuilder, signature, args: Sequence[ir.Value]):
        return context.get_constant_null(kind)

    return kind(p), codegen


@intrinsic
def total(typingctx, x):
    """The sum of a vector's numbers: halves added until one is left."""

    def codegen(context, builder: ir.IRBuilder, signature, args: Sequence[ir.Value]):
        (value,) = args
        count = value.type.count
        while count > 1:
            count //= 2
            low, high = lanes_of(range(count)), lanes_of(range(count, 2 * count))
            low, high = (builder.shuffle_vector(value, value, half) for half in (low, high))
            value = builder.fadd(low, high)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return x.dtype(x), codegen


@intrinsic
def each_tanh(typingctx, x):
    """The C library's tanh of each number."""

    def codegen(context, builder: ir.IRBuilder, signature, args: Sequence[ir.Value]):
        (value,) = args
        function = context.get_function(math.tanh, x.dtype(x.dtype))
        for lane in range(x.lanes):
            index = ir.Constant(ir.IntType(32), lane)
            y = function(builder, [builder.extract_element(value, index)])
            value = builder.insert_element(value, y, index)
        return value

    return x(x), codegen
