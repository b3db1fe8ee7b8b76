"""The networks that all contenders train, and the numbers they begin with."""

from dataclasses import dataclass

import numpy as np

SAMPLES = 60_000
PRECISIONS = ("fp32", "tf32", "bf16")
Parameters = list[tuple[np.ndarray, np.ndarray]]
"""W and b of each layer: (in, out), or (3, 3, in, out) of a convolution of rows, columns, channels."""


@dataclass(frozen=True)
class Net:
    """Padded convolutions 3x3 of so many filters, each with ReLU and a 2x2 maximum, then dense layers, ReLU between.

    shape: of a sample, (values,) or (rows, columns, channels).
    """

    shape: tuple[int, ...]
    filters: tuple[int, ...]
    units: tuple[int, ...]

    @property
    def weights(self) -> list[tuple[int, ...]]:
        """The shape of every W."""
        shapes: list[tuple[int, ...]] = []
        size = self.shape
        for n in self.filters:
            shapes.append((3, 3, size[-1], n))
            size = (size[0] // 2, size[1] // 2, n)
        width = int(np.prod(size))
        for n in self.units:
            shapes.append((width, n))
            width = n
        return shapes

    def parameters(self) -> Parameters:
        """He's normal weights, small biases: the same numbers for everybody."""
        rng = np.random.default_rng(1)
        drawn = []
        for shape in self.weights:
            W = rng.standard_normal(shape, np.float32) * (2 / np.prod(shape[:-1])) ** 0.5
            drawn.append((W.astype(np.float32), 0.01 * rng.standard_normal(shape[-1], np.float32)))
        return drawn

    def data(self, samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bytes, ids, and an order of the samples, drawn at random."""
        rng = np.random.default_rng(2)
        x = rng.integers(0, 256, (samples, *self.shape), dtype=np.uint8)
        return x, rng.integers(0, self.units[-1], samples), rng.permutation(samples)


NETS = {
    "784-128-10": Net((784,), (), (128, 10)),
    "784-1024-1024-10": Net((784,), (), (1024, 1024, 10)),
    "cnn": Net((28, 28, 1), (32, 64), (128, 10)),
    "12-8-3": Net((12,), (), (8, 3)),
    "tiny cnn": Net((8, 8, 1), (2, 4), (8, 3)),
}


@dataclass(frozen=True)
class Cell:
    """One training step to measure. `samples` lie on the device, a whole number of batches."""

    net: str
    batch: int
    precision: str
    samples: int

    @property
    def network(self) -> Net:
        """Its layers."""
        return NETS[self.net]


def cell(net: str, batch: int, precision: str, samples: int = SAMPLES) -> Cell:
    """With as many whole batches of the samples as there are, at least one."""
    return Cell(net, batch, precision, max(samples // batch, 1) * batch)
