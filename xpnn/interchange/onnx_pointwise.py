"""ONNX's operations without positions as layers: activations, products with constant matrices, scales and shifts."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_values import (
    Builder,
    Host,
    Layout,
    Refusal,
    Value,
    axis_of,
    chained,
    channels_last,
    identity_order,
    last,
)
from xpnn.interchange.resample_rows import cell_shares, place_shares
from xpnn.layers.resize import COORDINATES, ROUNDING

Inputs = Sequence[str]
STATISTICS = "running statistics"
"""The mark of outputs that are parameters of a layer here."""
Rule = Callable[[Builder, Inputs, Sequence[str], dict[str, Any]], None]


def plain(make: Callable[[dict[str, Any]], L.Layer]) -> Rule:
    """A rule for an operation that is a layer, element by element."""

    def rule(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
        """The layer."""
        b.elementwise(outputs[0], make(a), b.value(inputs[0]))

    return rule


def close(value: float, wanted: float) -> bool:
    """Equal but for float32's rounding."""
    return math.isclose(value, wanted, rel_tol=1e-6)


def selu(a: dict[str, Any]) -> L.Layer:
    """xpnn's SELU has the standard constants; others become a scaled ELU."""
    alpha, gamma = a.get("alpha", 1.6732632), a.get("gamma", 1.0507009)
    if close(alpha, 1.6732632423543772) and close(gamma, 1.0507009873554805):
        return L.SELU()
    return chained(L.ELU(alpha), L.Rescale(gamma))


def hard_sigmoid(a: dict[str, Any]) -> L.Layer:
    """xpnn's HardSigmoid has slope 1/6 and is 1/2 at 0; others become that of a scaled input."""
    alpha, beta = a.get("alpha", 0.2), a.get("beta", 0.5)
    if close(alpha, 1 / 6) and close(beta, 0.5):
        return L.HardSigmoid()
    return chained(L.Rescale(6 * alpha, 6 * beta - 3), L.HardSigmoid())


def swish(a: dict[str, Any]) -> L.Layer:
    """x sigmoid(alpha x)."""
    alpha = a.get("alpha", 1.0)
    return L.SiLU() if alpha == 1 else chained(L.Rescale(alpha), L.SiLU(), L.Rescale(1 / alpha))


