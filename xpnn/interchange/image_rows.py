"""How layers over images and sequences become ONNX operations, and normalizations, which share their layouts."""

from typing import Any

import numpy as np

from xpnn.errors import UsageError
from xpnn.interchange.program import Program, Value
from xpnn.window import Window, pads_of, per_axis


def geometry(window: Window) -> dict[str, Any]:
    """The attributes of ONNX that say the same."""
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.stride),
        "pads": [ends[end] for end in (0, 1) for ends in window.pads],
    }


def kernel_first(W: Any) -> Any:
    """(positions..., channels, filters) to (filters, channels, positions...)."""
    return np.moveaxis(W, (-1, -2), (0, 1))


def bias_of(g: Program, layer: Any, p: Any) -> str:
    """The bias; zeros for a layer without one."""
    return g.parameter("b", p["b"]) if "b" in p else g.constant(np.zeros(layer.filters))


def convolution(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """A convolution as ONNX's Conv."""
    window = layer.window(x.shape)
    W, b = g.parameter("W", kernel_first(p["W"])), bias_of(g, layer, p)
    name = g.op(
        "Conv", g.first(x).name, W, b,
        group=layer.groups, dilations=list(window.dilation), **geometry(window),
    )  # fmt: skip
    return Value(name, x.shape, True)


def transposed_convolution(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """ConvTranspose, with its output's positions given by output_padding."""
    out = layer.plan(x.shape)[1]
    window = layer.window(out)
    settings = zip(
        x.shape[:-1], out[:-1], window.kernel, window.stride, window.dilation, window.pads, strict=True
    )
    more = [m + sum(pads) - (k - 1) * d - 1 - (n - 1) * s for n, m, k, s, d, pads in settings]
    W, b = g.parameter("W", kernel_first(p["W"])), bias_of(g, layer, p)
    name = g.op(
        "ConvTranspose", g.first(x).name, W, b,
        group=layer.groups, dilations=list(window.dilation), output_padding=more, **geometry(window),
    )  # fmt: skip
    return Value(name, x.shape, True)


def pool(kind: str) -> Any:
    """A row for MaxPool or AveragePool."""

    def row(g: Program, layer: Any, p: Any, x: Value) -> Value:
        """What ceil_mode adds is written as pads, which count only where count_include_pad says so."""
        window, real = layer.window(x.shape), layer.within(x.shape)
        counted = getattr(layer, "count_include_pad", False) and real.is_padded
        given = geometry(window)
        if max(window.dilation) > 1:
            if kind == "AveragePool" and g.opset < 19:
                raise UsageError(
                    f"layer {g.path or '0'} {type(layer).__name__} has dilation={layer.dilation}, in opset {g.opset}",
                    why="ONNX has means over taps that lie apart from opset 19 on", fix="opset=19",
                )  # fmt: skip
            given["dilations"] = list(window.dilation)
        if counted:
            given |= geometry(real) | {"count_include_pad": 1}
            given |= {"ceil_mode": 1} if window != real else {}
        return Value(g.op(kind, g.first(x).name, **given), x.shape, True)

    return row


def global_pool(kind: str) -> Any:
    """A row for the mean or the largest of each channel."""

    def row(g: Program, layer: Any, p: Any, x: Value) -> str:
        """Over all positions."""
        return str(g.op(kind, x.name, g.ints(x.position_axes), keepdims=0))

    return row


def up_sampling(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """Resize, nearest neighbour."""
    scales = g.constant([1, 1, *per_axis(layer.size, 2)])
    name = g.op(
        "Resize", g.first(x).name, "", scales,
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    return Value(name, x.shape, True)


def zero_pad(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """Pad, on height and width."""
    pads = pads_of(layer.padding, 2)
    full = [[0, 0] for _ in range(4)]
    for axis, ends in zip(x.position_axes, pads, strict=True):
        full[axis] = list(ends)
    sizes = g.ints([pad[end] for end in (0, 1) for pad in full])
    return x._replace(name=g.op("Pad", x.name, sizes))


def batch_norm(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """(x - mean) times one number for each channel, plus the bias: the running statistics are constants."""
    scale = np.asarray(p["gain"], np.float64) / np.sqrt(np.asarray(p["var"], np.float64) + layer.eps)
    centred = g.op("Sub", x.name, g.parameter("mean", x.per_channel(p["mean"])))
    scaled = g.op("Mul", centred, g.parameter("scale", x.per_channel(scale)))
    return x._replace(name=shifted(g, scaled, p, x))


def shifted(g: Program, y: str, p: Any, x: Value) -> str:
    """y plus the bias of each channel of x, where there is one."""
    return str(g.op("Add", y, g.parameter("bias", x.per_channel(p["bias"])))) if "bias" in p else y


def folded(layer: Any, p: Any, norm: Any, q: Any) -> dict[str, Any]:
    """The parameters of a linear layer with the BatchNorm behind it taken in: one layer does what two did."""
    scale = np.asarray(q["gain"], np.float64) / np.sqrt(np.asarray(q["var"], np.float64) + norm.eps)
    W, b = np.asarray(p["W"], np.float64), np.asarray(p.get("b", 0.0), np.float64)
    if (
        "Transpose" in type(layer).__name__
    ):  # its filters are on the axis before the last, one group after the other
        groups = layer.groups
        parts = np.split(W, groups, axis=-1)
        W = np.concatenate(
            [part * s[:, None] for part, s in zip(parts, np.split(scale, groups), strict=True)], axis=-1
        )
    else:
        W = W * scale
    return {"W": W, "b": (b - q["mean"]) * scale + q.get("bias", 0.0)}


def layer_norm(g: Program, layer: Any, p: Any, x: Value) -> str:
    """LayerNormalization over the last axis."""
    numbers = [g.parameter(key, p[key]) for key in ("gain", "bias") if key in p]
    return str(g.op("LayerNormalization", g.last(x).name, *numbers, epsilon=layer.eps, axis=-1))


def rms_norm(g: Program, layer: Any, p: Any, x: Value) -> str:
    """gain x / sqrt(mean(x^2) + eps)."""
    x = g.last(x)
    mean = g.op("ReduceMean", g.op("Mul", x.name, x.name), g.ints([-1]))
    root = g.op("Sqrt", g.op("Add", mean, g.constant(layer.eps)))
    return str(g.op("Mul", g.op("Div", x.name, root), g.parameter("gain", p["gain"])))


def group_norm(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """InstanceNormalization of (N, groups, what is in one), then a gain and a bias for each channel."""
    x, channels = g.first(x), int(x.shape[-1])
    groups: int = getattr(layer, "groups", channels)
    ones, zeros = g.constant(np.ones(groups)), g.constant(np.zeros(groups))
    y = g.op("InstanceNormalization", g.reshape(x.name, [0, groups, -1]), ones, zeros, epsilon=layer.eps)
    y = g.reshape(y, [0, channels, *x.shape[:-1]])
    y = g.op("Mul", y, g.parameter("gain", x.per_channel(p["gain"])))
    return x._replace(name=shifted(g, y, p, x))
