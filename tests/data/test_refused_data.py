"""What the readers of data refuse, and by which words."""

import numpy as np
import pytest

import xpnn
from xpnn.data import read_npy, read_npz
from xpnn.data.batches import Batches
from xpnn.data.emnist import find_division
from xpnn.data.image_preparation import ImagePreparation
from xpnn.data.photos.components import Box
from xpnn.data.photos.segmentation import Figure, joined
from xpnn.data.picture import Picture
from xpnn.data.tables.columns import DateColumn
from xpnn.data.tables.frames import from_memory
from xpnn.data.tables.table import as_values
from xpnn.data.tables.values import Values
from xpnn.errors import DataError, FileError, UsageError
from xpnn.stored_array import StoredArray

X, Y = np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1])
PICTURES = {"height": 4, "width": 4, "channels": 1, "classes": ("a", "b")}


def pictures(**given):
    return lambda: ImagePreparation(**PICTURES | given)


def dates(*parts, means=(0.0,), stds=(1.0,)):
    return lambda: DateColumn("d", tuple(parts), means, stds)


SETTINGS = {
    "channels": (pictures(channels=2), "channels=2): wanted 1 or 3"),
    "equal levels": (pictures(black=9.0, white=9.0), "black=9.0, white=9.0): wanted black < white"),
    "crop of other sizes": (pictures(crop="ink"), "wanted 28 x 28 grey pixels"),
    "no height": (pictures(height=0), "height=0): wanted 1 to 32768"),
    "too wide": (pictures(width=32769), "width=32769): wanted 1 to 32768"),
    "too high": (pictures(height=32769), "height=32769): wanted 1 to 32768"),
    "no width": (pictures(width=0), "width=0): wanted 1 to 32768"),
    "crop": (pictures(crop="all"), "crop='all'): wanted one of none, ink"),
    "polarity": (pictures(polarity="both"), "polarity='both'): wanted one of as is, light on dark, dark on light"),
    "no colours": (pictures(channels=0), "channels=0): wanted 1 or 3"),
    "background": (pictures(background=256), "background=256): wanted 0 to 255"),
    "background below": (pictures(background=-1), "background=-1): wanted 0 to 255"),
    "names twice": (pictures(classes=("a", "b", "a")), "holds 3 names, 'a' twice"),
    "no part of a date": (dates("century"), "a date has no 'century'"),
    "a part twice": (dates("month", "month", means=(0.0, 0.0), stds=(1.0, 1.0)), "do not belong together"),
    "parts without numbers": (dates("month", means=()), "do not belong together"),
    "no parts": (dates(means=(), stds=()), "do not belong together"),
    "weights and balanced": (
        lambda: Batches(X, Y, 2, weights=np.ones(4), balanced=True), "weights and balanced at once",
    ),
    "ahead": (lambda: Batches(X, Y, 2, ahead=-1), "ahead=-1: wanted a number of batches, 0 or more"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "words"), SETTINGS.values(), ids=SETTINGS)
def test_a_setting_that_means_nothing(make, words):
    with pytest.raises(UsageError) as caught:
        make()
    assert words in str(caught.value)


def test_the_ends_of_what_a_setting_may_be():
    for given in (
        {"height": 1},
        {"width": 1 << 15},
        {"height": 1 << 15, "width": 1},
        {"background": 0},
        {"background": 255},
        {"channels": 3},
    ):
        made = pictures(**given)()
        assert {name: getattr(made, name) for name in given} == given


def test_a_folder_without_files_of_emnist(tmp_path):
    (tmp_path / "emnist-unknown-train").touch()
    with pytest.raises(FileError, match="holds no files of EMNIST"):
        find_division(tmp_path)
    with pytest.raises(FileError, match="cannot read"):
        find_division(tmp_path / "none")


def test_what_is_in_the_way_of_an_archive(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match=r"is not a complete \.npz archive"):
        read_npz(tmp_path / "a.npz")
    for read, name in ((read_npz, "none.npz"), (read_npy, "none.npy"), (read_npy, "."), (read_npz, ".")):
        with pytest.raises(FileError, match="cannot read"):
            read(tmp_path / name)


def test_a_single_number_has_no_samples():
    with pytest.raises(DataError, match="a dataset of a single number"):
        StoredArray(np.array(3.0))
    with pytest.raises(DataError, match="is a single number"):
        Batches(np.float32(3), Y, 2)


