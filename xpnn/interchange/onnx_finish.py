"""From the nodes read to a model: what no output needs is left out, and a chain becomes a list of layers."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn import parameters
from xpnn.errors import CheckpointError, UsageError, first_line
from xpnn.interchange.onnx_pointwise import STATISTICS
from xpnn.interchange.onnx_training import LOSS
from xpnn.interchange.onnx_values import Builder, Layout, Refusal, Value, has_windows, identity_order
from xpnn.layers import Flatten, Graph, Layer, Permute, Reshape, Sequential
from xpnn.layers.lengths import planned

if TYPE_CHECKING:
    from xpnn.model import Model

Nodes = list[tuple[str, Layer, Any]]


def finished(
    b: Builder, names: list[str], settings: dict[str, Any], scale: Layer | None = None,
    others: Sequence[Builder] = (),
) -> "Model":  # fmt: skip
    """The model, with the layer that scales its samples in front. others: the same file read for other lengths.

    Raises CheckpointError where an output depends on no sample, or the network on the lengths; UsageError for a scale
    beside several inputs.
    """
    from xpnn.model import Model

    outputs, inputs, nodes = parts_of(b, names)
    shapes = tuple(map(shape_here, inputs))
    nodes, ends = without_idle(nodes, dict(zip((x.name for x in inputs), shapes, strict=True)), outputs)
    if others:
        check_same(b, nodes, [(one, without_idle_of(one, names)) for one in others])
        opened = [b.opened.get(x.name, set()) for x in inputs]
        shapes = tuple(
            tuple(None if i in axes else n for i, n in zip((x.layout.order or ())[1:], shape, strict=True))
            for x, shape, axes in zip(inputs, shapes, opened, strict=True)
        )
    if scale is not None:
        if len(inputs) > 1:
            raise UsageError("mean and std, of a network of several inputs")
        order = inputs[0].layout.order or ()
        if len(order) == 4 and order[-1] != 1 and isinstance(getattr(scale, "mean", 0.0), tuple):
            raise UsageError(
                "mean and std of each channel, of a network that takes its channels first",
                why="none of its layers takes channels last",
                fix="one number for all channels",
            )
        first = b.name("pixels")
        nodes = scaled(inputs[0].name, first, nodes, scale)
        specs = scale.plan(planned(shapes[0]))[0]
        b.parameters |= {
            f"{first}.{key}": spec.init(np.random.default_rng(0), spec.shape) for key, spec in specs.items()
        }
    net, renamed = network([x.name for x in inputs], nodes, ends)
    dtype = "float64" if any(a.dtype == np.float64 for a in b.constants.values() if a.ndim > 1) else "float32"
    try:
        made: dict[str, Any] = {"dtype": dtype, "seed": 0, "loss": b.loss, **settings}
        shape: Any = shapes if len(shapes) > 1 else shapes[0]
        model = Model(net, shape, vectors=without_values(net, shape), **made)
        kept = {name for name, _, _ in nodes}
        model.load_parameters(
            {
                renamed(path): np.ascontiguousarray(a, model.backend.dtype_name)
                for path, a in b.parameters.items()
                if path.split(".")[0] in kept
            }
        )
    except ValueError as error:  # what layers say of settings and shapes that do not fit
        raise CheckpointError("its layers do not fit each other here", why=first_line(error)) from error
    if any(x.flat is not None for x in outputs):
        b.notes.append("flattened images come out with their channels varying fastest")
    for note in b.notes:
        warnings.warn(note, stacklevel=4)
    return model


def without_values(net: Any, shape: Any) -> dict[str, Any]:
    """theta and phi of zeros, which the file's numbers replace: initial values of large layers take long to draw."""
    whole = Sequential(tuple(net)) if isinstance(net, list) else net
    size = parameters.Layout(whole.plan(planned(shape))[0]).size
    return {name: np.zeros(n, np.float32) for name, n in size.items()}


def parts_of(b: Builder, names: list[str]) -> tuple[list[Value], list[Value], Nodes]:
    """Outputs, inputs, and the nodes between them."""
    outputs = outputs_of(b, names)
    nodes = needed(b, outputs)
    used = {one for _, _, given in nodes for one in listed(given)} | {x.name for x in outputs}
    inputs = [with_layout(x) for x in b.inputs if x.name in used]
    if not inputs:
        raise CheckpointError("the file's outputs depend on no input")
    for x in inputs:
        if (x.layout.order or (0,))[0] not in (0, 1):
            raise CheckpointError(f"the samples of input {x.name!r} lie on axis {x.layout.order}")
    return outputs, inputs, nodes


def shape_here(x: Value) -> tuple[Any, ...]:
    """The shape of one sample, in our order of axes."""
    return tuple(x.shape[i] for i in (x.layout.order or ())[1:])


def without_idle(nodes: Nodes, shapes: dict[str, Any], outputs: list[Value]) -> tuple[Nodes, list[str]]:
    """Nodes but for those that leave the shape as it is, and the names of the outputs."""
    same: dict[str, str] = {}
    kept: Nodes = []
    for name, layer, given in nodes:
        used: Any = (
            tuple(same.get(one, one) for one in given) if isinstance(given, tuple) else same.get(given, given)
        )
        try:
            shape = tuple(shapes[one] for one in used) if isinstance(used, tuple) else shapes[used]
            shapes[name] = layer.plan(shape)[1]
        except (KeyError, ValueError):  # the model says what does not fit
            kept.append((name, layer, used))
            continue
        if isinstance(layer, Reshape | Flatten) and shapes[name] == shape and len(nodes) > 1:
            same[name] = used
        else:
            kept.append((name, layer, used))
    return kept, [same.get(x.name, x.name) for x in outputs]


