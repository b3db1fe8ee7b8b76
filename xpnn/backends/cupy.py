"""CuPy arrays on a CUDA GPU: what CuPy is, and the kernels that multiply by cuBLASLt."""

import contextlib
import functools
import importlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from xpnn.backends.base import PRECISIONS
from xpnn.backends.cuda import matmul as cublas
from xpnn.backends.cuda.capture import Captured
from xpnn.backends.cuda.checks import cannot_import, cannot_run, check_installation
from xpnn.backends.cuda.fused import FusedKernels
from xpnn.backends.cuda.fused.source import KERNELS, text
from xpnn.backends.cuda.memory import out_of_memory_guard, unused
from xpnn.backends.cuda.namespace import Recordable
from xpnn.backends.cuda.products import Products
from xpnn.backends.cuda.recorder import CudaRecorder
from xpnn.backends.cuda.uploads import CudaLane, overlapped
from xpnn.errors import BackendError
from xpnn.kernels import Array

FEWER = "{} samples, or xpnn.data.Batches with Trainer.step: only a batch is on the GPU then"


class CupyBackend(FusedKernels):
    """CuPy through array-api-compat, on `cuda` (the first GPU) or `cuda:N`."""

    name = "cupy"
    devices = ("cuda",)
    precisions = PRECISIONS

    def __init__(self, device: str, dtype: str, precision: str = "fp32") -> None:
        super().__init__(device, dtype, precision)
        self._try_out()

    def load(self) -> Any:
        """Import CuPy only here, after checking that it can work."""
        try:
            check_installation()
            self.cupy = importlib.import_module("cupy")
            return Recordable(importlib.import_module("array_api_compat.cupy"), self.cupy)
        except (ImportError, OSError) as error:
            raise cannot_import(error) from error

    def open_device(self, device: str) -> Any:
        """cupy.cuda.Device(N); an index beyond the last GPU is an error."""
        _, _, index = device.partition(":")
        count = self.cupy.cuda.runtime.getDeviceCount()
        if int(index or 0) >= count:
            raise BackendError(
                f"no GPU {device!r} on this machine",
                why=f"the driver shows {count} device(s)",
                fix=f"device='cuda:N' with N below {count}; CUDA_VISIBLE_DEVICES may hide some",
            )
        self.process, self.recorder = os.getpid(), CudaRecorder(self.cupy)
        return self.cupy.cuda.Device(int(index or 0))

    def _try_out(self) -> None:
        """Compile and run one kernel: an installed CuPy may lack the compiler or headers for that."""
        try:
            with self.device_context():
                total = int(self.cupy.arange(3).sum())
        except Exception as error:  # CuPy and CUDA raise errors of many classes
            raise cannot_run(error, self.device_name) from error
        if total != 3:
            raise BackendError(f"{self.device_name} adds wrongly: wanted 0 + 1 + 2 = 3, got {total}")

    def version(self) -> str:
        return str(self.cupy.__version__)

    def hardware(self) -> str:
        about = self.cupy.cuda.runtime.getDeviceProperties(self.device.id)
        return f"{self.device_name}: {about['name'].decode()}, {about['totalGlobalMem'] / 2**30:.0f} GiB"

    def owns(self, a: Any) -> bool:
        return isinstance(a, self.cupy.ndarray) and a.device == self.device

    def from_host(self, a: np.ndarray[Any, Any]) -> Array:
        with self.oom_guard("data", max(1, *a.shape[:1]), FEWER):
            return self.xp.asarray(a)

    def to_numpy(self, a: Array) -> np.ndarray[Any, Any]:
        """Copied to the host once; waits for the GPU."""
        with self.device_context():
            host: np.ndarray[Any, Any] = self.cupy.asnumpy(a)
        return host

    def scalar(self, value: float | int | bool, dtype: Any = None) -> Array:
        """Written by a kernel, which takes the number as an argument: nothing is copied from the host."""
        return self.xp.full((), value, dtype=dtype or self.dtype)

    def device_context(self) -> Any:
        """CuPy's device as a context: its creation functions ignore `device=`, so it is entered outside of steps."""
        if os.getpid() != self.process:
            raise BackendError(
                "CUDA was in use before this process was forked",
                why="a driver's state does not survive a fork",
                fix="multiprocessing.get_context('spawn'), or open the first model in the child",
            )
        return self.cupy.cuda.Device(self.device.id)

    def oom_guard(self, what: str, samples: int, fix: str) -> contextlib.AbstractContextManager[None]:
        """CuPy's OutOfMemoryError becomes a BackendError with a number of samples that would fit."""
        return out_of_memory_guard(self.cupy, what, samples, fix)

    def fits(self, size: int) -> bool:
        """Does it fit in half of the free memory?"""
        with self.device_context():
            return 2 * size <= unused(self.cupy)

    def uploads(self, batches: Iterable[np.ndarray[Any, Any]]) -> Iterator[Array]:
        """Through pinned memory, on a stream for transfers alone."""
        pinned = importlib.import_module("cupyx").empty_pinned
        with self.device_context():
            stream = self.cupy.cuda.Stream(non_blocking=True)
            lanes = [CudaLane(self.cupy, pinned, stream) for _ in range(2)]
        return overlapped(batches, lanes)

    def compile(
        self,
        step: Callable[..., Any],
        donated: tuple[int, ...] = (),
        resident: tuple[int, ...] = (),
        static: tuple[int, ...] = (),
    ) -> Callable[..., Any]:
        """Recorded as a CUDA graph for each signature of the arguments, and replayed."""
        return Captured(step, self.recorder, donated, resident)

    @functools.cached_property
    def processors(self) -> int:
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
        """Compile a file; {(name, macros): each of its kernels}."""
        module = self.cupy.RawModule(code=text(file, self.dtype_name, defines), options=("-std=c++17",))
        names = [name for name, kernel in KERNELS.items() if kernel.file == file]
        return {(name, *defines): module.get_function(name) for name in names}

    @functools.cached_property
    def products(self) -> Products | None:
        """cuBLASLt's, opened by the first product."""
        return cublas.open_products(self.cupy, self.precision)

    operand = cublas.operand
    matmul = cublas.matmul
    affine = cublas.affine
    affine_relu = cublas.affine_relu
    affine_relu_with_mask = cublas.affine_relu_with_mask
    affine_grads = cublas.affine_grads

    def normal_cdf(self, x: Array) -> Array:
        """P(x) = erfc(-x / sqrt 2) / 2, by cupyx's erfc."""
        return importlib.import_module("cupyx.scipy.special").erfc(-math.sqrt(0.5) * x) * 0.5
