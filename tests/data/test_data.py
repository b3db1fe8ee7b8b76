"""The datasets, the split and the batches: contents, order of search, proportions, seeds."""

import gzip
import struct
import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xpnn.data
from xpnn.data import epoch_order, load, spiral, stratified_split
from xpnn.data.batches import BlockOrder, Slices
from xpnn.data.folder import NAMES
from xpnn.errors import DataError, FileError, UsageError
from xpnn.random import host_rng

# The functions have the names of their modules, which `import` would therefore not reach.
fashion_module = sys.modules["xpnn.data.fashion"]
mnist_module = sys.modules["xpnn.data.mnist"]

# Drawn once and kept: when these change, the runs of earlier versions can no longer be repeated.
GOLDEN_SPIRAL = [[0.40163639822628067, -0.2978056473941025], [0.9782009468190637, -0.2076605587064799]]
GOLDEN_HELD = [0, 3, 6]
GOLDEN_ORDERS = [
    [6, 2, 8, 9, 1, 5, 4, 3, 0, 7],
    [6, 2, 9, 4, 1, 8, 5, 7, 3, 0],
    [2, 0, 9, 5, 1, 7, 6, 8, 3, 4],
]


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def contents(mark=0, size=28):
    """The bytes of the four files of a dataset of 3 + 2 images."""
    return [
        idx(np.full((3, size, size), mark, np.uint8)),
        idx(np.array([0, 1, 9], np.uint8)),
        idx(np.full((2, size, size), mark, np.uint8)),
        idx(np.array([5, 4], np.uint8)),
    ]


def write(folder, mark=0, size=28, names=NAMES):
    folder.mkdir(parents=True)
    for name, data in zip(names, contents(mark, size), strict=True):
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


@pytest.fixture(scope="module")
def digits():
    return load("mnist")


class TestMnist:
    def test_shapes_and_types(self, digits):
        assert digits.x.shape == (60000, 28, 28, 1)
        assert digits.x_test.shape == (10000, 28, 28, 1)
        assert digits.y.shape == (60000,)
        assert digits.y_test.shape == (10000,)
        assert digits.x.dtype == digits.x_test.dtype == np.uint8
        assert digits.y.dtype == digits.y_test.dtype == np.int64
        assert digits.input_shape == (28, 28, 1)
        assert digits.note == "embedded (sha256 ok)"

    def test_published_class_counts(self, digits):
        train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
        test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        assert np.bincount(digits.y).tolist() == train
        assert np.bincount(digits.y_test).tolist() == test
        assert digits.classes == tuple("0123456789")

    def test_published_mean_and_deviation(self, digits):
        assert digits.x.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
        assert digits.x.std() / 255 == pytest.approx(0.3081, abs=5e-5)

    def test_the_hash_is_enforced(self, monkeypatch):
        monkeypatch.setitem(mnist_module.SHA256, "t10k-labels-idx1-ubyte", "0" * 64)
        with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.xz is not the published file"):
            xpnn.data.mnist()

    def test_the_licence_lies_beside_the_data(self):
        folder = files("xpnn.data").joinpath("embedded")
        licence = folder.joinpath("LICENSE-MNIST").read_text()
        assert "creativecommons.org/licenses/by-sa/3.0/" in licence
        assert all(f"{name}.xz" in licence for name in NAMES)

    @pytest.mark.parametrize(
        "names",
        [
            NAMES,
            [f"{name}.gz" for name in NAMES],
            [name.replace("-idx", ".idx") for name in NAMES],
        ],
        ids=["raw", "gz", "dotted"],
    )
    def test_another_folder(self, tmp_path, names):
        folder = write(tmp_path / "kmnist", mark=7, names=names)
        x, y, x_test, y_test = xpnn.data.mnist(folder)
        assert x.shape == (3, 28, 28, 1)
        assert x_test.shape == (2, 28, 28, 1)
        assert (x == 7).all()
        assert y.tolist() == [0, 1, 9]
        assert y_test.tolist() == [5, 4]
        data = load("mnist", folder)
        assert data.note == str(folder)
        assert len(data.x) == 3

    def test_missing_files_are_named(self, tmp_path):
        folder = write(tmp_path / "part")
        (folder / NAMES[2]).unlink()
        with pytest.raises(FileError, match="1 of its 4 files") as caught:
            xpnn.data.mnist(folder)
        assert f"not found: {NAMES[2]} (" in caught.value.why
        (tmp_path / "empty").mkdir()
        with pytest.raises(FileError, match="4 of its 4 files"):
            xpnn.data.mnist(tmp_path / "empty")
        with pytest.raises(FileError, match="nowhere") as caught:
            xpnn.data.mnist(tmp_path / "nowhere")
        assert caught.value.why == "No such file or directory"

    def test_swapped_files(self, tmp_path):
        folder = write(tmp_path / "swapped", names=[NAMES[1], NAMES[0], *NAMES[2:]])
        with pytest.raises(DataError, match="look swapped"):
            xpnn.data.mnist(folder)

    def test_images_of_another_size(self, tmp_path):
        folder = write(tmp_path / "small", size=8)
        with pytest.raises(DataError, match=r"expected \(28, 28\)"):
            xpnn.data.mnist(folder)
        data = load("idx", folder)
        assert data.input_shape == (8, 8, 1)
        assert data.classes == tuple("0123456789")

    def test_train_and_test_of_different_sizes(self, tmp_path):
        folder = write(tmp_path / "mixed")
        (folder / NAMES[2]).write_bytes(contents(size=8)[2])
        with pytest.raises(DataError, match="images of one size"):
            load("idx", folder)


