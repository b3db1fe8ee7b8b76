"""The IDX reader: what it reads, what it refuses and in which words, and what that may cost."""

import gzip
import hashlib
import io
import lzma
import math
import struct
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from xpnn.data import read_idx
from xpnn.data.idx import DTYPES, check_pair, parse_idx
from xpnn.errors import BackendError, DataError, FileError, XpnnError

MIB = 1 << 20


def header(code, *sizes):
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, code, len(sizes), *sizes)


def idx(array):
    code = next(code for code, name in DTYPES.items() if np.dtype(name).newbyteorder("=") == array.dtype)
    return header(code, *array.shape) + array.astype(DTYPES[code]).tobytes()


def xz(data):
    return lzma.compress(data, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 4096}])


def flipped(data, position):
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


IMAGES = idx(np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4))
GZ, XZ = gzip.compress(IMAGES, mtime=0), xz(IMAGES)


def with_huge_dictionary(packed):
    """An xz file whose (checksummed) block header asks for a dictionary of 4 GiB."""
    length = (packed[12] + 1) * 4
    block = bytearray(packed[12 : 12 + length - 4])
    block[4] = 40
    return packed[:12] + bytes(block) + struct.pack("<I", zlib.crc32(block)) + packed[12 + length :]


DAMAGED = {
    "empty": (b"", "is empty"),
    "one byte": (b"\0", "is not an IDX file"),
    "three bytes": (b"\0\0\x08", "found 00 00 08"),
    "a web page": (b"<!DOCTYPE html>", "found 3c 21 44 4f"),
    "a zip archive": (b"PK\x03\x04" + bytes(30), "is not an IDX file"),
    "a pickle": (b"\x80\x04\x95\x00\x00", "is not an IDX file"),
    "magic in the other byte order": (flipped(IMAGES, 0), "is not an IDX file"),
    "second magic byte": (flipped(IMAGES, 1), "expected it to begin with 00 00"),
    "unknown element type": (header(0x0A, 4) + bytes(4), "expected one of 08, 09, 0b, 0c, 0d, 0e, found 0a"),
    "element type 0": (bytes(16), "unknown element type"),
    "no dimensions": (header(0x08) + b"\x05", "has 0 dimensions"),
    "too many dimensions": (header(0x08, *[1] * 65) + b"\x05", "expected 1 to 64, found 65"),
    "ends in the header": (IMAGES[:9], "expected 16 bytes of header, found 9"),
    "count 0": (header(0x08, 0, 28, 28), "found shape (0, 28, 28)"),
    "width 0": (header(0x08, 2, 28, 0), "holds nothing"),
    "count 2^31": (header(0x08, 1 << 31) + bytes(8), "2,147,483,656 bytes"),
    "all sizes 2^32 - 1": (header(0x0E, *[0xFFFFFFFF] * 64), "is too large"),
    "product wraps to 0 in 64 bits": (header(0x08, 1 << 31, 1 << 31, 4), "is too large"),
    "just above the cap": (header(0x08, 256 * MIB - 7), "expected at most 268,435,456 bytes"),
    "one byte short": (IMAGES[:-1], "declares shape (2, 3, 4), 40 bytes, but it ends after 39"),
    "no elements": (IMAGES[:16], "it ends after 16"),
    "trailing byte": (IMAGES + b"\0", "40 bytes, but it goes on after them"),
    "count one too many": (header(0x08, 3, 3, 4) + IMAGES[16:], "52 bytes, but it ends after 40"),
    "two files in one": (IMAGES * 2, "it goes on after them"),
    "wide elements cut": (header(0x0E, 2) + bytes(12), "24 bytes, but it ends after 20"),
    "gzip: short header": (GZ[:5], "cut short"),
    "gzip: truncated": (GZ[:-12], "cut short"),
    "gzip: no checksum": (GZ[:-8], "cut short"),
    "gzip: wrong checksum": (flipped(GZ, -8), "incorrect data check"),
    "gzip: wrong length": (GZ[:-4] + b"\0\0\0\1", "incorrect length check"),
    "gzip: unknown method": (flipped(GZ, 2), "unpacking it failed"),
    "gzip: damaged inside": (GZ[:10] + b"\xff" * 20 + GZ[30:], "unpacking it failed"),
    "gzip: bytes after it": (GZ + b"x", "other bytes follow"),
    "gzip: of nothing": (gzip.compress(b""), "is empty"),
    "gzip: of a web page": (gzip.compress(b"<html>"), "is not an IDX file"),
    "gzip: of gzip": (gzip.compress(GZ), "found 1f 8b"),
    "gzip: short contents": (gzip.compress(IMAGES[:-1]), "it ends after 39"),
    "gzip: long contents": (gzip.compress(IMAGES + b"\0"), "it goes on after them"),
    "xz: only its magic": (XZ[:6], "cut short"),
    "xz: truncated": (XZ[:-5], "cut short"),
    "xz: damaged header": (flipped(XZ, 8), "unpacking it failed"),
    "xz: damaged inside": (flipped(XZ, 40), "unpacking it failed"),
    "xz: bytes after it": (XZ + b"x", "other bytes follow"),
    "xz: two streams": (XZ + XZ, "other bytes follow"),
    "xz: long contents": (xz(IMAGES + b"\0"), "it goes on after them"),
    "xz: dictionary of 4 GiB": (with_huge_dictionary(XZ), "Memory usage limit exceeded"),
}


