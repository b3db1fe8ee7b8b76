"""One sample through a chain of Dense and ReLU: what the backend must know to compute it in one go.

A sample takes microseconds, most of which would go to checks, contexts and the walk through the layers.
"""

from typing import Any

from xpnn.backends.dense_slots import DenseSlot
from xpnn.layers.activation import ReLU
from xpnn.layers.base import Layer
from xpnn.layers.dense import Dense
from xpnn.layers.dropout import Dropout
from xpnn.layers.sequential import Sequential
from xpnn.parameters import Layout


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


def slots_of(net: Any, layout: Layout) -> tuple[DenseSlot, ...]:
    """The Dense layers of a chain, by the places of their weights."""
    found: list[DenseSlot] = []
    for layer, own in zip(net.layers, layout.plan, strict=True):
        if type(layer) is Dense:
            n_in, units = own["W"].shape
            found.append(DenseSlot(own["W"].start, own["b"].start, n_in, units, relu=False))
        elif type(layer) is ReLU:
            found[-1] = found[-1]._replace(relu=True)
    return tuple(found)
