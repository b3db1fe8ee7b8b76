"""How CuPy is asked to record: a stand-in that writes down the order, and the real names where CuPy is installed."""

import contextlib
import gc
from types import SimpleNamespace

import pytest

from xpnn.backends.cuda import recorder
from xpnn.backends.cuda.recorder import CudaRecorder


class FakeStream:
    def __init__(self, log, name, fail=None):
        self.log, self.name, self.fail, self.ptr = log, name, fail, id(self)

    def note(self, what):
        self.log.append(f"{self.name} {what}")
        if what == self.fail:
            raise RuntimeError(what)

    def __enter__(self):
        self.note("entered")

    def __exit__(self, *error):
        self.note("left")

    def synchronize(self):
        self.note("waited for")

    def begin_capture(self):
        self.note("captured")

    def end_capture(self):
        self.note("ended")
        return SimpleNamespace(
            upload=lambda stream: self.note("uploaded"), launch=lambda: self.note("launched")
        )


class CUDARuntimeError(RuntimeError):
    def __init__(self, status):
        self.status = status


class FakePool:
    """The memory of one graph. `used`: bytes of arrays that stay in it; the rest is given back on request."""

    def __init__(self, cuda, grow):
        self.cuda, self.used, self.free, self.grow = cuda, 0, 512, grow
        self.limit = 10**9

    def set_limit(self, size):
        self.limit = size

    def malloc(self):
        return "own pool"

    def free_all_blocks(self):
        assert self.cuda.device == 1
        self.free = 0

    def total_bytes(self):
        assert self.cuda.device == 1
        return self.used + self.free


class FakeDevice:
    """The one that is current when it is asked for; it can be entered again and again."""

    def __init__(self, cuda):
        self.cuda, self.number, self.before = cuda, cuda.device, []

    def __enter__(self):
        self.before.append(self.cuda.device)
        self.cuda.device = self.number

    def __exit__(self, *error):
        self.cuda.device = self.before.pop()


def fake_cupy(fail=None):
    log = []
    main = FakeStream(log, "main")

    @contextlib.contextmanager
    def using_allocator(malloc):
        log.append(f"memory from {malloc()}")
        try:
            yield
        finally:
            log.append("memory as before")

    def private(non_blocking):
        assert non_blocking
        return FakeStream(log, "own", fail)

    cuda = SimpleNamespace(
        device=1,
        Device=lambda: FakeDevice(cuda),
        get_current_stream=lambda: cuda.current,
        current=main,
        Stream=private,
        MemoryPool=lambda grow: FakePool(cuda, grow),
        MemoryPointer=lambda memory, offset: (memory, offset),
        memory=SimpleNamespace(OutOfMemoryError=type("OutOfMemoryError", (MemoryError,), {})),
        runtime=SimpleNamespace(CUDARuntimeError=CUDARuntimeError),
        using_allocator=using_allocator,
    )
    pool = SimpleNamespace(free_all_blocks=lambda: log.append("pool freed"))
    return SimpleNamespace(cuda=cuda, get_default_memory_pool=lambda: pool, log=log)


def test_a_recording_has_its_own_stream_and_memory():
    cupy = fake_cupy()
    with CudaRecorder(cupy).room() as nothing:
        assert nothing is None
    assert cupy.log == [
        "pool freed", "main waited for", "memory from own pool", "own entered",
        "own waited for", "own left", "memory as before",
    ]  # fmt: skip


def test_capture_begins_on_an_idle_stream_and_is_launched_on_the_current_one():
    cupy = fake_cupy()
    room = CudaRecorder(cupy).room()
    with room:
        del cupy.log[:]
        room.begin()
        launch = room.end()
    launch()
    assert cupy.log == [
        "own waited for", "own captured", "own ended", "own uploaded", "own waited for", "own left",
        "memory as before", "own launched",
    ]  # fmt: skip


@pytest.mark.parametrize("fail", ["captured", "ended", "waited for"])
def test_after_a_fault_stream_and_memory_are_as_before(fail):
    cupy = fake_cupy(fail)
    room = CudaRecorder(cupy).room()

    def record():
        with room:
            room.begin()
            room.end()

    with pytest.raises(RuntimeError, match=fail):
        record()
    assert cupy.log[-2:] == ["own left", "memory as before"]


def test_memory_that_is_full_frees_nothing_of_a_graph():
    """CuPy's pool frees and goes on where CUDA says that it is full, and so it does at a limit; neither may be."""
    cupy = fake_cupy()
    pool = CudaRecorder(cupy).room().pool
    cupy.cuda.Memory = lambda size: f"{size} bytes"
    assert pool.grow(512) == ("512 bytes", 0)

    def failing(status):
        def memory(size):
            raise CUDARuntimeError(status)

        return memory

    cupy.cuda.Memory = failing(2)
    with pytest.raises(cupy.cuda.memory.OutOfMemoryError):
        pool.grow(512)
    cupy.cuda.Memory = failing(700)
    with pytest.raises(CUDARuntimeError):
        pool.grow(512)
    room = CudaRecorder(cupy).room()
    with room:
        room.begin()
    assert room.pool.limit == 0


def test_the_memory_of_a_graph_that_is_gone_goes_back():
    """On its own device, whichever is current when the collector comes by."""
    cupy = fake_cupy()
    room = CudaRecorder(cupy).room()
    pool = room.pool
    cupy.cuda.device = 0
    del room
    gc.collect()
    assert (pool.free, cupy.cuda.device, recorder.retired) == (0, 0, [])


def test_an_array_that_outlives_its_graph_keeps_the_pool():
    cupy = fake_cupy()
    room = CudaRecorder(cupy).room()
    pool = room.pool
    pool.used = 256
    del room
    gc.collect()
    assert [kept for _, kept in recorder.retired] == [pool]
    pool.used, pool.free = 0, 256  # the array is gone
    other = CudaRecorder(cupy).room()
    assert (pool.free, recorder.retired) == (0, [])
    del other


def test_a_replay_on_another_stream_waits_for_the_last():
    cupy = fake_cupy()
    recorder = CudaRecorder(cupy)
    other = FakeStream(cupy.log, "other")
    for stream in (cupy.cuda.current, cupy.cuda.current, other, other, cupy.cuda.current):
        cupy.cuda.current = stream
        recorder.follow()
    assert cupy.log == ["main waited for", "other waited for"]


@pytest.mark.oracle
def test_cupy_has_these_names():
    cupy = pytest.importorskip("cupy")
    for name in ("begin_capture", "end_capture", "synchronize", "is_capturing"):
        assert hasattr(cupy.cuda.Stream, name)
    for name in ("launch", "upload"):
        assert hasattr(cupy.cuda.Graph, name)
    assert hasattr(cupy.cuda.MemoryPointer, "copy_from_device_async")
    for name in ("may_share_memory", "copyto", "get_default_memory_pool"):
        assert hasattr(cupy, name)
    for name in ("using_allocator", "MemoryPool", "get_current_stream", "alloc", "Device"):
        assert hasattr(cupy.cuda, name)
    for name in ("malloc", "free_all_blocks", "total_bytes", "set_limit"):
        assert hasattr(cupy.cuda.MemoryPool, name)
    for name in ("Memory", "MemoryPointer"):
        assert hasattr(cupy.cuda, name)
    assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)
    assert issubclass(cupy.cuda.runtime.CUDARuntimeError, RuntimeError)
