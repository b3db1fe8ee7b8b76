"""PyTorch: eager or compiled, either layout of images."""

import functools
import itertools

import torch
from torch import nn

from benchmarks.libraries import Run
from benchmarks.nets import RATES, Cell, Net, batch_of, walk, weights

OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}
RECURRENT = {"lstm": nn.LSTM, "gru": nn.GRU}


class LastState(nn.Module):
    """The last state of an LSTM or a GRU. The LSTM's second bias would be the first once more: it stays 0."""

    def __init__(self, layer: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.layer = layer
        nn.init.zeros_(layer.bias_hh_l0).requires_grad_(isinstance(layer, nn.GRU))

    def forward(self, x):
        return self.layer(x)[0][:, -1]


def build(net: Net) -> nn.Sequential:
    """The module with the benchmark's weights; of images it wants (N, C, H, W)."""
    layers: list[nn.Module] = []
    arrays, image = iter(weights(net)), None
    for kind, size, shape in walk(net):
        if kind == "dense":
            W, b = map(torch.from_numpy, next(arrays))
            if image is not None:  # flattened as (C, H, W)
                W, image = W.reshape(*image, size).permute(2, 0, 1, 3).reshape(-1, size), None
            layers.append(filled(nn.Linear(shape[0], size), weight=W.T, bias=b))
        elif kind == "conv":
            W, b = map(torch.from_numpy, next(arrays))
            layers.append(filled(nn.Conv2d(shape[2], size, 3), weight=W.permute(3, 2, 0, 1), bias=b))
        elif kind in RECURRENT:
            W, U, b, *_ = map(torch.from_numpy, next(arrays))  # a GRU's c is 0
            layer = RECURRENT[kind](shape[1], size, batch_first=True)
            layers.append(LastState(filled(layer, weight_ih_l0=W.T, weight_hh_l0=U.T, bias_ih_l0=b)))
        elif kind == "flatten":
            image = shape
            layers.append(nn.Flatten())
        else:
            layers.append(nn.ReLU() if kind == "relu" else nn.MaxPool2d(size))
    return nn.Sequential(*layers)


@torch.no_grad()
def filled(module: nn.Module, **named: torch.Tensor) -> nn.Module:
    for name, a in named.items():
        getattr(module, name).copy_(a)
    return module


def prepared(cell: Cell, compiled: bool, last: bool):
    """(the network, what to call, x, y)."""
    net = build(cell.net)
    x, y = map(torch.from_numpy, batch_of(cell))
    if x.ndim == 4:
        layout = torch.channels_last if last else torch.contiguous_format
        net = net.to(memory_format=layout)
        x = x.permute(0, 3, 1, 2).contiguous(memory_format=layout)
    if compiled:
        torch._dynamo.reset()
    return net, torch.compile(net, dynamic=False) if compiled else net, x, y


def train(cell: Cell, fused: bool = False, compiled: bool = False, last: bool = False) -> Run:
    net, call, x, y = prepared(cell, compiled, last)
    trained = [p for p in net.parameters() if p.requires_grad]
    optimizer = OPTIMIZERS[cell.optimizer](trained, lr=RATES[cell.optimizer], fused=fused or None)

    def run(steps: int) -> float:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(call(x), y)
            loss.backward()
            optimizer.step()
        return loss.item()

    return run


@torch.inference_mode()
def forward(call, x, steps: int) -> None:
    for _ in range(steps):
        call(x)


def infer(cell: Cell, fused: bool = False, compiled: bool = False) -> Run:
    _, call, x, _ = prepared(cell, compiled, False)
    return functools.partial(forward, call, x)


def mnist():
    """(x, y) to train on and (x, y) held out: floats in [0, 1), flat."""
    import xpnn

    x, y, _, _ = xpnn.data.mnist()
    x, y = torch.from_numpy(x).reshape(-1, 784).float() / 255, torch.from_numpy(y)
    return x[:-5000], y[:-5000], x[-5000:], y[-5000:]


def batches(x, y, size: int, batched: bool):
    """What gives the shuffled batches of an epoch, each time it is asked."""
    if not batched:
        data = torch.utils.data.TensorDataset(x, y)
        return lambda: torch.utils.data.DataLoader(data, batch_size=size, shuffle=True)
    return lambda: ((x[rows], y[rows]) for rows in torch.randperm(len(x)).split(size))


def epoch(cell: Cell, fused: bool = False, batched: bool = False) -> Run:
    """The script a user would write for what `xpnn train` does."""
    widths = [units for kind, units in cell.net.layers if kind == "dense"]
    layers: list[nn.Module] = [nn.Dropout(0.2)]
    for n_in, units in itertools.pairwise([784, *widths[:-1]]):
        layers += [nn.Linear(n_in, units), nn.ReLU(), nn.Dropout(0.2)]
    net = nn.Sequential(*layers, nn.Linear(*widths[-2:]))
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.01, fused=fused or None)
    x, y, held_x, held_y = mnist()
    loader = batches(x, y, cell.batch, batched)

    def run(epochs: int) -> float:
        for _ in range(epochs):
            net.train()
            total = 0.0
            for xb, yb in loader():
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(net(xb), yb)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(yb)
            net.eval()
            with torch.inference_mode():
                for xb, yb in zip(held_x.split(1024), held_y.split(1024), strict=True):
                    logits = net(xb)
                    nn.functional.cross_entropy(logits, yb, reduction="sum").item()
                    (logits.argmax(1) == yb).sum().item()
        return total / len(x)

    return run
