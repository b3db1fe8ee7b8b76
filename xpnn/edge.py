"""Where data enters: whatever a user gives becomes checked arrays of the backend, once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.convert import to_host
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.kernels import Array

Host = np.ndarray[Any, Any]


def inputs(be: Backend, shape: tuple[int, ...], x: Any, name: str, vocabulary: int = 0) -> Array:
    """Samples (N, *shape) as an array of the backend: bytes stay bytes, other numbers take the model's dtype.

    vocabulary: if above 0, samples are ids 0, ..., vocabulary - 1, and become int64. Raises ShapeError, or
    DataError for no samples at all, for NaN or infinity, and for what is no id.
    """
    if be.owns(x):
        be.require(name, x)
    else:
        x = to_host(x)
    check_shape(name, x, shape)
    if x.shape[0] == 0:
        raise DataError(f"{name} has no samples")
    if vocabulary:
        with be.scope():
            return be.asarray(ids(x if isinstance(x, np.ndarray) else be.to_numpy(x), vocabulary, name))
    if str(x.dtype).rsplit(".", maxsplit=1)[-1] in ("uint8", "bool"):
        return be.asarray(x)
    if isinstance(x, np.ndarray):
        with np.errstate(over="ignore"):  # what becomes infinite is reported below
            x = x.astype(be.dtype_name, copy=False)
    x = be.asarray(x, be.dtype)
    with be.scope():
        if not bool(be.all_finite(x)):
            i = int(np.argmin(np.isfinite(be.to_numpy(x)).reshape(x.shape[0], -1).all(axis=1)))
            raise DataError(
                f"{name}[{i}] holds NaN or infinity (as {be.dtype_name})", fix="drop or fill such samples"
            )
    return x


def ids(x: Host, vocabulary: int, name: str) -> Host:
    """Whole numbers from 0 to vocabulary - 1 as int64. Raises DataError for the first that is none."""
    with np.errstate(invalid="ignore"):
        good = (x >= 0) & (x < vocabulary) & ((x == np.floor(x)) if x.dtype.kind == "f" else True)
    bad = np.argwhere(~good)
    if len(bad):
        i = tuple(bad[0].tolist())
        raise DataError(
            f"{name}{list(i)} is {x[i]}",
            why=f"the layer knows the ids 0 to {vocabulary - 1}; {len(bad)} of {x.size} are not among them",
            fix="number the tokens from 0, or give the layer more of them",
        )
    return x.astype(np.int64)


def targets(be: Backend, y: Host) -> Array:
    """Checked targets on the device: ids as int64, everything else in the model's dtype."""
    return be.asarray(y if y.dtype == np.int64 and y.ndim == 1 else narrow(be, y, "y"))


def weights(be: Backend, weight: Any, samples: int) -> Array | None:
    """Sample weights (N,), finite, at least 0 and not all 0, in the model's dtype."""
    if weight is None:
        return None
    w = to_host(weight)
    if w.shape != (samples,):
        raise ShapeError(
            f"sample_weight has shape {w.shape}, x has {samples} samples", fix="one for each sample"
        )
    bad = ~(np.isfinite(w) & (w >= 0))
    if bad.any() or not w.any():
        i = int(np.argmax(bad))
        raise DataError(
            f"sample_weight[{i}] is {w[i]}" if bad.any() else "every sample_weight is 0",
            why="weights are finite, at least 0 and not all 0",
        )
    return be.asarray(narrow(be, w, "sample_weight"))


def narrow(be: Backend, a: Host, name: str) -> Host:
    """Finite numbers in the model's dtype. Raises DataError where they do not fit into it."""
    with np.errstate(over="ignore"):
        new: Host = a.astype(be.dtype_name, copy=False)
    bad = np.argwhere(~np.isfinite(new))
    if len(bad):
        i = tuple(bad[0].tolist())
        why = f"too large for {be.dtype_name}" if np.isfinite(a[i]) else "not finite"
        raise DataError(f"{name}{list(i)} is {a[i]}, {why}", fix="scale it down, or drop it")
    return new


def check_shape(name: str, x: Any, shape: tuple[int, ...]) -> None:
    """Raise the ShapeError that says how `x` differs from (N, *shape)."""
    if tuple(x.shape[1:]) == shape and len(x.shape) == len(shape) + 1:
        return
    raise ShapeError(
        f"{name} has shape {tuple(x.shape)}, the model takes (N, {', '.join(map(str, shape))})",
        fix=shape_hint(tuple(x.shape), shape, name),
    )


def shape_hint(got: tuple[int, ...], wanted: tuple[int, ...], name: str) -> str:
    """What probably happened."""
    if got == wanted:
        return f"a single sample? {name}[None]"
    if got[1:] == (*wanted[2:], *wanted[:2]) and len(wanted) == 3:
        return f"channels come last: np.moveaxis({name}, 1, -1)"
    if int(np.prod(got[1:])) == int(np.prod(wanted)):
        return f"{name}.reshape(-1, {', '.join(map(str, wanted))})"
    return f"give (N, {', '.join(map(str, wanted))}), or build the model with input_shape={got[1:]}"


def check_seed(seed: int) -> int:
    """A whole number of at least 0."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed={seed!r}: wanted a whole number of at least 0")
    return int(seed)


def check_input_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """The sizes of one sample, each a whole number of at least 1; () for samples that are single numbers."""
    sizes = list(shape) if isinstance(shape, Sequence | np.ndarray) else [None]
    if not all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in sizes):
        raise UsageError(
            f"input_shape={shape!r}: wanted the sizes of one sample, each a whole number of at least 1",
            fix=f"input_shape=({shape},)" if isinstance(shape, int) else "such as (784,) or (28, 28, 1)",
        )
    return tuple(int(n) for n in sizes if n is not None)
