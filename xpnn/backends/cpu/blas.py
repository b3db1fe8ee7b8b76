"""Which BLAS NumPy multiplies with, which of its kernels, on how many threads: asked of the loaded library itself."""

import contextlib
import ctypes
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xpnn.system import cores

HOLDS = {
    "OPENBLAS_CORETYPE": "a kernel for an older processor can halve its speed",
    "OPENBLAS_L2_SIZE": "blocks cut for another cache can cost much of its speed",
}
"""{environment variable that overrules what OpenBLAS detects of the processor: the harm that it can do}."""


@dataclass(frozen=True)
class Blas:
    """Name and version of the library; kernel and threads where it reports them."""

    name: str
    version: str
    kernel: str | None
    threads: int | None

    def __str__(self) -> str:
        parts = [f"{self.name} {self.version}".strip()]
        parts += [f"kernel {self.kernel}"] if self.kernel else []
        parts += [count_threads(self.threads)] if self.threads else []
        return " · ".join(parts)


def blas() -> Blas:
    """The BLAS of the NumPy in this process."""
    about: dict[str, Any] = np.show_config(mode="dicts") or {}  # type: ignore[assignment]
    built = about.get("Build Dependencies", {}).get("blas", {})
    name, version = str(built.get("name", "unknown")), str(built.get("version", ""))
    if functions := openblas("get_corename", "get_num_threads"):
        kernel, threads = functions
        kernel.argtypes, kernel.restype = [], ctypes.c_char_p
        threads.argtypes, threads.restype = [], ctypes.c_int
        return Blas("OpenBLAS", version, kernel().decode(), threads())
    return Blas(name, version, None, None)


def thread_setter() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """What reads and what sets OpenBLAS's number of threads, in a microsecond; None of another library."""
    if functions := openblas("get_num_threads", "set_num_threads"):
        read, use = functions
        read.argtypes, read.restype, use.argtypes, use.restype = [], ctypes.c_int, [ctypes.c_int], None
        return read, use
    return None


def openblas(*names: str) -> list[Any] | None:
    """These functions of the OpenBLAS that NumPy is linked to; None where it is another library.

    NumPy's own wheels carry an OpenBLAS with a prefix and a suffix on the names of its interface.
    """
    library = numpy_library()
    for prefix, suffix in itertools.product(("scipy_openblas_", "openblas_"), ("64_", "")):
        with contextlib.suppress(AttributeError):
            return [getattr(library, f"{prefix}{name}{suffix}") for name in names]
    return None


def numpy_library() -> ctypes.CDLL:
    """NumPy's extension module: a handle on it also finds the symbols of the libraries it was linked to."""
    return ctypes.CDLL(np._core._multiarray_umath.__file__)  # type: ignore[attr-defined]


def address_of_yield() -> int | None:
    """Of the C function that offers the core to other threads; None where there is none."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        yields = ctypes.CDLL("kernel32").SwitchToThread if os.name == "nt" else ctypes.CDLL(None).sched_yield
        return ctypes.cast(yields, ctypes.c_void_p).value
    return None


def count_threads(n: int) -> str:
    """`1 thread`, `2 threads`."""
    return f"{n} thread{'s' * (n != 1)}"


def usable_cores() -> int:
    """The processor cores this process may run on."""
    return cores()


def warnings(found: Blas) -> list[str]:
    """What slows this BLAS down, one line each."""
    lines = [
        f"{name}={os.environ[name]} overrules what OpenBLAS finds out by itself: {harm}; unset it"
        for name, harm in HOLDS.items()
        if os.environ.get(name)
    ]
    if found.threads == 1 and usable_cores() > 1:
        limits = [name for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS") if os.environ.get(name) == "1"]
        cause = f": {limits[0]}=1" if limits else ""
        lines.append(f"BLAS uses 1 thread of {usable_cores()} cores{cause}")
    return lines
