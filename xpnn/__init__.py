"""xpnn: neural networks with hand-written forward and backward passes, once, for every array library."""

__version__ = "0.1.0"

from xpnn import data, initializers, losses, metrics, optimizers, schedules
from xpnn.backends import get_backend
from xpnn.backends.allocator import keep_memory
from xpnn.diagnostics import gradcheck
from xpnn.layers import (
    ELU,
    AvgPool1D,
    AvgPool2D,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Layer,
    LeakyReLU,
    MaxPool1D,
    MaxPool2D,
    ReLU,
    Rescale,
    Reshape,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Standardize,
    Step,
    Tanh,
    UpSampling2D,
    ZeroPad2D,
)
from xpnn.model import Model
from xpnn.optimizers import SGD, AdaGrad, Adam, AdamW, RMSProp
from xpnn.training import Trainer
from xpnn.training.checkpoint import load

__all__ = [
    "ELU",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "AvgPool1D",
    "AvgPool2D",
    "Conv1D",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Layer",
    "LeakyReLU",
    "MaxPool1D",
    "MaxPool2D",
    "Model",
    "RMSProp",
    "ReLU",
    "Rescale",
    "Reshape",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Standardize",
    "Step",
    "Tanh",
    "Trainer",
    "UpSampling2D",
    "ZeroPad2D",
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
