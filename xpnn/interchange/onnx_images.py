"""ONNX's operations over images and sequences as layers: convolutions, pooling, resizing, padding, normalizations."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import (
    Builder,
    Layout,
    Refusal,
    Value,
    chained,
    channels_last,
    last,
    natural,
)

Pads = list[tuple[int, int]]


def pads_of(a: dict[str, Any], sizes: Sequence[int], k: Any, s: Any, d: Any) -> Pads:
    """(before, after) of each axis of positions."""
    mode, r = a.get("auto_pad", "NOTSET"), len(sizes)
    if mode in ("NOTSET", ""):
        p = a.get("pads", [0] * 2 * r)
        return [(int(p[i]), int(p[i + r])) for i in range(r)]
    found = []
    for n, ki, si, di in zip(sizes, k, s, d, strict=True):
        need = 0 if mode == "VALID" else max((-(-n // si) - 1) * si + (ki - 1) * di + 1 - n, 0)
        found.append((need // 2, need - need // 2) if mode != "SAME_LOWER" else (need - need // 2, need // 2))
    return found


def positions(x: Value) -> int:
    """How many axes of positions x has. Raises Refusal for others than 1 and 2."""
    if x.rank not in (3, 4):
        raise Refusal(f"samples of shape {x.shape[1:]}: sequences and images are known")
    return x.rank - 2


def attributes(a: dict[str, Any], r: int) -> tuple[list[int], list[int]]:
    """Strides and dilations."""
    return list(a.get("strides", [1] * r)), list(a.get("dilations", [1] * r))


def setting(values: Sequence[int]) -> Any:
    """A setting of a layer over images, or of one over sequences."""
    return tuple(map(int, values)) if len(values) == 2 else int(values[0])


def padding(p: Pads) -> Any:
    """The padding of a layer over images, or of one over sequences."""
    return tuple(p) if len(p) == 2 else tuple(p[0])


def convolution(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Conv."""
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
    b.wants(x, channels_last(x.rank))
    cls = L.Conv2D if r == 2 else L.Conv1D
    layer = cls(n, setting(k), setting(s), padding(p), setting(d), g)
    parameters = {"W": np.moveaxis(W, (0, 1), (-1, -2)), "b": np.zeros(n) if bias is None else bias}
    b.put(outputs[0], layer, x, (x.shape[0], n, *out), Layout(channels_last(x.rank)), parameters)


