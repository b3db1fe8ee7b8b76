"""The networks of the benchmark, in words of no library: each library's file says them in its own."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Shape = tuple[int, ...]
Host = np.ndarray


@dataclass(frozen=True)
class Net:
    """layers: ("dense", units), ("conv", filters) of 3x3, ("lstm", units), ("gru", units), ("relu", 0), ("pool", 2),
    ("flatten", 0).
    """

    name: str
    shape: Shape
    layers: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Cell:
    """One thing to measure: a network, the batch, the optimizer (lr: SGD 0.01, Adam 0.001)."""

    name: str
    net: Net
    batch: int
    optimizer: str = "adam"


RATES = {"sgd": 0.01, "adam": 0.001}


def mlp(*widths: int) -> Net:
    """Dense layers with ReLU between them."""
    layers = [layer for units in widths[1:] for layer in (("dense", units), ("relu", 0))]
    return Net("-".join(map(str, widths)), widths[:1], tuple(layers[:-1]))


NARROW, WIDE = mlp(784, 128, 10), mlp(784, 1024, 1024, 10)
CNN = Net(
    "cnn",
    (28, 28, 1),
    (
        *(("conv", 32), ("relu", 0), ("conv", 64), ("relu", 0), ("pool", 2), ("flatten", 0)),
        *(("dense", 128), ("relu", 0), ("dense", 10)),
    ),
)
LSTM = Net("lstm", (28, 28), (("lstm", 128), ("dense", 10)))
GRU = Net("gru", (28, 28), (("gru", 128), ("dense", 10)))
GATES = {"lstm": 4, "gru": 3}
"""Products of a recurrent layer's states in a step."""


def outcome(kind: str, size: int, shape: Shape) -> Shape:
    """The shape of one sample after a layer."""
    if kind == "conv":
        return shape[0] - 2, shape[1] - 2, size
    if kind == "pool":
        return shape[0] // size, shape[1] // size, shape[2]
    if kind == "flatten":
        return (math.prod(shape),)
    return shape if kind == "relu" else (size,)


def walk(net: Net) -> Iterator[tuple[str, int, Shape]]:
    """(kind, size, shape of what comes in) of every layer."""
    shape = net.shape
    for kind, size in net.layers:
        yield kind, size, shape
        shape = outcome(kind, size, shape)


def weights(net: Net) -> list[tuple[Host, ...]]:
    """The arrays of each layer that has some: W and b; W, U and b; of a GRU also c. The layout is xpnn's."""
    rng = np.random.default_rng(1)

    def draw(*shape: int) -> Host:
        return rng.standard_normal(shape, np.float32) * np.float32(math.sqrt(2 / math.prod(shape[:-1])))

    found: list[tuple[Host, ...]] = []
    for kind, size, shape in walk(net):
        bias = np.zeros(GATES.get(kind, 1) * size, np.float32)
        if kind == "dense":
            found.append((draw(shape[0], size), bias))
        elif kind == "conv":
            found.append((draw(3, 3, shape[2], size), bias))
        elif kind in GATES:
            wide = GATES[kind] * size
            inner = (np.zeros(size, np.float32),) if kind == "gru" else ()
            found.append((draw(shape[1], wide), draw(size, wide), bias, *inner))
    return found


def batch_of(cell: Cell, batches: int = 1) -> tuple[Host, Host]:
    """Float32 samples in [0, 1), and ids of 10 classes."""
    rng, n = np.random.default_rng(0), cell.batch * batches
    return rng.random((n, *cell.net.shape), dtype=np.float32), rng.integers(0, 10, n)
