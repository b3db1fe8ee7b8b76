"""Convolution, pooling, padding and enlarging as PyTorch's modules, from ONNX's nodes of the same."""

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.interchange.program import Node, Program


class Unknown(Exception):  # noqa: N818
    """Why a layer has no module of PyTorch's."""


def sides(nn: Any, pads: list[int], value: float) -> tuple[Any, list[int]]:
    """ONNX's pads, all the first before all the last: (a module of its own for uneven ones, even pads)."""
    r = len(pads) // 2
    if pads[:r] == pads[r:]:
        return None, pads[:r]
    ends = [pads[i + end * r] for i in reversed(range(r)) for end in (0, 1)]
    return (nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d)[r - 1](tuple(ends), value), [0] * r


def convolution(nn: Any, node: Node, g: Program, shape: tuple[int, ...], weights: Any) -> tuple[Any, Any]:
    """Conv."""
    a, W = node.attributes, g.constants[node.inputs[1]]
    before, pads = sides(nn, list(a["pads"]), 0.0)
    cls = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[W.ndim - 3]
    return before, cls(shape[-1], W.shape[0], tuple(W.shape[2:]), tuple(a["strides"]), tuple(pads),
                       tuple(a["dilations"]), a["group"], bias="bias" in weights)  # fmt: skip


def transposed(nn: Any, node: Node, g: Program, shape: tuple[int, ...], weights: Any) -> tuple[Any, Any]:
    """ConvTranspose; it crops evenly."""
    a, W = node.attributes, g.constants[node.inputs[1]]
    r = W.ndim - 2
    pads, more = list(a["pads"]), list(a["output_padding"])
    for i in range(r):
        more[i] += pads[i] - pads[i + r]
        if more[i] < 0 or more[i] >= max(a["strides"][i], a["dilations"][i]):
            raise Unknown(f"it crops {pads[i]} before and {pads[i + r]} behind")
    cls = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[r - 1]
    return None, cls(shape[-1], W.shape[1] * a["group"], tuple(W.shape[2:]), tuple(a["strides"]), tuple(pads[:r]),
                     tuple(more), a["group"], "bias" in weights, tuple(a["dilations"]))  # fmt: skip


def pooling(nn: Any, node: Node, g: Program, shape: tuple[int, ...], weights: Any) -> tuple[Any, Any]:
    """MaxPool and AveragePool."""
    a, largest = node.attributes, node.kind == "MaxPool"
    kernel, strides = tuple(a["kernel_shape"]), tuple(a["strides"])
    r, dilations = len(kernel), tuple(a.get("dilations", (1,) * len(kernel)))
    before, pads = sides(nn, list(a["pads"]), -np.inf)
    if largest:
        if any(2 * pad > k for pad, k in zip(pads, kernel, strict=True)):
            raise Unknown("padding wider than half the pool")
        cls = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[r - 1]
        return before, cls(kernel, strides, tuple(pads), dilations)
    if before is not None or max(dilations) > 1 or a.get("ceil_mode"):
        raise Unknown("a mean over uneven pads, or over taps that lie apart")
    cls = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[r - 1]
    return None, cls(kernel, strides, tuple(pads), count_include_pad=bool(a.get("count_include_pad")))


def padding(nn: Any, node: Node, g: Program, shape: tuple[int, ...], weights: Any) -> tuple[Any, Any]:
    """Zeros around the positions."""
    ends = [int(n) for n in g.constants[node.inputs[1]]]
    r, mode = len(shape) - 1, node.attributes.get("mode", "constant")
    if mode != "constant" or len(node.inputs) > 2 or any(ends[i] for i in (0, 1, r + 2, r + 3)):
        raise Unknown("padding by other values than 0, or of the channels")
    pads = [ends[i + end * (r + 2)] for i in reversed(range(2, r + 2)) for end in (0, 1)]
    return None, (nn.ConstantPad1d, nn.ConstantPad2d, nn.ConstantPad3d)[r - 1](tuple(pads), 0.0)


def enlarging(nn: Any, node: Node, g: Program, shape: tuple[int, ...], weights: Any) -> tuple[Any, Any]:
    """Each pixel a block."""
    if node.attributes.get("mode") != "nearest" or node.attributes.get("nearest_mode") != "floor":
        raise Unknown("enlarging by other than blocks")
    scales = g.constants[node.inputs[2]]
    return None, nn.Upsample(scale_factor=tuple(float(v) for v in scales[2:]), mode="nearest")


WINDOWED: dict[str, Callable[..., tuple[Any, Any]]] = {
    "Conv": convolution,
    "ConvTranspose": transposed,
    "MaxPool": pooling,
    "AveragePool": pooling,
    "Pad": padding,
    "Resize": enlarging,
}
"""By ONNX's operations."""
