"""Means and sums of squares written out, and what is divided by their roots: RMSNorm, LayerNorm, LpNormalize.

Each step leaves a mark, as in `onnx_patterns`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_constants import limited
from xpnn.interchange.onnx_pending import mark_of
from xpnn.interchange.onnx_values import Builder, Refusal, Value, axis_of, identity_order

SQUARED = (["ReduceMean"], ["ReduceSum"])
SIZE, SQUARE, SQUARES, LENGTH, MEAN, ROOT, INVERSE = (
    "|x|",
    "a square",
    "a sum of squares",
    "a length",
    "a mean of squares",
    "the root of a mean of squares",
    "1 over the root of a mean of squares",
)


def square(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """x x, whose mean or sum comes next; or x times 1 over the root of its mean of squares."""
    one, other = inputs
    if one == other and one in b.values and b.users.get(outputs[0]) in SQUARED:
        b.marks[outputs[0]] = (SQUARE, b.values[one])
        return True
    for one, other in (tuple(inputs), tuple(inputs)[::-1]):
        found = mark_of(b, one, INVERSE)
        if found is not None and b.values.get(other) is found[0]:
            return normalized(b, outputs[0], *found)
    return False


def power(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """A square, or 1 over a root, by another name."""
    exponent = b.optional(inputs, 1, "the exponent")
    if exponent is None or exponent.size != 1:
        return False
    found = mark_of(b, inputs[0], MEAN)
    if found is not None and float(np.ravel(exponent)[0]) == -0.5:
        b.marks[outputs[0]] = (INVERSE, *found)
        return True
    if float(np.ravel(exponent)[0]) != 2 or inputs[0] not in b.values:
        return False
    if b.users.get(outputs[0]) not in SQUARED:
        return False
    b.marks[outputs[0]] = (SQUARE, b.values[inputs[0]])
    return True


def mean(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Find the mean of squares over the last axis."""
    square = mark_of(b, inputs[0], SQUARE)
    if square is None:
        return False
    (x,) = square
    axes = b.optional(inputs, 1, "the axes")
    found = a.get("axes") if axes is None else [int(n) for n in np.ravel(axes)]
    if not a.get("keepdims", True) or found is None or [axis_of(n, x.rank) for n in found] != [x.rank - 1]:
        b.put(
            inputs[0], L.Multiply(), [x, x], x.shape, x.layout, flat=x.flat
        )  # no RMSNorm: a product after all
        return False
    b.marks[outputs[0]] = (MEAN, x, 0.0)
    return True


def with_eps(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """eps added to a mean of squares."""
    for one, other in (tuple(inputs), tuple(inputs)[::-1]):
        found = mark_of(b, one, MEAN)
        if found is not None and other in b.constants and b.constants[other].size == 1:
            eps = float(str(np.float32(np.ravel(b.constants[other])[0])))  # 1e-05, not 9.999999747378752e-06
            b.marks[outputs[0]] = (MEAN, found[0], found[1] + eps)
            return True
    return False


def one_axis_of(b: Builder, x: Value, inputs: Sequence[str], a: dict[str, Any]) -> int | None:
    """The axis of a reduction that keeps it; None for any other."""
    axes = b.optional(inputs, 1, "the axes")
    found = a.get("axes") if axes is None else [int(n) for n in np.ravel(axes)]
    one = a.get("keepdims", True) and found is not None and len(found) == 1 and x.flat is None
    return (axis_of(found[0], x.rank) or None) if one and found is not None else None


def total(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Find the sum of squares, or of |x|, along one axis."""
    size, square = mark_of(b, inputs[0], SIZE), mark_of(b, inputs[0], SQUARE)
    (x,) = size or square or (None,)
    axis = None if x is None else one_axis_of(b, x, inputs, a)
    if x is None or (axis is None and square is None):
        return False
    if axis is None:
        b.put(inputs[0], L.Multiply(), [x, x], x.shape, x.layout, flat=x.flat)  # a product after all
        return False
    b.marks[outputs[0]] = (LENGTH, x, axis, 1, 0.0) if size else (SQUARES, x, axis)
    return True


def length(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """ReduceL1 and ReduceL2 along one axis."""
    x = b.values.get(inputs[0])
    axis = None if x is None else one_axis_of(b, x, inputs, a)
    if axis is None:
        return False
    b.marks[outputs[0]] = (LENGTH, x, axis, int(str(a["kind"])[-1]), 0.0)
    return True


def at_least(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """A length that is held above eps."""
    found, low = mark_of(b, inputs[0], LENGTH), b.optional(inputs, 1, "a bound")
    if found is None or low is None:
        return False
    high = b.optional(inputs, 2, "a bound")
    if high is not None and float(np.ravel(high)[0]) < 1e38:
        raise Refusal("a length that is held below a bound")
    b.marks[outputs[0]] = (LENGTH, *found[:3], max(found[3], float(np.ravel(low)[0])))
    return True


def root(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Find the root of a mean, or of a sum, of squares."""
    squares = mark_of(b, inputs[0], SQUARES)
    if squares is not None:
        b.marks[outputs[0]] = (LENGTH, *squares, 2, 0.0)
        return True
    found = mark_of(b, inputs[0], MEAN)
    if found is None:
        return False
    b.marks[outputs[0]] = (ROOT, *found)
    return True


def inverse(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """1 over the root of a mean of squares, as a Reciprocal."""
    found = mark_of(b, inputs[0], ROOT)
    if found is None:
        return False
    b.marks[outputs[0]] = (INVERSE, *found)
    return True


def divide(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """x over its length, or over the root of its mean of squares; or 1 over that root."""
    one = b.constants.get(inputs[0])
    if one is not None and one.size == 1 and np.all(one == 1):
        return inverse(b, inputs[1:], outputs, a)
    sized, x = mark_of(b, inputs[1], LENGTH), b.values.get(inputs[0])
    if sized is not None and x is not None and x is sized[0] and sized[3] > 0:
        x.layout.fix(x.layout.order or identity_order(x.rank))
        at = (x.layout.order or ()).index(sized[1])
        b.elementwise(outputs[0], L.LpNormalize(sized[2], at, sized[3]), x)
        return True
    found = mark_of(b, inputs[1], ROOT)
    return found is not None and x is found[0] and normalized(b, outputs[0], *found)


def normalized(b: Builder, out: str, x: Value, eps: float) -> bool:
    """x over the root of its mean of squares + eps: LayerNorm where x is less its own mean, else RMSNorm."""
    if eps <= 0:
        return False
    limited(x.shape[-1])
    x = b.wants(x, identity_order(x.rank))
    source, layer = centred(b, x), L.LayerNorm(eps, bias=False)
    gain = {"gain": np.ones(x.shape[-1])}
    if source is None:
        b.put(out, L.RMSNorm(eps), x, x.shape, x.layout, gain)
    else:
        b.put(out, layer, source, x.shape, x.layout, gain)
    return True


def centred(b: Builder, x: Value) -> Value | None:
    """What x is, less its mean over the last axis; None where x is something else."""
    layer, given = b.node(x.name)
    if not isinstance(layer, L.Subtract) or len(given) != 2:
        return None
    mean, source = b.node(given[1])
    over_last = mean == L.ReduceMean((x.rank - 1,), True)
    return Value(source, x.shape, x.layout) if over_last and source == given[0] else None


STEPS = {
    "Mul": square,
    "Pow": power,
    "ReduceMean": mean,
    "ReduceSum": total,
    "ReduceL1": length,
    "ReduceL2": length,
    "Add": with_eps,
    "Clip": at_least,
    "Sqrt": root,
    "Reciprocal": inverse,
    "Div": divide,
}
