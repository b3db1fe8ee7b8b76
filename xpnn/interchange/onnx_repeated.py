"""Heads of keys and values that exporters repeat, one copy for each of the queries that share them.

No copy is made here: a layer of attention has fewer heads of keys than of queries. Until then a mark stands for them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_joined_samples import resolved
from xpnn.interchange.onnx_pending import Scores, mark_of
from xpnn.interchange.onnx_values import Builder, Layout, Refusal, Value, identity_order

EXPANDED, REPEATED, JOINED = (
    "heads with an axis of copies",
    "heads repeated for several queries each",
    "repeated heads, joined with the samples",
)


def expanded(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """(samples, heads, 1, time, features) with copies on the axis of 1."""
    x, sizes = b.values.get(inputs[0]), b.constants.get(inputs[1])
    if x is None or sizes is None or x.rank != 5 or sizes.size != 5 or x.shape[2] != 1:
        return False
    wanted = [int(n) for n in np.ravel(sizes)]
    same = all(n in (1, m) for i, (n, m) in enumerate(zip(wanted, x.shape, strict=True)) if i != 2)
    if not same or wanted[2] < 2 or b.users.get(outputs[0]) != ["Reshape"]:
        return False
    b.marks[outputs[0]] = (EXPANDED, x, wanted[2])
    return True


def repeated(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """The copies put beside each other: (samples, heads copies, time, features); those joined, or taken apart."""
    found, sizes = mark_of(b, inputs[0], EXPANDED), b.constants.get(inputs[1]) if len(inputs) > 1 else None
    for word, other in ((REPEATED, JOINED), (JOINED, REPEATED)):
        whole = mark_of(b, inputs[0], word)
        if whole is not None and sizes is not None:
            n, heads, *inner = shape_of(*whole)
            wanted = (n * heads, *inner) if other == JOINED else (n, heads, *inner)
            if resolved(wanted, [int(k) for k in np.ravel(sizes)], False) != wanted:
                raise Refusal(f"repeated heads of shape {wanted} become {tuple(np.ravel(sizes))}")
            b.marks[outputs[0]] = (other, *whole)
            return True
    if found is None or sizes is None:
        return False
    x, copies = found
    n, heads, _, *inner = x.shape
    wanted = (n, heads * copies, *inner)
    if sizes.size != 4 or any(k not in (m, -1) for k, m in zip(np.ravel(sizes), wanted, strict=True)):
        raise Refusal("copies of heads that are not put beside each other")
    b.marks[outputs[0]] = (REPEATED, b.reshape("", x, (n, heads, *inner), 0), copies)
    return True


def turned(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Features before time."""
    word, axes = b.marks.get(inputs[0], ("",))[0], list(a.get("perm", ()))
    found = mark_of(b, inputs[0], word)
    if found is None or (word, axes) not in ((REPEATED, [0, 1, 3, 2]), (JOINED, [0, 2, 1])):
        return False
    x, copies = found
    x.layout.fix(x.layout.order or identity_order(4))
    perm = (0, 1, 3, 2)
    order = tuple(perm.index(i) for i in x.layout.order or ())
    b.marks[outputs[0]] = (word, Value(x.name, [x.shape[i] for i in perm], Layout(order)), copies)
    return True


def scaled(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Times a number."""
    for one, other in (tuple(inputs), tuple(inputs)[::-1]):
        found, c = mark_of(b, one, REPEATED), b.constants.get(other)
        if found is not None and c is not None and c.size == 1:
            x = b.elementwise("", L.Rescale(float(np.ravel(c)[0])), found[0])
            b.marks[outputs[0]] = (REPEATED, x, found[1])
            return True
    return False


def shape_of(x: Value, copies: int) -> tuple[int, ...]:
    """With the copies: (samples, heads, ...)."""
    return (x.shape[0], x.shape[1] * copies, *x.shape[2:])


def with_repeated_keys(q: Value | None, k: Value, copies: int) -> Scores | None:
    """Scores of queries with them; None where they do not fit."""
    if q is None or q.rank != 4 or q.shape[1] != copies * k.shape[1] or q.shape[-1] != k.shape[-2]:
        return None
    return Scores(q, k, shared=k.shape[1])


STEPS = {"Expand": expanded, "Reshape": repeated, "Transpose": turned, "Mul": scaled}
