"""A recurrent network that reads an image row by row."""

from collections.abc import Sequence

from xpnn.layers import LSTM, Dropout, Layer, Reshape
from xpnn.models.mlp import dense, entrance


def rnn(
    input_shape: Sequence[int],
    classes: int,
    *,
    hidden: Sequence[int] = (128,),
    activation: str = "relu",
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    pixels: bool = False,
) -> list[Layer]:
    """The rows of an image as a sequence, an LSTM of `hidden[0]` units, then dense layers on its last state.

    Source: Le, Jaitly, Hinton, "A simple way to initialize recurrent networks", 2015, read MNIST as a sequence.
    """
    layers = entrance(pixels, input_dropout)
    if len(input_shape) == 3:
        rows, columns, channels = input_shape
        layers.append(Reshape((rows, columns * channels)))
    dropped = [Dropout(dropout)] if dropout else []
    units, *widths = hidden or (128,)
    return [*layers, LSTM(units), *dropped, *dense(widths, classes, activation, dropout)]
