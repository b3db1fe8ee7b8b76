"""Convolutions, then dense layers."""

from collections.abc import Sequence

from xpnn.layers import Conv2D, Dropout, Flatten, Layer, MaxPool2D
from xpnn.models.activations import get_activation, weights
from xpnn.models.mlp import dense, entrance


def cnn(
    input_shape: Sequence[int],
    classes: int,
    *,
    filters: Sequence[int] = (32, 64),
    hidden: Sequence[int] = (256,),
    activation: str = "relu",
    dropout: float = 0.5,
    input_dropout: float = 0.0,
    pixels: bool = False,
) -> list[Layer]:
    """Padded convolutions 3x3, `filters` of them, each with its activation and a 2x2 maximum, then dense layers.

    What the convolutions give is dropped at half the rate `dropout`.
    """
    layers = entrance(pixels, input_dropout)
    for n in filters:
        conv = Conv2D(n, 3, padding="same", init=weights(activation))
        layers += [conv, get_activation(activation), MaxPool2D(2)]
    dropped = [Dropout(dropout / 2)] if dropout else []
    return [*layers, Flatten(), *dropped, *dense(hidden, classes, activation, dropout)]
