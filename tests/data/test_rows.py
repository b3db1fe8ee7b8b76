"""Batches of data of any library, by position; class weights; and advice for what is no array."""

import array
import collections

import numpy as np
import pytest

import xpnn
from xpnn.data import Batches, stratified_split
from xpnn.errors import DataError, UsageError, XpnnError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)


def check(batches):
    """Each sample comes once, with its own label."""
    seen = []
    for batch in batches.epochs(1):
        assert batch.x.shape[1:] == (3,)
        assert np.array_equal(batch.y, batch.x[:, 0] > 0)
        seen.append(batch.x)
    assert np.array_equal(np.sort(np.concatenate(seen), axis=0), np.sort(X, axis=0))


@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist, lambda a: tuple(a.tolist())])
def test_arrays_lists_and_tuples(form):
    check(Batches(form(X), form(Y), 16))


@pytest.mark.oracle
def test_pandas_by_position_whatever_the_index():
    pd = pytest.importorskip("pandas")
    order = RNG.permutation(40)
    frame, labels = pd.DataFrame(X[order], index=order), pd.Series(Y[order], index=order)
    check(Batches(frame, labels, 16))
    check(Batches(X[order], labels, 16))
    balanced = Batches(frame, labels, 16, balanced=True)
    assert np.array_equal(next(iter(balanced.epochs(1))).y, next(iter(balanced.epochs(1))).x[:, 0] > 0)
    assert next(iter(Batches(pd.DataFrame(np.ones((64, 784))), np.zeros(64), 16).epochs(1))).x.shape == (
        16,
        784,
    )


@pytest.mark.oracle
def test_polars():
    pl = pytest.importorskip("polars")
    check(Batches(pl.DataFrame(X), pl.Series(Y), 16))


@pytest.mark.oracle
def test_h5py_and_zarr_read_rows_in_any_order_and_twice(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"] = X, Y
        check(Batches(file["x"], file["y"], 16))
        batch = next(iter(Batches(file["x"], file["y"], 40, weights=np.ones(40)).epochs(1)))
        assert np.array_equal(batch.y, batch.x[:, 0] > 0)
    zarr = pytest.importorskip("zarr")
    check(Batches(zarr.array(X), zarr.array(Y), 16))


BYTES = Y.astype(np.uint8)
LABELS_AS = {
    "memoryview": memoryview(Y), "bytearray": bytearray(BYTES), "array.array": array.array("B", BYTES.tolist()),
    "deque": collections.deque(Y.tolist()), "booleans": Y.astype(bool), "other byte order": Y.astype(">i4"),
}  # fmt: skip


@pytest.mark.parametrize("form", LABELS_AS)
def test_buffers_and_other_sequences(form):
    check(Batches(X.astype(">f8"), LABELS_AS[form], 16))
    check(Batches(memoryview(X), LABELS_AS[form], 16))


class Sequential:
    """What gives one sample at a time."""

    def __len__(self):
        return 40

    def __getitem__(self, i):
        return X[int(i)]


def test_arrays_of_a_library_that_takes_no_row_numbers_of_numpy():
    strict = pytest.importorskip("array_api_strict")
    check(Batches(strict.asarray(X), strict.asarray(Y), 16))


@pytest.mark.oracle
def test_what_takes_no_row_numbers_is_refused(tmp_path):
    h5py, torch = pytest.importorskip("h5py"), pytest.importorskip("torch")
    with pytest.raises(DataError, match="Sequential that does not take an array of row numbers"):
        next(Batches(Sequential(), Y).epochs(1))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = X
        with pytest.raises(DataError) as caught:
            Batches(file, Y)
        assert "file['x']" in caught.value.fix
    nested = torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged)
    with pytest.raises(DataError, match="rows of different lengths"):
        Batches(nested, Y[:2])


def test_a_frame_that_has_not_been_computed_is_refused():
    lazy = type("DataFrame", (), {"__module__": "dask.dataframe", "npartitions": 2, "compute": list})()
    with pytest.raises(DataError, match=r"a dask\.DataFrame has not been computed"):
        Batches(lazy, Y)


@pytest.mark.parametrize(("settings", "what"), [
    ({"batch_size": 2.5}, "batch_size=2.5"), ({"batch_size": "8"}, "batch_size='8'"), ({"seed": -1}, "seed=-1"),
    ({"seed": 1.5}, "seed=1.5"), ({"ahead": True}, "ahead=True"),
])  # fmt: skip
def test_settings_of_batches_that_are_no_numbers(settings, what):
    with pytest.raises(UsageError, match=what):
        Batches(X, Y, **settings)


def test_a_weight_that_is_none_is_named():
    with pytest.raises(DataError, match=r"weight 3 is -1\.0"):
        Batches(X, Y, weights=np.where(np.arange(40) == 3, -1.0, 1.0))


@pytest.mark.oracle
def test_tensors_that_require_a_gradient():
    torch = pytest.importorskip("torch")
    check(Batches(torch.tensor(X, requires_grad=True), torch.tensor(Y), 16))


