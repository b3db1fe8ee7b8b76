"""Which backend `--backend auto` chooses on this machine, and why; and whether a backend works."""

from xpnn.backends import get_backend
from xpnn.backends.base import Backend
from xpnn.backends.cuda.driver import driver_version, fitting_extra, installed_cupy
from xpnn.errors import BackendError, XpnnError

LIBRARIES = {"cuda": "cupy", "mps": "torch", "xpu": "torch", "tpu": "jax", "METAL": "jax"}
"""The backend for each kind of device; NumPy for others."""


def choose(device: str | None = None) -> tuple[str, str]:
    """`name, why`: CuPy where its wheel, a driver and a GPU are there and it works, else NumPy.

    A device that was asked for decides, even where that is an error: a CUDA device means CuPy, see LIBRARIES.
    """
    if device is not None:
        return LIBRARIES.get(device.partition(":")[0], "numpy"), f"device {device}"
    if not installed_cupy():
        driver = " and this machine has an NVIDIA driver" if driver_version() else ""
        return "numpy", f"CuPy not installed{driver}"
    try:
        check(get_backend("cupy"))
    except BackendError as error:
        return "numpy", error.what
    return "cupy", "CuPy works here"


def check(be: Backend) -> None:
    """Multiply two small matrices and look at the result. Raises BackendError if that fails.

    A library may import and list its GPU, and yet lack what compiles or runs its kernels.
    """
    try:
        with be.device_context():
            ones = be.zeros((8, 8)) + 1.0
            product = be.to_numpy(be.relu(ones @ ones))
    except XpnnError:
        raise
    except Exception as error:  # whatever the library throws when one of its parts is missing
        raise BackendError(
            f"{be.name} on {be.device_name} cannot multiply two matrices",
            why=f"{type(error).__name__}: {error}".splitlines()[0],
            fix=remedy(be),
        ) from error
    if not (product == 8).all():
        raise BackendError(f"{be.name} on {be.device_name} multiplies wrongly: wanted 8, got {product[0, 0]}")


def remedy(be: Backend) -> str:
    """CuPy's plain wheels leave CUDA's own libraries and headers to the system; their extra `ctk` brings them."""
    if be.name != "cupy":
        return "backend='numpy' always works"
    wheel = f"cupy-{fitting_extra(driver_version())}x[ctk]"
    return f"install the CUDA toolkit, or pip install '{wheel}'   (or run on the CPU: backend='numpy')"
