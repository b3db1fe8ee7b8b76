"""The parts that tables are made of, each against what it should be in whole: columns, summaries, splits, lines."""

import datetime
import hashlib

import numpy as np
import pytest

from xpnn.data import prepare_table, read_csv, read_table
from xpnn.data.tables import stored as stored_tables
from xpnn.data.tables.columns import CategoryColumn, DateColumn, NumberColumn
from xpnn.data.tables.database import connect, identifier, literal
from xpnn.data.tables.dataset import shares_of, table_dataset, whole_table
from xpnn.data.tables.dialect import Query
from xpnn.data.tables.duckdb_files import check_weight
from xpnn.data.tables.feature_scale import feature_scale, meanings, unscaled
from xpnn.data.tables.files import TableFile
from xpnn.data.tables.fitting import check_typos, fit_column, fit_preparation
from xpnn.data.tables.frames import check_once, from_memory, index_note, is_frame
from xpnn.data.tables.preparation import LeftOut, TablePreparation, narrow
from xpnn.data.tables.row_split import RowSplit, all_rows, keep_classes, row_keys, split_by_hash
from xpnn.data.tables.samples import check_room, take_samples
from xpnn.data.tables.stored import stored
from xpnn.data.tables.summary import Summary, median_line, median_share, summarize
from xpnn.data.tables.table import Table, as_values, from_list, make_table, numbered_columns, tidy
from xpnn.data.tables.values import Values
from xpnn.errors import DataError, FileError, UsageError
from xpnn.random import host_rng
from xpnn.temporary_files import is_mapped


def values(name, entries, kind=object, missing=(), first=1):
    data = np.array(entries, kind)
    return Values(name, data, np.isin(np.arange(len(data)), missing), first)


NUMBERS = NumberColumn("n", 3.0, 2.0, 4.0)
WORDS = CategoryColumn("w", ("a", "c"))
DATES = DateColumn("d", ("day", "month"), (10.0, 2.0), (4.0, 0.5))


@pytest.mark.parametrize(("column", "given", "names", "wanted"), [
    (NUMBERS, values("n", [1.0, 5.0, 9.0], float, [2]), ["n"], [[-1], [1], [0.5]]),
    (NumberColumn("n", 3.0, 2.0, 4.0, indicator=True), values("n", [1.0, 5.0, 9.0], float, [2]), ["n", "n missing"],
        [[-1, 0], [1, 0], [0.5, 1]]),
    (WORDS, values("w", ["c", "b", "a", ""], missing=[3]), ["w=a", "w=c"], [[0, 1], [0, 0], [1, 0], [0, 0]]),
    (CategoryColumn("w", ("a", "c"), 0, indicator=True), values("w", ["c", "b", "a", ""], missing=[3]),
        ["w=a", "w=c", "w missing"], [[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]]),
    (CategoryColumn("w", ("a", "c"), 3), values("w", ["c", "b", "a", ""], missing=[3]), ["w"], [[2], [0], [1], [0]]),
    (CategoryColumn("w", ("false", "true")), values("w", [True, False], bool), ["w=false", "w=true"], [[0, 1], [1, 0]]),
    (DATES, values("d", ["2024-03-02", "2024-02-18", "NaT"], "M8[D]", [2]), ["d day", "d month"],
        [[-2, 2], [2, 0], [0, 0]]),
    (DateColumn("d", ("day",), (10.0,), (4.0,), indicator=True), values("d", ["2024-03-02", "NaT"], "M8[D]", [1]),
        ["d day", "d missing"], [[-2, 0], [0, 1]]),
])  # fmt: skip
def test_the_features_of_a_column(column, given, names, wanted):
    found = column.encode(given)
    assert (found.dtype, found.tolist()) == (np.float64, wanted)
    assert list(column.features()) == names


def test_values_that_training_has_not_seen():
    assert WORDS.unknown(values("w", ["z", "b", "a", "z", ""], missing=[4])) == ["b", "z"]
    assert WORDS.ids(values("w", ["c", "x", "a"])).tolist() == [2, 0, 1]
    assert CategoryColumn("w", ("false", "true")).unknown(values("w", [True, False], bool)) == []
    for bad in ({"values": ()}, {"values": ("a",), "width": -1}, {"values": ("a",), "width": 1025}):
        with pytest.raises(UsageError, match="wanted at least one value, and a width of 0 to 1024"):
            CategoryColumn("w", **bad)
    assert CategoryColumn("w", ("a",), 1024).embedding == 1024


def test_a_summary_of_pieces():
    """Rows of which some are trained on; the first missing one by its number in the file."""
    found = Summary("n", different=set())
    found.add(values("n", [3.0, 5.0, 4.0, 8.0], float, [1], 1), np.array([True, True, True, False]))
    found.add(values("n", [6.0, 2.5], float, [0], 5), np.array([False, True]))
    about = {name: getattr(found, name) for name in ("kind", "rows", "missing", "first_missing", "train")}
    assert about == {"kind": "numbers", "rows": 6, "missing": 2, "first_missing": 2, "train": 4}
    assert (found.train_missing, found.first, found.constant, found.whole) == (1, "3", False, False)
    assert (found.numbers.n, found.numbers.low, found.numbers.high) == (3, 2.5, 4.0)
    assert (found.different, found.median(), found.how_many()) == ({3.0, 4.0, 2.5}, 3.0, "3")
    assert not found.all_different()


def test_a_summary_of_words():
    found = Summary("w")
    found.add(values("w", ["", ""], missing=[0, 1]))
    assert (found.kind, found.first_missing, found.constant, found.whole) == ("words", 1, True, True)
    found.add(values("w", ["7", "x", "7", "y"], first=3))
    assert dict(found.words) == {"7": 2, "x": 1, "y": 1}
    assert dict(found.typing_errors) == {True: 2, False: 2}
    assert "row 4: 'x'" in str(found.no_number)
    assert (found.first, found.first_missing, found.constant, found.whole) == ("7", 1, False, True)
    booleans = Summary("b")
    booleans.add(values("b", [True, True], bool))
    assert (dict(booleans.words), booleans.constant, booleans.whole) == ({"True": 2}, True, False)


def test_a_column_without_entries_has_the_kind_of_the_first_piece_that_has_some():
    found = Summary("c")
    for piece in (
        values("c", ["", ""], missing=[0, 1]),
        values("c", [1.0], float),
        values("c", [""], missing=[0]),
    ):
        found.add(piece)
    assert (found.kind, found.rows, found.missing, found.train) == ("numbers", 4, 3, 4)


