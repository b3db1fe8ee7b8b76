"""Where data enters: whatever a user gives becomes checked arrays of the backend, once."""

import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import numpy as np

from xpnn.backends.base import Backend
from xpnn.backends.convert import to_host
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.kernels import Array
from xpnn.layers.base import Layer, Shape, for_each, is_multiple
from xpnn.losses.base import same_sizes
from xpnn.stored_array import StoredArray, stored
from xpnn.temporary_files import release

Host = np.ndarray[Any, Any]

WIDE = ("float64", "int64", "uint64", "int32", "uint32")
"""Dtypes whose digits float32 does not have."""
LOOKED_THROUGH = 1 << 26
"""Bytes at a time."""


def inputs(be: Backend, net: Layer, shape: Shape, x: Any, name: str) -> Any:
    """Samples as the network takes them: an array, or a tuple of arrays with as many samples each.

    Raises DataError when there are not as many arrays as inputs, and when they hold different numbers of samples.
    """
    if not is_multiple(shape):
        return one_input(be, shape, x, name, net.input_kind, net.vocab_size)
    n = len(shape)
    about = zip(
        shape, split(name, x, n), for_each(net.input_kind, n), for_each(net.vocab_size, n), strict=True
    )
    found = tuple(
        one_input(be, one, a, f"{name}[{i}]", kind, vocab_size)
        for i, (one, a, kind, vocab_size) in enumerate(about)
    )
    for i, a in enumerate(found):
        if a.shape[0] != found[0].shape[0]:
            raise DataError(
                f"{name}[0] has {found[0].shape[0]} samples, {name}[{i}] has {a.shape[0]}",
                fix="each sample takes one entry of every input",
            )
    return found


def split(name: str, a: Any, n: int) -> tuple[Any, ...]:
    """The n parts of what belongs to n inputs or outputs. Raises DataError for anything but a tuple or list of n."""
    if not isinstance(a, tuple | list):
        raise DataError(
            f"{name} is a {type(a).__name__}, the model has {n} of them", fix="give a tuple of arrays"
        )
    if len(a) != n:
        raise DataError(f"{name} holds {len(a)} arrays, the model has {n} of them")
    return tuple(a)


def named(name: str, a: Any, shape: Shape) -> list[tuple[str, Any, Shape]]:
    """[("x", a, shape)], or of several [("x[0]", ...), ("x[1]", ...)]."""
    if not is_multiple(shape):
        return [(name, a, shape)]
    parts = split(name, a, len(shape))
    return [(f"{name}[{i}]", part, one) for i, (part, one) in enumerate(zip(parts, shape, strict=True))]


def one_input(be: Backend, shape: Shape, x: Any, name: str, kind: Any, vocab_size: Any) -> Array:
    """Samples (N, *shape) as an array of the backend: bytes stay bytes, other numbers take the model's dtype.

    Where that is more than fits there, numbers stay on the host, as they are.
    kind: what the layer takes. Ids, of which there are `vocabulary`, become int64. Raises ShapeError, or DataError for
    no samples at all, for NaN or infinity, for what is no id, and for a mask that holds more than 0 and 1.
    """
    x = stored(x)
    if isinstance(x, StoredArray) and kind in ("float", "wide"):
        check_shape(name, x, shape)
        if x.shape[0] == 0:
            raise DataError(f"{name} has no samples")
        return finite_on_host(x, name)  # type: ignore[arg-type]
    if be.owns(x):
        be.require(name, x)
    else:
        x = to_host(x)
    check_shape(name, x, shape)
    if x.shape[0] == 0:
        raise DataError(f"{name} has no samples")
    if kind == "float" and be.owns(x) and x.dtype == be.dtype:
        return finite(be, x, name)
    if kind == "int":
        with be.device_context():
            return be.asarray(ids(x if isinstance(x, np.ndarray) else be.to_numpy(x), vocab_size, name))
    if kind != "mask" and not be.owns(x) and not be.fits(x.nbytes):
        return finite_on_host(x, name)
    if kind != "mask" and str(x.dtype).rsplit(".", maxsplit=1)[-1] in ("uint8", "bool"):
        return be.asarray(x)
    wide = kind == "wide" and str(x.dtype).rsplit(".", maxsplit=1)[-1] in WIDE
    if isinstance(x, np.ndarray):
        with np.errstate(over="ignore"):  # what becomes infinite is reported below
            x = x.astype("float64" if wide else be.dtype_name, copy=False)
    x = finite(be, be.asarray(x, be.xp.float64 if wide else be.dtype), name)
    with be.device_context():
        if kind == "mask" and not bool(be.xp.all((x == 0) | (x == 1))):
            raise DataError(
                f"{name} is a mask and holds other numbers than 0 and 1", fix="1 is real, 0 is padding"
            )
    return x


