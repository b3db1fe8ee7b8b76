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

from xpnn.layers import (
    GRU,
    LSTM,
    AdaptiveAvgPool,
    Add,
    AlphaDropout,
    Average,
    Concatenate,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAveragePool,
    GlobalMaxPool,
    Graph,
    Layer,
    Maxout,
    MultiHeadAttention,
    Multiply,
    Offset,
    Pad,
    Parallel,
    PositionalEncoding,
    Recompute,
    Reshape,
    Residual,
    Scale,
    SelectOutput,
    SeparableConv2D,
    SimpleRNN,
    SpatialDropout,
    UpSampling2D,
    ZeroPad2D,
)
from xpnn.layers.base import Shape, is_multiple
from xpnn.layers.conv import Convolution
from xpnn.layers.conv_transpose import TransposedConvolution
from xpnn.layers.pool import Pooling
from xpnn.trees import leaves
from xpnn.window import per_axis


@singledispatch
def flops(layer: Layer, shape: Shape) -> int:
    """FLOPs of the forward pass of one sample of `shape`. For your own layer: `@flops.register(MyLayer)`."""
    inner = layer.children(shape)
    return sum(flops(part, given) for _, part, given in inner) if inner else outputs(layer, shape)


def outputs(layer: Layer, shape: Shape) -> int:
    """Return the number of outputs for one sample."""
    out = layer.plan(shape)[1]
    return sum(map(math.prod, out)) if is_multiple(out) else math.prod(out)


def weights(layer: Layer, shape: Shape) -> int:
    """Return the number of entries of its matrices, without biases and gains."""
    return sum(math.prod(spec.shape) for _, spec in leaves(layer.plan(shape)[0]) if len(spec.shape) > 1)


@flops.register(Dense)
@flops.register(Maxout)
@flops.register(Convolution)
def _(layer: Layer, shape: Shape) -> int:
    """A multiply-add for every weight at every position of the output."""
    return 2 * weights(layer, shape) * math.prod(layer.plan(shape)[1][:-1])


@flops.register(SimpleRNN)
@flops.register(GRU)
@flops.register(LSTM)
def _(layer: Layer, shape: Shape) -> int:
    """A multiply-add for every weight at every time step."""
    return 2 * weights(layer, shape) * int((shape[0] if is_multiple(shape) else shape)[0])


@flops.register(TransposedConvolution)
def _(layer: TransposedConvolution, shape: Shape) -> int:
    """A multiply-add for every weight at every position of the input."""
    return 2 * weights(layer, shape) * math.prod(shape[:-1])


@flops.register(SeparableConv2D)
def _(layer: SeparableConv2D, shape: Shape) -> int:
    """The FLOPs of its two convolutions."""
    depth = layer.depth(shape[-1])
    return flops(depth, shape) + flops(layer.point(), depth.plan(shape)[1])


@flops.register(MultiHeadAttention)
def _(layer: MultiHeadAttention, shape: Any) -> int:
    """q and o at every time of x, k and v at every step of the memory, and two products of times and steps."""
    time, features = shape[0] if is_multiple(shape) else shape
    steps, known = shape[1] if layer.cross else (time, features)
    size = layer.size or features // layer.heads
    value = layer.value_size or size
    own, shared = layer.heads * (size + value), layer.shared_heads * (size + value)
    return int(2 * (time * features * own + steps * known * shared + time * steps * own))


@flops.register(Graph)
def _(layer: Graph, shape: Shape) -> int:
    """The sum over nodes; a shared layer counts at each use."""
    return sum(flops(part, given) for _, part, given in layer.uses(shape))


@flops.register(PositionalEncoding)
@flops.register(Offset)
@flops.register(Scale)
def _(layer: Layer, shape: Shape) -> int:
    """One addition or product for each output."""
    return outputs(layer, shape)


@flops.register(Add)
@flops.register(Multiply)
@flops.register(Average)
def _(layer: Layer, shape: Any) -> int:
    """One operation between every two inputs; a mean also divides."""
    return (len(shape) - 1 + isinstance(layer, Average)) * outputs(layer, shape)


@flops.register(Pooling)
def _(layer: Pooling, shape: Shape) -> int:
    return math.prod(per_axis(layer.pool, layer.axes)) * outputs(layer, shape)


@flops.register(AdaptiveAvgPool)
@flops.register(GlobalAveragePool)
@flops.register(GlobalMaxPool)
def _(layer: Layer, shape: Shape) -> int:
    return math.prod(shape)


@flops.register(Concatenate)
@flops.register(Flatten)
@flops.register(Reshape)
@flops.register(Pad)
@flops.register(SelectOutput)
@flops.register(ZeroPad2D)
@flops.register(UpSampling2D)
@flops.register(Embedding)
@flops.register(Dropout)
@flops.register(SpatialDropout)
@flops.register(AlphaDropout)
@flops.register(GaussianNoise)
def _(layer: Layer, shape: Shape) -> int:
    return 0


@flops.register(Recompute)
def _(layer: Recompute, shape: Shape) -> int:
    """The FLOPs of f, which the forward pass runs once."""
    return flops(layer.layer, shape)


@flops.register(Residual)
def _(layer: Residual, shape: Shape) -> int:
    """The FLOPs of f, and the addition."""
    return flops(layer.layer, shape) + outputs(layer, shape)


@flops.register(Parallel)
def _(layer: Parallel, shape: Shape) -> int:
    """The FLOPs of all branches, and of the merge."""
    merges = {"concatenate": 0, "average": len(layer.layers)}.get(layer.merge, len(layer.layers) - 1)
    return sum(flops(part, shape) for part in layer.layers) + merges * outputs(layer, shape)
