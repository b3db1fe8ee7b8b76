"""The layers: one short file per family."""

from xpnn.layers.activation import ELU, LeakyReLU, ReLU, Sigmoid, Softmax, Softplus, Step, Tanh
from xpnn.layers.base import Ctx, Layer, Spec
from xpnn.layers.conv import Conv2D
from xpnn.layers.dense import Dense
from xpnn.layers.dropout import Dropout
from xpnn.layers.one_dim import AvgPool1D, Conv1D, MaxPool1D
from xpnn.layers.pool import AvgPool2D, MaxPool2D
from xpnn.layers.resize import GlobalAveragePool, GlobalMaxPool, UpSampling2D, ZeroPad2D
from xpnn.layers.scale import Rescale, Standardize
from xpnn.layers.sequential import Sequential
from xpnn.layers.shape import Flatten, Reshape

__all__ = [
    "ELU",
    "AvgPool1D",
    "AvgPool2D",
    "Conv1D",
    "Conv2D",
    "Ctx",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Layer",
    "LeakyReLU",
    "MaxPool1D",
    "MaxPool2D",
    "ReLU",
    "Rescale",
    "Reshape",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Spec",
    "Standardize",
    "Step",
    "Tanh",
    "UpSampling2D",
    "ZeroPad2D",
]