@pytest.mark.parametrize(("data", "fragment"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused_in_words(tmp_path, data, fragment):
    path = tmp_path / "some-file"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_idx(path)
    message = str(caught.value)
    assert str(path) in caught.value.what
    assert fragment in message
    assert "fix: " in message


@pytest.mark.parametrize("name", ["missing", ".", "no/such/folder", "null\0character"])
def test_what_cannot_be_opened_is_a_file_error(tmp_path, name):
    with pytest.raises(FileError, match="cannot read") as caught:
        read_idx(tmp_path / name)
    assert caught.value.why


def test_an_error_while_reading_is_a_file_error():
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError(5, "Input/output error")

    with pytest.raises(FileError, match="why: Input/output error"):
        parse_idx(Broken(IMAGES), "disk")


@pytest.mark.parametrize("data", [IMAGES, GZ, XZ], ids=["raw", "gz", "xz"])
@pytest.mark.parametrize("name", ["a", "a.gz", "a.xz"])
def test_packing_is_recognised_by_contents_not_by_name(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    np.testing.assert_array_equal(read_idx(tmp_path / name), np.arange(24).reshape(2, 3, 4))


def test_a_python_without_xz_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "lzma", None)
    assert parse_idx(io.BytesIO(GZ), "memory").shape == (2, 3, 4)
    with pytest.raises(BackendError, match="built without liblzma"):
        parse_idx(io.BytesIO(XZ), "memory")


@settings(deadline=None)
@given(
    st.sampled_from(sorted(DTYPES.values())).flatmap(
        lambda name: arrays(
            np.dtype(name).newbyteorder("="), array_shapes(min_dims=1, max_dims=8, min_side=1, max_side=3)
        )
    ),
    st.sampled_from([bytes, gzip.compress, xz]),
)
def test_round_trip_of_every_type_and_rank(array, pack):
    found = parse_idx(io.BytesIO(pack(idx(array))), "memory")
    assert found.dtype == array.dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("code", "data", "dtype", "value"),
    [
        (0x08, "ff", np.uint8, 255),
        (0x09, "ff", np.int8, -1),
        (0x0B, "fffe", np.int16, -2),
        (0x0C, "fffffffd", np.int32, -3),
        (0x0D, "c0490fdb", np.float32, -3.1415927),
        (0x0E, "400921fb54442d18", np.float64, 3.141592653589793),
    ],
)
def test_element_types_against_literal_bytes(code, data, dtype, value):
    found = parse_idx(io.BytesIO(header(code, 1) + bytes.fromhex(data)), "memory")
    assert found.dtype == dtype
    assert found[0] == dtype(value)


def test_the_largest_rank():
    assert parse_idx(io.BytesIO(header(0x08, *[1] * 64) + b"\5"), "memory").shape == (1,) * 64


@pytest.mark.parametrize("data", [IMAGES, GZ, XZ], ids=["raw", "gz", "xz"])
def test_sha256_is_of_the_unpacked_bytes(data):
    right = hashlib.sha256(IMAGES).hexdigest()
    assert parse_idx(io.BytesIO(data), "memory", right).shape == (2, 3, 4)
    with pytest.raises(DataError, match=f"sha256 {'0' * 16}..., found {right[:16]}"):
        parse_idx(io.BytesIO(data), "memory", "0" * 64)


def mutated(rng, data):
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(data) + 1))
        match rng.integers(5):
            case 0:
                data[at : at + 1] = bytes([rng.integers(256)])
            case 1:
                del data[at : at + int(rng.integers(1, 9))]
            case 2:
                data[at:at] = rng.bytes(int(rng.integers(1, 9)))
            case 3:
                del data[at:]
            case 4:
                at = int(rng.integers(16))  # the header
                data[at : at + 1] = bytes([rng.choice([0, 1, 2, 8, 0x7F, 0x80, 0xFF])])
    return bytes(data)