@pytest.mark.parametrize(("name", "entries", "index"), [
    ("", [0, 2, 1], True), ("column0", [5, 7, 6], True), ("", [0, 1, 1], False), ("", [0.5, 1, 2], False),
    ("n", [0, 1, 2], False), ("", ["a", "b", "c"], False), ("", [0, np.nan, 2], False),
])  # fmt: skip
def test_which_columns_are_an_index(name, entries, index):
    found = summarize(make_table("t", {name: as_values(name, entries)}), name)
    assert found.is_index() is index
    assert (fit_column(found) == LeftOut(name, "it numbers the rows")) is index


@pytest.mark.parametrize(
    ("numbers", "words", "wrong"), [(19, 1, True), (18, 1, False), (0, 3, False), (5, 0, False)]
)
def test_a_word_in_twenty_numbers_is_a_typing_error(numbers, words, wrong):
    found = Summary("c")
    found.add(values("c", [*map(str, range(numbers)), *["one"] * words]))
    if wrong:
        with pytest.raises(DataError, match="row 20: 'one'"):
            check_typos(found)
    else:
        check_typos(found)


def test_medians_of_many_rows_are_those_of_a_part():
    """About so many rows; a table in memory has them all."""
    table = make_table("t", {"n": as_values("n", [1.0, 2.0])})
    assert (median_share(table), median_line(table)) == (1.0, [])
    found = Summary("n", share=0.25)
    found.add(values("n", np.arange(4000.0), float))
    drawn = host_rng(0, "median", 4000).random(4000) < 0.25
    assert np.array_equal(found.kept[0], np.flatnonzero(drawn))
    assert found.numbers.n == 4000


PARTS = np.random.default_rng(0).choice(3, 37)


def split_of(parts, count=2):
    return RowSplit(len(parts), tuple(np.packbits(parts == k + 1) for k in range(count)))


@pytest.mark.parametrize(
    ("start", "stop"), [(0, None), (0, 37), (8, 24), (16, 37), (32, 40), (24, 25), (8, 8)]
)
def test_which_rows_belong_to_a_part(start, stop):
    split = split_of(PARTS)
    for part in range(3):
        assert split.mask(part, start, stop).tolist() == (PARTS[start:stop] == part).tolist()
        assert split.count(part) == (part == PARTS).sum()


def test_rows_are_moved_back_to_training():
    rows = [int(np.flatnonzero(PARTS == 1)[0]), int(np.flatnonzero(PARTS == 2)[-1]), 0, 36]
    split = split_of(PARTS)
    moved = split.moved(rows)
    wanted = PARTS.copy()
    wanted[rows] = 0
    for part in range(3):
        assert moved.mask(part).tolist() == (wanted == part).tolist()
        assert split.mask(part).tolist() == (part == PARTS).tolist()


def test_all_rows_belong_to_one_part():
    table = make_table("t", {"n": as_values("n", list(range(11)))})
    assert [all_rows(table, 0).count(part) for part in (0,)] == [11]
    assert [all_rows(table, 1).count(part) for part in (0, 1)] == [0, 11]
    assert all_rows(table, 1).mask(1).all()
    assert all_rows(table, 0).mask(0).tolist() == [True] * 11
    assert all_rows(table, 0).mask(0, 8, 20).tolist() == [True] * 3


MIXED = from_memory(
    {"n": [1.5, -2.0, 3.0], "b": [True, False, True], "w": ["x", "y", None], "label": [0, 1, 0]}
)


def test_the_key_of_a_row(monkeypatch):
    """Its numbers in 8 bytes each, then its words; the label is left out."""
    numbers = np.array([[1.5, 1], [-2, 0], [3, 1]], "<f8")
    wanted = [row.tobytes() + word for row, word in zip(numbers, (b"x", b"y", b""), strict=True)]
    assert list(row_keys(MIXED, "label", MIXED)) == wanted
    assert list(row_keys(MIXED, "label", MIXED, 8)) == [
        key + b"\0%d" % (8 + i) for i, key in enumerate(wanted)
    ]
    monkeypatch.setattr("xpnn.data.tables.row_split.FEW", 2)
    assert list(row_keys(MIXED, "label", MIXED, 8)) == [
        key + b"\0%d" % (8 + i) for i, key in enumerate(wanted)
    ]
    words = from_memory({"v": ["p", "q"], "w": ["r", "s"], "label": [0, 1]})
    assert list(row_keys(words, "label", words)) == [b"p\0r", b"q\0s"]
    alone = from_memory({"n": [1, 2], "label": [0, 1]})
    assert list(row_keys(alone, "label", alone)) == [np.float64(n).tobytes() for n in (1, 2)]


@pytest.mark.parametrize("numbered", [False, True])
def test_a_hash_of_each_row_decides(numbered):
    table = from_memory({"n": [i % 40 for i in range(120)], "label": [0, 1] * 60})
    shares = (0.2, 0.1)
    found = split_by_hash(table, "label", shares, numbered=numbered)
    for i in range(120):
        key = np.float64(i % 40).tobytes() + (b"\0%d" % i if numbered else b"")
        at = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64
        part = 1 if at < 0.2 else 2 if at < 0.2 + 0.1 else 0
        assert found.mask(part)[i]
    assert found.rows == 120


def test_the_first_row_of_a_class_is_trained_on():
    table = from_memory({"n": list(range(6)), "label": ["a", "b", "b", "a", "c", "c"]})
    split = split_of(np.array([0, 1, 1, 1, 2, 1]))
    found, moved = keep_classes(table, "label", split)
    assert moved == ["b", "c"]
    assert found.mask(0).tolist() == [True, True, False, False, True, False]
    same, moved = keep_classes(table, "label", split_of(np.array([0, 0, 1, 1, 0, 1])))
    assert moved == []
    assert same.mask(0).tolist() == [True, True, False, False, True, False]


