"""The layers of a model that hold parameters, in order, and how their features lie in libraries with channels first.

Where images are flattened here the channels vary fastest, there slowest. So a layer behind a Flatten has its inputs in
another order there, and one before a Reshape to images its outputs.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.layers.base import Layer, is_multiple
from xpnn.layers.lengths import planned
from xpnn.layers.merge_inputs import Merge

Host = np.ndarray[Any, Any]
Shape = tuple[Any, ...]

KINDS: dict[str, tuple[type[Layer], ...]] = {
    "dense": (L.Dense,),
    "convolution": (L.Conv1D, L.Conv2D, L.Conv3D),
    "transposed convolution": (L.ConvTranspose1D, L.ConvTranspose2D, L.ConvTranspose3D),
    "batch norm": (L.BatchNorm,),
    "norm": (L.LayerNorm, L.GroupNorm, L.InstanceNorm),
    "vector": (L.RMSNorm, L.PReLU),
    "table": (L.Embedding,),
    "recurrent": (L.LSTM, L.GRU, L.SimpleRNN, L.Bidirectional),
    "attention": (L.MultiHeadAttention,),
    "positions": (L.PositionalEncoding,),
}
"""What the tensors of a layer look like, whatever library they come from."""
FIRST_THERE = (L.Conv1D, L.ConvTranspose1D, L.MaxPool1D, L.AvgPool1D)
"""Layers over sequences that have their channels first in PyTorch."""


@dataclass
class Leaf:
    """A layer with parameters. inputs[i], outputs[i]: where our i-th feature is there; None: in the same place."""

    path: str
    layer: Layer
    kind: str
    shape: Shape
    inputs: Host | None = None
    outputs: Host | None = None

    @property
    def name(self) -> str:
        """`layer 2 Dense`, for messages."""
        return f"layer {self.path} {type(self.layer).__name__}"


@dataclass
class Flow:
    """A value on its way: its shape here, whether it has channels first there, and of one row of features their order
    there and the leaves that made it."""

    shape: Shape
    first: bool = False
    order: Host | None = None
    makers: list[Leaf] = field(default_factory=list)


def leaves_of(model: Any, *, channels_first: bool = False) -> list[Leaf]:
    """All of them, in the order in which the network runs. channels_first: how the other library lays out images."""
    found: list[Leaf] = []
    shape = planned(model.input_shape)
    several = is_multiple(shape)
    flows = tuple(start(one, channels_first) for one in (shape if several else (shape,)))
    walk(found, model.net, "", flows if several else flows[0], channels_first)
    return found


def start(shape: Shape, channels_first: bool) -> Flow:
    """An input; images have the other library's layout."""
    return Flow(shape, channels_first and len(shape) in (3, 4))


def joined(path: str, name: str | int) -> str:
    """The path of what is inside."""
    return f"{path}.{name}" if path else str(name)


def walk(found: list[Leaf], layer: Layer, path: str, x: Any, cf: bool) -> Any:
    """Adds the leaves in `layer` and gives what it makes of x."""
    if isinstance(layer, L.Sequential):
        for i, one in enumerate(layer.layers):
            x = walk(found, one, joined(path, i), x, cf)
        return x
    if isinstance(layer, L.Recompute):
        return walk(found, layer.layer, path, x, cf)
    if isinstance(layer, L.SeparableConv2D):
        h = walk(found, layer.depth(x.shape[-1]), joined(path, "depth"), x, cf)
        return walk(found, layer.point(), joined(path, "point"), h, cf)
    if isinstance(layer, L.Residual):
        walk(found, layer.layer, joined(path, 0), x, cf)
        return Flow(x.shape, x.first, x.order)
    if isinstance(layer, L.Parallel):
        ys = [walk(found, one, joined(path, i), x, cf) for i, one in enumerate(layer.layers)]
        return merge(layer.merge, ys, layer.plan(x.shape)[1])
    if isinstance(layer, L.Graph):
        return walk_graph(found, layer, path, x, cf)
    return walk_leaf(found, layer, path, x, cf)


