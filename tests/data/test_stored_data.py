"""Files of arrays and what is made of them: packed streams, labels, parts and orders, each bound from both sides."""

import gzip
import hashlib
import io
import lzma
import os
import sys
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from test_data import idx

import xpnn
from xpnn.data import (
    emnist,
    hash_split,
    image_folder,
    kmnist,
    load,
    mnist,
    read_digits,
    read_idx,
    read_images,
    read_npy,
    read_npz,
    read_picture,
    read_table,
    row_keys,
    unpack,
    user_data,
)
from xpnn.data.array_store import codecs, keys, stored_samples
from xpnn.data.arrays import names_in
from xpnn.data.batches import Batches, BlockOrder, check_process
from xpnn.data.dataset import Dataset
from xpnn.data.datasets import generated
from xpnn.data.emnist import check_labels
from xpnn.data.folder import NAMES, find_files
from xpnn.data.idx import parse_idx
from xpnn.data.image_preparation import ImagePreparation, measure
from xpnn.data.preparation import check_choice, check_names, check_shapes
from xpnn.data.unpack import unpacked
from xpnn.data.user_data import check_pair, class_ids, held_out, numbered, only_tested
from xpnn.errors import DataError, FileError, UsageError
from xpnn.random import host_rng
from xpnn.stored_array import StoredArray

DIGITS = tuple("0123456789")


class Stream(io.BytesIO):
    """Bytes that note how many are asked for at a time, and may be asked for more than there are but a few times."""

    def __init__(self, data):
        super().__init__(data)
        self.asked, self.empty = [], 0

    def read(self, size=-1):
        found = super().read(size)
        self.asked.append(size)
        self.empty += not found
        assert self.empty < 5, "it is read on and on at its end"
        return found


def everything(read, size):
    pieces = []
    while piece := read(size):
        pieces.append(piece)
    return pieces


PLAIN = np.random.default_rng(0).integers(0, 9, 3000).astype(np.uint8).tobytes()


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_a_packed_stream_is_unpacked_piece_by_piece(pack, chunk, monkeypatch):
    monkeypatch.setattr(unpack, "PACKED_CHUNK", chunk)
    stream = Stream(pack(PLAIN))
    pieces = everything(unpacked(stream, "it"), 100)
    assert b"".join(pieces) == PLAIN
    assert max(map(len, pieces)) <= 100
    assert max(stream.asked[1:]) == chunk  # after the first bytes, which say how it is packed


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gzip", "xz"])
@pytest.mark.parametrize("chunk", [5, 1 << 16])
def test_a_packed_stream_ends_where_it_says(pack, chunk, monkeypatch):
    """Cut anywhere it is cut short; one byte more is one too many, in the last piece that is read or behind it."""
    monkeypatch.setattr(unpack, "PACKED_CHUNK", chunk)
    whole = pack(b"some data")
    for end in range(6, len(whole)):
        with pytest.raises(DataError) as caught:
            everything(unpacked(Stream(whole[:end]), "it"), 100)
        assert caught.value.what == "it is damaged"
        assert caught.value.why == "it is cut short: the file ends inside its packed stream"
    for chunk in (len(whole), len(whole) + 1, 1 << 16):
        monkeypatch.setattr(unpack, "PACKED_CHUNK", chunk)
        assert everything(unpacked(Stream(whole), "it"), 100) == [b"some data"]
        with pytest.raises(DataError) as caught:
            everything(unpacked(Stream(whole + b"x"), "it"), 100)
        assert caught.value.why == "other bytes follow the end of its packed stream"


@pytest.mark.parametrize(("size", "fine"), [(31, True), (33, False)])
def test_an_xz_file_may_ask_for_256_mebibytes(size, fine):
    """The dictionary of 192 MiB is unpacked, that of 384 MiB is not."""
    data = bytearray(lzma.compress(b"some data", check=lzma.CHECK_NONE))
    head = 12 + 4 * (data[12] + 1)
    data[16] = size
    data[head - 4 : head] = zlib.crc32(data[12 : head - 4]).to_bytes(4, "little")
    if fine:
        assert everything(unpacked(Stream(bytes(data)), "it"), 100) == [b"some data"]
        return
    with pytest.raises(DataError, match="Memory usage limit"):
        everything(unpacked(Stream(bytes(data)), "it"), 100)


def test_plain_bytes_are_read_as_they_are():
    for data in (b"", b"\x1f", b"\xfd7zXZ", b"plain"):
        assert unpacked(Stream(data), "it")(100) == data


@pytest.mark.parametrize(("limit", "fine"), [(8 + 6, True), (8 + 5, False)])
def test_the_limit_of_a_file_counts_its_header(limit, fine):
    data = idx(np.arange(6, dtype=np.uint8))
    if fine:
        assert parse_idx(io.BytesIO(data), "it", limit=limit).tolist() == list(range(6))
        return
    with pytest.raises(DataError, match="at most 13 bytes") as caught:
        parse_idx(io.BytesIO(data), "it", limit=limit)
    assert caught.value.what == "it is too large: its header declares shape (6,), 14 bytes"


