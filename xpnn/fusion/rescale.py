"""A network that begins with Rescale, trained on samples that are gathered from the data by their index."""

from typing import Any

from xpnn.backends.base import Backend
from xpnn.kernels import Array
from xpnn.layers.base import Ctx, Layer
from xpnn.layers.scale import Rescale
from xpnn.layers.sequential import Sequential
from xpnn.layers.shape import Flatten, Reshape
from xpnn.parameters import gather


def split_rescale(net: Layer) -> tuple[Rescale | None, Layer]:
    """The Rescale that a chain begins with, and the chain without it; (None, net) for others.

    Only layers that move elements may stand before it. An empty chain takes its place, so that every other layer keeps
    its path.
    """
    layers = net.layers if type(net) is Sequential else ()
    for i, layer in enumerate(layers):
        if type(layer) is Rescale:
            return layer, Sequential((*layers[:i], Sequential(()), *layers[i + 1 :]))
        if type(layer) not in (Flatten, Reshape):
            break
    return None, net


def gather_rescaled(be: Backend, x: Any, rows: Array, rescale: Rescale | None) -> Any:
    """The samples x[rows], rescaled as they are gathered: bytes become the model's numbers in one pass."""
    return (
        gather(be, x, rows) if rescale is None else be.take_rescaled(x, rows, rescale.scale, rescale.offset)
    )


def rescaled(be: Backend, x: Array, rescale: Rescale) -> Array:
    """What the layer makes of a batch."""
    cx = Ctx(be, train=True)
    return rescale.forward(cx, {}, x)[0]
