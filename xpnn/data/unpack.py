"""Reading a file that may be packed with gzip or xz, and never more bytes than were asked for.

gzip begins with 1f 8b, xz with fd 37 7a 58 5a 00; anything else is read as it is. The file's name is
not consulted: browsers and mirrors unpack or repack files without renaming them.

A few megabytes of gzip can stand for gigabytes of zeros, so nothing here unpacks a file to its end
unless the caller keeps asking.
"""

from collections.abc import Callable
from typing import IO, Any

from xpnn.errors import BackendError, DataError

Read = Callable[[int], bytes]

PACKED_CHUNK = 1 << 16
XZ_MEMORY = 256 << 20  # an xz header may ask for a dictionary of 4 GiB; `xz -9` needs 65 MiB
REPLACE = "delete the file and fetch it again"


def unpacked(file: IO[bytes], name: str) -> Read:
    """`read(size)` for a seekable file: the next 1 to `size` bytes, unpacked; b"" only at the end.

    `name` is what messages call the file. Raises `DataError`, here or in `read`, when the packed
    stream is damaged, cut short or followed by other bytes; `BackendError` for an xz file on a
    Python built without xz.
    """
    start = file.read(6)
    file.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return _gunzip(file, name)
    if start == b"\xfd7zXZ\x00":
        return _unxz(file, name)
    return file.read


def _gunzip(file: IO[bytes], name: str) -> Read:
    import zlib

    decoder = zlib.decompressobj(wbits=31)  # 31: a gzip wrapper, whose checksum zlib verifies
    return _unpacking(file, name, decoder, lambda: decoder.unconsumed_tail or _more(file, name), zlib.error)


def _unxz(file: IO[bytes], name: str) -> Read:
    try:
        import lzma
    except ImportError as error:
        raise BackendError(
            f"{name} is packed with xz, which this Python cannot read",
            why="it was built without liblzma",
            fix="use a Python that has the lzma module, or give unpacked files with --data PATH",
        ) from error

    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY)
    return _unpacking(
        file, name, decoder, lambda: _more(file, name) if decoder.needs_input else b"", lzma.LZMAError
    )


def _unpacking(
    file: IO[bytes], name: str, decoder: Any, more: Callable[[], bytes], failure: type[Exception]
) -> Read:
    """`read` by a decoder of zlib or lzma. more: the packed bytes that it gets next."""

    def read(size: int) -> bytes:
        while not decoder.eof:
            packed = more()
            try:
                piece: bytes = decoder.decompress(packed, size)
            except failure as error:
                raise _damaged(name, f"unpacking it failed: {error}") from error
            if piece:
                return piece
        _expect_end(file, name, decoder.unused_data)
        return b""

    return read


def _more(file: IO[bytes], name: str) -> bytes:
    packed = file.read(PACKED_CHUNK)
    if not packed:
        raise _damaged(name, "it is cut short: the file ends inside its packed stream")
    return packed


def _expect_end(file: IO[bytes], name: str, unused: bytes) -> None:
    if unused or file.read(1):
        raise _damaged(name, "other bytes follow the end of its packed stream")


def _damaged(name: str, why: str) -> DataError:
    return DataError(f"{name} is damaged", why=why, fix=REPLACE)
