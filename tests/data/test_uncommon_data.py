"""Forms of data that are seldom met: each is read as it says it is, or refused with the reason."""

import hashlib
import re

import numpy as np
import pytest

import xpnn
from xpnn.chunk_order import ChunkOrder
from xpnn.data import folds, kind, prepare_table, read_table
from xpnn.data.rows import by_position
from xpnn.data.tables.columns import CategoryColumn
from xpnn.data.tables.files import TableFile
from xpnn.data.tables.frames import from_memory
from xpnn.data.tables.pixels import read_pixels
from xpnn.data.tables.preparation import MOST_CLASSES, TablePreparation
from xpnn.data.tables.summary import Moments, Summary
from xpnn.data.tables.table import as_values
from xpnn.errors import DataError, FileError, UsageError
from xpnn.stored_array import StoredArray

WORDS = ("a", "b") * 30


def test_a_row_of_pandas_is_one_row_and_a_column_has_its_name_or_0():
    pd = pytest.importorskip("pandas")
    row = from_memory(pd.Series({"n": 1.5, "w": "x"}))
    assert {key: values.words().tolist() for key, values in row.items()} == {"n": ["1.5"], "w": ["x"]}
    assert list(from_memory(pd.Series([1, 2], name="n"))) == ["n"]
    assert list(from_memory(pd.Series([1, 2]))) == ["0"]
    assert list(from_memory(pd.Series([1, 2], index=["a", 7]))) == ["0"]
    assert from_memory({"n": pd.Series([1, None])})["n"].missing.tolist() == [False, True]


@pytest.mark.oracle
def test_a_column_of_polars_has_its_name_or_0():
    pl = pytest.importorskip("polars")
    assert list(from_memory(pl.Series("n", [1, 2]))) == ["n"]
    assert list(from_memory(pl.Series([1, 2]))) == ["0"]


@pytest.mark.parametrize("unit", ["ns", "s"])
def test_times_of_a_zone_are_those_of_utc(unit):
    """In the same words as times without a zone, which the hash of a row is of."""
    pd = pytest.importorskip("pandas")
    when, here = (
        pd.Series(pd.to_datetime([text])).dt.as_unit(unit)
        for text in ("2024-03-01 01:30", "2024-02-29 16:30")
    )
    zoned, plain = read_table(pd.DataFrame({"t": when.dt.tz_localize("Asia/Tokyo"), "u": here})).values()
    assert str(zoned.dates()[0].astype("M8[m]")) == "2024-02-29T16:30"
    assert zoned.words().tolist() == plain.words().tolist()


class TestPreparation:
    def made(self, **settings):
        column = CategoryColumn("c", ("a", "b"), 0)
        given = {"label": "y", "task": "classification", "classes": ("a", "b"), "columns": (column,)}
        return TablePreparation(**given | settings)

    @pytest.mark.parametrize(("settings", "message"), [
        ({"classes": ("a", "a")}, "TablePreparation.*classes"),
        ({"classes": ("a",)}, "a classification with 1 classes"),
        ({"classes": ("a", 3)}, "classes"),
        ({"classes": (), "task": "regression", "label_std": 0.0}, "std 0.0"),
        ({"task": "regression"}, "a regression with 2 classes"),
        ({"task": "ranking"}, "task='ranking'"),
        ({"columns": ()}, "no column is left to learn from"),
        ({"columns": (CategoryColumn("c", ("a",), 0),) * 2}, "columns"),
        ({"columns": (CategoryColumn("c", ("a", "b"), 2),)}, "no column is left to learn from"),
        ({"dates": "%d/%m/%Q"}, "wanted a form such as"),
        ({"dates": "%d" * 21}, "wanted a form such as"),
    ])  # fmt: skip
    def test_what_does_not_fit_together_is_refused(self, settings, message):
        assert self.made(dates="%d" * 20).dates
        with pytest.raises((UsageError, TypeError), match=message):
            self.made(**settings)

    def test_so_many_classes_may_be(self):
        names = tuple(map(str, range(MOST_CLASSES + 1)))
        assert self.made(classes=names[:-1]).outputs == MOST_CLASSES
        with pytest.raises(UsageError, match="classes"):
            self.made(classes=names)


