"""xpnn: neural networks with hand-written forward and backward passes, once, for every array library."""

__version__ = "0.1.0"

from xpnn import data, initializers, losses, metrics, optimizers, schedules
from xpnn.backends import get_backend
from xpnn.backends.allocator import keep_memory
from xpnn.diagnostics import gradcheck
from xpnn.layers import (
    ELU,
    GRU,
    LSTM,
    Bidirectional,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Layer,
    LeakyReLU,
    Parallel,
    Recompute,
    ReLU,
    Rescale,
    Reshape,
    Residual,
    Sequential,
    Sigmoid,
    SimpleRNN,
    Softmax,
    Softplus,
    Standardize,
    Step,
    Tanh,
)
from xpnn.model import Model
from xpnn.optimizers import SGD, AdaGrad, Adam, AdamW, RMSProp
from xpnn.training import Trainer
from xpnn.training.checkpoint import load

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Bidirectional",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Layer",
    "LeakyReLU",
    "Model",
    "Parallel",
    "RMSProp",
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
    "Standardize",
    "Step",
    "Tanh",
    "Trainer",
    "data",
    "get_backend",
    "gradcheck",
    "initializers",
    "keep_memory",
    "load",
    "losses",
    "metrics",
    "optimizers",
    "schedules",
]