def transposed(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """ConvTranspose; over sequences as one over images of one row."""
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
        wanted = list(a.get("output_shape", [m * si for m, si in zip(x.shape[2:], s, strict=True)]))[-r:]
        p = []
        for i in range(r):
            total = full[i] + more[i] - int(wanted[i])
            more[i], total = (more[i] - total, 0) if total < 0 else (more[i], total)
            p.append((total // 2, total - total // 2))
            if mode == "SAME_LOWER":
                p[i] = p[i][::-1]
    else:
        p = pads_of(a, x.shape[2:], k, s, d)
    if min(map(min, p)) < 0 or any(m >= si for m, si in zip(more, s, strict=True)):
        raise Refusal(f"pads {p} and an output_padding of {more}")
    out = [f + m - sum(q) for f, m, q in zip(full, more, p, strict=True)]
    bias = b.optional(inputs, 2, "the bias")
    bias = np.zeros(n) if bias is None else bias
    b.wants(x, channels_last(x.rank))
    kernel = np.moveaxis(W, (0, 1), (-1, -2))
    layout, shape = Layout(channels_last(x.rank)), (x.shape[0], n, *out)
    if r == 2:
        layer = L.ConvTranspose2D(n, setting(k), setting(s), padding(p), setting(d), g, setting(more))
        b.put(outputs[0], layer, x, shape, layout, {"W": kernel, "b": bias})
        return
    wide = L.ConvTranspose2D(
        n, (1, int(k[0])), (1, int(s[0])), ((0, 0), p[0]), (1, int(d[0])), g, (0, more[0])
    )
    row, back = L.Reshape((1, x.shape[2], x.shape[1])), L.Reshape((out[0], n))
    b.put(outputs[0], chained(row, wide, back), x, shape, layout, {"1.W": kernel[None], "1.b": bias})


def pool(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any], *, largest: bool) -> None:
    """MaxPool and AveragePool; ceil_mode by pads computed from the sizes."""
    x = b.value(inputs[0])
    r = positions(x)
    k, (s, d) = [int(v) for v in a["kernel_shape"]], attributes(a, r)
    if any(v != 1 for v in d):
        raise Refusal("pooling with dilations")
    if len(outputs) > 1 and outputs[1]:
        raise Refusal("the places of the largest as an output")
    real = pads_of(a, x.shape[2:], k, s, d)
    p, out = [list(q) for q in real], []
    for i, n in enumerate(x.shape[2:]):
        span = n + sum(real[i]) - k[i]
        steps = -(-span // s[i]) if a.get("ceil_mode", 0) else span // s[i]
        if a.get("ceil_mode", 0) and steps * s[i] >= n + real[i][0]:
            steps -= 1
        p[i][1] += max(steps * s[i] + k[i] - (n + sum(real[i])), 0)
        out.append(steps + 1)
    counted = not largest and a.get("count_include_pad", 0) and any(map(any, real))
    extra = [(0, q[1] - e[1]) for q, e in zip(p, real, strict=True)] if counted else [(q[0], q[1]) for q in p]
    if any(max(q) >= ki for q, ki in zip(extra, k, strict=True)):
        raise Refusal("pads as wide as the pool")
    b.wants(x, channels_last(x.rank))
    classes = ((L.AvgPool1D, L.MaxPool1D), (L.AvgPool2D, L.MaxPool2D))[r - 1]
    layer: L.Layer = classes[largest](setting(k), setting(s), padding(extra))
    if counted and r == 2:
        layer = chained(L.ZeroPad2D(padding(list(real))), layer)
    elif counted:
        n, c = x.shape[2], x.shape[1]
        wide = L.AvgPool2D((1, k[0]), (1, s[0]), ((0, 0), extra[0]))
        layer = chained(L.Reshape((1, n, c)), L.ZeroPad2D(((0, 0), real[0])), wide, L.Reshape((out[0], c)))
    b.put(outputs[0], layer, x, (*x.shape[:2], *out), Layout(channels_last(x.rank)))


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
            keep = bool(a.get("keepdims", 1))
            axes = sorted(v % x.rank for v in found) if found else []
        channel = [i for i in range(1, x.rank) if i not in axes]
        if 0 in axes or len(channel) != 1:
            raise Refusal(f"over the axes {axes} of samples of shape {x.shape[1:]}: all but one are known")
        b.wants(x, last(x.rank, channel[0]))
        n = x.shape[channel[0]]
        if not keep:
            b.put(outputs[0], layer(), x, (x.shape[0], n), Layout(natural(2)))
            return
        shape = [x.shape[0], *(n if i == channel[0] else 1 for i in range(1, x.rank))]
        back = L.Reshape((*(1,) * (x.rank - 2), n))
        b.put(outputs[0], chained(layer(), back), x, shape, Layout(last(x.rank, channel[0])))

    return rule


def pad(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Constant pads on up to two axes of images, or around sequences."""
    x, mode = b.value(inputs[0]), a.get("mode", "constant")
    found = b.optional(inputs, 1, "the pads")
    p = [int(v) for v in (a.get("pads", a.get("paddings", ())) if found is None else np.ravel(found))]
    filler = b.optional(inputs, 2, "the value")
    v = float(a.get("value", 0.0) if filler is None else np.ravel(filler)[0])
    which = b.optional(inputs, 3, "the axes")
    axes = list(range(x.rank)) if which is None else [int(i) % x.rank for i in np.ravel(which)]
    if len(p) != 2 * len(axes):
        raise Refusal(f"{len(p)} pads for {len(axes)} axes")
    full = [(0, 0)] * x.rank
    for i, axis in enumerate(axes):
        full[axis] = (p[i], p[i + len(axes)])
    busy = [i for i in range(x.rank) if any(full[i])]
    if not busy:
        b.same(outputs[0], x)
        return
    if mode != "constant" or min(map(min, full)) < 0:
        raise Refusal(f"pads of mode {mode!r}" if mode != "constant" else "negative pads, which crop")
    if 0 in busy or x.rank not in (3, 4) or len(busy) > 2:
        raise Refusal(f"pads on the axes {busy} of samples of shape {x.shape[1:]}")
    if x.rank == 4:
        kept = [i for i in (1, 2, 3) if i not in busy]
        c = 1 if 1 in kept else kept[0]
        b.wants(x, last(4, c))
        ends = [full[i] for i in (1, 2, 3) if i != c]
        layers: list[L.Layer] = [L.ZeroPad2D((ends[0], ends[1]))]
    else:
        b.wants(x, channels_last(3))
        layers = [
            L.Reshape((x.shape[2], x.shape[1], 1)),
            L.ZeroPad2D((full[2], full[1])),
            L.Reshape((x.shape[2] + sum(full[2]), x.shape[1] + sum(full[1]))),
        ]
    if v:
        layers = [L.Rescale(1.0, -v), *layers, L.Rescale(1.0, v)]
    shape = [n + sum(ends) for n, ends in zip(x.shape, full, strict=True)]
    b.put(outputs[0], chained(*layers), x, shape, x.layout)


def upsample(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """The operation before Resize."""
    scales = b.optional(inputs, 1, "the scales")
    if a.get("mode", "nearest") != "nearest":
        raise Refusal(f"upsampling of mode {a['mode']!r}")
    enlarge(
        b, outputs[0], b.value(inputs[0]), [float(v) for v in (a["scales"] if scales is None else scales)]
    )


def enlarge(b: Builder, out: str, x: Value, scales: Sequence[float]) -> None:
    """Each pixel a block."""
    whole = all(v == int(v) and v >= 1 for v in scales)
    if x.rank != 4 or list(scales[:2]) != [1, 1] or not whole:
        raise Refusal(
            f"samples of shape {x.shape[1:]} resized by {list(scales[1:])}: images by whole factors are known"
        )
    b.wants(x, channels_last(4))
    s, t = int(scales[2]), int(scales[3])
    if x.shape[2] * s > 2**16 or x.shape[3] * t > 2**16:
        raise Refusal(f"images enlarged to {x.shape[2] * s} by {x.shape[3] * t} pixels")
    b.put(out, L.UpSampling2D((s, t)), x, (*x.shape[:2], x.shape[2] * s, x.shape[3] * t), x.layout)


NEAREST: dict[str, Any] = {
    "round_prefer_floor": lambda c: np.ceil(c - 0.5),
    "round_prefer_ceil": lambda c: np.floor(c + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resize(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Nearest neighbour by whole factors, where its rounding gives the blocks that UpSampling2D gives."""
    x = b.value(inputs[0])
    mode, rounding = a.get("mode", "nearest"), a.get("nearest_mode", "round_prefer_floor")
    where = a.get("coordinate_transformation_mode", "half_pixel")
    if mode != "nearest":
        raise Refusal(f"resizing of mode {mode!r}")
    third = 1 if len(inputs) == 2 and b.opset < 11 else 2
    scales, sizes = b.optional(inputs, third, "the scales"), b.optional(inputs, 3, "the sizes")
    axes = [int(i) % x.rank for i in a.get("axes", range(x.rank))]
    if sizes is not None and sizes.size:
        ratios = [float(n) / x.shape[i] for n, i in zip(np.ravel(sizes), axes, strict=True)]
        policy = a.get("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            ratios = [(min if policy == "not_larger" else max)(ratios)] * len(ratios)
    elif scales is not None and scales.size:
        ratios = [float(v) for v in np.ravel(scales)]
    else:
        raise Refusal("neither scales nor sizes")
    full = [1.0] * x.rank
    for i, v in zip(axes, ratios, strict=True):
        full[i] = v
    if not all(v == int(v) and 1 <= v <= 2**12 for v in full):
        raise Refusal(f"resizing by {full[1:]}: whole factors are known")
    for n, s in zip(x.shape[1:], full[1:], strict=True):
        at = np.arange(int(n * s))
        places = {
            "half_pixel": (at + 0.5) / s - 0.5,
            "half_pixel_symmetric": (at + 0.5) / s - 0.5,
            "pytorch_half_pixel": (at + 0.5) / s - 0.5 if len(at) > 1 else at * 0.0,
            "asymmetric": at / s,
            "align_corners": at * (n - 1) / max(len(at) - 1, 1),
        }
        if where not in places or rounding not in NEAREST:
            raise Refusal(f"resizing by {where!r} and {rounding!r}")
        if (np.clip(NEAREST[rounding](places[where]), 0, n - 1) != at // int(s)).any():
            raise Refusal(f"resizing by {where!r} and {rounding!r}, which gives other blocks")
    enlarge(b, outputs[0], x, full)


def instance_norm(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Each channel of each sample by itself."""
    x = b.value(inputs[0])
    b.wants(x, channels_last(x.rank))
    found = {"gain": b.constant(inputs[1], "the gain"), "bias": b.constant(inputs[2], "the bias")}
    b.put(outputs[0], L.InstanceNorm(a.get("epsilon", 1e-5)), x, x.shape, x.layout, found)


def group_norm(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """A gain for each group, as before opset 21, is repeated for its channels."""
    x, groups = b.value(inputs[0]), int(a["num_groups"])
    b.wants(x, channels_last(x.rank))
    gain, bias = (b.constant(inputs[i], word).reshape(-1) for i, word in ((1, "the gain"), (2, "the bias")))
    c = x.shape[1]
    if gain.size != c:
        gain, bias = np.repeat(gain, c // max(1, gain.size)), np.repeat(bias, c // max(1, bias.size))
    layer = L.GroupNorm(groups, a.get("epsilon", 1e-5))
    b.put(outputs[0], layer, x, x.shape, x.layout, {"gain": gain, "bias": bias})


def layer_norm(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """LayerNormalization and RMSNormalization over the axes from `axis` on."""
    x = b.value(inputs[0])
    axis = a.get("axis", -1) % x.rank
    if axis == 0:
        raise Refusal("axis 0 is that of the samples")
    if len(outputs) > 1 and any(outputs[1:]):
        raise Refusal("means or deviations as outputs")
    over, eps = x.shape[axis:], a.get("epsilon", 1e-5)
    size = math.prod(over)
    b.wants(x, natural(x.rank))
    found = {"gain": np.broadcast_to(b.constant(inputs[1], "the gain"), over).reshape(-1)}
    layer: L.Layer = L.RMSNorm(eps)
    if a["kind"] == "LayerNormalization":
        layer = L.LayerNorm(eps)
        bias = b.optional(inputs, 2, "the bias")
        found["bias"] = np.zeros(size) if bias is None else np.broadcast_to(bias, over).reshape(-1)
    if axis != x.rank - 1:
        row = L.Reshape((*x.shape[1:axis], size))
        layer, found = chained(row, layer, L.Reshape(x.shape[1:])), {f"1.{k}": v for k, v in found.items()}
    b.put(outputs[0], layer, x, x.shape, x.layout, found)


def max_pool(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """MaxPool."""
    pool(b, inputs, outputs, a, largest=True)


def average_pool(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """AveragePool."""
    pool(b, inputs, outputs, a, largest=False)


RULES: dict[str, Rule] = {
    "Conv": convolution,
    "ConvTranspose": transposed,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_pool(L.GlobalAveragePool, "GlobalAveragePool"),
    "GlobalMaxPool": global_pool(L.GlobalMaxPool, "GlobalMaxPool"),
    "ReduceMean": global_pool(L.GlobalAveragePool, "ReduceMean"),
    "ReduceMax": global_pool(L.GlobalMaxPool, "ReduceMax"),
    "Pad": pad,
    "Upsample": upsample,
    "Resize": resize,
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "LayerNormalization": layer_norm,
    "RMSNormalization": layer_norm,
}
