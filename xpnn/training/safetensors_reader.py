"""The safetensors container, read with suspicion: sizes first, then a table that must tile the file, then the bytes.

Format: 8 bytes of header length, little-endian; a JSON table of names with dtype, shape and offsets; the bytes.
Source: the safetensors format description (Hugging Face). Written by that library; read here because its reader
accepts a key twice and copies what it reads.
"""

import json
import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from xpnn.errors import CheckpointError
from xpnn.nesting import allow_text
from xpnn.reading import unreadable
from xpnn.system import open_regular

MAX_HEADER = 2**20
"""Bytes. As Python objects, the worst JSON takes some forty times its size."""
MAX_DIGITS = 40
"""The digits of one number. Longer ones cost the square of their length, and Python refuses to print them."""
DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}

Host = np.ndarray[Any, Any]


def open_file(path: Path) -> BinaryIO:
    """Open a regular file. Raises FileError for anything else: a pipe may block, a device may never end."""
    try:
        return open_regular(path)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise unreadable(path, error) from error


def read_header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """Return the JSON table at the front, after the 8 bytes of its length, and the offset at which it ends."""
    if size < 8:
        raise CheckpointError(
            f"{size} bytes are no model file", why="a safetensors file begins with 8 bytes of length"
        )
    length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, MAX_HEADER):
        raise CheckpointError(
            "this is no safetensors file of a model, or it is cut short",
            why=f"its header declares {length:,} bytes, {size - 8:,} are there, at most {MAX_HEADER:,} are read",
        )
    header = read_json(file.read(length), "header")
    if not isinstance(header, dict):
        raise CheckpointError("the header is not a JSON object")
    return header, 8 + length


def read_json(text: bytes | str, what: str) -> Any:
    """Parse JSON; refuse duplicate keys, NaN, infinity, numbers of over 40 digits, and nesting too deep for Python."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(items)
        if len(table) != len(items):
            raise CheckpointError(f"the {what} names a key twice")
        return table

    def whole(word: str) -> int:
        if len(word) > MAX_DIGITS:
            raise CheckpointError(f"the {what} holds a number of {len(word):,} digits")
        return int(word)

    def real(word: str) -> float:
        if len(word) > MAX_DIGITS or not math.isfinite(float(word)):
            raise CheckpointError(f"the {what} holds the number {word[:MAX_DIGITS]}")
        return float(word)

    def constant(word: str) -> None:
        raise CheckpointError(f"the {what} holds {word}")

    try:
        if isinstance(text, bytes):
            text = text.decode()  # or else json would guess at UTF-16 and UTF-32
        allow_text(text)
        return json.loads(
            text, object_pairs_hook=pairs, parse_constant=constant, parse_int=whole, parse_float=real
        )
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the {what} is not JSON", why=str(error)[:120]) from error


def check_table(shapes: dict[str, tuple[int, ...]], header: dict[str, Any], size: int) -> None:
    """Check names, shapes and offsets of the header against `shapes` and the `size` bytes that follow.

    Nothing is allocated before they agree: the spans tile those bytes without hole or overlap.
    """
    for names, word in (
        (shapes.keys() - header.keys(), "missing"),
        (header.keys() - shapes.keys(), "unknown"),
    ):
        if names:
            raise CheckpointError(
                f"parameters are {word}: {', '.join(sorted(names)[:5])}",
                why="the architecture says otherwise",
            )
    spans = sorted(check_entry(name, list(shape), header[name]) for name, shape in shapes.items())
    ends = [0, *(stop for _, stop in spans)]
    if [start for start, _ in spans] != ends[:-1] or ends[-1] != size:
        raise CheckpointError(
            "the parameters do not fill the file: it is cut short or damaged",
            why=f"they take {sum(stop - start for start, stop in spans):,} bytes, {size:,} are there",
        )


def check_entry(name: str, shape: list[int], entry: Any) -> tuple[int, int]:
    """Return the bytes [start, stop) of a parameter."""
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
    """Return the arrays, as views of the bytes that follow the header."""
    tensors: dict[str, Host] = {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        if stop > len(data):
            raise CheckpointError("the file grew shorter while it was read")
        tensors[name] = np.frombuffer(memoryview(data)[start:stop], DTYPES[entry["dtype"]]).reshape(
            entry["shape"]
        )
    return tensors
