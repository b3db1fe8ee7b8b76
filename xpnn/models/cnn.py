"""Convolutions, then dense layers."""

from collections.abc import Sequence

from xpnn.layers import Conv2D, Dropout, Flatten, Layer, MaxPool2D
from xpnn.models.activations import get_activation, weights
from xpnn.models.mlp import dense, entrance


def cnn(
    input_shape: Sequence[int],
    classes: int,
    *,
    filters: Sequence[int | Sequence[int]] = (32, 64),
    kernel: int = 3,
    padding: str = "same",
    hidden: Sequence[int] = (256,),
    activation: str = "relu",
    dropout: float = 0.5,
    input_dropout: float = 0.0,
    pixels: bool = False,
) -> list[Layer]:
    """Convolutions 3x3, each with its activation, a 2x2 maximum after each entry of `filters`, then dense layers.

    An entry is the filters of one convolution or, as a sequence, of several in a row. kernel: the size of the first.
    What the convolutions give is dropped at half the rate `dropout`.
    """
    layers = entrance(pixels, input_dropout)
    size = kernel
    for entry in filters:
        for n in [entry] if isinstance(entry, int) else entry:
            layers += [Conv2D(n, size, padding=padding, init=weights(activation)), get_activation(activation)]
            size = 3
        layers.append(MaxPool2D(2))
    dropped = [Dropout(dropout / 2)] if dropout else []
    return [*layers, Flatten(), *dropped, *dense(hidden, classes, activation, dropout)]
