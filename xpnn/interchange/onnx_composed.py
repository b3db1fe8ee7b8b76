"""ONNX's operations that several layers make up."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_pointwise import Inputs, Rule, swish
from xpnn.interchange.onnx_values import Builder, Refusal, Value, axis_of, chained, channels_last, last


def thresholded(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """x where x > alpha, else 0: x times a step."""
    x = b.value(inputs[0])
    step = b.elementwise("", L.Step(a.get("alpha", 1.0)), x)
    b.put(outputs[0], L.Multiply(), [x, step], x.shape, x.layout, flat=x.flat)


def shrink(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """x - bias above lambd, x + bias below -lambd, else 0.

    With bias = lambd two ReLUs; with bias = 0 x times two steps; any other is a soft one with steps beside it.
    """
    x, limit, bias = b.value(inputs[0]), a.get("lambd", 0.5), a.get("bias", 0.0)

    def both(layer: L.Layer, sign: float) -> Value:
        """layer(x - limit) + sign layer(-x - limit)."""
        right = b.elementwise("", chained(L.Rescale(1.0, -limit), layer), x)
        left = b.elementwise("", chained(L.Rescale(-1.0, -limit), layer, L.Rescale(sign)), x)
        return b.put("", L.Add(), [right, left], x.shape, x.layout, flat=x.flat)

    soft = both(L.ReLU(), -1.0)
    if bias == limit:
        b.same(outputs[0], soft)
        return
    steps = b.elementwise("", L.Rescale(limit - bias), both(L.Step(), -1.0))
    b.put(outputs[0], L.Add(), [soft, steps], x.shape, x.layout, flat=x.flat)


def swiglu(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """SiLU of the one times the other."""
    x, other = b.value(inputs[0]), b.value(inputs[1])
    if x.shape != other.shape or x.flat is not None or other.flat is not None:
        raise Refusal(f"values of the shapes {x.shape[1:]} and {other.shape[1:]}")
    x.layout.join(other.layout)
    gate = b.elementwise("", swish(a), x)
    b.put(outputs[0], L.Multiply(), [gate, other], x.shape, x.layout)


def causal_conv(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """A depthwise Conv1D that sees the past alone; past_state, or zeros, stand before the sequence.

    The state that a next part of the sequence would go on from are the last steps of both.
    """
    x, W = b.value(inputs[0]), b.constant(inputs[1], "the kernel")
    bias = b.optional(inputs, 2, "the bias")
    if x.rank != 3 or W.ndim != 3 or W.shape[:2] != (x.shape[1], 1):
        raise Refusal(f"a kernel of shape {W.shape} for samples of shape {x.shape[1:]}")
    x = b.wants(x, channels_last(3))
    (n, c, steps), k, past = x.shape, int(W.shape[2]), past_of(b, inputs)
    state = len(outputs) > 1 and bool(outputs[1]) and bool(b.uses.get(outputs[1]))
    ahead = k - 1
    if past is not None:
        past = b.wants(past, channels_last(3))
        if past.shape != (n, c, k - 1):
            raise Refusal(f"a past of shape {past.shape[1:]}")
        flat = [b.put("", L.Flatten(), one, (n, one.shape[2] * c), x.layout) for one in (past, x)]
        both = b.put("", L.Concatenate(), flat, (n, (steps + k - 1) * c), x.layout)
        x = b.put("", L.Reshape((steps + k - 1, c)), both, (n, c, steps + k - 1), x.layout)
        ahead = 0
    if state:
        if k < 2 or x.shape[2] < k - 1:
            raise Refusal("a state of more steps than the sequence has, or of none")
        b.put(outputs[1], L.Slice(x.shape[2] - k + 1, None, 1, 1), x, (n, c, k - 1), x.layout)
    layers: list[L.Layer] = [L.Conv1D(c, k, padding=(ahead, 0), groups=c)]
    if a.get("activation", "none") in ("silu", "swish"):
        layers.append(L.SiLU())
    found = {"W": np.moveaxis(W, (0, 1), (-1, -2)), "b": np.zeros(c) if bias is None else bias}
    prefix = "0." if len(layers) > 1 else ""
    named = {f"{prefix}{key}": v for key, v in found.items()}
    b.put(outputs[0], chained(*layers), x, (n, c, steps), x.layout, named)


def past_of(b: Builder, inputs: Inputs) -> Value | None:
    """The state that the sequence goes on from; None where it is left out or 0."""
    if len(inputs) < 4 or not inputs[3]:
        return None
    if inputs[3] in b.constants:
        if np.any(b.constants[inputs[3]]):
            raise Refusal("a past that is constant and not 0")
        return None
    return b.value(inputs[3])


def mean_variance(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Each channel of each sample by itself, where the axes leave out that of the channels alone."""
    x = b.value(inputs[0])
    axes = sorted(axis_of(n, x.rank) for n in a.get("axes", (0, 2, 3)))
    kept = [i for i in range(1, x.rank) if i not in axes]
    if 0 in axes or len(kept) != 1:
        raise Refusal(f"over the axes {axes} of samples of shape {x.shape[1:]}")
    x = b.wants(x, last(x.rank, kept[0]))
    c = x.shape[kept[0]]
    found = {"gain": np.ones(c), "bias": np.zeros(c)}
    b.put(outputs[0], L.InstanceNorm(1e-9), x, x.shape, x.layout, found)


def power(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """x to the power of a small whole number: a product."""
    x, exponent = b.value(inputs[0]), b.constant(inputs[1], "the exponent")
    n = float(np.ravel(exponent)[0]) if exponent.size == 1 else 0.0
    if n not in (1.0, 2.0, 3.0, 4.0):
        raise Refusal(
            f"an exponent of {n:g}: products make up 1, 2, 3 and 4"
            if exponent.size == 1
            else "several exponents"
        )
    if n == 1:
        b.same(outputs[0], x)
    else:
        b.put(outputs[0], L.Multiply(), [x] * int(n), x.shape, x.layout, flat=x.flat)


def logarithm(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Of a Sigmoid or a Softmax: one layer, which does not overflow."""
    x = b.value(inputs[0])
    layer, given = b.node(x.name)
    found = {L.Sigmoid: L.LogSigmoid, L.Softmax: L.LogSoftmax}.get(type(layer))
    if found is None:
        raise Refusal("a logarithm of anything but a Sigmoid or a Softmax is no layer here")
    b.elementwise(outputs[0], found(), Value(given, x.shape, x.layout, x.flat))


RULES: dict[str, Rule] = {
    "Log": logarithm,
    "Pow": power,
    "ThresholdedRelu": thresholded,
    "Shrink": shrink,
    "SwiGLU": swiglu,
    "CausalConvWithState": causal_conv,
    "MeanVarianceNormalization": mean_variance,
}
