"""IDX, the format MNIST is published in. All numbers are big-endian.

    00 00  T  D           T: element type, D: number of dimensions
    n_1 ... n_D           D sizes of 4 bytes each, unsigned
    n_1 x ... x n_D       elements, the last dimension running fastest

    T   08 uint8   09 int8   0b int16   0c int32   0d float32   0e float64

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""

import math
import os
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.unpack import REPLACE, Read, unpacked
from xpnn.errors import DataError, FileError
from xpnn.system import open_regular, user_path

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
MAX_BYTES = 256 << 20  # five times the largest file of MNIST; a header that asks for more is refused
MAX_RANK = 64  # NumPy's limit
CHUNK = 1 << 20


def read_idx(path: str | os.PathLike[str], sha256: str | None = None) -> NDArray[Any]:
    """The array in an IDX file, which may be packed with gzip or xz; in the machine's byte order.

    `sha256`, in hexadecimal, is what the unpacked bytes must hash to. Raises `FileError` when the
    file cannot be read and `DataError` when it is not IDX, is damaged, is empty or declares more
    than 256 MiB. Never unpacks more than the header declares, and one byte.
    """
    path = user_path(path)
    try:
        file = open_regular(path)
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise cannot_read(str(path), error) from error
    with file:
        return parse_idx(file, str(path), sha256)


def parse_idx(
    file: IO[bytes], name: str, sha256: str | None = None, limit: int | None = None
) -> NDArray[Any]:
    """`read_idx` for an open, seekable file, which messages call `name`; `limit`: instead of 256 MiB."""
    try:
        read = unpacked(file, name)
        data = bytearray()
        dtype, shape = _read_header(read, data, name)
        start = len(data)
        expected = start + math.prod(shape) * dtype.itemsize
        _check_size(expected, shape, name, MAX_BYTES if limit is None else limit)
        _fill(read, data, expected + 1)  # the one byte more shows that the file goes on
    except OSError as error:
        raise cannot_read(name, error) from error
    _check_length(len(data), expected, shape, name)
    if sha256 is not None:
        check_sha256(data, sha256, name)
    array = np.frombuffer(data, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def check_sha256(data: bytes | bytearray, sha256: str, name: str) -> None:
    """Raise `DataError` unless the (unpacked) bytes hash to `sha256`, in hexadecimal."""
    import hashlib

    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise DataError(
            f"{name} is not the published file",
            why=f"its bytes, unpacked, should have sha256 {sha256[:16]}..., found {found[:16]}...",
            fix=f"{REPLACE}; for other data of the same layout: xpnn train idx --data FOLDER",
        )


def check_pair(images: NDArray[Any], labels: NDArray[Any], names: tuple[str, str]) -> None:
    """Raise `DataError` unless images are uint8 (N, H, W) and labels uint8 (N,)."""
    swapped = images.ndim == 1 and labels.ndim == 3
    for array, name, what, rank in zip((images, labels), names, ("images", "labels"), (3, 1), strict=True):
        if array.ndim != rank or array.dtype != np.uint8:
            raise DataError(
                f"{name} holds no {what}: expected uint8 of rank {rank}, "
                f"found {array.dtype} of shape {array.shape}",
                why=f"{names[0]} and {names[1]} look swapped" if swapped else "",
                fix="swap the names of the two files" if swapped else "give the four files of one dataset",
            )
    if len(images) != len(labels):
        raise DataError(
            f"{names[0]} holds {len(images):,} images, but {names[1]} holds {len(labels):,} labels",
            why="expected one label for each image",
            fix="give the four files of one dataset",
        )


def cannot_read(name: str, error: Exception) -> FileError:
    """The `FileError` for what the operating system said."""
    reason = getattr(error, "strerror", None) or str(error)
    return FileError(f"cannot read {name}", why=reason, fix="check the path and its permissions")


def _read_header(read: Read, data: bytearray, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    _fill(read, data, 4)
    if not data:
        raise DataError(f"{name} is empty", why="expected an IDX file", fix=REPLACE)
    if len(data) < 4 or data[:2] != b"\0\0":
        raise DataError(
            f"{name} is not an IDX file",
            why=f"expected it to begin with 00 00 (or as gzip and xz files do), found {data.hex(' ')}",
            fix=REPLACE,
        )
    code, rank = data[2], data[3]
    if code not in DTYPES:
        known = ", ".join(f"{known:02x}" for known in DTYPES)
        raise DataError(
            f"{name} has an unknown element type",
            why=f"expected one of {known}, found {code:02x}",
            fix=REPLACE,
        )
    if not 1 <= rank <= MAX_RANK:
        raise DataError(
            f"{name} has {rank} dimensions", why=f"expected 1 to {MAX_RANK}, found {rank}", fix=REPLACE
        )
    end = 4 + 4 * rank
    _fill(read, data, end)
    if len(data) < end:
        raise DataError(
            f"{name} is damaged: it ends inside its header",
            why=f"expected {end} bytes of header, found {len(data)}",
            fix=REPLACE,
        )
    return np.dtype(DTYPES[code]), tuple(np.frombuffer(data[4:], ">u4").tolist())


def _fill(read: Read, data: bytearray, length: int) -> None:
    """Append to `data` until it has `length` bytes or the file ends."""
    while len(data) < length and (piece := read(min(length - len(data), CHUNK))):
        data += piece


def _check_size(expected: int, shape: tuple[int, ...], name: str, limit: int) -> None:
    if 0 in shape:
        raise DataError(
            f"{name} holds nothing", why=f"expected sizes above 0, found shape {shape}", fix=REPLACE
        )
    if expected > limit:
        raise DataError(
            f"{name} is too large: its header declares shape {shape}, {expected:,} bytes",
            why=f"expected at most {limit:,} bytes; a damaged header declares any size",
            fix=f"{REPLACE}, or split it",
        )


def _check_length(found: int, expected: int, shape: tuple[int, ...], name: str) -> None:
    if found != expected:
        ends = f"it ends after {found:,}" if found < expected else "it goes on after them"
        raise DataError(
            f"{name} is damaged: its header declares shape {shape}, {expected:,} bytes, but {ends}",
            why="the download or copy was cut short" if found < expected else "it is not one IDX file",
            fix=REPLACE,
        )
