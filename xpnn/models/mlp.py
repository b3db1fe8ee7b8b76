"""The models known by name, as the command line takes them: `xpnn train --model mlp`."""

from collections.abc import Callable, Sequence
from typing import Any

from xpnn.errors import UsageError, did_you_mean
from xpnn.initializers import Initializer, glorot_uniform, he_normal, lecun_normal
from xpnn.layers import (
    CELU,
    ELU,
    GELU,
    SELU,
    AvgPool2D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    HardSigmoid,
    HardSwish,
    HardTanh,
    Layer,
    LeakyReLU,
    LogSigmoid,
    MaxPool2D,
    Mish,
    PReLU,
    ReLU,
    Rescale,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
)

ACTIVATIONS: dict[str, Callable[[], Layer]] = {
    "relu": ReLU,
    "leaky-relu": LeakyReLU,
    "elu": ELU,
    "softplus": Softplus,
    "sigmoid": Sigmoid,
    "tanh": Tanh,
    "gelu": GELU,
    "silu": SiLU,
    "mish": Mish,
    "selu": SELU,
    "celu": CELU,
    "prelu": PReLU,
    "hard-sigmoid": HardSigmoid,
    "hard-swish": HardSwish,
    "hard-tanh": HardTanh,
    "softsign": Softsign,
    "log-sigmoid": LogSigmoid,
}
SQUASHING = ("sigmoid", "tanh", "hard-sigmoid", "hard-tanh", "softsign")
"""Activations whose weights are drawn as Glorot and Bengio (2010) do; the others' as He et al. (2015) do.

SELU's are drawn as LeCun et al. (1998) do: its constants assume so.
"""


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
    if activation not in ACTIVATIONS:
        raise UsageError(f"unknown activation {activation!r}", fix=did_you_mean(activation, ACTIVATIONS))
    init = weights(activation)
    layers: list[Layer] = [Flatten()] if len(input_shape) > 1 else []
    if pixels:
        layers.append(Rescale(1 / 255))
    if input_dropout:
        layers.append(Dropout(input_dropout))
    for units in hidden:
        layers += [Dense(units, init=init), ACTIVATIONS[activation]()]
        if dropout:
            layers.append(Dropout(dropout))
    return [*layers, Dense(classes)]


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
    head = mlp((1,), classes, hidden=hidden, activation=activation, dropout=dropout)
    layers: list[Layer] = [Rescale(1 / 255)] if pixels else []
    if input_dropout:
        layers.append(Dropout(input_dropout))
    for n in filters:
        layers += [Conv2D(n, 3, init=weights(activation)), ACTIVATIONS[activation](), MaxPool2D(2)]
    return [*layers, Flatten(), *([Dropout(dropout / 2)] if dropout else []), *head]


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
    head = mlp((1,), classes, hidden=hidden, activation=activation, dropout=dropout)
    layers: list[Layer] = [Rescale(1 / 255)] if pixels else []
    if input_dropout:
        layers.append(Dropout(input_dropout))
    for n, padding in ((6, "same"), (16, "valid")):
        conv = Conv2D(n, 5, padding=padding, init=weights(activation))
        layers += [conv, ACTIVATIONS[activation](), AvgPool2D(2)]
    return [*layers, Flatten(), *head]


def weights(activation: str) -> Initializer:
    """How weights before that activation are drawn."""
    if activation == "selu":
        return lecun_normal
    return glorot_uniform if activation in SQUASHING else he_normal


MODELS: dict[str, Callable[..., list[Layer]]] = {"mlp": mlp, "cnn": cnn, "lenet": lenet}


def build(name: str, input_shape: Sequence[int], classes: int, **settings: Any) -> list[Layer]:
    """The layers of the model called `name`; see the function of that name. Raises UsageError for an unknown one."""
    if name not in MODELS:
        raise UsageError(f"unknown model {name!r}", fix=did_you_mean(name, MODELS))
    return MODELS[name](input_shape, classes, **settings)
