"""Captured steps against the same kernels run eagerly: weights, state and losses bit for bit after 1, 2 and 17 steps.

Whatever a graph's memory pool hands out is poisoned, at every replay again: the poison is recorded with the step.
Between replays the learning rate changes, other arrays come and go, another model's graphs run, the last batch is
short.
"""

from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

import xpnn
from benchmarks.gpu.contenders.ours import Captured, Eager
from benchmarks.gpu.device import poisoned_pool
from benchmarks.gpu.nets import PRECISIONS, Cell
from benchmarks.gpu.site import Site, first_line

STEPS = (1, 2, 17)
NETS = (("12-8-3", 5), ("tiny cnn", 3), ("784-128-10", 128), ("784-1024-1024-10", 1024), ("cnn", 64))
SMALL = NETS[:2]
RAGGED = 2.6
"""Batches in an epoch: the last one is short."""


def run(place: Site, note: Callable[..., None]) -> None:
    cp = place.cupy()
    for net, batch in place.pick(NETS, SMALL):
        for precision in PRECISIONS:
            for optimizer in (xpnn.Adam(1e-3), xpnn.SGD(0.01, momentum=0.9)):
                name = f"{net} {precision} {type(optimizer).__name__}"
                try:
                    which = Cell(net, batch, precision, int(RAGGED * batch))
                    with mock.patch.object(cp.cuda, "MemoryPool", poisoned_pool(cp)):
                        wrong = compare(place, which, optimizer)
                    note(name=name, ok=not wrong, wrong=wrong)
                except Exception as error:
                    note(name=name, ok=False, why=first_line(error))


def compare(place: Site, which: Cell, optimizer: Any) -> list[str]:
    """Which arrays differ, and after how many steps."""
    captured, other = (Captured(which, place.rehearsal, optimizer) for _ in range(2))
    eager = Eager(which, place.rehearsal, optimizer)
    wrong: list[str] = []
    for done in range(1, max(STEPS) + 1):
        for one in (captured, eager):
            one.trainer.rate = 1e-3 * (1 + done % 3)
            one.steps(1)
        other.steps(1)
        junk(place)
        if done in STEPS:
            pairs = zip(arrays(captured), arrays(eager), strict=True)
            wrong += [f"{name} after {done}" for (name, a), (_, b) in pairs if a.tobytes() != b.tobytes()]
    return wrong


def junk(place: Site) -> None:
    """Other allocations on the pool of everybody, full of NaN, and gone again."""
    cp = place.cupy()
    for size in (64, 5000, 100_000):
        cp.full((size,), np.nan, dtype="float32")


def arrays(one: Captured) -> list[tuple[str, np.ndarray]]:
    """Loss, weights and the optimizer's state, on the host."""
    be, trainer = one.model.backend, one.trainer
    found = {"loss": one.last, "theta": one.model.theta, **trainer.state}
    with be.device_context():
        return [(name, np.array(be.to_numpy(a))) for name, a in sorted(found.items())]
