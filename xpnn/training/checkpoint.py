"""Model files: one safetensors file with the architecture as JSON, opened on any backend.

Nothing in a file is trusted: sizes are checked against the file's own length before anything is allocated, names
against a registry, values against a checksum. Nothing is imported, evaluated or unpickled.
"""

import hashlib
import json
import math
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from xpnn.backends import get_backend
from xpnn.describe import build, describe
from xpnn.durable import write_durably
from xpnn.errors import CheckpointError, FileError, UsageError, first_line
from xpnn.layers.sequential import Sequential
from xpnn.losses import Loss
from xpnn.model import Model
from xpnn.parameters import Layout

FORMAT = 1
MAX_HEADER = 2**20
"""Bytes. As Python objects, the worst JSON takes some forty times its size."""
MAX_SAMPLE = 2**40
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}

Host = np.ndarray[Any, Any]


def save(model: Model, path: Path) -> None:
    """Write `model` to `path`, whole or not at all.

    Raises FileError, and UsageError for a model that could not be read back.
    """
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
        "net": describe(model.net),
        "input_shape": list(model.input_shape),
        "dtype": model.backend.dtype_name,
        "seed": model.seed,
        "loss": describe(model.loss),
    }
    text = json.dumps(about, allow_nan=False)
    data = serialise(tensors, metadata={"xpnn": seal(text, digest(text, tensors))})
    if int.from_bytes(data[:8], "little") > MAX_HEADER:
        raise UsageError(
            f"cannot save a model of {len(tensors):,} parameter arrays",
            why=f"its description would take more than {MAX_HEADER:,} bytes",
        )
    write_durably(path, data)


def load(
    path: str | Path, *, backend: str = "numpy", device: str | None = None, dtype: str | None = None
) -> Model:
    """The model in `path`, on the backend asked for, whatever backend saved it. dtype None keeps the file's.

    Raises FileError for a file that cannot be read, CheckpointError for one that is damaged, foreign or hostile.
    """
    path = Path(path)
    try:
        with _open_file(path) as file:
            return _open(file, os.fstat(file.fileno()).st_size, backend, device, dtype)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.what[:500]}", why=error.why[:500], fix=error.fix) from error
    except RecursionError as error:
        raise CheckpointError(f"{path}: the saved network is nested too deeply") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _open_file(path: Path) -> BinaryIO:
    """A regular file, opened: a pipe would keep us waiting, a device might never end. Raises FileError."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError("it is not a regular file")
        return open(path, "rb")
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> FileError:
    if isinstance(error, FileError):
        return error
    why = getattr(error, "strerror", None) or first_line(error)
    return FileError(f"cannot read {path}", why=why)


def _open(file: BinaryIO, size: int, backend: str, device: str | None, dtype: str | None) -> Model:
    header, start = read_header(file, size)
    meta = header.pop("__metadata__", None)
    if not isinstance(meta, dict) or not isinstance(meta.get("xpnn"), str):
        raise CheckpointError(
            "this safetensors file was not written by xpnn", why='its metadata has no entry "xpnn"'
        )
    about = read_about(meta["xpnn"])
    net = build(about["net"])
    if not isinstance(net, Sequential):
        raise CheckpointError(f"the saved network is a {type(net).__name__}, not a Sequential")
    shape = tuple(about["input_shape"])
    try:
        specs, _ = net.plan(shape)
    except RecursionError:
        raise
    except Exception as error:  # whatever the plan of any registered layer may raise
        raise CheckpointError("the saved layers do not fit each other", why=first_line(error)) from error
    layout = Layout(specs)
    check_table(layout, header, size - start)
    tensors = read_tensors(file.read(size - start), header)
    text, checksum = unseal(meta["xpnn"])
    if checksum != digest(text, tensors):
        raise CheckpointError(
            "the checksum does not match: the file is damaged", fix="restore it from a copy, or train again"
        )
    be = get_backend(backend, device, about["dtype"] if dtype is None else dtype)
    model = Model(
        net, shape, backend=backend, device=device, dtype=be.dtype_name, seed=about["seed"],
        vectors=join(layout, tensors, be.dtype_name),
    )  # fmt: skip
    model.loss = about["loss"]
    return model


def join(layout: Layout, tensors: dict[str, Host], dtype: str) -> dict[str, Host]:
    """theta and phi in `dtype`. Raises CheckpointError for NaN, infinity, and numbers too large for it."""
    vectors = {name: np.zeros(size, dtype) for name, size in layout.size.items()}
    for name, (vector, start, stop) in layout.slots.items():
        with np.errstate(over="ignore"):
            vectors[vector][start:stop] = tensors[name].reshape(-1)
        if not np.isfinite(vectors[vector][start:stop]).all():
            raise CheckpointError(f"parameter {name} holds NaN or infinity (as {dtype})")
    return vectors


def read_header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """The JSON table at the front, after 8 bytes of its length, as plain objects; and where it ends."""
    if size < 8:
        raise CheckpointError(
            f"{size} bytes are no model file", why="a safetensors file begins with 8 bytes of length"
        )
    length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, MAX_HEADER):
        raise CheckpointError(
            "this is no safetensors file of a model, or it is cut short",
            why=f"its header promises {length:,} bytes, {size - 8:,} are there, at most {MAX_HEADER:,} are read",
        )
    header = read_json(file.read(length), "header")
    if not isinstance(header, dict):
        raise CheckpointError("the header is not a JSON object")
    return header, 8 + length


def read_json(text: bytes | str, what: str) -> Any:
    """JSON without duplicate keys, NaN, or nesting deeper than the interpreter bears."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(items)
        if len(table) != len(items):
            raise CheckpointError(f"the {what} names a key twice")
        return table

    def constant(word: str) -> None:
        raise CheckpointError(f"the {what} holds {word}")

    try:
        if isinstance(text, bytes):
            text = text.decode()  # or else json would guess at UTF-16 and UTF-32
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the {what} is not JSON", why=str(error)[:120]) from error


