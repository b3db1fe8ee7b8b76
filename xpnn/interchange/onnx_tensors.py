"""ONNX's operations that cut, reduce and normalize along axes, and constants with numbers along several, as layers."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_compare import mask_of
from xpnn.interchange.onnx_constants import limited
from xpnn.interchange.onnx_images import global_pool
from xpnn.interchange.onnx_pointwise import Inputs, Rule, sample_shape, softmax
from xpnn.interchange.onnx_values import (
    Builder,
    Host,
    Layout,
    Order,
    Refusal,
    Value,
    axis_of,
    chained,
    channels_last,
    has_windows,
    identity_order,
    last,
)


def order_of(b: Builder, x: Value) -> Order:
    """The order of x's axes here, that of the samples first; images before a convolution have channels last.

    Raises Refusal for flattened images.
    """
    if x.flat is not None:
        raise Refusal("flattened images are cut or reduced along axes")
    if x.layout.order is None:
        x.layout.fix(channels_last(4) if x.rank == 4 and has_windows(b) else identity_order(x.rank))
    return x.layout.order or ()


def numbers(b: Builder, inputs: Inputs, i: int, a: dict[str, Any], word: str) -> list[int] | None:
    """A list of whole numbers that is an input, or an attribute in older opsets; None where it is left out."""
    given = b.optional(inputs, i, f"its {word}")
    found = a.get(word) if given is None else np.ravel(given)
    return None if found is None else [int(n) for n in found]


def part(b: Builder, out: str, x: Value, axis: int, places: range) -> Value:
    """Slice those places of one axis."""
    stop = places[-1] + places.step
    layer = L.Slice(places[0], stop if stop >= 0 else None, places.step, order_of(b, x).index(axis))
    shape = [len(places) if i == axis else n for i, n in enumerate(x.shape)]
    return b.put(out, layer, x, shape, Layout(order_of(b, x)))


def of_one_sample(c: Host, at: int) -> Host:
    """A constant that exporters have repeated for every sample, with 1 on that axis; else as it is."""
    one = c.take([0], at)
    return one if np.array_equal(np.broadcast_to(one, c.shape), c) else c


def picked(b: Builder, out: str, x: Value, places: Host, axis: int) -> None:
    """One place of an axis, which is gone then; or several that lie evenly apart."""
    order, axis = order_of(b, x), axis_of(axis, x.rank)
    n = x.shape[axis]
    if axis == order[0]:
        raise Refusal(f"axis {axis} is that of the samples")
    if places.size > n:
        raise Refusal(f"{places.size:,} places of an axis of {n}")
    found = [int(i) for i in np.ravel(places)]
    if places.ndim > 1 or not all(-n <= i < n for i in found) or not found:
        raise Refusal(f"places {found[:4]} of an axis of {n}")
    found = [i % n for i in found]
    steps = {following - place for place, following in itertools.pairwise(found)} or {1}
    if len(steps) > 1 or 0 in steps:
        raise Refusal("places that do not lie evenly apart")
    (step,) = steps
    evenly = range(found[0], found[-1] + step, step)
    if evenly != range(n):
        x = part(b, "", x, axis, evenly)
    if places.ndim == 0:
        left = [i for i in range(x.rank) if i != axis]
        b.reshape(out, x, [x.shape[i] for i in left], left.index(order[0]))
    else:
        b.same(out, x)


def one_state(b: Builder, out: str, states: Sequence[Value], place: Host, axis: int) -> None:
    """The last state of one layer or direction, of many side by side on the first axis."""
    each = [(x, i) for x in states for i in range(x.shape[0])]
    if axis or place.size != 1 or not -len(each) <= int(np.ravel(place)[0]) < len(each):
        raise Refusal("states of several directions or layers, taken otherwise than one of them")
    x, i = each[int(np.ravel(place)[0])]
    picked(b, out, x, np.full(place.shape, i), 0)


def slice_(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """One Slice for each axis that is cut."""
    x = b.value(inputs[0])
    starts, ends = numbers(b, inputs, 1, a, "starts") or [], numbers(b, inputs, 2, a, "ends") or []
    axes = numbers(b, inputs, 3, a, "axes") or list(range(len(starts)))
    steps = numbers(b, inputs, 4, a, "steps") or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        at = axis_of(axis, x.rank)
        if step == 0:
            raise Refusal("steps of 0")
        n = x.shape[at]
        places = range(*slice(start, end, step).indices(n))
        if places == range(n):
            continue
        if at == order_of(b, x)[0] or not len(places):
            raise Refusal("nothing is left" if not len(places) else "samples are left out")
        x = part(b, "", x, at, places)
    b.same(outputs[0], x)


def split(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """One Slice for each part."""
    x = b.value(inputs[0])
    axis = axis_of(a.get("axis", 0), x.rank)
    if axis == order_of(b, x)[0]:
        raise Refusal(f"axis {axis} is that of the samples")
    sizes, n = numbers(b, inputs, 1, a, "split"), x.shape[axis]
    if sizes is None:
        size = -(-n // len(outputs))
        sizes = [min(size, n - size * i) for i in range(len(outputs))]
    if sum(sizes) != n or min(sizes) < 1 or len(sizes) != len(outputs):
        raise Refusal(f"an axis of {n} cut into {sizes}")
    for out, (start, stop) in zip(
        outputs, itertools.pairwise([0, *itertools.accumulate(sizes)]), strict=True
    ):
        part(b, out, x, axis, range(start, stop))


def reduced(layer: Callable[..., L.Layer], pool: Rule | None = None, *, negated: bool = False) -> Rule:
    """A rule for a reduction. pool: the rule for all axes but that of the channels. negated: -layer(-x)."""

    def rule(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
        """Over the same axes, where they lie here."""
        x = b.value(inputs[0])
        found, keep = numbers(b, inputs, 1, a, "axes"), bool(a.get("keepdims", True))
        if not found and a.get("noop_with_empty_axes", 0):
            b.same(outputs[0], x)
            return
        axes = {axis_of(n, x.rank) for n in found} if found else set(range(x.rank))
        others = [i for i in range(1, x.rank) if i not in axes]
        if pool is not None and 0 not in axes and is_channel(b, x, others):
            pool(b, inputs, outputs, a)
            return
        if layer is L.ReduceMax and not negated and not keep and maxout(b, outputs[0], x, axes):
            return
        order = order_of(b, x)
        if order[0] in axes:
            raise Refusal("over the axis of the samples")
        shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes]
        left = [i for i in order if keep or i not in axes]
        made = tuple(sorted(left).index(i) for i in left)
        one = layer(tuple(sorted(order.index(i) for i in axes)), keep)
        whole = chained(L.Rescale(-1.0), one, L.Rescale(-1.0)) if negated else one
        b.put(outputs[0], whole, x, shape, Layout(made))

    return rule


def maxout(b: Builder, out: str, x: Value, axes: set[int]) -> bool:
    """Maxout, where x is a Dense cut into pieces on the last axis and reduced over it; False for anything else."""
    cut, product = b.node(x.name)
    dense, given = b.node(product)
    if axes != {x.rank - 1} or not isinstance(cut, L.Reshape) or not isinstance(dense, L.Dense):
        return False
    source = next((b.values[n] for n in b.names_of.get(given, ()) if n in b.values), None)
    shape, units, pieces = x.shape[:-1], *x.shape[-2:]
    if source is None or dense.units != units * pieces or shape[:-1] != source.shape[:-1]:
        return False
    found = {
        key: b.parameters[f"{product}.{key}"] for key in ("W", "b") if f"{product}.{key}" in b.parameters
    }
    b.put(
        out,
        L.Maxout(units, pieces, bias=dense.bias),
        source,
        shape,
        Layout(identity_order(x.rank - 1)),
        found,
    )
    return True


def is_channel(b: Builder, x: Value, axes: list[int]) -> bool:
    """Whether those axes are the channels' alone, which lie last here or may."""
    order = x.layout.order
    if len(axes) != 1 or order is None:
        return (axes == [1] and (x.rank == 4 or has_windows(b))) or axes == [x.rank - 1]
    return order == last(x.rank, axes[0])


