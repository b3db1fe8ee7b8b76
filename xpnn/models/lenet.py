"""LeNet-5, as nearly as layers of today make it."""

from collections.abc import Sequence

from xpnn.layers import AvgPool2D, Conv2D, Flatten, Layer
from xpnn.models.activations import get_activation, weights
from xpnn.models.mlp import dense, entrance


def lenet(
    input_shape: Sequence[int],
    classes: int,
    *,
    hidden: Sequence[int] = (120, 84),
    activation: str = "tanh",
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    pixels: bool = False,
) -> list[Layer]:
    """Two 5x5 convolutions of 6 and 16 filters, each with its activation and a 2x2 mean, then dense layers.

    Source: LeNet-5 (LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86, 1998), with every filter seeing every channel, plain
    means, and logits at the end.
    """
    layers = entrance(pixels, input_dropout)
    for n, padding in ((6, "same"), (16, "valid")):
        conv = Conv2D(n, 5, padding=padding, init=weights(activation))
        layers += [conv, get_activation(activation), AvgPool2D(2)]
    return [*layers, Flatten(), *dense(hidden, classes, activation, dropout)]
