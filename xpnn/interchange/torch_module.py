"""A model as a torch.nn module of the same layers: images and what convolutions see have their channels first in it."""

import math
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn import layers as L
from xpnn.errors import UsageError
from xpnn.interchange.leaves import Flow, joined, merge, start, walk_leaf
from xpnn.interchange.program import Program, Value
from xpnn.interchange.table import emit
from xpnn.interchange.torch_windows import WINDOWED, Unknown
from xpnn.layers.base import Layer, is_multiple
from xpnn.layers.lengths import planned
from xpnn.layers.merge_inputs import Merge
from xpnn.trees import tree_map

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
    builder = Builder(torch, weights)
    module, ends = builder.one(model.net, "", flows if is_multiple(shape) else flows[0])
    if (
        isinstance(ends, Flow) and ends.first and len(ends.shape) == 2
    ):  # sequences come in with their channels last
        module = torch.nn.Sequential(module, builder.permuted_to(ends.shape, False))
    if isinstance(ends, Flow) and ends.order is not None:
        module = torch.nn.Sequential(module, builder.parts.Ordered(ends.order))
    module = module.to(getattr(torch, model.backend.dtype_name))
    for path, tensors in weights.items():
        builder.owners[path].load_state_dict(tensors)
    return module.eval()


class Builder:
    """Makes modules of layers. What has a rank of 3 beside the samples always has its channels first between them."""

    def __init__(self, torch: Any, weights: dict[str, dict[str, Any]]) -> None:
        from xpnn.interchange import torch_parts

        self.nn, self.parts, self.weights = torch.nn, torch_parts, weights
        self.owners: dict[str, Any] = {}

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
        if isinstance(layer, L.Residual):
            inner, y = self.one(layer.layer, joined(path, 0), x)
            return [(name, self.parts.Residual(self.alike(inner, y, x.first)))], Flow(
                x.shape, x.first, x.order
            )
        if isinstance(layer, L.Parallel):
            made = [self.one(one, joined(path, i), x) for i, one in enumerate(layer.layers)]
            y = merge(layer.merge, [flow for _, flow in made], layer.plan(x.shape)[1])
            modules = [self.alike(module, flow, y.first) for module, flow in made]
            return [(name, self.parts.Parallel(modules, self.merged(layer.merge, y)))], y
        if isinstance(layer, L.Graph):
            module, y = self.graph(layer, path, x)
            return [(name, module)], y
        return self.leaf(layer, path, x, name)

    def merged(self, how: str, y: Flow) -> Any:
        """Side by side on the axis of the channels."""
        return self.parts.Merged(how, 1 if y.first or len(y.shape) == 1 else len(y.shape))

    def alike(self, module: Any, flow: Flow, first: bool) -> Any:
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
            module, values[name] = self.one(used, joined(path, name), entries)
            if hasattr(self.nn.Module, name):
                raise UsageError(
                    f"a node called {name!r}", why="modules of PyTorch have an attribute of that name"
                )
            nodes.append((name, owner, given if isinstance(given, tuple) else (given,), module))
        ends = layer.outputs
        flow = tuple(values[k] for k in ends) if isinstance(ends, tuple) else values[ends]
        return self.parts.Graph(names, nodes, ends), flow

    def leaf(self, layer: Layer, path: str, x: Any, name: str) -> tuple[Steps, Any]:
        """One layer, between changes of layout where it needs another than its neighbours."""
        y = walk_leaf([], layer, path, x, True)
        try:
            if isinstance(x, tuple):
                return self.of_several(layer, path, x, y, name), y
            first, module = self.plain(layer, path, x, y)
        except Unknown as unknown:
            raise UsageError(
                f"layer {path or '0'} {type(layer).__name__} has no module of PyTorch's", why=str(unknown),
                fix="to_torch(model) gives the weights, for a module of your own",
            ) from None  # fmt: skip
        if path in self.weights:
            self.owners.setdefault(path, module)
        return self.between(name, module, x, y, first), y

    def between(self, name: str, module: Any, x: Flow, y: Flow, first: bool | None) -> Steps:
        """The module between changes of layout. first: the one that it takes and gives; None: any."""
        steps = [(name, module)]
        if first is not None and len(x.shape) > 1 and first != x.first:
            steps.insert(0, (f"{name}_permuted", self.permuted_to(x.shape, first)))
        now = x.first if first is None else first
        if len(y.shape) > 1 and now != y.first and not isinstance(module, self.nn.Unflatten):
            steps.append((f"{name}_back", self.permuted_to(y.shape, y.first)))
        return steps

    def of_several(self, layer: Layer, path: str, xs: tuple[Flow, ...], y: Flow, name: str) -> Steps:
        """A merge; attention with a mask of its keys."""
        if isinstance(layer, Merge):
            if len({x.first for x in xs}) > 1:
                raise Unknown("its inputs have their channels on different axes there")
            return [(name, self.merged(layer.merge, y))]
        if isinstance(layer, L.MultiHeadAttention) and layer.masked and not layer.cross:
            module = self.attention(layer, xs[0])
            self.owners.setdefault(path, module)
            return [(name, module)]
        raise Unknown("of several inputs merges and attention with a mask are known")

    def plain(self, layer: Layer, path: str, x: Flow, y: Flow) -> tuple[bool | None, Any]:
        """(the layout it needs, the module) of a layer of one input."""
        nn, parts, many = self.nn, self.parts, len(x.shape) > 1
        last: bool | None = False if many else None
        channels: bool | None = True if many else None
        bias = "bias" in self.weights.get(path, {})
        n = x.shape[-1] if x.shape else 1
        if type(layer) in POINTWISE:
            return None, POINTWISE[type(layer)](nn, layer)
        if isinstance(layer, L.Flatten):
            if not x.shape:
                raise Unknown("samples that are one number")
            return None, nn.Flatten()
        if isinstance(layer, L.Reshape):
            return self.reshaped(layer, x, y)
        if isinstance(layer, L.Rescale):
            return None, parts.Scaled(layer.scale, layer.offset)
        if isinstance(layer, L.Standardize):
            mean, std = np.asarray(layer.mean, np.float64), np.asarray(layer.std, np.float64)
            return last if mean.ndim or std.ndim else None, parts.Scaled(1 / std, -mean / std)
        if isinstance(layer, L.Dense):
            return last, nn.Linear(n, layer.units, bias)
        if isinstance(layer, L.Softmax | L.LogSoftmax):
            return last, (nn.Softmax if isinstance(layer, L.Softmax) else nn.LogSoftmax)(-1)
        if isinstance(layer, L.GLU):
            return last, nn.GLU(-1)
        if isinstance(layer, L.BatchNorm):
            classes = nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d
            return channels, classes[len(x.shape) - 1](n, layer.eps, layer.momentum)
        if isinstance(layer, L.LayerNorm):
            return last, nn.LayerNorm(n, layer.eps, bias=bias)
        if isinstance(layer, L.RMSNorm):
            return last, nn.RMSNorm(n, layer.eps)
        if isinstance(layer, L.GroupNorm | L.InstanceNorm):
            return channels, nn.GroupNorm(getattr(layer, "groups", n), n, layer.eps)
        if isinstance(layer, L.PReLU):
            return channels, nn.PReLU(1 if layer.shared else n)
        if isinstance(layer, L.Embedding):
            return None, nn.Embedding(layer.tokens, layer.width, layer.padding_idx)
        if isinstance(layer, L.PositionalEncoding):
            return self.positions(layer, x)
        if isinstance(layer, L.SpatialDropout):
            return channels, (nn.Dropout2d if len(x.shape) == 3 else nn.Dropout1d)(layer.rate)
        if isinstance(layer, L.GlobalAveragePool | L.GlobalMaxPool):
            return True, parts.Mean() if isinstance(layer, L.GlobalAveragePool) else parts.Largest()
        if isinstance(layer, L.MultiHeadAttention) and not layer.masked and not layer.cross:
            return None, self.attention(layer, x)
        if isinstance(layer, L.LSTM | L.GRU | L.SimpleRNN | L.Bidirectional):
            return None, self.recurrent(layer, path, n)
        if isinstance(layer, L.PaddingMask):
            return None, parts.Real(layer.pad)
        return channels, self.windowed(layer, path, x.shape)

    def reshaped(self, layer: L.Reshape, x: Flow, y: Flow) -> tuple[bool | None, Any]:
        """A row that layers made becomes images with their channels first: those layers' outputs are in that order."""
        shape = y.shape
        if len(x.shape) == 1 and y.first and x.makers:
            return None, self.nn.Unflatten(1, (shape[-1], *shape[:-1]))
        if not shape or not x.shape:
            raise Unknown("samples that are one number")
        if x.order is not None or (len(shape) == 1 and len(x.shape) > 1):
            raise Unknown("flattened images are reshaped")
        row = (
            self.nn.Sequential(self.nn.Flatten(), self.nn.Unflatten(1, shape))
            if len(shape) > 1
            else self.nn.Flatten()
        )
        return False, row

    def positions(self, layer: L.PositionalEncoding, x: Flow) -> tuple[bool, Any]:
        """Trained, or the waves as they are computed here."""
        if layer.kind == "learned":
            return False, self.parts.Positions(x.shape)
        raise Unknown("positions by waves")

    def attention(self, layer: L.MultiHeadAttention, x: Flow) -> Any:
        """Of one width, as PyTorch has it."""
        width = x.shape[-1]
        if layer.heads * (layer.size or width // layer.heads) != width:
            raise Unknown("heads that are not as wide together as their input")
        if layer.shared_heads != layer.heads or layer.value_size not in (None, width // layer.heads):
            raise Unknown("shared heads, or values of another size than keys")
        if layer.rotary or layer.attention_mask is not None:
            raise Unknown("rotary positions, or a mask for all samples")
        return self.parts.SelfAttention(width, layer.heads, layer.dropout, layer.causal, layer.bias)

    def windowed(self, layer: Layer, path: str, shape: tuple[int, ...]) -> Any:
        """Convolution, pooling, padding and enlarging: with the settings that ONNX's node of it has."""
        g, specs = Program(), layer.plan(shape)[0]
        p = tree_map(lambda _, spec: np.zeros(spec.shape, np.float32), specs)
        try:
            emit(g, layer, p, Value("x", shape, True))
        except UsageError as error:
            raise Unknown(error.what) from None
        if not g.nodes:
            warnings.warn(
                f"layer {path or '0'} {type(layer).__name__} acts in training alone: left out", stacklevel=2
            )
            return self.nn.Identity()
        nodes = [node for node in g.nodes if node.kind in WINDOWED]
        if len(nodes) != 1 or len(g.nodes) != 1:
            raise Unknown("no module there does the same")
        (node,) = nodes
        before, module = WINDOWED[node.kind](
            self.nn, node, g, shape, path in self.weights and self.weights[path]
        )
        if path in self.weights:
            self.owners[path] = module
        return module if before is None else self.nn.Sequential(before, module)

    def recurrent(self, layer: Any, path: str, n: int) -> Any:
        """The module of PyTorch, and behind it what takes its states."""
        both = isinstance(layer, L.Bidirectional)
        inner = layer.layer if both else layer
        if inner.masked or type(inner) not in (L.LSTM, L.GRU, L.SimpleRNN):
            raise Unknown("masks are sequences packed there")
        if inner.reverse or inner.initial_state or inner.return_state:
            raise Unknown(
                "modules there read backwards beside forwards alone, and their states come as tuples"
            )
        cls = {L.LSTM: self.nn.LSTM, L.GRU: self.nn.GRU, L.SimpleRNN: self.nn.RNN}[type(inner)]
        module = cls(n, inner.units, bias=inner.bias, batch_first=True, bidirectional=both)
        self.owners[path] = module
        return self.nn.Sequential(module, self.parts.States(inner.sequences))


def clipped(nn: Any, layer: L.Clip) -> Any:
    """PyTorch's clamp as a module."""
    low = -math.inf if layer.low is None else layer.low
    high = math.inf if layer.high is None else layer.high
    if low == high:
        raise Unknown("two limits that are one")
    return nn.Hardtanh(low, high)


POINTWISE: dict[type[Layer], Callable[[Any, Any], Any]] = {
    L.ReLU: lambda nn, layer: nn.ReLU(),
    L.LeakyReLU: lambda nn, layer: nn.LeakyReLU(layer.slope),
    L.ELU: lambda nn, layer: nn.ELU(layer.alpha),
    L.CELU: lambda nn, layer: nn.CELU(layer.alpha),
    L.SELU: lambda nn, layer: nn.SELU(),
    L.GELU: lambda nn, layer: nn.GELU("tanh" if layer.approximate else "none"),
    L.SiLU: lambda nn, layer: nn.SiLU(),
    L.Mish: lambda nn, layer: nn.Mish(),
    L.Sigmoid: lambda nn, layer: nn.Sigmoid(),
    L.LogSigmoid: lambda nn, layer: nn.LogSigmoid(),
    L.Tanh: lambda nn, layer: nn.Tanh(),
    L.Softplus: lambda nn, layer: nn.Softplus(),
    L.Softsign: lambda nn, layer: nn.Softsign(),
    L.Clip: lambda nn, layer: clipped(nn, layer),
    L.HardSigmoid: lambda nn, layer: nn.Hardsigmoid(),
    L.HardSwish: lambda nn, layer: nn.Hardswish(),
    L.HardTanh: lambda nn, layer: nn.Hardtanh(),
    L.Dropout: lambda nn, layer: nn.Dropout(layer.rate),
    L.AlphaDropout: lambda nn, layer: nn.AlphaDropout(layer.rate),
}
"""Layers without positions, each a module of PyTorch's by its own name."""
