"""xpnn: neural networks with hand-written forward and backward passes, once, for every array library."""

__version__ = "0.1.0"

from xpnn import data, initializers, losses, metrics, optimizers, schedules
from xpnn.backends import get_backend
from xpnn.backends.allocator import keep_memory
from xpnn.diagnostics import gradcheck
from xpnn.layers import (
    ELU,
    Dense,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
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
)
from xpnn.model import Model
from xpnn.optimizers import (
    EMA,
    SGD,
    SWA,
    Accumulate,
    Adadelta,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Lion,
    Lookahead,
    NAdam,
    RAdam,
    RMSProp,
)
from xpnn.training import Trainer
from xpnn.training.checkpoint import load

__all__ = [
    "ELU",
    "EMA",
    "SGD",
    "SWA",
    "AMSGrad",
    "Accumulate",
    "AdaGrad",
    "Adadelta",
    "Adam",
    "AdamW",
    "Adamax",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "LeakyReLU",
    "Lion",
    "Lookahead",
    "Model",
    "NAdam",
    "RAdam",
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