def masked_mean(b: Builder, out: str, total: Value, count: Value) -> bool:
    """MaskedMean, where sum(x mask) is divided by sum(mask), held above 1, over time: False for other quotients."""
    (above, weighted), (floor, counted) = b.node(total.name), b.node(count.name)
    if not isinstance(above, L.ReduceSum) or not isinstance(floor, L.Clip):
        return False
    (below, weight), (product, parts) = b.node(counted), b.node(weighted)
    over_time = above == below == L.ReduceSum((1,)) and floor == L.Clip(1.0, None)
    if not over_time or not isinstance(product, L.Multiply) or len(parts) != 2 or parts[1] != weight:
        return False
    x, w = (next((b.values[n] for n in b.names_of.get(name, ()) if n in b.values), None) for name in parts)
    if x is None or w is None:
        return False
    steps = w.shape[order_of(b, w)[1]]
    mask = mask_of(b, w, (steps,))
    b.put(out, L.MaskedMean(), [x, mask], total.shape, total.layout)
    return True


def lp_normalization(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """x / |x|_p, zeros where that is 0."""
    x = b.value(inputs[0])
    axis = axis_of(a.get("axis", -1), x.rank)
    if axis == order_of(b, x)[0]:
        raise Refusal(f"axis {axis} is that of the samples")
    b.elementwise(outputs[0], L.LpNormalize(int(a.get("p", 2)), order_of(b, x).index(axis)), x)


def along_several(b: Builder, out: str, x: Value, scale: Host, shift: Host) -> None:
    """scale x + shift, with numbers along any axes but that of the samples: Scale and Offset."""
    order = order_of(b, x)
    shape = (1,) * (x.rank - scale.ndim) + scale.shape
    fits = all(n in (1, m) for n, m in zip(shape, x.shape, strict=False))
    if len(shape) != x.rank or not fits or shape[order[0]] != 1:
        raise Refusal(f"a constant of shape {scale.shape} beside samples of shape {sample_shape(x)}")
    axes = tuple(i for i, at in enumerate(order) if i and shape[at] > 1)
    steps: list[tuple[L.Layer, Host]] = []
    if np.any(scale != 1):
        steps.append((L.Scale(axes), scale))
    if np.any(shift) or not steps:
        steps.append((L.Offset(axes), shift))
    for i, (layer, c) in enumerate(steps):
        c = c.reshape(shape).transpose(order)[0]
        x = b.elementwise(out if i == len(steps) - 1 else "", layer, x, {"c": c})


def beside_constants(b: Builder, out: str, x: Value, ends: Sequence[Sequence[Host]], axis: int) -> None:
    """Constants before and behind x on one axis, such as the token of a class: room for them, and a sum."""
    order, axis = order_of(b, x), axis_of(axis, x.rank)
    if axis == order[0]:
        raise Refusal(f"axis {axis} is that of the samples")
    pads, parts = [], []
    for constants in ends:
        found = [of_one_sample(c, order[0]) for c in constants]
        for c in found:
            if c.ndim != x.rank or any(
                n != (1 if i == order[0] else x.shape[i]) for i, n in enumerate(c.shape) if i != axis
            ):
                raise Refusal(f"a constant of shape {c.shape} beside samples of shape {sample_shape(x)}")
        parts.append(found)
        pads.append(sum(c.shape[axis] for c in found))
    limited(math.prod(n for i, n in enumerate(x.shape) if i != order[0]))
    zeros = np.zeros([1 if i == order[0] else n for i, n in enumerate(x.shape)])
    shift = np.concatenate([*parts[0], zeros, *parts[1]], axis=axis)
    layer = L.Pad(tuple((pads[0], pads[1]) if i == axis else (0, 0) for i in order[1:]))
    shape = [n + (sum(pads) if i == axis else 0) for i, n in enumerate(x.shape)]
    padded = b.put("", layer, x, shape, Layout(order))
    along_several(b, out, padded, np.ones_like(shift), shift)


RULES: dict[str, Rule] = {
    "Slice": slice_,
    "Split": split,
    "ReduceSum": reduced(L.ReduceSum),
    "ReduceMean": reduced(L.ReduceMean, global_pool(L.GlobalAveragePool, "ReduceMean")),
    "ReduceMax": reduced(L.ReduceMax, global_pool(L.GlobalMaxPool, "ReduceMax")),
    "ReduceMin": reduced(L.ReduceMax, negated=True),
    "Hardmax": softmax(L.Hardmax),
    "LpNormalization": lp_normalization,
}
