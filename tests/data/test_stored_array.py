"""Samples of HDF5 files and Zarr stores: read in whole chunks, in an order that seed and file decide, and resumed."""

import json

import numpy as np
import pytest

import xpnn
from xpnn.data import Batches, load
from xpnn.errors import DataError, UsageError
from xpnn.read_ahead import read_ahead
from xpnn.stored_array import StoredArray
from xpnn.temporary_files import Scratch, is_mapped
from xpnn.training import Checkpoint, Trainer, minibatch
from xpnn.training.run import Callback

RNG = np.random.default_rng(0)
N, CHUNK = 203, 16
X = RNG.standard_normal((N, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


class Counted:
    """A dataset that records what is read. Its class claims to be from the module h5py."""

    __module__ = "h5py.fake"

    def __init__(self, a, chunk=CHUNK):
        self.a, self.shape, self.dtype, self.chunks, self.read = a, a.shape, a.dtype, (chunk, 2), []

    def __getitem__(self, which):
        if isinstance(which, slice):
            self.read.append((which.start, which.stop))
        else:
            assert (np.diff(which) > 0).all(), "h5py takes rising rows only"
        return self.a[which]


@pytest.fixture(params=["h5py", "zarr"])
def dataset(request, tmp_path):
    library = pytest.importorskip(request.param)
    if request.param == "h5py":
        with library.File(tmp_path / "a.h5", "w") as file:
            yield file.create_dataset("x", data=X, chunks=(CHUNK, 3))
        return
    made = library.create_array(str(tmp_path / "a.zarr"), shape=X.shape, chunks=(CHUNK, 5), dtype="f4")
    made[:] = X
    yield made


def cuts(n, batch=32):
    return [slice(start, min(start + batch, n)) for start in range(0, n, batch)]


def stored(window=4, **more):
    made = StoredArray(Counted(X), **more)
    made.window = window
    return made


def test_an_epoch_reads_every_chunk_once_and_every_sample_once():
    x = stored()
    order = x.order(0, 1, range(N))
    rows = [order[cut] for cut in cuts(N)]
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(N))
    assert all((np.diff(batch) > 0).all() for batch in rows)
    for found, batch in zip(x.read(rows), rows, strict=True):
        assert np.array_equal(found, X[batch])
    assert sorted(x.dataset.read) == [(start, start + CHUNK) for start in range(0, N, CHUNK)]


@pytest.mark.parametrize(
    ("given", "whole"), [({}, True), ({"balanced": True}, False), ({"weights": np.ones(N)}, False)]
)
def test_batches_read_every_chunk_of_an_epoch_once(given, whole):
    """Not where samples are picked by their weights, which come from anywhere."""
    dataset = Counted(X)
    batches = Batches(StoredArray(dataset), Y, 8, **given)
    assert len(list(batches.epochs(1))) == 26
    reads = [start // CHUNK for start, _ in dataset.read]
    assert (sorted(reads) == list(range(13))) is whole
    (first, *_) = batches.epochs(1)
    rows = batches.order(1)[:8]
    assert np.array_equal(first.x, X[rows])
    assert np.array_equal(first.y, Y[rows])


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(*key):
        return np.asarray(stored().order(*key, range(N))).tolist()

    assert order(0, 1) == order(0, 1)
    assert len({tuple(order(*key)) for key in ((0, 1), (0, 2), (1, 1))}) == 3
    batch = stored().order(0, 1, range(N))[slice(0, 32)]
    assert len(np.unique(batch // CHUNK)) >= 4, "a batch comes from several places of the file"


def test_samples_that_are_held_out_never_come():
    train = np.sort(RNG.permutation(N)[:150])
    for x, wanted in ((stored(), train), (stored().subset(train), np.arange(150))):
        rows = range(150) if len(x) == 150 else train
        order = x.order(3, 1, rows)
        seen = np.concatenate([order[cut] for cut in cuts(150)])
        assert np.array_equal(np.sort(seen), wanted)
    assert np.array_equal(x[seen], X[train][seen])
    assert np.array_equal(x[10:20], X[train][10:20])


def test_any_rows_may_be_asked_for(dataset):
    x = StoredArray(dataset)
    for rows in ([7, 3, 3, 200], range(0, N, 2), [], [N - 1]):
        rows = np.array(rows, int)
        assert np.array_equal(x[rows], X[rows])
    assert np.array_equal(x[190:300], X[190:])
    assert np.array_equal(np.asarray(x), X)
    assert x.nbytes == X.nbytes


def test_models_train_on_it_as_on_an_array_in_that_order(dataset):
    """The same batches, given by hand, lead to the same weights to the bit."""

    def model():
        return xpnn.Model([xpnn.Dense(8), xpnn.Tanh(), xpnn.Dense(2)], (5,), seed=0)

    there, by_hand = model(), model()
    there.fit(dataset, Y, epochs=2, batch_size=32, verbose=0)
    trainer = Trainer(by_hand)
    trainer.total = 2 * len(cuts(N))
    for epoch in (1, 2):
        order = StoredArray(dataset).order(0, epoch, range(N))
        for cut in cuts(N):
            trainer.step(X[order[cut]], Y[order[cut]])
    assert np.array_equal(there.theta, by_hand.theta)
    assert there.evaluate(dataset, Y) == there.evaluate(X, Y)
    batches = list(Batches(dataset, Y, 32).epochs(1))
    order = StoredArray(dataset).order(0, 1, range(N))
    assert all(np.array_equal(b.x, X[order[cut]]) for b, cut in zip(batches, cuts(N), strict=True))


class StopAt(Callback):
    def step(self, run):
        if run.steps == 9:
            run.stopped = "test"


def test_a_run_resumes_to_the_bit_and_refuses_another_file(tmp_path):
    def fit(x, **given):
        trainer = Trainer(xpnn.Model([xpnn.Dense(2)], (5,), seed=0), None, xpnn.SGD(0.1))
        trainer.fit(x, Y, epochs=3, batch_size=32, validation=0.1, **given)
        return trainer.model.theta

    path, x = tmp_path / "state.safetensors", StoredArray(Counted(X))
    whole = fit(x)
    assert not np.array_equal(fit(x, callbacks=[StopAt(), Checkpoint(path, epochs=9)]), whole)
    assert np.array_equal(fit(x, resume=path), whole)
    with pytest.raises(UsageError, match="belongs to another run"):
        fit(StoredArray(Counted(X, 32)), resume=path)
    with pytest.raises(UsageError, match="belongs to another run"):
        fit(StoredArray(Counted(X + 1)), resume=path)


def test_a_thread_reads_ahead_and_not_further():
    asked = []
    found = read_ahead(lambda i: i * i, (asked.append(i) or i for i in range(6)), 2)
    assert next(found) == 0
    assert asked == [0, 1, 2]
    assert list(found) == [1, 4, 9, 16, 25]


@pytest.mark.parametrize("backend", ["numpy", "strict"])
def test_samples_in_a_mapped_file_are_trained_on_as_those_in_memory(backend, monkeypatch):
    monkeypatch.setattr(minibatch, "LARGE", 0)

    def theta(x):
        model = xpnn.Model([xpnn.Dense(8), xpnn.Tanh(), xpnn.Dense(2)], (5,), seed=0, backend=backend)
        model.fit(x, Y, epochs=2, batch_size=32, validation=0.1, verbose=0)
        return model.snapshot()["theta"]

    file = Scratch("float32", (5,))
    file.write(X)
    on_disk = file.array()
    assert is_mapped(on_disk[:100])
    assert not is_mapped(X)
    assert np.array_equal(theta(on_disk), theta(X))


def test_what_goes_wrong_in_the_reading_thread_is_raised():
    x = stored()
    x.dataset.a = X[:100]
    order = x.order(0, 1, range(N))
    with pytest.raises((ValueError, IndexError)):
        list(x.read(order[cut] for cut in cuts(N)))


def test_words_and_objects_are_refused():
    with pytest.raises(DataError, match="real numbers"):
        StoredArray(Counted(np.array(["a", "b"])))


def written(folder, library, **arrays):
    """The path of a file with those arrays."""
    if library == "hdf5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(folder / "a.h5", "w") as file:
            for name, a in arrays.items():
                file.create_dataset(name, data=a, chunks=(min(CHUNK, len(a)), *a.shape[1:]))
        return folder / "a.h5"
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(folder / "a.zarr"), mode="w")
    for name, a in arrays.items():
        group.create_array(name, shape=a.shape, chunks=(CHUNK, *a.shape[1:]), dtype=a.dtype)[...] = a
    return folder / "a.zarr"


@pytest.mark.parametrize("library", ["hdf5", "zarr"])
def test_a_file_is_a_dataset_like_the_arrays_in_it(tmp_path, library):
    np.savez(tmp_path / "a.npz", x=X, y=Y)
    there, kept = load(library, written(tmp_path, library, x=X, y=Y)), load("npz", tmp_path / "a.npz")
    for name in ("x", "y", "x_test", "y_test"):
        assert np.array_equal(np.asarray(getattr(there, name)), getattr(kept, name))
    assert there.classes == kept.classes
    assert there.held_out
    assert any("16 samples are read at once" in note for note in there.notes)
    for folder in (tmp_path / "other", tmp_path / "third"):
        folder.mkdir()
    parts = load(
        library, written(tmp_path / "other", library, x_train=X, y_train=Y, x_test=X[:9], y_test=Y[:9])
    )
    assert (len(parts.x), len(parts.x_test), parts.held_out) == (N, 9, False)
    with pytest.raises(DataError, match="holds z"):
        load(library, written(folder, library, z=X))


@pytest.mark.parametrize("library", ["hdf5", "zarr"])
def test_the_commands_train_on_it_evaluate_and_predict(tmp_path, xp, library):
    path = written(tmp_path, library, x=X, y=Y)
    run = tmp_path / "run"
    code, _, err = xp("train", "--data", path, "--epochs", "2", "--out", run)
    assert code == 0, err
    assert f"x stays in {path}" in err
    code, out, err = xp("evaluate", run)
    assert code == 0, err
    assert "accuracy" in out
    (tmp_path / "copy").mkdir()
    other = written(tmp_path / "copy", library, x=X, y=Y)
    code, out, err = xp("evaluate", run, "--data", other, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["samples"] == N
    np.save(tmp_path / "x.npy", X)
    code, rows, err = xp("predict", run, other)
    assert code == 0, err
    assert rows == xp("predict", run, tmp_path / "x.npy")[1]
    labels = [int(line.split(",")[0]) for line in rows.splitlines()[1:]]
    assert np.mean(labels == Y) == pytest.approx(found["accuracy"])  # of all samples, each with its own label
    (tmp_path / "third").mkdir()
    code, _, err = xp("predict", run, written(tmp_path / "third", library, a=X, b=X))
    assert code == 4
    assert "wanted an array called x" in err


def test_what_leads_to_other_files_or_pickles_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = written(tmp_path, "hdf5", y=Y)
    with h5py.File(path, "a") as file:
        file["x"] = h5py.ExternalLink("other.h5", "x")
    with pytest.raises(DataError, match="x is no dataset of the file itself"):
        load("hdf5", path)
    path.write_bytes(b"no hdf5")
    with pytest.raises(DataError, match="is no HDF5 file"):
        load("hdf5", path)
    zarr = pytest.importorskip("zarr")
    numcodecs = pytest.importorskip("numcodecs")
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("x", shape=X.shape, chunks=X.shape, dtype="f4", filters=[numcodecs.Fletcher32()])
    group.create_array("y", shape=Y.shape, chunks=Y.shape, dtype="i8")
    with pytest.raises(DataError, match="packed by fletcher32"):
        load("zarr", tmp_path / "a.zarr")
