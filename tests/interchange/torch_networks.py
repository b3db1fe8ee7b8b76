"""Six PyTorch models as people write them, and the same networks here."""

import numpy as np
import torch
from torch import nn

import xpnn
from xpnn import (
    LSTM,
    Add,
    BatchNorm,
    Bidirectional,
    Concatenate,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePool,
    Graph,
    LayerNorm,
    MaxPool2D,
    MultiHeadAttention,
    PaddingMask,
    Parallel,
    PositionalEncoding,
    ReLU,
    Rescale,
    Residual,
    Sequential,
    Sigmoid,
)
from xpnn.layers import GELU


def mlp():
    there = nn.Sequential(nn.Flatten(), nn.Linear(3 * 20, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))
    return there, [Flatten(), Dense(32), ReLU(), Dropout(0.2), Dense(10)], (4, 5, 3)


class LeNetModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.f1, self.f2, self.f3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.c1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.c2(x)), 2).flatten(1)
        return self.f3(torch.relu(self.f2(torch.relu(self.f1(x)))))


def lenet():
    body = [Conv2D(6, 5, padding=2), ReLU(), MaxPool2D(2), Conv2D(16, 5), ReLU(), MaxPool2D(2), Flatten()]
    return LeNetModule(), [*body, Dense(120), ReLU(), Dense(84), ReLU(), Dense(10)], (28, 28, 1)


class Block(nn.Module):
    def __init__(self, n, m, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n, m, 3, stride, 1, bias=False), nn.BatchNorm2d(m)
        self.conv2, self.bn2 = nn.Conv2d(m, m, 3, 1, 1, bias=False), nn.BatchNorm2d(m)
        self.downsample = None
        if stride > 1 or n != m:
            self.downsample = nn.Sequential(nn.Conv2d(n, m, 1, stride, bias=False), nn.BatchNorm2d(m))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNetModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        self.pool, self.avg = nn.MaxPool2d(3, 2, 1), nn.AdaptiveAvgPool2d(1)
        self.layer1, self.layer2 = Block(8, 8, 1), Block(8, 16, 2)
        self.fc = nn.Linear(16, 10)

    def forward(self, x):
        x = self.layer2(self.layer1(self.pool(torch.relu(self.bn1(self.conv1(x))))))
        return self.fc(self.avg(x).flatten(1))


def block(n, stride, wider):
    f = [Conv2D(n, 3, stride, 1), BatchNorm(), ReLU(), Conv2D(n, 3, 1, 1), BatchNorm()]
    return [Parallel([f, [Conv2D(n, 1, stride), BatchNorm()]], "add") if wider else Residual(f), ReLU()]


def resnet():
    stem = [Conv2D(8, 7, 2, 3), BatchNorm(), ReLU(), MaxPool2D(3, 2, 1)]
    body = [*block(8, 1, False), *block(16, 2, True), GlobalAveragePool(), Dense(10)]
    return ResNetModule(), stem + body, (32, 32, 3)


class LSTMModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(50, 12, padding_idx=0)
        self.lstm = nn.LSTM(12, 16, num_layers=2, batch_first=True, bidirectional=True, dropout=0.3)
        self.fc = nn.Linear(32, 3)

    def forward(self, x):
        packed = nn.utils.rnn.pack_padded_sequence(
            self.emb(x), (x != 0).sum(1), batch_first=True, enforce_sorted=False
        )
        h = self.lstm(packed)[1][0]
        return self.fc(torch.cat([h[-2], h[-1]], 1))


def packed_lstm():
    nodes = {
        "real": (PaddingMask(0), "ids"),
        "emb": (Embedding(50, 12), "ids"),
        "l0": (Bidirectional(LSTM(16, sequences=True, masked=True)), ("emb", "real")),
        "drop": (Dropout(0.3), "l0"),
        "l1": (Bidirectional(LSTM(16, masked=True)), ("drop", "real")),
        "fc": (Dense(3), "l1"),
    }
    return LSTMModule(), Graph("ids", nodes, "fc"), (20,)


class EncoderModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.pos = nn.Embedding(50, 32, padding_idx=0), nn.Parameter(torch.randn(20, 32) * 0.1)
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, activation="gelu", batch_first=True)
        self.enc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.fc = nn.Linear(32, 3)

    def forward(self, x):
        h = self.enc(self.emb(x) * 32**0.5 + self.pos, src_key_padding_mask=x == 0)
        return self.fc(h.mean(1))


def encoder():
    first = Sequential((Embedding(50, 32), Rescale(32**0.5), PositionalEncoding("learned")))
    nodes, x = {"real": (PaddingMask(0), "ids"), "emb": (first, "ids")}, "emb"
    for i in range(2):
        nodes |= {
            f"att{i}": (MultiHeadAttention(4, masked=True, dropout=0.1), (x, "real")),
            f"a{i}": (Add(), (x, f"att{i}")),
            f"n{i}": (LayerNorm(), f"a{i}"),
            f"ff{i}": (Residual([Dense(64), GELU(), Dropout(0.1), Dense(32)]), f"n{i}"),
            f"m{i}": (LayerNorm(), f"ff{i}"),
        }
        x = f"m{i}"
    return (
        EncoderModule(),
        Graph("ids", nodes | {"fc": (Sequential((GlobalAveragePool(), Dense(3))), x)}, "fc"),
        (20,),
    )


class UNetModule(nn.Module):
    def __init__(self):
        super().__init__()

        def conv(n, m):
            return nn.Sequential(nn.Conv2d(n, m, 3, padding=1), nn.BatchNorm2d(m), nn.ReLU())

        self.e1, self.e2, self.mid, self.pool = conv(3, 4), conv(4, 8), conv(8, 16), nn.MaxPool2d(2)
        self.u2, self.d2 = nn.ConvTranspose2d(16, 8, 2, stride=2), conv(16, 8)
        self.u1 = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.d1, self.out = conv(8, 4), nn.Conv2d(4, 1, 1)

    def forward(self, x):
        a = self.e1(x)
        b = self.e2(self.pool(a))
        y = self.d2(torch.cat([self.u2(self.mid(self.pool(b))), b], 1))
        return torch.sigmoid(self.out(self.d1(torch.cat([self.u1(y), a], 1))))


def unet():
    def conv(n):
        return Sequential((Conv2D(n, 3, padding=1), BatchNorm(), ReLU()))

    nodes = {
        "e1": (conv(4), "x"),
        "p1": (MaxPool2D(2), "e1"),
        "e2": (conv(8), "p1"),
        "p2": (MaxPool2D(2), "e2"),
        "mid": (conv(16), "p2"),
        "u2": (ConvTranspose2D(8, 2, 2), "mid"),
        "c2": (Concatenate(), ("u2", "e2")),
        "d2": (conv(8), "c2"),
        "u1": (ConvTranspose2D(4, 3, 2, 1, output_padding=1), "d2"),
        "c1": (Concatenate(), ("u1", "e1")),
        "d1": (conv(4), "c1"),
        "out": (Conv2D(1, 1), "d1"),
        "y": (Sigmoid(), "out"),
    }
    return UNetModule(), Graph("x", nodes, "y"), (16, 16, 3)


MODELS = {
    "MLP": mlp,
    "LeNet": lenet,
    "ResNet": resnet,
    "packed LSTM": packed_lstm,
    "transformer encoder": encoder,
    "U-Net": unet,
}


def pair(name, seed=0):
    """(module in evaluation with running statistics of its own, model with other weights, samples for both)."""
    torch.manual_seed(seed)
    module, net, shape = MODELS[name]()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 2)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.normal_(0, 0.2)
    model = xpnn.Model(net, shape, seed=seed)
    rng = np.random.default_rng(seed)
    if len(shape) == 1:
        x = rng.integers(1, 50, (8, *shape))
        for i, n in enumerate(rng.integers(3, shape[0], 7)):
            x[i, n:] = 0
        return module.eval(), model, x, x
    x = rng.standard_normal((8, *shape)).astype(np.float32)
    return module.eval(), model, np.ascontiguousarray(np.moveaxis(x, -1, 1)), x


def answer(module, x):
    """What the module gives, images with their channels last."""
    with torch.no_grad():
        y = module(torch.from_numpy(x)).numpy()
    return np.ascontiguousarray(np.moveaxis(y, 1, -1)) if y.ndim == 4 else y
