"""ONNX's operations that compare values, and turn types into others, as layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import Builder, Layout, Refusal, Value, identity_order

MOST_STEPS = 20
"""From a mask to what it was before: many times what exporters write."""


def cast(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Between floats, and of what comes in as bytes: a model here takes both."""
    x = b.value(inputs[0])
    kinds = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16", 6: "ids", 7: "ids"}
    raw = any(x is one for one in b.inputs)
    if a.get("to") not in kinds or (kinds[a["to"]] == "ids" and not raw):
        raise Refusal("a cast of computed values to another type than floats")
    b.same(outputs[0], x)


def greater(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Whether x is above a constant, as 0 and 1."""
    x, limit = b.value(inputs[0]), b.constant(inputs[1], "the limit")
    if limit.size != 1:
        raise Refusal(f"limits of shape {limit.shape}")
    b.elementwise(outputs[0], L.Step(float(np.ravel(limit)[0])), x)


def equal(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Whether an id is a constant, as 0 and 1: what PaddingMask is not."""
    x, pad = b.value(inputs[0]), b.constant(inputs[1], "the id")
    if pad.size != 1 or not any(x is one for one in b.inputs) or float(np.ravel(pad)[0]) < 0:
        raise Refusal("a comparison of other values than ids and one id")
    mask = b.elementwise("", L.PaddingMask(int(np.ravel(pad)[0])), x)
    b.opposites[outputs[0]] = mask
    b.elementwise(outputs[0], L.Rescale(-1.0, 1.0), mask)


def opposite(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """0 for 1 and 1 for 0."""
    known = b.opposites.get(inputs[0])
    if known is not None:
        b.same(outputs[0], known)
        return
    x = b.value(inputs[0])
    b.elementwise(outputs[0], L.Rescale(-1.0, 1.0), x)


def mask_of(b: Builder, x: Value, shape: Sequence[int]) -> Value:
    """x as a mask with samples of that shape: what it was before it got axes of 1 and was compared with 0."""
    name = x.name
    for _ in range(MOST_STEPS):
        if not isinstance(b.node(name)[0], L.Reshape | L.Step):
            break
        name = b.node(name)[1]
        for other in b.names_of.get(name, ()):
            found = b.values.get(other)
            if found is not None and found.shape == (found.shape[0], *shape):
                return b.wants(found, identity_order(found.rank))
    samples = x.shape[(x.layout.order or (0,))[0]]
    return b.put("", L.Reshape(tuple(shape)), x, (samples, *shape), Layout(identity_order(1 + len(shape))))


def where(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Softplus as PyTorch writes it: x itself where x is large."""
    large, x, y = (b.value(name) for name in inputs)
    (step, given), (layer, source) = b.node(large.name), b.node(y.name)
    exact = isinstance(step, L.Step) and step.threshold >= 16 and isinstance(layer, L.Softplus)
    if not exact or not given == source == x.name:
        raise Refusal("one value where another says so, else a third")
    b.same(outputs[0], y)


RULES: dict[str, Rule] = {
    "Cast": cast, "Greater": greater, "Equal": equal, "Not": opposite, "Where": where,
}  # fmt: skip