def without_idle_of(b: Builder, names: list[str]) -> Nodes:
    """The nodes of a file read for another length."""
    outputs, inputs, nodes = parts_of(b, names)
    return without_idle(nodes, {x.name: shape_here(x) for x in inputs}, outputs)[0]


def check_same(b: Builder, nodes: Nodes, others: list[tuple[Builder, Nodes]]) -> None:
    """Raise CheckpointError for a layer, or parameters, that would be right for one length alone."""
    for other, others_nodes in others:
        if len(nodes) != len(others_nodes):
            raise CheckpointError("the sizes of an input are open, and its layers depend on them")
        for (name, layer, given), (_, other_layer, others_given) in zip(nodes, others_nodes, strict=True):
            mine = {key: a for key, a in b.parameters.items() if key.startswith(f"{name}.")}
            equal = all(np.array_equal(a, other.parameters.get(key, ())) for key, a in mine.items())
            if (layer, given) != (other_layer, others_given) or not equal:
                raise CheckpointError(
                    "the sizes of an input are open, all but that of the samples",
                    why=f"its {type(layer).__name__} {name!r} would be right for one of them alone",
                    fix="fix the sizes when exporting, all but that of the samples",
                )


def outputs_of(b: Builder, names: list[str]) -> list[Value]:
    """The values of the outputs; of a loss, the scores it is taken of."""
    found: list[Value] = []
    for name in names:
        mark = b.marks.get(name, ("",))
        if mark[0] == STATISTICS:
            continue
        if name in b.makers and name not in b.values:
            try:
                b.makers[name]()
            except Refusal as refusal:
                raise CheckpointError(
                    f"the output {name[:60]!r}: {refusal}",
                    fix="only networks made of xpnn's layers can be read",
                ) from refusal
        value = mark[1] if mark[0] == LOSS else b.values.get(name)
        if value is None and mark[0]:
            raise CheckpointError(f"the output {name[:60]!r}, {mark[0]}, is no layer here by itself")
        if value is None:
            raise CheckpointError(f"the output {name[:60]!r} depends on no input")
        if mark[0] != LOSS or not any(value is b.values.get(other) for other in names):
            found.append(in_order(b, with_layout(value)))
    return found


def in_order(b: Builder, x: Value) -> Value:
    """x with the axes of the file, where its inputs have them too: what a Transpose is in a graph without images."""
    order = x.layout.order or ()
    moved = any(one.layout.order not in (None, identity_order(one.rank)) for one in b.inputs)
    if (
        b.loss is not None
        or moved
        or has_windows(b)
        or order == identity_order(x.rank)
        or order[0] != 0
        or x.flat is not None
    ):
        return x
    axes = tuple(order.index(i) for i in range(1, x.rank))
    return b.put("", Permute(axes), x, x.shape, Layout(identity_order(x.rank)))


def with_layout(x: Value) -> Value:
    """x with a layout: the file's where no layer wanted another."""
    if x.layout.order is None:
        x.layout.fix(identity_order(x.rank))
    return x


def listed(given: Any) -> tuple[str, ...]:
    """Names as a tuple."""
    return given if isinstance(given, tuple) else (given,)


def needed(b: Builder, outputs: list[Value]) -> Nodes:
    """The nodes that the outputs depend on; of two Reshapes in a row the second is enough."""
    wanted = {x.name for x in outputs}
    found: Nodes = []
    for name, layer, given in reversed(b.nodes):
        if name in wanted:
            found.append((name, layer, given))
            wanted |= set(listed(given))
    found.reverse()
    made = {name: (layer, given) for name, layer, given in found}
    result: Nodes = []
    for name, layer, given in found:
        while (
            isinstance(layer, Reshape | Flatten)
            and isinstance(given, str)
            and type(made.get(given, (None,))[0]) is Reshape
        ):
            given = made[given][1]
        result.append((name, layer, given))
    taken = {one for _, _, given in result for one in listed(given)} | {x.name for x in outputs}
    return [node for node in result if node[0] in taken]


def scaled(entry: str, name: str, nodes: Nodes, scale: Layer) -> Nodes:
    """The nodes behind one that scales the samples."""

    def taken(given: Any) -> Any:
        """The node's inputs, with the new name in place of the entry's."""
        return tuple(map(taken, given)) if isinstance(given, tuple) else name if given == entry else given

    return [(name, scale, entry), *((node, layer, taken(given)) for node, layer, given in nodes)]


def network(inputs: list[str], nodes: Nodes, outputs: list[str]) -> tuple[Any, Any]:
    """A list of layers where each takes what the one before it gives, else a Graph; and new paths from old ones."""
    chain = len(inputs) == len(outputs) == 1 and outputs[0] == (nodes[-1][0] if nodes else inputs[0])
    before = inputs[0]
    for name, layer, given in nodes:
        chain = chain and given == before and not layer.multi_input
        before = name
    if not chain:
        graph = Graph(
            inputs[0] if len(inputs) == 1 else tuple(inputs),
            tuple(nodes),
            outputs[0] if len(outputs) == 1 else tuple(outputs),
        )
        return graph, lambda path: path
    layers: list[Layer] = []
    start: dict[str, int] = {}
    for name, layer, _ in nodes:
        start[name] = len(layers)
        layers += layer.layers if isinstance(layer, Sequential) else [layer]
    inside = {name for name, layer, _ in nodes if isinstance(layer, Sequential)}

    def renamed(path: str) -> str:
        """ "conv1.W" is "0.W", "block.1.W" is "4.W"."""
        name, *rest = path.split(".")
        if name not in inside:
            return ".".join([str(start[name]), *rest])
        return ".".join([str(start[name] + int(rest[0])), *rest[1:]])

    return layers, renamed
