"""xpnn: what `Trainer.fit` runs for each batch, captured as it is by default, and the same kernels one by one."""

from typing import Any

import xpnn
from benchmarks.gpu.contenders import RATE
from benchmarks.gpu.nets import Cell, Net


def layers(net: Net) -> list[xpnn.Layer]:
    """Bytes to [0, 1], convolutions, dense layers."""
    parts: list[xpnn.Layer] = [xpnn.Rescale(1 / 255)]
    for n in net.filters:
        parts += [xpnn.Conv2D(n, 3, padding="same"), xpnn.ReLU(), xpnn.MaxPool2D(2)]
    parts += [xpnn.Flatten()] if net.filters else []
    for n in net.units:
        parts += [xpnn.Dense(n), xpnn.ReLU()]
    return parts[:-1]


def model_of(cell: Cell, rehearsal: bool) -> xpnn.Model:
    """On the backend, with the common parameters."""
    network = cell.network
    how: dict[str, Any] = {} if rehearsal else {"precision": cell.precision}
    backend = "numpy" if rehearsal else "cupy"
    model = xpnn.Model(layers(network), network.shape, backend=backend, seed=0, **how)
    arrays = [a for pair in network.parameters() for a in pair]
    model.load_parameters(dict(zip(model.parameters(), arrays, strict=True)))
    return model


class Captured:
    """The trainer's step on resident data."""

    def __init__(self, cell: Cell, rehearsal: bool) -> None:
        self.cell, self.model = cell, model_of(cell, rehearsal)
        self.trainer = xpnn.Trainer(self.model, "softmax_cross_entropy", xpnn.Adam(RATE))
        be = self.model.backend
        x, y, order = map(be.asarray, cell.network.data(cell.samples))
        self.data, self.order = (x, y, None), order
        self.done, self.last = 0, None

    def steps(self, n: int) -> None:
        be, trainer = self.model.backend, self.trainer
        with be.scope():
            for _ in range(n):
                start = self.done * self.cell.batch % self.cell.samples
                rows = self.order[start : start + self.cell.batch]
                x, y, _ = self.data
                self.last = trainer.step(be.take_rows(x, rows), be.take_rows(y, rows))
                self.done += 1

    def wait(self) -> None:
        be = self.model.backend
        with be.scope():
            be.to_numpy(self.last if self.last is not None else self.order[0])

    def loss(self) -> float:
        return float(self.model.backend.to_numpy(self.last))


class Eager(Captured):
    """The same, nothing captured."""
