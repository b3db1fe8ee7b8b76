"""What the entries of a column make of it: labels and tasks, numbers and dates, each bound from both sides."""

import datetime

import numpy as np
import pytest

from xpnn.data.tables import summary
from xpnn.data.tables.columns import PARTS, CategoryColumn, DateColumn, NumberColumn, date_part
from xpnn.data.tables.fitting import fit_column
from xpnn.data.tables.frames import from_memory
from xpnn.data.tables.labels import choose_label, class_names, guess_task
from xpnn.data.tables.preparation import LeftOut
from xpnn.data.tables.summary import Moments, summarize
from xpnn.data.tables.values import Values, iso, plain, spelled_as, unnamed
from xpnn.errors import DataError, UsageError


def column(values):
    return summarize(from_memory({"a": np.asarray(values), "b": np.arange(len(values))}), "a", different=True)


def fitted(values):
    return fit_column(column(values))


@pytest.mark.parametrize(("values", "task", "why"), [
    (["a", "b"] * 3, "classification", "words"),
    ([True, False] * 3, "classification", "words"),
    ([0.5, 1.0] * 30, "regression", "real numbers"),
    (list(range(10, 30)) * 2, "classification", "20 different whole numbers"),
    (list(range(10, 31)) * 100, "regression", "21 different numbers"),
    ([3, 4, 7] * 2, "classification", "3 different whole numbers"),
    ([3, 4, 7, 3, 4], "regression", "3 different numbers"),
    ([5, 9], "classification", "2 different whole numbers"),
    (list(range(1, 22)) * 50, "classification", "whole numbers from 1 to 21 without a gap"),
    (list(range(21)) * 50, "classification", "whole numbers from 0 to 20 without a gap"),
    ((list(range(21)) * 50)[1:], "regression", "21 different numbers"),
    (list(range(2, 23)) * 50, "regression", "21 different numbers"),
    ([*range(20), 21] * 50, "regression", "21 different numbers"),
])  # fmt: skip
def test_classes_or_numbers(values, task, why):
    assert guess_task(column(values)) == (task, why)


@pytest.mark.parametrize(("values", "names"), [
    ([10, 9, 9, 100], ("9", "10", "100")),
    (["10", "9", "9", "100"], ("9", "10", "100")),
    (["b", "10", "9", "b"], ("10", "9", "b")),
    ([1.5, -2.0, 1.5], ("-2", "1.5")),
])  # fmt: skip
def test_the_names_of_classes(values, names):
    assert class_names(column(values)) == names


@pytest.mark.parametrize(("values", "words", "fix"), [
    (["a"] * 3, "1 different label in 3 rows", "--label NAME for another column"),
    ([4] * 3, "1 different label in 3 rows", "--label NAME for another column"),
    (np.arange(1001), "1,001 different labels in 1,001 rows", "--label NAME for another column, or --task regression"),
    ([f"n{i}" for i in range(21)], "21 different labels in 21 rows, such as 'n0'", "--label NAME for another column"),
    ([f"{i} %" for i in range(21)], "21 different labels in 21 rows, such as '0 %'", "write numbers with digits"),
])  # fmt: skip
def test_what_are_no_classes(values, words, fix):
    with pytest.raises(DataError) as caught:
        class_names(column(values))
    assert words in caught.value.what
    assert caught.value.fix.startswith(fix)


def test_many_words_are_names_where_more_than_four_in_five_differ():
    words = [f"n{i}" for i in range(24)]
    assert len(class_names(column([*words, *["n0"] * 6]))) == 24
    with pytest.raises(DataError, match="24 different labels in 29 rows"):
        class_names(column([*words, *["n0"] * 5]))
    assert len(class_names(column(words[:20]))) == 20


TABLE = from_memory({"Class": [1, 2], "3": [1, 2], "y": [1, 2], "z": [1, 2]})


@pytest.mark.parametrize(("label", "wanted"), [
    (None, ("Class", "by its name")), ("z", ("z", "--label")), ("3", ("3", "--label")), (3, ("z", "column 3")),
    (-1, ("z", "column 3")), ("-4", ("Class", "column 0")), (0, ("Class", "column 0")), ("2", ("y", "column 2")),
])  # fmt: skip
def test_which_column_is_the_label(label, wanted):
    assert choose_label(TABLE, label) == wanted


