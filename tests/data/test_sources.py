"""Data of all kinds: the generated is of its formula, what is read is what was written, the damaged is named."""

import io
import json
import struct
import sys
import zipfile

import numpy as np
import pytest
from test_data import idx

import xpnn
from xpnn.cli import run
from xpnn.data import (
    blobs,
    emnist,
    hash_split,
    k_folds,
    kmnist,
    load,
    moons,
    read_images,
    read_npy,
    read_npz,
    rings,
    row_keys,
    strokes,
)
from xpnn.data.folder import NAMES
from xpnn.errors import DataError, FileError, UsageError, XpnnError
from xpnn.random import host_rng


class TestGenerated:
    @pytest.mark.parametrize("make", [moons, rings, blobs])
    def test_shapes_types_and_seeds(self, make):
        x, y = make(samples=7, seed=3)
        assert x.shape == (len(y), 2)
        assert (x.dtype, y.dtype) == (np.float64, np.int64)
        assert np.bincount(y).tolist() == [7] * (y.max() + 1)
        assert np.array_equal(x, make(samples=7, seed=3)[0])
        assert not np.array_equal(x, make(samples=7, seed=4)[0])
        for bad in ({"samples": 1}, {"noise": -1.0}, {"noise": float("nan")}):
            with pytest.raises(UsageError, match=f"no {make.__name__} have"):
                make(**bad)

    def test_moons_are_scikit_learns(self):
        sklearn = pytest.importorskip("sklearn.datasets")
        wanted, labels = sklearn.make_moons(100, shuffle=False, noise=None)
        x, y = moons(50, noise=0.0)
        assert np.allclose(x, wanted, atol=1e-15)
        assert np.array_equal(y, labels)

    def test_rings_and_blobs_without_noise(self):
        x, y = rings(12, 4, 0.0)
        assert np.allclose(np.hypot(*x.T), (1 + y) / 4)
        x, y = blobs(5, 4, 0.0)
        assert np.allclose(x, np.array([[1, 0], [0, 1], [-1, 0], [0, -1]])[y], atol=1e-15)
        x, y = blobs(20_000, 3, 0.3)
        assert (x[y == 0] - [1, 0]).std() == pytest.approx(0.3, rel=0.02)

    def test_strokes_look_like_digits(self):
        """A model trained on half of them knows the other half, and a fair share of MNIST's."""
        x, y = strokes(100, seed=1)
        assert (x.shape, x.dtype, y.dtype) == ((1000, 28, 28, 1), np.uint8, np.int64)
        assert np.array_equal(x[:5], strokes(100, seed=1)[0][:5])
        assert x.max() == 255
        assert 0.05 < (x > 127).mean() < 0.2
        assert all(len({image.tobytes() for image in x[y == k]}) == 100 for k in range(10))
        layers = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(64), xpnn.ReLU(), xpnn.Dense(10)]
        model = xpnn.Model(layers, (28, 28, 1), seed=0)
        model.fit(x[::2], y[::2], epochs=25, batch_size=16, verbose=0)
        assert model.evaluate(x[1::2], y[1::2])["accuracy"] > 0.88
        _, _, digits, labels = xpnn.data.mnist()
        assert model.evaluate(digits, labels)["accuracy"] > 0.3


def paint(path, size=(6, 5), mode="L", value=100):
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new(mode, size, value if mode == "L" else (value, 0, 7))
    image.putpixel(
        (size[0] - 1, size[1] - 1), 255 if mode == "L" else (255, 255, 255)
    )  # or it would show nothing
    image.save(path)


