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
    hidden: Sequence[int] = (128,),
    activation: str = "relu",
    dropout: float = 0.5,
    input_dropout: float = 0.0,
    pixels: bool = False,
) -> list[Layer]:
    """Convolutions 3x3 with `filters`, each with its activation and a 2x2 maximum, then the dense layers of `mlp`.

    What the convolutions give is dropped at half the rate `dropout`.
    """
    layers = entrance(pixels, input_dropout)
    for n in filters:
        layers += [Conv2D(n, 3, init=weights(activation)), get_activation(activation), MaxPool2D(2)]
    dropped = [Dropout(dropout / 2)] if dropout else []
    return [*layers, Flatten(), *dropped, *dense(hidden, classes, activation, dropout)]