@pytest.mark.parametrize(("data", "what", "why"), [
    (b"", "it is empty", "expected an IDX file"), (b"\0\0\x08", "it is not an IDX file",
        "expected it to begin with 00 00 (or as gzip and xz files do), found 00 00 08"),
    (b"\0\0\x08\0", "it has 0 dimensions", "expected 1 to 64, found 0"),
    (b"\0\0\x08\x41" + bytes(4 * 65), "it has 65 dimensions", "expected 1 to 64, found 65"),
    (b"\0\0\x08\2\0\0\0\1\0\0\0", "it is damaged: it ends inside its header",
        "expected 12 bytes of header, found 11"),
    (b"\0\0\x08\1\0\0\0\0", "it holds nothing", "expected sizes above 0, found shape (0,)"),
    (b"\0\0\x08\1\0\0\0\2\7", "it is damaged: its header declares shape (2,), 10 bytes, but it ends after 9",
        "the download or copy was cut short"),
    (b"\0\0\x08\1\0\0\0\1\7\7", "it is damaged: its header declares shape (1,), 9 bytes, but it goes on after them",
        "it is not one IDX file"),
    (b"\0\0\x0a\1\0\0\0\1\7", "it has an unknown element type", "expected one of 08, 09, 0b, 0c, 0d, 0e, found 0a"),
])  # fmt: skip
def test_what_is_no_idx_file(data, what, why):
    with pytest.raises(DataError) as caught:
        parse_idx(io.BytesIO(data), "it")
    assert (caught.value.what, caught.value.why) == (what, why)


@pytest.mark.parametrize(("y", "wanted"), [
    (np.array([0, 3, 1]), [0, 3, 1]), (np.array([[2], [0]]), [2, 0]), (np.array([True, False]), [1, 0]),
    (np.array([1.0, 2.0]), [1, 2]), (np.zeros(0, int), []), (np.array([7], "u1"), [7]),
])  # fmt: skip
def test_labels_are_class_numbers(y, wanted):
    found = class_ids(y, "it")
    assert (found.dtype, found.tolist()) == (np.int64, wanted)
    assert not np.shares_memory(found, y)


@pytest.mark.parametrize(("y", "what", "fix"), [
    (np.eye(2, dtype=int), "it is int64 of shape (2, 2)", "of one-hot rows: y.argmax(axis=1)"),
    (np.zeros((2, 1, 1), int), "it is int64 of shape (2, 1, 1)", "an array of shape (N,)"),
    (np.int64(3), "it is int64 of shape ()", "an array of shape (N,)"),
    (np.array([0.5, 1]), "it is float64 of shape (2,), the lowest 0.5",
        "for numbers that are no classes: xpnn train table, or Model.fit in Python"),
    (np.array([1, -1]), "it is int64 of shape (2,), the lowest -1",
        "numpy.unique(y, return_inverse=True)[1], which numbers the classes from 0"),
    (np.array(["a"]), "it is <U1 of shape (1,)",
        "numpy.unique(y, return_inverse=True)[1], which numbers the classes from 0"),
])  # fmt: skip
def test_what_is_no_class_number(y, what, fix):
    with pytest.raises(DataError) as caught:
        class_ids(y, "it")
    assert (caught.value.what, caught.value.fix) == (what, fix)


@pytest.mark.parametrize(("y", "count"), [
    ([0, 1], 2), ([1, 1], 2), ([0, 999], 1000), ([0, 1000], 0), ([*range(99), 1000], 0), ([*range(100), 1000], 1001),
    ([0], 0), ([0, 0], 0),
])  # fmt: skip
def test_classes_that_are_numbered(y, count):
    """From 1,000 on a tenth of the numbers must occur."""
    if count:
        assert numbered(np.array(y)) == tuple(map(str, range(count)))
        return
    with pytest.raises(DataError, match=r"the largest label is 1,000|all labels are 0"):
        numbered(np.array(y))


def test_samples_and_labels_in_pairs():
    check_pair(np.zeros((2, 3)), np.zeros(2), "it")
    check_pair(np.zeros((1, 0)), np.zeros(1), "it")
    for x, y, words in ((np.zeros(2), np.zeros(2), r"it: samples of shape \(2,\)"),
                        (np.zeros((2, 1)), np.zeros(3), "it: 2 samples and 3 labels"),
                        (np.zeros((0, 1)), np.zeros(0), "it: 0 samples and 0 labels")):  # fmt: skip
        with pytest.raises(DataError, match=words):
            check_pair(x, y, "it")


def test_classes_that_are_tested_alone():
    y, names = np.array([0, 1, 1]), ("a", "b", "c", "d")
    assert only_tested(y, np.array([1, 0]), names) == ()
    assert only_tested(y, np.array([2, 1]), names) == ("class 'c' only in the test part: never trained on",)
    assert only_tested(y, np.array([3, 2, 3]), names) == (
        "classes 'c', 'd' only in the test part: never trained on",
    )


