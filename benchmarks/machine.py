"""What the numbers were measured on, and an environment without leftovers."""

import datetime
import importlib.metadata
import os
import platform
from typing import Any

LEFTOVERS = ("OPENBLAS_", "MKL_", "OMP_", "NUMBA_", "XLA_", "JAX_", "TORCH", "KERAS_", "XPNN_")
PACKAGES = ("numpy", "numba", "torch", "jax", "keras", "scikit-learn")


def tidy_environment() -> None:
    """No older kernels, no settings of threads or compilers. To be called before NumPy is imported."""
    for variable in [name for name in os.environ if name.startswith(LEFTOVERS)]:
        del os.environ[variable]


def cores() -> int:
    """Those this process may run on: the threads of every contender."""
    return len(os.sched_getaffinity(0))


def processor() -> str:
    with open("/proc/cpuinfo") as file:
        models = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    return models[0] if models else platform.processor()


def machine() -> dict[str, Any]:
    """Date, processor, cores, the BLAS that NumPy uses with its kernel, and all versions."""
    from xpnn.backends.cpu.blas import blas

    return {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": cores(),
        "blas": str(blas()),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := version_of(name))},
    }


def version_of(package: str) -> str | None:
    """None where it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def sentence(about: dict[str, Any]) -> str:
    """All of it in a line."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{about['processor']}, {about['cores']} cores; BLAS {about['blas']}; "
        f"Python {about['python']}, {versions}; {about['date']}."
    )


def peak_bytes() -> int:
    """The most memory this process has held so far (VmHWM)."""
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])
