"""ONNX's Attention, of queries, keys and values as they are: MultiHeadAttention whose projections keep them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_constants import limited
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import Builder, Host, Layout, Order, Refusal, Value, identity_order

HEADS: Order = (0, 2, 1, 3)
"""(samples, heads, time, features) lies here as (samples, time, heads, features)."""


def attention(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """softmax(scale q k^T) v. Keys and values lie side by side as the memory, cut again by the projections.

    Past keys and values stand before those of now. What a query sees is the same for all samples: causal, a window, a
    constant mask.
    """
    names = [*inputs, *[""] * (7 - len(inputs))]
    refuse(b, names, outputs, a)
    q, k, v = (b.value(name) for name in names[:3])
    hq, hk = heads(a, q, k)
    q, k, v = (rows(b, x, h) for x, h in ((q, hq), (k, hk), (v, hk)))
    past = 0
    if names[4]:
        pk, pv = (rows(b, b.value(name), hk) for name in names[4:6])
        past = pk.shape[1]
        k, v = before(b, pk, k), before(b, pv, v)
    for name, x in zip(outputs[1:3], (k, v), strict=False):
        if name:
            given_heads(b, name, x, hk)
    mask = visible(b, names[3], (q.shape[1], k.shape[1]), past, a)
    made = attended(b, q, k, v, (hq, hk), mask, a.get("scale"))
    if len(b.value(inputs[0]).shape) == 4:
        given_heads(b, outputs[0], made, hq)
    else:
        b.same(outputs[0], made)


def refuse(b: Builder, names: Sequence[str], outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Raise Refusal for what no layer here does."""
    if a.get("softcap", 0.0):
        raise Refusal("scores held below a cap")
    if len(outputs) > 3 and outputs[3] and b.uses.get(outputs[3]):
        raise Refusal("its scores are taken by another node")
    if names[6]:
        raise Refusal("keys that count up to a length of each sample")


def heads(a: dict[str, Any], q: Value, k: Value) -> tuple[int, int]:
    """The number of heads of the queries, and of keys and values."""
    if q.rank == 4:
        return q.shape[1], k.shape[1]
    if q.rank != 3 or k.rank != 3:
        raise Refusal(f"queries of shape {q.shape[1:]} and keys of shape {k.shape[1:]}")
    return int(a["q_num_heads"]), int(a["kv_num_heads"])


def rows(b: Builder, x: Value, h: int) -> Value:
    """(samples, time, heads features)."""
    if x.rank == 3:
        return b.wants(x, identity_order(3))
    x = b.wants(x, HEADS)
    n, _, steps, width = x.shape
    return b.put("", L.Reshape((steps, h * width)), x, (n, steps, h * width), Layout(identity_order(3)))


def given_heads(b: Builder, out: str, x: Value, h: int) -> Value:
    """(samples, heads, time, features) of rows."""
    n, steps, width = x.shape
    return b.put(out, L.Reshape((steps, h, width // h)), x, (n, h, steps, width // h), Layout(HEADS))


def before(b: Builder, past: Value, x: Value) -> Value:
    """The past and then x, in time."""
    (n, then, width), now = past.shape, x.shape[1]
    flat = [
        b.put("", L.Flatten(), one, (n, one.shape[1] * width), Layout(identity_order(2))) for one in (past, x)
    ]
    both = b.put("", L.Concatenate(), flat, (n, (then + now) * width), Layout(identity_order(2)))
    return b.put("", L.Reshape((then + now, width)), both, (n, then + now, width), Layout(identity_order(3)))


def visible(b: Builder, name: str, size: tuple[int, int], past: int, a: dict[str, Any]) -> Host | None:
    """Which keys each query sees, bool (time, steps); None: all. Raises Refusal for numbers added to the scores."""
    place = np.arange(size[0])[:, None] + past - np.arange(size[1])[None, :]
    seen = np.ones(size, bool)
    if a.get("is_causal", 0):
        seen &= place >= 0
    left, right = a.get("left_window_size", -1), a.get("right_window_size", -1)
    if left >= 0:
        seen &= place <= left
    if right >= 0:
        seen &= -place <= right
    if name:
        mask = b.constant(name, "the mask")
        if mask.dtype != bool:
            if not np.all((mask == 0) | np.isneginf(mask)):
                raise Refusal("a mask of numbers that are added to the scores")
            mask = mask == 0
        if any(n != 1 for n in mask.shape[:-2]):
            raise Refusal(f"a mask of shape {mask.shape}, of its own for samples or heads")
        mask = np.pad(mask, [(0, 0)] * (mask.ndim - 1) + [(0, size[1] - mask.shape[-1])])
        seen &= mask.reshape(mask.shape[-2:] if mask.ndim > 1 else mask.shape)
    return None if seen.all() else seen


def masked_settings(mask: Host | None, cross: bool) -> tuple[dict[str, Any], dict[str, Host]]:
    """The settings, and the parameter, that say what each query sees."""
    if mask is None or mask.all():
        return {}, {}
    if not cross and mask.shape[0] == mask.shape[1] and np.array_equal(mask, np.tril(np.ones_like(mask))):
        return {"causal": True}, {}
    return {"attention_mask": tuple("".join(map(str, row)) for row in mask.astype(int))}, {"mask": mask}


def attended(
    b: Builder, q: Value, k: Value, v: Value, count: tuple[int, int], mask: Host | None, scale: float | None,
    real: Value | None = None,
) -> Value:  # fmt: skip
    """The layer, whose projections take the queries, keys and values as they are."""
    (hq, hk), (n, time, width) = count, q.shape
    size, value = width // hq, v.shape[2] // hk
    out = hq * value
    limited(max(width, out, k.shape[2] + v.shape[2]) ** 2)
    if out > width:  # its result is as wide as its queries
        q = b.put(
            "", L.Dense(out), q, (n, time, out), q.layout, {"W": np.eye(width, out), "b": np.zeros(out)}
        )
    wide = k.shape[2] + v.shape[2]
    memory = b.put("", L.Concatenate(), [k, v], (n, k.shape[1], wide), k.layout)
    settings, more = masked_settings(mask, cross=True)
    layer = L.MultiHeadAttention(
        hq, size, cross=True, masked=real is not None, kv_heads=hk, value_size=value, bias=False, **settings
    )
    factor = 1.0 if scale is None else float(scale) * np.sqrt(size)
    parameters = {
        "Wq": factor * np.eye(max(width, out), width),
        "Wk": np.eye(wide, k.shape[2]),
        "Wv": np.eye(wide, v.shape[2], -k.shape[2]),
        "Wo": np.eye(out, max(width, out)),
    }
    given = [q, memory] if real is None else [q, memory, real]
    parameters |= more
    made = b.put("", layer, given, (n, time, max(width, out)), q.layout, parameters)
    if out >= width:
        return made
    cut = {"W": np.eye(width, out), "b": np.zeros(out)}
    return b.put("", L.Dense(out), made, (n, time, out), q.layout, cut)


RULES: dict[str, Rule] = {"Attention": attention}
