"""Layers that torch.nn has no module of, as a module that runs their ONNX operations in PyTorch. Imports PyTorch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from xpnn.interchange.program import Node
from xpnn.interchange.torch_parts import inputs_of

FLOAT = 1
"""ONNX's number for float32: here the dtype of the module."""


class Operations(torch.nn.Module):  # type: ignore[misc]
    """The operations of one layer, in their order. Its parameters have their names here, and train on."""

    def __init__(
        self, nodes: Sequence[Node], constants: dict[str, Any], trained: dict[str, Any],
        inputs: Sequence[str], outputs: Sequence[str],
    ) -> None:  # fmt: skip
        super().__init__()
        self.steps = [(node.kind, tuple(node.inputs), tuple(node.outputs), node.attributes) for node in nodes]
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self.numbers: dict[str, list[int]] = {}
        self.held: dict[str, str] = {}
        for name, a in constants.items():
            if a.dtype == np.int64:
                self.numbers[name] = a.tolist()
                continue
            self.held[name] = name if name in trained else f"constant{len(self.held)}"
            if name in trained:
                self.register_parameter(name, torch.nn.Parameter(trained[name]))
            else:
                self.register_buffer(self.held[name], torch.from_numpy(np.array(a)), persistent=False)
        self.register_buffer("dtype_of", torch.zeros(()), persistent=False)

    def forward(self, *xs: Any) -> Any:
        """One result, or a tuple of them."""
        values = dict(zip(self.inputs, inputs_of(xs), strict=True)) | self.numbers
        values |= {name: getattr(self, place) for name, place in self.held.items()}
        for kind, inputs, outputs, attributes in self.steps:
            given = [values[name] for name in inputs if name]
            if kind == "Cast":
                made = given[0].to(self.dtype_of.dtype) if attributes["to"] == FLOAT else given[0]
            else:
                made = OPERATIONS[kind](*given, **attributes)
            values.update(zip(outputs, made if len(outputs) > 1 else (made,), strict=True))
        found = tuple(values[name] for name in self.outputs)
        return found[0] if len(found) == 1 else found


def reshaped(x: Any, sizes: list[int]) -> Any:
    """0 keeps a size."""
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(sizes)])


def cut(x: Any, start: list[int], stop: list[int], axis: list[int], step: list[int]) -> Any:
    """Some places of one axis, which may be walked backwards."""
    places = range(*slice(start[0], stop[0], step[0]).indices(x.shape[axis[0]]))
    return x.index_select(axis[0], torch.tensor(list(places), device=x.device))


def with_ones(x: Any, axes: list[int]) -> Any:
    """Axes of 1, counted in the result."""
    for axis in sorted(axes):
        x = x.unsqueeze(axis)
    return x


def hardmax(x: Any, axis: int) -> Any:
    """1 for the first of the largest, else 0."""
    return functional.one_hot(x.argmax(axis), x.shape[axis]).movedim(-1, axis).to(x.dtype)


def padded(x: Any, ends: list[int], value: Any = 0.0, mode: str = "constant") -> Any:
    """All the first ends before all the last, on any axes."""
    r = x.ndim
    if mode == "constant":
        sides = [ends[i + end * r] for i in reversed(range(r)) for end in (0, 1)]
        return functional.pad(x, sides, value=float(value))
    for axis in range(r):
        if ends[axis] or ends[axis + r]:
            places = np.pad(np.arange(x.shape[axis]), (ends[axis], ends[axis + r]), mode)  # type: ignore[call-overload]
            x = x.index_select(axis, torch.from_numpy(places).to(x.device))
    return x


def windows_added(x: Any, kernel: list[int], strides: list[int], dilations: list[int]) -> Any:
    """The sum of each window, of each channel by itself."""
    convolution = (functional.conv1d, functional.conv2d, functional.conv3d)[len(kernel) - 1]
    ones = torch.ones(x.shape[1], 1, *kernel, dtype=x.dtype, device=x.device)
    return convolution(x, ones, stride=tuple(strides), dilation=tuple(dilations), groups=x.shape[1])


def average_pool(
    x: Any, kernel_shape: list[int], strides: list[int], pads: list[int], dilations: Any = None,
    count_include_pad: int = 0, ceil_mode: int = 0,
) -> Any:  # fmt: skip
    """The mean of each window; pads are left out or count as zeros, what ceil_mode adds never counts."""
    r, d = len(kernel_shape), dilations or [1] * len(kernel_shape)
    real, ends = torch.ones_like(x[:1, :1]), [0, 0, *pads[:r], 0, 0, *pads[r:]]
    x, real = padded(x, ends), padded(real, ends, float(count_include_pad))
    more = [0] * r
    if ceil_mode:
        room = [x.shape[2 + i] - (kernel_shape[i] - 1) * d[i] - 1 for i in range(r)]
        more = [-room[i] % strides[i] for i in range(r)]
    x, real = (padded(a, [0] * (4 + r) + more) for a in (x, real))
    return windows_added(x, kernel_shape, strides, d) / windows_added(real, kernel_shape, strides, d)


def response(x: Any, alpha: float, beta: float, bias: float, size: int) -> Any:
    """x over a power of the sum of its neighbours' squares, from channel to channel."""
    before, after = (size - 1) // 2, size // 2
    squares = padded(x * x, [0, before, *[0] * (x.ndim - 2), 0, after, *[0] * (x.ndim - 2)])
    total = sum(squares[:, i : i + x.shape[1]] for i in range(size))
    return x / (bias + alpha / size * total) ** beta


OPERATIONS: dict[str, Callable[..., Any]] = {
    "Identity": lambda x: x,
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "Neg": torch.neg,
    "Abs": torch.abs,
    "Sqrt": torch.sqrt,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "MatMul": torch.matmul,
    "Gemm": lambda x, W, b: x @ W + b,
    "Clip": torch.clamp,
    "Greater": torch.gt,
    "Where": torch.where,
    "Hardmax": hardmax,
    "ReduceSum": lambda x, axes, keepdims=1: x.sum(axes, keepdim=bool(keepdims)),
    "ReduceMean": lambda x, axes, keepdims=1: x.mean(axes, keepdim=bool(keepdims)),
    "ReduceMax": lambda x, axes, keepdims=1: x.amax(axes, keepdim=bool(keepdims)),
    "Reshape": reshaped,
    "Transpose": lambda x, perm: x.permute(perm),
    "Slice": cut,
    "Unsqueeze": with_ones,
    "Squeeze": lambda x, axes: x.squeeze(tuple(axes)),
    "Pad": padded,
    "AveragePool": average_pool,
    "LRN": response,
    "Shape": lambda x, start, end: torch.tensor(x.shape[start:end]),
    "Range": lambda start, end, step: torch.arange(start, int(end), step),
}
"""ONNX's operations in PyTorch, as far as layers without a module of their own use them."""
