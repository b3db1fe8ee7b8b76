"""Activations by name, and the initializer of the weights before each."""

from collections.abc import Callable

from xpnn import layers as L
from xpnn.errors import UsageError, did_you_mean
from xpnn.initializers import Initializer, glorot_uniform, he_normal, lecun_normal

ACTIVATIONS: dict[str, Callable[[], L.Layer]] = {
    "relu": L.ReLU,
    "leaky-relu": L.LeakyReLU,
    "elu": L.ELU,
    "softplus": L.Softplus,
    "sigmoid": L.Sigmoid,
    "tanh": L.Tanh,
    "gelu": L.GELU,
    "silu": L.SiLU,
    "mish": L.Mish,
    "selu": L.SELU,
    "celu": L.CELU,
    "prelu": L.PReLU,
    "hard-sigmoid": L.HardSigmoid,
    "hard-swish": L.HardSwish,
    "hard-tanh": L.HardTanh,
    "softsign": L.Softsign,
    "log-sigmoid": L.LogSigmoid,
}
SQUASHING = ("sigmoid", "tanh", "hard-sigmoid", "hard-tanh", "softsign")
"""Activations whose weights are initialized as in Glorot and Bengio (2010); the others follow He et al. (2015).

SELU follows LeCun et al. (1998): its constants assume so.
"""


def get_activation(name: str) -> L.Layer:
    """The layer of that name. Raises UsageError for an unknown one."""
    if name not in ACTIVATIONS:
        raise UsageError(f"unknown activation {name!r}", fix=did_you_mean(name, ACTIVATIONS))
    return ACTIVATIONS[name]()


def weights(activation: str) -> Initializer:
    """The initializer of weights before that activation."""
    if activation == "selu":
        return lecun_normal
    return glorot_uniform if activation in SQUASHING else he_normal
