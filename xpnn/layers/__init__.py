"""The layers: one short file per family."""

from xpnn.layers.activation import ELU, LeakyReLU, ReLU, Sigmoid, Softmax, Softplus, Step, Tanh
from xpnn.layers.base import Ctx, Layer, Spec
from xpnn.layers.bidirectional import Bidirectional
from xpnn.layers.dense import Dense
from xpnn.layers.dropout import Dropout
from xpnn.layers.embedding import Embedding
from xpnn.layers.merge import Parallel, Residual
from xpnn.layers.recompute import Recompute
from xpnn.layers.recurrent import GRU, LSTM, SimpleRNN
from xpnn.layers.scale import Rescale, Standardize
from xpnn.layers.sequential import Sequential
from xpnn.layers.shape import Flatten, Reshape

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "Bidirectional",
    "Ctx",
    "Dense",
    "Dropout",
    "Embedding",
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
    "SimpleRNN",
    "Softmax",
    "Softplus",
    "Spec",
    "Standardize",
    "Step",
    "Tanh",
]