class TestImages:
    def test_grey_and_colour(self, tmp_path):
        for i in range(3):
            paint(tmp_path / "cat" / f"{i}.png", value=i)
        paint(tmp_path / "dog" / "a.BMP", value=9)
        (tmp_path / "dog" / "notes.txt").write_text("passed over")
        (tmp_path / ".git").mkdir()
        x, y, classes, files = read_images(tmp_path)
        assert (x.shape, x.dtype) == ((4, 5, 6, 1), np.uint8)
        assert x[:, 0, 0, 0].tolist() == [0, 1, 2, 9]
        assert (y.tolist(), classes, files[3]) == ([0, 0, 0, 1], ("cat", "dog"), "dog/a.BMP")
        paint(tmp_path / "dog" / "b.png", mode="RGB")
        x, _, _, _ = read_images(tmp_path)
        assert x.shape == (5, 5, 6, 3)
        assert x[4, 0, 0].tolist() == [100, 0, 7]
        assert x[2, 0, 0].tolist() == [2, 2, 2]

    def test_parts_that_are_there_are_kept(self, tmp_path):
        for part, count in (("train", 3), ("test", 2)):
            for name in ("a", "b"):
                for i in range(count):
                    paint(tmp_path / part / name / f"{i}.png")
        data = load("images", tmp_path)
        assert (len(data.x), len(data.x_test), data.classes) == (6, 4, ("a", "b"))
        paint(tmp_path / "test" / "c" / "0.png")
        with pytest.raises(DataError, match="pictures of c, which the model does not know"):
            load("images", tmp_path)

    def test_what_is_wrong_is_named(self, tmp_path):
        paint(tmp_path / "a" / "1.png")
        with pytest.raises(DataError, match="1 folder of pictures"):
            read_images(tmp_path)
        (tmp_path / "b").mkdir()
        with pytest.raises(DataError, match="b holds no pictures"):
            read_images(tmp_path)
        paint(tmp_path / "b" / "2.png", size=(7, 5))
        with pytest.raises(DataError, match=r"2\.png is 7 x 5 pixels, .*1\.png is 6 x 5"):
            read_images(tmp_path)
        (tmp_path / "b" / "2.png").write_bytes(b"\x89PNG no")
        with pytest.raises(DataError, match=r"2\.png is not a picture"):
            read_images(tmp_path)
        with pytest.raises(FileError):
            read_images(tmp_path / "nowhere")


def npy(array):
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asarray(array), allow_pickle=array.dtype.hasobject)
    return out.getvalue()


def header(text, version=1):
    data = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(data)) + data


class TestArrays:
    @pytest.mark.parametrize(
        "array", [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))]
    )
    def test_what_was_written_is_read(self, tmp_path, array):
        (tmp_path / "a.npy").write_bytes(npy(array))
        found = read_npy(tmp_path / "a.npy")
        assert isinstance(found, np.memmap)
        assert np.array_equal(found, array)
        np.savez_compressed(tmp_path / "a.npz", a=array, b=array[0])
        found = read_npz(tmp_path / "a.npz")
        assert np.array_equal(found["a"], array)
        assert np.array_equal(found["b"], array[0])

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (npy(np.array([{}], object)), "holds objects, wanted numbers"),
            (npy(np.array(["a"])), "wanted numbers"),
            (npy(np.arange(5.0))[:-1], "declares shape \\(5,\\), 40 bytes, it holds 39"),
            (npy(np.arange(5.0)) + b"x", "it holds 41"),
            (
                header("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296,)}"),
                "34,359,738,368 bytes",
            ),
            (header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}"), "damaged"),
            (header("__import__('os')"), "is no .npy array"),
            (b"\x93NUMPY\x09\x00", "is no .npy array"),
            (b"", "is no .npy array"),
        ],
    )
    def test_hostile_files_are_refused_unread(self, tmp_path, data, why):
        (tmp_path / "a.npy").write_bytes(data)
        with pytest.raises(DataError, match=why):
            read_npy(tmp_path / "a.npy")
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
            archive.writestr("x.npy", data)
        with pytest.raises(DataError, match=why):
            read_npz(tmp_path / "a.npz")

    def test_a_damaged_archive(self, tmp_path):
        path = tmp_path / "a.npz"
        np.savez_compressed(path, x=np.arange(1000))
        whole = path.read_bytes()
        for data in (whole[:-30], b"PK", b"", whole[:200] + bytes([whole[200] ^ 255]) + whole[201:]):
            path.write_bytes(data)
            with pytest.raises(XpnnError):
                read_npz(path)

    def test_as_a_dataset(self, tmp_path):
        x, y = np.arange(400.0).reshape(100, 4), np.arange(100) % 3
        np.savez(tmp_path / "a.npz", x=x, y=y)
        data = load("npz", tmp_path / "a.npz")
        assert len(data.x) + len(data.x_test) == 100
        assert 5 <= len(data.x_test) <= 40
        assert data.classes == ("0", "1", "2")
        folder = tmp_path / "f"
        folder.mkdir()
        for name, a in (("x_train", x), ("y_train", y), ("x_test", x[:7]), ("y_test", y[:7])):
            np.save(folder / f"{name}.npy", a)
        assert len(load("npz", folder).x_test) == 7
        for missing in ("x_test", "y_test"):  # half a test set is none: samples are held out
            part = {"x_train": x, "y_train": y, "x_test": x[:7], "y_test": y[:7]}
            del part[missing]
            np.savez(tmp_path / "c.npz", **part)
            assert len(load("npz", tmp_path / "c.npz").x_test) not in (0, 7)
        for bad, why in (
            ({"a": x}, "wanted x and y"),
            ({"x": x, "y": y[:5]}, "100 samples and 5 labels"),
            ({"x": x[:, 0], "y": y}, r"x\.reshape\(-1, 1\)"),
            ({"x": x, "y": y - 1}, "the lowest -1\n.*class number.*\n.*return_inverse"),
            ({"x": x, "y": y * 0.5}, "class number.*\n.*numbers that are no classes"),
            ({"x": x, "y": np.eye(3)[y]}, "one-hot rows: y.argmax"),
            ({"x": x, "y": y.astype(str)}, "of words: classes, y = numpy.unique"),
            ({"x": x, "y": y * 0}, "two classes or more"),
        ):
            np.savez(tmp_path / "b.npz", **bad)
            with pytest.raises(DataError, match=why):
                load("npz", tmp_path / "b.npz")
        for names in ("x", "y"), ("X", "y"), ("X_train", "y_train"):
            np.savez(tmp_path / "d.npz", **dict(zip(names, (x, y[:, None] * 1.0), strict=True)))
            assert np.array_equal(load("npz", tmp_path / "d.npz").y_test, data.y_test)


