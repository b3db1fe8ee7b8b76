"""The layers: one short file per family."""

from xpnn.layers.activation import ELU, LeakyReLU, ReLU, Sigmoid, Softmax, Softplus, Step, Tanh
from xpnn.layers.base import Ctx, Layer, Spec
from xpnn.layers.dense import Dense
from xpnn.layers.dropout import Dropout
from xpnn.layers.exponential import CELU, SELU
from xpnn.layers.gated import GELU, Mish, SiLU
from xpnn.layers.hard import HardSigmoid, HardSwish, HardTanh, Softsign
from xpnn.layers.logarithmic import LogSigmoid, LogSoftmax
from xpnn.layers.merge import Parallel, Residual
from xpnn.layers.prelu import PReLU
from xpnn.layers.recompute import Recompute
from xpnn.layers.scale import Rescale, Standardize
from xpnn.layers.sequential import Sequential
from xpnn.layers.shape import Flatten, Reshape

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "Ctx",
    "Dense",
    "Dropout",
    "Flatten",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Layer",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "Parallel",
    "ReLU",
    "Recompute",
    "Rescale",
    "Reshape",
    "Residual",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Spec",
    "Standardize",
    "Step",
    "Tanh",
]