@pytest.mark.parametrize(("names", "wanted"), [
    (["a", "b"], ("b", "the last column")), (["y", "b", "label"], ("label", "by its name")),
    (["Y", "y", "b"], ("y", "by its name")), (["Y", " y", "b"], ("b", "the last column")),
    ([" Target ", "b"], (" Target ", "by its name")),
])  # fmt: skip
def test_the_usual_names_of_labels(names, wanted):
    assert choose_label(from_memory({name: [1, 2] for name in names}), None) == wanted


@pytest.mark.parametrize(("label", "words"), [
    (4, "has no column 4"), (-5, "has no column -5"), ("4", "has no column 4"), ("Clas", "has no column 'Clas'"),
    (True, "label=True"), (1.5, "label=1.5"),
])  # fmt: skip
def test_labels_that_are_not_there(label, words):
    with pytest.raises(UsageError, match=words):
        choose_label(TABLE, label)
    with pytest.raises(DataError, match="holds one column"):
        choose_label(from_memory({"a": [1, 2]}), None)


@pytest.mark.parametrize("parts", [[5], [1, 4], [3, 0, 2], [2, 2, 1]])
def test_moments_of_pieces_are_those_of_the_whole(parts):
    """About the first number: a level of 10^9 costs no digits."""
    x = 1e9 + np.array([3.0, -1.0, 4.0, 1.5, -9.25])
    found = Moments()
    for piece in np.split(x, np.cumsum(parts)[:-1]):
        found.add(piece)
    assert (found.n, found.low, found.high) == (5, x.min(), x.max())
    mean, std = found.spread()
    assert mean == pytest.approx(x.mean(), rel=1e-15)
    assert std == pytest.approx(x.std(), rel=1e-7)
    assert Moments().spread() == (0.0, 1.0)


@pytest.mark.parametrize(("x", "std"), [
    ([2.0, 2.0], 1.0), ([1e16, 1e16 + 8], 1.0), ([1.0, 1.0 + 1e-14], 5e-15), ([1.0, 1.0 + 3e-15], 1.0),
    ([-1.0 - 3e-15, -1.0], 1.0),
])  # fmt: skip
def test_numbers_that_are_equal_up_to_rounding_have_the_deviation_1(x, std):
    found = Moments()
    found.add(np.array(x))
    assert found.spread()[1] == pytest.approx(std, rel=0.1)


def test_parts_of_a_date():
    """Against the standard library, on both sides of 1970."""
    given = ["2024-02-29T23:59:58", "1969-12-31T00:00:01", "1900-01-01T12:34:56", "2000-12-04T07:08:09"]
    given += ["2001-01-01T23:00:00", "1970-01-04T00:59:00", "1969-01-31T01:01:59"]
    dates = np.array(given, "datetime64[us]")
    known = [datetime.datetime.fromisoformat(one) for one in given]
    for part in PARTS:
        wanted = [one.weekday() if part == "weekday" else getattr(one, part) for one in known]
        assert date_part(dates, part).tolist() == wanted


@pytest.mark.parametrize(("text", "wanted"), [
    ("10:30", "1970-01-01T10:30"), ("9:05:01", "1970-01-01T09:05:01"), (" 2024-05-31 10:30 ", "2024-05-31T10:30"),
    ("2024-05-31", "2024-05-31"),
])  # fmt: skip
def test_a_time_alone_is_one_of_the_first_day(text, wanted):
    assert iso(text) == wanted


def test_words_for_numbers_and_booleans():
    numbers = [3.0, 3, 2.5, -0.0, 2.0**62, 2.0**63]
    assert [plain(value) for value in numbers] == ["3", "3", "2.5", "0", str(2**62), str(2.0**63)]
    words = np.array(["TRUE", "false", "x"], object)
    assert spelled_as(words, ("False", "True")).tolist() == ["True", "False", "x"]
    assert spelled_as(words, ("False", "True", "x")).tolist() == words.tolist()
    names = ["", "column0", "__index_level_0__", "Unnamed: 3", "column1", "unnamed"]
    assert [unnamed(name) for name in names] == [True, True, True, True, False, False]


