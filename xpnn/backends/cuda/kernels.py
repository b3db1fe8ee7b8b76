"""CuPy launches the kernels: compiled when first needed, kept by CuPy on the disk."""

import functools
from typing import Any

from xpnn.backends.cuda.fused import FusedKernels
from xpnn.backends.cuda.fused.source import KERNELS, text


class CudaKernels(FusedKernels):
    """The fused kernels on a GPU of CuPy's."""

    cupy: Any

    @functools.cached_property
    def processors(self) -> int:
        """Of this GPU."""
        return int(self.device.attributes["MultiProcessorCount"])

    def launch(self, name: str, grid: tuple[int, ...], args: tuple[Any, ...], **defines: int) -> None:
        """On the current stream. The first launch from a file compiles it, or finds it in CuPy's cache on the disk."""
        key = name, *defines.items()
        if key not in self._functions:
            self._functions |= self._load(KERNELS[name].file, tuple(defines.items()))
        self._functions[key](grid, KERNELS[name].block, args)

    @functools.cached_property
    def _functions(self) -> dict[tuple[Any, ...], Any]:
        return {}

    def _load(self, file: str, defines: tuple[tuple[str, int], ...]) -> dict[tuple[Any, ...], Any]:
        """All kernels of a file."""
        module = self.cupy.RawModule(code=text(file, self.dtype_name, defines), options=("-std=c++17",))
        names = [name for name, kernel in KERNELS.items() if kernel.file == file]
        return {(name, *defines): module.get_function(name) for name in names}
