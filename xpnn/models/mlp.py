"""Dense layers in a row."""

from collections.abc import Sequence

from xpnn.layers import Dense, Dropout, Flatten, Layer, Rescale
from xpnn.models.activations import get_activation, weights


def mlp(
    input_shape: Sequence[int],
    classes: int,
    *,
    hidden: Sequence[int] = (512, 256),
    activation: str = "relu",
    dropout: float = 0.0,
    input_dropout: float = 0.0,
    pixels: bool = False,
) -> list[Layer]:
    """Dense layers of the widths `hidden`, each with its activation and dropout, then Dense(classes): logits.

    input_dropout: of the samples themselves (Srivastava et al., JMLR 2014, use 0.2 for images).
    pixels: the samples are bytes from 0 to 255, brought to [0, 1] by the first layer. No `hidden` at all is
    softmax regression. Raises UsageError for an unknown activation.
    """
    layers: list[Layer] = [Flatten()] if len(input_shape) > 1 else []
    return [*layers, *entrance(pixels, input_dropout), *dense(hidden, classes, activation, dropout)]


def entrance(pixels: bool, input_dropout: float) -> list[Layer]:
    """What comes before the first layer with weights."""
    layers: list[Layer] = [Rescale(1 / 255)] if pixels else []
    return [*layers, Dropout(input_dropout)] if input_dropout else layers


def dense(hidden: Sequence[int], classes: int, activation: str, dropout: float) -> list[Layer]:
    """The dense layers at the end of every model, on flat samples."""
    layers: list[Layer] = []
    get_activation(activation)  # an unknown name is an error without hidden layers, too
    for units in hidden:
        layers += [Dense(units, init=weights(activation)), get_activation(activation)]
        if dropout:
            layers.append(Dropout(dropout))
    return [*layers, Dense(classes)]