@pytest.mark.parametrize("y", [np.where(Y > 0, "a", "b"), Y.astype(object), Y + 0j, Y.astype("M8[D]")])
def test_labels_that_are_no_numbers_are_refused_as_fit_refuses_them(y):
    with pytest.raises(DataError) as caught:
        Batches(X, y)
    with pytest.raises(DataError) as by_fit:
        xpnn.Model([xpnn.Dense(2)], (3,)).fit(X, y, verbose=0)
    assert str(by_fit.value) == str(caught.value)


@pytest.mark.parametrize(("x", "what"), [
    ((row for row in X), "gone through once"), ({"a": X}, "no array"), (None, "None is no array"), (3.0, "single"),
])  # fmt: skip
def test_what_has_no_rows_is_refused_in_our_words(x, what):
    with pytest.raises(DataError, match=what):
        Batches(x, Y)


ADVICE = {
    "ragged list": ([[1, 2], [1]], "2 different lengths, from 1 to 2", "pad them"),
    "ragged objects": (np.array([[1, 2], [1]], dtype=object), "2 different lengths", "pad them"),
    "a number among rows": ([[1, 2], 3], "some of its entries are numbers", "one length"),
    "words": (np.array(["no", "yes"]), "the word 'no'", "np.unique(y, return_inverse=True)"),
    "digits of another class": (
        np.char.array(["1", "2"]),
        "kept as objects or words",
        "np.asarray(x, dtype=float)",
    ),
    "words as objects": (np.array(["no", 1], object), "the word 'no'", "np.unique"),
    "None within": (np.array([1.0, None]), "entry [1] is None", "fill or drop"),
    "numbers as objects": (np.array([1, 2.5], object), "kept as objects", "np.asarray(x, dtype=float)"),
    "numbers as words": (np.array(["1", "2.5"]), "kept as objects or words", "np.asarray(x, dtype=float)"),
    "complex": (np.array([1j]), "real numbers", "np.abs(x)"),
    "times": (np.array(["2020-01-01"], "M8[D]"), "these are times", "np.timedelta64(1, 'D')"),
    "fields": (np.zeros(2, [("a", float)]), "it has fields: a", "structured_to_unstructured"),
    "generator": ((v for v in X), "gone through once", "np.array(list(x))"),
    "set": ({1, 2}, "no order", "np.array(sorted(x))"),
}


@pytest.mark.parametrize("what", ADVICE)
def test_advice_fits_what_was_given(what):
    x, why, fix = ADVICE[what]
    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
    with pytest.raises(DataError) as caught:
        model.predict(x)
    assert why in caught.value.why
    assert fix in caught.value.fix


def test_advice_to_cast_works_where_it_is_given():
    for x in (np.array([[1, 2.5, 3]], object), np.array([["1", "2", "3"]])):
        with pytest.raises(DataError, match=r"np\.asarray\(x, dtype=float\)"):
            xpnn.Model([xpnn.Dense(2)], (3,), seed=0).predict(x)
        assert np.asarray(x, dtype=float).shape == (1, 3)


@pytest.mark.oracle
def test_advice_for_other_libraries():
    sparse, torch = pytest.importorskip("scipy.sparse"), pytest.importorskip("torch")
    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
    loader = torch.utils.data.DataLoader(torch.tensor(X))
    for x, fix in (
        (sparse.csr_matrix(X), "x.toarray()"),
        (torch.tensor(X).to_sparse(), "x.to_dense()"),
        (loader, "fit(loader)"),
        (torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)), "np.stack"),
        (torch.tensor(X).bfloat16(), "x.float()"),
        (np.ones((2, 3), pytest.importorskip("ml_dtypes").bfloat16), "astype('float32')"),
    ):
        with pytest.raises(DataError) as caught:
            model.predict(x)
        assert fix in caught.value.fix


def test_what_cannot_be_read_is_not_called_bfloat16():
    class Broken:
        dtype = np.dtype("float32")

        def __array__(self, *_, **__):
            raise RuntimeError("out of order")

    with pytest.raises(DataError, match="out of order") as caught:
        xpnn.Model([xpnn.Dense(2)], (3,), seed=0).predict(Broken())
    assert caught.value.fix == ""


@pytest.mark.parametrize(("name", "ours"), [
    ("categorical_crossentropy", "softmax_cross_entropy"), ("sparse_categorical_crossentropy", "softmax_cross_entropy"),
    ("CrossEntropyLoss", "softmax_cross_entropy"), ("binary_crossentropy", "binary_cross_entropy"), 
    ("MSELoss", "mean_squared_error"),
])  # fmt: skip
def test_losses_by_the_names_of_other_libraries(name, ours):
    with pytest.raises(UsageError, match=f"here it is '{ours}'"):
        xpnn.losses.get_loss(name)


