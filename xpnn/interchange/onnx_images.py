"""ONNX's convolutions and pooling as layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.errors import ShapeError
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import (
    Builder,
    Layout,
    Refusal,
    Value,
    axis_of,
    chained,
    channels_last,
    identity_order,
    last,
)

Pads = list[tuple[int, int]]


def pads_of(a: dict[str, Any], sizes: Sequence[int], k: Any, s: Any, d: Any) -> Pads:
    """(before, after) of each axis of positions."""
    mode, r = a.get("auto_pad", "NOTSET"), len(sizes)
    if mode in ("NOTSET", ""):
        p = a.get("pads", [0] * 2 * r)
        return [(int(first), int(last)) for first, last in zip(p[:r], p[r:], strict=True)]
    found = []
    for n, ki, si, di in zip(sizes, k, s, d, strict=True):
        need = 0 if mode == "VALID" else max((-(-n // si) - 1) * si + (ki - 1) * di + 1 - n, 0)
        found.append((need // 2, need - need // 2) if mode != "SAME_LOWER" else (need - need // 2, need // 2))
    return found


def positions(x: Value) -> int:
    """How many axes of positions x has. Raises Refusal for others than 1, 2 and 3."""
    if x.rank not in (3, 4, 5):
        raise Refusal(f"samples of shape {x.shape[1:]}: sequences, images and volumes are known")
    return x.rank - 2


def attributes(a: dict[str, Any], r: int) -> tuple[list[int], list[int]]:
    """Strides and dilations."""
    return list(a.get("strides", [1] * r)), list(a.get("dilations", [1] * r))


def setting(values: Sequence[int]) -> Any:
    """A setting of a layer over images or volumes, or of one over sequences."""
    return tuple(map(int, values)) if len(values) > 1 else int(values[0])


def padding(p: Pads) -> Any:
    """The padding of a layer over images or volumes, or of one over sequences."""
    return tuple(p) if len(p) > 1 else tuple(p[0])


def convolution(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """ONNX's Conv as a layer."""
    x, W = b.value(inputs[0]), b.constant(inputs[1], "the kernel")
    r, g = positions(x), a.get("group", 1)
    (s, d), k = attributes(a, r), W.shape[2:]
    if W.ndim != x.rank or W.shape[1] * g != x.shape[1]:
        raise Refusal(f"a kernel of shape {W.shape} in {g} groups for samples of shape {x.shape[1:]}")
    p = pads_of(a, x.shape[2:], k, s, d)
    if min(map(min, p)) < 0:
        raise Refusal("negative pads")
    bias = b.optional(inputs, 2, "the bias")
    n = int(W.shape[0])
    settings = zip(x.shape[2:], p, k, d, s, strict=True)
    out = [(m + sum(q) - (ki - 1) * di - 1) // si + 1 for m, q, ki, di, si in settings]
    x = b.wants(x, channels_last(x.rank))
    cls = (L.Conv1D, L.Conv2D, L.Conv3D)[r - 1]
    layer = cls(n, setting(k), setting(s), padding(p), setting(d), g, bias=bias is not None)
    parameters = {"W": np.moveaxis(W, (0, 1), (-1, -2))} | ({} if bias is None else {"b": bias})
    b.put(outputs[0], layer, x, (x.shape[0], n, *out), Layout(channels_last(x.rank)), parameters)


def transposed(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """ONNX's ConvTranspose as a layer."""
    x, W = b.value(inputs[0]), b.constant(inputs[1], "the kernel")
    r, g = positions(x), a.get("group", 1)
    (s, d), k, n = attributes(a, r), W.shape[2:], int(W.shape[1] * g)
    if W.ndim != x.rank or W.shape[0] != x.shape[1]:
        raise Refusal(f"a kernel of shape {W.shape} for samples of shape {x.shape[1:]}")
    more = [int(v) for v in a.get("output_padding", [0] * r)]
    settings = zip(x.shape[2:], s, k, d, strict=True)
    full = [(m - 1) * si + (ki - 1) * di + 1 for m, si, ki, di in settings]
    mode = a.get("auto_pad", "NOTSET")
    if "output_shape" in a or mode.startswith("SAME"):
        wanted = list(a.get("output_shape", [x.shape[2 + i] * s[i] for i in range(r)]))[-r:]
        p = []
        for i in range(r):
            total = full[i] + more[i] - int(wanted[i])
            more[i] += max(0, -total)
            total = max(0, total)
            less = total // 2
            p.append((less, total - less) if mode == "SAME_UPPER" else (total - less, less))
    else:
        p = pads_of(a, x.shape[2:], k, s, d)
    if min(map(min, p)) < 0 or any(m >= si for m, si in zip(more, s, strict=True)):
        raise Refusal(f"pads {p} and an output_padding of {more}")
    out = [full[i] + more[i] - sum(p[i]) for i in range(r)]
    bias = b.optional(inputs, 2, "the bias")
    x = b.wants(x, channels_last(x.rank))
    cls = (L.ConvTranspose1D, L.ConvTranspose2D, L.ConvTranspose3D)[r - 1]
    sizes = setting(k), setting(s), padding(p), setting(d)
    layer = cls(n, *sizes, g, setting(more), bias=bias is not None)
    parameters = {"W": np.moveaxis(W, (0, 1), (-1, -2))} | ({} if bias is None else {"b": bias})
    b.put(outputs[0], layer, x, (x.shape[0], n, *out), Layout(channels_last(x.rank)), parameters)


def pool(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any], *, largest: bool) -> None:
    """MaxPool and AveragePool."""
    x = b.value(inputs[0])
    r = positions(x)
    k, (s, d) = [int(v) for v in a["kernel_shape"]], attributes(a, r)
    if len(outputs) > 1 and outputs[1]:
        raise Refusal("the places of the largest as an output")
    p, ceil = pads_of(a, x.shape[2:], k, s, d), bool(a.get("ceil_mode", 0))
    counted = {} if largest else {"count_include_pad": bool(a.get("count_include_pad", 0))}
    classes = ((L.AvgPool1D, L.MaxPool1D), (L.AvgPool2D, L.MaxPool2D), (L.AvgPool3D, L.MaxPool3D))[r - 1]
    layer = classes[largest](setting(k), setting(s), padding(p), setting(d), ceil, **counted)
    try:
        out = layer.plan((*map(int, x.shape[2:]), int(x.shape[1])))[1]
    except ShapeError as error:
        raise Refusal(f"pooling that {error.what}") from error
    x = b.wants(x, channels_last(x.rank))
    b.put(outputs[0], layer, x, (*x.shape[:2], *out[:-1]), Layout(channels_last(x.rank)))


def response(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """ONNX's LRN as a layer."""
    x = b.value(inputs[0])
    layer = L.LocalResponseNorm(
        int(a["size"]), float(a.get("alpha", 1e-4)), float(a.get("beta", 0.75)), float(a.get("bias", 1.0))
    )
    x = b.wants(x, channels_last(x.rank))
    b.put(outputs[0], layer, x, x.shape, Layout(channels_last(x.rank)))


def global_pool(layer: type[L.Layer], name: str) -> Rule:
    """A rule for the mean or the largest of each channel, as an operation of its own or a reduction."""

    def rule(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
        """(N, C, ...) to (N, C), with axes of 1 where ONNX keeps them; an axis before the channels is time."""
        x = b.value(inputs[0])
        positions(x)
        axes, keep = list(range(2, x.rank)), True
        if name.startswith("Reduce"):
            given = b.optional(inputs, 1, "the axes")
            found = a.get("axes") if given is None else [int(v) for v in np.ravel(given)]
            keep = bool(a.get("keepdims", True))
            axes = sorted(axis_of(v, x.rank) for v in found) if found else []
        (channel,) = (i for i in range(1, x.rank) if i not in axes)
        x = b.wants(x, last(x.rank, channel))
        n = x.shape[channel]
        if not keep:
            b.put(outputs[0], layer(), x, (x.shape[0], n), Layout(identity_order(2)))
            return
        shape = [x.shape[0], *(n if i == channel else 1 for i in range(1, x.rank))]
        back = L.Reshape((*(1,) * (x.rank - 2), n))
        b.put(outputs[0], chained(layer(), back), x, shape, Layout(last(x.rank, channel)))

    return rule


def max_pool(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """ONNX's MaxPool as a layer."""
    pool(b, inputs, outputs, a, largest=True)


def average_pool(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """ONNX's AveragePool as a layer."""
    pool(b, inputs, outputs, a, largest=False)


RULES: dict[str, Rule] = {
    "Conv": convolution,
    "ConvTranspose": transposed,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "LRN": response,
    "GlobalAveragePool": global_pool(L.GlobalAveragePool, "GlobalAveragePool"),
    "GlobalMaxPool": global_pool(L.GlobalMaxPool, "GlobalMaxPool"),
}
