"""What threads need that share compiled work: atomic words, a wait, functions and arrays by address.

numba has none of these for the processor. Nothing checks an index or an address.
"""

import platform
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils

from xpnn.backends.cpu.lanes import primitive
from xpnn.backends.cpu.loops import Array, compiled

ORDER = "seq_cst"
X86, ARM = ("llvm.x86.sse2.pause", ()), ("llvm.aarch64.hint", (ir.IntType(32)(1),))
PAUSES = {"x86_64": X86, "amd64": X86, "aarch64": ARM, "arm64": ARM}
"""{kind of processor: LLVM's name of its instruction for a thread that waits, and what it is given}."""


def place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where array[index] lies."""
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


@primitive
def load(_: Any, array: Any, index: Any) -> Any:
    """array[index], and all that was written before that."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(place(context, builder, array, *args), ORDER, 8)

    return types.int64(array, types.intp), generate


@primitive
def store(_: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index] = value, behind all that was written before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], place(context, builder, array, *args[:2]), ORDER, 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


@primitive
def add(_: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index] += value; returns what it was."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", place(context, builder, array, *args[:2]), args[2], ORDER)

    return types.int64(array, types.intp, types.int64), generate


@primitive
def replace(_: Any, array: Any, index: Any, old: Any, new: Any) -> Any:
    """Whether array[index] was still `old`; then it is `new`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = place(context, builder, array, *args[:2])
        return builder.extract_value(builder.cmpxchg(at, *args[2:], ORDER, ORDER), 1)

    return types.boolean(array, types.intp, types.int64, types.int64), generate


@primitive
def pause(_: Any) -> Any:
    """Tell the core that this thread waits in a loop."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name, operands = PAUSES.get(platform.machine().lower(), ("", ()))
        if name:
            kind = ir.FunctionType(ir.VoidType(), [one.type for one in operands])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, name), operands)
        return context.get_dummy_value()

    return types.void(), generate


@primitive
def call(_: Any, function: Any) -> Any:
    """Call the C function without arguments at that address."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), ())
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), ())

    return types.int32(types.int64), generate


@primitive
def call_with(_: Any, function: Any, words: Any, numbers: Any, i: Any, j: Any) -> Any:
    """Call the C function at that address with those of two vectors, and two whole numbers."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at, i, j = args[0], args[3], args[4]
        vectors = [
            context.make_array(kind)(context, builder, value).data
            for kind, value in ((words, args[1]), (numbers, args[2]))
        ]
        kind = ir.FunctionType(ir.VoidType(), [one.type for one in (*vectors, i, j)])
        builder.call(builder.inttoptr(at, kind.as_pointer()), (*vectors, i, j))
        return context.get_dummy_value()

    return types.void(types.int64, words, numbers, types.int64, types.int64), generate


@primitive
def pointer(_: Any, address: Any, like: Any) -> Any:
    """That address, of numbers as in the array `like`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(like.dtype).as_pointer())

    return types.CPointer(like.dtype)(types.int64, like), generate


@compiled
def vector_at(address: int, size: int, like: Array) -> Array:
    """The vector of so many numbers at that address, of the dtype of `like`."""
    found: Array = numba.carray(pointer(address, like), (size,))
    return found
