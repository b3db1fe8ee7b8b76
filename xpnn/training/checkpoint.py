"""Model files: one safetensors file with the architecture as JSON, opened on any backend.

Nothing in a file is trusted: sizes are checked against the file's own length before anything is allocated, names
against a registry, values against a checksum. Nothing is imported, evaluated or unpickled.
"""

import hashlib
import json
import math
import os
import warnings
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from xpnn.backends import Backend, get_backend
from xpnn.config import from_config, to_config
from xpnn.data.preparation import Preparation
from xpnn.durable import previous, write_durably
from xpnn.errors import CheckpointError, FileError, UsageError, XpnnError, first_line
from xpnn.layers.budget import limited
from xpnn.layers.graph import Graph
from xpnn.layers.lengths import ASSUMED, planned
from xpnn.layers.sequential import Sequential
from xpnn.losses import FunctionLoss, Loss, MeanSquaredError
from xpnn.network import Network
from xpnn.parameters import Layout
from xpnn.reading import unreadable
from xpnn.system import user_path
from xpnn.training.safetensors_reader import (
    MAX_HEADER,
    check_table,
    open_file,
    read_header,
    read_json,
    read_tensors,
)

FORMAT = 1
MAX_SAMPLE = 2**40

Host = np.ndarray[Any, Any]
N = TypeVar("N", bound=Network)


def save_model(model: Network, path: Path, *, keep: bool = False) -> None:
    """Write `model` to `path`, whole or not at all; `keep` the file that was there as the generation before it.

    Raises FileError, and UsageError for a model that could not be read back.
    """
    write_durably(path, pack(model), keep=keep)


def pack(model: Network) -> bytes:
    """Return the tensors and metadata for the file. Raises UsageError for a model that could not be read back."""
    from safetensors.numpy import save as serialise

    from xpnn import __version__

    vectors = model.snapshot()
    tensors = {
        name: np.ascontiguousarray(vectors[vector][start:stop].reshape(model.layout.named[name].shape))
        for name, (vector, start, stop) in model.layout.slots.items()
    }
    bad = [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()]
    if bad:
        raise UsageError(f"cannot save a model whose parameter {bad[0]} holds NaN or infinity")
    about = {
        "format": FORMAT,
        "xpnn": __version__,
        "net": to_config(model.net),
        "input_shape": to_config(model.input_shape),
        "dtype": model.backend.dtype_name,
        "seed": model.seed,
        "loss": to_config(as_saved(model.loss)),
    }
    if model.preparation is not None:
        about["preparation"] = to_config(model.preparation)
    text = json.dumps(about, allow_nan=False)
    data = serialise(tensors, metadata={"xpnn": seal(text, digest(text, tensors))})
    if int.from_bytes(data[:8], "little") > MAX_HEADER:
        raise UsageError(
            f"cannot save a model of {len(tensors):,} parameter arrays",
            why=f"its description would take more than {MAX_HEADER:,} bytes",
        )
    return data


def as_saved(loss: Loss) -> Loss:
    """The loss as a file holds it: mean_squared_error for a function, with a warning."""
    if not isinstance(loss, FunctionLoss):
        return loss
    warnings.warn(
        f"a file holds no functions: the loss {loss.name} is saved as mean_squared_error; evaluate(x, y, loss=...) "
        "takes the function again",
        UserWarning,
        stacklevel=3,
    )
    return MeanSquaredError()


def load_model(kind: type[N], path: str | Path, backend: str | Backend = "numpy", *where: str | None) -> N:
    """The network in `path`, as a `kind`, on that backend; `where`: device, dtype and precision. See `xpnn.load`."""
    path = user_path(path)
    try:
        return _load(kind, path, backend, *where)
    except (CheckpointError, FileError) as error:
        older = previous(path)
        if not _opens(older):
            raise
        fix = f"{older}, the generation before it, is whole: name that file to xpnn or xpnn.load"
        raise type(error)(error.what, why=error.why, fix=fix) from error


def _opens(path: Path) -> bool:
    try:
        return path.is_file() and _load(Network, path) is not None
    except (XpnnError, ValueError):  # ValueError: a path with a null character
        return False


def _load(kind: type[N], path: Path, *where: Any) -> N:
    try:
        with open_file(path) as file:
            return _open(kind, file, os.fstat(file.fileno()).st_size, *where)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.what[:500]}", why=error.why[:500], fix=error.fix) from error
    except RecursionError as error:
        raise CheckpointError(f"{path}: the saved network is nested too deeply") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _open(
    kind: type[N],
    file: BinaryIO,
    size: int,
    backend: str | Backend = "numpy",
    device: str | None = None,
    dtype: str | None = None,
    precision: str | None = None,
) -> N:
    header, start = read_header(file, size)
    meta = header.pop("__metadata__", None)
    if isinstance(meta, dict) and "xpnn-training" in meta:
        raise CheckpointError("this is the state of a run, no model", fix="open best.safetensors beside it")
    if not isinstance(meta, dict) or not isinstance(meta.get("xpnn"), str):
        raise CheckpointError(
            "this safetensors file was not written by xpnn", why='its metadata has no entry "xpnn"'
        )
    about = read_about(meta["xpnn"])
    net, shape, layout = limited(len(meta["xpnn"]), size, read_net, about)
    check_table({name: spec.shape for name, spec in layout.named.items()}, header, size - start)
    tensors = read_tensors(file.read(size - start), header)
    text, checksum = unseal(meta["xpnn"])
    if checksum != digest(text, tensors):
        raise CheckpointError(
            "the checksum does not match: the file is damaged", fix="restore it from a copy, or train again"
        )
    if dtype is None and isinstance(backend, str):
        dtype = about["dtype"]
    be = get_backend(backend, device, dtype, precision)
    model = kind(net, shape, backend=be, seed=about["seed"], vectors=join(layout, tensors, be.dtype_name))
    model.loss, model.preparation = about["loss"], about["preparation"]
    if model.preparation is not None:
        try:
            model.preparation.check_model(model.input_shape, model.output_shape)
        except UsageError as error:
            raise CheckpointError(error.what, why=error.why) from error
    return model


