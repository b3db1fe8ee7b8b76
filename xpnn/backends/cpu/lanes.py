"""Eight numbers side by side as one value of numba's: what a vector register of the processor holds (SIMD).

numba's compiler makes vectors of simple loops by itself, but not where many arrays are read and written at once, for
any two of them might overlap. Code that loads, computes and stores `Lanes` is made of vectors whatever it reads. Where
a register is smaller, the compiler takes several. Arrays are flat, and nothing checks that an index is inside.
"""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

COUNT = 8
BYTE = ir.IntType(8)


class Lanes(types.Type):  # type: ignore[misc]
    """numba's type of eight numbers of one dtype."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(f"Lanes({dtype})")


@register_model(Lanes)
class LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    """A vector of LLVM's."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, vector_of(manager.lookup(kind.dtype).get_value_type()))


def vector_of(one: Any) -> Any:
    """LLVM's vector of so many of that type."""
    return ir.VectorType(one, COUNT)


def primitive(f: Any) -> Any:
    """A function for compiled code, by the instructions that it becomes."""
    return intrinsic(f)


def address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Where eight numbers of an array lie, from that index on."""
    first = builder.gep(context.make_array(kind)(context, builder, array).data, [index])
    return builder.bitcast(first, vector_of(context.get_value_type(kind.dtype)).as_pointer())


def spread(builder: Any, number: Any) -> Any:
    """A vector of one number."""
    empty = ir.Constant(vector_of(number.type), ir.Undefined)
    first = builder.insert_element(empty, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, empty, ir.Constant(vector_of(ir.IntType(32)), None))


@primitive
def load(_: Any, array: Any, index: Any) -> Any:
    """array[index : index + 8]."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(address(context, builder, array, *args), align=array.dtype.bitwidth // 8)

    return Lanes(array.dtype)(array, types.intp), generate


@primitive
def store(_: Any, array: Any, index: Any, lanes: Any) -> Any:
    """array[index : index + 8] = lanes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], address(context, builder, array, *args[:2]), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@primitive
def store_bytes(_: Any, array: Any, index: Any, lanes: Any) -> Any:
    """array[index : index + 8] = lanes, of whole numbers from 0 to 255, as bytes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(
            builder.fptoui(args[2], vector_of(BYTE)), address(context, builder, array, *args[:2]), align=1
        )
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


@primitive
def broadcast(_: Any, number: Any) -> Any:
    """The same number eight times."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return spread(builder, args[0])

    return Lanes(number)(number), generate


@primitive
def broadcast_at(_: Any, array: Any, index: Any) -> Any:
    """array[index] eight times, without numba's look at whether the index counts from the end."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(array)(context, builder, args[0]).data
        return spread(builder, builder.load(builder.gep(data, [args[1]])))

    return Lanes(array.dtype)(array, types.intp), generate


@primitive
def where_exceeds(_: Any, a: Any, b: Any, yes: Any, no: Any) -> Any:
    """`yes` where a > b, or a is NaN and b is not; else `no`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first, second, *chosen = args
        larger = builder.fcmp_unordered("ugt", first, second)
        return builder.select(builder.and_(larger, builder.fcmp_ordered("ord", second, second)), *chosen)

    return yes(a, b, yes, no), generate


def arithmetic(instruction: str) -> Any:
    """An operation of LLVM's on two of them; a product and a sum of it may be rounded once."""

    def typed(_: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, instruction)(*args, flags=("contract",))

        return a(a, b), generate

    return primitive(typed)


def define(operation: Any, instruction: str) -> None:
    """Let numba compile an operator of Python's on two of them."""
    computed = arithmetic(instruction)

    def on_lanes(a: Any, b: Any) -> Any:
        if isinstance(a, Lanes) and isinstance(b, Lanes):
            return lambda a, b: computed(a, b)
        return None

    overload(operation, strict=False)(on_lanes)


for operation, instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    define(operation, instruction)
