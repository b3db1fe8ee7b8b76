"""CuPy arrays on a CUDA GPU. Everything that can be wrong with an installation is said here, before the first array."""

import importlib
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.backends.base import PRECISIONS
from xpnn.backends.capture import Captured
from xpnn.backends.cuda import WHEELS, driver_version, fitting_extra, installed_cupy
from xpnn.backends.cuda_products import CudaProducts
from xpnn.backends.cuda_recorder import CudaRecorder
from xpnn.errors import BackendError, first_line
from xpnn.kernels import Array


class CupyBackend(CudaProducts):
    """CuPy through array-api-compat, on `cuda` (the first GPU) or `cuda:N`."""

    name = "cupy"
    devices = ("cuda",)
    precisions = PRECISIONS

    def load(self) -> Any:
        """Import CuPy only here, after checking that it can work."""
        try:
            check_installation()
            self.cupy = importlib.import_module("cupy")
            return importlib.import_module("array_api_compat.cupy")
        except ImportError as error:
            raise cannot_import(error) from error

    def open_device(self, device: str) -> Any:
        """cupy.cuda.Device(N); an index beyond the last GPU is an error."""
        _, _, index = device.partition(":")
        count = self.cupy.cuda.runtime.getDeviceCount()
        if int(index or 0) >= count:
            raise BackendError(
                f"there is no GPU {device!r}",
                why=f"the driver shows {count} device(s)",
                fix=f"device='cuda:N' with N below {count}; CUDA_VISIBLE_DEVICES may hide some",
            )
        self.process, self.recorder = os.getpid(), CudaRecorder(self.cupy)
        return self.cupy.cuda.Device(int(index or 0))

    def version(self) -> str:
        """Of CuPy."""
        return str(self.cupy.__version__)

    def hardware(self) -> str:
        """The GPU's name and memory."""
        about = self.cupy.cuda.runtime.getDeviceProperties(self.device.id)
        return f"{self.device_name}: {about['name'].decode()}, {about['totalGlobalMem'] / 2**30:.0f} GiB"

    def owns(self, a: Any) -> bool:
        """A cupy.ndarray on the same GPU."""
        return isinstance(a, self.cupy.ndarray) and a.device == self.device

    def from_host(self, a: np.ndarray[Any, Any]) -> Array:
        """One copy to the GPU."""
        return self.xp.asarray(a)

    def to_numpy(self, a: Array) -> np.ndarray[Any, Any]:
        """One copy to the host; waits for the GPU."""
        with self.scope():
            host: np.ndarray[Any, Any] = self.cupy.asnumpy(a)
        return host

    def scalar(self, value: float | int | bool, dtype: Any = None) -> Array:
        """Written by a kernel: the number travels with its launch, and nothing is copied from the host."""
        return self.xp.full((), value, dtype=dtype or self.dtype)

    def scope(self) -> Any:
        """CuPy's device is a context, and its creation functions ignore `device=`: enter it once, outside."""
        if os.getpid() != self.process:
            raise BackendError(
                "CUDA was in use before this process was forked",
                why="a driver's state does not survive a fork",
                fix="multiprocessing.get_context('spawn'), or open the first model in the child",
            )
        return self.cupy.cuda.Device(self.device.id)

    def compile(
        self,
        step: Callable[..., Any],
        donated: tuple[int, ...] = (),
        resident: tuple[int, ...] = (),
        static: tuple[int, ...] = (),
    ) -> Callable[..., Any]:
        """Recorded as a CUDA graph for each signature, and replayed."""
        return Captured(step, self.recorder, donated, resident)

    def normal_cdf(self, x: Array) -> Array:
        """By cupyx's erfc."""
        return importlib.import_module("cupyx.scipy.special").erfc(-math.sqrt(0.5) * x) * 0.5


def check_installation() -> None:
    """Raise the BackendError that says what is wrong with CuPy here, if anything is.

    Imports CuPy only to count the GPUs, when nothing else is wrong.
    """
    driver, found = driver_version(), installed_cupy()
    extra, cuda = fitting_extra(driver), ".".join(map(str, driver)) if driver else ""
    wheel = f"cupy-{extra}x"
    if not found:
        raise BackendError(
            "backend 'cupy' needs CuPy, which is not installed",
            why=f"an NVIDIA driver is here; it supports CUDA {cuda}"
            if driver
            else "there is no NVIDIA driver either",
            fix=f"pip install 'xpnn[{extra}]'   (or run on the CPU: --backend numpy)",
        )
    if len(found) > 1:
        raise BackendError(
            "more than one CuPy package is installed: " + ", ".join(f"{k} {v}" for k, v in found.items()),
            why="they overwrite each other's files",
            fix=f"pip uninstall -y {' '.join(found)} && pip install {wheel}",
        )
    ((name, version),) = found.items()
    if driver is None:
        raise BackendError(
            f"CuPy {version} is installed, but there is no NVIDIA driver",
            why="libcuda.so.1 was not found or reports no version",
            fix="install the driver, or run on the CPU: --backend numpy",
        )
    if WHEELS.get(name, 0) > driver[0]:
        raise BackendError(
            f"{name} {version} was built for CUDA {WHEELS[name]}, the driver supports CUDA {cuda}",
            fix=f"pip uninstall -y {name} && pip install {wheel}   (or a newer driver)",
        )
    check_device_count()


def check_device_count() -> None:
    """A driver with no visible GPU is as good as none."""
    try:
        runtime = importlib.import_module("cupy").cuda.runtime
    except ImportError as error:
        raise cannot_import(error) from error
    try:
        runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        raise BackendError(
            "CuPy sees no usable GPU",
            why=first_line(error),
            fix="check nvidia-smi and CUDA_VISIBLE_DEVICES, or run on the CPU: --backend numpy",
        ) from error


def cannot_import(error: ImportError) -> BackendError:
    """A CuPy that is installed but broken."""
    return BackendError(
        "CuPy cannot be imported",
        why=f"{type(error).__name__}: {first_line(error)}",
        fix=f"pip install --force-reinstall 'xpnn[{fitting_extra(driver_version())}]'",
    )