class TestSummary:
    def test_moments_are_those_of_all_numbers(self):
        x = np.random.default_rng(0).normal(3, 2, 500)
        one, parts = Moments(), Moments()
        one.add(x)
        for part in (x[:0], x[:7], x[7:400], x[400:400], x[400:]):
            parts.add(part)
        assert parts.spread() == pytest.approx(one.spread(), rel=1e-12)
        assert parts.spread() == pytest.approx((x.mean(), x.std()), rel=1e-12)
        assert (parts.n, parts.low, parts.high) == (500, x.min(), x.max())

    def test_dates_have_the_extremes_of_their_days(self):
        summary = Summary("d")
        summary.add(as_values("d", np.array(["2024-01-01", "2024-01-03"], "M8[D]")))
        assert summary.numbers.low < summary.numbers.high
        assert not summary.constant
        same = Summary("d")
        same.add(as_values("d", np.array(["2024-01-01"] * 2, "M8[D]")))
        assert same.constant

    def test_words_that_all_differ(self):
        words = Summary("w")
        words.add(as_values("w", ["a", "b", "c"]))
        assert words.all_different()
        words.add(as_values("w", ["a"]))
        assert not words.all_different()


@pytest.mark.parametrize(("columns", "name", "why"), [
    ({"n": [None] * 60, "m": range(60)}, "n", "nothing in it"),
    ({"n": [7] * 60, "m": range(60)}, "n", "constant: 7 in every row"),
    ({"n": [2.0**60] * 60, "m": range(60)}, "n", "or too near to it for float64"),
    ({"id": [3 * i for i in range(60)][::-1], "m": [i % 7 for i in range(60)]}, "id",
        "an id: different in every row"),
    ({"": range(60), "m": [i % 7 for i in range(60)]}, "", "it numbers the rows"),
    ({"d": np.array(["2024-01-01", "NaT"] * 30, "M8[D]"), "m": range(60)}, "d",
        "constant: 2024-01-01.* in every row that has one"),
    ({"w": [f"w{i}" for i in range(60)], "m": range(60)}, "w", "60 different words in 60 rows"),
    ({"w": ["1 Jan 2024", "2 Feb 2024"] * 30, "m": range(60)}, "w", "dates such as '1 Jan 2024'"),
])  # fmt: skip
def test_a_column_that_says_nothing_is_left_out_with_the_reason(columns, name, why):
    _, _, preparation = prepare_table({**columns, "label": WORDS})
    (left,) = [one for one in preparation.left_out if one.name == name]
    assert re.search(why, left.why), left.why


def test_a_table_of_words_alone_that_would_all_be_embedded_keeps_a_matrix():
    names = [f"w{i % 30}" for i in range(120)]
    _, _, preparation = prepare_table({"w": names, "label": WORDS * 2})
    assert preparation.columns == (CategoryColumn("w", tuple(sorted(set(names))), 0, indicator=True),)


class TestRows:
    def test_an_object_without_a_length_is_refused(self):
        class Bare:
            def __getitem__(self, rows):
                return np.zeros(len(rows))

        with pytest.raises(DataError, match=r"x is a .*Bare without a shape and a length"):
            by_position(Bare(), "x")

    def test_an_object_that_takes_one_number_alone_is_refused(self):
        class One:
            shape = (3, 2)

            def __getitem__(self, row):
                raise TypeError("one number")

        length, take = by_position(One(), "x")
        assert length == 3
        with pytest.raises(DataError, match="that does not take an array of row numbers"):
            take(np.arange(2))

    def test_several_arrays_under_names_are_refused(self):
        class Group:
            def keys(self):
                return ["a"]

            def __len__(self):
                return 1

            def __getitem__(self, rows):
                return np.zeros(len(rows))

        with pytest.raises(DataError, match=r"x is a .*Group of several arrays"):
            by_position(Group(), "x")


