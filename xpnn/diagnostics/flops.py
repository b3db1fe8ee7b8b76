"""How many floating-point operations one sample costs on its way forward.

An addition and a multiplication count 1 each, so a multiply-add is 2. A product with a matrix (n_in, n_out) is
2 n_in n_out, its bias included: n_in products and n_in additions for each output. A convolution is
2 taps (c_in / groups) filters places, pads counted like values. A recurrent layer is its two products at every
time. Pooling costs 1 for each tap; what only moves values, or does nothing outside of training, 0; everything else 1
for each output. A container costs what is in it.
"""

import math
from functools import singledispatch
from typing import Any

from xpnn import layers as L
from xpnn.layers.base import Shape, is_multiple
from xpnn.layers.conv import Convolution
from xpnn.layers.conv_transpose import TransposedConvolution
from xpnn.layers.pool import Pooling
from xpnn.trees import leaves
from xpnn.window import per_axis


@singledispatch
def flops(layer: L.Layer, shape: Shape) -> int:
    """FLOPs of the forward pass of one sample of `shape`. For your own layer: `@flops.register(MyLayer)`."""
    inner = layer.children(shape)
    return sum(flops(part, given) for _, part, given in inner) if inner else outputs(layer, shape)


def outputs(layer: L.Layer, shape: Shape) -> int:
    """Return the number of outputs for one sample."""
    out = layer.plan(shape)[1]
    return sum(map(math.prod, out)) if is_multiple(out) else math.prod(out)


def weights(layer: L.Layer, shape: Shape) -> int:
    """Return the number of entries of its matrices, without biases and gains."""
    return sum(math.prod(spec.shape) for _, spec in leaves(layer.plan(shape)[0]) if len(spec.shape) > 1)


@flops.register(L.Dense)
@flops.register(L.Maxout)
@flops.register(Convolution)
def _(layer: L.Layer, shape: Shape) -> int:
    """A multiply-add for every weight at every position of the output."""
    return 2 * weights(layer, shape) * math.prod(layer.plan(shape)[1][:-1])


@flops.register(L.SimpleRNN)
@flops.register(L.GRU)
@flops.register(L.LSTM)
def _(layer: L.Layer, shape: Shape) -> int:
    """A multiply-add for every weight at every time step."""
    return 2 * weights(layer, shape) * int((shape[0] if is_multiple(shape) else shape)[0])


@flops.register(TransposedConvolution)
def _(layer: TransposedConvolution, shape: Shape) -> int:
    """A multiply-add for every weight at every position of the input."""
    return 2 * weights(layer, shape) * math.prod(shape[:-1])


@flops.register(L.SeparableConv2D)
def _(layer: L.SeparableConv2D, shape: Shape) -> int:
    """The FLOPs of its two convolutions."""
    depth = layer.depth(shape[-1])
    return flops(depth, shape) + flops(layer.point(), depth.plan(shape)[1])


@flops.register(L.MultiHeadAttention)
def _(layer: L.MultiHeadAttention, shape: Any) -> int:
    """q and o at every time of x, k and v at every step of the memory, and two products of times and steps."""
    time, features = shape[0] if is_multiple(shape) else shape
    steps, known = shape[1] if layer.cross else (time, features)
    size = layer.size or features // layer.heads
    value = layer.value_size or size
    own, shared = layer.heads * (size + value), layer.shared_heads * (size + value)
    return int(2 * (time * features * own + steps * known * shared + time * steps * own))


@flops.register(L.Graph)
def _(layer: L.Graph, shape: Shape) -> int:
    """The sum over nodes; a shared layer counts at each use."""
    return sum(flops(part, given) for _, part, given in layer.uses(shape))


@flops.register(L.PositionalEncoding)
@flops.register(L.Offset)
@flops.register(L.Scale)
def _(layer: L.Layer, shape: Shape) -> int:
    """One addition or product for each output."""
    return outputs(layer, shape)


@flops.register(L.Add)
@flops.register(L.Multiply)
@flops.register(L.Average)
def _(layer: L.Layer, shape: Any) -> int:
    """One operation between every two inputs; a mean also divides."""
    return (len(shape) - 1 + isinstance(layer, L.Average)) * outputs(layer, shape)


@flops.register(Pooling)
def _(layer: Pooling, shape: Shape) -> int:
    return math.prod(per_axis(layer.pool, layer.axes)) * outputs(layer, shape)


@flops.register(L.AdaptiveAvgPool)
@flops.register(L.GlobalAveragePool)
@flops.register(L.GlobalMaxPool)
def _(layer: L.Layer, shape: Shape) -> int:
    return math.prod(shape)


@flops.register(L.Concatenate)
@flops.register(L.Flatten)
@flops.register(L.Reshape)
@flops.register(L.Pad)
@flops.register(L.SelectOutput)
@flops.register(L.ZeroPad2D)
@flops.register(L.UpSampling2D)
@flops.register(L.Embedding)
@flops.register(L.Dropout)
@flops.register(L.SpatialDropout)
@flops.register(L.AlphaDropout)
@flops.register(L.GaussianNoise)
def _(layer: L.Layer, shape: Shape) -> int:
    return 0


@flops.register(L.Recompute)
def _(layer: L.Recompute, shape: Shape) -> int:
    """The FLOPs of f, which the forward pass runs once."""
    return flops(layer.layer, shape)


@flops.register(L.Residual)
def _(layer: L.Residual, shape: Shape) -> int:
    """The FLOPs of f, and the addition."""
    return flops(layer.layer, shape) + outputs(layer, shape)


@flops.register(L.Parallel)
def _(layer: L.Parallel, shape: Shape) -> int:
    """The FLOPs of all branches, and of the merge."""
    merges = {"concatenate": 0, "average": len(layer.layers)}.get(layer.merge, len(layer.layers) - 1)
    return sum(flops(part, shape) for part in layer.layers) + merges * outputs(layer, shape)
