"""ONNX's operations that pad and enlarge images as layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import Builder, Refusal, Value, axis_of, chained, channels_last, last


def pad(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Constant pads on up to two axes of images, or around sequences."""
    x, mode = b.value(inputs[0]), a.get("mode", "constant")
    found = b.optional(inputs, 1, "the pads")
    p = [int(v) for v in (a.get("pads", a.get("paddings", ())) if found is None else np.ravel(found))]
    filler = b.optional(inputs, 2, "the value")
    v = float(a.get("value", 0.0) if filler is None else np.ravel(filler)[0])
    which = b.optional(inputs, 3, "the axes")
    axes = list(range(x.rank)) if which is None else [axis_of(i, x.rank) for i in np.ravel(which)]
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
    axes = [axis_of(i, x.rank) for i in a.get("axes", range(x.rank))]
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


RULES: dict[str, Rule] = {"Pad": pad, "Upsample": upsample, "Resize": resize}
