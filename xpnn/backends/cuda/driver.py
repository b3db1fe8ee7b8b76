"""The newest CUDA version that this machine's NVIDIA driver supports, and the CuPy wheel that fits it.

Run as a program (`python -m xpnn.backends.cuda.driver`) it prints the fitting extra (`cuda12` or `cuda13`), or
nothing without a driver.
It imports nothing but the standard library, and touches no GPU.
"""

import ctypes
import importlib.metadata

WHEELS = {"cupy-cuda12x": 12, "cupy-cuda13x": 13}
"""The CuPy distributions that carry binaries, and the CUDA major version each was built for."""
SOURCE = ("cupy", "cupy-cuda11x", "cupy-wheel")
"""Other distributions that bring the same `cupy` module."""


def driver_version() -> tuple[int, int] | None:
    """The newest CUDA version the installed driver supports, such as (13, 0); None without a driver."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            library = ctypes.CDLL(name)
        except OSError:
            continue
        version = ctypes.c_int(0)
        if library.cuDriverGetVersion(ctypes.byref(version)) == 0 and version.value > 0:
            return version.value // 1000, version.value % 1000 // 10
    return None


def fitting_extra(driver: tuple[int, int] | None) -> str:
    """The extra whose CuPy wheel runs on `driver`: the newest major that is not above it; cuda13 without one."""
    return "cuda12" if driver is not None and driver[0] < 13 else "cuda13"


def installed_cupy() -> dict[str, str]:
    """Every installed distribution that brings `cupy`, with its version."""
    found = {}
    for name in (*WHEELS, *SOURCE):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    if (version := driver_version()) is not None:
        print(fitting_extra(version))
