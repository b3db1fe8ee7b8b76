"""A GPU whose memory is full: what is said, what is freed, and that the model goes on."""

import contextlib
import re
from types import SimpleNamespace

import numpy as np
import pytest
from imaginary_device import DeviceBackend

import xpnn
from xpnn.backends.cuda.memory import largest_that_fits, out_of_memory_guard
from xpnn.errors import BackendError

GIB = 1 << 30


class OutOfMemoryError(MemoryError):
    pass


class FakePool:
    """CuPy's pool with its numbers; `arrays` are what holds memory, by weak reference."""

    def __init__(self, limit=0):
        self.used, self.held, self.limit, self.freed = GIB, 2 * GIB, limit, 0

    def used_bytes(self):
        return self.used

    def total_bytes(self):
        return self.held

    def get_limit(self):
        return self.limit

    def free_all_blocks(self):
        self.freed += 1


def fake_cupy(limit=0):
    pool = FakePool(limit)
    cuda = SimpleNamespace(
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        runtime=SimpleNamespace(memGetInfo=lambda: (GIB // 2, 8 * GIB)),
    )
    return SimpleNamespace(cuda=cuda, get_default_memory_pool=lambda: pool, pool=pool)


def full(pool, held=4):
    """Work that fills the memory: 3 GiB more are in use then."""
    pool.used, pool.held = held * GIB, held * GIB
    raise OutOfMemoryError("Out of memory allocating 1,000 bytes (allocated so far: 4 bytes).")


@pytest.mark.parametrize(
    ("limit", "room"), [(0, "4.50 GiB that there are"), (5 * GIB, "5.00 GiB, its limit")]
)
def test_an_out_of_memory_error_names_size_limit_and_fix(limit, room):
    cupy = fake_cupy(limit)
    guard = out_of_memory_guard(cupy, "a step", 1000, "batch_size={}")
    with pytest.raises(BackendError, match="is full: no room for a step of 1,000 samples") as caught, guard:
        full(cupy.pool)
    assert caught.value.why == (
        f"Out of memory allocating 1,000 bytes; CuPy's pool uses 4.00 GiB and holds 4.00 GiB of {room}"
        + ("" if limit else " for it")
    )
    assert caught.value.fix == "batch_size=512"
    assert cupy.pool.freed == 1
    assert caught.value.__cause__ is None


def test_what_filled_the_memory_is_let_go():
    """Before the error is raised, so that the code that catches it has the memory."""
    cupy = fake_cupy()

    class Big:
        def __del__(self):
            cupy.pool.used -= GIB

    def work():
        big = Big()
        full(cupy.pool)
        return big

    seen = []
    cupy.pool.free_all_blocks = lambda: seen.append(cupy.pool.used)
    with contextlib.suppress(BackendError), out_of_memory_guard(cupy, "it", 10, "{}"):
        work()
    assert seen == [3 * GIB]


@pytest.mark.parametrize("error", [MemoryError("host"), ValueError("x"), KeyboardInterrupt()])
def test_no_other_error_is_touched(error):
    cupy = fake_cupy()
    with pytest.raises(type(error)) as caught, out_of_memory_guard(cupy, "it", 10, "{}"):
        raise error
    assert caught.value is error
    assert cupy.pool.freed == 0


def test_how_many_samples_fit_into_memory():
    assert (
        largest_that_fits(1000, 0, 1000 * GIB, 1000 * GIB) == 256
    )  # one each so far, so two each by the end: 500
    assert largest_that_fits(1000, 500 * GIB, 1000 * GIB, 600 * GIB) == 64  # half each, so one: 100
    assert largest_that_fits(4, 0, 4 * GIB, GIB) == 0
    assert largest_that_fits(1, 0, 1, 100 * GIB) == 0
    assert largest_that_fits(100, 5, 5, GIB) == 64  # nothing was in use yet: half at most


class Bounded(DeviceBackend):
    """An imaginary device with room for so many samples."""

    most = 10**9

    def oom_guard(self, what, samples, fix):
        return out_of_memory_guard(self.cupy, what, samples, fix)

    def affine(self, x, W, b):
        if x.shape[0] > self.most:
            full(self.cupy.pool)
        return super().affine(x, W, b)


@pytest.mark.parametrize("capture", [False, True])
def test_a_model_goes_on_after_it(capture):
    be = Bounded(capture=capture)
    be.cupy = fake_cupy()
    model = xpnn.Model([xpnn.Dense(3)], (4,), backend=be, seed=0)
    x, y = np.ones((100, 4), np.float32), np.arange(100) % 3
    model.fit(x, y, batch_size=64, epochs=2, verbose=0)
    before = model.snapshot()["theta"].tobytes()
    be.most = 50
    for use, batch in (
        (lambda: model.fit(x, y, batch_size=80, epochs=1, verbose=0), "a training step of 80 samples"),
        (lambda: model.predict(x), "a forward pass of 100 samples"),
        (lambda: xpnn.Trainer(model).step(be.asarray(x), be.asarray(y)), "a training step of 100 samples"),
    ):
        with pytest.raises(BackendError, match=f"no room for {batch}") as caught:
            use()
        assert re.search(r"batch_size=\d+", caught.value.fix)
        assert model.snapshot()["theta"].tobytes() == before
    model.fit(x, y, batch_size=32, epochs=1, verbose=0)
    assert model.predict(x[:50]).shape == (50,)
