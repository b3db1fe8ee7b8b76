"""The error for a GPU whose memory is full, with a number of samples that would fit."""

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

from xpnn.errors import BackendError


@contextlib.contextmanager
def out_of_memory_guard(cupy: Any, what: str, samples: int, fix: str) -> Iterator[None]:
    """Around work on so many samples: CuPy's OutOfMemoryError, and no other, becomes a BackendError.

    fix: with "{}" for a number of samples that would fit. Arrays of the failed work are released, and the pool returns
    its unused memory to the GPU.
    """
    pool = cupy.get_default_memory_pool()
    before = pool.used_bytes()
    try:
        yield
        return
    except cupy.cuda.memory.OutOfMemoryError as error:
        used, held, more = pool.used_bytes(), pool.total_bytes(), str(error).partition(" (")[0]
        traceback.clear_frames(error.__traceback__)  # its frames hold the arrays that filled the memory
    limit, (free, _) = pool.get_limit(), cupy.cuda.runtime.memGetInfo()
    room = limit or held + free
    pool.free_all_blocks()
    fits = largest_that_fits(samples, before, used, room)
    raise BackendError(
        f"the GPU's memory is full: no room for {what} of {samples:,} samples",
        why=f"{more}; CuPy's pool uses {gib(used)} and holds {gib(held)} of {gib(room)}"
        + (", its limit" if limit else " that there are for it"),
        fix=fix.format(fits) if fits else "a smaller network, or a GPU with more memory: not one sample fits",
    )


def unused(cupy: Any) -> int:
    """Bytes on the current GPU that are free, or that CuPy's pool keeps for later; within the pool's limit."""
    pool, (free, _) = cupy.get_default_memory_pool(), cupy.cuda.runtime.memGetInfo()
    room, limit = free + pool.free_bytes(), pool.get_limit()
    return int(min(room, limit - pool.used_bytes()) if limit else room)


def largest_that_fits(samples: int, before: int, used: int, room: int) -> int:
    """The largest power of two of samples for which there should be room; 0 for none.

    `used` less `before` bytes went to `samples` of them when the memory was full. The work was not done then, so each
    is counted twice.
    """
    each = 2 * max(1, used - before) / samples
    fits = min(int((room - before) / each), samples - 1)
    return 1 << fits.bit_length() - 1 if fits > 0 else 0


def gib(size: int) -> str:
    """1610612736 as 1.50 GiB."""
    return f"{size / 2**30:.2f} GiB"
