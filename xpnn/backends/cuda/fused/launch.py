"""How a kernel is launched: the arrays it may take, the number of its blocks, the memory of its results."""

from typing import Any

from xpnn.backends import in_place
from xpnn.backends.base import Backend
from xpnn.backends.cuda.fused.source import KERNELS
from xpnn.kernels import Array

LIMIT = 1 << 30
"""Elements of the largest array: the kernels count them by 32 bits, and add a grid's stride to that."""


class CudaBackend(Backend):
    """A backend whose arrays CUDA kernels can be launched on. What a kernel cannot take, the reference computes."""

    buffer = in_place.buffer
    memoized = in_place.memoized
    concat_flat = in_place.concat_flat

    @property
    def processors(self) -> int:
        """The number of the device's multiprocessors."""
        raise NotImplementedError

    def launch(self, name: str, grid: tuple[int, ...], args: tuple[Any, ...], **defines: int) -> None:
        """Run kernel `name` on a grid of blocks: arrays by their addresses, int as 64 bits, float as double."""
        raise NotImplementedError

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """An empty array for a kernel to fill."""
        return self.xp.empty(shape, dtype=dtype, device=self.device)

    def scalar(self, value: float | int | bool, dtype: Any = None) -> Array:
        """Filled by a kernel: a copy from the host would wait, and cannot be recorded."""
        return self.xp.full((), value, dtype=dtype or self.dtype, device=self.device)

    def launchable(self, *arrays: Array) -> bool:
        """Are all of the model's dtype, neither empty nor too large?"""
        return all(a.dtype == self.dtype and 0 < a.size < LIMIT for a in arrays)

    def launch_over(self, name: str, n: int, *args: Any, most: int = 8) -> None:
        """Launch with a thread for each of n elements, but at most so many blocks for each multiprocessor."""
        threads = KERNELS[name].block[0]
        self.launch(name, (min(-(-n // threads), most * self.processors),), args)


def contiguous(a: Array) -> Array:
    """`a` itself if its elements lie in order without gaps, else a copy of which that is true."""
    return a if a.flags.c_contiguous else a.copy()
