"""How layers over images and sequences become ONNX operations, and normalizations, which share their layouts."""

from typing import Any

import numpy as np

from xpnn.interchange.program import Program, Value
from xpnn.layers.one_dim import flat
from xpnn.window import Window, pair, place


def wide(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(H, W, C), with a sequence as an image of one row."""
    return shape if len(shape) == 3 else (1, *shape)


def both(setting: Any, images: bool) -> tuple[int, int]:
    """A setting for height and width; a layer over sequences says that of the width."""
    return pair(setting) if images else (1, setting)


def padding_of(layer: Any, images: bool) -> Any:
    """The padding, as one over images has it."""
    return layer.padding if images else flat(layer.padding)


def geometry(window: Window, images: bool) -> dict[str, Any]:
    """The attributes of ONNX that say the same."""
    axes = (0, 1) if images else (1,)
    return {
        "kernel_shape": [window.kernel[i] for i in axes],
        "strides": [window.stride[i] for i in axes],
        "pads": [window.pads[i][end] for end in (0, 1) for i in axes],
    }


def kernel_first(W: Any) -> Any:
    """(height, width, channels, filters) to (filters, channels, height, width), of sequences likewise."""
    return np.moveaxis(W, (-1, -2), (0, 1))


def convolution(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """A convolution as ONNX's Conv."""
    images = len(x.shape) == 3
    kernel, stride, dilation = (both(one, images) for one in (layer.kernel, layer.stride, layer.dilation))
    window = place(wide(x.shape), kernel, stride, padding_of(layer, images), dilation)
    W, b = g.parameter("W", kernel_first(p["W"])), g.parameter("b", p["b"])
    name = g.op(
        "Conv", g.first(x).name, W, b,
        group=layer.groups, dilations=list(dilation[-len(x.shape) + 1 :]), **geometry(window, images),
    )  # fmt: skip
    return Value(name, x.shape, True)


def transposed_convolution(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """ConvTranspose, with its output's rows and columns given."""
    out = layer.plan(x.shape)[1]
    window = place(out, pair(layer.kernel), pair(layer.stride), layer.padding, pair(layer.dilation))
    settings = zip(
        x.shape[:2], out[:2], window.kernel, window.stride, window.dilation, window.pads, strict=True
    )
    more = [m + sum(pads) - (k - 1) * d - 1 - (n - 1) * s for n, m, k, s, d, pads in settings]
    W, b = g.parameter("W", kernel_first(p["W"])), g.parameter("b", p["b"])
    name = g.op(
        "ConvTranspose", g.first(x).name, W, b,
        group=layer.groups, dilations=list(window.dilation), output_padding=more, **geometry(window, True),
    )  # fmt: skip
    return Value(name, x.shape, True)


def pool(kind: str) -> Any:
    """A row for MaxPool or AveragePool."""

    def row(g: Program, layer: Any, p: Any, x: Value) -> Value:
        """Pads do not count, which is ONNX's default."""
        images = len(x.shape) == 3
        stride = layer.pool if layer.stride is None else layer.stride
        sizes = both(layer.pool, images), both(stride, images)
        window = place(wide(x.shape), *sizes, padding_of(layer, images))
        return Value(g.op(kind, g.first(x).name, **geometry(window, images)), x.shape, True)

    return row


def global_pool(kind: str) -> Any:
    """A row for the mean or the largest of each channel."""

    def row(g: Program, layer: Any, p: Any, x: Value) -> str:
        """Over all positions."""
        return str(g.op(kind, x.name, g.ints(x.position_axes), keepdims=0))

    return row


def up_sampling(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """Resize, nearest neighbour."""
    scales = g.constant([1, 1, *pair(layer.size)])
    name = g.op(
        "Resize", g.first(x).name, "", scales,
        mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    return Value(name, x.shape, True)


def zero_pad(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """Pad, on height and width."""
    sides = layer.padding
    pads = ((sides, sides), (sides, sides)) if isinstance(sides, int) else sides
    full = [[0, 0] for _ in range(4)]
    for axis, ends in zip(x.position_axes, pads, strict=True):
        full[axis] = list(ends)
    ends = g.ints([pad[end] for end in (0, 1) for pad in full])
    return x._replace(name=g.op("Pad", x.name, ends))


def batch_norm(g: Program, layer: Any, p: Any, x: Value) -> Value:
    """(x - mean) times one number for each channel, plus the bias: the running statistics are constants."""
    scale = np.asarray(p["gain"], np.float64) / np.sqrt(np.asarray(p["var"], np.float64) + layer.eps)
    centred = g.op("Sub", x.name, g.parameter("mean", x.per_channel(p["mean"])))
    scaled = g.op("Mul", centred, g.parameter("scale", x.per_channel(scale)))
    return x._replace(name=g.op("Add", scaled, g.parameter("bias", x.per_channel(p["bias"]))))


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
    return {"W": W, "b": (b - q["mean"]) * scale + q["bias"]}


def layer_norm(g: Program, layer: Any, p: Any, x: Value) -> str:
    """LayerNormalization over the last axis."""
    gain, bias = g.parameter("gain", p["gain"]), g.parameter("bias", p.get("bias", np.zeros_like(p["gain"])))
    return str(g.op("LayerNormalization", g.last(x).name, gain, bias, epsilon=layer.eps, axis=-1))


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
    return x._replace(name=g.op("Add", y, g.parameter("bias", x.per_channel(p["bias"]))))
