"""ONNX's operations that pad and enlarge images as layers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import Builder, Refusal, Value, axis_of, channels_last, identity_order

MODES = ("constant", "reflect", "edge", "wrap")


def pad(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Pads of any axes but that of the samples."""
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
    if mode not in MODES or min(map(min, full)) < 0:
        raise Refusal(f"pads of mode {mode!r}" if mode not in MODES else "negative pads, which crop")
    if 0 in busy:
        raise Refusal("pads of the axis of the samples")
    order = x.layout.order or (identity_order(x.rank) if 1 in busy else channels_last(x.rank))
    x = b.wants(x, order)
    layer = L.Pad(tuple(full[axis] for axis in order[1:]), mode, v if mode == "constant" else 0.0)
    shape = [n + sum(ends) for n, ends in zip(x.shape, full, strict=True)]
    b.put(outputs[0], layer, x, shape, x.layout)


def upsample(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """The operation before Resize: coordinates are divided by the scales, and rounded down."""
    scales, x = b.optional(inputs, 1, "the scales"), b.value(inputs[0])
    given = [float(v) for v in (a["scales"] if scales is None else scales)]
    mode = a.get("mode", "nearest")
    sizes = [int(np.floor(n * s + 1e-9)) for n, s in zip(x.shape[1:], given[1:], strict=True)]
    enlarge(b, outputs[0], x, sizes, given, (mode, "asymmetric", "floor"))


def resize(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Nearest and linear, in the ways of finding coordinates that `Resize` knows."""
    x = b.value(inputs[0])
    third = 1 if b.opset < 11 else 2
    scales, sizes = b.optional(inputs, third, "the scales"), b.optional(inputs, 3, "the sizes")
    axes = [axis_of(i, x.rank) for i in a.get("axes", range(x.rank))]
    policy = a.get("keep_aspect_ratio_policy", "stretch")
    full, wanted = [1.0] * x.rank, list(x.shape)
    if sizes is not None and sizes.size:
        given = [int(n) for n in np.ravel(sizes)]
        ratios = [n / x.shape[i] for n, i in zip(given, axes, strict=True)]
        if policy != "stretch":
            ratios = [(min if policy == "not_larger" else max)(ratios)] * len(ratios)
            given = [int(np.floor(x.shape[i] * v + 0.5)) for v, i in zip(ratios, axes, strict=True)]
    elif scales is not None and scales.size:
        ratios = [float(v) for v in np.ravel(scales)]
        given = [int(np.floor(x.shape[i] * v + 1e-9)) for v, i in zip(ratios, axes, strict=True)]
    else:
        raise Refusal("neither scales nor sizes")
    for i, v, n in zip(axes, ratios, given, strict=True):
        full[i], wanted[i] = v, n
    where = a.get("coordinate_transformation_mode", "asymmetric" if b.opset < 11 else "half_pixel")
    rounding = a.get("nearest_mode", "floor" if b.opset < 11 else "round_prefer_floor")
    if a.get("antialias", 0) or a.get("exclude_outside", 0):
        raise Refusal("resizing with antialias or exclude_outside")
    enlarge(b, outputs[0], x, wanted[1:], full, (a.get("mode", "nearest"), where, rounding))


COORDINATES = {
    "half_pixel": "half_pixel",
    "pytorch_half_pixel": "half_pixel",
    "half_pixel_symmetric": "half_pixel",
    "align_corners": "align_corners",
    "asymmetric": "asymmetric",
}
"""ONNX's words, and those of `Resize`."""


def enlarge(
    b: Builder, out: str, x: Value, sizes: Sequence[int], scales: Sequence[float], how: tuple[str, str, str]
) -> None:
    """Resize of the positions; blocks of pixels as UpSampling2D."""
    mode, where, rounding = how
    if mode not in ("nearest", "linear") or where not in COORDINATES:
        raise Refusal(f"resizing of mode {mode!r} with coordinates {where!r}")
    if x.rank not in (3, 4, 5) or int(sizes[0]) != x.shape[1]:
        raise Refusal(
            f"samples of shape {x.shape[1:]} resized to {tuple(sizes)}: all but the channels are known"
        )
    if any(abs(n * s - m) > 1e-4 for n, s, m in zip(x.shape[2:], scales[2:], sizes[1:], strict=True)):
        raise Refusal(f"resizing by {list(scales[1:])}, which gives no whole sizes")
    if where == "pytorch_half_pixel" and any(m == 1 < n for n, m in zip(x.shape[2:], sizes[1:], strict=True)):
        raise Refusal("resizing to one value with coordinates 'pytorch_half_pixel'")
    if any(m > 2**16 for m in sizes[1:]):
        raise Refusal(f"images enlarged to {' by '.join(map(str, sizes[1:]))} pixels")
    layer: L.Layer = L.Resize(
        tuple(sizes[1:]), None, mode, COORDINATES[where], rounding.removeprefix("round_")
    )
    blocks = mode == "nearest" and x.rank == 4 and all(s == int(s) >= 1 for s in scales[2:])
    if blocks and all(same_blocks(layer, n, int(s)) for n, s in zip(x.shape[2:], scales[2:], strict=True)):
        layer = L.UpSampling2D((int(scales[2]), int(scales[3])))
    x = b.wants(x, channels_last(x.rank))
    b.put(out, layer, x, (*x.shape[:2], *sizes[1:]), x.layout)


def same_blocks(layer: Any, n: int, s: int) -> bool:
    """Whether each of n values becomes a block of s."""
    i = np.arange(n * s)
    return bool((np.clip(layer.rounded(*layer.places(i, n, n * s)), 0, n - 1) == i // s).all())


RULES: dict[str, Rule] = {"Pad": pad, "Upsample": upsample, "Resize": resize}