def read_net(about: dict[str, Any]) -> tuple[Sequential | Graph, Any, Layout]:
    """The network of a description, the shape of its samples, and where its parameters lie; no array is made."""
    net = from_config(about.get("net"))
    if not isinstance(net, Sequential | Graph):
        raise CheckpointError(f"the saved network is a {type(net).__name__}, not a Sequential")
    shape = about.get("input_shape")
    if not isinstance(shape, list):
        raise CheckpointError("the description has no list called 'input_shape'")
    inputs = shape if shape and all(type(sizes) is list for sizes in shape) else [shape]
    for sizes in inputs:
        if not all(n is None or (type(n) is int and 0 < n <= MAX_SAMPLE) for n in sizes) or len(sizes) > 32:
            raise CheckpointError(f"the model description holds input_shape {str(shape)[:80]}")
        if math.prod(n or ASSUMED for n in sizes) > MAX_SAMPLE:
            raise CheckpointError(f"the model description holds input_shape {sizes}, which is too large")
    shape = from_config(shape)
    try:
        specs, _ = net.plan(planned(shape))
    except (CheckpointError, RecursionError, MemoryError):
        raise
    except Exception as error:  # whatever the plan of any registered layer may raise
        raise CheckpointError("the saved layers do not fit each other", why=first_line(error)) from error
    return net, shape, Layout(specs)


def join(layout: Layout, tensors: dict[str, Host], dtype: str) -> dict[str, Host]:
    """Return theta and phi in `dtype`. Raises CheckpointError for NaN, infinity, and numbers too large for it."""
    vectors = {name: np.zeros(size, dtype) for name, size in layout.size.items()}
    for name, (vector, start, stop) in layout.slots.items():
        with np.errstate(over="ignore"):
            vectors[vector][start:stop] = tensors[name].reshape(-1)
        if not np.isfinite(vectors[vector][start:stop]).all():
            raise CheckpointError(f"parameter {name} holds NaN or infinity (as {dtype})")
    return vectors


def read_about(text: str) -> dict[str, Any]:
    """Return the description of the model, with the type of every entry checked."""
    about = read_json(text, "model description")
    wanted = {
        "format": int,
        "xpnn": str,
        "net": dict,
        "input_shape": list,
        "dtype": str,
        "seed": int,
        "loss": dict,
    }
    for key, kind in wanted.items():
        if not isinstance(about, dict) or type(about.get(key)) is not kind:
            raise CheckpointError(f"the model description has no {kind.__name__} called {key!r}")
    if about["format"] != FORMAT:
        raise CheckpointError(
            f"the file has format {about['format']}, this version reads format {FORMAT}",
            fix=f"use xpnn {str(about['xpnn'])[:20]}, which wrote it",
        )
    if about["dtype"] not in ("float32", "float64") or about["seed"] < 0:
        raise CheckpointError("the model description holds an unknown dtype or a seed below 0")
    loss = from_config(about["loss"], "loss")
    if not isinstance(loss, Loss):
        raise CheckpointError(f"the saved loss is a {type(loss).__name__}")
    return {**about, "loss": loss, "preparation": read_preparation(about)}


def read_preparation(about: dict[str, Any]) -> Preparation | None:
    """Return how raw data becomes samples of the model; None for files written before this was saved."""
    if "preparation" not in about:
        return None
    found = from_config(about["preparation"], "preparation")
    if not isinstance(found, Preparation):
        raise CheckpointError(f"the saved preparation is a {type(found).__name__}")
    return found


def seal(text: str, checksum: str) -> str:
    """Return the description with its checksum as the last entry, since the order of metadata entries is not fixed."""
    return f'{text[:-1]}, "sha256": "{checksum}"}}'


def unseal(sealed: str) -> tuple[str, str]:
    """The inverse of `seal`."""
    text, _, checksum = sealed.rpartition(', "sha256": "')
    return text + "}", checksum[:-2]


def digest(text: str, tensors: dict[str, Host]) -> str:
    """sha256 over the description and, in order of name, every tensor's name, shape and bytes."""
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        total.update(f"{name}{tensors[name].dtype}{tensors[name].shape}".encode())
        total.update(np.ascontiguousarray(tensors[name]).data)
    return total.hexdigest()
