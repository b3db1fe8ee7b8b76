"""What the stages do with CuPy itself: poisoned memory, captured functions, times by events."""

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

DOUBLE = r"""
extern "C" __global__ void twice(const float* x, float* y, long long n) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < n) y[i] = 2.0f * x[i];
}
"""
"""The smallest kernel worth a launch."""
POISON = 0xFF
"""A NaN in every float, -1 in every integer."""


@contextlib.contextmanager
def poisoned(cp: Any) -> Iterator[None]:
    """Memory is handed out full of NaN: an element that nobody writes shows."""
    with cp.cuda.using_allocator(poisoned_pool(cp)().malloc):
        yield


@contextlib.contextmanager
def apart(cp: Any) -> Iterator[Any]:
    """A stream with memory of its own. What is free of that in the end goes back to the GPU."""
    stream, pool = cp.cuda.Stream(non_blocking=True), cp.cuda.MemoryPool()
    cp.cuda.get_current_stream().synchronize()
    try:
        with stream, cp.cuda.using_allocator(pool.malloc):
            yield stream
    finally:
        pool.free_all_blocks()  # CuPy 14 forgets a pool with its free memory in it


def capture(stream: Any, step: Callable[[], Any]) -> tuple[Any, Any]:
    """(graph, what step returned). Raises what the capture raised; the stream captures no longer then."""
    gc.disable()  # a destructor that frees memory of the device ends a capture
    try:
        stream.begin_capture()
        try:
            out = step()
        except BaseException:
            with contextlib.suppress(Exception):
                stream.end_capture()
            raise
        return stream.end_capture(), out
    finally:
        gc.enable()


def by_events(cp: Any, call: Callable[[], Any], calls: int, rounds: int = 5) -> list[float]:
    """Seconds a call takes on the device, a number for each round, after a round that does not count."""
    seconds = []
    for _ in range(rounds + 1):
        start, end = cp.cuda.Event(), cp.cuda.Event()
        start.record()
        for _ in range(calls):
            call()
        end.record()
        end.synchronize()
        seconds.append(1e-3 * cp.cuda.get_elapsed_time(start, end) / calls)
    return seconds[1:]


def on_host(
    call: Callable[[], Any], wait: Callable[[], Any], calls: int, rounds: int = 5
) -> tuple[float, float]:
    """Seconds (until a call returns, until its work is done), medians."""
    returned, done = [], []
    for _ in range(rounds + 1):
        wait()
        began = time.perf_counter()
        for _ in range(calls):
            call()
        returned.append((time.perf_counter() - began) / calls)
        wait()
        done.append((time.perf_counter() - began) / calls)
    return statistics.median(returned[1:]), statistics.median(done[1:])


def poisoned_pool(cp: Any) -> Any:
    """A class in MemoryPool's place. While a step is captured the poison is too: every replay begins with it."""
    pool = cp.cuda.MemoryPool

    class Poisoned:
        def __init__(self, *given: Any) -> None:
            self.pool = pool(*given)

        def malloc(self, size: int) -> Any:
            return poison(cp, self.pool.malloc(size), size)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.pool, name)

    return Poisoned


def poison(cp: Any, block: Any, size: int) -> Any:
    """The block, filled on the current stream."""
    if size:
        block.memset_async(POISON, size, cp.cuda.get_current_stream())
    return block
