"""Several of ONNX's operations in a row that are one layer here: GLU, RMSNorm, GroupNorm, Softsign.

Each step that is no layer by itself leaves a mark with what it stands for; the last step makes the layer. A mark that
something else takes is refused there.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange import onnx_scores
from xpnn.interchange.onnx_values import Builder, Refusal, Value, axis_of, channels_last, last, natural

SQUARED = (["ReduceMean"], ["ReduceSum"])
SQUARES, LENGTH = "a sum of squares", "a length"
HALF, GATE, SQUARE, MEAN, ROOT, GROUPS, NORMED, SIZE, MORE = (
    "a part of a Split",
    "the sigmoid of a part of a Split",
    "a square",
    "a mean of squares",
    "the root of a mean of squares",
    "channels in groups",
    "normalized groups",
    "|x|",
    "1 + |x|",
)


def applied(b: Builder, kind: str, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Whether the node was a step of a pattern, or its end."""
    if kind in STEPS and STEPS[kind](b, inputs, outputs, a):
        return True
    return onnx_scores.applied(b, kind, inputs, outputs, a)


def mark_of(b: Builder, name: str, word: str) -> tuple[Any, ...] | None:
    """What the result stands for, if it is such a step."""
    found = b.marks.get(name)
    return found[1:] if found is not None and found[0] == word else None