@pytest.mark.parametrize(("values", "kind", "why"), [
    ([f"{d} Jan 2024" for d in range(1, 20)] + ["x"], CategoryColumn, ""),  # 95 % are dates
    ([f"{d} Jan 2024" for d in range(1, 21)] + ["x"], LeftOut, "dates such as '1 Jan 2024'"),
    ([f"March {d}, 2024" for d in range(1, 21)], LeftOut, "dates such as"),
    ([f"{d}/4/24" for d in range(1, 13)], LeftOut, "whose day and month cannot be distinguished"),
    ([f"${d},5" for d in range(1, 13)], LeftOut, "numbers such as '$1,5'"),
    (["a", "b"] * 3, CategoryColumn, ""),
    ([f"w{i}" for i in range(20)], CategoryColumn, ""),
    ([f"w{i}" for i in range(21)], LeftOut, "21 different words in 21 rows: names or free text"),
    (["7"] * 6, LeftOut, "constant: 7 in every row"),
    ([2.0**53 + 2] * 3, LeftOut, "or too near to it for float64"),
    ([2.0**53] * 3, LeftOut, "constant: 9007199254740992 in every row"),
    ([1.5, 2.5, 3.5], NumberColumn, ""),
    (np.array(["2024-05-31", "2024-05-30"], "datetime64[D]"), DateColumn, ""),
    (np.array(["2024-05-31"] * 2, "datetime64[D]"), LeftOut, "constant: 2024-05-31 in every row"),
])  # fmt: skip
def test_what_a_column_becomes(values, kind, why):
    found = fitted(values)
    assert isinstance(found, kind)
    if why:
        assert why in found.why


@pytest.mark.parametrize(("name", "values", "left"), [
    ("id", [7, 8, 9], True), ("userId", [7, 8, 9], True), ("row index", [7, 8, 9], True), ("paid", [7, 8, 9], False),
    ("id", [7, 8, 8], False), ("id", [7, 8], False), ("id", [7.5, 8, 9], False), ("uuid", ["a", "b", "c"], True),
])  # fmt: skip
def test_an_id_is_different_in_every_row(name, values, left):
    found = fit_column(
        summarize(from_memory({name: np.asarray(values), "other": [1, 2, 3][: len(values)]}), name)
    )
    assert isinstance(found, LeftOut) is left


@pytest.mark.parametrize(("often", "width"), [(21, 5), (20, 4), (30, 5), (31, 6), (1100, 32), (4, None)])
def test_the_width_of_an_embedding_is_the_root_of_its_values(often, width):
    """Of those that occur twice; where these are less than half of the rows, it is free text."""
    words = [f"w{i}" for i in range(often)] * 2 + [f"once{i}" for i in range(18)]
    found = fitted(words)
    assert (None if isinstance(found, LeftOut) else found.width) == width
    if width:
        assert found.values == tuple(sorted(words[:often]))


def test_dates_are_no_label_and_vary():
    with pytest.raises(DataError, match="column 'a' holds dates"):
        guess_task(column(np.array(["2024-05-31", "2024-05-30"], "datetime64[D]")))
    for std in (0.0, -1.0):
        with pytest.raises(UsageError, match="DateColumn: std must be above 0"):
            DateColumn("a", ("year", "day"), (0.0, 0.0), (1.0, std))
        with pytest.raises(UsageError, match="NumberColumn: std must be above 0"):
            NumberColumn("a", 0.0, std, 0.0)


@pytest.mark.parametrize("often", [1, 4, 6])
def test_an_embedding_is_at_least_2_wide(often):
    words = [f"w{i}" for i in range(often)] * 20 + [f"once{i}" for i in range(20)]
    assert fitted(words).width == 2


def test_so_many_words_are_counted(monkeypatch):
    """Those that come later are left out, and a line says that there are more."""
    monkeypatch.setattr(summary, "MOST_WORDS", 3)
    found = column(["a", "b", "a", "c", "d", "a", "d"])
    assert found.words == {"a": 3, "b": 1, "c": 1}
    assert found.how_many() == "over 3"
    assert column(["a", "b", "a"]).how_many() == "2"


@pytest.mark.parametrize(("missing", "row"), [([True, True], 6), ([False, False], 4)])
def test_an_error_names_the_row(missing, row):
    values = Values("a", np.array(["1", "2", "x"], object), np.array([*missing, False]), first=4)
    with pytest.raises(DataError, match="column 'a', row 6: 'x'"):
        values.numbers()
    with pytest.raises(DataError, match="wanted a finite number"):
        Values("a", np.array([1, np.inf]), np.zeros(2, bool)).numbers()
    numbers = Values("a", np.array([1.0, 2.0, 3.0]), np.array([*missing, False]), first=4)
    with pytest.raises(DataError, match=f"row {row}: "):
        numbers.dates()
    assert np.isnat(Values("a", np.zeros(2), np.ones(2, bool)).dates()).all()
