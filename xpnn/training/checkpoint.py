"""Model files: one safetensors file with the architecture as JSON, opened on any backend.

Nothing in a file is trusted: sizes are checked against the file's own length before anything is allocated, names
against a registry, values against a checksum. Nothing is imported, evaluated or unpickled.
"""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from xpnn.describe import build, describe
from xpnn.durable import write_durably
from xpnn.errors import CheckpointError, FileError, XpnnError
from xpnn.layers.sequential import Sequential
from xpnn.losses import Loss
from xpnn.model import Model
from xpnn.parameters import Layout

FORMAT = 1
MAX_HEADER = 16 * 2**20
SIZES = {"F32": ("float32", 4), "F64": ("float64", 8)}


def save(model: Model, path: Path) -> None:
    """Write `model` to `path`, whole or not at all. Raises FileError."""
    from safetensors.numpy import save as serialise

    from xpnn import __version__

    vectors = model.snapshot()
    tensors = {
        name: np.ascontiguousarray(vectors[vector][start:stop].reshape(model.layout.named[name].shape))
        for name, (vector, start, stop) in model.layout.slots.items()
    }
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
    write_durably(path, serialise(tensors, metadata={"xpnn": text, "sha256": digest(text, tensors)}))


def load(
    path: str | Path, *, backend: str = "numpy", device: str | None = None, dtype: str | None = None
) -> Model:
    """The model in `path`, on the backend asked for, whatever backend saved it. dtype None keeps the file's.

    Raises FileError for a file that cannot be read, CheckpointError for one that is damaged, foreign or hostile.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read {path}", why=error.strerror or str(error)) from error
    try:
        return _open(data, backend, device, dtype)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.what}", why=error.why, fix=error.fix) from error


def _open(data: bytes, backend: str, device: str | None, dtype: str | None) -> Model:
    header = read_header(data)
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
    except (XpnnError, IndexError, TypeError, OverflowError) as error:
        raise CheckpointError(
            "the saved layers do not fit each other", why=str(error).splitlines()[0]
        ) from error
    layout = Layout(specs)
    check_table(layout, header)
    tensors = read_tensors(data)
    if meta.get("sha256") != digest(meta["xpnn"], tensors):
        raise CheckpointError(
            "the checksum does not match: the file is damaged", fix="restore it from a copy, or train again"
        )
    model = Model(
        net, shape, backend=backend, device=device, dtype=dtype or about["dtype"], seed=about["seed"]
    )
    model.loss = about["loss"]
    vectors = {name: np.zeros(size, model.backend.dtype_name) for name, size in layout.size.items()}
    for name, (vector, start, stop) in layout.slots.items():
        if not np.isfinite(tensors[name]).all():
            raise CheckpointError(f"parameter {name} holds NaN or infinity")
        vectors[vector][start:stop] = tensors[name].reshape(-1)
    model.restore(vectors)
    return model


def read_header(data: bytes) -> dict[str, Any]:
    """The JSON table at the front, after 8 bytes of its length, as plain objects."""
    if len(data) < 8:
        raise CheckpointError(
            f"{len(data)} bytes are no model file", why="a safetensors file begins with 8 bytes of length"
        )
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, MAX_HEADER):
        raise CheckpointError(
            "this is no safetensors file, or it is cut short",
            why=f"its header promises {length:,} bytes, {len(data) - 8:,} are there",
        )
    header = read_json(data[8 : 8 + length], "header")
    if not isinstance(header, dict):
        raise CheckpointError("the header is not a JSON object")
    return header


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
        if not isinstance(about, dict) or not isinstance(about.get(key), kind):
            raise CheckpointError(f"the model description has no {kind.__name__} called {key!r}")
    if about["format"] != FORMAT:
        raise CheckpointError(
            f"the file has format {about['format']}, this version reads format {FORMAT}",
            fix=f"use xpnn {str(about['xpnn'])[:20]}, which wrote it",
        )
    if about["dtype"] not in ("float32", "float64") or about["seed"] < 0:
        raise CheckpointError(f"the model description holds dtype {about['dtype']!r}, seed {about['seed']}")
    if not all(isinstance(n, int) and 0 < n < 2**40 for n in about["input_shape"]):
        raise CheckpointError(f"the model description holds input_shape {about['input_shape']}")
    loss = build(about["loss"], "loss")
    if not isinstance(loss, Loss):
        raise CheckpointError(f"the saved loss is a {type(loss).__name__}")
    return {**about, "loss": loss}


def check_table(layout: Layout, header: dict[str, Any]) -> None:
    """Names, shapes and byte counts of the header against the architecture: nothing is allocated before they agree."""
    for names, word in (
        (layout.named.keys() - header.keys(), "missing"),
        (header.keys() - layout.named.keys(), "unknown"),
    ):
        if names:
            raise CheckpointError(
                f"parameters are {word}: {', '.join(sorted(names)[:5])}",
                why="the architecture says otherwise",
            )
    for name, spec in layout.named.items():
        entry = header[name]
        if (
            not isinstance(entry, dict)
            or entry.get("shape") != list(spec.shape)
            or entry.get("dtype") not in SIZES
        ):
            got = entry.get("shape") if isinstance(entry, dict) else entry
            raise CheckpointError(
                f"parameter {name} has shape {got}, the architecture wants {list(spec.shape)}"
            )
        offsets = entry.get("data_offsets")
        size = math.prod(spec.shape) * SIZES[entry["dtype"]][1]
        if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(n) is int for n in offsets)):
            raise CheckpointError(f"parameter {name} has no offsets")
        if offsets[1] - offsets[0] != size:
            raise CheckpointError(
                f"parameter {name} spans {offsets[1] - offsets[0]} bytes, its shape needs {size}"
            )


def read_tensors(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays; safetensors itself checks that their offsets tile the file without hole or overlap."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as parse

    try:
        tensors: dict[str, np.ndarray[Any, Any]] = parse(data)
    except SafetensorError as error:
        raise CheckpointError("this is no valid safetensors file", why=str(error)[:200]) from error
    return tensors


def digest(text: str, tensors: dict[str, np.ndarray[Any, Any]]) -> str:
    """sha256 over the description and, in order of name, every tensor's name, shape and bytes."""
    total = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        total.update(f"{name}{tensors[name].dtype}{tensors[name].shape}".encode())
        total.update(np.ascontiguousarray(tensors[name]).data)
    return total.hexdigest()