def split(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Two halves of one axis, of which the second goes into a sigmoid."""
    if len(outputs) != 2 or b.users.get(outputs[0]) != ["Mul"] or b.users.get(outputs[1]) != ["Sigmoid"]:
        return False
    x = b.value(inputs[0])
    axis = axis_of(a.get("axis", 0), x.rank)
    sizes = b.optional(inputs, 1, "the sizes")
    given = a.get("split") if sizes is None else [int(n) for n in np.ravel(sizes)]
    halves = x.shape[axis] % 2 == 0 and (given is None or list(given) == [x.shape[axis] // 2] * 2)
    if axis == 0 or not halves:
        return False
    for i, name in enumerate(outputs):
        b.marks[name] = (HALF, x, axis, i)
    return True


def sigmoid(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Of the second half of a GLU."""
    half = mark_of(b, inputs[0], HALF)
    if half is None or half[2] != 1:
        return False
    b.marks[outputs[0]] = (GATE, *half[:2])
    return True


def multiply(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """The end of a GLU; a square; or a constant that a normalization takes in."""
    for one, other in (tuple(inputs), tuple(inputs)[::-1]):
        half, gate = mark_of(b, one, HALF), mark_of(b, other, GATE)
        if half is not None and gate is not None and half[0] is gate[0] and half[2] == 0:
            x, axis = gate
            x = b.wants(x, last(x.rank, axis))
            shape = [n // 2 if i == axis else n for i, n in enumerate(x.shape)]
            b.put(outputs[0], L.GLU(), x, shape, x.layout)
            return True
    if inputs[0] == inputs[1] and inputs[0] in b.values and b.users.get(outputs[0]) in SQUARED:
        b.marks[outputs[0]] = (SQUARE, b.values[inputs[0]])
        return True
    return False


def power(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """A square by another name."""
    exponent = b.optional(inputs, 1, "the exponent")
    if (
        exponent is None
        or exponent.size != 1
        or float(np.ravel(exponent)[0]) != 2
        or inputs[0] not in b.values
    ):
        return False
    if b.users.get(outputs[0]) not in SQUARED:
        return False
    b.marks[outputs[0]] = (SQUARE, b.values[inputs[0]])
    return True


def mean(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Of squares over the last axis."""
    square = mark_of(b, inputs[0], SQUARE)
    if square is None:
        return False
    (x,) = square
    axes = b.optional(inputs, 1, "the axes")
    found = a.get("axes") if axes is None else [int(n) for n in np.ravel(axes)]
    if not a.get("keepdims", 1) or found is None or [axis_of(n, x.rank) for n in found] != [x.rank - 1]:
        b.put(
            inputs[0], L.Multiply(), [x, x], x.shape, x.layout, flat=x.flat
        )  # no RMSNorm: a product after all
        return False
    b.marks[outputs[0]] = (MEAN, x, 0.0)
    return True


def add(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """eps to a mean of squares, or 1 to |x|."""
    for one, other in (tuple(inputs), tuple(inputs)[::-1]):
        size = mark_of(b, one, SIZE)
        if size is not None and other in b.constants and np.all(b.constants[other] == 1):
            b.marks[outputs[0]] = (MORE, *size)
            return True
        found = mark_of(b, one, MEAN)
        if found is not None and other in b.constants and b.constants[other].size == 1:
            b.marks[outputs[0]] = (MEAN, found[0], float(np.ravel(b.constants[other])[0]))
            return True
    return False


def one_axis_of(b: Builder, x: Value, inputs: Sequence[str], a: dict[str, Any]) -> int | None:
    """The axis of a reduction that keeps it; None for any other."""
    axes = b.optional(inputs, 1, "the axes")
    found = a.get("axes") if axes is None else [int(n) for n in np.ravel(axes)]
    one = a.get("keepdims", 1) and found is not None and len(found) == 1 and x.flat is None
    return (axis_of(found[0], x.rank) or None) if one and found is not None else None


def total(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Of squares, or of |x|, along one axis."""
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
    b.marks[outputs[0]] = (LENGTH, *found[:3], float(np.ravel(low)[0]))
    return True


def root(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Of a mean of squares, or of a sum."""
    squares = mark_of(b, inputs[0], SQUARES)
    if squares is not None:
        b.marks[outputs[0]] = (LENGTH, *squares, 2, 0.0)
        return True
    found = mark_of(b, inputs[0], MEAN)
    if found is None:
        return False
    b.marks[outputs[0]] = (ROOT, *found)
    return True


def absolute(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Of a Softsign."""
    b.marks[outputs[0]] = (SIZE, b.value(inputs[0]))
    return True


def divide(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """The end of an RMSNorm, or of x / (1 + |x|)."""
    more = mark_of(b, inputs[1], MORE)
    x = b.values.get(inputs[0])
    if more is not None and x is not None and x is more[0]:
        b.elementwise(outputs[0], L.Softsign(), x)
        return True
    sized = mark_of(b, inputs[1], LENGTH)
    if sized is not None and x is not None and x is sized[0] and sized[3] > 0:
        x.layout.fix(x.layout.order or natural(x.rank))
        at = (x.layout.order or ()).index(sized[1])
        b.elementwise(outputs[0], L.LpNormalize(sized[2], at, sized[3]), x)
        return True
    found = mark_of(b, inputs[1], ROOT)
    if found is None or b.values.get(inputs[0]) is not found[0] or found[1] <= 0:
        return False
    x, eps = found
    x = b.wants(x, natural(x.rank))
    b.put(outputs[0], L.RMSNorm(eps), x, x.shape, x.layout, {"gain": np.ones(x.shape[-1])})
    return True


def reshape(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Channels put into groups, and back: the begin and the end of a GroupNorm."""
    done = mark_of(b, inputs[0], NORMED)
    target = b.optional(inputs, 1, "the shape")
    sizes = [int(n) for n in (a.get("shape", ()) if target is None else np.ravel(target))]
    if done is not None:
        x, groups, eps, gain, bias = done
        kept = [x.shape[i] if n == 0 and i < 2 else n for i, n in enumerate(sizes)]
        if len(kept) != x.rank or any(n not in (-1, m) for n, m in zip(kept, x.shape, strict=True)):
            raise Refusal(f"normalized groups of {x.shape} become {tuple(sizes)}")
        x = b.wants(x, channels_last(x.rank))
        c = x.shape[1]
        parameters = {"gain": np.repeat(gain, c // groups)}
        if np.any(bias):
            parameters["bias"] = np.repeat(bias, c // groups)
        layer = (
            L.InstanceNorm(eps, bool(np.any(bias)))
            if groups == c
            else L.GroupNorm(groups, eps, bool(np.any(bias)))
        )
        b.put(outputs[0], layer, x, x.shape, x.layout, parameters)
        return True
    x = b.values.get(inputs[0])
    if x is None or b.users.get(outputs[0]) != ["InstanceNormalization"] or x.rank < 3 or len(sizes) != 3:
        return False
    groups = x.shape[1] if sizes[1] == 0 else sizes[1]
    if groups < 1 or x.shape[1] % groups or sizes[0] not in (0, x.shape[0]):
        return False
    b.marks[outputs[0]] = (GROUPS, x, groups)
    return True


def instance_norm(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Of groups."""
    found = mark_of(b, inputs[0], GROUPS)
    if found is None:
        return False
    gain, bias = b.constant(inputs[1], "the gain"), b.constant(inputs[2], "the bias")
    b.marks[outputs[0]] = (NORMED, *found, a.get("epsilon", 1e-5), gain, bias)
    return True


STEPS = {
    "Split": split,
    "Sigmoid": sigmoid,
    "Mul": multiply,
    "Pow": power,
    "ReduceMean": mean,
    "Add": add,
    "Sqrt": root,
    "Abs": absolute,
    "Div": divide,
    "ReduceSum": total,
    "ReduceL1": length,
    "ReduceL2": length,
    "Clip": at_least,
    "Reshape": reshape,
    "InstanceNormalization": instance_norm,
}
NORMS = (L.BatchNorm, L.GroupNorm, L.InstanceNorm, L.LayerNorm, L.RMSNorm)


def into_norm(b: Builder, out: str, x: Value, axis: int, scale: Any, shift: Any) -> bool:
    """Put scale and shift into the normalization that has just made x, where nothing else takes that."""
    if not b.nodes or b.nodes[-1][0] != x.name or not isinstance(b.nodes[-1][1], NORMS) or x.flat is not None:
        return False
    name, given, order = b.nodes[-1][0], b.nodes[-1][2], x.layout.order
    layer: Any = b.nodes[-1][1]
    if (
        not b.used_once(x)
        or order is None
        or order[-1] != axis
        or (type(layer) is L.RMSNorm and np.any(shift))
    ):
        return False
    scale, shift = scale.reshape(-1), shift.reshape(-1)
    b.parameters[f"{name}.gain"] = b.parameters[f"{name}.gain"] * scale
    if not isinstance(layer, L.RMSNorm) and (layer.bias or np.any(shift)):
        b.parameters[f"{name}.bias"] = b.parameters.get(f"{name}.bias", 0.0) * scale + shift
        b.nodes[-1] = name, replace(layer, bias=True), given
    b.taken_in(out, x)
    return True
