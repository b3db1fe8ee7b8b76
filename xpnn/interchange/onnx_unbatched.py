"""Nodes of an ONNX graph without an axis of samples, as those of one with it in front of every array."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from xpnn.interchange.onnx_values import Builder, axis_of, identity_order

Attributes = dict[str, Any]
AXIS = {
    "Softmax": -1, "LogSoftmax": -1, "Hardmax": -1, "LayerNormalization": -1, "RMSNormalization": -1,
    "LpNormalization": -1, "Concat": 1, "Split": 0, "Gather": 0,
}  # fmt: skip
"""Operations along one axis, and which it is unless they say."""
AXES = {
    "Squeeze": 1,
    "Unsqueeze": 1,
    "ReduceMean": 1,
    "ReduceMax": 1,
    "ReduceMin": 1,
    "ReduceSum": 1,
    "Slice": 3,
}
"""Operations along several, and which input says so since they are no attribute."""


def with_samples(
    b: Builder, kind: str, inputs: Sequence[str], a: Attributes
) -> tuple[str, list[str], Attributes]:
    """The same operation on arrays with one more axis in front: its kind, inputs and attributes."""
    inputs, a, x = list(inputs), dict(a), next((b.values[name] for name in inputs if name in b.values), None)
    if x is None:
        return kind, inputs, a
    rank = x.rank - 1
    if kind in AXIS:
        default = 1 if kind in ("Softmax", "LogSoftmax", "Hardmax") and b.opset < 13 else AXIS[kind]
        a["axis"] = behind_samples([a.get("axis", default)])[0]
    elif kind in AXES:
        axes_moved(b, kind, inputs, a, rank)
    elif kind == "Transpose":
        a["perm"] = [0, *(int(i) + 1 for i in a.get("perm", identity_order(rank)[::-1]))]
    elif kind == "Flatten":
        at = axis_of(a.get("axis", 1), rank) if a.get("axis", 1) != rank else rank
        both = math.prod(x.shape[1 : at + 1]), math.prod(x.shape[at + 1 :])
        kind, inputs, a = "Reshape", [inputs[0], constant(b, "shape", [x.shape[0], *both])], {}
    elif kind == "Reshape":
        sizes = np.ravel(b.constant(inputs[1], "the shape")) if len(inputs) > 1 else a.pop("shape")
        if not a.get("allowzero", 0):
            sizes = [x.shape[i + 1] if n == 0 and i < rank else n for i, n in enumerate(sizes)]
        inputs = [inputs[0], constant(b, "shape", [x.shape[0], *sizes])]
    elif kind == "MeanVarianceNormalization":
        a["axes"] = behind_samples(a.get("axes", (0, 2, 3)))
    elif kind == "Pad":
        padded(b, inputs, a, rank)
    return kind, inputs, a


def behind_samples(axes: Iterable[Any]) -> list[int]:
    """Axes counted from the end stay, the others stand one further."""
    return [int(n) + (int(n) >= 0) for n in axes]


def constant(b: Builder, what: str, numbers: Sequence[Any]) -> str:
    """The name of a new constant."""
    name = f"{what} {len(b.constants)} with samples"
    b.constants[name] = np.array([int(n) for n in numbers], np.int64)
    return name


def axes_moved(b: Builder, kind: str, inputs: list[str], a: Attributes, rank: int) -> None:
    """The axes, given or all of them; those of a Slice are as many as its starts."""
    at = AXES[kind]
    given = b.optional(inputs, at, "the axes")
    axes = a.pop("axes", None) if given is None else np.ravel(given)
    if axes is None and kind == "Squeeze":
        return
    if axes is None and kind == "Slice":
        starts = a["starts"] if len(inputs) < 3 else np.ravel(b.constant(inputs[1], "the starts"))
        axes = range(len(starts))
    if axes is None or (kind.startswith("Reduce") and not len(axes)):
        if a.get("noop_with_empty_axes", 0):
            return
        axes = range(rank)
    if given is None and (len(inputs) <= at and kind in ("Squeeze", "Unsqueeze", "Slice") and b.opset < 13):
        a["axes"] = behind_samples(axes)
        return
    inputs += [""] * (at + 1 - len(inputs))
    inputs[at] = constant(b, "axes", behind_samples(axes))


def padded(b: Builder, inputs: list[str], a: Attributes, rank: int) -> None:
    """No pads before and behind the samples."""
    if b.optional(inputs, 3, "the axes") is not None:
        inputs[3] = constant(b, "axes", behind_samples(np.ravel(b.constants[inputs[3]])))
        return
    given = b.optional(inputs, 1, "the pads")
    pads = list(a.pop("pads", ()) if given is None else np.ravel(given))
    inputs += [""] * (2 - len(inputs))
    inputs[1] = constant(b, "pads", [0, *pads[:rank], 0, *pads[rank:]])
