"""Attention written out in ONNX's operations: a product, a mask, a Softmax and a product are one layer here.

Each step leaves a mark, as in `onnx_patterns`. The layer is made where its result is projected, or where something
else takes it. Projections before it become its own.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_attention import HEADS, attended, given_heads, masked_settings, rows
from xpnn.interchange.onnx_compare import mask_of
from xpnn.interchange.onnx_joined_samples import resolved
from xpnn.interchange.onnx_pending import Pending, Scores, mark_of, passed_on
from xpnn.interchange.onnx_projections import Projected, projected
from xpnn.interchange.onnx_repeated import REPEATED, with_repeated_keys
from xpnn.interchange.onnx_values import Builder, Host, Layout, Refusal, Value, axis_of, identity_order

SCORES, WEIGHTS, VISIBLE = "scores of attention", "weights of attention", "several masks"
UNDEFINED = "where weights of attention are not a number"
GROUPED = "queries in a row, of heads that share keys"
HIDDEN = -1e30
"""What is added to a score, or stands for it, where a query may not look; or less."""


def marked(b: Builder, name: str, *, softmax: bool) -> Scores | None:
    """The scores that the result stands for, before or after their Softmax."""
    found = b.marks.get(name, ("", None))[1:]
    one = found[0] if found and isinstance(found[0], Scores) else None
    return one if one is not None and one.softmax == softmax else None


def put(b: Builder, out: str, scores: Scores) -> bool:
    """Leave the mark."""
    b.marks[out] = (WEIGHTS if scores.softmax else SCORES, scores)
    return True


def product(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Queries times keys; weights times values; the result times a matrix."""
    weights = marked(b, inputs[0], softmax=True)
    pending = b.pending.get(inputs[0])
    copies = mark_of(b, inputs[1], REPEATED)
    if weights is not None and copies is not None:
        if not weights.apart or copies[0].shape[1] != weights.shared:
            raise Refusal("values of heads that are shared otherwise than the keys")
    elif weights is not None and weights.apart == bool(weights.shared):
        raise Refusal("weights of heads that share keys, in another order than the values")
    if weights is not None and weights.seen is not None and not (weights.zeroed or weights.seen.any(1).all()):
        raise Refusal("a query that may see no key, and gets a mean of all values")
    if weights is not None and weights.real is not None and not weights.zeroed:
        b.notes.append("a query that may see no key gets 0, not a mean of all values")
    if weights is not None:
        v = copies[0] if copies is not None else b.value(inputs[1])
        apart = copies is not None or not weights.shared
        wait(b, outputs[0], Pending(weights, v, joined=weights.q.rank == 3, apart=apart))
        return True
    if isinstance(pending, Pending) and pending.joined and inputs[1] in b.constants:
        return projecting(b, outputs[0], pending, b.constants[inputs[1]])
    mark = b.marks.get(inputs[0], ("",))
    if mark[0] == GROUPED and inputs[1] in b.values and b.values[inputs[1]].shape[1] == mark[2]:
        return put(b, outputs[0], Scores(mark[1], b.values[inputs[1]], shared=mark[2], apart=False))
    if not all(name in b.values for name in inputs):
        found = None if copies is None else with_repeated_keys(b.values.get(inputs[0]), *copies)
        return found is not None and put(b, outputs[0], found)
    q, k = (b.values[name] for name in inputs)
    if q.rank not in (3, 4) or q.rank != k.rank or q.shape[:-2] != k.shape[:-2] or q.shape[-1] != k.shape[-2]:
        return False
    return put(b, outputs[0], Scores(q, k))


def scaled(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any], *, by: int) -> bool:
    """Scores times a number, or divided by one."""
    found = marked(b, inputs[0], softmax=False)
    c = b.constants.get(inputs[1])
    if found is None or c is None or c.size != 1:
        return False
    return put(b, outputs[0], replace(found, scale=found.scale * float(np.ravel(c)[0]) ** by))