def test_samples_of_each_part_in_their_order():
    table = from_memory({"n": [1.0, 5.0, 3.0, 7.0], "w": ["a", "c", "z", "a"], "y": [2.0, 4.0, 6.0, 8.0]})
    preparation = TablePreparation("y", "regression", (), (NUMBERS, WORDS), label_mean=4.0, label_std=2.0)
    x, y = take_samples(table, preparation, split_of(np.array([0, 1, 0, 1]), 1))
    assert [one.tolist() for one in x] == [[[-1, 1, 0], [0, 0, 0]], [[1, 0, 1], [2, 1, 0]]]
    assert [one.tolist() for one in y] == [[-1, 1], [0, 2]]
    assert x[0].dtype == np.float32
    assert preparation.samples(table, "float64").dtype == np.float64


EMBEDDED = TablePreparation(
    "y",
    "classification",
    ("no", "yes"),
    (CategoryColumn("v", ("p", "q"), 2), NUMBERS, WORDS),
    (LeftOut("l", "?"),),
)


def test_ids_come_beside_the_matrix():
    table = from_memory({"w": ["a", "b"], "n": [5, 7], "v": ["q", "z"], "y": ["yes", "no"]})
    matrix, ids = EMBEDDED.samples(table)
    assert matrix.tolist() == [[1, 1, 0], [2, 0, 0]]
    assert (ids.dtype, ids.tolist()) == (np.int64, [2, 0])
    assert EMBEDDED.input_shape == ((3,), ())
    assert (EMBEDDED.features, EMBEDDED.outputs, EMBEDDED.class_names) == (
        ("n", "w=a", "w=c"),
        2,
        ("no", "yes"),
    )
    assert EMBEDDED.targets(table["y"]).tolist() == [1, 0]
    assert EMBEDDED.answers(np.array([1, 1, 0])).tolist() == ["yes", "yes", "no"]
    assert EMBEDDED.remarks(table) == [
        "'v': value 'z' not seen in training",
        "'w': value 'b' not seen in training",
    ]


def test_what_is_said_of_a_table_before_it_is_scored():
    table = from_memory(
        {"w": ["a", "b", "e"], "n": [5, None, None], "v": ["q", "p", "q"], "l": [1, 2, 3], "k": [0] * 3}
    )
    assert EMBEDDED.remarks(table) == [
        "'k' is not a column of the training table, and is left out",
        "'n': 2 missing, filled with the training median 4",
        "'w': values 'b', 'e' not seen in training",
    ]


@pytest.mark.parametrize(("names", "what", "fix"), [
    (["n", "w"], "the table has no column 'v'", "columns are matched by name, in any order; the table has 'n', 'w'"),
    (["w"], "the table has no columns 'v', 'n'", "columns are matched by name, in any order; the table has 'w'"),
    ([], "the table has no columns 'v', 'n', 'w'", "columns are matched by name, in any order; the table has none"),
])  # fmt: skip
def test_columns_that_a_table_lacks(names, what, fix):
    with pytest.raises(DataError) as caught:
        EMBEDDED.check_columns(names)
    error = caught.value
    assert (error.what, error.why, error.fix) == (what, "the model was trained on 'v', 'n', 'w'", fix)


def test_labels_that_a_model_does_not_know():
    with pytest.raises(DataError) as caught:
        EMBEDDED.targets(values("y", ["no", "perhaps", "never", "never"]))
    assert caught.value.what == "column 'y' holds classes 'never', 'perhaps', in 3 of 4 rows"
    with pytest.raises(DataError) as caught:
        EMBEDDED.targets(values("y", ["no", "", "yes", ""], missing=[1, 3]))
    assert caught.value.what == "column 'y' has no label in 2 of 4 rows, first in row 2"


def test_numbers_that_are_too_large_for_the_dtype():
    assert narrow(np.array([3e38, -3e38]), "float32", "n").dtype == np.float32
    with pytest.raises(DataError, match="column 'n' holds numbers that are, scaled, too large for float32"):
        narrow(np.array([1.0, 4e38]), "float32", "n")


def test_scaling_apart_from_the_columns():
    """0 and 1 for what is no number of the table; an embedding has no feature."""
    columns = (
        CategoryColumn("v", ("p",), 2),
        NumberColumn("n", 3.0, 2.0, 4.0, True),
        WORDS,
        DATES,
        NumberColumn("k", 5.0, 4.0, 0.0),
    )
    made = TablePreparation("y", "regression", (), columns, label_mean=7.0, label_std=5.0)
    mean, std = feature_scale(made)
    assert mean.tolist() == [3, 0, 0, 0, 0, 0, 5]
    assert std.tolist() == [2, 1, 1, 1, 1, 1, 4]
    plain = unscaled(made)
    assert (plain.label_mean, plain.label_std) == (0.0, 1.0)
    assert plain.columns == (
        columns[0], NumberColumn("n", 0.0, 1.0, 4.0, True), WORDS, DATES, NumberColumn("k", 0.0, 1.0, 0.0),
    )  # fmt: skip
    dates = "(d day - 10) over 4, (d month - 2) over 0.5"
    assert meanings(made, scaled=True) == [
        f"(n - 3) over 2, n missing, w=a, w=c, {dates}, (k - 5) over 4", "v: 0 any other, 1 p",
    ]  # fmt: skip
    assert meanings(made, scaled=False)[0] == f"n, n missing, w=a, w=c, {dates}, k"


@pytest.mark.parametrize(("entries", "kind", "data", "missing"), [
    ([1, 2], "i", [1, 2], []), ([2**63 - 1], "i", [2**63 - 1], []), ([2**63], "f", [2.0**63], []),
    ([-(2**63)], "f", [-(2.0**63)], []), ([1, None], "f", [1, None], [1]), ([1, 2.5], "f", [1, 2.5], []),
    ([1.0, np.nan], "f", [1, None], [1]), ([True, False], "b", [True, False], []),
    ([True, None], "b", [True, False], [1]),
    (["a", None], "O", ["a", ""], [1]), (["a", 3], "O", ["a", "3"], []), ([True, 2], "f", [1, 2], []),
    ([datetime.timedelta(minutes=2), None], "f", [120, None], [1]), ([None, None], "O", ["", ""], [0, 1]),
    ([datetime.date(2024, 5, 31), None], "M", [datetime.datetime(2024, 5, 31), None], [1]),
    ([datetime.time(9, 30), None], "M", [datetime.datetime(1970, 1, 1, 9, 30), None], [1]),
])  # fmt: skip
def test_a_list_is_a_column_of_one_kind(entries, kind, data, missing):
    found = as_values("c", entries)
    there = ~found.missing
    assert (found.data.dtype.kind, np.flatnonzero(found.missing).tolist()) == (kind, missing)
    if kind in "bO":
        assert found.data.tolist() == data
    else:
        assert found.data[there].tolist() == [one for one in data if one is not None]


