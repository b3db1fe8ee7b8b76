"""For each layer with parameters the layer of PyTorch and of Keras that has the same weights, with samples for both."""

import numpy as np

from xpnn import layers as L

RNG_SHAPES = {"sequence": (6, 4), "image": (5, 6, 4), "row": (4,)}
VOLUME = (3, 4, 5, 4)


def torch_pairs():
    """{name: (module, layer, shape, whether the module takes channels first, what to take of its answer)}"""
    from torch import nn

    whole, first = (lambda y: y), (lambda y: y[0])
    sequence, image, row = RNG_SHAPES.values()
    return {
        "Dense": (nn.Linear(4, 3), L.Dense(3), row, False, whole),
        "Conv1D": (nn.Conv1d(4, 6, 3), L.Conv1D(6, 3), sequence, True, whole),
        "Conv2D": (nn.Conv2d(4, 6, 3, groups=2), L.Conv2D(6, 3, groups=2), image, True, whole),
        "ConvTranspose2D": (nn.ConvTranspose2d(4, 6, 3, 2), L.ConvTranspose2D(6, 3, 2), image, True, whole),
        "Conv3D": (nn.Conv3d(4, 6, 2, groups=2), L.Conv3D(6, 2, groups=2), VOLUME, True, whole),
        "Conv3D without bias": (
            nn.Conv3d(4, 3, 2, bias=False),
            L.Conv3D(3, 2, bias=False),
            VOLUME,
            True,
            whole,
        ),
        "ConvTranspose1D": (
            nn.ConvTranspose1d(4, 6, 3, 2),
            L.ConvTranspose1D(6, 3, 2),
            sequence,
            True,
            whole,
        ),
        "ConvTranspose3D": (nn.ConvTranspose3d(4, 6, 2, 2), L.ConvTranspose3D(6, 2, 2), VOLUME, True, whole),
        "SeparableConv2D": (
            nn.Sequential(nn.Conv2d(4, 8, 3, groups=4, bias=False), nn.Conv2d(8, 3, 1)),
            L.SeparableConv2D(3, 3, multiplier=2),
            image,
            True,
            whole,
        ),
        "BatchNorm": (nn.BatchNorm2d(4), L.BatchNorm(), image, True, whole),
        "LayerNorm": (nn.LayerNorm(4), L.LayerNorm(), sequence, False, whole),
        "RMSNorm": (nn.RMSNorm(4, eps=1e-6), L.RMSNorm(), sequence, False, whole),
        "GroupNorm": (nn.GroupNorm(2, 4), L.GroupNorm(2), image, True, whole),
        "InstanceNorm": (nn.InstanceNorm2d(4, affine=True), L.InstanceNorm(), image, True, whole),
        "PReLU": (nn.PReLU(4), L.PReLU(), image, True, whole),
        "Embedding": (nn.Embedding(7, 4), L.Embedding(7, 4), (6,), False, whole),
        "SimpleRNN": (nn.RNN(4, 3, batch_first=True), L.SimpleRNN(3, True), sequence, False, first),
        "LSTM": (nn.LSTM(4, 3, batch_first=True), L.LSTM(3, True), sequence, False, first),
        "GRU": (nn.GRU(4, 3, batch_first=True), L.GRU(3, True), sequence, False, first),
        "Bidirectional": (
            nn.LSTM(4, 3, batch_first=True, bidirectional=True),
            L.Bidirectional(L.LSTM(3, True)),
            sequence,
            False,
            first,
        ),
        "MultiHeadAttention": (
            SelfAttention(nn.MultiheadAttention(4, 2, batch_first=True)),
            L.MultiHeadAttention(2),
            sequence,
            False,
            first,
        ),
    } | without_biases(nn, sequence, first)


