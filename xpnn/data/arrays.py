"""NumPy's own files: `.npy`, one array each, and `.npz`, several in one archive. Never a pickle.

What a header declares is held against the size of the file before anything is allocated. A `.npy` is memory-mapped, so
it may be larger than memory; an `.npz` is read whole.
"""

import os
import zlib
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from xpnn.data.idx import cannot_read
from xpnn.errors import DataError, first_line
from xpnn.system import open_regular, user_path

if TYPE_CHECKING:  # it imports lzma
    import zipfile

LARGEST = 4 << 30
"""Bytes of one array of an archive, unpacked."""
FIX = "save it again with numpy.save or numpy.savez, as an array of numbers"

Header = tuple[np.dtype[Any], tuple[int, ...], str]


def read_npy(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The array in a .npy file, memory-mapped and read-only.

    Raises FileError when it cannot be read, DataError when it is no such file, holds objects, or is not as long as its
    header says.
    """
    path = user_path(path)
    try:
        with open_regular(path) as file:
            dtype, shape, order = _header(file, str(path))
            start, size = file.tell(), os.fstat(file.fileno()).st_size
        _check_length(size - start, dtype, shape, str(path))
        return np.memmap(path, dtype, "r", start, shape, order)  # type: ignore[call-overload, no-any-return]
    except OSError as error:
        raise cannot_read(str(path), error) from error


def read_npz(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """{name: array} of an .npz archive.

    Raises FileError when it cannot be read, DataError when it is damaged, or an array holds objects, is not as long as
    its header says, or is larger than 4 GiB.
    """
    import zipfile

    path = user_path(path)
    found = {}
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    found[info.filename.removesuffix(".npy")] = _member(archive, info, str(path))
    except OSError as error:
        raise cannot_read(str(path), error) from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise DataError(f"{path} is no whole .npz archive", why=first_line(error), fix=FIX) from error
    return found


def _member(archive: "zipfile.ZipFile", info: "zipfile.ZipInfo", name: str) -> NDArray[Any]:
    name = f"{name}, array {info.filename}"
    with archive.open(info) as file:
        dtype, shape, order = _header(file, name)
        size = _check_length(info.file_size - file.tell(), dtype, shape, name)
        if size > LARGEST:
            raise DataError(f"{name} is {size:,} bytes long, unpacked", why=f"wanted at most {LARGEST:,}")
        data = file.read(size + 1)
    _check_length(len(data), dtype, shape, name)
    return np.frombuffer(data, dtype).reshape(shape, order=order)  # type: ignore[call-overload, no-any-return]


def _header(file: IO[bytes], name: str) -> Header:
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"format {version[0]}.{version[1]} is not known")
        shape, fortran, dtype = read(file)
    except OSError:
        raise
    except Exception as error:  # whatever a hostile header makes of NumPy's reader
        raise DataError(f"{name} is no .npy array", why=first_line(error), fix=FIX) from error
    if dtype.hasobject or dtype.kind not in "biuf":
        raise DataError(
            f"{name} holds {dtype}, wanted numbers", why="objects are pickles, and never read", fix=FIX
        )
    return dtype, shape, "F" if fortran else "C"


def _check_length(found: int, dtype: np.dtype[Any], shape: tuple[int, ...], name: str) -> int:
    expected = dtype.itemsize
    for n in shape:
        expected *= n
    if found != expected or any(n < 0 for n in shape):
        raise DataError(
            f"{name} is damaged: its header promises shape {shape}, {expected:,} bytes, it holds {found:,}",
            why="the copy was cut short, or something was added",
            fix=FIX,
        )
    return expected
