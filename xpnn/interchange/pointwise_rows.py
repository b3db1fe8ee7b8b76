"""How layers without positions become ONNX operations: activations, scales, reshapes, Dense, tables of vectors."""

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.interchange.program import Program, Value, elements

FLOAT = 1
"""ONNX's number for float32."""


def elementwise(kind: str, **settings: Any) -> Callable[..., Value]:
    """A row for one operation of ONNX. settings: its attributes; a function is asked with the layer."""

    def row(g: Program, layer: Any, p: Any, x: Value) -> Value:
        """The operation, in whatever layout x lies."""
        attributes = {key: value(layer) if callable(value) else value for key, value in settings.items()}
        return x._replace(name=g.op(kind, x.name, **attributes))

    return row


def along_channels(kind: str) -> Callable[..., Value]:
    """A row for a softmax over the channels."""

    def row(g: Program, layer: Any, p: Any, x: Value) -> Value:
        """The operation along the axis that holds the channels."""
        return x._replace(name=g.op(kind, x.name, axis=x.channel_axis))

    return row


def same(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """A layer that does nothing outside of training."""
    return x


def dense(g: Program, layer: Any, p: Any, x: Value) -> str:
    """x W + b."""
    return affine(g, g.last(x), p["W"], p.get("b"))


def affine(g: Program, x: Value, W: Any, b: Any, name: str = "") -> str:
    """x W + b on the last axis, with parameters called W, b and `name`; b None: x W."""
    Wname = g.parameter(f"W{name}", W)
    if b is None:
        return str(g.op("MatMul", x.name, Wname))
    bname = g.parameter(f"b{name}", b)
    if x.rank == 2:
        return str(g.op("Gemm", x.name, Wname, bname))
    return str(g.op("Add", g.op("MatMul", x.name, Wname), bname))


def maxout(g: Program, layer: Any, p: Any, x: Value) -> str:
    """The largest of each unit's pieces."""
    z = affine(g, g.last(x), p["W"], p.get("b"))
    z = g.reshape(z, [-1, *x.shape[:-1], layer.units, layer.pieces])
    return str(g.op("ReduceMax", z, g.ints([-1]), keepdims=0))


def glu(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """One half times the sigmoid of the other."""
    a, b = g.op("Split", x.name, outputs=2, axis=x.channel_axis, num_outputs=2)
    return x._replace(name=g.op("Mul", a, g.op("Sigmoid", b)))


def silu(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """x sigmoid(x)."""
    return x._replace(name=g.op("Mul", x.name, g.op("Sigmoid", x.name)))


def gelu(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """The operation of opset 20, or its formula."""
    if g.opset >= 20:
        return x._replace(name=g.op("Gelu", x.name, approximate="tanh" if layer.approximate else "none"))
    half = g.op("Mul", x.name, g.constant(0.5))
    if layer.approximate:
        cube = g.op("Mul", g.op("Mul", x.name, x.name), x.name)
        inner = g.op("Add", x.name, g.op("Mul", cube, g.constant(0.044715)))
        bell = g.op("Tanh", g.op("Mul", inner, g.constant(np.sqrt(2 / np.pi))))
    else:
        bell = g.op("Erf", g.op("Mul", x.name, g.constant(np.sqrt(0.5))))
    return x._replace(name=g.op("Mul", half, g.op("Add", bell, g.constant(1.0))))


def hard_tanh(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """Held between -1 and 1."""
    return x._replace(name=g.op("Clip", x.name, g.constant(-1.0), g.constant(1.0)))


def log_sigmoid(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """log sigmoid(x) = -softplus(-x)."""
    return x._replace(name=g.op("Neg", g.op("Softplus", g.op("Neg", x.name))))


def step(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """1 above the threshold, else 0."""
    return x._replace(name=g.op("Cast", g.op("Greater", x.name, g.constant(layer.threshold)), to=FLOAT))


def prelu(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """A slope for each channel, or one."""
    return x._replace(name=g.op("PRelu", x.name, g.parameter("slope", x.per_channel(p["slope"]))))


def rescale(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """scale x + offset."""
    y = g.op("Mul", x.name, g.constant(layer.scale))
    return x._replace(name=g.op("Add", y, g.constant(layer.offset)) if layer.offset else y)


def standardize(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """(x - mean) / std."""
    centred = g.op("Sub", x.name, g.parameter("mean", x.per_channel(p["mean"])))
    return x._replace(name=g.op("Mul", centred, g.parameter("gain", x.per_channel(p["gain"]))))


def flatten(g: Program, layer: Any, p: Any, x: Value) -> str:
    """One row of numbers for each sample."""
    return g.reshape(g.last(x).name, [-1, elements(x.shape)])


def reshape(g: Program, layer: Any, p: Any, x: Value) -> str:
    """The same numbers in another shape."""
    return g.reshape(g.last(x).name, [-1, *layer.shape])


def embedding(g: Program, layer: Any, p: Any, x: Value) -> str:
    """Gather rows of W."""
    return str(g.op("Gather", g.parameter("W", p["W"]), x.name))


def padding_mask(g: Program, layer: Any, p: Any, x: Value) -> str:
    """0 where the id is that of padding, else 1."""
    padded = g.op("Equal", x.name, g.ints([layer.pad]))
    return str(g.op("Cast", g.op("Not", padded), to=FLOAT))
