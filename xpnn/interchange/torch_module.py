"""A model as a torch.nn module of the same layers: images and what convolutions see have their channels first in it."""

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn import layers as L
from xpnn.errors import UsageError
from xpnn.interchange.leaves import Flow, joined, merge, start, walk_leaf
from xpnn.interchange.program import Program, Value
from xpnn.interchange.table import emit
from xpnn.interchange.torch_layers import module_and_layout
from xpnn.interchange.torch_windows import Unknown
from xpnn.layers.base import Layer, is_multiple
from xpnn.layers.lengths import planned

if TYPE_CHECKING:
    from xpnn.model import Model

Made = tuple[Any, Any]
"""A module, and the flow behind it (a tuple of them for several outputs)."""
Steps = list[tuple[str, Any]]


def module_of(model: "Model", torch: Any, weights: dict[str, dict[str, Any]]) -> Any:
    """The module, in evaluation. weights: {path of a layer: {name there: tensor}}.

    Raises UsageError, naming the layer, for what PyTorch has no module of.
    """
    shape = planned(model.input_shape)
    flows = tuple(start(one, True) for one in (shape if is_multiple(shape) else (shape,)))
    builder = Builder(torch, weights, model)
    module, ends = builder.one(model.net, "", flows if is_multiple(shape) else flows[0])
    behind = [builder.as_given(flow) for flow in (ends if isinstance(ends, tuple) else (ends,))]
    if any(behind):
        each = [one or torch.nn.Identity() for one in behind]
        module = torch.nn.Sequential(module, builder.parts.Each(each) if isinstance(ends, tuple) else each[0])
    module = module.to(getattr(torch, model.backend.dtype_name))
    for path, tensors in weights.items():
        builder.owners[path].load_state_dict(tensors)
    return module.eval()