def test_a_fifth_is_held_out(tmp_path):
    x, y = np.arange(100.0).reshape(50, 2), np.arange(50) % 2
    made = held_out("npz", x, y, ("0", "1"), row_keys(x), "place")
    train, held = xpnn.data.hash_split(row_keys(x), 0.2)
    assert np.array_equal(made.x, x[train])
    assert np.array_equal(made.y_test, y[held])
    assert (made.note, made.held_out, made.classes) == ("place, a fifth held out by hash", True, ("0", "1"))
    with pytest.raises(DataError, match=r"none of the 3 samples of place would be held out to test with"):
        held_out("npz", x[:3], y[:3], ("0", "1"), [b"0"] * 3, "place")
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:5], y_test=y[:5] + 2, other=[1])
    made = load("npz", tmp_path / "a.npz")
    assert (made.note, made.held_out, made.classes) == (str(tmp_path / "a.npz"), False, ("0", "1", "2", "3"))
    assert made.notes == ("classes '2', '3' only in the test part: never trained on",)
    assert made.y_test.tolist() == [2, 3, 2, 3, 2]
    assert names_in(tmp_path / "a.npz") == ["x_train", "y_train", "x_test", "y_test", "other"]
    np.savez(tmp_path / "b.npz", x=x, y=y, x_test=x[:5, :1], y_test=y[:5])
    with pytest.raises(DataError, match=r"samples of shape \(2,\) to train on, \(1,\) to test with"):
        load("npz", tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", x=x, y=y, x_test=np.full((2, 2), np.nan), y_test=y[:2])
    with pytest.raises(DataError, match="x_test"):
        load("npz", tmp_path / "c.npz")
    assert user_data.TEST == 0.2


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(3, 4), (0, 4), (), (2, 1, 3)])
def test_arrays_come_back_as_they_were_saved(order, shape, tmp_path):
    a = np.asarray(np.random.default_rng(0).random(shape), order=order)
    np.save(tmp_path / "a.npy", a)
    np.savez(tmp_path / "a.npz", a=a, b=a + 1)
    if a.size:
        found = read_npy(tmp_path / "a.npy")
        assert np.array_equal(found, a)
        assert (found.flags.writeable, found.flags.f_contiguous) == (False, a.flags.f_contiguous)
    both = read_npz(tmp_path / "a.npz")
    assert np.array_equal(both["a"], a)
    assert np.array_equal(both["b"], a + 1)
    assert list(read_npz(tmp_path / "a.npz", {"b", "c"})) == ["b"]


def test_an_archive_is_bounded_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("xpnn.data.arrays.FREE", 0)
    np.savez(tmp_path / "a.npz", a=np.zeros(8), b=np.zeros(8))
    size = os.stat(tmp_path / "a.npz").st_size
    for ratio, fine in ((128 / size, True), (127 / size, False), (63 / size, False)):
        monkeypatch.setattr("xpnn.data.arrays.RATIO", ratio)
        if fine:
            assert len(read_npz(tmp_path / "a.npz")) == 2
        else:
            with pytest.raises(DataError, match="is 64 bytes long, unpacked"):
                read_npz(tmp_path / "a.npz")


def test_weights_are_the_chances_of_samples():
    """Each class as often as the others; drawn with replacement by the seed and the epoch."""
    y = np.array([0, 0, 0, 1, 5, 5])
    balanced = Batches(y[:, None], y, 2, seed=3, balanced=True)
    chances = [1 / 9] * 3 + [1 / 3] + [1 / 6] * 2
    np.testing.assert_allclose(balanced.weights, chances)
    assert np.array_equal(balanced.order(2), host_rng(3, "draw", 2).choice(6, 6, p=chances))
    given = Batches(y[:, None], y, 2, seed=3, weights=[0, 1, 1, 2, 0, 4])
    np.testing.assert_allclose(given.weights, np.array([0, 1, 1, 2, 0, 4]) / 8)
    assert len(given) == 3
    assert np.array_equal(Batches(y[:, None], y).order(1), host_rng(0, "shuffle", 1).permutation(6))
    assert [len(batch.y) for batch in Batches(y[:, None], y, 4).epochs(1)] == [4, 2]
    assert len(Batches(y[:, None], y)) == 1


@pytest.mark.parametrize(("weights", "what"), [
    ([1, 2], "weights of shape (2,) for 3 samples"), ([[1], [1], [1]], "weights of shape (3, 1) for 3 samples"),
    ([1, -1, 2], "weight 1 is -1.0"), ([1, 2, np.nan], "weight 2 is nan"), ([np.inf, 2, 1], "weight 0 is inf"),
    ([0, 0, 0], "weights of shape (3,) for 3 samples"),
])  # fmt: skip
def test_what_are_no_weights(weights, what):
    with pytest.raises(DataError) as caught:
        Batches(np.zeros((3, 1)), np.zeros(3, int), weights=weights)
    assert (caught.value.what, caught.value.why) == (
        what,
        "wanted one for each: finite, at least 0 and not all 0",
    )


@pytest.mark.parametrize(("given", "what"), [
    ({"batch_size": 0}, "batch size 0"), ({"batch_size": 2.0}, "Batches(batch_size=2.0): wanted a whole number"),
    ({"seed": True}, "Batches(seed=True): wanted a whole number"), ({"seed": -1}, "Batches(seed=-1): wanted 0 or more"),
    ({"ahead": "2"}, "Batches(ahead='2'): wanted a whole number"),
    ({"balanced": True, "y": np.zeros((3, 1))}, "balanced batches want class ids (N,), got labels of shape (3, 1)"),
])  # fmt: skip
def test_what_are_no_settings_of_batches(given, what):
    with pytest.raises((UsageError, DataError)) as caught:
        Batches(**{"x": np.zeros((3, 1)), "y": np.zeros(3, int)} | given)
    assert caught.value.what == what


@pytest.mark.parametrize(("start", "first"), [((1, 0), (1, 0)), ((1, 2), (2, 0)), ((2, 1), (2, 1))])
def test_where_batches_start(start, first):
    batches = Batches(np.zeros((3, 1)), np.zeros(3, int), 2)
    found = [(one.epoch, one.number) for one in batches.epochs(2, start)]
    assert found[0] == first
    assert found[-1] == (2, 1)
    for bad in ((0, 0), (1, 3), (1, -1)):
        with pytest.raises(UsageError, match="wanted an epoch from 1 and a batch from 0 to 2"):
            list(batches.epochs(2, bad))
    check_process(os.getpid())
    with pytest.raises(UsageError, match=f"that a thread of process {os.getpid() + 1} reads ahead"):
        check_process(os.getpid() + 1)