def test_labels_of_another_length():
    with pytest.raises(DataError, match="x has 4 samples, y has 3"):
        Batches(X, Y[:3], 2)


def column(*entries, kind=object, missing=()):
    data = np.array(entries, kind)
    return Values("c", data, np.isin(np.arange(len(data)), missing), 5)


@pytest.mark.parametrize(("values", "read", "words"), [
    (column("1", "two"), "numbers", "column 'c', row 6: 'two', wanted a number"),
    (column("2024-01-02", kind="datetime64[D]"), "numbers", "row 5: '2024-01-02', wanted a number"),
    (column(1.0, np.inf, kind=float), "numbers", "row 6: 'inf', wanted a finite number"),
    (column("1", "inf"), "numbers", "row 6: 'inf', wanted a"),
    (column("2024-01-02", "soon"), "dates", "row 6: 'soon', wanted a date such as 2024-05-31, or a time"),
    (column(1, 2, kind=int, missing=[0]), "dates", "row 6: '2', wanted a date such as 2024-05-31"),
])  # fmt: skip
def test_an_entry_of_unknown_kind(values, read, words):
    with pytest.raises(DataError) as caught:
        getattr(values, read)()
    assert words in str(caught.value).replace("\n  why: ", ", ")


def test_entries_as_numbers_and_as_dates():
    none = np.datetime64("NaT")
    np.testing.assert_array_equal(column("1.5", "", "-2", missing=[1]).numbers(), [1.5, np.nan, -2])
    np.testing.assert_array_equal(column(3, 4, kind=int, missing=[0]).numbers(), [np.nan, 4])
    dates = column("2024-01-02", "", "10:30", missing=[1]).dates()
    assert dates[0] == np.datetime64("2024-01-02")
    assert np.isnat(dates[1])
    assert dates[2] - dates[2].astype("datetime64[D]") == np.timedelta64(630, "m")
    assert np.isnat(column(1, 2, kind=int, missing=[0, 1]).dates()).all()
    found = column("2024-01-02", "2024-01-03", kind="datetime64[D]", missing=[0]).dates()
    np.testing.assert_array_equal(found, np.array([none, "2024-01-03"], "datetime64[us]"))


@pytest.mark.parametrize(("data", "words"), [
    (np.zeros((2, 3)), r"column 'c' holds arrays of shape \(3,\)"),
    (np.zeros(2, complex), "column 'c' holds complex128"),
])  # fmt: skip
def test_what_is_no_column(data, words):
    with pytest.raises(DataError, match=words):
        as_values("c", data)


def test_columns_of_every_kind_of_array():
    def found(data, **given):
        values = as_values("c", data, **given)
        return values.kind, values.missing.tolist(), values.data.tolist()

    masked = np.ma.MaskedArray([1, 2, 3], [False, True, False])
    assert found(masked) == ("numbers", [False, True, False], [1, 2, 3])
    assert found(masked, missing=[True, False, False])[1] == [True, True, False]
    assert found(np.array([1.0, np.nan]))[1] == [False, True]
    assert found(np.array(["2024-01-02", "NaT"], "datetime64[D]"))[1] == [False, True]
    assert found(np.array([90, 30], "timedelta64[m]")) == ("numbers", [False, False], [5400.0, 1800.0])
    assert found(np.array([b"a", b"bc"])) == ("words", [False, False], ["a", "bc"])
    assert found(np.array([True, False]))[0] == "booleans"


@pytest.mark.parametrize(("data", "names"), [
    (np.array([[1, 2], [3, 4]]), ["0", "1"]),
    (np.array([(1, 2.0), (3, 4.0)], [("a", int), ("b", float)]), ["a", "b"]),
    ([{"a": 1, "b": 2}, {"b": 3, "c": 4}], ["a", "b", "c"]),
    ({"a": [1, 2], 7: (3, 4)}, ["a", "7"]),
], ids=["matrix", "structured", "dicts", "columns"])  # fmt: skip
def test_tables_in_memory(data, names):
    table = from_memory(data)
    assert list(table.columns) == names
    assert table.rows == 2
    if isinstance(data, list):
        assert table.columns["a"].missing.tolist() == [False, True]
    assert from_memory(table) is table


