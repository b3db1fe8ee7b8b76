"""One sample through a chain of Dense and ReLU: one call of compiled code, or a flat list of products.

A sample takes microseconds, most of which would go to checks, contexts and the walk through the layers. The list, made
once for a network's weights, calls the kernels that the layers call, with the same bits as a result; compiled
code adds up in another order, and every way to ask for one sample goes through it.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from xpnn.backends.base import Backend
from xpnn.backends.dense_slots import DenseSlot
from xpnn.backends.in_place import by_identity
from xpnn.kernels import Array
from xpnn.layers.activation import ReLU
from xpnn.layers.base import Layer, Tree
from xpnn.layers.dense import Dense
from xpnn.layers.dropout import Dropout
from xpnn.layers.sequential import Sequential
from xpnn.parameters import Layout

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


def outputs_of_one(net: Any, layout: Layout, be: Backend) -> Callable[[Array, Array, Array], Array | None]:
    """f(theta, phi, x): the outputs (1, n_out) of a sample (1, n_in) of such a chain; None where x is not finite."""
    if compiled := be.one_sample(slots_of(net, layout)):
        return lambda theta, phi, x: compiled(theta, x)
    products = by_identity(lambda theta, phi: products_of(net, layout.split(be, theta, phi)))
    made = be.for_one_sample(through)

    def outputs(theta: Array, phi: Array, x: Array) -> Array | None:
        with be.device_context():
            return made(be, products(theta, phi), x) if be.all_finite(x) else None

    return outputs


def slots_of(net: Any, layout: Layout) -> tuple[DenseSlot, ...]:
    """The chain by the places of its weights."""
    found: list[DenseSlot] = []
    for layer, own in zip(net.layers, layout.plan, strict=True):
        if type(layer) is Dense:
            n_in, units = own["W"].shape
            found.append(DenseSlot(own["W"].start, own["b"].start, n_in, units, relu=False))
        elif type(layer) is ReLU:
            found[-1] = found[-1]._replace(relu=True)
    return tuple(found)


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
