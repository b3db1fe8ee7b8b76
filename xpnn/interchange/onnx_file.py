"""An ONNX file, read with suspicion: sizes before contents, nothing run, other files only beside it.

The `onnx` package parses the bytes; what its messages claim is checked here before it is used.
"""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from xpnn.errors import CheckpointError, FileError, first_line
from xpnn.interchange.onnx_export import onnx_package

Host = np.ndarray[Any, Any]

LARGEST_FILE = 2**31
"""Bytes of a file."""
MOST_NODES = 100_000
"""Operations of a graph."""
MOST_NUMBERS = 2**31
"""Elements of one array."""
MOST_AXES = 8
"""Axes of one array."""


def read_model(path: Path) -> Any:
    """The ModelProto in a regular file. Raises FileError, and CheckpointError for what is no model."""
    onnx = onnx_package()
    try:
        size = os.stat(path).st_size
        if not path.is_file():
            raise FileError(f"cannot read {path}", why="it is not a regular file")
        if size > LARGEST_FILE:
            raise CheckpointError(f"{path} has {size:,} bytes", why=f"at most {LARGEST_FILE:,} are read")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        if isinstance(error, FileError | CheckpointError):
            raise
        why = getattr(error, "strerror", None) or first_line(error)
        raise FileError(f"cannot read {path}", why=why) from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError, whose module differs between versions
        raise CheckpointError(f"{path} is no ONNX file", why=first_line(error)) from error
    check_model(model)
    return model


def check_model(model: Any) -> None:
    """Raise CheckpointError for what is no model, or is larger than any network."""
    graph = model.graph
    if not graph.node or not graph.output:
        raise CheckpointError("the file holds no network", why="its graph has no nodes or no outputs")
    if len(graph.node) > MOST_NODES:
        raise CheckpointError(
            f"the graph has {len(graph.node):,} nodes", why=f"at most {MOST_NODES:,} are read"
        )
    if model.functions:
        raise CheckpointError(
            "the model defines functions of its own", fix="inline them: onnx.inliner.inline_local_functions"
        )
    if graph.sparse_initializer:
        raise CheckpointError("the model holds sparse tensors", fix="store them as plain initializers")


def opset_of(model: Any) -> int:
    """The version of the standard's operations. Raises CheckpointError without one."""
    found = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not found:
        raise CheckpointError("the model does not say which version of ONNX's operations it uses")
    return int(found[0])


def array_of(tensor: Any, folder: Path) -> Host:
    """A TensorProto as an array, once its claims agree with the bytes that are there."""
    onnx = onnx_package()
    dims = tuple(int(n) for n in tensor.dims)
    name = str(tensor.name)[:60]
    if len(dims) > MOST_AXES or any(n < 0 for n in dims) or math.prod(dims) > MOST_NUMBERS:
        raise CheckpointError(f"tensor {name!r} claims the shape {str(dims)[:80]}")
    external = tensor.data_location == onnx.TensorProto.EXTERNAL
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"tensor {name!r} has an unknown type") from error
    if dtype.kind == "O":
        raise CheckpointError(f"tensor {name!r} holds words")
    if external:
        data = external_bytes(tensor, folder, math.prod(dims) * dtype.itemsize)
        return np.frombuffer(data, dtype.newbyteorder("<")).reshape(dims).astype(dtype, copy=False)
    try:
        return np.asarray(onnx.numpy_helper.to_array(tensor))
    except Exception as error:  # whatever the package raises where the bytes do not fit the shape
        raise CheckpointError(
            f"tensor {name!r} does not hold what its shape {dims} promises", why=first_line(error)
        ) from error


def external_bytes(tensor: Any, folder: Path, size: int) -> bytes:
    """The bytes of a tensor that lies in another file: one beside the model, by its plain name."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    path = folder / location
    if not location or Path(location).name != location or location in (".", "..") or "\0" in location:
        raise CheckpointError(
            f"tensor {str(tensor.name)[:60]!r} lies in {location[:80]!r}",
            why="only a file beside the model is opened, by its plain name",
        )
    if path.is_symlink() or not path.is_file():
        raise FileError(f"cannot read {path}", why="it is missing, or no regular file")
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", str(size)))
    except ValueError as error:
        raise CheckpointError(f"tensor {str(tensor.name)[:60]!r} has no offset and length") from error
    if length != size or offset < 0 or offset + size > path.stat().st_size:
        raise CheckpointError(
            f"tensor {str(tensor.name)[:60]!r} wants {size:,} bytes from byte {offset:,} of {location}",
            why=f"{path.stat().st_size:,} bytes are there, {length:,} are promised",
        )
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(size)
