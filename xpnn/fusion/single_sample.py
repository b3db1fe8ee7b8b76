"""One sample through a chain of Dense and ReLU: a flat list of products, made once for a network's weights.

A sample takes microseconds, most of which would go to checks, contexts and the walk through the layers. The list calls
the kernels that the layers call, with the same bits as a result.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.layers.activation import ReLU
from xpnn.layers.base import Layer, Tree
from xpnn.layers.dense import Dense
from xpnn.layers.dropout import Dropout
from xpnn.layers.sequential import Sequential

Product: TypeAlias = tuple[Array, Array, bool]
"""W, b, and whether a ReLU follows."""


def is_chain(net: Layer) -> bool:
    """Whether the network is a Sequential of Dense layers with a bias, each with a ReLU behind it or none.

    Dropout may stand anywhere: a prediction leaves it out.
    """
    if type(net) is not Sequential:
        return False
    layers = [layer for layer in net.layers if type(layer) is not Dropout]
    kinds = [type(layer) for layer in layers]
    dense = all(layer.bias for layer in layers if isinstance(layer, Dense))
    pairs = zip([ReLU, *kinds], kinds, strict=False)
    return Dense in kinds and dense and all(two in ALLOWED for two in pairs)


ALLOWED = ((ReLU, Dense), (Dense, Dense), (Dense, ReLU))


def products_of(net: Any, p: Sequence[Tree]) -> tuple[Product, ...]:
    """The list for a chain with these parameters."""
    found: list[Product] = []
    for layer, own in zip(net.layers, p, strict=True):
        if type(layer) is Dense:
            found.append((own["W"], own["b"], False))
        elif type(layer) is ReLU:
            found[-1] = (*found[-1][:2], True)
    return tuple(found)


def through(be: Backend, products: tuple[Product, ...], x: Any) -> Any:
    """The outputs (1, n_out) of a sample (1, n_in)."""
    for W, b, relu in products:
        x = be.add_bias(be.matmul(x, W), b, relu)
    return x