def read_about(text: str) -> dict[str, Any]:
    """The description of the model, with every entry's type checked."""
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
    sizes = about["input_shape"]
    if not all(type(n) is int and 0 < n <= MAX_SAMPLE for n in sizes) or len(sizes) > 32:
        raise CheckpointError(f"the model description holds input_shape {str(sizes)[:80]}")
    if math.prod(sizes) > MAX_SAMPLE:
        raise CheckpointError(f"the model description holds input_shape {sizes}, which is too large")
    loss = build(about["loss"], "loss")
    if not isinstance(loss, Loss):
        raise CheckpointError(f"the saved loss is a {type(loss).__name__}")
    return {**about, "loss": loss}


def check_table(layout: Layout, header: dict[str, Any], size: int) -> None:
    """Names, shapes and offsets of the header against the architecture and the `size` bytes that follow.

    Nothing is allocated before they agree: the spans tile those bytes without hole or overlap.
    """
    for names, word in (
        (layout.named.keys() - header.keys(), "missing"),
        (header.keys() - layout.named.keys(), "unknown"),
    ):
        if names:
            raise CheckpointError(
                f"parameters are {word}: {', '.join(sorted(names)[:5])}",
                why="the architecture says otherwise",
            )
    spans = sorted(check_entry(name, list(spec.shape), header[name]) for name, spec in layout.named.items())
    ends = [0, *(stop for _, stop in spans)]
    if [start for start, _ in spans] != ends[:-1] or ends[-1] != size:
        raise CheckpointError(
            "the parameters do not fill the file: it is cut short or damaged",
            why=f"they take {sum(stop - start for start, stop in spans):,} bytes, {size:,} are there",
        )


def check_entry(name: str, shape: list[int], entry: Any) -> tuple[int, int]:
    """The bytes [start, stop) that a parameter takes."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"parameter {name} has no dtype, shape and offsets")
    dtype, offsets = entry["dtype"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise CheckpointError(f"parameter {name} has an unknown dtype", fix=f"one of: {', '.join(DTYPES)}")
    if entry["shape"] != shape or any(type(n) is not int for n in entry["shape"]):
        raise CheckpointError(
            f"parameter {name} has shape {str(entry['shape'])[:80]}, the architecture wants {shape}"
        )
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(n) is int for n in offsets)):
        raise CheckpointError(f"parameter {name} has no offsets")
    start, stop = offsets
    if not 0 <= start < 2**63 or stop - start != math.prod(shape) * DTYPES[dtype].itemsize:
        raise CheckpointError(f"parameter {name} has offsets that do not fit its shape {shape}")
    return start, stop


def read_tensors(data: bytes, header: dict[str, Any]) -> dict[str, Host]:
    """The arrays, as views of the bytes that follow the header."""
    tensors: dict[str, Host] = {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        if stop > len(data):
            raise CheckpointError("the file grew shorter while it was read")
        tensors[name] = np.frombuffer(memoryview(data)[start:stop], DTYPES[entry["dtype"]]).reshape(
            entry["shape"]
        )
    return tensors


def seal(text: str, checksum: str) -> str:
    """The description with its checksum as a last entry. Two entries of metadata would come in either order."""
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
