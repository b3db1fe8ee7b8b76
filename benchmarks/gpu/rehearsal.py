"""NumPy in CuPy's place, for a rehearsal: the same names, no GPU. A captured graph does nothing when it is launched.

Only what the stages call is here; a test compares the names with CuPy's own.
"""

import contextlib
import sys
import time
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from xpnn.backends.cuda.memory import out_of_memory_guard
from xpnn.backends.numpy import NumpyBackend

SAMPLE = 8192
"""Bytes that a sample takes in a step."""


def __getattr__(name: str) -> Any:
    return getattr(np, name)


class Stream:
    """Captures nothing."""

    def __init__(self, *, non_blocking: bool = False) -> None:
        self.capturing = False

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None: ...

    def synchronize(self) -> None: ...

    def begin_capture(self) -> None:
        self.capturing = True

    def end_capture(self) -> "Graph":
        self.capturing = False
        return Graph()

    def is_capturing(self) -> bool:
        return self.capturing


class Graph:
    """Of nothing."""

    def launch(self, stream: Stream | None = None) -> None: ...

    def upload(self, stream: Stream | None = None) -> None: ...


class MemoryPool:
    """Nobody asks it for memory."""

    def malloc(self, size: int) -> None: ...

    def free_all_blocks(self) -> None: ...


class Pool:
    """Holds nothing, and has a limit."""

    limit = 0

    def set_limit(self, size: int) -> None:
        self.limit = size

    def get_limit(self) -> int:
        return self.limit

    def used_bytes(self) -> int:
        return 0

    total_bytes = used_bytes

    def free_all_blocks(self) -> None: ...


POOL = Pool()


def get_default_memory_pool() -> Pool:
    """The one of this process."""
    return POOL


class OutOfMemoryError(MemoryError):
    """As CuPy's."""


@contextlib.contextmanager
def bounded():
    """NumPy runs out of memory where the samples of a step take more than the limit of the pool."""

    @contextlib.contextmanager
    def sized(self: Any, what: str, samples: int, fix: str):
        with out_of_memory_guard(sys.modules[__name__], what, samples, fix):
            if 0 < POOL.limit < samples * SAMPLE:
                raise OutOfMemoryError("Out of memory allocating 1 bytes")
            yield

    with mock.patch.object(NumpyBackend, "oom_guard", sized):
        yield


class RawKernel:
    """A launch does nothing."""

    def __init__(self, code: str, name: str) -> None: ...

    def __call__(self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...]) -> None: ...


class ElementwiseKernel:
    """y = 2 x, whatever was asked for."""

    def __init__(self, given: str, out: str, code: str, name: str) -> None: ...

    def __call__(self, x: Any, y: Any) -> Any:
        return np.multiply(x, 2, out=y)


class Event:
    """A moment by the host's clock."""

    def record(self, stream: Stream | None = None) -> None:
        self.at = time.perf_counter()

    def synchronize(self) -> None: ...


class Device:
    """The CPU."""

    def __init__(self, number: int = 0) -> None: ...

    def synchronize(self) -> None: ...


def get_elapsed_time(start: Event, end: Event) -> float:
    """In milliseconds."""
    return 1e3 * (end.at - start.at)


@contextlib.contextmanager
def using_allocator(allocator: Any):
    """NumPy keeps its own."""
    yield


cuda = SimpleNamespace(
    Stream=Stream,
    MemoryPool=MemoryPool,
    Event=Event,
    Device=Device,
    get_elapsed_time=get_elapsed_time,
    using_allocator=using_allocator,
    get_current_stream=Stream,
    memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    runtime=SimpleNamespace(memGetInfo=lambda: (1 << 30, 1 << 30)),
)


def asnumpy(a: Any) -> Any:
    """The array itself."""
    return np.asarray(a)


def show_config() -> None:
    """NumPy's, in one line."""
    print("NumPy", np.__version__)
