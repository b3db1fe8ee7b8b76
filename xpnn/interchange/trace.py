"""From a model to the program that does what it does: preparation first, class probabilities last."""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.errors import UsageError
from xpnn.interchange.program import Node, Program, Shape, Value
from xpnn.interchange.sequence_rows import Body
from xpnn.interchange.table import emit
from xpnn.interchange.table_scale import TableScale
from xpnn.layers import Dropout, Flatten, Rescale, Reshape, Sequential, Standardize
from xpnn.layers.base import for_each, is_multiple
from xpnn.layers.lengths import ASSUMED, is_open, planned
from xpnn.losses import BinaryCrossEntropy, Focal, NegativeLogLikelihood, SoftmaxCrossEntropy
from xpnn.trees import tree_map

if TYPE_CHECKING:
    from xpnn.model import Model

LAYOUTS = ("last", "first")
SQUASH = {
    SoftmaxCrossEntropy: ("Softmax", {"axis": -1}),
    Focal: ("Softmax", {"axis": -1}),
    NegativeLogLikelihood: ("Exp", {}),
    BinaryCrossEntropy: ("Sigmoid", {}),
}
"""What makes probabilities of the outputs of a model trained with that loss: see each loss's `probabilities`."""


def program_of(
    model: "Model",
    *,
    opset: int = 20,
    channels: str = "last",
    probabilities: bool | None = None,
    preprocessing: bool = True,
) -> Program:
    """The model's operations in float32, for any number of samples.

    See `save_onnx` for the settings. Raises UsageError for an unknown one, and for a layer that has no row in
    `interchange.table`.
    """
    if channels not in LAYOUTS:
        raise UsageError(
            f"channels={channels!r}: unknown layout", fix='"last" (N, H, W, C) or "first" (N, C, H, W)'
        )
    make = functools.partial(
        emitted, model, parameters_of(model), opset, channels, probabilities, preprocessing=preprocessing
    )
    g = make(planned(model.input_shape))
    if is_open(planned(model.input_shape)):
        for n in range(ASSUMED + 1, ASSUMED + 8):  # other remainders of all strides that there are
            check_same(g, make(planned(model.input_shape, n)))
    return g


def emitted(
    model: "Model", p: Any, opset: int, channels: str, probabilities: bool | None, shape: Shape, *,
    preprocessing: bool,
) -> Program:  # fmt: skip
    """The operations for samples of that shape, which may be open in places."""
    g, net = Program(opset=opset), model.net
    if not preprocessing:
        net, p, shape = without_preparation(net, p, shape)
    shapes = shape if is_multiple(shape) else (shape,)
    names = named(getattr(net, "inputs", None), "x", len(shapes))
    kinds = for_each(net.input_kind, len(shapes))
    about = zip(names, shapes, kinds, strict=True)
    x = tuple(entry(g, name, one, kind, channels, preprocessing) for name, one, kind in about)
    table = table_of(model)
    if table is not None:
        x = (table.entered(g, x[0], preprocessing), *x[1:])
    y = emit(g, net, p, x if is_multiple(shape) else x[0])
    several = is_multiple(model.output_shape)
    losses = getattr(model.loss, "losses", (model.loss,)) if several else (model.loss,)
    ys = y if several else (y,)
    output_kind, labels = (
        for_each(net.output_kind, len(ys)),
        named(getattr(net, "outputs", None), "y", len(ys)),
    )
    if table is not None and preprocessing:
        ys = (table.left(g, ys[0]),)
    for value, label, loss, given in zip(ys, labels, losses, output_kind, strict=True):
        leave(g, value, label, channels, squash(loss, given, probabilities))
    leave_out_unused(g)
    return g


def table_of(model: "Model") -> "TableScale | None":
    """The scaling of the table that the model was trained on."""
    from xpnn.data.tables.preparation import TablePreparation

    found = model.preparation
    return TableScale(found) if isinstance(found, TablePreparation) else None


def check_same(g: Program, other: Program) -> None:
    """Raise UsageError where the operations for another length are not the same: they would be right for one alone."""
    for node, twin in zip(g.nodes, other.nodes, strict=True):
        pairs = zip(node.inputs, twin.inputs, strict=True)
        numbers = [(g.constants.get(a), other.constants.get(b)) for a, b in pairs]
        if node.kind != "Scan" and node.attributes != twin.attributes:
            raise open_length(node)
        if any(a is not None and not np.array_equal(a, b) for a, b in numbers):  # type: ignore[arg-type]
            raise open_length(node)