def walk_graph(found: list[Leaf], layer: L.Graph, path: str, x: Any, cf: bool) -> Any:
    """Node by node; a shared layer is a leaf once."""
    names = layer.inputs if isinstance(layer.inputs, tuple) else (layer.inputs,)
    values = dict(zip(names, x if isinstance(layer.inputs, tuple) else (x,), strict=True))
    own: dict[str, Any] = {}
    for name, one, input_kind in layer.nodes:
        shared = isinstance(one, L.Shared)
        used = own[one.node] if isinstance(one, L.Shared) else own.setdefault(name, one)
        given = tuple(values[k] for k in input_kind) if isinstance(input_kind, tuple) else values[input_kind]
        values[name] = walk([] if shared else found, used, joined(path, name), given, cf)
    return (
        tuple(values[k] for k in layer.outputs) if isinstance(layer.outputs, tuple) else values[layer.outputs]
    )


def walk_leaf(found: list[Leaf], layer: Layer, path: str, x: Any, cf: bool) -> Any:
    """A layer with nothing inside that counts."""
    if isinstance(x, tuple):
        out = layer.plan(tuple(one.shape for one in x))[1]
        if isinstance(layer, Merge):
            return merge(layer.merge, list(x), out)
        if isinstance(layer, L.SelectOutput):
            return x[layer.index]
        x = x[0]
    else:
        out = layer.plan(x.shape)[1]
    kind = next((kind for kind, classes in KINDS.items() if isinstance(layer, classes)), None)
    if isinstance(layer, L.PositionalEncoding) and layer.kind != "learned":
        kind = None
    if is_multiple(out):
        if kind is not None:
            found.append(Leaf(path, layer, kind, x.shape))
        return tuple(Flow(one, cf and len(one) in (3, 4)) for one in out)
    if isinstance(layer, L.Flatten):
        return Flow(out, order=flat_order(x)) if len(x.shape) > 1 else x
    if isinstance(layer, L.Reshape):
        return reshaped(x, out, cf)
    y = Flow(out, (cf and len(out) in (3, 4)) or (isinstance(layer, FIRST_THERE) and cf))
    if out == x.shape and kind not in ("dense", "recurrent", "attention"):
        y = Flow(out, x.first or y.first, x.order, list(x.makers))
    if kind is not None:
        leaf = Leaf(path, layer, kind, x.shape, x.order if len(x.shape) == 1 else None)
        found.append(leaf)
        if len(out) == 1:
            y.makers.append(leaf)
    return y


def flat_order(x: Flow) -> Host | None:
    """The place of each of our flattened numbers in theirs."""
    if not x.first:
        return None
    there = np.arange(int(np.prod(x.shape))).reshape(x.shape[-1], *x.shape[:-1])
    order = np.moveaxis(there, 0, -1).reshape(-1)
    return None if (order == np.arange(order.size)).all() else order


def reshaped(x: Flow, out: Shape, cf: bool) -> Flow:
    """Images made of one row of features: the leaves that made the row have their outputs in another order there."""
    y = Flow(out, cf and len(out) in (3, 4))
    if len(x.shape) == 1 and y.first:
        for leaf in x.makers:
            leaf.outputs = flat_order(y)
    return y


def merge(how: str, xs: list[Flow], out: Shape) -> Flow:
    """Several values as one; rows side by side keep the order of each."""
    order = None
    if how == "concatenate" and len(out) == 1 and any(x.order is not None for x in xs):
        starts = np.cumsum([0, *(x.shape[-1] for x in xs)])
        parts = [np.arange(x.shape[-1]) if x.order is None else x.order for x in xs]
        order = np.concatenate([part + start for part, start in zip(parts, starts, strict=False)])
    elif how != "concatenate":
        order = xs[0].order
    return Flow(out, xs[0].first, order)