@pytest.mark.parametrize(("array", "kind", "data", "missing"), [
    (np.array([1, 2], "u1"), "u", [1, 2], []), (np.array([1.5, np.nan]), "f", [1.5], [1]),
    (np.array(["2024-05-31", "NaT"], "M8[D]"), "M", [datetime.date(2024, 5, 31)], [1]),
    (np.array([90, 30], "m8[s]"), "f", [90, 30], []), (np.array([b"a", b"bc"]), "O", ["a", "bc"], []),
    (np.array(["a", "bc"]), "O", ["a", "bc"], []), (np.ma.array([1, 2, 3], mask=[0, 1, 0]), "i", [1, 3], [1]),
    (np.ma.array([1.0, 2.0, np.nan], mask=[1, 0, 0]), "f", [2], [0, 2]),
])  # fmt: skip
def test_an_array_is_a_column(array, kind, data, missing):
    found = as_values("c", array, first=4)
    assert (found.data.dtype.kind, np.flatnonzero(found.missing).tolist()) == (kind, missing)
    assert found.data[~found.missing].tolist() == data
    assert (found.name, found.first, found.row(2)) == ("c", 4, 6)
    also = as_values("c", array, [True, *[False] * (len(array) - 1)])
    assert np.flatnonzero(also.missing).tolist() == sorted({0, *missing})


@pytest.mark.parametrize(("array", "words"), [
    (np.zeros((2, 3, 1)), r"column 'c' holds arrays of shape \(3, 1\)"), (np.zeros(2, complex), "holds complex128"),
    ([b"x", b"y"], "holds bytes"), ([{}, {}], "holds objects"), ([[1], (2,)], "holds lists"),
    ([{1}, None], "holds lists"), (from_list("c", [np.zeros(2), "a"]), "holds lists"),
])  # fmt: skip
def test_arrays_that_are_no_column_are_refused(array, words):
    with pytest.raises(DataError, match=words):
        as_values("c", array)


@pytest.mark.parametrize(("words", "kind", "wanted"), [
    ([" 1 ", "2.5"], "numbers", ["1", "2.5"]), (["1", "NA", "null"], "numbers", ["1", "", ""]),
    (["1", " x"], "words", ["1", "x"]), (["01", "2"], "words", ["01", "2"]), (["0", "0.5"], "numbers", ["0", "0.5"]),
    (["", "?"], "words", ["", ""]), (["1_0", "2"], "words", ["1_0", "2"]), (["00", "1"], "words", ["00", "1"]),
])  # fmt: skip
def test_words_are_tidied(words, kind, wanted):
    found = tidy(values("c", words, first=3))
    assert (found.kind, found.words().tolist(), found.first, found.name) == (kind, wanted, 3, "c")
    assert found.missing.tolist() == [not word for word in wanted]
    numbers = values("c", [1.0], float)
    assert tidy(numbers) is numbers


def test_a_table_of_columns():
    a, b = as_values("a", [" x", "y"]), as_values("b", [1, 2])
    table = make_table("t", {"a": a, "b": b}, ("a",), ("note",))
    assert (table.rows, len(table), list(table), table.kinds) == (
        2,
        2,
        ["a", "b"],
        {"a": "words", "b": "numbers"},
    )
    assert table["a"].words().tolist() == [" x", "y"]
    assert make_table("t", {"a": a})["a"].words().tolist() == ["x", "y"]
    assert (table.notes, table.headed, table.pixels, table.dates) == (("note",), True, False, "")
    full = Table("t", table.columns, False, ("n",), True, "%d")
    part = full.part(slice(1, 2))
    assert (part.name, part.headed, part.notes, part.pixels, part.dates, part.rows) == (
        "t",
        False,
        ("n",),
        True,
        "%d",
        1,
    )
    assert list(full.parts()) == [(0, full)]
    assert Table("t", {}).rows == 0
    assert [(key, one.name) for key, one in numbered_columns({"a": a, "b": b}).items()] == [
        ("0", "0"),
        ("1", "1"),
    ]
    with pytest.raises(DataError, match="t holds no rows"):
        make_table("t", {})
    with pytest.raises(DataError, match=r"t has columns of different lengths: \[1, 2\]"):
        make_table("t", {"a": a, "b": as_values("b", [1])})


class Marked(dict):
    """A table in a dict, with attributes of other libraries."""

    def __init__(self, *names):
        super().__init__(a=[1, 2])
        for name in names:
            setattr(self, name, list)


@pytest.mark.parametrize("names", ["tocsr nnz", "collect collect_schema", "compute npartitions"])
def test_a_library_is_known_by_two_of_its_names(names):
    """One of them alone says nothing."""
    with pytest.raises(DataError, match=r"sparse matrix|has not run|has not been computed"):
        from_memory(Marked(*names.split()))
    for name in names.split():
        assert from_memory(Marked(name))["a"].data.tolist() == [1, 2]


@pytest.mark.parametrize("names", [["column_names"], ["column"], ["is_null"], ["to_list"], ["get_column"]])
def test_an_object_with_half_of_a_table_interface_is_refused(names):
    made = type("Odd", (), dict.fromkeys(names, ()))()
    with pytest.raises(DataError, match="the table is of type Odd"):
        from_memory(made)


@pytest.mark.parametrize(("data", "frame"), [
    ({"a": [1]}, True), ([{"a": 1}, {"a": 2}], True), ([{"a": 1}, 3], False), ([], False), ("ab", False),
    (b"ab", False),
    (np.zeros((2, 2)), False), ([[1, 2]], False), (Table("t", {}), True), (type("A", (), {"columns": ()})(), True),
    (type("A", (), {"column_names": ()})(), True), (({"a": 1},), True),
])  # fmt: skip
def test_what_names_its_columns(data, frame):
    assert is_frame(data) is frame


def test_rows_of_dicts_and_arrays():
    table = from_memory([{"a": 1, 2: "x"}, {2: "y", "c": 3.5}])
    assert {key: one.words().tolist() for key, one in table.items()} == {
        "a": ["1", ""],
        "2": ["x", "y"],
        "c": ["", "3.5"],
    }
    table = from_memory(np.array([[1, 2, 3], [4, 5, 6]]))
    assert {key: one.data.tolist() for key, one in table.items()} == {"0": [1, 4], "1": [2, 5], "2": [3, 6]}
    for bad in (np.zeros(3), np.zeros((1, 2, 3)), 7, [1, 2]):
        with pytest.raises(DataError, match="the table is of type"):
            from_memory(bad)
    assert from_memory(table) is table
    assert index_note({"a": [1]}) == ()