def finite(be: Backend, x: Array, name: str) -> Array:
    """x as it is. Raises DataError."""
    if isinstance(x, np.ndarray) and x.nbytes > LOOKED_THROUGH:
        return finite_on_host(x, name)
    with be.device_context():
        if not bool(be.all_finite(x)):
            raise not_finite(be.to_numpy(x), name, f" (as {be.dtype_name})")
    return x


def not_finite(x: Host, name: str, note: str = "", start: int = 0) -> DataError:
    """The error that names the first bad sample, counted from `start`."""
    i = start + int(np.argmin(np.isfinite(x).reshape(len(x), -1).all(axis=1)))
    return DataError(f"{name}[{i}] holds NaN or infinity{note}", fix="drop or fill such samples")


def finite_on_host(x: Host, name: str) -> Host:
    """x, looked through a few samples at a time: it may be larger than memory. Raises DataError."""
    few = max(1, LOOKED_THROUGH * len(x) // max(1, x.nbytes))
    for start in range(0, len(x), few):
        part = x[start : start + few]
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            raise not_finite(part, name, start=start)
        release()
    return x


def ids(x: Host, vocab_size: int, name: str) -> Host:
    """Whole numbers from 0 to vocabulary - 1 as int64. Raises DataError for the first that is none.

    vocabulary: 0 if any whole number will do.
    """
    known = vocab_size or 2**53
    with np.errstate(invalid="ignore"):
        good = (x >= 0) & (x < known) & ((x == np.floor(x)) if x.dtype.kind == "f" else True)
    bad = np.argwhere(~good)
    if len(bad):
        i = tuple(bad[0].tolist())
        raise DataError(
            f"{name}{list(i)} is {x[i]}",
            why=f"the layer knows the ids 0 to {known - 1}; {len(bad)} of {x.size} are not among them",
            fix="number the tokens from 0, or give the layer more of them",
        )
    return x.astype(np.int64, copy=False)


def targets(be: Backend, y: Any) -> Any:
    """Checked targets on the device: ids, which are int64, as they are, all else in the model's dtype.

    Of several outputs a tuple.
    """
    if isinstance(y, tuple):
        return tuple(targets(be, part) for part in y)
    return be.asarray(y if y.dtype == np.int64 else narrow(be, y, "y"))


def check_sample_weight(
    be: Backend, weight: Any, samples: int, positions: tuple[int, ...] = ()
) -> Array | None:
    """Weights in the model's dtype: of samples (N,), or of each of their positions (N, *positions).

    Finite, at least 0 and not all 0.
    """
    if weight is None:
        return None
    w = to_host(weight)
    if w.shape != (samples,) and not (w.shape[:1] == (samples,) and same_sizes(w.shape[1:], positions)):
        more = f", or for each position: {(samples, *positions)}" if positions else ""
        raise ShapeError(
            f"sample_weight has shape {w.shape}, x has {samples} samples", fix=f"one for each sample{more}"
        )
    bad = ~(np.isfinite(w) & (w >= 0))
    if bad.any() or not w.any():
        at = tuple(np.argwhere(bad)[0].tolist()) if bad.any() else ()
        raise DataError(
            f"sample_weight{list(at)} is {w[at]}" if bad.any() else "every sample_weight is 0",
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


def check_shape(name: str, x: Any, shape: tuple[int | None, ...]) -> None:
    """Raise the ShapeError that says how `x` differs from (N, *shape)."""
    if len(x.shape) == len(shape) + 1 and all(
        n in (got, None) for got, n in zip(x.shape[1:], shape, strict=True)
    ):
        return
    raise ShapeError(
        f"{name} has shape {tuple(x.shape)}, the model takes (N, {', '.join(map(str, shape))})",
        fix=shape_hint(tuple(x.shape), shape, name),
    )


def shape_hint(got: tuple[int, ...], wanted: tuple[int | None, ...], name: str) -> str:
    """Return advice on what probably happened."""
    if None in wanted:
        single = len(got) == len(wanted) and all(
            n in (size, None) for size, n in zip(got, wanted, strict=True)
        )
        return (
            f"a single sample? {name}[None]" if single else "None stands for any size, the others are fixed"
        )
    if got == wanted:
        return f"a single sample? {name}[None]"
    if len(got) == len(wanted) == 1:
        return (
            f"samples are rows: {name}[:, None] gives each number a row, {name}[None] makes one row of them"
        )
    if got[1:] == (*wanted[2:], *wanted[:2]) and len(wanted) == 3:
        return f"channels come last: np.moveaxis({name}, 1, -1)"
    if int(np.prod(got[1:])) == math.prod(n or 0 for n in wanted):
        return f"{name}.reshape(-1, {', '.join(map(str, wanted))})"
    return f"give (N, {', '.join(map(str, wanted))}), or build the model with input_shape={got[1:]}"


FOREIGN = {
    ".onnx": "xpnn.interchange.save_onnx(model, path)",
    ".pt": "torch.save(xpnn.interchange.to_torch(model), path)",
    ".pth": "torch.save(xpnn.interchange.to_torch(model), path)",
    ".keras": "xpnn.interchange.to_keras(model, keras_model), then keras_model.save(path)",
    ".h5": "xpnn.interchange.to_keras(model, keras_model), then keras_model.save(path)",
    ".py": "xpnn.interchange.save_python(model, path)",
    ".h": "xpnn.interchange.save_c(model, path)",
    ".html": "xpnn.interchange.save_html(model, path)",
    ".pkl": "the suffix .safetensors; xpnn.load reads it on every backend",
    ".pickle": "the suffix .safetensors; xpnn.load reads it on every backend",
    ".joblib": "the suffix .safetensors; xpnn.load reads it on every backend",
    ".npz": "the suffix .safetensors, or np.savez(path, **parameters) for the arrays alone",
}
"""Suffixes of other formats, and what to do instead of `Model.save`."""


def check_suffix(path: Any) -> None:
    """Raise UsageError for a model file with the suffix of another format."""
    suffix = PurePath(path).suffix.lower()
    if suffix in FOREIGN:
        raise UsageError(
            f"save({str(path)!r}): a model file is safetensors, not {suffix}", fix=FOREIGN[suffix]
        )


def check_seed(seed: int) -> int:
    """Return a whole number of at least 0. Raises UsageError for anything else."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed={seed!r}: wanted a whole number of at least 0")
    return int(seed)


def check_input_shape(shape: Any) -> Shape:
    """The sizes of one sample, each a whole number of at least 1 or None; () for samples that are single numbers.

    None: a size that differs from batch to batch. Of several inputs: a tuple of such tuples.
    """
    if isinstance(shape, tuple | list) and any(isinstance(part, tuple | list) for part in shape):
        return tuple(check_one_shape(part) for part in shape)
    return check_one_shape(shape)


def check_one_shape(shape: Any) -> tuple[int | None, ...]:
    """The sizes of one sample of one input."""
    sizes = list(shape) if isinstance(shape, Sequence | np.ndarray) and not isinstance(shape, str) else [0]
    whole = (isinstance(n, int | np.integer) and not isinstance(n, bool) and n > 0 for n in sizes)
    if not all(good or n is None for good, n in zip(whole, sizes, strict=True)):
        raise UsageError(
            f"input_shape={shape!r}: wanted the sizes of one sample, each a whole number of at least 1, or None",
            fix=f"input_shape=({shape},)"
            if isinstance(shape, int)
            else "such as (784,), (28, 28, 1), or (None, 3) for sequences of any length",
        )
    return tuple(None if n is None else int(n) for n in sizes)
