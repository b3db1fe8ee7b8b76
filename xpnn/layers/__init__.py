"""The layers: one short file per family."""

from xpnn.layers.activation import ELU, LeakyReLU, ReLU, Sigmoid, Softmax, Softplus, Step, Tanh
from xpnn.layers.attention import MultiHeadAttention
from xpnn.layers.base import Ctx, Layer, Spec
from xpnn.layers.batchnorm import BatchNorm
from xpnn.layers.bidirectional import Bidirectional
from xpnn.layers.conv import Conv2D
from xpnn.layers.conv_transpose import ConvTranspose2D
from xpnn.layers.dense import Dense
from xpnn.layers.dropout import Dropout
from xpnn.layers.elastic import RandomElastic
from xpnn.layers.embedding import Embedding
from xpnn.layers.erase import RandomErase, RandomFlip
from xpnn.layers.exponential import CELU, SELU
from xpnn.layers.gated import GELU, Mish, SiLU
from xpnn.layers.graph import Graph
from xpnn.layers.groupnorm import GroupNorm, InstanceNorm
from xpnn.layers.hard import HardSigmoid, HardSwish, HardTanh, Softsign
from xpnn.layers.layernorm import LayerNorm, RMSNorm
from xpnn.layers.logarithmic import LogSigmoid, LogSoftmax
from xpnn.layers.maxout import GLU, Maxout
from xpnn.layers.merge import Parallel, Residual
from xpnn.layers.merge_inputs import Add, Average, Concatenate, Multiply
from xpnn.layers.noise import AlphaDropout, GaussianNoise, SpatialDropout
from xpnn.layers.one_dim import AvgPool1D, Conv1D, MaxPool1D
from xpnn.layers.padding import PaddingMask
from xpnn.layers.pool import AvgPool2D, MaxPool2D
from xpnn.layers.positional import PositionalEncoding
from xpnn.layers.prelu import PReLU
from xpnn.layers.random_transform import RandomRotation, RandomShear, RandomShift, RandomZoom
from xpnn.layers.recompute import Recompute
from xpnn.layers.recurrent import GRU, LSTM, SimpleRNN
from xpnn.layers.resize import GlobalAveragePool, GlobalMaxPool, UpSampling2D, ZeroPad2D
from xpnn.layers.scale import Rescale, Standardize
from xpnn.layers.sequential import Sequential
from xpnn.layers.shape import Flatten, Reshape
from xpnn.layers.warp import Warp
from xpnn.layers.wiring import Shared

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "SELU",
    "Add",
    "AlphaDropout",
    "Average",
    "AvgPool1D",
    "AvgPool2D",
    "BatchNorm",
    "Bidirectional",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "ConvTranspose2D",
    "Ctx",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GaussianNoise",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Graph",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "InstanceNorm",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "MaxPool1D",
    "MaxPool2D",
    "Maxout",
    "Mish",
    "MultiHeadAttention",
    "Multiply",
    "PReLU",
    "PaddingMask",
    "Parallel",
    "PositionalEncoding",
    "RMSNorm",
    "RandomElastic",
    "RandomErase",
    "RandomFlip",
    "RandomRotation",
    "RandomShear",
    "RandomShift",
    "RandomZoom",
    "ReLU",
    "Recompute",
    "Rescale",
    "Reshape",
    "Residual",
    "Sequential",
    "Shared",
    "SiLU",
    "Sigmoid",
    "SimpleRNN",
    "Softmax",
    "Softplus",
    "Softsign",
    "SpatialDropout",
    "Spec",
    "Standardize",
    "Step",
    "Tanh",
    "UpSampling2D",
    "Warp",
    "ZeroPad2D",
]
