"""xpnn: what `Trainer.fit` runs for each batch, captured as it is by default, and the same kernels one by one."""

import warnings
from typing import Any
from unittest import mock

import xpnn
from benchmarks.gpu.contenders import RATE
from benchmarks.gpu.nets import Cell, Net
from benchmarks.gpu.site import Site
from xpnn.backends import Backend


def layers(net: Net) -> list[xpnn.Layer]:
    """Bytes to [0, 1], convolutions, dense layers."""
    parts: list[xpnn.Layer] = [xpnn.Rescale(1 / 255)]
    for n in net.filters:
        parts += [xpnn.Conv2D(n, 3, padding="same"), xpnn.ReLU(), xpnn.MaxPool2D(2)]
    parts += [xpnn.Flatten()] if net.filters else []
    for n in net.units:
        parts += [xpnn.Dense(n), xpnn.ReLU()]
    return parts[:-1]


def model_of(cell: Cell, place: Site) -> xpnn.Model:
    """With the common parameters."""
    network = cell.network
    how = {} if place.rehearsal or cell.precision == "fp32" else {"precision": cell.precision}
    model = xpnn.Model(layers(network), network.shape, backend=place.backend, seed=0, **how)
    arrays = [a for pair in network.parameters() for a in pair]
    model.load_parameters(dict(zip(model.parameters(), arrays, strict=True)))
    return model


class Captured:
    """`Trainer.draw` on resident data. A capture that is refused raises its reason: nothing else is measured."""

    def __init__(self, cell: Cell, rehearsal: bool, optimizer: Any = None) -> None:
        place = Site(rehearsal)
        self.cell, self.model = cell, model_of(cell, place)
        self.trainer = self.make_trainer(optimizer or xpnn.Adam(RATE))
        self.be, self.device = self.model.backend, place.cupy().cuda.Device()
        with self.be.device_context():
            x, y, self.order = map(self.be.asarray, cell.network.data(cell.samples))
            self.data, self.start = (x, y, None), self.be.scalar(0, self.be.xp.int64)
        self.done, self.seen, self.last = 0, 0, None

    def make_trainer(self, optimizer: Any) -> xpnn.Trainer:
        """As everybody does."""
        return xpnn.Trainer(self.model, "softmax_cross_entropy", optimizer)

    def step(self) -> Any:
        """One; the loss."""
        if self.seen == 0:
            with self.be.device_context():
                self.position = self.start + 0, self.order + 0  # copies, for they are given away
        n = min(self.cell.batch, self.cell.samples - self.seen)
        self.last, self.position = self.trainer.indexed_step(self.data, self.position, n)
        self.done, self.seen = self.done + 1, (self.seen + n) % self.cell.samples
        return self.last

    def steps(self, n: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            for _ in range(n):
                self.step()

    def wait(self) -> None:
        self.device.synchronize()

    def loss(self) -> float:
        return float(self.be.to_numpy(self.last))


class Eager(Captured):
    """The same kernels, called one by one: the backend compiles nothing."""

    def make_trainer(self, optimizer: Any) -> xpnn.Trainer:
        with mock.patch.object(type(self.model.backend), "compile", Backend.compile):
            return super().make_trainer(optimizer)
