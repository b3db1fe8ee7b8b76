"""The layers: one short file per family."""

from xpnn.layers.activation import ELU, LeakyReLU, ReLU, Sigmoid, Softmax, Softplus, Step, Tanh
from xpnn.layers.base import Ctx, Layer, Spec
from xpnn.layers.dense import Dense
from xpnn.layers.dropout import Dropout
from xpnn.layers.merge import Parallel, Residual
from xpnn.layers.recompute import Recompute
from xpnn.layers.scale import Rescale, Standardize
from xpnn.layers.sequential import Sequential
from xpnn.layers.shape import Flatten, Reshape

__all__ = [
    "ELU",
    "Ctx",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "LeakyReLU",
    "Parallel",
    "ReLU",
    "Recompute",
    "Rescale",
    "Reshape",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Spec",
    "Standardize",
    "Step",
    "Tanh",
]