def test_an_order_of_blocks_as_it_is_drawn(monkeypatch):
    """Blocks in random order, so many of them shuffled together; the last of them has what fills no block."""
    module = sys.modules["xpnn.data.batches"]
    monkeypatch.setattr(module, "BLOCK", 2)
    monkeypatch.setattr(module, "WINDOW", 6)
    for n in (1, 6, 7, 12, 17):
        blocks = host_rng(4, "shuffle", 3).permutation(n // 2)
        rows, wanted = [2 * k + i for k in blocks for i in (0, 1)], []
        count = -(-n // 6)
        for i in range(count):
            some = rows[6 * i : 6 * i + 6] + ([n - 1] if i == count - 1 and n % 2 else [])
            wanted += host_rng(4, "shuffle", 3, i).permutation(some).tolist()
        order = BlockOrder(4, 3, n)
        assert np.asarray(order).tolist() == wanted
        assert order[n // 2 : n].tolist() == wanted[n // 2 :]
        assert order[3:3].tolist() == []


def images_of(folder, prefix="", first=0, division="t10k"):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (3, 28, 28)).astype(np.uint8), (first + np.arange(3)).astype(np.uint8)
    for name, data in zip(NAMES, (x, y, x[::-1], y[::-1]), strict=True):
        (folder / (prefix + name.replace("t10k", division))).write_bytes(idx(np.ascontiguousarray(data)))
    return x, y


@pytest.mark.parametrize(("division", "first", "classes"), [
    ("letters", 1, 26), ("digits", 0, 10), ("mnist", 0, 10), ("balanced", 0, 47), ("bymerge", 0, 47),
    ("byclass", 0, 62),
])  # fmt: skip
def test_a_division_of_emnist(division, first, classes, tmp_path):
    x, _ = images_of(tmp_path, f"emnist-{division}-", first, "test")
    for place in (tmp_path, tmp_path / division, tmp_path / f"emnist-{division}"):
        arrays, names = emnist(place)
        assert len(names) == len(set(names)) == classes
        assert np.array_equal(arrays[0][..., 0], np.swapaxes(x, 1, 2))
        assert np.array_equal(arrays[2][..., 0], np.swapaxes(x, 1, 2)[::-1])
        assert (arrays[1].tolist(), arrays[3].tolist()) == ([0, 1, 2], [2, 1, 0])
    with pytest.raises(FileError, match="other is no folder of EMNIST"):
        emnist(tmp_path / "other")
    images_of(tmp_path, "emnist-digits-" if division != "digits" else "emnist-mnist-", 0, "test")
    with pytest.raises(UsageError, match="holds several divisions: "):
        emnist(tmp_path)


def test_labels_that_no_class_has(tmp_path):
    arrays = [np.zeros(1), np.array([0, 9]), np.zeros(1), np.array([0, 0, 0])]
    check_labels(arrays, 10, "it")
    for part, label in ((1, 10), (3, 10), (1, -1), (3, -1)):
        arrays[part][1] = label
        with pytest.raises(DataError, match=f"it: label 1 is {label}"):
            check_labels(arrays, 10, "it")
        arrays[part][1] = 0
    images_of(tmp_path, first=8)
    with pytest.raises(DataError, match="label 2 is 10"):
        kmnist(tmp_path)
    assert len(load("idx", tmp_path).classes) == 11


def test_the_first_of_the_names_that_a_file_may_have(tmp_path):
    order = [
        NAMES[0],
        f"{NAMES[0]}.gz",
        f"{NAMES[0]}.xz",
        "train-images.idx3-ubyte",
        "train-images.idx3-ubyte.gz",
    ]
    for name in order:
        (tmp_path / name).touch()
    for name in order:
        assert find_files(tmp_path) == {NAMES[0]: tmp_path / name}
        (tmp_path / name).unlink()
    assert find_files(tmp_path) == {}


@pytest.mark.parametrize(("folders", "parts"), [
    ("train test", {"train": "train", "test": "test"}), ("train val valid testing", None), ("train test cat", None),
    ("Training VALID", {"train": "Training", "validation": "VALID"}), ("train", {}), ("val test", {}), ("", {}),
    ("train val test", {"train": "train", "validation": "val", "test": "test"}), ("train cat", {}), ("cat dog", {}),
    ("train test .git", {"train": "train", "test": "test"}),
])  # fmt: skip
def test_the_parts_of_a_folder(folders, parts, tmp_path):
    for name in folders.split():
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    if parts is None:
        with pytest.raises(DataError, match=r"holds (valid|cat) beside train, "):
            image_folder.find_parts(tmp_path)
        return
    assert image_folder.find_parts(tmp_path) == {part: tmp_path / name for part, name in parts.items()}
    assert image_folder.find_parts(tmp_path / "none") == {}


def test_names_and_choices_and_shapes_of_a_preparation():
    class Owner:
        kind = "a"

    check_names(Owner, "f", ("a", "b"), 2)
    with pytest.raises(UsageError, match=r"type\(f\) holds 3 names, 'b' twice"):
        check_names(Owner, "f", ("a", "b", "b"), 3)
    with pytest.raises(UsageError) as caught:
        check_names(Owner, "f", ("a", "b", "b"), 2)
    assert (caught.value.what, caught.value.why) == (
        "type(f) holds 3 names",
        "wanted different names, at most 2",
    )
    check_choice(Owner, "kind", ("a", "b"))
    with pytest.raises(UsageError, match=r"type\(kind='a'\): wanted one of b, c"):
        check_choice(Owner, "kind", ("b", "c"))
    check_shapes(Owner, (3,), 2, [3], [2])
    for samples, outputs in (((4,), (2,)), ((3,), (3,)), ((3,), (2, 1))):
        with pytest.raises(UsageError, match="wants 2 outputs"):
            check_shapes(Owner, (3,), 2, samples, outputs)


def test_all_codecs_of_an_array_are_seen():
    about = {
        "codecs": [{"name": "sharding_indexed", "configuration": {
            "codecs": [{"name": "bytes"}, {"name": "zstd", "configuration": {}}], "index_codecs": [{"name": "crc32c"}],
        }}],
        "filters": [{"id": "delta"}, {}], "compressor": {"id": "blosc"},
    }  # fmt: skip
    found = ["sharding_indexed", "bytes", "zstd", "crc32c", "delta", "?", "blosc"]
    assert list(codecs(about)) == found
    assert list(codecs({})) == list(codecs({"filters": None, "compressor": None})) == []


def test_the_keys_of_stored_samples_are_those_of_the_array(tmp_path):
    h5py = pytest.importorskip("h5py")
    x = np.random.default_rng(0).random((23, 3)).astype("f4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=x, chunks=(4, 3))
        assert list(keys(StoredArray(file["x"]))) == row_keys(x)
        file.create_dataset("other", data=x + 1)
    assert np.array_equal(stored_samples(tmp_path / "a.h5")[:], x)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.move("x", "x_test")
    assert np.array_equal(stored_samples(tmp_path / "a.h5")[:], x)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["x_test"]
    assert np.array_equal(stored_samples(tmp_path / "a.h5")[:], x + 1)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["more"] = x
    with pytest.raises(DataError, match="holds more, other"):
        stored_samples(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["mnist", "kmnist", "idx", "emnist", "fashion"])
def test_how_pictures_of_a_known_set_were_prepared(name, tmp_path, monkeypatch):
    """A model takes other pictures as it was trained on these."""
    images_of(
        tmp_path,
        "emnist-digits-" if name == "emnist" else "",
        division="test" if name == "emnist" else "t10k",
    )
    hashes = {
        one: hashlib.sha256((tmp_path / one).read_bytes()).hexdigest() for one in NAMES if name != "emnist"
    }
    monkeypatch.setattr(sys.modules["xpnn.data.fashion"], "SHA256", hashes)
    data = load(name, tmp_path)
    crop = "ink" if name in ("mnist", "emnist") else "none"
    polarity = "as is" if name == "idx" else "light on dark"
    classes = {"kmnist": tuple("おきすつなはまやれを"), "fashion": xpnn.data.FASHION_CLASSES}.get(
        name, DIGITS
    )
    classes = ("0", "1", "2") if name == "idx" else classes
    assert data.preparation == ImagePreparation(28, 28, 1, classes, crop, polarity)
    assert (data.name, data.classes, data.held_out, data.notes) == (name, classes, False, ())
    assert data.note == str(tmp_path) + (" (sha256 ok)" if name == "fashion" else "")
    assert (data.x.shape, data.x_test.shape) == ((3, 28, 28, 1), (3, 28, 28, 1))


@pytest.mark.parametrize(("name", "make", "word"), [
    ("moons", xpnn.data.moons, "moon"), ("rings", xpnn.data.rings, "ring"), ("blobs", xpnn.data.blobs, "blob"),
    ("spiral", xpnn.data.spiral, "arm"),
])  # fmt: skip
def test_a_third_of_what_is_generated_is_held_out(name, make, word):
    data = load(name, seed=3)
    x, y = make(seed=3)
    train, held = xpnn.data.stratified_split(y, 1 / 3, host_rng(3, f"{name} test"))
    assert np.array_equal(data.x, x[train])
    assert np.array_equal(data.x_test, x[held])
    assert (data.y.tolist(), data.y_test.tolist()) == (y[train].tolist(), y[held].tolist())
    assert data.classes == tuple(f"{word} {k}" for k in sorted(set(y.tolist())))
    assert (data.note, data.preparation) == ("generated (seed 3), a third held out", None)
    assert data.validation is None


@pytest.mark.parametrize(("given", "what"), [
    ({"label": "a"}, "--label a with dataset 'moons'"), ({"resize": (2, 2)}, "--resize with dataset 'moons'"),
    ({"task": "regression"}, "--task regression with dataset 'moons'"),
    ({"path": "x"}, "the moons is generated, it reads no folder"),
])  # fmt: skip
def test_settings_of_another_dataset(given, what):
    with pytest.raises(UsageError) as caught:
        load("moons", **given)
    assert caught.value.what == what


def test_what_was_held_out_is_printed(tmp_path, capsys):
    x, y = np.arange(100.0).reshape(50, 2), np.arange(50) % 2
    np.savez(tmp_path / "a.npz", x=x, y=y)
    load("npz", tmp_path / "a.npz", verbose=0)
    assert capsys.readouterr().err == ""
    load("npz", tmp_path / "a.npz")
    assert capsys.readouterr().err == f"npz: {tmp_path}/a.npz, a fifth held out by hash\n"
    np.savez(tmp_path / "b.npz", x=x, y=y, x_test=x, y_test=y)
    load("npz", tmp_path / "b.npz")
    assert capsys.readouterr().err == ""
    np.savez(tmp_path / "c.npz", x=x, y=y, x_test=x, y_test=y + 1)
    load("npz", tmp_path / "c.npz")
    assert capsys.readouterr().err.splitlines()[1:] == ["class '2' only in the test part: never trained on"]


def test_what_is_said_of_samples_that_stay_in_their_file(tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    monkeypatch.setattr("xpnn.stored_array.WINDOW", 96)  # of 480 bytes
    x, y = np.arange(120, dtype="f4").reshape(40, 3), np.arange(40) % 2
    stays = "x stays in {}: 2 samples are read at once, 16 shuffled together"
    scaled = "x is scaled by one training sample in "

    def made(name, **arrays):
        with h5py.File(tmp_path / name, "w") as file:
            for key, a in arrays.items():
                file.create_dataset(key, data=a, chunks=(2, *a.shape[1:]))
        return load("hdf5", tmp_path / name, verbose=0)

    one = made("a.h5", x=x, y=y)
    assert one.notes == (stays.format(tmp_path / "a.h5"), f"{scaled}5")
    assert (one.name, one.note) == ("hdf5", f"{tmp_path}/a.h5, a fifth held out by hash")
    two = made("b.h5", x=x, y=y, x_test=x[:4], y_test=y[:4] + 1)
    only = "class '2' only in the test part: never trained on"
    assert two.notes == (only, stays.format(tmp_path / "b.h5"), f"{scaled}5")
    assert (two.note, two.classes, two.held_out) == (str(tmp_path / "b.h5"), ("0", "1", "2"), False)
    assert np.array_equal(two.x_test[:], x[:4])
    assert made("c.h5", x=x.astype("u1"), y=y).notes == (stays.replace("16", "32").format(tmp_path / "c.h5"),)
    for window, notes in ((240, (f"{scaled}2",)), (480, ())):
        monkeypatch.setattr("xpnn.stored_array.WINDOW", window)
        assert made("f.h5", x=x, y=y).notes[1:] == notes
    assert made("d.h5", X_train=x, y_train=y, X_test=x, y_test=y).y_test.tolist() == y.tolist()
    for arrays, words in (
        ({"x_test": x[:4, :2], "y_test": y[:4]}, r"samples of shape \(3,\) to train on, \(2,\) to test with"),
        ({"x_test": x[:4], "y_test": y[:5]}, "4 samples and 5 labels"), ({"y": y + 0.5}, "e.h5, y is float64"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=words):
            made("e.h5", **{"x": x, "y": y} | arrays)


def test_a_dataset_of_hdf5_lies_in_the_file_itself(tmp_path):
    h5py = pytest.importorskip("h5py")
    y = np.arange(4)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.zeros((4, 2))
    layout = h5py.VirtualLayout((4, 2), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (4, 2))
    ways = {
        "soft": lambda file: (
            file.update({"z": np.zeros((4, 2))}) or file.__setitem__("x", h5py.SoftLink("/z"))
        ),
        "group": lambda file: file.create_group("x"),
        "virtual": lambda file: file.create_virtual_dataset("x", layout),
        "external": lambda file: file.create_dataset(
            "x", (4, 2), "f8", external=[(str(tmp_path / "raw"), 0, 64)]
        ),
    }
    for name, add in ways.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["y"] = y
            add(file)
        with pytest.raises(DataError, match=r"\.h5: x is no dataset of the file itself"):
            load("hdf5", tmp_path / f"{name}.h5")


FASHION = sys.modules["xpnn.data.fashion"]


@pytest.mark.parametrize(("sizes", "fine"), [([6, 4], True), ([10], True), ([6, 5], False), ([11], False)])
def test_a_download_has_a_largest_size(sizes, fine, monkeypatch):
    monkeypatch.setattr(FASHION, "LARGEST", 10)
    memory = FASHION.Bounded()
    if fine:
        assert [memory.write(bytes(size)) for size in sizes] == sizes
        assert memory.getvalue() == bytes(10)
        return
    with pytest.raises(OSError, match="it is longer than 10 bytes"):
        [memory.write(bytes(size)) for size in sizes]


@pytest.mark.parametrize(
    ("value", "asked"), [("", True), ("0", True), ("1", False), ("no", False), (None, True)]
)
def test_whether_the_network_may_be_asked(value, asked, tmp_path, monkeypatch):
    monkeypatch.setenv("XPNN_CACHE", str(tmp_path))
    monkeypatch.delenv("XPNN_DATA", raising=False)
    monkeypatch.delenv("XPNN_OFFLINE", raising=False)
    if value is not None:
        monkeypatch.setenv("XPNN_OFFLINE", value)
    monkeypatch.setattr(FASHION, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr(FASHION, "MIRRORS", ("one/", "two/"))
    urls = []

    def download(url):
        urls.append(url)
        raise OSError(5, "no network") if "one" in url else TimeoutError()

    monkeypatch.setattr(FASHION, "download", download)
    with pytest.raises(DataError, match="Fashion-MNIST was not found") as caught:
        load("fashion")
    looked = f"looked in $XPNN_DATA (not set); {tmp_path}/system (0 of the 4 files); "
    assert caught.value.why.startswith(looked)
    assert urls == ([f"{mirror}/{NAMES[0]}.gz" for mirror in ("one", "two")] if asked else [])
    ends = "; one/: no network; two/: TimeoutError" if asked else "; XPNN_OFFLINE forbids the download"
    assert caught.value.why.endswith(ends)
    assert caught.value.fix == "--data PATH, or apt-get install dataset-fashion-mnist"


def test_what_a_download_says_when_it_fails(monkeypatch):
    pooch = pytest.importorskip("pooch")
    for error, words in (
        (ConnectionResetError(104, "reset by peer"), "reset by peer"),
        (ValueError("x"), "ValueError"),
    ):

        class Failing:
            def __call__(self, url, file, _, error=error):
                file.write(b"some")
                raise error

        monkeypatch.setattr(pooch, "HTTPDownloader", Failing)
        with pytest.raises(OSError, match=words) as caught:
            FASHION.download("any")
        assert caught.value.errno == 5

    class Good:
        def __call__(self, url, file, _):
            file.write(url.encode())

    monkeypatch.setattr(pooch, "HTTPDownloader", Good)
    assert FASHION.download("any") == b"any"


def in_home(folder):
    """A file or folder of every kind, whose names a shell has not expanded."""
    x, y = np.arange(16.0).reshape(8, 2), np.arange(8) % 2
    np.save(folder / "a.npy", x)
    np.savez(folder / "a.npz", x=x, y=y, x_test=x, y_test=y)
    (folder / "a.idx").write_bytes(idx(np.arange(3, dtype=np.uint8)))
    (folder / "a.csv").write_text("a,label\n" + "1,x\n2,y\n" * 20)
    for name in ("idx", "emnist", "images/a", "images/b"):
        (folder / name).mkdir(parents=True)
    images_of(folder / "idx")
    images_of(folder / "emnist", "emnist-digits-", division="test")
    for i in range(40):
        Image.fromarray(np.uint8([[i, 255], [0, 9]])).save(folder / "images" / "ab"[i % 2] / f"{i}.png")
    page = np.full((30, 30), 255, np.uint8)
    page[5:25, 10:14] = 0
    Image.fromarray(page).save(folder / "one.png")


@pytest.mark.parametrize("read", [
    lambda: read_npy("~/a.npy"), lambda: read_npz("~/a.npz"), lambda: read_idx("~/a.idx"), lambda: mnist("~/idx"),
    lambda: kmnist("~/idx"), lambda: emnist("~/emnist"), lambda: emnist("~/emnist/digits"),
    lambda: read_images("~/images", verbose=0), lambda: read_picture("~/one.png"), lambda: read_digits("~/one.png"),
    lambda: load("npz", "~/a.npz"), lambda: load("idx", "~/idx"), lambda: load("images", "~/images"),
    lambda: load("table", "~/a.csv"), lambda: load("kmnist", "~/idx"), lambda: load("emnist", "~/emnist"),
    lambda: read_table("~/a.csv"), lambda: load("mnist", "~/idx"),
])  # fmt: skip
def test_a_name_may_begin_in_the_home_folder(read, tmp_path, monkeypatch, capsys):
    pytest.importorskip("duckdb")
    in_home(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read() is not None


@pytest.mark.parametrize(("version", "shape", "size", "words"), [
    ((1, 0), "(2, 3)", 6, ""), ((2, 0), "(2, 3)", 6, ""), ((3, 0), "(2, 3)", 6, "format 3.0 is not known"),
    ((1, 1), "(2, 3)", 6, "format 1.1 is not known"),
    ((1, 0), "(-2, -3)", 6, r"declares shape \(-2, -3\), 6 bytes, it holds 6"),
    ((1, 0), "(2, 3)", 7, "6 bytes, it holds 7"), ((1, 0), "(2, 3)", 5, "6 bytes, it holds 5"),
])  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_the_head_of_an_array(version, shape, size, words, packed, tmp_path):
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    length = len(head).to_bytes(2 if version[0] == 1 else 4, "little")
    data = b"\x93NUMPY" + bytes(version) + length + head + bytes(range(size))
    (tmp_path / "a.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", data)

    def read():
        return read_npz(tmp_path / "a.npz")["a"] if packed else read_npy(tmp_path / "a.npy")

    if words:
        with pytest.raises(DataError, match=words):
            read()
    else:
        assert read().tolist() == [[0, 1, 2], [3, 4, 5]]


X8, Y8 = np.zeros((3, 8, 8), np.uint8), np.arange(3, dtype=np.uint8)
NO_IMAGES, NO_LABELS = (
    "holds no images: expected uint8 of rank 3",
    "holds no labels: expected uint8 of rank 1",
)


@pytest.mark.parametrize(("part", "array", "what", "why", "fix"), [
    (0, X8[:2], "{0} holds 2 images, but {1} holds 3 labels", "expected one label for each image",
        "give the four files of one dataset"),
    (3, Y8[:2], "{2} holds 3 images, but {3} holds 2 labels", "expected one label for each image",
        "give the four files of one dataset"),
    (0, X8[0], "{0} " + NO_IMAGES + ", found uint8 of shape (8, 8)", "", "give the four files of one dataset"),
    (2, X8[0], "{2} " + NO_IMAGES + ", found uint8 of shape (8, 8)", "", "give the four files of one dataset"),
    (1, X8, "{1} " + NO_LABELS + ", found uint8 of shape (3, 8, 8)", "", "give the four files of one dataset"),
    (3, X8, "{3} " + NO_LABELS + ", found uint8 of shape (3, 8, 8)", "", "give the four files of one dataset"),
    (2, np.zeros((3, 8, 9), np.uint8), "{0} holds images of (8, 8) pixels, but {2} of (8, 9)",
        "expected images of one size", "give the four files of one dataset"),
])  # fmt: skip
def test_four_files_that_do_not_belong_together(part, array, what, why, fix, tmp_path):
    files = [tmp_path / name for name in NAMES]
    for i, (file, given) in enumerate(zip(files, (X8, Y8, X8, Y8), strict=True)):
        file.write_bytes(idx(array if i == part else given))
    with pytest.raises(DataError) as caught:
        load("idx", tmp_path)
    assert (caught.value.what, caught.value.why, caught.value.fix) == (what.format(*files), why, fix)


def test_files_of_a_dataset_that_are_not_there(tmp_path):
    images_of(tmp_path)
    (tmp_path / NAMES[1]).unlink()
    (tmp_path / NAMES[3]).unlink()
    with pytest.raises(FileError) as caught:
        load("idx", tmp_path)
    assert caught.value.what == f"{tmp_path} does not hold the dataset: 2 of its 4 files are missing"
    assert caught.value.why == f"not found: {NAMES[1]}, {NAMES[3]} (also looked for as .gz and .xz)"
    with pytest.raises(FileError) as caught:
        load("idx", tmp_path / "none")
    assert (caught.value.what, caught.value.why) == (
        f"cannot read {tmp_path}/none",
        "No such file or directory",
    )


def test_a_salt_of_64_bytes_is_as_long_as_any():
    keys = [str(i) for i in range(50)]
    sides = [hash_split(keys, 0.5, "x" * length)[1].tolist() for length in (63, 64, 65, 200)]
    assert sides[0] != sides[1]
    assert sides[1] == sides[2] == sides[3]
    assert hash_split(["a\udc80", b"a\x80"], 0.5)[1].tolist() in (
        [],
        [0, 1],
    )  # the name of a file, whatever its bytes


@pytest.mark.parametrize(("shape", "kind", "pictures"), [
    ((2, 3, 1), np.uint8, True), ((2, 3, 3), np.uint8, True), ((2, 3, 2), np.uint8, False), ((2, 3, 1), float, False),
    ((3,), np.uint8, False), ((3, 3), np.uint8, False), ((1, 2, 3, 3), np.uint8, False),
])  # fmt: skip
def test_what_is_generated_as_pictures_is_measured(shape, kind, pictures):
    x = np.random.default_rng(0).integers(0, 255, (30, *shape)).astype(kind)
    y = np.arange(30) % 3
    made = generated("dots", lambda seed: (x + kind(seed), y), "")(None, 1)
    train, held = xpnn.data.stratified_split(y, 1 / 3, host_rng(1, "dots test"))
    assert np.array_equal(made.x_test, x[held] + 1)
    assert made.classes == ("0", "1", "2")
    assert made.preparation == (measure(x[train] + kind(1), made.classes) if pictures else None)


def test_a_preparation_of_another_kind_of_data_is_ignored(tmp_path):
    """A model of tables that goes on with pictures, or of pictures with a table, takes nothing over."""
    pytest.importorskip("duckdb")
    in_home(tmp_path)
    pictures = load("images", tmp_path / "images", verbose=0).preparation
    table = load("table", tmp_path / "a.csv", label="label", task="classification", verbose=0).preparation
    assert (table.label, table.classes) == ("label", ("x", "y"))
    assert load("images", tmp_path / "images", known=table, verbose=0).preparation == pictures
    assert load("table", tmp_path / "a.csv", known=pictures, verbose=0).preparation == table
    assert load("table", tmp_path / "a.csv", known=table, verbose=0).preparation is table
    again = load("csv", tmp_path / "a.csv", label="a", known=table, relabel=True, verbose=0)
    assert (again.preparation.label, again.preparation.columns, again.name) == ("a", table.columns, "csv")
    watched = []
    load("images", tmp_path / "images", resize=(4, 4), watch=lambda *given: watched.append(given), verbose=0)
    assert watched == [(40, 40)]


@pytest.mark.parametrize(("length", "fine"), [(10_000, True), (10_001, False)])
def test_a_head_of_10_000_bytes_is_read(length, fine, tmp_path):
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }".ljust(length - 1) + b"\n"
    data = b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head + b"\7\t"
    (tmp_path / "a.npy").write_bytes(data)
    if fine:
        assert read_npy(tmp_path / "a.npy").tolist() == [7, 9]
        return
    with pytest.raises(DataError) as caught:
        read_npy(tmp_path / "a.npy")
    assert caught.value.why == "its header is 10,001 bytes long, at most 10,000 are read"


def test_input_shape_and_outputs_of_a_dataset():
    x, y = np.zeros((3, 4, 5)), np.zeros(3)
    known = Dataset("d", x, y, x, y, ("a", "b"), "")
    assert (known.input_shape, known.outputs) == ((4, 5), 2)
    real = Dataset("d", (x, np.zeros(3, int)), y, x, y, (), "")
    assert (real.input_shape, real.outputs) == (((4, 5), ()), 1)
    assert (real.held_out, real.notes, real.preparation, real.validation) == (False, (), None, None)


@pytest.mark.parametrize("kind", ["u1", "i1"])
def test_bytes_of_a_file_are_not_copied(kind):
    assert not parse_idx(io.BytesIO(idx(np.arange(6, dtype="u1"))), "it").flags.owndata
    head = b"\0\0" + bytes([{"u1": 8, "i1": 9}[kind], 1]) + (2).to_bytes(4, "big")
    found = parse_idx(io.BytesIO(head + b"\xff\1"), "it")
    assert (found.dtype, found.tolist()) == (np.dtype(kind), [255 if kind == "u1" else -1, 1])
    assert not found.flags.owndata
