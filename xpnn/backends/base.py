"""A backend: an Array API namespace plus what the standard leaves out."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

from xpnn.backends.chain import Chain
from xpnn.backends.convert import to_host
from xpnn.backends.dense_slots import DenseSlot
from xpnn.backends.share import Share
from xpnn.errors import BackendError, DataError, DeviceError, UsageError, did_you_mean, first_line
from xpnn.kernels import Array, Kernels
from xpnn.renamed import old_members

DTYPES = ("float32", "float64")
PRECISIONS = ("fp32", "tf32", "bf16")
"""How float32 matrices are multiplied: unrounded; with operands rounded to 10 bits of the fraction; or to 7."""


@old_members
class Backend(Kernels):
    """One array library on one device in one dtype. Made by `get_backend`, never by hand.

    `xp` is the namespace, `device` the library's device object, `dtype` the library's dtype of the model.
    """

    name: ClassVar[str]
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    whole_passes: ClassVar[bool] = False
    """Whether `lstm_pass` and its like save time: they keep whole arrays, where the steps by themselves keep lists."""
    share: Share | None = None
    """Where several processes share a batch: which of its samples this one has."""

    def __init__(self, device: str, dtype: str, precision: str = "fp32") -> None:
        if dtype not in DTYPES:
            raise UsageError(f"unknown dtype {dtype!r}", fix=did_you_mean(dtype, DTYPES))
        self.check_device(device)
        check_precision(self.name, self.precisions, dtype, precision)
        self.device_name, self.dtype_name, self.precision = device, dtype, precision
        self.xp = self.load()
        self.dtype = getattr(self.xp, dtype)
        self.device = self.open_device(device)

    def load(self) -> Any:
        """Import the library and return its array-api-compat namespace. Raises BackendError if it is not there."""
        raise NotImplementedError

    def open_device(self, device: str) -> Any:
        """The library's own object for `device`."""
        return device

    def check_device(self, device: str) -> None:
        """Raise UsageError unless `device` is one of `devices`; a CUDA device may have a number."""
        kind, colon, index = device.partition(":")
        if kind not in self.devices or (colon and not (kind == "cuda" and index.isdecimal())):
            raise UsageError(
                f"backend {self.name!r} has no device {device!r}", fix=did_you_mean(kind, self.devices)
            )

    def devices_here(self) -> tuple[str, ...]:
        """The kinds of devices that can be opened on this machine."""
        return self.devices

    def version(self) -> str:
        """The library's version."""
        return str(self.xp.__version__)

    def hardware(self) -> str:
        """The name of the device, with what it is where the library says so."""
        return self.device_name

    def owns(self, a: Any) -> bool:
        """Is `a` an array of this library on this device?"""
        raise NotImplementedError

    def require(self, name: str, a: Any) -> None:
        """Raise DeviceError for an array of another library or device, DataError for a dtype that is no real number."""
        if not self.owns(a):
            kind = f"{type(a).__module__.split('.')[0]}.{type(a).__name__}"
            where = f" on {a.device}" if hasattr(a, "device") else ""
            raise DeviceError(
                f"{name} is a {kind}{where}; this model's arrays live on {self.name}/{self.device_name}",
                why="inside a step nothing is copied between libraries or devices",
                fix=f"{name} = model.backend.asarray({name}), once, outside the loop",
            )
        usual = a.dtype in (self.dtype, self.xp.int64, self.xp.uint8)
        if not usual and not self.xp.isdtype(a.dtype, ("bool", "integral", "real floating")):
            raise DataError(f"{name} is of dtype {a.dtype}", why="xpnn takes real numbers")

    def asarray(self, a: Any, dtype: Any = None) -> Array:
        """`a` (list, NumPy array, any DLPack array) as an array of this backend. `dtype=None` keeps a's own."""
        with self.device_context():
            if not self.owns(a):
                a = self.from_host(to_host(a))
            return a if dtype is None or a.dtype == dtype else self.xp.astype(a, dtype)

    def from_host(self, a: np.ndarray[Any, Any]) -> Array:
        """A NumPy array of native byte order, moved to the device."""
        return self.xp.asarray(a, device=self.device)

    def to_numpy(self, a: Array) -> np.ndarray[Any, Any]:
        """An array of this backend as a NumPy array on the host."""
        return np.asarray(a)

    def scalar(self, value: float | int | bool, dtype: Any = None) -> Array:
        """A 0-d array of the model's dtype, or of `dtype`."""
        return self.xp.asarray(value, dtype=dtype or self.dtype, device=self.device)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        """Zeros of the model's dtype."""
        return self.xp.zeros(shape, dtype=self.dtype, device=self.device)

    def device_context(self) -> contextlib.AbstractContextManager[Any]:
        """The context in which Model and Trainer run everything; layers never enter it."""
        return contextlib.nullcontext()

    def oom_guard(self, what: str, samples: int, fix: str) -> contextlib.AbstractContextManager[None]:
        """A context around work on so many samples: a device that runs out of memory raises BackendError.

        fix: with "{}" for a number of samples that would fit.
        """
        return contextlib.nullcontext()

    def memoized(self, f: Callable[[Array, Array], Any]) -> Callable[[Array, Array], Any]:
        """f itself; or, where steps write in place, f with its last result kept for the same arguments."""
        return f

    def planned(self, step: Callable[..., Any], chain: Chain) -> Callable[..., Any]:
        """`step`, the training step of that chain of layers, itself; or one that has the memory for a batch ready."""
        return step

    def copied(self, tree: dict[str, Array]) -> dict[str, Array]:
        """The tree itself; copies where `elementwise` writes into what it is given.

        An optimizer around another goes on computing after the update inside: where memory runs out then, the weights
        and the state must still be there.
        """
        return tree

    def lend(self, a: Array) -> Array:
        """`a`, for code outside of training, which may keep it: no step may free its memory from now on.

        Where views exist, `a` goes on showing the present values.
        """
        return a

    def for_samples(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """`f`, a function that makes products for samples, on the cores that this process may use."""
        return f

    def for_one_sample(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """`f`, a function that makes products for a single sample, with the threads that serve it best."""
        return f

    def one_sample(self, chain: tuple[DenseSlot, ...]) -> Callable[[Array, Array], Array | None] | None:
        """f(theta, x): the outputs of one sample (1, n_in). No f where it gains nothing.

        It returns None where x is not finite, or theta is laid out as f does not read it: the layers then compute y.
        Sums are rounded in an order of their own, and a weight whose factor is 0 counts nothing, finite or not.
        """
        return None

    def compile(
        self,
        step: Callable[..., Any],
        donated: tuple[int, ...] = (),
        resident: tuple[int, ...] = (),
        static: tuple[int, ...] = (),
    ) -> Callable[..., Any]:
        """Make a pure function of arrays fast, if the library can. The default leaves it alone.

        Positions of arguments: donated ones may be overwritten, and output i + 1 takes the place of donated argument i;
        resident ones are the same arrays call after call; static ones are numbers.
        """
        return step

    def fits(self, size: int) -> bool:
        """May so many bytes of data stay on the device beside a network? If not, they are sent batch by batch."""
        return True

    def uploads(self, batches: Iterable[np.ndarray[Any, Any]]) -> Iterator[Array]:
        """Batches from the host, the largest first, one after the other on the device.

        Each is valid until the next is requested; a backend may send that one in the meantime.
        """
        return map(self.asarray, batches)

    def buffer(self, size: int) -> Array | None:
        """An empty vector of the model's dtype for results to be written into, where the library can write."""
        return None

    def values_per_feature(self, x: Array) -> int:
        """How many values of each feature (on the last axis) `batch_norm` takes its statistics over."""
        return math.prod(x.shape[:-1])

    @classmethod
    def kernel_table(cls) -> dict[str, str]:
        """{name of a kernel: the function that computes it on this backend, with its module}."""
        found = {name: getattr(cls, name) for name in vars(Kernels) if not name.startswith("_")}
        return {name: f"{f.__module__}.{f.__name__}" for name, f in found.items()}

    def __repr__(self) -> str:
        precision = "" if self.precision == "fp32" else f", {self.precision}"
        return f"<{self.name} backend on {self.device_name}, {self.dtype_name}{precision}>"


def check_precision(name: str, known: tuple[str, ...], dtype: str, precision: str) -> None:
    """Raise UsageError for a precision that this backend does not have, or that is not for this dtype."""
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision {precision!r}", fix=did_you_mean(precision, PRECISIONS))
    if precision not in known:
        raise UsageError(
            f"backend {name!r} has no precision {precision!r}",
            why="it multiplies float32 as it is",
            fix="precision='fp32', or backend='cupy'",
        )
    if dtype != "float32" and precision != "fp32":
        raise UsageError(
            f"precision {precision!r} is a way to multiply float32, not {dtype}", fix="dtype='float32'"
        )


def missing(name: str, package: str, error: Exception) -> BackendError:
    """The error for a library that cannot be imported."""
    why = "" if isinstance(error, ModuleNotFoundError) else f"{type(error).__name__}: {first_line(error)}"
    return BackendError(
        f"backend {name!r} needs {package}, which is not installed"
        if not why
        else f"{package} cannot be imported",
        why=why,
        fix=f"pip install 'xpnn[{name}]'   (or use the CPU: backend='numpy')",
    )
