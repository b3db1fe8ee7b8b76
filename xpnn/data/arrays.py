"""NumPy's own files: `.npy`, one array each, and `.npz`, several in one archive. Never a pickle.

What a header declares is held against the size of the file before anything is allocated. A `.npy` is memory-mapped, so
it may be larger than memory; an `.npz` is read whole.
"""

import io
import os
import zlib
from collections.abc import Collection
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from xpnn.data.idx import cannot_read
from xpnn.errors import DataError, first_line
from xpnn.system import open_regular, user_path

if TYPE_CHECKING:  # it imports lzma
    import zipfile

LARGEST, FREE, RATIO = 4 << 30, 256 << 20, 200
"""Bytes of the arrays of an archive, unpacked; so many whatever its size; and so many for each byte of the file."""
HEADER = 10_000
"""Bytes of the header of one array: NumPy's own limit, which it checks after reading."""
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


def read_npz(path: str | os.PathLike[str], names: Collection[str] | None = None) -> dict[str, NDArray[Any]]:
    """{name: array} of an .npz archive, or of those `names` that are in it: the others are not unpacked.

    Raises FileError when it cannot be read, DataError when it is damaged, or an array holds objects, is not as long as
    its header says, is larger than 4 GiB, or is over 200 times as long as the archive (256 MiB always may be).
    """
    import zipfile

    path = user_path(path)
    found = {}
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            most = min(LARGEST, FREE + RATIO * os.fstat(file.fileno()).st_size)
            for info in archive.infolist():
                name = info.filename.removesuffix(".npy")
                if name != info.filename and (names is None or name in names):
                    found[name] = _member(archive, info, str(path), most)
                    most -= found[name].nbytes
    except OSError as error:
        raise cannot_read(str(path), error) from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise DataError(f"{path} is not a complete .npz archive", why=first_line(error), fix=FIX) from error
    return found


def names_in(path: str | os.PathLike[str]) -> list[str]:
    """The names of the arrays in an .npz archive; nothing is unpacked. Raises as `read_npz` does."""
    import zipfile

    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except OSError as error:
        raise cannot_read(str(path), error) from error
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"{path} is not a complete .npz archive", why=first_line(error), fix=FIX) from error


def _member(archive: "zipfile.ZipFile", info: "zipfile.ZipInfo", name: str, most: int) -> NDArray[Any]:
    name = f"{name}, array {info.filename}"
    with archive.open(info) as file:
        dtype, shape, order = _header(file, name)
        size = _check_length(info.file_size - file.tell(), dtype, shape, name)
        if size > most:
            raise DataError(
                f"{name} is {size:,} bytes long, unpacked",
                why=f"at most {most:,} are unpacked from an archive of that size",
                fix="numpy.save, a .npy file for each array",
            )
        data = file.read(size + 1)
    _check_length(len(data), dtype, shape, name)
    return np.frombuffer(data, dtype).reshape(shape, order=order)  # type: ignore[call-overload, no-any-return]


def _header(file: IO[bytes], name: str) -> Header:
    try:
        version = npy.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"format {version[0]}.{version[1]} is not known")
        width = 2 if version == (1, 0) else 4
        size = file.read(width)
        length = int.from_bytes(size, "little")
        if length > HEADER:
            raise ValueError(f"its header is {length:,} bytes long, at most {HEADER:,} are read")
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(io.BytesIO(size + file.read(length)))
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever a hostile header makes of NumPy's reader
        raise DataError(f"{name} is no .npy array", why=first_line(error), fix=FIX) from error
    if dtype.hasobject:
        raise DataError(
            f"{name} holds objects, wanted numbers", why="objects are pickles, and never read", fix=FIX
        )
    if dtype.kind not in "biuf":
        words = "of words: classes, y = numpy.unique(y, return_inverse=True)"
        raise DataError(f"{name} holds {dtype}, wanted numbers", fix=words if dtype.kind in "SU" else FIX)
    return dtype, shape, "F" if fortran else "C"


def _check_length(found: int, dtype: np.dtype[Any], shape: tuple[int, ...], name: str) -> int:
    expected = dtype.itemsize
    for n in shape:
        expected *= n
    if found != expected or any(n < 0 for n in shape):
        raise DataError(
            f"{name} is damaged: its header declares shape {shape}, {expected:,} bytes, it holds {found:,}",
            why="the copy was cut short, or something was added",
            fix=FIX,
        )
    return expected