@pytest.mark.parametrize(("names", "wanted"), [
    (["a.npy"], "npz"), (["a.csv"], "table"), (["a/b.png"], "images"), (["a/b.txt"], None), ([], None),
    (["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
        "idx"),
    (["train-images-idx3-ubyte", "train-labels-idx1-ubyte"], None),
])  # fmt: skip
def test_the_kind_of_a_folder_follows_from_the_names_in_it(names, wanted, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert kind.kind_of(tmp_path) == wanted


@pytest.mark.parametrize(("name", "wanted"), [
    ("a.h5", "hdf5"), ("a.HDF5", "hdf5"), ("a.zarr", "zarr"), ("a.npz", "npz"), ("a.NPY", "npz"), ("a.csv.gz",
        "table"),
    ("a.txt2", None),
])  # fmt: skip
def test_the_kind_of_a_file_follows_from_its_name(name, wanted, tmp_path):
    assert kind.kind_of(tmp_path / name) == wanted


def test_only_so_many_names_of_a_folder_are_looked_at(tmp_path, monkeypatch):
    for i in range(4):
        (tmp_path / f"{i}.txt2").touch()
    (tmp_path / "sub").mkdir()
    for i in range(3):
        (tmp_path / "sub" / f"{i}.png").touch()
    assert kind.kind_of(tmp_path) == "images"
    monkeypatch.setattr(kind, "LOOKED_AT", 0)
    assert kind.kind_of(tmp_path) is None


def test_a_class_that_would_only_be_tested_is_trained_on():
    y = np.array([0, 0, 1, 2, 2, 1])
    train, held, moved = folds.keep_classes(y, np.array([0, 3]), np.array([1, 2, 4, 5]))
    assert (train.tolist(), held.tolist(), moved) == ([0, 2, 3], [1, 4, 5], ["1"])
    train, held, moved = folds.keep_classes(y, np.array([0, 2, 3]), np.array([1, 4, 5]))
    assert (train.tolist(), held.tolist(), moved) == ([0, 2, 3], [1, 4, 5], [])


def test_a_hash_alone_decides_on_which_side_a_sample_is():
    keys = [str(i) for i in range(400)]
    train, held = folds.hash_split(keys, 0.25)
    digests = [hashlib.blake2b(key.encode(), digest_size=8).digest() for key in keys]
    assert held.tolist() == [i for i, one in enumerate(digests) if int.from_bytes(one, "big") < 2**62]
    assert sorted([*train, *held]) == list(range(400))
    assert [len(folds.hash_split(keys, share)[1]) for share in (0.0, 1.0)] == [0, 400]
    parts = folds.hash_parts(keys, (0.25, 0.5))
    assert set(np.flatnonzero(parts == 1)) == set(held)
    assert abs((parts == 2).sum() - 200) < 60
    assert folds.hash_split(keys, 0.25, "salt")[1].tolist() != held.tolist()
    for share in (-0.1, 1.1):
        with pytest.raises(UsageError, match="wanted a share from 0 to 1"):
            folds.hash_split(keys, share)


def test_the_order_of_chunks_is_drawn_by_the_seed_and_then_the_epoch():
    """As `ChunkOrder(seed, epoch, ...)` draws it: (1, 2) is another order than (2, 1)."""

    class Whole:
        shape, dtype, chunks = (203, 5), np.dtype("f4"), (16, 5)
        __module__ = "h5py.fake"

    made = StoredArray(Whole())
    order = np.asarray(made.order(1, 2, range(203)))
    bounds = np.minimum(np.arange(0, 203 + 16, 16), 203)
    np.testing.assert_array_equal(order, np.asarray(ChunkOrder(1, 2, range(203), bounds, made.window)))
    assert order.tolist() != np.asarray(made.order(2, 1, range(203))).tolist()
    assert sorted(order) == list(range(203))


def test_a_batch_beyond_the_last_sample_is_empty():
    order = ChunkOrder(0, 1, range(10), np.array([0, 4, 8, 10]), 2)
    assert order[10:10].tolist() == []
    assert sorted([*order[0:7], *order[7:20]]) == list(range(10))


PLAIN = [list(map(str, range(64))), ["255"] * 64, ["0"] * 64]


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (PLAIN, (2, True)),
        ([["a", *PLAIN[0][1:]], *PLAIN[1:]], (2, True)),
        ([["255"] * 64, ["0"] * 64], (2, False)),
        ([line[:63] for line in PLAIN], None),
        ([PLAIN[0], PLAIN[1][:63]], None),
        ([PLAIN[0], ["256"] * 64], None),
        ([PLAIN[0], ["007"] * 64], None),  # a code
        ([PLAIN[0], PLAIN[1], ["0"] * 65], None),
        ([["a"] * 2 + PLAIN[0][2:], *PLAIN[1:]], None),  # two columns of one name
        ([["1.5", *PLAIN[0][1:]], *PLAIN[1:]], None),
        ([["", *PLAIN[0][1:]], *PLAIN[1:]], None),
        ([PLAIN[0]], None),
        ([PLAIN[0], PLAIN[1], ["", *PLAIN[2][1:]]], None),
        ([PLAIN[0], ["-1", *PLAIN[1][1:]]], None),
    ],
)
def test_what_is_a_table_of_pixels(lines, wanted, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("".join(",".join(line) + "\n" for line in lines))
    found = read_pixels(TableFile(path, "csv"), "a.csv")
    assert (found and (found.rows, found.headed)) == wanted
    if found:
        assert len(found) == 64
        assert found["63"].data.tolist() == [255, 0]
        assert found.pixels


def test_a_stored_array_says_what_it_is_and_is_cut_by_samples_alone(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = StoredArray(file.create_dataset("x", data=np.zeros((6, 2), "f4"), chunks=(4, 2)))
        assert repr(made) == "<float32 of shape (6, 2), in chunks of 4 samples>"
        with pytest.raises(DataError, match="indexed by samples alone"):
            made[0, 1]


@pytest.mark.parametrize(("name", "content", "error", "message"), [
    ("a.h5", b"no", DataError, "is no HDF5 file"), ("b.h5", None, FileError, "b.h5"),
    ("a.zarr", b"no", FileError, "is no folder"), ("b.zarr", "folder", DataError, "is no group of Zarr"),
])  # fmt: skip
def test_what_is_no_store_is_refused(name, content, error, message, tmp_path):
    pytest.importorskip("h5py" if name.endswith("h5") else "zarr")
    if content == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        xpnn.data.load("hdf5" if name.endswith("h5") else "zarr", tmp_path / name)


@pytest.mark.parametrize(("words", "why"), [
    (29, "numbers, but for 48% such as 'w0'"), (30, "60 different words in 60 rows"),
])  # fmt: skip
def test_numbers_among_which_there_are_words(words, why):
    """Fewer words than numbers are typing errors; as many are words."""
    entries = [f"w{i}" for i in range(words)] + [f"{i}.5" for i in range(60 - words)]
    _, _, preparation = prepare_table({"n": entries, "m": range(60), "label": WORDS})
    (left,) = preparation.left_out
    assert left.why.startswith(why)


@pytest.mark.parametrize(("twice", "embedded"), [(14, False), (15, True)])
def test_words_of_which_half_come_again_are_embedded(twice, embedded):
    entries = [f"w{i}" for i in range(twice)] * 2 + [f"v{i}" for i in range(60 - 2 * twice)]
    _, _, preparation = prepare_table({"w": entries, "m": range(60), "label": WORDS})
    assert ("w" in [column.name for column in preparation.columns]) == embedded


@pytest.mark.parametrize(("count", "one_hot"), [(20, True), (21, False)])
def test_so_many_words_have_a_column_each(count, one_hot):
    _, _, preparation = prepare_table(
        {"w": [f"w{i % count}" for i in range(120)], "m": range(120), "label": WORDS * 2}
    )
    (column,) = [one for one in preparation.columns if one.name == "w"]
    assert (column.embedding == 0) == one_hot
    assert column.embedding in (0, max(2, min(32, round(count**0.5))))


def test_a_first_line_that_could_be_data_names_the_columns_by_the_label(tmp_path):
    """`0` could be a boolean; beside a column called label it is a name, and the booleans stay as they are written."""
    pytest.importorskip("duckdb")
    (tmp_path / "t.csv").write_text("0,label\n" + "true,a\nfalse,b\n" * 5)
    table = read_table(tmp_path / "t.csv")
    assert list(table) == ["0", "label"]
    assert table["0"].words().tolist() == ["true", "false"] * 5


def test_a_pattern_may_reach_into_folders(tmp_path):
    pytest.importorskip("duckdb")
    for name in ("a", "b/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "t.csv").write_text("n,label\n1,x\n2,y\n")
    assert read_table(tmp_path / "**" / "t.csv")["n"].words().tolist() == ["1", "2"] * 2
    assert read_table(tmp_path / "*" / "t.csv")["n"].words().tolist() == ["1", "2"]


def test_pixels_are_looked_for_in_plain_csv_alone(tmp_path):
    path = tmp_path / "a"
    path.write_text("".join(",".join(line) + "\n" for line in PLAIN))
    assert read_pixels(TableFile(path, "json"), "a") is None
    assert read_pixels(TableFile(path, "csv", ".gz"), "a") is None
    assert read_pixels(TableFile(path, "csv"), "a").name == "a"


def test_a_line_of_more_than_a_mebibyte_is_no_row_of_pixels(tmp_path):
    """It is looked at up to there, and what is beyond must not be lost."""
    path = tmp_path / "a.csv"
    path.write_text(("1," * 530_000 + "1\n") * 2)
    assert read_pixels(TableFile(path, "csv"), "a") is None
