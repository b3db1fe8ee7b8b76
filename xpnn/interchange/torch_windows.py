"""Convolution, pooling, padding and enlarging as PyTorch's modules, from ONNX's nodes of the same."""

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.interchange.program import Node, Program

Made = tuple[Any, Any, Any]
"""A module before it or None, the module with the weights, a module behind it or None."""


class Unknown(Exception):  # noqa: N818
    """Why a layer has no module of PyTorch's own."""


def sides(nn: Any, pads: list[int], value: float, *, apart: bool = False) -> tuple[Any, list[int]]:
    """ONNX's pads, all the first before all the last: (a module of its own for uneven ones, even pads).

    apart: a module of its own for even ones, too.
    """
    r = len(pads) // 2
    if pads[:r] == pads[r:] and not apart:
        return None, pads[:r]
    ends = [pads[i + end * r] for i in reversed(range(r)) for end in (0, 1)]
    return (nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d)[r - 1](tuple(ends), value), [0] * r


def convolution(nn: Any, node: Node, g: Program, shape: tuple[int, ...], weights: Any) -> Made:
    """ONNX's Conv as a module."""
    a, W = node.attributes, g.constants[node.inputs[1]]
    before, pads = sides(nn, list(a["pads"]), 0.0)
    cls = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[W.ndim - 3]
    return before, cls(shape[-1], W.shape[0], tuple(W.shape[2:]), tuple(a["strides"]), tuple(pads),
                       tuple(a["dilations"]), a["group"], bias="bias" in weights), None  # fmt: skip


def transposed(nn: Any, node: Node, g: Program, shape: tuple[int, ...], weights: Any) -> Made:
    """ConvTranspose. It crops evenly there; else the whole result is cropped behind it."""
    from xpnn.interchange.torch_parts import Cropped

    a, W = node.attributes, g.constants[node.inputs[1]]
    r = W.ndim - 2
    first, last, more = a["pads"][:r], a["pads"][r:], list(a["output_padding"])
    uneven = [m + p - q for m, p, q in zip(more, first, last, strict=True)]
    reach = [max(s, d) for s, d in zip(a["strides"], a["dilations"], strict=True)]
    even = all(0 <= m < most for m, most in zip(uneven, reach, strict=True))
    crop = [q - m for q, m in zip(last, more, strict=True)]
    pads, more = (first, uneven) if even else ([0] * r, [max(0, -n) for n in crop])
    cls = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[r - 1]
    made = cls(shape[-1], W.shape[1] * a["group"], tuple(W.shape[2:]), tuple(a["strides"]), tuple(pads),
               tuple(more), a["group"], "bias" in weights, tuple(a["dilations"]))  # fmt: skip
    return None, made, None if even else Cropped(first, [max(0, n) for n in crop])


def pooling(nn: Any, node: Node, g: Program, shape: tuple[int, ...], weights: Any) -> Made:
    """MaxPool and AveragePool."""
    a, largest = node.attributes, node.kind == "MaxPool"
    kernel, strides = tuple(a["kernel_shape"]), tuple(a["strides"])
    r, dilations = len(kernel), tuple(a.get("dilations", (1,) * len(kernel)))
    if largest:
        wide = any(2 * pad > k for pad, k in zip(a["pads"][:r], kernel, strict=True))
        before, pads = sides(nn, list(a["pads"]), -np.inf, apart=wide)
        cls = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[r - 1]
        return before, cls(kernel, strides, tuple(pads), dilations), None
    before, pads = sides(nn, list(a["pads"]), 0.0)
    wide = any(2 * pad > k for pad, k in zip(pads, kernel, strict=True))
    if before is not None or wide or max(dilations) > 1 or a.get("ceil_mode"):
        raise Unknown("a mean over uneven pads, or over taps that lie apart")
    cls = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[r - 1]
    counted = bool(a.get("count_include_pad"))
    return None, cls(kernel, strides, tuple(pads), count_include_pad=counted), None


def padding(nn: Any, node: Node, g: Program, shape: tuple[int, ...], weights: Any) -> Made:
    """Zeros around the positions."""
    ends = [int(n) for n in g.constants[node.inputs[1]]]
    r, mode = len(shape) - 1, node.attributes.get("mode", "constant")
    if r < 1 or mode != "constant" or len(node.inputs) > 2 or any(ends[i] for i in (0, 1, r + 2, r + 3)):
        raise Unknown("padding by other values than 0, or of the channels")
    pads = [ends[i + end * (r + 2)] for i in reversed(range(2, r + 2)) for end in (0, 1)]
    return None, (nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d)[r - 1](tuple(pads), 0.0), None


def enlarging(nn: Any, node: Node, g: Program, shape: tuple[int, ...], weights: Any) -> Made:
    """Each pixel a block."""
    if node.attributes.get("mode") != "nearest" or node.attributes.get("nearest_mode") != "floor":
        raise Unknown("enlarging by other than blocks")
    scales = g.constants[node.inputs[2]]
    return None, nn.Upsample(scale_factor=tuple(float(v) for v in scales[2:]), mode="nearest"), None


WINDOWED: dict[str, Callable[..., Made]] = {
    "Conv": convolution,
    "ConvTranspose": transposed,
    "MaxPool": pooling,
    "AveragePool": pooling,
    "Pad": padding,
    "Resize": enlarging,
}
"""By ONNX's operations."""
