"""Recording steps with CuPy: streams, memory pools, CUDA graphs."""

import contextlib
import functools
import weakref
from collections.abc import Callable, Hashable
from typing import Any

from xpnn.kernels import Array

MEMORY_ALLOCATION = 2  # cudaError_t

retired: list[tuple[Any, Any]] = []
"""(device, memory pool) of deleted graphs, as long as arrays are left in the pool."""


def retire(device: Any, pool: Any) -> None:
    """Return the memory of a deleted graph to the GPU: CuPy 14 deletes a pool without freeing its unused memory."""
    retired.append((device, pool))
    reclaim()


def reclaim() -> None:
    """Return unused memory of the retired pools to the GPU; an array that outlives its graph keeps its pool."""
    for entry in tuple(retired):
        device, pool = entry
        with device:
            pool.free_all_blocks()
            if not pool.total_bytes() and entry in retired:
                retired.remove(entry)


def grow(cupy: Any, size: int) -> Any:
    """Allocate so many bytes for a graph's pool, or raise OutOfMemoryError.

    At CUDA's own error CuPy's pool would free its unused blocks and try again: memory that the graph writes to.
    """
    try:
        return cupy.cuda.MemoryPointer(cupy.cuda.Memory(size), 0)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        if error.status != MEMORY_ALLOCATION:
            raise
        raise cupy.cuda.memory.OutOfMemoryError(size, -1) from error


class CudaRecorder:
    """The Recorder of `Graph` for CuPy. Each backend has one, so that its replays run one after the other."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.stream: Any = None
        """The stream of the last replay."""

    def is_array(self, a: Any) -> bool:
        """Is it a cupy.ndarray?"""
        return isinstance(a, self.cupy.ndarray)

    def place(self, a: Array) -> Hashable:
        """Return the address and the strides of an array."""
        return a.data.ptr, a.strides

    def overlap(self, a: Array, b: Array) -> bool:
        """Do the ranges from their first to their last bytes overlap?"""
        return bool(self.cupy.may_share_memory(a, b))

    def whole(self, a: Array) -> bool:
        """Is it row-major and without gaps?"""
        return bool(a.flags.c_contiguous)

    def like(self, a: Array) -> Array:
        """An empty array of the same shape and dtype, from the current pool."""
        return self.cupy.empty(a.shape, a.dtype)

    def copy(self, target: Array, source: Array) -> None:
        """Copy by the copy engine where neither array has gaps, else by a kernel; both can be recorded."""
        if not (self.whole(target) and self.whole(source)):
            self.cupy.copyto(target, source)
        elif target.nbytes:
            target.data.copy_from_device_async(source.data, target.nbytes)

    def room(self) -> "CudaRoom":
        """A stream and a pool for a new graph. Other pools return unused memory first: a graph cannot use it."""
        self.cupy.get_default_memory_pool().free_all_blocks()
        reclaim()
        return CudaRoom(self.cupy)

    def follow(self) -> None:
        """Replays share buffers, so one on another stream waits for the last."""
        stream = self.cupy.cuda.get_current_stream()
        if self.stream is not None and stream.ptr != self.stream.ptr:
            self.stream.synchronize()
        self.stream = stream


class CudaRoom:
    """A stream and a memory pool for one graph, which are kept as long as it is.

    The stream does not wait for the default one (a waiting one would make work there invalid during capture). The pool
    is used by nothing else: memory that is freed in the recorded step is written to by every replay all the same.
    """

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.pool = cupy.cuda.MemoryPool(functools.partial(grow, cupy))
        self._inside = contextlib.ExitStack()
        weakref.finalize(self, retire, cupy.cuda.Device(), self.pool).atexit = False

    def __enter__(self) -> None:
        self.cupy.cuda.get_current_stream().synchronize()  # the recorded step reads what that stream has written
        self._inside.enter_context(self.cupy.cuda.using_allocator(self.pool.malloc))
        self._inside.enter_context(self.stream)

    def __exit__(self, kind: Any, *error: Any) -> None:
        with self._inside:
            if kind is None:
                self.stream.synchronize()

    def begin(self) -> None:
        """Start a capture in CuPy's mode, which lets the pool grow; with a limit the pool might free blocks in use."""
        self.stream.synchronize()
        self.pool.set_limit(size=0)
        self.stream.begin_capture()

    def end(self) -> Callable[[], None]:
        """A function that launches the graph on the stream that is current at its call."""
        graph = self.stream.end_capture()
        graph.upload(self.stream)
        launch: Callable[[], None] = graph.launch
        return launch
