"""ONNX's operations that move, join or look up values as layers."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.initializers import Sinusoidal
from xpnn.interchange.onnx_patterns import into_norm
from xpnn.interchange.onnx_pending import mark_of
from xpnn.interchange.onnx_pointwise import Inputs, Rule, along, one_axis, scale_and_shift
from xpnn.interchange.onnx_rotary import rotation
from xpnn.interchange.onnx_sequences import STATES
from xpnn.interchange.onnx_tensors import (
    along_several,
    beside_constants,
    masked_mean,
    of_one_sample,
    one_state,
    picked,
)
from xpnn.interchange.onnx_values import (
    WINDOWED,
    Builder,
    Host,
    Layout,
    Refusal,
    Value,
    axis_of,
    chained,
    channels_last,
    identity_order,
    last,
)


def flatten(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """ONNX's Flatten as a layer."""
    x = b.value(inputs[0])
    if axis_of(a.get("axis", 1), x.rank) != 1:
        raise Refusal(f"axis {a['axis']}, which moves the axis of the samples")
    b.flatten(outputs[0], x)


def reshape(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """ONNX's Reshape as a layer."""
    x = b.value(inputs[0])
    given = b.optional(inputs, 1, "the shape")
    sizes = [int(n) for n in (a.get("shape", ()) if given is None else np.ravel(given))]
    if not a.get("allowzero", 0):
        if any(n == 0 and i >= x.rank for i, n in enumerate(sizes)):
            raise Refusal(f"a shape of {sizes} for samples of shape {x.shape[1:]}")
        sizes = [x.shape[i] if n == 0 else n for i, n in enumerate(sizes)]
    if sizes.count(-1) == 1:
        rest = int(np.prod([n for n in sizes if n != -1], dtype=object))
        total = int(np.prod(x.shape, dtype=object))
        if rest <= 0 or total % rest:
            raise Refusal(f"a shape of {sizes} for samples of shape {x.shape[1:]}")
        sizes[sizes.index(-1)] = total // rest
    if any(n < 0 for n in sizes):
        raise Refusal(f"a shape of {sizes}")
    b.reshape(outputs[0], x, sizes)


def squeeze(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """ONNX's Squeeze as a layer."""
    x = b.value(inputs[0])
    given = b.optional(inputs, 1, "the axes")
    axes = a.get("axes") if given is None else [int(n) for n in np.ravel(given)]
    axes = (
        [i for i, n in enumerate(x.shape) if n == 1] if axes is None else [axis_of(n, x.rank) for n in axes]
    )
    at = (x.layout.order or (0,))[0]
    if at in axes or any(x.shape[i] != 1 for i in axes):
        raise Refusal(f"the axes {axes} of {x.shape}, among them that of the samples or one that is not 1")
    left = [i for i in range(x.rank) if i not in axes]
    b.reshape(outputs[0], x, [x.shape[i] for i in left], left.index(at))


def unsqueeze(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """ONNX's Unsqueeze as a layer."""
    x = b.value(inputs[0])
    given = b.optional(inputs, 1, "the axes")
    axes = a.get("axes", ()) if given is None else [int(n) for n in np.ravel(given)]
    axes = sorted(axis_of(n, x.rank + len(axes)) for n in axes)
    if x.layout.order is None and x.rank == 3 and WINDOWED & set(b.users.get(outputs[0], ())):
        x.layout.fix(channels_last(3))
    sizes, at = list(x.shape), (x.layout.order or (0,))[0]
    for n in axes:
        sizes.insert(n, 1)
        at += n <= at
    b.reshape(outputs[0], x, sizes, at)


def transpose(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """The array stays as it is; what its axes are called changes."""
    x = b.value(inputs[0])
    perm = [int(i) for i in a.get("perm", range(x.rank)[::-1])]
    if sorted(perm) != list(range(x.rank)):
        raise Refusal(f"perm={perm} of {x.rank} axes")
    if x.flat is not None:
        raise Refusal("flattened images are transposed")
    if x.layout.order is None:
        x.layout.fix(identity_order(x.rank))
    order = tuple(perm.index(i) for i in x.layout.order or ())
    b.same(outputs[0], Value(x.name, [x.shape[i] for i in perm], Layout(order)))


def joined(b: Builder, inputs: Inputs, what: str, *, broadcasts: bool = False) -> list[Value]:
    """Values of one shape, in one layout. broadcasts: some may have axes of 1 where others have more."""
    found = [b.value(name) for name in inputs]
    sizes = [set(one) - {1} for one in itertools.zip_longest(*(x.shape for x in found), fillvalue=0)]
    at = (found[0].layout.order or (0,))[0]
    fits = all(len(one) <= 1 for one in sizes) and len({x.shape[at] for x in found}) == 1
    if len({x.shape for x in found}) > 1 and not (broadcasts and fits):
        raise Refusal(f"{what} of the shapes {[x.shape[1:] for x in found][:4]}, which broadcasts")
    for i, x in enumerate(found[1:], 1):
        if (x.flat is None) != (found[0].flat is None) or (
            x.flat is not None and (x.flat != found[0].flat).any()
        ):
            raise Refusal("flattened images meet other values")
        if None not in (first := found[0].layout.order, x.layout.order) and first != x.layout.order:
            found[i] = b.wants(x, first or ())
        else:
            found[0].layout.join(x.layout)
    return found


def arithmetic(kind: str) -> Rule:
    """A rule for Add, Sub, Mul, Div, Sum or Mean: of values, or of a value and a constant."""

    def rule(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
        """Of values of one shape; of a constant that is one number, or one for each feature of an axis."""
        known = [name for name in inputs if name in b.constants]
        if known and len(inputs) == 2:
            x = b.value(next(name for name in inputs if name not in b.constants))
            with_constant(b, kind, outputs[0], x, b.constants[known[0]], inputs[0] in b.constants, a)
            return
        if kind == "Div" and masked_mean(b, outputs[0], *map(b.value, inputs)):
            return
        if kind == "Add" and len(inputs) == 2 and rotation(b, outputs[0], *map(b.value, inputs)):
            return
        if a.get("broadcast") or kind == "Div":
            raise Refusal("values that broadcast" if kind != "Div" else "one value divided by another")
        found = joined(b, inputs, kind, broadcasts=True)
        x = found[0]
        if len(found) == 1:
            b.same(outputs[0], x)
            return
        layer = {"Mul": L.Multiply(), "Mean": L.Average(), "Sub": L.Subtract()}.get(kind, L.Add())
        shape = [max(sizes) for sizes in zip(*(one.shape for one in found), strict=True)]
        b.put(outputs[0], layer, found, shape, x.layout, flat=x.flat)

    return rule


def with_constant(b: Builder, kind: str, out: str, x: Value, c: Host, first: bool, a: dict[str, Any]) -> None:
    """scale x + shift. first: the constant stands on the left."""
    if kind == "Div" and first:
        raise Refusal("a constant divided by a value")
    if kind == "Div" and not np.all(c):
        raise Refusal("a value divided by 0")
    c = np.asarray(c, np.float64)
    more = c.ndim - x.rank
    if more > 0:
        x = b.reshape("", x, (1,) * more + x.shape, more + (x.layout.order or (0,))[0])
    if c.ndim == x.rank:
        c = of_one_sample(c, (x.layout.order or (0,))[0])
    if a.get("broadcast") and "axis" in a:
        c = c.reshape(*(1,) * a["axis"], *c.shape, *(1,) * (x.rank - a["axis"] - c.ndim))
    scale = (
        c
        if kind == "Mul"
        else 1 / c
        if kind == "Div"
        else np.full(c.shape, -1.0 if kind == "Sub" and first else 1.0)
    )
    shift = np.zeros(c.shape) if kind in ("Mul", "Div") else -c if kind == "Sub" and not first else c
    if kind == "Mean":
        scale, shift = scale / 2, shift / 2
    if c.size == 1:
        if x.shape[-1] == 1 and bias_of_dense(b, out, x, x.rank - 1, shift, kind):
            return
        b.elementwise(out, L.Rescale(float(np.ravel(scale)[0]), float(np.ravel(shift)[0])), x)
        return
    if c.ndim == x.rank - 1 and c.shape == x.shape[1:] and x.rank == 3 and kind == "Add" and x.flat is None:
        x = b.wants(x, identity_order(3))
        waves = Sinusoidal()(np.random.default_rng(0), c.shape)
        fixed = np.allclose(c, waves, rtol=0, atol=1e-6 * c.shape[0] ** 0.5)
        layer = L.PositionalEncoding("sinusoidal" if fixed else "learned")
        b.put(out, layer, x, x.shape, x.layout, {} if fixed and any(b.opened.values()) else {"P": c})
        return
    busy = [n for n in c.shape if n > 1]
    if len(busy) > 1 and x.flat is None:
        along_several(b, out, x, scale, shift)
        return
    axis = one_axis(x, c)
    if bias_of_dense(b, out, x, axis, shift, kind):
        return
    if x.flat is None and x.layout.order not in (None, last(x.rank, axis)):
        along_several(b, out, x, scale, shift)
        return
    if into_norm(b, out, x, axis, scale, shift):
        return
    scale, shift = along(b, x, axis, scale), along(b, x, axis, shift)
    scale_and_shift(b, out, x, scale, shift, x.flat)


def bias_of_dense(b: Builder, out: str, x: Value, axis: int, shift: Host, kind: str) -> bool:
    """Give the layer that has just made x the constant as its bias: a product and a sum are one layer here."""
    if kind != "Add" or axis != x.rank - 1 or not b.nodes:
        return False
    name, layer, given = b.nodes[-1]
    if name != x.name or not isinstance(layer, L.Dense | L.MultiHeadAttention) or not b.used_once(x):
        return False
    key = "b" if isinstance(layer, L.Dense) else "bo"
    b.parameters[f"{name}.{key}"] = b.parameters.get(f"{name}.{key}", 0.0) + shift.reshape(-1)
    for word in "" if key == "b" else "qv":
        none = np.zeros(b.parameters[f"{name}.W{word}"].shape[1])
        b.parameters.setdefault(f"{name}.b{word}", none)
    b.nodes[-1] = name, replace(layer, bias=True), given
    b.taken_in(out, x)
    return True


def extreme(*, largest: bool) -> Rule:
    """A rule for Max or Min: a + relu(b - a), or a - relu(a - b)."""

    def rule(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
        """From left to right."""
        found = joined(b, inputs, "Max" if largest else "Min")
        so_far = found[0]
        for x in found[1:]:
            less = b.elementwise("", L.Rescale(-1.0), so_far)
            more = b.put("", L.Add(), [x, less], x.shape, x.layout, flat=x.flat)
            kept = chained(L.ReLU()) if largest else chained(L.Rescale(-1.0), L.ReLU(), L.Rescale(-1.0))
            more = b.elementwise("", kept, more)
            so_far = b.put("", L.Add(), [so_far, more], x.shape, x.layout, flat=x.flat)
        b.same(outputs[0], so_far)

    return rule


def concat(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Side by side on one axis, which becomes the last."""
    known = [name in b.constants for name in inputs]
    if any(known) and not all(known):
        first, end = known.index(False), len(known) - known[::-1].index(False)
        if any(known[first:end]):
            raise Refusal("a constant stands between values that are put side by side")
        whole = f"{outputs[0]} without constants" if end - first > 1 else inputs[first]
        if end - first > 1:
            concat(b, inputs[first:end], [whole], a)
        ends = [[b.constants[name] for name in part] for part in (inputs[:first], inputs[end:])]
        beside_constants(b, outputs[0], b.value(whole), ends, a.get("axis", 1))
        return
    found = [b.value(name) for name in inputs]
    rank = found[0].rank
    axis = axis_of(a.get("axis", 1), rank)
    if axis == 0 and all(x.layout.order == (1, 0, 2) for x in found):  # the states of two directions
        b.marks[outputs[0]] = (STATES, *found)
        return
    if axis == 0:
        raise Refusal("axis 0 is that of the samples")
    shape = list(found[0].shape)
    for x in found:
        if x.rank != rank or [n for i, n in enumerate(x.shape) if i != axis] != [
            n for i, n in enumerate(shape) if i != axis
        ]:
            raise Refusal(f"values of the shapes {[one.shape[1:] for one in found][:4]}")
    shape[axis] = sum(x.shape[axis] for x in found)
    flat = None
    if any(x.flat is not None for x in found):
        starts = np.cumsum([0, *(x.shape[1] for x in found)])
        parts = [np.arange(x.shape[1]) if x.flat is None else x.flat for x in found]
        flat = np.concatenate([part + start for part, start in zip(parts, starts, strict=False)])
    else:
        found = [b.wants(x, last(rank, axis)) for x in found]
    b.put(outputs[0], L.Concatenate(), found, shape, Layout(last(rank, axis)), flat=flat)


def gather(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """Slices of a constant array: rows of an Embedding, each as long as a slice. Of values: places of one axis."""
    states = mark_of(b, inputs[0], STATES)
    if states is not None and inputs[1] in b.constants:
        one_state(b, outputs[0], states, b.constants[inputs[1]], a.get("axis", 0))
        return
    if inputs[0] not in b.constants and inputs[1] in b.constants:
        picked(b, outputs[0], b.value(inputs[0]), b.constants[inputs[1]], a.get("axis", 0))
        return
    table, ids = b.constant(inputs[0], "the table"), b.value(inputs[1])
    axis = axis_of(a.get("axis", 0), table.ndim)
    before, after = table.shape[:axis], table.shape[axis + 1 :]
    ids = b.wants(ids, identity_order(ids.rank))
    rows = np.moveaxis(table, axis, 0).reshape(table.shape[axis], -1)
    layer = L.Embedding(int(rows.shape[0]), int(rows.shape[1]))
    shape = (*before, *ids.shape, *after)
    order = (*range(axis, axis + ids.rank), *range(axis), *range(axis + ids.rank, len(shape)))
    inner = L.Reshape((*ids.shape[1:], *before, *after))
    if len(before) + len(after) == 1:
        b.put(outputs[0], layer, ids, shape, Layout(order), {"W": rows})
    else:
        b.put(outputs[0], chained(layer, inner), ids, shape, Layout(order), {"0.W": rows})


RULES: dict[str, Rule] = {
    "Flatten": flatten,
    "Reshape": reshape,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    **{kind: arithmetic(kind) for kind in ("Add", "Sub", "Mul", "Div", "Sum", "Mean")},
    "Max": extreme(largest=True),
    "Min": extreme(largest=False),
    "Concat": concat,
    "Gather": gather,
}
