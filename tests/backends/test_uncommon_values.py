"""Data that is no array of numbers: for each kind its own reason and advice; and what is measured beside other work."""

import types
from pathlib import PurePath

import numpy as np
import pytest

from xpnn.backends import advice, auto, missing
from xpnn.backends.convert import to_host
from xpnn.backends.cpu import contention, threads, vectors
from xpnn.backends.cpu.blas import Blas, count_threads
from xpnn.errors import BackendError, DataError, UsageError


def object_of(module, name, bases=(), **members):
    """An object of a class that says it is of that module."""
    return type(name, bases, members | {"__module__": module})()


def structured():
    return np.zeros(2, [("a", "f4"), ("b", "i4")])


def objects(*entries):
    found = np.empty(len(entries), object)
    found[:] = entries
    return found


CONTAINERS = {
    "a sparse matrix of SciPy": (
        object_of("scipy.sparse", "csr", nnz=3, shape=(3, 500_000)), "of shape .* is sparse",
            "takes 6.0 MB as float32",
        "toarray",
    ),
    "a sparse tensor": (
        object_of("torch", "Tensor", layout="torch.sparse_coo", shape=(3, 4)), r"of shape \(3, 4\) is sparse",
            "dense",
        "to_dense",
    ),
    "a query of polars": (
        object_of("polars", "LazyFrame", collect=1, collect_schema=1), "is a query that has not run", "", "collect()",
    ),
    "a frame of dask": (object_of("dask", "Frame", npartitions=2), "has not been computed", "", "compute()"),
    "a nested tensor": (
        object_of("torch", "Tensor", is_nested=True), "has rows of different lengths", "",
            "bring all rows to one length",
    ),
    "a loader": (object_of("torch.utils", "DataLoader"), "is no array", "hands out batches", "fit(loader) without y"),
    "a dataset of TensorFlow": (
        object_of("tensorflow.data", "MapDataset"), "is no array", "hands out batches", "as_numpy_iterator",
    ),
    "a dataset of PyTorch": (
        object_of("torch.utils", "TensorDataset"), "is no array", "its samples come one by one", "np.stack",
    ),
    "a generator": (iter([1]), "is no array", "gone through once", "np.array(list(x))"),
    "a dict": ({"a": 1, "b": 2}, "a dict of 2 entries is no array", "", "np.stack"),
    "a set": ({1}, "a set is no array", "it has no order", "sorted"),
    "a path": ("a.csv", "'a.csv' is no array", "", "read it with xpnn.data.prepare_table"),
    "nothing": (None, "None is no array", "was a result not returned", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTAINERS)
def test_what_holds_data_and_is_no_array(name):
    thing, what, why, fix = CONTAINERS[name]
    with pytest.raises(DataError, match=what) as caught:
        advice.refuse_container(thing)
    assert why in caught.value.why
    assert fix in caught.value.fix


@pytest.mark.parametrize("thing", [
    np.zeros(3), [1, 2], object_of("torch", "Tensor", layout="torch.strided"), object_of("dask", "Array",
        npartitions=1, chunks=1),
    object_of("polars", "DataFrame", collect_schema=1), object_of("other", "TensorDataset"), 3,
])  # fmt: skip
def test_what_may_be_an_array_is_let_through(thing):
    advice.refuse_container(thing)


def test_a_word_that_names_no_file_has_no_advice_to_read_it():
    with pytest.raises(DataError) as caught:
        advice.refuse_container("word")
    assert caught.value.fix == ""


NUMBERS = {
    "complex": (np.zeros(2, complex), "complex128", advice.REAL, "np.abs(x)"),
    "dates": (np.zeros(2, "M8[D]"), "datetime64", "these are times", "(x - x.min()) / np.timedelta64(1, 'D')"),
    "durations": (np.zeros(2, "m8[D]"), "timedelta64", "these are times",
        "days as numbers: x / np.timedelta64(1, 'D')"),
    "fields": (structured(), "cannot be trained on", "it has fields: a, b", "structured_to_unstructured"),
    "words": (np.array(["a", "b"]), "cannot be trained on", "entry [0] is the word 'a'", "np.unique"),
    "a word among numbers": (objects(1.0, "b"), "object", "entry [1] is the word 'b'", "np.unique"),
    "nothing among numbers": (objects(1.0, None), "object", "entry [1] is None", "fill or drop"),
    "rows": (objects([1], [1, 2]), "object", "its rows have 2 different lengths, from 1 to 2", "bring all rows"),
    "rows and numbers": (objects([1], 2), "object", "some of its entries are numbers, others are rows",
        "bring all rows"),
    "rows of one length": (objects([1], [2]), "object", "its entries are arrays of their own", "np.stack(list(x))"),
    "numbers as objects": (objects(1, 2.5), "object", "its entries are numbers, kept as objects or words",
        "dtype=float"),
    "other things": (objects(1, slice(2)), "object", "entry [1] is a slice", "numbers in its place"),
    "nothing at all": (objects(), "object", advice.REAL, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_an_array_of_something_else_than_numbers(name):
    array, what, why, fix = NUMBERS[name]
    found = advice.no_numbers(array)
    assert what in found.what
    assert why in found.why
    assert fix in found.fix


@pytest.mark.parametrize(("thing", "error", "why", "fix"), [
    ([[1], [1, 2]], "inhomogeneous", "its rows have 2 different lengths, from 1 to 2", "bring all rows"),
    ([1, [2]], "inhomogeneous", "some of its entries are numbers", "bring all rows"),
    ([[1], [2]], "something\nelse", "something", ""),
    (object_of("torch", "Tensor", dtype="torch.bfloat16"), "no", "NumPy has no bfloat16", "x.float()"),
    (object(), "Got unsupported ScalarType BFloat16", "NumPy has no bfloat16", "x.float()"),
    (object(), "no", "no", ""),
])  # fmt: skip
def test_what_cannot_be_read(thing, error, why, fix):
    found = advice.unreadable(thing, ValueError(error))
    assert found.what.endswith("as an array of numbers")
    assert found.why.startswith(why)
    assert fix in found.fix


def test_a_missing_entry_is_named_in_every_library():
    pd, pl, pa = (pytest.importorskip(name) for name in ("pandas", "polars", "pyarrow"))
    one = [1, None, 3, None]
    frame = pd.DataFrame({"whole": [1, 2, 3, 4], "gaps": pd.array(one, dtype="Int64")})
    for thing, column in (
        (pd.array(one, dtype="Int64"), None), (frame["gaps"], "gaps"), (frame, "gaps"), (pl.Series("gaps", one),
            "gaps"),
        (pl.DataFrame({"whole": [1, 2, 3, 4], "gaps": one}), "gaps"), (pa.array(one), None),
        (pa.table({"whole": [1, 2, 3, 4], "gaps": one}), "gaps"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=r"^entry 1 of a .* is missing") as caught:
            missing.refuse_missing(thing)
        assert ("column 'gaps'" in caught.value.what) == (column is not None), caught.value.what
        assert caught.value.why.startswith("2 of 4 entries are")
    for thing in (
        frame[["whole"]],
        pl.Series([1, 2]),
        pa.array([1, 2]),
        pa.table({"a": [1]}),
        np.array([np.nan]),
    ):
        missing.refuse_missing(thing)


class TestToHost:
    def test_arrays_of_cupy_are_fetched(self):
        got = to_host(object_of("cupy", "ndarray", get=lambda self: np.arange(3.0)))
        assert got.tolist() == [0, 1, 2]

    def test_what_dlpack_refuses_is_read_as_an_array_or_said(self):
        def refuse(self, **more):
            raise BufferError("no")

        def array(self, dtype=None, copy=None):
            return np.ones(2)

        both = object_of(
            "mine", "A", __dlpack__=refuse, __dlpack_device__=lambda self: (1, 0), __array__=array
        )
        assert to_host(both).tolist() == [1, 1]
        with pytest.raises(DataError, match="as an array of numbers"):
            to_host(object_of("mine", "A", __dlpack__=refuse, __dlpack_device__=lambda self: (1, 0)))

    def test_bytes_of_another_order_are_turned(self):
        got = to_host(np.array([1, 258], ">i2"))
        assert got.dtype.isnative
        assert got.tolist() == [1, 258]


class TestAuto:
    def backend(self, product, name="mine"):
        class Made:
            device_name = "here"

            def __init__(self):
                self.name = name

            def device_context(self):
                return np.errstate()

            def zeros(self, shape):
                return np.zeros(shape)

            def relu(self, x):
                return x

            def to_numpy(self, x):
                return product(x)

        return Made()

    def test_a_library_that_works(self):
        auto.check(self.backend(lambda x: x))

    def test_one_that_multiplies_wrongly(self):
        with pytest.raises(BackendError, match=r"multiplies wrongly: wanted 8, got 9\.0"):
            auto.check(self.backend(lambda x: x + 1))

    def test_one_that_lacks_a_part(self):
        def fail(x):
            raise RuntimeError("no nvrtc\nat all")

        with pytest.raises(BackendError, match="cannot multiply two matrices") as caught:
            auto.check(self.backend(fail))
        assert caught.value.why == "RuntimeError: no nvrtc"
        assert caught.value.fix == "backend='numpy' always works"

    def test_an_error_of_ours_is_passed_on(self):
        def fail(x):
            raise BackendError("mine")

        with pytest.raises(BackendError, match=r"^mine$"):
            auto.check(self.backend(fail))


def test_an_update_goes_on_with_the_memory_in_reserve():
    size = vectors.BLOCK * 2 + 3

    def rule_that_fails(when):
        calls = []

        def rule(*blocks):
            calls.append(len(blocks[-1]))
            if len(calls) in when:
                raise MemoryError
            return (blocks[0] + blocks[1],)

        return rule

    given, old = np.ones(size), np.arange(size, dtype=float)
    (made,) = vectors.elementwise(None, rule_that_fails({2}), (given,), (old.copy(),))
    np.testing.assert_array_equal(made, old + 1)
    for when in ({1}, {2, 3}):
        with pytest.raises(MemoryError):
            vectors.elementwise(None, rule_that_fails(when), (given,), (old.copy(),))


@pytest.mark.parametrize(("made", "text"), [
    (Blas("OpenBLAS", "0.3", "Haswell", 2), "OpenBLAS 0.3 · kernel Haswell · 2 threads"),
    (Blas("OpenBLAS", "0.3", None, 1), "OpenBLAS 0.3 · 1 thread"), (Blas("mkl", "", None, None), "mkl"),
])  # fmt: skip
def test_the_library_of_products_in_words(made, text):
    assert str(made) == text


def test_threads_are_counted():
    assert [count_threads(n) for n in (0, 1, 2)] == ["0 threads", "1 thread", "2 threads"]


def test_how_often_the_work_is_done_to_measure_it(monkeypatch):
    """RUNS times, or for SECONDS: each time has one call more, which warms up."""
    monkeypatch.setattr(contention, "TURNS", 1)
    monkeypatch.setattr(contention, "SECONDS", 2**-4)
    for seconds, wanted in ((1.0, contention.RUNS), (2**-7, 8)):
        state = types.SimpleNamespace(now=0.0, calls=0)

        def work(state=state, seconds=seconds):
            state.calls += 1
            state.now += seconds

        clock, used = (lambda state=state: state.now), (lambda state=state: 2 * state.now)
        assert contention.fastest(2, lambda n: None, work, clock, used) == 2
        assert state.calls == 2 * (wanted + 1)


def test_the_quota_is_rounded_down():
    assert threads.usable_threads() >= 1


def test_devices_of_pytorch_by_name():
    torch = pytest.importorskip("torch")
    from xpnn.backends.torch_devices import open_torch_device

    for name in ("cpu", "cpu:0"):
        assert open_torch_device(torch, name, "float32").type == "cpu"
    for name in ("cpu:1", "cpu:x", "cqu", ""):
        with pytest.raises(UsageError, match=f"backend 'torch' has no device {name!r}") as caught:
            open_torch_device(torch, name, "float32")
        assert "cpu" in caught.value.fix


@pytest.mark.parametrize(("rows", "lengths", "words"), [
    ([[1], [2]], [], ""), ([], [], ""), (["a", "bc"], [], ""), ([1, 2], [], ""), ([(1,), "ab", 3], [-1, 1],
        "some of its entries are numbers, others are rows"),
    ([[1], [1, 2]], [1, 2], "its rows have 2 different lengths, from 1 to 2"),
    ([[1] * 5, [], [1] * 3, []], [0, 3, 5], "its rows have 3 different lengths, from 0 to 5"),
])  # fmt: skip
def test_lengths_of_rows(rows, lengths, words):
    assert advice.ragged(rows) == lengths
    assert not lengths or advice.ragged_words(lengths) == words


def narrow(name):
    return np.zeros(2, getattr(pytest.importorskip("ml_dtypes"), name))


@pytest.mark.parametrize(("make", "why", "fix"), [
    (lambda: np.array([["1", "2"], ["x", "y"]]), "entry [1, 0] is the word 'x'", "np.unique"),
    (lambda: np.array(["1", "2.5"]), "its entries are numbers, kept as objects or words", "dtype=float"),
    (lambda: np.array([b"1", b"y" * 50]), f"entry [1] is the word {str(b'y' * 50)[:40]!r}", "np.unique"),
    (lambda: objects(2, b"y"), "entry [1] is the word \"b'y'\"", "np.unique"),
    (lambda: objects(1.5, "<NA>"), "entry [1] is <NA>", "fill or drop such samples"),
    (lambda: objects(None, None), "entry [0] is None", "fill or drop such samples"),
    (lambda: np.array([], "U3"), advice.REAL, ""),
    (lambda: narrow("bfloat16"), "NumPy has no arithmetic for it", "x.astype('float32')"),
    (lambda: narrow("float8_e4m3fn"), "NumPy has no arithmetic for it", "x.astype('float32')"),
    (lambda: np.zeros(2, "V3"), advice.REAL, ""),
    (lambda: np.zeros(1, [(f"field {i:02}", "f4") for i in range(20)]),
        f"{advice.REAL}; it has fields: {', '.join(f'field {i:02}' for i in range(20))[:80]}", "structured_to"),
])  # fmt: skip
def test_reasons_and_advice_to_the_letter(make, why, fix):
    found = advice.no_numbers(make())
    assert found.why == why
    assert fix in found.fix
    assert bool(found.fix) == bool(fix)


@pytest.mark.parametrize(("thing", "shown", "read"), [
    (PurePath("folder"), "'folder'", True), (PurePath("a.csv"), "'a.csv'", True), ("a.csv", "'a.csv'", True),
    ("word", "'word'", False), ("w" * 90, repr("w" * 80), False), (b"a.npy", repr(str(b"a.npy")), True),
])  # fmt: skip
def test_paths_and_words(thing, shown, read):
    with pytest.raises(DataError) as caught:
        advice.refuse_container(thing)
    assert caught.value.what == f"{shown} is no array"
    assert bool(caught.value.fix) is read


@pytest.mark.parametrize("thing", [
    object_of("scipy.sparse", "vector", shape=(3,)), object_of("numpy", "csr", nnz=3, shape=(3, 4)),
    object_of("torch", "Tensor", layout=None), object_of("mine", "Tensor", layout="sparse"),
    object_of("torch", "Tensor", is_nested=False), object_of("mine", "Tensor", is_nested=True),
    object_of("polars", "Frame", collect=1), object_of("mine", "Frame", npartitions=2),
    object_of("tensorflow", "Tensor"), object_of("torch", "Tensor"), object_of("mine", "Dataset"), (1, 2), [],
])  # fmt: skip
def test_half_of_what_marks_a_container_marks_none(thing):
    advice.refuse_container(thing)


def test_sparse_arrays_say_what_they_would_take():
    for module, shape, size in (("sparse", (10, 5, 50_000), "2.0"), ("scipy", (1000, 1_250_000), "5,000.0")):
        with pytest.raises(DataError) as caught:
            advice.refuse_container(object_of(module, "coo", nnz=1, shape=shape))
        assert caught.value.why == f"xpnn computes with dense arrays; this one takes {size} MB as float32"


def test_masked_arrays_keep_no_mask():
    whole = np.ma.masked_array([1.0, 2.0], mask=[False, False])
    assert type(to_host(whole)) is np.ndarray
    assert to_host(whole).tolist() == [1, 2]
    with pytest.raises(DataError) as caught:
        to_host(np.ma.masked_array([1.0, 2.0], mask=[False, True]))
    assert "the masked array has masked entries; fill or drop them first" in caught.value.why
    plain = np.arange(3)
    assert to_host(plain) is plain


def test_columns_without_gaps_or_a_name():
    pd = pytest.importorskip("pandas")
    missing.refuse_missing(pd.Series([1.0, np.nan]))  # NaN in plain floats may be allowed
    missing.refuse_missing(pd.Series(pd.array([1, 2], dtype="Int64")))
    with pytest.raises(DataError) as caught:
        missing.refuse_missing(pd.Series(pd.array([1, 2, None], dtype="Int64")))
    assert caught.value.what == "entry 2 of a pandas.Series of Int64 is missing"
    assert caught.value.why == "1 of 3 entries are, and no number stands for them"
    frame = pd.DataFrame({"c" * 50: pd.array([None] * 1200, dtype="Int64")})
    with pytest.raises(DataError) as caught:
        missing.refuse_missing(frame)
    assert caught.value.what == f"entry 0 of a pandas.DataFrame, column {'c' * 40!r}, of Int64 is missing"
    assert caught.value.why.startswith("1,200 of 1,200 entries")
