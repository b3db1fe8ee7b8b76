"""Several of ONNX's operations in a row that are one layer here: GLU, GroupNorm, Softsign, and what comes after.

Each step that is no layer by itself leaves a mark with what it stands for; the last step makes the layer. A mark that
something else takes is refused there.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange import onnx_gelu, onnx_joined_samples, onnx_lengths, onnx_repeated, onnx_scores
from xpnn.interchange.onnx_lengths import SIZE
from xpnn.interchange.onnx_pending import Pending, mark_of, passed_on
from xpnn.interchange.onnx_values import Builder, Refusal, Value, axis_of, channels_last, last

FLOATS = (1, 10, 11, 16)
"""ONNX's numbers for float32, float16, float64 and bfloat16."""
HALF, GATE, GROUPS, NORMED, MORE = (
    "a part of a Split",
    "the sigmoid of a part of a Split",
    "channels in groups",
    "normalized groups",
    "1 + |x|",
)


def applied(b: Builder, kind: str, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Whether the node was a step of a pattern, or its end."""
    if kind == "Identity" or (kind == "Cast" and a.get("to") in FLOATS):
        return passed_on(b, inputs[0], outputs[0])
    return any(kind in steps and steps[kind](b, inputs, outputs, a) for steps in (STEPS, *LATER))


def shape_of(b: Builder, name: str) -> tuple[int, ...] | None:
    """The shape that the array has in ONNX, whether a layer makes it or it is a step of a pattern; None if unknown."""
    one, groups = b.pending.get(name), mark_of(b, name, onnx_joined_samples.JOINED)
    if name in b.values:
        return b.values[name].shape
    if groups is not None:
        return onnx_joined_samples.shape_of(*groups)
    if isinstance(one, Pending):
        return one.shape_there
    for word in (onnx_scores.SCORES, onnx_scores.WEIGHTS):
        scores = mark_of(b, name, word)
        if scores is not None and not scores[0].shared:
            return (*scores[0].q.shape[:-1], scores[0].k.shape[-1])
    copies = mark_of(b, name, onnx_repeated.REPEATED)
    if copies is not None:
        return onnx_repeated.shape_of(*copies)
    return one.x.shape if isinstance(one, onnx_gelu.Bell) else None


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
    """Find the Sigmoid of the second half of a GLU."""
    half = mark_of(b, inputs[0], HALF)
    if half is None or half[2] != 1:
        return False
    b.marks[outputs[0]] = (GATE, *half[:2])
    return True


def multiply(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """The end of a GLU."""
    for one, other in (tuple(inputs), tuple(inputs)[::-1]):
        half, gate = mark_of(b, one, HALF), mark_of(b, other, GATE)
        if half is not None and gate is not None and half[0] is gate[0] and half[2] == 0:
            x, axis = gate
            x = b.wants(x, last(x.rank, axis))
            shape = [n // 2 if i == axis else n for i, n in enumerate(x.shape)]
            b.put(outputs[0], L.GLU(), x, shape, x.layout)
            return True
    return False


def add(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """1 to |x|."""
    for one, other in (tuple(inputs), tuple(inputs)[::-1]):
        size = mark_of(b, one, SIZE)
        if size is not None and other in b.constants and np.all(b.constants[other] == 1):
            b.marks[outputs[0]] = (MORE, *size)
            return True
    return False


def absolute(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Remember an Abs, which may belong to a Softsign."""
    b.marks[outputs[0]] = (SIZE, b.value(inputs[0]))
    return True


def divide(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """The end of x / (1 + |x|)."""
    more = mark_of(b, inputs[1], MORE)
    x = b.values.get(inputs[0])
    if more is None or x is None or x is not more[0]:
        return False
    b.elementwise(outputs[0], L.Softsign(), x)
    return True


def reshape(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Channels put into groups, and back: the begin and the end of a GroupNorm."""
    done = mark_of(b, inputs[0], NORMED)
    target = b.optional(inputs, 1, "the shape")
    sizes = [int(n) for n in (a.get("shape", ()) if target is None else np.ravel(target))]
    if done is not None:
        x, groups, eps, gain, bias = done
        now = x.shape[0], groups
        kept = [now[i] if n == 0 and i < 2 else n for i, n in enumerate(sizes)]
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
    """Find the InstanceNormalization of groups: a GroupNorm."""
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
    "Add": add,
    "Abs": absolute,
    "Div": divide,
    "Reshape": reshape,
    "InstanceNormalization": instance_norm,
}
LATER: tuple[dict[str, Any], ...] = (
    onnx_lengths.STEPS,
    onnx_gelu.STEPS,
    onnx_joined_samples.STEPS,
    onnx_repeated.STEPS,
    onnx_scores.STEPS,
)
"""Asked in this order."""
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
