"""A small residual network."""

from collections.abc import Sequence

from xpnn import layers as L
from xpnn.models.activations import get_activation, weights
from xpnn.models.mlp import dense, entrance


def resnet(
    input_shape: Sequence[int],
    classes: int,
    *,
    filters: Sequence[int] = (32, 64),
    hidden: Sequence[int] = (),
    activation: str = "relu",
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    pixels: bool = False,
) -> list[L.Layer]:
    """A convolution 3x3 and a 2x2 maximum, a block for each of `filters`, the mean over the image, dense layers.

    A block is y = act(s(x) + f(x)), f two convolutions 3x3 with batch norm; every block but the first halves height
    and width, and its s is a convolution 1x1. For images of about 28x28.
    Source: He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016.
    """
    layers = [*entrance(pixels, input_dropout), *normed(filters[0], 3, 1, activation)]
    layers += [get_activation(activation), L.MaxPool2D(2)]
    channels = filters[0]
    for i, n in enumerate(filters):
        layers += block(channels, n, 1 if i == 0 else 2, activation)
        channels = n
    dropped = [L.Dropout(dropout)] if dropout else []
    return [*layers, L.GlobalAveragePool(), *dropped, *dense(hidden, classes, activation, dropout)]


def normed(filters: int, kernel: int, stride: int, activation: str) -> list[L.Layer]:
    """A convolution with batch norm."""
    return [L.Conv2D(filters, kernel, stride, "same", init=weights(activation)), L.BatchNorm()]


def block(channels: int, filters: int, stride: int, activation: str) -> list[L.Layer]:
    """act(s(x) + f(x)); s is the identity where nothing changes the shape."""
    inner = [*normed(filters, 3, stride, activation), get_activation(activation)]
    f = L.Sequential((*inner, *normed(filters, 3, 1, activation)))
    if stride == 1 and channels == filters:
        return [L.Residual(f), get_activation(activation)]
    s = L.Sequential(tuple(normed(filters, 1, stride, activation)))
    return [L.Parallel((s, f), "add"), get_activation(activation)]
