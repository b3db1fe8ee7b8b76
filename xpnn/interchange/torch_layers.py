"""One layer as a module of PyTorch's own, and the layout that it needs."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.errors import UsageError
from xpnn.interchange.leaves import Flow
from xpnn.interchange.program import Program, Value
from xpnn.interchange.table import emit
from xpnn.interchange.torch_tensors import projected_widths
from xpnn.interchange.torch_windows import WINDOWED, Unknown
from xpnn.layers.base import Layer
from xpnn.layers.merge_inputs import Merge
from xpnn.trees import tree_map
from xpnn.window import per_axis

Made = tuple[bool | None, Any]
"""Whether the channels come first in it (None: it takes any layout), and the module."""


def module_and_layout(b: Any, layer: Layer, path: str, x: Any, y: Any) -> Made:
    """Raises Unknown for a layer that PyTorch has no module of. b: the `Builder`; x, y: what goes in and comes out."""
    if isinstance(layer, L.LSTM | L.GRU | L.SimpleRNN | L.Bidirectional):
        return False, recurrent(b, layer, path, x)
    if isinstance(layer, L.MultiHeadAttention):
        return False, attention(b, layer, path, x)
    if isinstance(layer, Merge):
        if not isinstance(x, tuple):
            raise Unknown("one value is merged")
        if len({one.first for one in x}) > 1 or len({len(one.shape) for one in x}) > 1:
            raise Unknown("its inputs have their channels on different axes there")
        return None, b.merged(layer.merge, y)
    if isinstance(layer, L.SelectOutput):
        return None, b.parts.Selected(layer.index)
    if isinstance(x, tuple) or isinstance(y, tuple):
        raise Unknown("it takes or gives several values")
    return of_one(b, layer, path, x, y)


def of_one(b: Any, layer: Layer, path: str, x: Flow, y: Flow) -> Made:
    """A layer of one input and one output."""
    nn, parts, many = b.nn, b.parts, len(x.shape) > 1
    last: bool | None = False if many else None
    channels: bool | None = True if many else None
    bias = "bias" in b.weights.get(path, {})
    n = x.shape[-1] if x.shape else 1
    if type(layer) in POINTWISE:
        return None, POINTWISE[type(layer)](nn, layer)
    if isinstance(layer, L.Flatten):
        if not x.shape:
            raise Unknown("samples that are one number")
        return None, nn.Flatten()
    if isinstance(layer, L.Reshape):
        return reshaped(b, x, y)
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
    if isinstance(layer, L.PositionalEncoding) and layer.kind == "learned":
        return False, parts.Positions(x.shape)
    if isinstance(layer, L.SpatialDropout):
        return channels, (nn.Dropout2d if len(x.shape) == 3 else nn.Dropout1d)(layer.rate)
    if isinstance(layer, L.GlobalAveragePool | L.GlobalMaxPool):
        return True, parts.Mean() if isinstance(layer, L.GlobalAveragePool) else parts.Largest()
    if isinstance(layer, L.AdaptiveAvgPool):
        pools = nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d
        return True, pools[len(x.shape) - 2](per_axis(layer.size, len(x.shape) - 1))
    if (
        isinstance(layer, L.LocalResponseNorm) and many and layer.size % 2
    ):  # even ones see other neighbours there
        return True, nn.LocalResponseNorm(layer.size, layer.alpha, layer.beta, layer.k)
    if isinstance(layer, L.PaddingMask):
        return None, parts.Real(layer.pad)
    return channels, windowed(b, layer, path, x.shape)


def reshaped(b: Any, x: Flow, y: Flow) -> Made:
    """A row that layers made becomes images with their channels first: those layers' outputs are in that order."""
    nn, shape = b.nn, y.shape
    if len(x.shape) == 1 and y.first and x.makers:
        return None, nn.Unflatten(1, (shape[-1], *shape[:-1]))
    if not shape or not x.shape:
        raise Unknown("samples that are one number")
    if x.order is not None or (len(shape) == 1 and len(x.shape) > 1):
        raise Unknown("flattened images are reshaped")
    row = nn.Sequential(nn.Flatten(), nn.Unflatten(1, shape)) if len(shape) > 1 else nn.Flatten()
    return False, row


def attention(b: Any, layer: L.MultiHeadAttention, path: str, x: Any) -> Any:
    """nn.MultiheadAttention where that has all settings, else a module with the names of its parameters."""
    xs = x if isinstance(x, tuple) else (x,)
    width = xs[0].shape[-1]
    widths = projected_widths(layer, width)
    more = layer.cross or layer.masked or layer.rotary or layer.attention_mask is not None
    if set(widths) == {width} and not more:
        return b.parts.SelfAttention(width, layer.heads, layer.dropout, layer.causal, layer.bias)
    mask = None if layer.attention_mask is None else b.parameter(path, "mask")
    return b.sequences.Attention(layer, b.weights[path], widths, mask)


def recurrent(b: Any, layer: Any, path: str, x: Any) -> Any:
    """The module of PyTorch, inside one that takes and gives masks and states as the layer here does."""
    both = isinstance(layer, L.Bidirectional)
    inner = layer.layer if both else layer
    n = (x[0] if isinstance(x, tuple) else x).shape[-1]
    classes = {L.LSTM: b.nn.LSTM, L.GRU: b.nn.GRU, L.SimpleRNN: b.nn.RNN}
    if type(inner) not in classes:
        raise Unknown("a recurrent layer of another kind")
    module = classes[type(inner)](n, inner.units, bias=inner.bias, batch_first=True, bidirectional=both)
    b.owners.setdefault(path, module)
    if not both:  # one that reads backwards has a module that reads forwards, of what is turned around
        b.weights[path] = {key.removesuffix("_reverse"): a for key, a in b.weights[path].items()}
    return b.sequences.Recurrent(module, inner)


def windowed(b: Any, layer: Layer, path: str, shape: tuple[int, ...]) -> Any:
    """Convolution, pooling, padding and enlarging: with the settings of its ONNX node."""
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
        return b.nn.Identity()
    (node,) = g.nodes if len(g.nodes) == 1 else (None,)
    if node is None or node.kind not in WINDOWED:
        raise Unknown("no module there does the same")
    before, module, behind = WINDOWED[node.kind](b.nn, node, g, shape, b.weights.get(path, {}))
    if path in b.weights:
        b.owners.setdefault(path, module)
    around = [one for one in (before, module, behind) if one is not None]
    return module if len(around) == 1 else b.nn.Sequential(*around)


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