class Builder:
    """Makes modules of layers. What has a rank of 3 beside the samples always has its channels first between them."""

    def __init__(self, torch: Any, weights: dict[str, dict[str, Any]], model: "Model") -> None:
        from xpnn.interchange import torch_operations, torch_parts, torch_sequences

        self.torch, self.nn, self.weights = torch, torch.nn, weights
        self.parts, self.sequences, self.operations = torch_parts, torch_sequences, torch_operations
        self.named, self.to_host = model.parameters(), model.backend.to_numpy
        self.dtype = model.backend.dtype_name
        self.owners: dict[str, Any] = {}

    def as_given(self, flow: Flow) -> Any:
        """What brings an output to the layout that an input of its rank has, and rows to their order here."""
        if flow.first and len(flow.shape) == 2:
            return self.permuted_to(flow.shape, False)
        return None if flow.order is None else self.parts.Ordered(flow.order)

    def parameter(self, path: str, name: str) -> Any:
        """A parameter of the layer at that path, as PyTorch's."""
        a = self.to_host(self.named[f"{path}.{name}" if path else name])
        return self.torch.from_numpy(np.array(a))

    def one(self, layer: Layer, path: str, x: Any) -> Made:
        """A layer, with changes of layout around it, as one module."""
        steps, y = self.steps(layer, path, x)
        return (steps[0][1] if len(steps) == 1 else self.nn.Sequential(OrderedDict(steps))), y

    def steps(self, layer: Layer, path: str, x: Any) -> tuple[Steps, Any]:
        """[(name, module), ...] of a layer, and the flow behind it."""
        name = path.rpartition(".")[2] or "0"
        if isinstance(layer, L.Sequential):
            inside: Steps = []
            chain = self.parts.Chain if isinstance(x, tuple) else self.nn.Sequential
            for i, one in enumerate(layer.layers):
                found, x = self.steps(one, joined(path, i), x)
                inside += found
            return [(name, chain(OrderedDict(inside)))], x
        if isinstance(layer, L.Recompute):
            return self.steps(layer.layer, path, x)
        if isinstance(layer, L.SeparableConv2D):
            depth, y = self.steps(layer.depth(x.shape[-1]), joined(path, "depth"), x)
            point, y = self.steps(layer.point(), joined(path, "point"), y)
            return [(name, self.nn.Sequential(OrderedDict(depth + point)))], y
        if isinstance(layer, L.Residual):
            inner, y = self.one(layer.layer, joined(path, 0), x)
            return [(name, self.parts.Residual(self.in_layout(inner, y, x.first)))], Flow(
                x.shape, x.first, x.order
            )
        if isinstance(layer, L.Parallel):
            made = [self.one(one, joined(path, i), x) for i, one in enumerate(layer.layers)]
            y = merge(layer.merge, [flow for _, flow in made], layer.plan(x.shape)[1])
            modules = [self.in_layout(module, flow, y.first) for module, flow in made]
            return [(name, self.parts.Parallel(modules, self.merged(layer.merge, y)))], y
        if isinstance(layer, L.Graph):
            module, y = self.graph(layer, path, x)
            return [(name, module)], y
        return self.leaf(layer, path, x, name)

    def merged(self, how: str, y: Flow) -> Any:
        """Side by side on the axis of the channels."""
        return self.parts.Merged(how, 1 if y.first or len(y.shape) == 1 else len(y.shape))

    def in_layout(self, module: Any, flow: Flow, first: bool) -> Any:
        """The module with its result in that layout."""
        return (
            module if flow.first == first else self.nn.Sequential(module, self.permuted_to(flow.shape, first))
        )

    def permuted_to(self, shape: tuple[int, ...], first: bool) -> Any:
        """From one layout to the other."""
        return self.parts.Moved(len(shape), 1) if first else self.parts.Moved(1, len(shape))

    def graph(self, layer: L.Graph, path: str, x: Any) -> Made:
        """Node by node; a shared layer is one module."""
        names = layer.inputs if isinstance(layer.inputs, tuple) else (layer.inputs,)
        values = dict(zip(names, x if isinstance(layer.inputs, tuple) else (x,), strict=True))
        own: dict[str, Any] = {}
        nodes = []
        for name, one, given in layer.nodes:
            owner = one.node if isinstance(one, L.Shared) else name
            used = own.setdefault(owner, one)
            entries = tuple(values[k] for k in given) if isinstance(given, tuple) else values[given]
            module, values[name] = self.one(used, joined(path, owner), entries)
            if hasattr(self.nn.Module, name):
                raise UsageError(
                    f"a node called {name!r}", why="modules of PyTorch have an attribute of that name"
                )
            nodes.append((name, owner, given if isinstance(given, tuple) else (given,), module))
        ends = layer.outputs
        flow = tuple(values[k] for k in ends) if isinstance(ends, tuple) else values[ends]
        return self.parts.Graph(names, nodes, ends), flow

    def leaf(self, layer: Layer, path: str, x: Any, name: str) -> tuple[Steps, Any]:
        """One layer: a module of PyTorch's between changes of layout, else its operations one by one."""
        y = walk_leaf([], layer, path, x, True)
        try:
            first, module = module_and_layout(self, layer, path, x, y)
        except Unknown as unknown:
            if path in self.weights:
                raise UsageError(
                    f"layer {path or '0'} {type(layer).__name__} has no module of PyTorch's", why=str(unknown),
                    fix="to_torch(model) gives the weights, for a module of your own",
                ) from None  # fmt: skip
            return [(name, self.by_operations(layer, path, x, y))], y
        if path in self.weights:
            self.owners.setdefault(path, module)
        if isinstance(x, tuple) or isinstance(y, tuple):
            return [(name, module if first is None else self.with_channels_last(module, x))], y
        return self.between(name, module, x, y, first), y

    def with_channels_last(self, module: Any, x: Any) -> Any:
        """The module behind a change of layout for each of its inputs that needs one."""
        flows = x if isinstance(x, tuple) else (x,)
        if not any(flow.first for flow in flows):
            return module
        moved = [self.permuted_to(flow.shape, False) if flow.first else self.nn.Identity() for flow in flows]
        before = self.parts.Each(moved) if isinstance(x, tuple) else moved[0]
        return (self.parts.Chain if isinstance(x, tuple) else self.nn.Sequential)(before, module)

    def by_operations(self, layer: Layer, path: str, x: Any, y: Any) -> Any:
        """A module that does what the exported ONNX file does. Rows come and go in their order there."""
        flows, ends = (one if isinstance(one, tuple) else (one,) for one in (x, y))
        g = Program(real=np.float64 if self.dtype == "float64" else np.float32)
        specs = layer.plan(tuple(f.shape for f in flows) if isinstance(x, tuple) else x.shape)[0]
        trained = {key: self.parameter(path, key) for key in specs}
        values = tuple(Value(g.name(f"x{i}"), flow.shape, flow.first) for i, flow in enumerate(flows))
        p = {key: a.numpy() for key, a in trained.items()}
        made = emit(g, layer, p, values if isinstance(x, tuple) else values[0])
        found = [
            g.first(value) if end.first else g.last(value)
            for value, end in zip((made,) if isinstance(made, Value) else made, ends, strict=True)
        ]
        module = self.operations.Operations(
            g.nodes, g.constants, trained, [value.name for value in values], [value.name for value in found]
        )
        if isinstance(x, tuple) or x.order is None:
            return module
        steps = [self.parts.Ordered(x.order), module]
        if not isinstance(y, tuple) and y.order is not None:
            steps.append(self.parts.Ordered(np.argsort(y.order)))
        return self.nn.Sequential(*steps)

    def between(self, name: str, module: Any, x: Flow, y: Flow, first: bool | None) -> Steps:
        """The module between changes of layout. first: the one that it takes and gives; None: any."""
        steps = [(name, module)]
        if first is not None and len(x.shape) > 1 and first != x.first:
            steps.insert(0, (f"{name}_permuted", self.permuted_to(x.shape, first)))
        now = x.first if first is None else first
        if len(y.shape) > 1 and now != y.first and not isinstance(module, self.nn.Unflatten):
            steps.append((f"{name}_back", self.permuted_to(y.shape, y.first)))
        return steps
