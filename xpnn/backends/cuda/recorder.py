"""Recording steps with CuPy: streams, memory pools, CUDA graphs."""

import contextlib
import functools
import weakref
from collections.abc import Callable, Hashable
from typing import Any

from xpnn.kernels import Array

MEMORY_ALLOCATION = 2  # cudaError_t

retired: list[tuple[Any, Any]] = []
"""(device, memory pool) of graphs that are gone, while arrays are left in them."""


def retire(device: Any, pool: Any) -> None:
    """The memory of a graph that is gone goes back to the GPU: CuPy 14 forgets a pool with its free memory in it."""
    retired.append((device, pool))
    reclaim()


def reclaim() -> None:
    """Unused memory in the retired pools goes back; an array that outlives its graph keeps its pool."""
    for entry in tuple(retired):
        device, pool = entry
        with device:
            pool.free_all_blocks()
            if not pool.total_bytes() and entry in retired:
                retired.remove(entry)


def grow(cupy: Any, size: int) -> Any:
    """So many bytes more for a graph's pool, or OutOfMemoryError.

    At CUDA's own error CuPy's pool gives back what is free in it and goes on: memory that the graph writes to.
    """
    try:
        return cupy.cuda.MemoryPointer(cupy.cuda.Memory(size), 0)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        if error.status != MEMORY_ALLOCATION:
            raise
        raise cupy.cuda.memory.OutOfMemoryError(size, -1) from error


class CudaRecorder:
    """What `Graph` takes of CuPy. One per backend, so that its replays follow one another."""

    def __init__(self, cupy: Any) -> None:
        self.cupy = cupy
        self.stream: Any = None
        """Where the last replay went."""

    def is_array(self, a: Any) -> bool:
        """A cupy.ndarray."""
        return isinstance(a, self.cupy.ndarray)

    def place(self, a: Array) -> Hashable:
        """Address and strides."""
        return a.data.ptr, a.strides

    def overlap(self, a: Array, b: Array) -> bool:
        """By their first and last bytes."""
        return bool(self.cupy.may_share_memory(a, b))

    def whole(self, a: Array) -> bool:
        """Row-major without gaps."""
        return bool(a.flags.c_contiguous)

    def like(self, a: Array) -> Array:
        """From the pool of the moment."""
        return self.cupy.empty(a.shape, a.dtype)

    def copy(self, target: Array, source: Array) -> None:
        """By the copy engine where neither has gaps, else by a kernel; either may be recorded."""
        if not (self.whole(target) and self.whole(source)):
            self.cupy.copyto(target, source)
        elif target.nbytes:
            target.data.copy_from_device_async(source.data, target.nbytes)

    def room(self) -> "CudaRoom":
        """For a new graph. What other pools keep for later goes back first: a graph cannot use it."""
        self.cupy.get_default_memory_pool().free_all_blocks()
        reclaim()
        return CudaRoom(self.cupy)

    def follow(self) -> None:
        """Replays share buffers: one on another stream has to wait for the last."""
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
        self.cupy.cuda.get_current_stream().synchronize()  # what was written there is read here
        self._inside.enter_context(self.cupy.cuda.using_allocator(self.pool.malloc))
        self._inside.enter_context(self.stream)

    def __exit__(self, kind: Any, *error: Any) -> None:
        with self._inside:
            if kind is None:
                self.stream.synchronize()

    def begin(self) -> None:
        """Capture in CuPy's mode, which lets the pool grow meanwhile. A limit would let it give back what is used."""
        self.stream.synchronize()
        self.pool.set_limit(size=0)
        self.stream.begin_capture()

    def end(self) -> Callable[[], None]:
        """The graph's launch, on the stream that is current then."""
        graph = self.stream.end_capture()
        graph.upload(self.stream)
        launch: Callable[[], None] = graph.launch
        return launch