@pytest.mark.parametrize(("value", "sql"), [
    (3, "3"), (True, "True"), ("it's", "'it''s'"), (["a", 2], "['a', 2]"), ([], "[]"), ('"', "'\"'"),
])  # fmt: skip
def test_values_as_sql(value, sql):
    assert literal(value) == sql
    assert identifier('a "b"') == '"a ""b"""'


def test_a_database_is_bounded_and_locked(tmp_path):
    pytest.importorskip("duckdb")
    names = (
        "threads",
        "allow_community_extensions",
        "autoload_known_extensions",
        "autoinstall_known_extensions",
    )
    query = "SELECT value FROM duckdb_settings() WHERE name = ?"
    for file, place in ((None, ""), (tmp_path / "t.duckdb", str(tmp_path))):
        db = connect(["a"], file)
        found = [
            db.execute(query, [name]).fetchone()[0]
            for name in (*names, "temp_directory", "lock_configuration")
        ]
        assert found == ["2", "false", "false", "false", place, "true"]
        assert db.execute(query, ["memory_limit"]).fetchone()[0] == "476.8 MiB"
        assert "a" in db.execute(query, ["allowed_paths"]).fetchone()[0]
        assert db.execute(query, ["enable_external_access"]).fetchone()[0] == "false"
        db.close()


def test_a_table_on_the_disk_is_read_by_parts(tmp_path, monkeypatch):
    pytest.importorskip("duckdb")
    path = tmp_path / "t.csv"
    lines = [f"{i},{['ab', 'cd'][i % 2]},{'' if i == 3 else i / 2}" for i in range(7)]
    path.write_text("n,w,m\n" + "\n".join(lines) + "\n")
    table = stored([str(path)], "t", Query("SELECT * FROM read_csv(?)", notes=("first",)))
    monkeypatch.setattr(stored_tables, "MANY", 4)
    monkeypatch.setattr(stored_tables, "FEW", 2)
    assert (table.rows, len(table), list(table)) == (7, 3, ["n", "w", "m"])
    assert table.kinds == {"n": "numbers", "w": "words", "m": "numbers"}
    assert [(one.first, one.words().tolist()) for one in table.pieces("n")] == [
        (1, ["0", "1", "2", "3"]), (5, ["4", "5", "6"]),
    ]  # fmt: skip
    assert [(start, part["m"].words().tolist()) for start, part in table.parts()] == [
        (0, ["0", "0.5"]), (2, ["1", ""]), (4, ["2", "2.5"]), (6, ["3"]),
    ]  # fmt: skip
    assert table["w"].data.tolist() == ["ab", "cd"] * 3 + ["ab"]
    assert len({id(word) for word in table["w"].data}) == 2
    assert table.part(slice(2, 100))["n"].data.tolist() == [2, 3, 4, 5, 6]
    assert table.notes[0] == "first"
    assert table.notes[1].startswith("t is large, and kept in ")
    whole = read_table(path)
    assert [summarize(table, name).median() for name in ("n", "m")] == [
        summarize(whole, name).median() for name in ("n", "m")
    ]
    assert median_share(table) == 1.0
    monkeypatch.setattr("xpnn.data.tables.summary.SAMPLE", 2)
    assert median_share(table) == pytest.approx(2 / 7)
    assert median_line(table) == ["medians are those of about 2 rows, drawn at random"]
    assert shares_of(whole) == (0.2,)
    assert shares_of(table) == (0.2, 0.08)
    monkeypatch.setattr("xpnn.data.tables.dataset.KEPT", 1.1)
    assert shares_of(table) == pytest.approx((1 / 7, 0.08))
    monkeypatch.setattr("xpnn.data.tables.dataset.KEPT", 0.11)
    assert shares_of(table) == pytest.approx((1 / 70, 1 / 70))


@pytest.mark.parametrize(("over", "refused"), [(0, False), (1, True)])
def test_a_table_may_be_so_much_larger_than_its_file(over, refused, tmp_path):
    """256 MiB and 200 bytes for each byte of the files."""
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes(b"1234567")
    files = [TableFile(tmp_path / name, "csv") for name in ("a.csv", "b.csv")]
    wanted = (1 << 28) + 200 * 14 + over
    if not refused:
        check_weight(wanted, "t", files)
        return
    with pytest.raises(DataError, match=rf"t would take {wanted:,} bytes, from files of 14"):
        check_weight(wanted, "t", files)