def open_length(node: Node) -> UsageError:
    """The error for a layer whose operations depend on the length."""
    return UsageError(
        f"layer {node.path or '0'} cannot be exported for sequences of any length",
        why=f"its {node.kind} would be right for one length alone",
        fix="export the same layers made with that length in input_shape, with these parameters",
    )


def leave_out_unused(g: Program) -> None:
    """Nodes and constants that no output depends on, such as states that are not used."""
    needed = {name for name, _ in g.outputs}
    kept = []
    for node in reversed(g.nodes):
        if needed & set(node.outputs):
            kept.append(node)
            needed |= {*node.inputs}
            if isinstance(body := node.attributes.get("body"), Body):
                needed |= {*body.outputs, *(name for inner in body.nodes for name in inner.inputs)}
    g.nodes = kept[::-1]
    g.constants = {name: a for name, a in g.constants.items() if name in needed}


def names_of(model: "Model", classes: Sequence[str]) -> Sequence[str]:
    """The names of the classes: those that are given, or those that the model remembers."""
    return classes or (model.preparation.class_names if model.preparation is not None else ())


def named(own: Any, letter: str, n: int) -> tuple[str, ...]:
    """The names that a Graph has for its n inputs or outputs; else "x", or "x0", "x1", ...."""
    if own is not None:
        return own if isinstance(own, tuple) else (own,)
    return (letter,) if n == 1 else tuple(f"{letter}{i}" for i in range(n))


def parameters_of(model: "Model") -> Any:
    """The parameters as host arrays, in the tree that the network takes."""
    named = model.parameters()
    return tree_map(lambda path, _: np.asarray(model.backend.to_numpy(named[path])), model.layout.specs)


def without_preparation(net: Any, p: Any, shape: Shape) -> tuple[Any, Any, Shape]:
    """The chain from behind its first scales on. Raises UsageError for a network that is no chain."""
    if not isinstance(net, Sequential):
        raise UsageError(
            "preprocessing=False, of a network that is no chain of layers", fix="leave preprocessing as it is"
        )
    scales = [i for i, layer in enumerate(net.layers) if isinstance(layer, Rescale | Standardize)]
    moves = (Rescale, Standardize, Flatten, Reshape, Dropout)
    start = 0
    for i in scales:
        if all(isinstance(layer, moves) for layer in net.layers[:i]):
            start = i + 1
    for layer in net.layers[:start]:
        shape = layer.plan(shape)[1]
    return Sequential(net.layers[start:]), p[start:], shape


def entry(g: Program, name: str, shape: Shape, kind: str | None, channels: str, prepared: bool) -> Value:
    """One input: ids as int64, images of bytes as uint8 where the first layers take them, all else as float32."""
    first = channels == "first" and len(shape) == 3
    dtype = {"int": "int64", "any": "uint8" if len(shape) == 3 and prepared else "float32"}.get(
        str(kind), "float32"
    )
    name = g.name(name)
    g.inputs.append((name, dtype, (shape[-1], *shape[:-1]) if first else shape))
    value = Value(name, shape, first)
    return value._replace(name=g.op("Cast", name, to=1)) if dtype == "uint8" else value


def squash(loss: Any, output_kind: str, wanted: bool | None) -> tuple[str, dict[str, Any]] | None:
    """The operation that makes probabilities; None where nothing is to do, or it is not wanted.

    Raises UsageError where they are wanted of a loss that has none.
    """
    found = next((how for cls, how in SQUASH.items() if type(loss) is cls), None)
    if wanted and found is None and output_kind != "probabilities":
        raise UsageError(
            f"probabilities=True, of a model trained with {type(loss).__name__}",
            why="its outputs are no scores of classes",
            fix="probabilities=False",
        )
    return None if wanted is False or output_kind == "probabilities" else found


def leave(
    g: Program, value: Value, label: str, channels: str, how: tuple[str, dict[str, Any]] | None
) -> None:
    """One output, in the layout asked for."""
    keep = channels == "first" and len(value.shape) == 3
    if how is not None:
        value = g.last(value)
        value = value._replace(name=g.op(how[0], value.name, **how[1]))
    value = g.first(value) if keep else g.last(value)
    name = g.name(label)
    g.nodes.append(Node("Identity", [value.name], [name], {}, ""))
    g.outputs.append((name, (value.shape[-1], *value.shape[:-1]) if keep else value.shape))