def added(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """A constant of 0 for keys that are seen, and so little for others that they do not count."""
    for one, other in (tuple(inputs), tuple(inputs)[::-1]):
        found, c = marked(b, one, softmax=False), b.constants.get(other)
        if found is not None and c is not None:
            if not np.all((c == 0) | (c < HIDDEN)):
                raise Refusal("a mask of numbers that are added to the scores")
            return put(b, outputs[0], seeing(found, other, c == 0))
    return False


def chosen(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Scores where a mask says so, else next to nothing; and weights, else 0, for queries that see no key."""
    undefined, kept = mark_of(b, inputs[0], UNDEFINED), marked(b, inputs[2], softmax=True)
    if (
        kept is not None
        and undefined is not None
        and undefined[0] is kept
        and not np.any(b.constants.get(inputs[1], 1))
    ):
        return put(b, outputs[0], replace(kept, zeroed=True))
    for name, other, keep in ((inputs[1], inputs[2], True), (inputs[2], inputs[1], False)):
        c, scores = b.constants.get(other), marked(b, name, softmax=False)
        weights = marked(b, name, softmax=True)
        if c is None or c.size != 1:
            continue
        if weights is not None:
            if not keep or np.any(c) or inputs[0] not in weights.names:
                raise Refusal("weights of attention under another mask than the scores")
            return put(b, outputs[0], replace(weights, zeroed=True))
        if scores is not None and np.all(c < HIDDEN):
            found = replace(scores, names=(*scores.names, inputs[0]))
            for one in b.marks.get(inputs[0], (VISIBLE, inputs[0]))[1:]:
                if one in b.constants:
                    found = seeing(found, inputs[0], np.asarray(b.constants[one], bool) == keep)
                elif found.real is not None or not keep:
                    raise Refusal("several masks of the samples, or one of what is hidden")
                else:
                    found = replace(found, real=b.value(one))
            return put(b, outputs[0], found)
    return False


def undefined_of(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Where weights are 0 / 0: those of a query that may see no key."""
    found = marked(b, inputs[0], softmax=True)
    if found is None:
        return False
    b.marks[outputs[0]] = (UNDEFINED, found)
    return True


def seeing(scores: Scores, name: str, seen: Host) -> Scores:
    """With one more mask for all samples. Raises Refusal for one of its own for samples or heads."""
    if scores.shared and not scores.apart:
        raise Refusal("a mask for heads that share keys, all in a row")
    one = seen.reshape(-1, *seen.shape[-2:])[0]
    if not np.array_equal(np.broadcast_to(one, seen.shape), seen):
        raise Refusal(f"a mask of shape {seen.shape}, of its own for samples or heads")
    seen = np.broadcast_to(one, (scores.q.shape[-2], scores.k.shape[-1]))
    both = seen if scores.seen is None else scores.seen & seen
    return replace(scores, seen=both, names=(*scores.names, name))


def both_masks(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Masks that hold together."""
    if not set(b.users.get(outputs[0], ())) <= {"Where", "And"}:
        return False
    b.marks[outputs[0]] = (VISIBLE, *(one for name in inputs for one in b.marks.get(name, ("", name))[1:]))
    return True


def softmax(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Over the keys."""
    found = marked(b, inputs[0], softmax=False)
    if found is None:
        return False
    rank = found.q.rank
    if axis_of(a.get("axis", -1 if b.opset >= 13 else 1), rank) != rank - 1:
        raise Refusal("weights of attention that add up to 1 along another axis than the keys")
    return put(b, outputs[0], replace(found, softmax=True))


def turned(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Heads behind time."""
    found = b.pending.get(inputs[0])
    if not isinstance(found, Pending) or found.turned or found.joined or not found.apart:
        return False
    if list(a.get("perm", ())) != [0, 2, 1, 3]:
        return False
    wait(b, outputs[0], replace(found, turned=True))
    return True


def joined(b: Builder, inputs: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> bool:
    """Heads side by side."""
    if regrouped(b, inputs, outputs):
        return True
    found = b.pending.get(inputs[0])
    if not isinstance(found, Pending):
        return False
    sizes = [int(n) for n in np.ravel(b.constant(inputs[1], "the shape"))] if len(inputs) > 1 else []
    if resolved(found.shape_there, sizes, bool(a.get("allowzero", 0))) == found.shape_there:
        return passed_on(b, inputs[0], outputs[0])
    if not found.turned:
        return False
    fits = len(sizes) == 3 and all(n in (0, -1, m) for n, m in zip(sizes[:2], found.shape, strict=False))
    if not fits or sizes[2] not in (-1, found.shape[2]):
        return False
    wait(b, outputs[0], replace(found, joined=True))
    return True


def regrouped(b: Builder, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
    """Queries, scores, weights or results of heads that share keys: put in a row, or apart again."""
    sizes = b.constants.get(inputs[1]) if len(inputs) > 1 else None
    if sizes is None or sizes.shape != (4,) or sizes[0] != 0 or sizes[2] != -1 or sizes[3] != 0:
        return False
    x, n, pending = b.values.get(inputs[0]), int(sizes[1]), b.pending.get(inputs[0])
    scores = (
        b.marks.get(inputs[0], ("", None))[1]
        if b.marks.get(inputs[0], ("",))[0] in (SCORES, WEIGHTS)
        else None
    )
    if isinstance(pending, Pending) and not pending.apart and n == pending.heads:
        wait(b, outputs[0], replace(pending, apart=True))
        return True
    if (
        isinstance(scores, Scores)
        and scores.shared
        and n == (scores.shared if scores.apart else scores.q.shape[1])
    ):
        return put(b, outputs[0], replace(scores, apart=not scores.apart))
    queries = (
        x is not None and x.rank == 4 and x.layout.order == HEADS and b.users.get(outputs[0]) == ["MatMul"]
    )
    if x is None or not queries or not 0 < n < x.shape[1] or x.shape[1] % n:
        return False
    b.marks[outputs[0]] = (GROUPED, x, n)
    return True


def wait(b: Builder, out: str, pending: Pending) -> None:
    """Make the layer when something takes the result."""
    b.pending[out] = pending
    b.makers[out] = lambda: made(b, out, pending)


def made(b: Builder, out: str, one: Pending) -> None:
    """The layer with a result as it is, in the layout that was asked for."""
    s, h = one.scores, one.heads
    if not one.apart:
        raise Refusal("results of heads that share keys, all in a row")
    q, k, v = in_rows(b, one)
    y = attended(b, q, k, v, (h, s.shared or h), s.seen, s.scale, counting(b, s))
    if one.joined:
        b.same(out, y)
        return
    heads = given_heads(b, "" if one.turned else out, y, h)
    if one.turned:
        shape = [heads.shape[i] for i in HEADS]
        b.same(out, Value(heads.name, shape, Layout(identity_order(4))))


def in_rows(b: Builder, one: Pending) -> list[Value]:
    """Queries, keys and values as (samples, time, heads features)."""
    k = one.scores.k
    k.layout.fix(k.layout.order or identity_order(k.rank))
    perm = [*range(k.rank - 2), k.rank - 1, k.rank - 2]
    order = tuple(perm.index(i) for i in k.layout.order or ())
    upright = Value(k.name, [k.shape[i] for i in perm], Layout(order))
    shared = one.scores.shared or one.heads
    return [rows(b, x, h) for x, h in ((one.scores.q, one.heads), (upright, shared), (one.v, shared))]


def counting(b: Builder, scores: Scores) -> Value | None:
    """(samples, steps), or (samples, time, steps): which keys count."""
    x = scores.real
    if x is None:
        return None
    return mask_of(b, x, x.shape[-1:] if x.rank < 3 or x.shape[-2] == 1 else x.shape[-2:])


def projecting(b: Builder, out: str, one: Pending, W: Host) -> bool:
    """The whole layer, with projections before and behind. False where it is no such layer."""
    s = one.scores
    found = projected(b, in_rows(b, one), (one.heads, s.shared or one.heads))
    if found is None or W.ndim != 2 or W.shape != (one.shape[2], found.x.shape[2]):
        return False
    put_layer(b, out, one, found, s, W)
    return True


def put_layer(b: Builder, out: str, one: Pending, found: Projected, s: Scores, W: Host) -> None:
    """MultiHeadAttention, with a factor of the scores other than 1 / sqrt(size) taken into Wq."""
    h, size, value = one.heads, one.scores.q.shape[-1], one.v.shape[-1]
    factor, real, parameters = s.scale * np.sqrt(size), counting(b, s), dict(found.parameters)
    for key in ("Wq", "bq"):
        if key in parameters:
            parameters[key] = parameters[key] * factor
    biased = "bq" in parameters
    settings, more = masked_settings(s.seen, found.cross)
    layer = L.MultiHeadAttention(
        h, size, cross=found.cross, masked=real is not None, bias=biased,
        value_size=None if value == size else value, kv_heads=s.shared or None,
        rotary=found.rotary, rotary_base=found.base, **settings,
    )  # fmt: skip
    parameters |= {"Wo": W, **more} | ({"bo": np.zeros(W.shape[1])} if biased else {})
    xs = [found.x, *([found.memory] if found.cross else []), *([real] if real is not None else [])]
    b.put(out, layer, xs if len(xs) > 1 else xs[0], found.x.shape, found.x.layout, parameters)


STEPS = {
    "MatMul": product,
    "Mul": lambda b, inputs, outputs, a: scaled(b, inputs, outputs, a, by=1),
    "Div": lambda b, inputs, outputs, a: scaled(b, inputs, outputs, a, by=-1),
    "Add": added,
    "Where": chosen,
    "And": both_masks,
    "Softmax": softmax,
    "IsNaN": undefined_of,
    "Transpose": turned,
    "Reshape": joined,
}