def clip(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Held between two numbers."""
    bounds: list[float | None] = []
    for i, word in ((1, "min"), (2, "max")):
        given = b.optional(inputs, i, "a bound")
        bound = a.get(word) if given is None else float(np.ravel(given)[0])
        bounds.append(None if bound is None or abs(bound) > 1e38 else float(bound))
    low, high = bounds
    x = b.value(inputs[0])
    if low is None and high is None:
        b.same(outputs[0], x)
    else:
        if low is not None and high is not None:
            low = min(low, high)  # where they are crossed, high it is
        usual: dict[Any, L.Layer] = {(0.0, None): L.ReLU(), (-1.0, 1.0): L.HardTanh()}
        b.elementwise(outputs[0], usual.get((low, high), L.Clip(low, high)), x)


def softmax(layer: Callable[[], L.Layer]) -> Rule:
    """A rule for Softmax or LogSoftmax along one axis; before opset 13, over all axes from it on."""

    def rule(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
        """That axis last."""
        x = b.value(inputs[0])
        axis = axis_of(a.get("axis", -1 if b.opset >= 13 else 1), x.rank)
        if axis == 0:
            raise Refusal("axis 0 is that of the samples")
        if b.opset < 13 and math.prod(x.shape[axis:]) != x.shape[axis]:
            if axis != 1:
                raise Refusal(f"over all axes from {axis} on, as before opset 13")
            x = b.wants(x, identity_order(x.rank))
            b.put(outputs[0], chained(L.Flatten(), layer(), L.Reshape(x.shape[1:])), x, x.shape, x.layout)
            return
        if x.flat is None:
            x = b.wants(x, last(x.rank, axis))
        b.put(outputs[0], layer(), x, x.shape, x.layout, flat=x.flat)

    return rule


def prelu(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """A slope for each feature of one axis, or one for all."""
    x, slope = b.value(inputs[0]), b.constant(inputs[1], "the slope")
    if slope.size == 1:
        b.elementwise(outputs[0], L.PReLU(shared=True), x, {"slope": slope.reshape(1)})
        return
    if slope.shape == x.shape[1:] and x.rank > 2 and x.flat is None:
        x = b.wants(x, identity_order(x.rank))
        row = chained(L.Flatten(), L.PReLU(), L.Reshape(x.shape[1:]))
        b.put(outputs[0], row, x, x.shape, x.layout, {"1.slope": slope.reshape(-1)})
        return
    axis = one_axis(x, slope, old=b.opset < 7)
    x = x if x.flat is not None else b.wants(x, last(x.rank, axis))
    slope = along(b, x, axis, slope)
    b.put(outputs[0], L.PReLU(), x, x.shape, x.layout, {"slope": slope}, x.flat)


def one_axis(x: Value, c: Host, *, old: bool = False) -> int:
    """The axis of x that a constant has numbers for. Raises Refusal where it is not one."""
    shape = (1,) * (x.rank - c.ndim) + c.shape
    if old and c.ndim == 1:
        shape = (1, c.size)
    busy = [i for i, n in enumerate(shape) if n > 1]
    at = (x.layout.order or (0,))[0]
    if len(shape) > x.rank or len(busy) != 1 or busy[0] == at or x.shape[busy[0]] != c.size:
        raise Refusal(
            f"a constant of shape {c.shape} beside samples of shape {sample_shape(x)}: one axis may have numbers"
        )
    return busy[0]


def sample_shape(x: Value) -> tuple[int, ...]:
    """Of one sample, wherever the axis of the samples is: its size is a stand-in that no file has."""
    at = (x.layout.order or (0,))[0]
    return (*x.shape[:at], *x.shape[at + 1 :])


def along(b: Builder, x: Value, axis: int, c: Host) -> Host:
    """The constant's numbers in our order, with that axis last."""
    if x.flat is not None:
        return c.reshape(-1)[x.flat]
    x.layout.fix(last(x.rank, axis))
    return c.reshape(-1)


def scale_and_shift(b: Builder, out: str, x: Value, scale: Host, shift: Host, flat: Host | None) -> Value:
    """scale x + shift for each feature: a depthwise convolution of one pixel, which trains on as it is."""
    n = int(scale.size)
    W = scale.reshape(1, n)
    if x.rank == 4:
        return b.put(
            out, L.Conv2D(n, 1, groups=n), x, x.shape, x.layout, {"W": W[None, None], "b": shift}, flat
        )
    if x.rank == 3:
        return b.put(out, L.Conv1D(n, 1, groups=n), x, x.shape, x.layout, {"W": W[None], "b": shift}, flat)
    inner = [int(x.shape[i]) for i in (x.layout.order or ())[1:]]
    row = L.Reshape((math.prod(inner[:-1]), n)), L.Conv1D(n, 1, groups=n), L.Reshape(tuple(inner))
    return b.put(out, L.Sequential(row), x, x.shape, x.layout, {"1.W": W[None], "1.b": shift}, flat)


def gemm(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """alpha x W + beta c."""
    x, W = b.value(inputs[0]), b.constant(inputs[1], "the matrix")
    if W.ndim != 2:
        raise Refusal(f"a matrix of shape {W.shape}")
    if x.rank > (2 if b.batched else 3):
        if b.opset >= 7:
            raise Refusal(f"samples of shape {x.shape[1:]}")
        x = b.flatten("", x)
    W = a.get("alpha", 1.0) * (W.T if a.get("transB", 0) else W)
    if a.get("transA", 0):
        if not b.batched:
            raise Refusal("transA, of one sample")
        x = b.wants(x, (1, 0))
        x = Value(x.name, x.shape[::-1], Layout(identity_order(2)))
    c = b.optional(inputs, 2, "the bias")
    if c is None:
        dense(b, outputs[0], x, W, None)
        return
    bias = a.get("beta", 1.0) * c
    if bias.size not in (1, W.shape[1]) or (bias.size > 1 and bias.shape[-1] != W.shape[1]):
        raise Refusal(f"a bias of shape {bias.shape} for {W.shape[1]} outputs")
    dense(b, outputs[0], x, W, np.broadcast_to(bias.reshape(-1), (W.shape[1],)))


def dense(b: Builder, out: str, x: Value, W: Host, bias: Host | None) -> Value:
    """A Dense layer on the last axis, without a bias where there is none; what resamples an axis does so here."""
    end = x.rank - 1
    if W.shape[0] != x.shape[-1]:
        raise Refusal(f"a matrix of shape {W.shape} for samples of shape {x.shape[1:]}")
    shape = (*x.shape[:-1], W.shape[1])
    if x.flat is not None:
        W = W[x.flat]
    else:
        order = x.layout.order or identity_order(x.rank)
        if order[0] == end:
            raise Refusal("a product along the axis of the samples")
        layer = resampling([x.shape[i] for i in order[1:]], order.index(end) - 1, W) if bias is None else None
        if layer is not None:
            return b.put(out, layer, x, shape, x.layout)
        x = b.wants(x, (*(i for i in order if i != end), end))
    parameters = {"W": W} if bias is None else {"W": W, "b": bias}
    dense = L.Dense(int(W.shape[1]), bias=bias is not None)
    return b.put(out, dense, x, shape, Layout(x.layout.order), parameters)


def resampling(shape: Sequence[int], axis: int, W: Host) -> L.Layer | None:
    """The AdaptiveAvgPool or Resize of samples of that shape whose shares of one axis of positions W holds, if any."""
    n, m = W.shape
    if axis == len(shape) - 1 or len(shape) > 4 or n == m:
        return None
    sizes = tuple(m if i == axis else k for i, k in enumerate(shape[:-1]))
    if np.allclose(cell_shares(n, m), W.T, atol=1e-6):
        return L.AdaptiveAvgPool(sizes)
    for mode, where, rounding in itertools.product(("linear", "nearest"), COORDINATES, ROUNDING):
        layer = L.Resize(sizes, None, mode, where, rounding)
        if np.allclose(place_shares(layer, n, m), W.T, atol=1e-6):
            return layer
    return None


def matmul(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """x W, with a constant W."""
    if inputs[0] in b.constants:
        raise Refusal("a constant stands on the left of the product")
    x, W = b.value(inputs[0]), b.constant(inputs[1], "the matrix")
    if W.ndim == 1 and x.rank >= 2:
        one = dense(b, "", x, W[:, None], np.zeros(1))
        b.reshape(outputs[0], one, x.shape[:-1], 0)
        return
    if W.ndim != 2 or x.rank < 2:
        raise Refusal(f"a product of samples of shape {x.shape[1:]} with an array of shape {W.shape}")
    dense(b, outputs[0], x, W, None)


def dropout(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Kept, so that the model trains on as it was meant; it does nothing in evaluation."""
    rate = b.optional(inputs, 1, "the rate")
    share = a.get("ratio", 0.5) if rate is None else float(np.ravel(rate)[0])
    mode = b.optional(inputs, 2, "the mode")
    if mode is not None and bool(np.ravel(mode)[0]) and share:
        raise Refusal("masks drawn in evaluation too")
    if len(outputs) > 1 and outputs[1] and b.uses.get(outputs[1]):
        raise Refusal("its mask as an output")
    b.elementwise(outputs[0], L.Dropout(share), b.value(inputs[0]))


def identity(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Another name."""
    b.same(outputs[0], b.value(inputs[0]))


def batch_norm(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """ONNX's momentum is the share of the old; its running variance, of a node that trains, has the divisor n."""
    if a.get("training_mode", 0):
        if any(name and b.users.get(name) != ["output"] for name in outputs[1:] if b.uses.get(name)):
            raise Refusal("running statistics are taken by another node")
        b.notes.append("BatchNormalization takes the statistics of the batch while training alone")
        for name in outputs[1:]:
            b.marks[name] = (STATISTICS,)
    x = b.value(inputs[0])
    keys = ("gain", "bias", "mean", "var")
    found = {
        key: b.constant(name, f"its {key}").reshape(-1) for key, name in zip(keys, inputs[1:], strict=True)
    }
    if x.flat is not None:
        found = {key: v[x.flat] for key, v in found.items()}
    else:
        x = b.wants(x, channels_last(x.rank))
    training = bool(a.get("training_mode", 0))
    layer = L.BatchNorm(1 - a.get("momentum", 0.9), a.get("epsilon", 1e-5), unbiased=not training)
    b.put(outputs[0], layer, x, x.shape, x.layout, found, x.flat)


RULES: dict[str, Rule] = {
    "Relu": plain(lambda a: L.ReLU()),
    "Sigmoid": plain(lambda a: L.Sigmoid()),
    "Tanh": plain(lambda a: L.Tanh()),
    "Softplus": plain(lambda a: L.Softplus()),
    "Softsign": plain(lambda a: L.Softsign()),
    "Mish": plain(lambda a: L.Mish()),
    "HardSwish": plain(lambda a: L.HardSwish()),
    "LeakyRelu": plain(lambda a: L.LeakyReLU(a.get("alpha", 0.01))),
    "Elu": plain(lambda a: L.ELU(a.get("alpha", 1.0))),
    "Celu": plain(lambda a: L.CELU(a.get("alpha", 1.0))),
    "Gelu": plain(lambda a: L.GELU(a.get("approximate", "none") == "tanh")),
    "Selu": plain(selu),
    "HardSigmoid": plain(hard_sigmoid),
    "Swish": plain(swish),
    "Neg": plain(lambda a: L.Rescale(-1.0)),
    "Clip": clip,
    "Softmax": softmax(L.Softmax),
    "LogSoftmax": softmax(L.LogSoftmax),
    "PRelu": prelu,
    "Gemm": gemm,
    "MatMul": matmul,
    "Dropout": dropout,
    "BatchNormalization": batch_norm,
    "Identity": identity,
}