class TestClassWeight:
    def fitted(self, **options):
        model = xpnn.Model([xpnn.Dense(3)], (3,), seed=0)
        model.fit(X, LABELS, epochs=2, batch_size=40, verbose=0, optimizer=xpnn.SGD(0.1), **options)
        return model.snapshot()["theta"]

    def test_each_sample_counts_as_much_as_its_class(self):
        w = np.array([1.0, 3.0, 0.5])
        wanted = self.fitted(sample_weight=w[LABELS])
        for given in ({0: 1.0, 1: 3.0, 2: 0.5}, w, list(w)):
            np.testing.assert_allclose(self.fitted(class_weight=given), wanted, rtol=1e-6)
        assert not np.allclose(self.fitted(), wanted)

    def test_balanced(self):
        counts = np.bincount(LABELS)
        wanted = self.fitted(sample_weight=(40 / (3 * counts))[LABELS])
        np.testing.assert_allclose(self.fitted(class_weight="balanced"), wanted, rtol=1e-6)

    def test_with_sample_weights(self):
        own = np.linspace(1, 2, 40)
        wanted = self.fitted(sample_weight=own * np.array([1, 2, 3])[LABELS])
        np.testing.assert_allclose(self.fitted(class_weight=[1, 2, 3], sample_weight=own), wanted, rtol=1e-6)

    @pytest.mark.parametrize("given", [{0: 1.0}, [1.0, 2.0], [-1, 1, 1], {0: 1, 1: 1, 2: 1, 7: 1}, "even"])
    def test_what_cannot_be(self, given):
        with pytest.raises(XpnnError, match="class_weight"):
            self.fitted(class_weight=given)

    def test_a_regression_has_no_classes(self):
        with pytest.raises(UsageError, match="class_weight with MeanSquaredError"):
            xpnn.Model([xpnn.Dense(1)], (3,)).fit(X, X[:, 0], loss="mse", class_weight="balanced", verbose=0)


LABELS = np.array([0] * 25 + [1] * 10 + [2] * 5)


class TestSplit:
    @pytest.mark.parametrize("held", [0.1, 0.5, 0.8, 30])
    def test_no_class_loses_its_only_sample(self, held):
        y = np.array([7, *[0] * 20, 9, *[1] * 15, 3])
        for seed in range(20):
            train, out = stratified_split(y, held, np.random.default_rng(seed))
            assert set(y[train]) == set(y)
            assert len(out) == (held if isinstance(held, int) else round(held * len(y)))

    def test_where_that_cannot_be_it_says_which(self):
        with pytest.raises(UsageError, match="keep one of each of 5 classes") as caught:
            stratified_split(np.arange(5), 2, np.random.default_rng(0))
        assert "3 samples would be left" in caught.value.why

    def test_whole_numbers_of_a_regression_are_no_classes(self):
        model = xpnn.Model([xpnn.Dense(1)], (3,), seed=0)
        model.fit(X, np.arange(40), loss="mse", validation=0.5, epochs=1, verbose=0)


def test_a_label_of_a_billion(tmp_path):
    y = Y.copy()
    y[5] = 10**9
    np.savez(tmp_path / "a.npz", x=X, y=y)
    with pytest.raises(DataError, match="the largest label is 1,000,000,000"):
        xpnn.data.load("npz", tmp_path / "a.npz")
    with pytest.raises(DataError, match="label 5 is 1000000000"):
        xpnn.Model([xpnn.Dense(2)], (3,)).fit(X, y, verbose=0)


NOTHING = [0, 1, None, 1] * 10
MISSING = {
    "pandas Int64": ("pandas", lambda pd: pd.Series(NOTHING, dtype="Int64"), "entry 2 of a pandas.Series of Int64"),
    "pandas boolean": ("pandas", lambda pd: pd.Series([True, None] * 20, dtype="boolean"), "entry 1 of .* of boolean"),
    "pandas category": ("pandas", lambda pd: pd.Series(NOTHING).astype("category"), "entry 2 of .* of category"),
    "pandas frame": ("pandas", lambda pd: pd.DataFrame({"kind": pd.array(NOTHING, dtype="Int64")}), "column 'kind'"),
    "pandas array": ("pandas", lambda pd: pd.array(NOTHING, dtype="Int64"), "entry 2 of a pandas.IntegerArray"),
    "polars": ("polars", lambda pl: pl.Series("kind", NOTHING), "column 'kind', of Int64"),
    "Arrow": ("pyarrow", lambda pa: pa.array(NOTHING), "entry 2 of a pyarrow.Int64Array"),
    "masked": ("numpy", lambda np: np.ma.masked_equal(Y, 1), "masked entries"),
}  # fmt: skip


@pytest.mark.oracle
@pytest.mark.parametrize("form", MISSING)
def test_whole_numbers_with_missing_entries_are_no_floats_with_nan(form):
    library, make, what = MISSING[form]
    y = make(pytest.importorskip(library))
    for use in (lambda: Batches(X, y), lambda: xpnn.Model([xpnn.Dense(2)], (3,)).fit(X, y, verbose=0)):
        with pytest.raises(DataError, match=what):
            use()


@pytest.mark.oracle
def test_the_advice_for_missing_labels_works():
    pd = pytest.importorskip("pandas")
    y = pd.Series(NOTHING, dtype="Int64", index=range(40, 0, -1))
    keep = y.notna().to_numpy()
    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
    assert len(model.fit(X[keep], y[keep], epochs=1, verbose=0)) == 1
