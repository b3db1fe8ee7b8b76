"""Everything that can be wrong with an installation of CuPy, said before the first array."""

import importlib
import os

from xpnn.backends.cuda.driver import WHEELS, driver_version, fitting_extra, installed_cupy
from xpnn.errors import BackendError, first_line


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
            else "no NVIDIA driver was found either",
            fix=f"pip install 'xpnn[{extra}]'   (or run on the CPU: backend='numpy')",
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
            f"CuPy {version} is installed, but no NVIDIA driver was found",
            why="libcuda.so.1 was not found or reports no version",
            fix="install the driver, or run on the CPU: backend='numpy'",
        )
    if WHEELS.get(name, 0) > driver[0]:
        raise BackendError(
            f"{name} {version} was built for CUDA {WHEELS[name]}, the driver supports CUDA {cuda}",
            fix=f"pip uninstall -y {name} && pip install {wheel}   (or a newer driver)",
        )
    check_device_count()


def check_device_count() -> None:
    """Raise BackendError where the driver shows no GPU."""
    try:
        runtime = importlib.import_module("cupy").cuda.runtime
    except (ImportError, OSError) as error:
        raise cannot_import(error) from error
    try:
        why = "" if runtime.getDeviceCount() else "the driver shows none"
    except runtime.CUDARuntimeError as error:
        why = first_line(error)
    if why:
        shown = os.environ.get("CUDA_VISIBLE_DEVICES")
        look = "nvidia-smi" if shown is None else f"CUDA_VISIBLE_DEVICES, which is {shown!r}"
        raise BackendError(
            "CuPy sees no usable GPU", why=why, fix=f"check {look}; or run on the CPU: backend='numpy'"
        )


def cannot_import(error: ImportError | OSError) -> BackendError:
    """The error for a CuPy that is installed but broken, or may not create its folder of compiled kernels."""
    if isinstance(error, OSError):
        return cannot_cache(error)
    return BackendError(
        "CuPy cannot be imported",
        why=f"{type(error).__name__}: {first_line(error)}",
        fix=f"pip install --force-reinstall 'xpnn[{fitting_extra(driver_version())}]'",
    )


def cannot_cache(error: OSError) -> BackendError:
    """The error for a folder of compiled kernels that CuPy may not write to."""
    folder = os.environ.get("CUPY_CACHE_DIR", "~/.cupy/kernel_cache")
    return BackendError(
        f"CuPy cannot write its kernels to {folder}",
        why=f"{type(error).__name__}: {first_line(error)}",
        fix="CUPY_CACHE_DIR=/another/folder, or CUPY_CACHE_IN_MEMORY=1 (compiled again by each process)",
    )


def cannot_run(error: Exception, device: str) -> BackendError:
    """The error for a GPU on which the first kernel fails."""
    why = f"{type(error).__name__}: {first_line(error)}"
    if isinstance(error, OSError):
        return cannot_cache(error)
    if isinstance(error, MemoryError) or "OutOfMemory" in why or "cudaErrorMemoryAllocation" in why:
        return BackendError(
            f"{device} has no memory left",
            why=why,
            fix="nvidia-smi shows who has it; or run on the CPU: backend='numpy'",
        )
    if "InsufficientDriver" in why or "UNSUPPORTED_PTX" in why:
        return BackendError(f"the driver is too old for this CuPy on {device}", why=why, fix="a newer driver")
    wheel = next(iter(installed_cupy()), "cupy")
    return BackendError(
        f"CuPy cannot compile or run a kernel on {device}",
        why=why,
        fix=f"pip install '{wheel}[ctk]' brings NVRTC and the headers; or install the CUDA toolkit",
    )