class TestEmnistAndKmnist:
    def write(self, folder, prefix="", first=0, classes=10, test="t10k"):
        folder.mkdir(exist_ok=True)
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (5, 28, 28)).astype(np.uint8)
        labels = (first + np.arange(5) % classes).astype(np.uint8)
        for name, data in zip(NAMES, (images, labels, images[:2], labels[:2]), strict=True):
            (folder / (prefix + name.replace("t10k", test))).write_bytes(idx(data))
        return images, labels

    def test_kmnist(self, tmp_path):
        images, labels = self.write(tmp_path)
        assert np.array_equal(kmnist(tmp_path)[0][..., 0], images)
        assert load("kmnist", tmp_path).classes[0] == "お"
        (tmp_path / NAMES[1]).write_bytes(idx(labels + 10))
        with pytest.raises(DataError, match="label 0 is 10"):
            kmnist(tmp_path)

    def test_emnist_is_turned_upright_and_counted_from_0(self, tmp_path):
        images, _ = self.write(tmp_path, "emnist-letters-", first=1, test="test")
        (x, y, _, _), classes = emnist(tmp_path)
        assert np.array_equal(x[..., 0], np.swapaxes(images, 1, 2))
        assert (y.tolist(), classes[0]) == ([0, 1, 2, 3, 4], "A")
        self.write(tmp_path, "emnist-balanced-", test="test")
        with pytest.raises(UsageError, match="several divisions: balanced, letters"):
            emnist(tmp_path)
        assert len(emnist(tmp_path / "balanced")[1]) == 47
        assert load("emnist", tmp_path / "letters").classes == classes
        with pytest.raises(FileError, match="no folder of EMNIST"):
            emnist(tmp_path / "greek")
        with pytest.raises(FileError):
            emnist(tmp_path / "byclass")


class TestHashSplit:
    def test_more_samples_move_no_sample_to_the_other_side(self):
        keys = [f"picture {i}.png" for i in range(3000)]
        train, held = hash_split(keys[:1000], 0.2)
        more_train, more_held = hash_split(keys, 0.2)
        assert sorted([*train, *held]) == list(range(1000))
        assert set(train) == {i for i in more_train if i < 1000}
        assert set(held) == {i for i in more_held if i < 1000}
        assert 0.17 < len(more_held) / 3000 < 0.23
        assert set(held) <= set(hash_split(keys[:1000], 0.4)[1])  # a larger share keeps what was held out
        assert set(held) != set(hash_split(keys[:1000], 0.2, salt="other")[1])

    def test_golden(self):
        """When this changes, samples of earlier runs change sides."""
        assert hash_split([str(i) for i in range(12)], 0.5)[1].tolist() == GOLDEN

    def test_rows(self):
        x = np.arange(12.0).reshape(6, 2)
        assert row_keys(x) == row_keys(x.astype(">f8")) == row_keys(np.asfortranarray(x))
        assert len(hash_split(row_keys(np.repeat(x, 5, 0)), 0.5)[1]) % 5 == 0  # copies stay together
        with pytest.raises(UsageError):
            hash_split([], 1.5)


