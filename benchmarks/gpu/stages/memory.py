"""A GPU whose memory is full, by a limit of CuPy's pool: what is said, what is freed, and that the model goes on."""

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import xpnn
from benchmarks.gpu.contenders.ours import layers
from benchmarks.gpu.nets import NETS
from benchmarks.gpu.site import Site
from xpnn.errors import BackendError

ROOM = 64 << 20
"""Bytes beyond what the model and the samples take."""
SAMPLES, FEW = 20_000, 64
"""Samples in a step that does not fit, and in one that does."""
SAID = ("no room for a training step of 20,000 samples", "CuPy's pool uses", "its limit", "batch_size")
ADVICES = 5
"""Sizes that may be named until one fits: each is an estimate from how far the step came."""
SPARE = 1 << 20
"""Bytes that may be in use afterwards beside what was before: what a first step leaves for the next."""


def run(place: Site, note: Callable[..., None]) -> None:
    network = NETS["784-1024-1024-10"]
    model = xpnn.Model(layers(network), network.shape, backend=place.backend, seed=0)
    with place.bounded(), model.backend.device_context():
        check(model, place.cupy(), network.data(SAMPLES), note)


def check(model: xpnn.Model, cp: Any, data: Any, note: Callable[..., None]) -> None:
    """One step that does not fit, and whatever comes after it."""
    be, trainer = model.backend, xpnn.Trainer(model, "softmax_cross_entropy", xpnn.SGD(0.1))
    x, y = (be.asarray(a) for a in data[:2])
    for _ in range(3):  # compiled and recorded
        trainer.step(x[:FEW, ...], y[:FEW])
    before, pool = model.snapshot()["theta"].tobytes(), cp.get_default_memory_pool()
    with limited(pool, ROOM):
        used = pool.used_bytes()
        error = refusal(trainer, x, y)
        left = pool.used_bytes() - used
        note(name="said", ok=all(word in error for word in SAID), error=error)
        note(name="freed", ok=left <= SPARE, bytes=left)
        note(name="weights", ok=model.snapshot()["theta"].tobytes() == before)
        sizes = list(advised(trainer, x, y, error))
        note(name="the size that fits", ok=0 < len(sizes) <= ADVICES, sizes=sizes)
    loss = float(be.to_numpy(trainer.step(x, y)))
    note(name="without the limit", ok=bool(np.isfinite(loss)))
    note(name="predict", ok=model.predict(x[:FEW, ...]).shape == (FEW,))


@contextlib.contextmanager
def limited(pool: Any, room: int) -> Iterator[None]:
    """The pool may hold so much more than what is in use."""
    pool.free_all_blocks()
    pool.set_limit(size=pool.used_bytes() + room)
    try:
        yield
    finally:
        pool.set_limit(size=0)


def refusal(trainer: xpnn.Trainer, x: Any, y: Any) -> str:
    """What is said of a step with all samples; "" where it is done."""
    try:
        trainer.step(x, y)
    except BackendError as error:
        return str(error)
    return ""


def advised(trainer: xpnn.Trainer, x: Any, y: Any, error: str) -> Iterator[int]:
    """The sizes that the errors name, one after the other, until one is no error three times running."""
    while found := re.search(r"batch_size=(\d+)", error):
        size = int(found[1])
        yield size
        error = next(filter(None, (refusal(trainer, x[:size, ...], y[:size]) for _ in range(3))), "")