def without_biases(nn, sequence, first):
    """The same as `torch_pairs`, of modules that have weights alone."""
    kinds = {"SimpleRNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
    found = {
        f"{name} without biases": (
            module(4, 3, batch_first=True, bias=False),
            getattr(L, name)(3, True, bias=False),
            sequence,
            False,
            first,
        )
        for name, module in kinds.items()
    }
    return found | {
        "Bidirectional without biases": (
            nn.GRU(4, 3, batch_first=True, bidirectional=True, bias=False),
            L.Bidirectional(L.GRU(3, True, bias=False)),
            sequence,
            False,
            first,
        ),
        "MultiHeadAttention without biases": (
            SelfAttention(nn.MultiheadAttention(4, 2, batch_first=True, bias=False)),
            L.MultiHeadAttention(2, bias=False),
            sequence,
            False,
            first,
        ),
    }


class SelfAttention:
    """PyTorch's attention of a sequence with itself, called with one argument."""

    def __init__(self, module):
        self.module = module
        self.parameters, self.state_dict, self.buffers = module.parameters, module.state_dict, module.buffers

    def eval(self):
        self.module.eval()
        return self

    def __call__(self, x):
        return self.module(x, x, x)


def keras_pairs():
    """{name: (model, layer, shape)}"""
    import keras
    from keras import layers as K

    sequence, image, row = RNG_SHAPES.values()
    found = {
        "Dense": (K.Dense(3), L.Dense(3), row),
        "Conv1D": (K.Conv1D(6, 3), L.Conv1D(6, 3), sequence),
        "Conv2D": (K.Conv2D(6, 3, groups=2), L.Conv2D(6, 3, groups=2), image),
        "ConvTranspose2D": (K.Conv2DTranspose(6, 3, 2), L.ConvTranspose2D(6, 3, 2), image),
        "Conv3D": (K.Conv3D(6, 2), L.Conv3D(6, 2), VOLUME),
        "Conv3D without bias": (K.Conv3D(3, 2, use_bias=False), L.Conv3D(3, 2, bias=False), VOLUME),
        "ConvTranspose1D": (K.Conv1DTranspose(6, 3, 2), L.ConvTranspose1D(6, 3, 2), sequence),
        "ConvTranspose3D": (K.Conv3DTranspose(6, 2, 2), L.ConvTranspose3D(6, 2, 2), VOLUME),
        "SeparableConv2D": (
            K.SeparableConv2D(3, 3, depth_multiplier=2, padding="same"),
            L.SeparableConv2D(3, 3, padding="same", multiplier=2),
            image,
        ),
        "BatchNorm": (K.BatchNormalization(), L.BatchNorm(0.01, 1e-3), image),
        "LayerNorm": (K.LayerNormalization(), L.LayerNorm(1e-3), sequence),
        "GroupNorm": (K.GroupNormalization(2), L.GroupNorm(2, 1e-3), image),
        "PReLU": (K.PReLU(shared_axes=[1, 2]), L.PReLU(), image),
        "SimpleRNN": (K.SimpleRNN(3, return_sequences=True), L.SimpleRNN(3, True), sequence),
        "LSTM": (K.LSTM(3, return_sequences=True), L.LSTM(3, True), sequence),
        "GRU": (K.GRU(3, return_sequences=True), L.GRU(3, True), sequence),
        "Bidirectional": (
            K.Bidirectional(K.LSTM(3, return_sequences=True)),
            L.Bidirectional(L.LSTM(3, True)),
            sequence,
        ),
        "SimpleRNN without biases": (K.SimpleRNN(3, use_bias=False), L.SimpleRNN(3, bias=False), sequence),
        "LSTM without biases": (
            K.LSTM(3, return_sequences=True, use_bias=False),
            L.LSTM(3, True, bias=False),
            sequence,
        ),
        "GRU without biases": (
            K.GRU(3, return_sequences=True, use_bias=False),
            L.GRU(3, True, bias=False),
            sequence,
        ),
        "GRU backwards": (K.GRU(3, go_backwards=True), L.GRU(3, reverse=True), sequence),
    }
    made = {
        name: (keras.Sequential([K.Input(shape), there]), here, shape)
        for name, (there, here, shape) in found.items()
    }
    ids = keras.Sequential([K.Input((6,), dtype="int32"), K.Embedding(7, 4)])
    x = K.Input(sequence)
    attention = keras.Model(x, K.MultiHeadAttention(2, 2)(x, x))
    shared = keras.Model(x, K.GroupQueryAttention(3, 6, 2)(x, x))
    return made | {
        "Embedding": (ids, L.Embedding(7, 4), (6,)),
        "MultiHeadAttention": (attention, L.MultiHeadAttention(2), sequence),
        "MultiHeadAttention with shared heads": (
            shared,
            L.MultiHeadAttention(6, 3, kv_heads=2),
            sequence,
        ),
    }


def samples(shape, ids):
    """Numbers, or ids."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 7, (3, *shape)) if ids else rng.standard_normal((3, *shape)).astype(np.float32)