N = 60
EVERYTHING = {
    "age": [float(i) for i in range(N)], "gap": [None if i % 4 == 0 else float(i % 5) for i in range(N)],
    "sex": ["f", "m"] * (N // 2), "town": [f"t{i % 25}" for i in range(N)], "same": [7] * N, "also": [7] * N,
    "day": [datetime.date(2024, 1, 1 + i % 28) for i in range(N)], "Name": [f"n{i}" for i in range(N)],
    "label": ["no", "yes", "yes"] * (N // 3),
}  # fmt: skip
LINES = [
    "label 'label' (by its name): classification (words), classes 'no', 'yes'",
    "one-hot: 'sex'",
    "embedded: 'town' (25 values); values seen once or never share one row",
    "dates split into parts: 'day' (day, weekday)",
    "missing numbers filled with the median, and marked: 'gap' (2)",
    "left out: 'same', 'also': constant: 7 in every row",
    "left out: 'Name': 60 different words in 60 rows: names or free text",
]


def test_everything_that_became_of_a_table_is_said(capsys):
    prepare_table(EVERYTHING)
    assert capsys.readouterr().err.splitlines() == LINES
    prepare_table({"age": EVERYTHING["age"], "label": [i / 4 for i in range(N)]}, "label", "regression")
    assert capsys.readouterr().err.splitlines() == [
        "label 'label' (--label): regression (as asked for), from 0 to 14.75"
    ]


def test_a_dataset_says_what_was_held_out():
    data = table_dataset("table", EVERYTHING)
    assert data.notes[0] == LINES[0]
    assert data.held_out
    assert data.note.endswith(", a fifth held out by hash")
    assert len(data.y) + len(data.y_test) == N
    assert 4 <= len(data.y_test) <= 22
    assert data.validation is None
    whole = whole_table(EVERYTHING, data.preparation)
    assert (len(whole.y), len(whole.y_test)) == (0, N)
    assert whole.notes[-1].startswith("all 60 rows of ")
    assert whole.y_test.tolist() == [0, 1, 1] * (N // 3)


@pytest.mark.parametrize(("label", "task", "fine"), [
    (None, None, True), ("label", None, True), ("label", "classification", True), (8, None, True), ("sex", None, False),
    (None, "regression", False), ("label", "regression", False),
])  # fmt: skip
def test_a_model_goes_on_with_its_own_label(label, task, fine):
    known = table_dataset("table", EVERYTHING).preparation
    if fine:
        data = table_dataset("table", EVERYTHING, label, task, known)
        assert data.preparation is known
        assert data.notes[0] == LINES[0].replace("by its name", "as in the model").replace(
            "(words)", "(as in the model)"
        )
        return
    with pytest.raises(UsageError, match=r"the model's label is 'label' \(classification\), asked for is"):
        table_dataset("table", EVERYTHING, label, task, known)


def test_a_model_with_a_new_head_keeps_its_columns():
    known = table_dataset("table", EVERYTHING).preparation
    data = table_dataset("table", EVERYTHING, "age", "regression", known, relabel=True)
    assert data.preparation.columns == known.columns
    assert (data.preparation.label, data.preparation.task, data.preparation.classes) == (
        "age",
        "regression",
        (),
    )
    split = split_by_hash(from_memory(EVERYTHING), "age", (0.2,))
    ages = np.arange(60.0)[split.mask(0)]
    assert data.preparation.label_mean == pytest.approx(ages.mean())
    assert data.preparation.label_std == pytest.approx(ages.std())


def test_columns_are_measured_on_the_rows_that_are_trained_on():
    table = from_memory({"n": [1.0, 2.0, 3.0, 90.0], "m": [5.0, 5.0, 5.0, 6.0], "y": [1.0, 2.0, 6.0, 70.0]})
    split = split_of(np.array([0, 0, 0, 1]), 1)
    made = fit_preparation(table, summarize(table, "y", different=True), "regression", split)
    (n,) = made.columns
    assert (n.name, n.mean, n.std, n.fill, n.indicator) == (
        "n",
        2.0,
        pytest.approx((2 / 3) ** 0.5),
        2.0,
        False,
    )
    assert made.left_out == (LeftOut("m", "constant: 5 in every row"),)
    assert (made.label_mean, made.label_std) == (3.0, pytest.approx((14 / 3) ** 0.5))
    everything = fit_preparation(table, summarize(table, "y", different=True), "regression")
    assert [one.name for one in everything.columns] == ["n", "m"]
    with pytest.raises(DataError, match="leaves no column to learn from"):
        fit_preparation(table.part([0, 0]), summarize(table, "y"), "regression")


@pytest.mark.parametrize(("text", "lines", "x"), [
    (",a,kind\n0,1.5,u\n1,2.5,v\n2,3.5,u\n", [
        "label 'kind' (the last column): classification (words)", "left out: '': it numbers the rows",
    ], [[1.5], [2.5], [3.5]]),
    ("a,y\n1,0.5\n2,1.5\n3,2.25\n", ["label 'y' (by its name): regression (real numbers)"], [[1], [2], [3]]),
])  # fmt: skip
def test_a_file_of_numbers_as_arrays(text, lines, x, tmp_path, capsys):
    pytest.importorskip("duckdb")
    (tmp_path / "t.csv").write_text(text)
    found, *_ = read_csv(tmp_path / "t.csv")
    printed = capsys.readouterr().err.replace("'column0'", "''").splitlines()
    assert (found.tolist(), found.dtype, printed) == (x, np.float64, lines)


def test_a_missing_label_is_named_with_what_may_be_done():
    table = {"n": [1, 2, 3, 4], "label": ["a", None, "b", None]}
    known = table_dataset("table", EVERYTHING).preparation
    for given in ((), (None, None, known), (None, None, known, True)):
        with pytest.raises(DataError) as caught:
            table_dataset("table", EVERYTHING | {"label": [None, *EVERYTHING["label"][1:]]}, *given)
        assert caught.value.what == "column 'label' has no label in 1 of 60 rows, first in row 1"
        assert caught.value.fix == "fill them, leave those rows out, or name another column with --label"
    with pytest.raises(DataError) as caught:
        prepare_table(table)
    assert caught.value.fix == "fill them, or leave those rows out"
    with pytest.raises(DataError, match="column 'label' has no label in 2 of 4 rows, first in row 2"):
        whole_table(table, known)
    with pytest.raises(DataError) as caught:
        whole_table({"n": [1], "m": [2]}, known)
    assert caught.value.what == "the table has no column 'label', the label of the model"
    assert caught.value.why == "it has 'n', 'm'"


FEW = "few rows differ: equal rows are held out one by one, and may be in both parts"


@pytest.mark.parametrize(("columns", "classes", "notes", "held"), [
    ({"n": [1.0, 2.0] * 20}, "ab", [FEW], 7),
    ({"n": [1.0] * 40, "m": [1.0] * 39 + [2.0]}, "ab", ["left out: 'n': constant: 1 in every row", FEW], 10),
    ({"n": list(range(60))}, [f"k{i}" for i in range(30)], ["class 'k25': all were held out, so one is trained on"], 6),
])  # fmt: skip
def test_what_is_said_of_rows_that_are_held_out(columns, classes, notes, held):
    """Equal rows stay together, unless nothing would be left on one side; of each class a row is trained on."""
    rows = len(columns["n"])
    data = table_dataset("table", columns | {"label": list(classes) * (rows // len(classes))})
    assert list(data.notes[1:]) == notes
    assert (len(data.y), len(data.y_test)) == (rows - held, held)
    assert set(data.y.tolist()) == set(range(len(classes)))


def test_a_table_on_the_disk_has_a_part_to_choose_the_best_epoch_by(tmp_path, monkeypatch):
    pytest.importorskip("duckdb")
    monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
    path = tmp_path / "t.csv"
    path.write_text("n,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(200)))
    data = table_dataset("table", path)
    assert data.note == f"{path}, 20 % for the test, 8 % to choose the best epoch by, held out by hash"
    x, y = data.validation
    assert len(data.y) + len(data.y_test) + len(y) == 200
    assert (len(data.x), len(data.x_test), len(x)) == (len(data.y), len(data.y_test), len(y))
    assert len(y) < len(data.y_test) < len(data.y)


def test_labels_that_are_names_are_refused_before_rows_are_split():
    with pytest.raises(DataError, match="25 different labels in 25 rows") as caught:
        table_dataset("table", {"n": range(25), "label": [f"w{i}" for i in range(25)]})
    assert caught.value.why == "they are names or free text, not classes"
    numbers = [float(i) for i in range(1200)]
    assert table_dataset("table", {"n": numbers, "label": numbers}).classes == ()


@pytest.mark.parametrize(("make", "kind", "words"), [
    (lambda pd: pd.Series([1, None], dtype="Int64"), "numbers", ["1", ""]),
    (lambda pd: pd.Series([2**53 + 1, 7]), "numbers", [str(2**53 + 1), "7"]),
    (lambda pd: pd.Series([True, None], dtype="boolean"), "booleans", ["True", ""]),
    (lambda pd: pd.Series(["x", None]), "words", ["x", ""]),
    (lambda pd: pd.Series(["x", pd.NA], dtype="string"), "words", ["x", ""]),
    (lambda pd: pd.Series([1.5, None]), "numbers", ["1.5", ""]),
    (lambda pd: pd.Series([3, None, 10]).astype("category"), "words", ["3", "", "10"]),
    (lambda pd: pd.Series(["b", None]).astype("category"), "words", ["b", ""]),
    (lambda pd: pd.Series(pd.to_datetime(["2024-05-31", None])).dt.as_unit("us"), "dates",
        ["2024-05-31T00:00:00.000000", ""]),
    (lambda pd: pd.Series(pd.PeriodIndex(["2024-05"], freq="M").append(pd.PeriodIndex([None], freq="M"))), "dates",
        ["2024-05-01T00:00:00", ""]),
    (lambda pd: pd.Series(pd.to_timedelta(["90s", None])), "numbers", ["90", ""]),
])  # fmt: skip
def test_columns_of_pandas(make, kind, words):
    pd = pytest.importorskip("pandas")
    table = from_memory(pd.DataFrame({"a": make(pd)}))
    assert (table["a"].kind, table["a"].missing.tolist()) == (kind, [not word for word in words])
    if kind == "dates":
        words = [word[:10] for word in words]
        assert [word[:10] for word in table["a"].words()] == words
    else:
        assert table["a"].words().tolist() == words


def test_the_index_of_pandas_is_no_column():
    pd = pytest.importorskip("pandas")
    two = pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=["p", "q"])
    half = pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=[None, "q"])
    for index, notes in (
        (two, ("left out: the index 'p', 'q': df.reset_index() makes it 2 columns",)),
        (half, ("left out: the index 'q': df.reset_index() makes it 1 column",)),
        (pd.Index([4, 2], dtype="uint8"), ()), (pd.Index([0.5, 2]), (
            "left out: the index, such as '0.5': df.reset_index() makes a column of it",
        )),
    ):  # fmt: skip
        assert from_memory(pd.DataFrame({"a": [1, 2]}, index=index)).notes == notes
    assert index_note(pd.Series([1, 2], index=["x", "y"])) == index_note(pd.DataFrame({"a": []})) == ()
    with pytest.raises(DataError, match="holds no rows"):
        from_memory(pd.Series([], dtype=float))


@pytest.mark.parametrize(("column", "shown"), [("word", "'word'"), (b"word", "\"b'word'\""), (1.5, "'1.5'")])
def test_a_single_entry_is_no_column(column, shown):
    with pytest.raises(DataError) as caught:
        from_memory({"a": column})
    assert caught.value.what == f"column 'a' is {shown}"
    assert from_memory({"a": (i for i in range(3))})["a"].data.tolist() == [0, 1, 2]


def test_the_name_that_comes_twice_is_named():
    for names in (["a", "b", "b", "a"], ["b", "b"]):
        with pytest.raises(DataError, match="t has two columns called 'b'"):
            check_once(names, "t")
    check_once(["a", "b"], "t")


@pytest.mark.parametrize(("entries", "keep", "wanted"), [
    ([np.nan, 5.0], [True, False], LeftOut("a", "nothing in the rows to train on")),
    ([np.nan, np.nan], [True, False], LeftOut("a", "nothing in it")),
    ([7.0, np.nan, 7.0], None, NumberColumn("a", 7.0, 1.0, 7.0, True)),
    ([7.0, 7.0, 8.0], [True, True, False], LeftOut("a", "constant: 7 in every row")),
    ([1.0, 3.0, 2.0, np.nan], [True, True, False, False], NumberColumn("a", 2.0, 1.0, 2.0)),
])  # fmt: skip
def test_a_column_by_its_rows_to_train_on(entries, keep, wanted):
    found = Summary("a")
    found.add(
        values("a", entries, float, np.flatnonzero(np.isnan(entries))),
        None if keep is None else np.array(keep),
    )
    assert fit_column(found) == wanted


def test_different_numbers_are_counted_up_to_a_limit(monkeypatch):
    monkeypatch.setattr("xpnn.data.tables.summary.MOST_NUMBERS", 3)
    found = Summary("n", different=set())
    for piece, count in (([1.0, 2.0, 1.0], "2"), ([3.0], "over 3"), ([4.0], "over 3"), ([5.0], "over 3")):
        found.add(values("n", piece, float))
        assert found.how_many() == count
    assert found.different == {1.0, 2.0, 3.0, 4.0}
    assert Summary("n", different=set()).how_many() == "0"


def test_pixels_have_one_scale_and_are_left_out_where_they_never_change(tmp_path):
    rows = [[i, 255 * (i > 0), *[7] * 63, i % 2] for i in range(4)]
    (tmp_path / "t.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    table = read_table(tmp_path / "t.csv")
    assert (table.pixels, table.headed, table.rows) == (True, False, 4)
    labels = summarize(table, "65", different=True)
    made = fit_preparation(table, labels, "classification")
    assert made.columns == (NumberColumn("0", 0.0, 255.0, 0.0), NumberColumn("1", 0.0, 255.0, 0.0))
    assert made.left_out == tuple(LeftOut(str(k), "constant: 7 in every row") for k in range(2, 65))
    some = fit_preparation(table, labels, "classification", split_of(np.array([1, 0, 0, 0]), 1))
    assert some.left_out[0] == LeftOut("1", "constant: 255 in every row")
    x, y, classes = read_csv(tmp_path / "t.csv", verbose=0)
    assert (x.dtype, x[:, :3].tolist()) == (np.uint8, [row[:3] for row in rows])
    assert (y.tolist(), classes) == ([0, 1, 0, 1], ("0", "1"))
    assert read_table(tmp_path / "t.csv", as_words=("none",)).pixels
    pytest.importorskip("duckdb")
    words = read_table(tmp_path / "t.csv", as_words=("1",))
    assert (words.pixels, words["1"].words().tolist()) == (False, ["0", "255", "255", "255"])


@pytest.mark.parametrize(("cells", "words"), [
    (["1", "x"], "t.csv, column 'a', row 1: '1'"), (["1", ""], "t.csv, column 'a', row 2: nothing"),
    (["2024-05-31", "2024-05-30"], "t.csv, column 'a', row 1: '2024-05-31"),
])  # fmt: skip
def test_read_csv_requires_a_number_in_every_entry(cells, words, tmp_path):
    pytest.importorskip("duckdb")
    (tmp_path / "t.csv").write_text("a,label\n" + "".join(f"{cell},{i}\n" for i, cell in enumerate(cells)))
    with pytest.raises(DataError) as caught:
        read_csv(tmp_path / "t.csv", verbose=0)
    assert caught.value.what.startswith(f"{tmp_path}/{words}")
    assert caught.value.why == "read_csv wants a number in every entry; rows count from 1, without the header"


def test_two_columns_of_pandas_with_one_name():
    """1 and "1" are one name, too."""
    pd = pytest.importorskip("pandas")
    for names in (["a", "b", "a"], [1, "b", "1"]):
        with pytest.raises(DataError, match=f"the table has two columns called '{names[0]}'"):
            from_memory(pd.DataFrame([[1, 2, 3]], columns=names))
    frame = pd.DataFrame([[1, "x"], [2, "y"]], columns=[7, "b"])
    assert {key: one.words().tolist() for key, one in from_memory(frame).items()} == {
        "7": ["1", "2"],
        "b": ["x", "y"],
    }


def test_columns_of_arrow():
    pa = pytest.importorskip("pyarrow")
    days = [datetime.date(2024, 5, 31), None]
    table = from_memory(pa.table({"n": [1, None], "d": days, "w": ["x", "y"], "t": [True, False]}))
    assert table.kinds == {"n": "numbers", "d": "dates", "w": "words", "t": "booleans"}
    assert [one.words().tolist()[0][:10] for one in table.values()] == ["1", "2024-05-31", "x", "True"]
    assert [one.missing.tolist() for one in table.values()] == [[False, True]] * 2 + [[False, False]] * 2


@pytest.mark.oracle
def test_columns_of_polars():
    pl = pytest.importorskip("polars")
    days = [datetime.date(2024, 5, 31), None]
    frame = pl.DataFrame({"n": [1, None], "d": days, "w": ["x", None], "t": [True, None], "f": [1.5, None]})
    table = from_memory(frame)
    assert table.kinds == {"n": "numbers", "d": "dates", "w": "words", "t": "booleans", "f": "numbers"}
    assert [one.words().tolist()[0][:10] for one in table.values()] == ["1", "2024-05-31", "x", "True", "1.5"]
    assert [one.missing.tolist() for one in table.values()] == [[False, True]] * 5


def test_samples_need_free_disk_space(monkeypatch):
    monkeypatch.setattr("xpnn.data.tables.samples.temporary_place", lambda: ("FOLDER", 1_500_000_000))
    check_room(1_500_000_000)
    with pytest.raises(FileError) as caught:
        check_room(1_500_000_001)
    assert caught.value.what == "the samples of this table take 1.5 GB, FOLDER has 1.5 GB free"


def test_samples_of_a_table_on_the_disk(tmp_path, monkeypatch):
    """Of few rows they are in memory; what they take is asked for before: 4 bytes a number, 8 an id and a label."""
    pytest.importorskip("duckdb")
    path = tmp_path / "t.csv"
    path.write_text("n,w,v,y\n" + "".join(f"{i},{'ac'[i % 2]},{'pq'[i % 2]},{i / 2}\n" for i in range(20)))
    columns = (NUMBERS, WORDS, CategoryColumn("v", ("p", "q"), 2))
    made = TablePreparation("y", "regression", (), columns, label_mean=1.0, label_std=2.0)
    table, split = stored([str(path)], "t", Query("SELECT * FROM read_csv(?)")), split_of(PARTS[:20])
    wanted_x, wanted_y = take_samples(read_table(path), made, split)
    monkeypatch.setattr(stored_tables, "FEW", 8)
    asked = []
    monkeypatch.setattr("xpnn.data.tables.samples.check_room", asked.append)
    counts = [split.count(part) for part in range(3)]
    for kept, mapped in ((20, [False] * 3), (counts[1], [count > counts[1] for count in counts])):
        monkeypatch.setattr("xpnn.data.tables.samples.KEPT", kept)
        x, y = take_samples(table, made, split)
        for part in range(3):
            matrix, ids = x[part]
            assert matrix.tolist() == wanted_x[part][0].tolist()
            assert ids.tolist() == wanted_x[part][1].tolist()
            assert y[part].tolist() == wanted_y[part].tolist()
            assert (matrix.dtype, ids.dtype, y[part].dtype) == (np.float32, np.int64, np.float64)
        assert [is_mapped(one) for one in y] == [is_mapped(one[0]) for one in x] == mapped
    assert asked == [20 * (3 * 4 + 8 + 8)] * 2


@pytest.mark.parametrize(("first", "i", "fix"), [
    (1, 0, "remove that row, if it repeats the names or gives units; else correct it"),
    (1, 1, "correct that entry, or leave it empty: missing entries are filled"),
    (2, 0, "correct that entry, or leave it empty: missing entries are filled"),
])  # fmt: skip
def test_what_to_do_about_an_entry(first, i, fix):
    """The first row may hold units, or the names once more."""
    given = values("c", ["[m]" if i == 0 else "1", "x"], first=first)
    with pytest.raises(DataError) as caught:
        given.numbers()
    assert (caught.value.fix, caught.value.what) == (fix, f"column 'c', row {first + i}: {given.data[i]!r}")
