"""Activations by name, and the initializer of the weights before each."""

from collections.abc import Callable

from xpnn.errors import UsageError, did_you_mean
from xpnn.initializers import Initializer, glorot_uniform, he_normal, lecun_normal
from xpnn.layers import (
    CELU,
    ELU,
    GELU,
    SELU,
    HardSigmoid,
    HardSwish,
    HardTanh,
    Layer,
    LeakyReLU,
    LogSigmoid,
    Mish,
    PReLU,
    ReLU,
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
"""Activations whose weights are initialized as in Glorot and Bengio (2010); the others follow He et al. (2015).

SELU follows LeCun et al. (1998): its constants assume so.
"""


def get_activation(name: str) -> Layer:
    """The layer of that name. Raises UsageError for an unknown one."""
    if name not in ACTIVATIONS:
        raise UsageError(f"unknown activation {name!r}", fix=did_you_mean(name, ACTIVATIONS))
    return ACTIVATIONS[name]()


def weights(activation: str) -> Initializer:
    """The initializer of weights before that activation."""
    if activation == "selu":
        return lecun_normal
    return glorot_uniform if activation in SQUASHING else he_normal