GOLDEN = [2, 4, 6]


class TestFolds:
    @pytest.mark.parametrize("y", [np.arange(23) % 3, np.repeat([0, 1], [3, 20]), np.linspace(0, 1, 23)])
    @pytest.mark.parametrize("k", [2, 5, 23])
    def test_each_sample_is_held_out_once(self, y, k):
        folds = list(k_folds(y, k, host_rng(0)))
        assert len(folds) == k
        assert sorted(np.concatenate([held for _, held in folds])) == list(range(23))
        for train, held in folds:
            assert sorted([*train, *held]) == list(range(23))
            assert len(held) in (23 // k, -(-23 // k))
            if y.dtype.kind == "i":
                for c in np.unique(y):
                    assert abs((y[held] == c).sum() - (y == c).sum() / k) < 1

    def test_seeds_and_bounds(self):
        y = np.arange(20) % 2
        first = [held.tolist() for _, held in k_folds(y, 4, host_rng(0))]
        assert first == [held.tolist() for _, held in k_folds(y, 4, host_rng(0))]
        assert first != [held.tolist() for _, held in k_folds(y, 4, host_rng(1))]
        for k in (1, 21):
            with pytest.raises(UsageError, match="folds of 20"):
                list(k_folds(y, k, host_rng(0)))


class TestFitted:
    """Preprocessing measured on what is trained on, and on nothing else."""

    def test_rescale(self):
        layer = xpnn.Rescale.fit(np.array([[2.0, 4.0], [10.0, 3.0]]))
        assert layer == xpnn.Rescale(1 / 8, -0.25)
        assert xpnn.Rescale.fit(np.full((3, 2), 5.0)) == xpnn.Rescale(1.0, -5.0)
        assert xpnn.Rescale.fit(np.array([[0, 255]], np.uint8)) == xpnn.Rescale(1 / 255, -0.0)

    def test_the_test_split_does_not_leak_in(self, tmp_path, monkeypatch):
        """Test and validation rows made enormous: what the model measured stays as it was."""
        monkeypatch.chdir(tmp_path)
        rng = np.random.default_rng(0)
        x, y = rng.normal(3, 2, (200, 2)), np.arange(200) % 2
        saved = []
        for factor in (1.0, 1e6):
            train, held = hash_split(row_keys(x), 0.2)
            model_rows, valid = xpnn.training.trainer.hold_out(y[train], 0.1, 42)
            grown = x.copy()
            grown[held] *= factor
            grown[train[valid]] *= factor
            np.savez("a.npz", x_train=grown[train], y_train=y[train], x_test=grown[held], y_test=y[held])
            arguments = [
                "train",
                "npz",
                "--data",
                "a.npz",
                "--epochs",
                "1",
                "--backend",
                "numpy",
                "--out",
                f"r{factor}",
            ]
            assert run(arguments) == 0
            saved.append(xpnn.load(f"r{factor}/best.safetensors").net.layers[0])
            assert saved[-1] == xpnn.Standardize.fit(x[train][model_rows])
        assert saved[0] == saved[1]


@pytest.mark.parametrize("name", ["csv", "images", "npz", "moons", "strokes"])
def test_trained_and_evaluated_by_name(name, tmp_path, monkeypatch, capsys):
    """From the command line: one epoch, the run evaluated, the same accuracy."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    given = {"csv": "t.csv", "images": "pictures", "npz": "a.npz"}.get(name)
    if name == "csv":
        (tmp_path / given).write_text(
            "a,kind,b\n" + "".join(f"{k + 1.5},{'no' if k else 'yes'},{k}\n" for k in y)
        )
    if name == "npz":
        np.savez(given, x=y[:, None, None, None] + rng.normal(size=(60, 4, 4, 1)), y=y)
    for i, k in enumerate(y if name == "images" else ()):
        paint(tmp_path / given / f"class {k}" / f"{i}.png", value=100 + 100 * int(k))
    options = ["--data", given] if given else []
    label = ["--label", "kind"] if name == "csv" else []
    assert run(["train", name, *options, *label, "--epochs", "1", "--backend", "numpy", "--json"]) == 0
    trained = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert run(["evaluate", "--backend", "numpy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == pytest.approx(trained["test_accuracy"])


def test_a_path_that_is_needed_is_asked_for():
    for name in ("csv", "images", "npz", "kmnist", "emnist"):
        with pytest.raises(UsageError, match="holds the data"):
            load(name)
    with pytest.raises(UsageError, match="it is no table"):
        load("mnist", label="digit")


# Archives that promise much


def archive(path, members, compress=True):
    """An .npz whose members are given as (header text or None, bytes)."""
    import zipfile

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as file:
        for name, data in members.items():
            file.writestr(name + ".npy", data)
    return path


def npy_of(header, data=b"", version=1):
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(2 * version, "little") + text + data


def test_arrays_that_nobody_needs_are_not_unpacked(tmp_path, monkeypatch):
    good = {"x": npy_of("{'descr': '|u1', 'fortran_order': False, 'shape': (20, 2), }", bytes(range(40)))}
    good["y"] = npy_of("{'descr': '|u1', 'fortran_order': False, 'shape': (20,), }", bytes([0, 1] * 10))
    path = archive(tmp_path / "a.npz", {"junk": b"no array at all", **good})
    assert len(xpnn.data.load("npz", path).classes) == 2
    with pytest.raises(DataError, match="junk"):
        read_npz(path)


def test_an_archive_unpacks_to_a_multiple_of_its_size(tmp_path, monkeypatch):
    from xpnn.data import arrays

    monkeypatch.setattr(arrays, "FREE", 1000)
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000,), }"
    path = archive(tmp_path / "a.npz", {"x": npy_of(header, bytes(10**6))})
    assert path.stat().st_size < 4000
    with pytest.raises(DataError, match="1,000,000 bytes long, unpacked"):
        read_npz(path)
    assert (
        len(read_npz(archive(tmp_path / "b.npz", {"x": npy_of(header, bytes(10**6))}, compress=False))["x"])
        == 10**6
    )


@pytest.mark.parametrize("version", [1, 2])
def test_a_header_that_is_longer_than_any(tmp_path, version):
    """2 GiB of header, packed into little: it is not even unpacked."""
    length = (60_000 if version == 1 else 2**31).to_bytes(2 * version, "little")
    data = b"\x93NUMPY" + bytes([version, 0]) + length + b" " * 10**5
    with pytest.raises(DataError, match="at most 10,000 are read"):
        read_npz(archive(tmp_path / "a.npz", {"x": data}))
    (tmp_path / "a.npy").write_bytes(data)
    with pytest.raises(DataError, match="at most 10,000 are read"):
        read_npy(tmp_path / "a.npy")


def test_format_2_of_npy_is_read(tmp_path):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"
    (tmp_path / "a.npy").write_bytes(npy_of(header, np.arange(3, dtype="<f4").tobytes(), version=2))
    assert read_npy(tmp_path / "a.npy").tolist() == [0, 1, 2]


@pytest.mark.parametrize("largest", [1000, 10**9, 2**62])
def test_labels_that_are_no_class_numbers(tmp_path, largest):
    np.savez(tmp_path / "a.npz", x=np.zeros((60, 3)), y=np.arange(60) % 2 * largest)
    with pytest.raises(DataError, match="the largest label is"):
        xpnn.data.load("npz", tmp_path / "a.npz")


def test_labels_may_leave_out_numbers(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).random((60, 3)), y=np.arange(60) % 2 * 999)
    assert len(xpnn.data.load("npz", tmp_path / "a.npz").classes) == 1000


def test_a_download_ends(monkeypatch):
    """In size, and in time, however slowly it comes."""
    import threading

    import pooch

    module = sys.modules["xpnn.data.fashion"]

    assert all(mirror.startswith("https://") for mirror in module.MIRRORS)
    forever = threading.Event()

    class Endless:
        def __call__(self, url, file, pooch):
            while "drip" in url or file.write(bytes(1 << 16)):
                if "drip" in url:
                    forever.wait()
                    return

    monkeypatch.setattr(pooch, "HTTPDownloader", Endless)
    monkeypatch.setattr(module, "LARGEST", 1 << 20)
    with pytest.raises(OSError, match="longer than 1,048,576 bytes"):
        module.download("endless")
    monkeypatch.setattr(module, "DEADLINE", 0.05)
    before = set(threading.enumerate())
    with pytest.raises(OSError, match=r"within 0\.05 seconds"):
        module.download("drip")
    (left,) = set(threading.enumerate()) - before
    assert left.daemon  # the program need not wait for it
    forever.set()
