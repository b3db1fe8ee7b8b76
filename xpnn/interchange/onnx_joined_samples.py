"""Samples joined with heads on one axis for a while, as exporters write attention: (samples heads, time, features).

Nothing is computed on such an array but what takes it apart again, so it stays the array it was, under a mark.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn.interchange.onnx_pending import Pending, mark_of
from xpnn.interchange.onnx_pointwise import dense
from xpnn.interchange.onnx_values import Builder, Layout, Refusal, Value, identity_order

JOINED = "samples joined with another axis"
Groups = list[list[int]]
"""For each axis of the joined array, which axes of the value it is made of."""


def reshape(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """A Reshape that joins the samples with another axis, or takes them apart."""
    found, x = mark_of(b, inputs[0], JOINED), b.values.get(inputs[0])
    given = b.constants.get(inputs[1]) if len(inputs) > 1 else a.get("shape")
    pending = b.pending.get(inputs[0])
    if found is not None:
        x = in_order(*found)
    elif isinstance(pending, Pending) and given is not None and len(np.ravel(given)) < len(pending.shape):
        x = b.value(inputs[0])
    if x is None or given is None or x.flat is not None:
        return False
    now = shape_of(*found) if found else x.shape
    shape = resolved(now, [int(n) for n in np.ravel(given)], bool(a.get("allowzero", 0)))
    parts = None if shape is None else common(x.shape, shape)
    if shape is None or parts is None:
        return False
    at = (x.layout.order or (0,))[0]
    groups = grouped(parts, shape)
    samples = boundaries(x.shape)[at], boundaries(x.shape)[at + 1]
    place = next((i for i, pair in enumerate(itertools.pairwise(boundaries(parts))) if pair == samples), None)
    if place is None:
        return False
    if [place] in groups:  # the samples lie on an axis of their own
        if found is not None:
            b.reshape(outputs[0], x, shape, groups.index([place]))
        return found is not None
    b.marks[outputs[0]] = (JOINED, b.reshape("", x, parts, place) if parts != x.shape else x, groups)
    return True


def transpose(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """The axes of the joined array in another order."""
    found = mark_of(b, inputs[0], JOINED)
    if found is None:
        return False
    x, groups = found
    perm = [int(i) for i in a.get("perm", range(len(groups))[::-1])]
    if sorted(perm) != list(range(len(groups))):
        raise Refusal(f"perm={perm} of {len(groups)} axes")
    b.marks[outputs[0]] = (JOINED, x, [groups[i] for i in perm])
    return True


def shape_of(x: Value, groups: Groups) -> tuple[int, ...]:
    """The shape of the joined array."""
    return tuple(math.prod(x.shape[i] for i in group) for group in groups)


def product(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """A Gemm or MatMul with a constant matrix, on the last axis."""
    found, W = mark_of(b, inputs[0], JOINED), b.constants.get(inputs[1])
    bias = b.optional(inputs, 2, "the bias")
    plain = a.get("alpha", 1.0) == a.get("beta", 1.0) == 1.0 and not a.get("transA", 0)
    if found is None or W is None or W.ndim != 2 or not plain:
        return False
    x, (*groups, end) = in_order(*found), found[1]
    if len(end) > 1:
        x = b.reshape(
            "", x, [*x.shape[: -len(end)], W.shape[a.get("transB", 0)]], (x.layout.order or (0,))[0]
        )
    y = dense(b, "", x, W.T if a.get("transB", 0) else W, None if bias is None else np.ravel(bias))
    places = iter(range(x.rank))
    b.marks[outputs[0]] = (JOINED, y, [[next(places) for _ in group] for group in (*groups, end[:1])])
    return True


def in_order(x: Value, groups: Groups) -> Value:
    """The value with its axes in the order of the joined array."""
    perm = [i for group in groups for i in group]
    x.layout.fix(x.layout.order or identity_order(x.rank))
    order = tuple(perm.index(i) for i in x.layout.order or ())
    return Value(x.name, [x.shape[i] for i in perm], Layout(order))


def resolved(old: Sequence[int], wanted: list[int], allowzero: bool) -> tuple[int, ...] | None:
    """The new shape, with 0 and -1 resolved; None where it does not fit."""
    if any(n == 0 and (allowzero or i >= len(old)) for i, n in enumerate(wanted)):
        return None
    found = [old[i] if n == 0 else n for i, n in enumerate(wanted)]
    if found.count(-1) == 1:
        found[found.index(-1)] = math.prod(old) // max(1, -math.prod(found))
    fits = all(n > 0 for n in found) and math.prod(found) == math.prod(old)
    return tuple(found) if fits else None


def boundaries(shape: Sequence[int]) -> list[int]:
    """1, n1, n1 n2, ...."""
    return [1, *itertools.accumulate(shape, int.__mul__)]


def common(old: Sequence[int], new: Sequence[int]) -> tuple[int, ...] | None:
    """The axes that both shapes can be cut into, those of 1 left out; None where there are none."""
    ends = sorted({*boundaries(old), *boundaries(new)})
    if any(b % a for a, b in itertools.pairwise(ends)):
        return None
    return tuple(b // a for a, b in itertools.pairwise(ends))


def grouped(parts: Sequence[int], shape: Sequence[int]) -> Groups:
    """Which of the parts each axis of the shape is made of."""
    starts = boundaries(parts)[:-1]
    return [
        [i for i, n in enumerate(starts) if first <= n < last]
        for first, last in itertools.pairwise(boundaries(shape))
    ]


STEPS = {"Reshape": reshape, "Transpose": transpose, "Gemm": product, "MatMul": product}
