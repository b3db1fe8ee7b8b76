"""Nodes of an ONNX graph whose inputs are all constants, computed once when the file is read.

Exporters write sizes so: Shape, Gather, Unsqueeze, Concat, Reshape. Every rule says how large its result will be before
it makes one, so that a small file cannot ask for a large array.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpnn.interchange.onnx_values import Refusal

Host = np.ndarray[Any, Any]
Arrays = Sequence[Any]
MOST = 2**27
"""Numbers in a computed constant."""
BUDGET = 2**28
"""Numbers in all computed constants of a file."""


def limited(size: float) -> None:
    """Raise Refusal for a result of that many numbers."""
    if not 0 <= size <= MOST:
        raise Refusal(f"a constant of {size:,.0f} numbers, at most {MOST:,} are computed")


def axes_of(xs: Arrays, a: dict[str, Any], at: int = 1) -> list[int] | None:
    """The axes: an input since opset 13, an attribute before."""
    if len(xs) > at and xs[at] is not None:
        return [int(n) for n in np.ravel(xs[at])]
    return list(a["axes"]) if "axes" in a else None


def expand_dims(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's Unsqueeze."""
    return np.expand_dims(xs[0], tuple(axes_of(xs, a) or ()))


def squeeze(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's Squeeze."""
    axes = axes_of(xs, a)
    return np.asarray(np.squeeze(xs[0], None if axes is None else tuple(axes)))


def reshape(xs: Arrays, a: dict[str, Any]) -> Host:
    """Reshape; 0 keeps a size."""
    sizes = [int(n) for n in (np.ravel(xs[1]) if len(xs) > 1 else a["shape"])]
    if not a.get("allowzero", 0):
        sizes = [xs[0].shape[i] if n == 0 else n for i, n in enumerate(sizes)]
    return np.asarray(np.reshape(xs[0], sizes))


def concat(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's Concat."""
    limited(sum(x.size for x in xs))
    return np.concatenate(xs, axis=a["axis"])


def gather(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's Gather."""
    axis = a.get("axis", 0)
    limited(xs[0].size // max(1, xs[0].shape[axis]) * xs[1].size)
    return np.asarray(np.take(xs[0], xs[1], axis=axis))


def cut(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's Slice."""
    x = xs[0]
    starts: Any = a.get("starts") if len(xs) < 3 else np.ravel(xs[1])
    ends: Any = a.get("ends") if len(xs) < 3 else np.ravel(xs[2])
    axes = axes_of(xs, a, 3) or list(range(len(starts)))
    steps = np.ravel(xs[4]) if len(xs) > 4 and xs[4] is not None else [1] * len(starts)
    where = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        last = None if int(step) < 0 and int(end) < -x.shape[axis] else int(end)
        where[axis] = slice(int(start), last, int(step))
    return np.asarray(x[tuple(where)])


def filled(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's ConstantOfShape."""
    sizes = [int(n) for n in np.ravel(xs[0])]
    if len(sizes) > 8 or any(n < 0 for n in sizes):
        raise Refusal(f"a constant of the shape {sizes[:9]}")
    limited(math.prod(sizes))
    value = a.get("value", np.zeros(1, np.float32))
    return np.full(sizes, np.ravel(value)[0], value.dtype)


def expand(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's Expand."""
    shape = np.broadcast_shapes(xs[0].shape, tuple(int(n) for n in np.ravel(xs[1])))
    limited(math.prod(shape))
    return np.broadcast_to(xs[0], shape).copy()


def tile(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's Tile."""
    times = [int(n) for n in np.ravel(xs[1])]
    limited(xs[0].size * math.prod(times))
    return np.tile(xs[0], times)


def counted(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's Range."""
    start, stop, step = (np.ravel(x)[0] for x in xs)
    if step == 0:
        raise Refusal("a range in steps of 0")
    limited(max(0.0, math.ceil((float(stop) - float(start)) / float(step))))
    return np.arange(start, stop, step, dtype=xs[0].dtype)


def cast(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's Cast."""
    from xpnn.interchange.onnx_export import onnx_package

    dtype = np.dtype(onnx_package().helper.tensor_dtype_to_np_dtype(a["to"]))
    if dtype.kind == "O":
        raise Refusal("a cast to words")
    return np.asarray(xs[0]).astype(dtype)


def elementwise(f: Callable[..., Any]) -> Callable[[Arrays, dict[str, Any]], Host]:
    """A rule for a function of one or two arrays that broadcast."""

    def rule(xs: Arrays, a: dict[str, Any]) -> Host:
        """f, in the dtype of the first array."""
        limited(math.prod(np.broadcast_shapes(*(np.shape(x) for x in xs))))
        with np.errstate(all="ignore"):
            return np.asarray(f(*xs))

    return rule


def divide(x: Host, y: Host) -> Host:
    """x / y; of whole numbers towards 0."""
    if x.dtype.kind not in "iu":
        return np.asarray(x / y)
    if not np.all(y):
        raise Refusal("a whole number divided by 0")
    return np.asarray(np.trunc(x / y).astype(x.dtype))


def reduced(f: Callable[..., Any]) -> Callable[[Arrays, dict[str, Any]], Host]:
    """A rule for a sum, a product, a mean or the like."""

    def rule(xs: Arrays, a: dict[str, Any]) -> Host:
        """Over the axes, all of them unless given."""
        axes = axes_of(xs, a)
        keep = bool(a.get("keepdims", True))
        return np.asarray(f(xs[0], axis=None if axes is None else tuple(axes), keepdims=keep)).astype(
            xs[0].dtype
        )

    return rule


def multiplied(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's MatMul."""
    rows = xs[0].size // max(1, xs[0].shape[-1])
    columns = xs[1].size // max(1, xs[1].shape[-2 if xs[1].ndim > 1 else 0])
    limited(rows * columns)
    limited(rows * columns * xs[0].shape[-1] / 64)  # its work
    return np.asarray(np.matmul(xs[0], xs[1]))


def triangle(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's Trilu."""
    k = int(np.ravel(xs[1])[0]) if len(xs) > 1 and xs[1] is not None else 0
    return np.asarray(np.triu(xs[0], k) if a.get("upper", True) else np.tril(xs[0], k))


def remainder(xs: Arrays, a: dict[str, Any]) -> Host:
    """Mod; fmod=1: with the sign of the dividend."""
    if xs[0].dtype.kind in "iu" and not np.all(xs[1]):
        raise Refusal("a whole number divided by 0")
    return elementwise(np.fmod if a.get("fmod", 0) else np.mod)(xs, a)


def summed_up(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's CumSum."""
    if a.get("exclusive", 0) or a.get("reverse", 0):
        raise Refusal("a sum from behind, or without the place itself")
    return np.cumsum(xs[0], axis=int(np.ravel(xs[1])[0]), dtype=xs[0].dtype)


def replaced(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's ScatterND."""
    if a.get("reduction", "none") != "none":
        raise Refusal("values that are added to others")
    found = xs[0].copy()
    found[tuple(np.moveaxis(xs[1], -1, 0))] = xs[2]
    return np.asarray(found)


def einsum(xs: Arrays, a: dict[str, Any]) -> Host:
    """Einsum, of letters alone."""
    words = a["equation"].replace(" ", "")
    if not set(words) <= set("abcdefghijklmnopqrstuvwxyz,->"):
        raise Refusal(f"the equation {words[:40]!r}")
    known: dict[str, int] = {}
    for word, x in zip(words.partition("->")[0].split(","), xs, strict=True):
        for letter, n in zip(word, x.shape, strict=True):
            known[letter] = max(n, known.get(letter, 1))
    limited(math.prod(known.values()))
    return np.asarray(np.einsum(words, *xs))


def gather_elements(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's GatherElements."""
    axis = a.get("axis", 0)
    if xs[0].ndim != xs[1].ndim:
        raise Refusal(f"places of shape {xs[1].shape} of an array of shape {xs[0].shape}")
    within = [1 if i == axis % xs[0].ndim else n for i, n in enumerate(xs[0].shape)]
    limited(math.prod(np.broadcast_shapes(xs[1].shape, tuple(within))))
    return np.asarray(np.take_along_axis(xs[0], xs[1], axis))


def gather_nd(xs: Arrays, a: dict[str, Any]) -> Host:
    """ONNX's GatherND."""
    if a.get("batch_dims", 0):
        raise Refusal("places of their own for each part of a batch")
    rest = xs[0].shape[xs[1].shape[-1] :]
    limited(xs[1].size // max(1, xs[1].shape[-1]) * math.prod(rest))
    return np.asarray(xs[0][tuple(np.moveaxis(xs[1], -1, 0))])


RULES: dict[str, Callable[[Arrays, dict[str, Any]], Host]] = {
    "Identity": lambda xs, a: xs[0],
    "Unsqueeze": expand_dims,
    "Squeeze": squeeze,
    "Reshape": reshape,
    "Flatten": lambda xs, a: np.reshape(xs[0], (math.prod(xs[0].shape[: a.get("axis", 1)]), -1)),
    "Transpose": lambda xs, a: np.transpose(xs[0], a.get("perm")),
    "Concat": concat,
    "Gather": gather,
    "Slice": cut,
    "ConstantOfShape": filled,
    "Expand": expand,
    "Tile": tile,
    "Range": counted,
    "Cast": cast,
    "Shape": lambda xs, a: np.array(np.shape(xs[0])[slice(a.get("start"), a.get("end"))], np.int64),
    "Size": lambda xs, a: np.array(np.size(xs[0]), np.int64),
    "Add": elementwise(np.add),
    "Sub": elementwise(np.subtract),
    "Mul": elementwise(np.multiply),
    "Div": elementwise(divide),
    "Pow": elementwise(np.power),
    "Max": elementwise(np.maximum),
    "Min": elementwise(np.minimum),
    "Neg": elementwise(np.negative),
    "Abs": elementwise(np.abs),
    "Sin": elementwise(np.sin),
    "Cos": elementwise(np.cos),
    "Sqrt": elementwise(np.sqrt),
    "Exp": elementwise(np.exp),
    "Log": elementwise(np.log),
    "Reciprocal": elementwise(np.reciprocal),
    "Floor": elementwise(np.floor),
    "Ceil": elementwise(np.ceil),
    "Not": elementwise(np.logical_not),
    "And": elementwise(np.logical_and),
    "Or": elementwise(np.logical_or),
    "Equal": elementwise(np.equal),
    "Greater": elementwise(np.greater),
    "Less": elementwise(np.less),
    "GreaterOrEqual": elementwise(np.greater_equal),
    "LessOrEqual": elementwise(np.less_equal),
    "Xor": elementwise(np.logical_xor),
    "IsNaN": elementwise(np.isnan),
    "Sign": elementwise(np.sign),
    "Round": elementwise(np.round),
    "Mod": remainder,
    "Trilu": triangle,
    "CumSum": summed_up,
    "ScatterND": replaced,
    "GatherND": gather_nd,
    "GatherElements": gather_elements,
    "Einsum": einsum,
    "Where": elementwise(np.where),
    "ReduceSum": reduced(np.sum),
    "ReduceProd": reduced(np.prod),
    "ReduceMean": reduced(np.mean),
    "ReduceMax": reduced(np.max),
    "ReduceMin": reduced(np.min),
    "MatMul": multiplied,
}