def test_two_thousand_mutations_end_in_an_array_or_a_data_error():
    rng = np.random.default_rng(0)
    refused = 0
    tracemalloc.start()
    for trial in range(2000):
        data = mutated(rng, (IMAGES, GZ, XZ)[trial % 3])
        start = time.perf_counter()
        try:
            array = parse_idx(io.BytesIO(data), "memory")
        except DataError:
            refused += 1
        else:
            assert array.size == math.prod(array.shape) > 0
        assert time.perf_counter() - start < 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 1000 < refused < 2000  # both ends are reached
    assert peak < 8 * MIB


def gzip_bomb(start):
    """`start`, then 4 GiB of zeros, in 4 MB of gzip: one packed MiB, repeated."""
    packer = zlib.compressobj(wbits=-15)
    first = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08" + bytes(7) + first + zeros * 4096


def xz_bomb(start):
    packer = lzma.LZMACompressor(filters=[{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 16}])
    return packer.compress(start) + b"".join(packer.compress(bytes(MIB)) for _ in range(64)) + packer.flush()


@pytest.mark.parametrize("bomb", [gzip_bomb, xz_bomb])
@pytest.mark.parametrize(
    ("start", "fragment", "memory"),
    [
        (b"", "unknown element type", 1),
        (header(0x08, 100, 28, 28), "78,416 bytes, but it goes on after them", 2),
        (header(0x08, 20 * MIB), "20,971,528 bytes, but it goes on after them", 26),
        (header(0x08, 4, 1 << 30), "too large", 1),
    ],
    ids=["zeros alone", "small lie", "larger lie", "honest"],
)
def test_a_bomb_is_defused_fast_and_in_little_memory(bomb, start, fragment, memory):
    file = io.BytesIO(bomb(start))
    tracemalloc.start()
    began = time.perf_counter()
    with pytest.raises(DataError, match=fragment):
        parse_idx(file, "bomb")
    seconds = time.perf_counter() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 1
    assert peak < memory * MIB


X, Y = np.zeros((3, 28, 28), np.uint8), np.zeros(3, np.uint8)


@pytest.mark.parametrize(
    ("images", "labels", "fragment"),
    [
        (Y, X, "images.gz and labels.gz look swapped"),
        (X[0], Y, "images.gz holds no images: expected uint8 of rank 3, found uint8 of shape (28, 28)"),
        (X.astype(np.float32), Y, "found float32"),
        (X, X, "labels.gz holds no labels: expected uint8 of rank 1"),
        (X, Y.astype(np.int32), "found int32"),
        (X, Y[:2], "images.gz holds 3 images, but labels.gz holds 2 labels"),
    ],
)
def test_images_and_labels_that_do_not_belong_together(images, labels, fragment):
    with pytest.raises(XpnnError) as caught:
        check_pair(images, labels, ("images.gz", "labels.gz"))
    assert isinstance(caught.value, DataError)
    assert fragment in str(caught.value)


def test_images_and_labels_that_belong_together():
    check_pair(X, Y, ("images.gz", "labels.gz"))