class Mirror:
    """Stands in for `pooch.HTTPDownloader`: a table of addresses, and a list of those asked for."""

    def __init__(self):
        self.pages, self.asked = {}, []

    def __call__(self):  # pooch.HTTPDownloader() makes one
        return self.download

    def download(self, url, file, _):
        self.asked.append(url)
        if url not in self.pages:
            raise ConnectionError(url)
        file.write(self.pages[url])


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Every place fashion looks in, moved under tmp_path, empty, with hashes of the small files."""
    from hashlib import sha256

    hashes = [sha256(data).hexdigest() for data in contents()]
    monkeypatch.setattr(fashion_module, "SHA256", dict(zip(NAMES, hashes, strict=True)))
    monkeypatch.setattr(fashion_module, "SYSTEM", tmp_path / "system" / "fashion-mnist")
    monkeypatch.setattr(fashion_module, "MIRRORS", ("http://one.invalid/", "http://two.invalid/"))
    monkeypatch.setenv("XPNN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XPNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XPNN_OFFLINE", "1")
    return tmp_path


@pytest.fixture
def mirror(places, monkeypatch):
    import pooch

    mirror = Mirror()
    monkeypatch.setattr(pooch, "HTTPDownloader", mirror)
    monkeypatch.delenv("XPNN_OFFLINE")
    return mirror


def serve(mirror, host, mark=0):
    for name, data in zip(NAMES, contents(mark), strict=True):
        mirror.pages[f"http://{host}.invalid/{name}.gz"] = gzip.compress(data)


class TestFashion:
    def test_order_of_search(self, places):
        """Files in every place; each is found once those before it are gone."""
        order = ["data/fashion-mnist", "data", "system/fashion-mnist", "cache/fashion-mnist"]
        for place in order[:1] + order[2:]:
            write(places / place)
        for name, data in zip(NAMES, contents(), strict=True):
            (places / "data" / name).write_bytes(data)
        for place in order:
            data = load("fashion")
            assert data.note == f"{places / place} (sha256 ok)"
            assert data.x.shape == (3, 28, 28, 1)
            for name in NAMES:
                (places / place / name).unlink()
            if place == order[0]:
                (places / place).rmdir()
        with pytest.raises(DataError, match="not found"):
            load("fashion")

    @pytest.mark.parametrize("inside", [".", "fashion-mnist"])
    def test_a_given_path_comes_first(self, places, inside):
        write(places / "system" / "fashion-mnist")
        write(places / "mine" / inside)
        assert load("fashion", places / "mine").note.startswith(str(places / "mine"))
        assert len(xpnn.data.fashion(str(places / "mine"))) == 4

    def test_a_given_path_never_falls_back(self, places):
        write(places / "system" / "fashion-mnist")
        with pytest.raises(FileError, match=r"cannot read .*mine"):
            xpnn.data.fashion(places / "mine")
        (places / "mine").mkdir()
        with pytest.raises(FileError, match="mine does not hold the dataset"):
            xpnn.data.fashion(places / "mine")

    def test_the_hash_is_enforced(self, places):
        with pytest.raises(DataError, match="is not the published file"):
            xpnn.data.fashion(write(places / "mine", mark=1))

    def test_offline_names_the_places_and_the_remedy(self, places):
        with pytest.raises(DataError) as caught:
            load("fashion")
        message = str(caught.value)
        for place in ("data", "system/fashion-mnist", "cache/fashion-mnist"):
            assert str(places / place) in message
        assert "XPNN_OFFLINE forbids the download" in message
        assert "fix: --data PATH, or apt-get install dataset-fashion-mnist" in message

    def test_an_unset_variable_is_said_so(self, places, monkeypatch):
        monkeypatch.setenv("XPNN_DATA", "")
        with pytest.raises(DataError, match=r"\$XPNN_DATA \(not set\)"):
            load("fashion")

    def test_download_into_the_cache(self, places, mirror):
        serve(mirror, "one")
        assert "from http://one.invalid/" in load("fashion").note
        assert sorted(p.name for p in (places / "cache/fashion-mnist").iterdir()) == sorted(
            f"{name}.gz" for name in NAMES
        )
        load("fashion")
        assert len(mirror.asked) == 4  # the second time came from the cache

    def test_the_next_mirror_goes_on_where_the_first_failed(self, mirror):
        serve(mirror, "one")
        serve(mirror, "two")
        mirror.pages[f"http://one.invalid/{NAMES[1]}.gz"] = b"<html>not found</html>"
        load("fashion")
        assert [url[7:10] for url in mirror.asked] == ["one", "one", "two", "two", "two"]

    def test_a_wrong_download_never_gets_a_name(self, places, mirror):
        serve(mirror, "one", mark=1)
        with pytest.raises(DataError) as caught:
            load("fashion")
        assert f"http://one.invalid/{NAMES[0]}.gz is not the published file" in caught.value.why
        assert "http://two.invalid/: ConnectionError" in caught.value.why
        assert list((places / "cache/fashion-mnist").glob("*")) == []

    def test_a_damaged_cache_is_mended(self, places, mirror):
        serve(mirror, "one")
        load("fashion")
        (places / "cache/fashion-mnist" / f"{NAMES[2]}.gz").write_bytes(b"half a file")
        assert load("fashion").x_test.shape == (2, 28, 28, 1)
        assert [url.rsplit("/", 1)[1] for url in mirror.asked[4:]] == [f"{NAMES[2]}.gz"]

    def test_only_what_the_cache_lacks_is_downloaded(self, places, mirror):
        serve(mirror, "one")
        (write(places / "cache/fashion-mnist") / NAMES[3]).unlink()
        load("fashion")
        assert mirror.asked == [f"http://one.invalid/{NAMES[3]}.gz"]

    def test_a_damaged_cache_offline_is_named(self, places):
        (write(places / "cache/fashion-mnist") / NAMES[2]).write_bytes(b"half a file")
        with pytest.raises(DataError, match=f"{NAMES[2]} is not an IDX file"):
            load("fashion")

    def test_cache_folder(self, monkeypatch, tmp_path):
        for variable in ("XPNN_CACHE", "XDG_CACHE_HOME"):
            monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert fashion_module.cache_folder() == tmp_path / ".cache" / "xpnn"
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert fashion_module.cache_folder() == tmp_path / "xdg" / "xpnn"
        monkeypatch.setenv("XPNN_CACHE", str(tmp_path / "own"))
        assert fashion_module.cache_folder() == tmp_path / "own"

    def test_ten_classes(self):
        assert len(set(xpnn.data.FASHION_CLASSES)) == 10
        assert xpnn.data.FASHION_CLASSES[9] == "Ankle boot"


class TestSpiral:
    def test_shapes_and_types(self):
        x, y = spiral(samples=7, arms=4)
        assert x.shape == (28, 2)
        assert x.dtype == np.float64
        assert y.dtype == np.int64
        assert y.tolist() == sorted([0, 1, 2, 3] * 7)

    def test_without_noise_it_is_the_formula(self):
        x, y = spiral(samples=11, arms=5, noise=0.0)
        r = np.hypot(x[:, 0], x[:, 1])
        np.testing.assert_allclose(r, np.tile(np.linspace(0, 1, 11), 5), rtol=0, atol=1e-15)
        turned = np.exp(1j * (2 * np.pi * y / 5 + 4 * r))  # from the y axis, clockwise
        np.testing.assert_allclose(r * turned, x[:, 1] + 1j * x[:, 0], rtol=0, atol=1e-14)

    def test_noise_is_angular_and_of_its_size(self):
        x, y = spiral(samples=20000, noise=0.2)
        r = np.hypot(x[:, 0], x[:, 1])
        off = np.angle(np.exp(1j * (np.arctan2(x[:, 0], x[:, 1]) - 2 * np.pi * y / 3 - 4 * r)))[r > 0]
        assert off.mean() == pytest.approx(0, abs=0.005)
        assert off.std() == pytest.approx(0.2, rel=0.02)

    def test_seeds(self):
        np.testing.assert_array_equal(spiral(seed=3)[0], spiral(seed=3)[0])
        assert (spiral(seed=3)[0][1:5] != spiral(seed=4)[0][1:5]).all()

    def test_golden_points(self):
        x, _ = spiral(samples=5, seed=0)
        np.testing.assert_allclose(x[[2, 14]], GOLDEN_SPIRAL, rtol=1e-12)

    @pytest.mark.parametrize(
        "bad",
        [{"samples": 1}, {"arms": 0}, {"noise": -0.1}, {"noise": float("nan")}, {"noise": float("inf")}],
    )
    def test_what_makes_no_spiral(self, bad):
        with pytest.raises(UsageError, match="no spiral has"):
            spiral(**bad)

    def test_as_a_dataset(self):
        data = load("spiral", seed=5)
        assert (data.x.shape, data.x_test.shape) == ((2000, 2), (1000, 2))
        assert np.ptp(np.bincount(data.y_test)) <= 1
        assert data.classes == ("arm 0", "arm 1", "arm 2")
        assert data.input_shape == (2,)
        whole = np.concatenate([data.x, data.x_test])
        np.testing.assert_array_equal(np.sort(whole, axis=0), np.sort(spiral(seed=5)[0], axis=0))


class TestLoad:
    def test_unknown_name(self):
        with pytest.raises(UsageError, match="did you mean 'fashion'"):
            load("fashon")

    def test_spiral_reads_no_folder(self, tmp_path):
        with pytest.raises(UsageError, match="leave --data out"):
            load("spiral", tmp_path)

    def test_idx_needs_a_folder(self):
        with pytest.raises(UsageError, match="--data FOLDER"):
            load("idx")

    def test_every_source_has_a_title(self):
        assert all(source.title for source in xpnn.data.DATASETS.values())


class TestSplit:
    @settings(deadline=None)
    @given(
        st.lists(st.integers(-3, 3), min_size=2, max_size=80), st.floats(0, 1) | st.integers(1, 79), st.data()
    )
    def test_total_exact_and_classes_within_one(self, labels, held_out, data):
        y = np.array(labels)
        count = held_out if isinstance(held_out, int) else round(held_out * len(y))
        rng = host_rng(data.draw(st.integers(0, 9)))
        if not 0 < count < len(y):
            with pytest.raises(UsageError, match="cannot hold out"):
                stratified_split(y, held_out, rng)
            return
        classes = np.unique(y)
        if len(classes) > len(y) - count:
            with pytest.raises(UsageError, match="keep one of each"):
                stratified_split(y, held_out, rng)
            return
        train, held = stratified_split(y, held_out, rng)
        assert len(held) == count
        assert set(y[train]) == set(classes)
        assert sorted([*train, *held]) == list(range(len(y)))
        assert (np.diff(train) > 0).all()
        assert (np.diff(held) > 0).all()
        quota = {c: (y == c).sum() * count / len(y) for c in classes}
        if all(quota[c] <= (y == c).sum() - 1 for c in classes):  # else others give more
            assert all(abs((y[held] == c).sum() - quota[c]) < 1 for c in classes)

    def test_on_mnist(self, digits):
        _, held = stratified_split(digits.y, 0.1, host_rng(0, "split"))
        assert len(held) == 6000
        np.testing.assert_allclose(np.bincount(digits.y[held]), np.bincount(digits.y) / 10, rtol=0, atol=1)

    def test_seeded_and_golden(self):
        y = np.array([0, 0, 0, 1, 1, 1, 1, 1, 1, 2])
        assert stratified_split(y, 3, host_rng(0, "split"))[1].tolist() == GOLDEN_HELD
        drawn = {tuple(stratified_split(y, 3, host_rng(seed, "split"))[1]) for seed in range(20)}
        assert len(drawn) > 10

    @pytest.mark.parametrize("y", [np.linspace(0, 1, 100), np.zeros((100, 3)), np.zeros((100, 3), int)])
    def test_targets_that_are_no_classes_are_split_at_random(self, y):
        train, held = stratified_split(y, 0.25, host_rng(0))
        assert (len(train), len(held)) == (75, 25)
        assert held.tolist() != stratified_split(y, 0.25, host_rng(1))[1].tolist()

    @pytest.mark.parametrize("held_out", [0, 10, -1, 11, 0.0, 1.0, 1.5, -0.1, float("nan"), 0.01, 0.99])
    def test_a_part_that_would_be_empty(self, held_out):
        with pytest.raises(UsageError, match="of 10 samples"):
            stratified_split(np.arange(10), held_out, host_rng(0))


class TestBatches:
    @pytest.mark.parametrize("n", [1, 2, 9, 10, 11, 20])
    @pytest.mark.parametrize("size", [1, 3, 10, 100])
    def test_slices_cut_the_samples_without_gap(self, n, size):
        batches = Slices(n, size)
        for _ in range(2):  # it can be iterated again
            slices = list(batches)
            assert len(slices) == len(batches)
            assert np.concatenate([np.arange(n)[s] for s in slices]).tolist() == list(range(n))
            assert all(s.stop - s.start == size for s in slices[:-1])
            assert 0 < slices[-1].stop - slices[-1].start <= size
            assert slices[-1].stop == n

    def test_what_cannot_be_cut(self):
        with pytest.raises(DataError, match="no samples"):
            Slices(0, 10)
        with pytest.raises(UsageError, match="batch size 0"):
            Slices(10, 0)

    def test_an_epoch_is_a_permutation(self):
        assert sorted(epoch_order(0, 0, 1000)) == list(range(1000))

    def test_epochs_and_seeds_differ_and_repeat(self):
        orders = {tuple(epoch_order(seed, epoch, 50)) for seed in range(5) for epoch in range(5)}
        assert len(orders) == 25
        np.testing.assert_array_equal(epoch_order(3, 4, 50), epoch_order(3, 4, 50))

    @pytest.mark.parametrize("n", [1, 255, 256, 70_000, 65_536, 131_072, 200_001])
    def test_an_epoch_of_blocks_is_a_permutation(self, n):
        order = BlockOrder(0, 1, n)
        whole = np.asarray(order)
        assert len(order) == n
        assert np.array_equal(np.sort(whole), np.arange(n))
        for cut in (slice(0, 1), slice(n // 2, n // 2 + 999), slice(n - 1, n), slice(60_000, 140_000)):
            assert np.array_equal(order[cut], whole[cut])

    def test_blocks_are_mixed(self):
        """A batch comes from all over, and another epoch has another order."""
        order = BlockOrder(0, 1, 1 << 20)
        batch = order[1000:2000]
        assert len(np.unique(batch // 256)) > 200
        assert np.ptp(batch) > 900_000
        assert (BlockOrder(0, 2, 1 << 20)[1000:2000] == batch).mean() < 0.01
        assert np.array_equal(BlockOrder(0, 1, 1 << 20)[1000:2000], batch)

    def test_many_samples_come_in_blocks(self, monkeypatch):
        monkeypatch.setattr("xpnn.data.batches.MANY", 100)
        assert isinstance(epoch_order(0, 1, 100), BlockOrder)
        assert isinstance(epoch_order(0, 1, 99), np.ndarray)

    def test_golden_orders(self):
        assert epoch_order(0, 0, 10).tolist() == GOLDEN_ORDERS[0]
        assert epoch_order(0, 1, 10).tolist() == GOLDEN_ORDERS[1]
        assert epoch_order(7, 0, 10).tolist() == GOLDEN_ORDERS[2]


def test_importing_the_package_is_light():
    """Nor does it need lzma, which some builds of Python lack."""
    heavy = {"pooch", "requests", "cupy", "torch", "jax", "array_api_strict"}
    code = "import sys; sys.modules['lzma'] = None; import xpnn.data; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "xpnn.data.idx" in done.stdout.split()
    assert not heavy & set(done.stdout.split())


def test_host_draws_are_those_of_every_version():
    """When this changes, no seed gives the run that it gave before. Words are hashed, numbers taken as they are."""
    assert host_rng(7, "shuffle", 3).integers(1000, size=5).tolist() == [383, 187, 604, 860, 632]
    words = np.random.SeedSequence(7, spawn_key=(181044225, 3))
    again = np.random.Generator(np.random.Philox(words))
    assert again.integers(1000, size=5).tolist() == [383, 187, 604, 860, 632]