@pytest.mark.parametrize("data", [3, "words", b"bytes", np.zeros(3), [1, 2], []], ids=repr)
def test_what_is_no_table(data):
    with pytest.raises(DataError, match="the table is of type"):
        from_memory(data)


def test_columns_of_several_lengths():
    with pytest.raises(DataError, match=r"has columns of different lengths: \[2, 3\]"):
        from_memory({"a": [1, 2], "b": [1, 2, 3]})


def table_file(folder, label, rows):
    (folder / "t.csv").write_text("a,label\n" + "".join(f"{i * 7 % 5},{label(i)}\n" for i in range(rows)))
    return folder / "t.csv"


@pytest.mark.parametrize(("label", "rows", "words"), [
    (lambda i: f"w{i}", 9, "and none is left to test with"),
    (lambda i: "no" if i else "yes", 2, "would be held out to test with|none is left to test with"),
    (lambda i: "x", 9, "holds 1 different label in 9 rows"),
])  # fmt: skip
def test_a_table_of_too_few_rows(tmp_path, label, rows, words):
    pytest.importorskip("duckdb")
    with pytest.raises(DataError, match=words):
        xpnn.data.load("table", table_file(tmp_path, label, rows), label="label")


def test_a_table_that_leaves_nothing_to_learn_from(tmp_path):
    pytest.importorskip("duckdb")
    (tmp_path / "t.csv").write_text("a,label\n" + "".join(f"1,{'yn'[i % 2]}\n" for i in range(40)))
    with pytest.raises(DataError, match="leaves no column to learn from") as caught:
        xpnn.data.prepare_table(tmp_path / "t.csv", label="label", verbose=0)
    assert "a: constant: 1 in every row" in caught.value.why


@pytest.mark.parametrize(("samples", "words"), [(0, "strokes(samples=0)"), (-1, "strokes(samples=-1)")])
def test_no_strokes(samples, words):
    with pytest.raises(UsageError) as caught:
        xpnn.data.strokes(samples)
    assert words in str(caught.value)
    assert xpnn.data.strokes(1)[0].shape == (10, 28, 28, 1)


def npz(folder, **arrays):
    np.savez(folder / "d.npz", **arrays)
    return folder / "d.npz"


@pytest.mark.parametrize(("arrays", "words"), [
    ({"x": np.zeros((8, 2)), "y": np.arange(8) % 2, "x_test": np.zeros((2, 3)), "y_test": np.zeros(2, int)},
     r"samples of shape \(2,\) to train on, \(3,\) to test with"),
    ({"x": np.zeros((2, 2)), "y": np.array([0, 1])}, "would be held out to test with"),
])  # fmt: skip
def test_arrays_that_do_not_belong_together(tmp_path, arrays, words):
    with pytest.raises(DataError, match=words):
        xpnn.data.load("npz", npz(tmp_path, **arrays))


def test_figures_that_are_read_as_one():
    ink = np.array([[0.0, 1.0], [0.5, 0.0]], np.float32)
    left, right = Figure(ink, Box(0, 0, 2, 2)), Figure(ink, Box(3, 1, 5, 3))
    assert joined((left,)) is left
    both = joined((left, right))
    assert both.box == Box(0, 0, 5, 3)
    wanted = np.zeros((3, 5), np.float32)
    wanted[:2, :2] = ink
    wanted[1:, 3:] = ink
    np.testing.assert_array_equal(both.ink, wanted)


@pytest.mark.parametrize(("given", "note"), [
    ({"mode": "RGB", "inverted": True}, "9×8 RGB → grey, inverted (light background), cropped to 3×4, centred"),
    ({"mode": "L", "inverted": True, "cropped": False}, "9×8 L → inverted, as in training, resized to 2×2"),
    ({"mode": "1", "inverted": False, "cropped": False, "size": (2, 2)}, "2×2 1 → as it is"),
    ({"mode": "L", "inverted": False, "cropped": False, "left_out": ("specks",)},
     "9×8 L → without specks, resized to 2×2"),
])  # fmt: skip
def test_what_was_done_to_a_picture(given, note):
    about = {"pixels": np.zeros((2, 2, 1), np.uint8), "size": (9, 8), "box": (1, 2, 4, 6)} | given
    assert Picture(**about).note == note
