"""Tables of mistakes, answers for rows, pictures and layers taken over, as the commands lay them out and name them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import xpnn
from xpnn.cli import evaluate, predict_pictures, predict_rows, transfer
from xpnn.cli.predict_rows import Answers, array_of, asked_for, events, laid_out
from xpnn.data.tables.table import Table
from xpnn.data.tables.values import Values
from xpnn.errors import DataError, FileError, UsageError
from xpnn.layers import Dense, Flatten, ReLU


def data(*classes):
    return SimpleNamespace(classes=classes)


def test_accuracy_its_error_and_the_most_frequent_mistakes():
    matrix = np.array([[5, 2, 0], [2, 7, 3], [0, 1, 5]])
    found = evaluate.summarise(matrix, data("a", "b", "c"))
    assert (found["accuracy"], found["samples"]) == (17 / 25, 25)
    assert found["standard_error"] == pytest.approx((17 / 25 * 8 / 25 / 25) ** 0.5)
    assert found["confusion"] == matrix.tolist()
    worst = [(one["true"], one["taken_for"], one["count"]) for one in found["worst"]]
    assert worst == [("b", "c", 3), ("a", "b", 2), ("b", "a", 2), ("c", "b", 1)]
    many = evaluate.summarise(1 + np.arange(16).reshape(4, 4), data(*"abcd"))["worst"]
    assert [one["count"] for one in many] == [15, 14, 13, 12, 10, 9]


def test_as_many_pairs_as_a_line_holds():
    def pair(true, other="b"):
        return {"true": true, "taken_for": other, "count": 7}

    assert evaluate.worst_pairs([]) == "worst pairs  none"
    assert evaluate.worst_pairs([pair("a"), pair("c")]) == "worst pairs  a→b ×7  c→b ×7"
    full = 80 - len("worst pairs  →b ×7")
    assert len(evaluate.worst_pairs([pair("x" * full)])) == 80
    assert evaluate.worst_pairs([pair("x" * (full + 1)), pair("c")]) == "worst pairs  c→b ×7"


@pytest.mark.parametrize(
    ("width", "columns"), [(80, [12]), (76, [12]), (75, [11, 1]), (21, [1] * 12), (3, [1] * 12)]
)
def test_a_matrix_is_cut_into_tables_that_fit(width, columns):
    names = tuple("abcdefghijkl")
    found = evaluate.tables(np.eye(12, dtype=int) * 3, names, width)
    assert [len(table.columns) - 1 for table in found] == columns
    assert [str(column.header) for table in found for column in table.columns[1:]] == list(names)
    assert [str(cell) for cell in found[0].columns[0].cells] == list(names)
    assert [str(cell) for cell in found[0].columns[1].cells] == ["3", *["·"] * 11]


def test_long_names_are_numbered():
    for name, heads, rows in (
        ("four", ["four", "b"], ["four", "b"]),
        ("fives", ["0", "1"], ["0 fives", "1 b"]),
    ):
        (table,) = evaluate.tables(np.array([[1, 0], [2, 3]]), (name, "b"), 80)
        assert [str(column.header) for column in table.columns[1:]] == heads
        assert [str(cell) for cell in table.columns[0].cells] == rows
        assert [str(cell) for cell in table.columns[1].cells] == ["1", "2"]
    assert [evaluate.cell(3, right).style for right in (True, False)] == ["green", ""]


def answered(start=0, shares=True):
    table = Table("t", {"Id": Values("Id", np.array([7, 9]), np.zeros(2, bool))}, True)
    p = np.array([[0.25, 0.75], [0.9, 0.1]]) if shares else None
    return Answers("t.csv", "kind", np.array(["dog", "cat"]), ("cat", "dog"), p, table, start)


def columns_of(*args):
    names, rows = laid_out(*args)
    return names, list(rows)


def test_rows_as_csv():
    assert columns_of(answered(), (), False) == (
        ["kind", "probability cat", "probability dog"], [("dog", "0.25", "0.75"), ("cat", "0.9", "0.1")],
    )  # fmt: skip
    assert columns_of(answered(5, shares=False), (), True) == (
        ["file", "row", "kind"], [("t.csv", 6, "dog"), ("t.csv", 7, "cat")],
    )  # fmt: skip
    several = Answers("t", "y", np.array([[1, 2], [3, 4]]), (), None)
    assert columns_of(several, (), False) == (["y"], [("[1, 2]",), ("[3, 4]",)])


def test_columns_that_are_asked_for(capsys):
    assert columns_of(answered(), ("Id", "KIND", "dog", "probability cat"), False) == (
        ["Id", "KIND", "dog", "probability cat"], [("7", "dog", "0.75", "0.25"), ("9", "cat", "0.1", "0.9")],
    )  # fmt: skip
    assert capsys.readouterr().err == ""
    assert columns_of(answered(), ("Number", "Answer"), False)[1] == [(1, "dog"), (2, "cat")]
    said = capsys.readouterr().err
    assert "column 'Number' of the output: t.csv has none, so the rows are numbered from 1" in said
    assert "column 'Answer' of the output: the answers ('kind' in training)" in said
    assert columns_of(answered(4), ("Number", "Answer"), False)[1] == [(5, "dog"), (6, "cat")]
    assert capsys.readouterr().err == ""
    with pytest.raises(UsageError, match="--columns Id,other,kind: nothing is called 'other'"):
        asked_for(answered(), "other", 1, ("Id", "other", "kind"))


def test_rows_as_events():
    first, second = events(answered(10))
    assert first == {
        "file": "t.csv", "row": 11, "kind": "dog", "probability": 0.75, "probabilities": {"cat": 0.25, "dog": 0.75},
    }  # fmt: skip
    assert (second["row"], second["probability"]) == (12, 0.9)
    assert "probability" not in next(events(answered(shares=False)))
    assert [predict_rows.plain(one) for one in (np.arange(2), np.float64(0.5), "a")] == [[0, 1], 0.5, "a"]


@pytest.mark.parametrize(("names", "taken"), [
    ("x", "x"), ("other", "other"), ("x_test y", "x_test"), ("a x", "x"), ("x_test x", "x"), ("a b", None), ("", None),
])  # fmt: skip
def test_which_array_of_a_file_holds_the_samples(names, taken, tmp_path):
    arrays = {name: np.full(2, i) for i, name in enumerate(names.split())}
    np.savez(tmp_path / "a.npz", **arrays)
    if taken is None:
        with pytest.raises(DataError, match="wanted an array called x"):
            array_of(tmp_path / "a.npz")
    else:
        assert array_of(tmp_path / "a.npz").tolist() == arrays[taken].tolist()


def test_an_error_about_one_of_several_files_names_it():
    for what, wanted in (("no rows", "a.csv: no rows"), ("a.csv has no rows", "a.csv has no rows")):
        found = predict_rows.of_file(Path("a.csv"), DataError(what, why="so", fix="that"))
        assert (type(found), found.what, found.why, found.fix) == (DataError, wanted, "so", "that")


# What --from takes over


def test_layers_keep_their_parameters_under_new_numbers():
    model = xpnn.Model([Dense(3), ReLU(), Dense(2)], (4,), seed=0)
    found = transfer.moved(model, 2, 2)
    assert found.keys() == {"2.W", "2.b"}
    assert found["2.W"].tolist() == model.parameters()["0.W"].tolist()
    assert transfer.moved(model, 0, -1).keys() == {"0.W", "0.b", "2.W", "2.b"}
    assert transfer.last_dense((Dense(3), Dense(2), ReLU()), "a") == 1
    with pytest.raises(UsageError, match="a has no Dense"):
        transfer.last_dense((Flatten(), ReLU()), "a")


def test_the_source_of_a_network_and_what_is_frozen():
    model = xpnn.Model([Dense(3), ReLU(), Dense(2)], (4,), seed=0)
    for patterns, count in (((), 0), (("0.*",), 15), (("*.b",), 5), (("0.*", "*.b"), 17)):
        wanted = {"from": "runs/a", "freeze": patterns, "frozen": count}
        assert transfer.provenance("runs/a", patterns, model) == wanted


# Pictures


def test_which_pictures_a_name_stands_for(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("b.png", "a.jpg", "sub/c.gif", "a.jpg.seen.png", "notes.txt"):
        (tmp_path / name).touch()

    def found(*names):
        return [str(path.relative_to(tmp_path)) for path in predict_pictures.every_picture(tuple(names))]

    assert found(tmp_path) == ["a.jpg", "b.png", "sub/c.gif"]
    assert found(tmp_path / "*.png", tmp_path / "missing.png") == ["b.png", "missing.png"]
    assert found(tmp_path / "**" / "*.gif") == ["sub/c.gif"]
    for nothing in (tmp_path / "*.bmp", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(FileError, match="no picture in"):
            found(nothing)


@pytest.mark.parametrize(("shape", "classes", "wanted"), [
    ((28, 28, 1), (), ("ink", "light on dark", ("0", "1"))),
    ((28, 28, 1), ("a", "b"), ("ink", "light on dark", ("a", "b"))),
    ((28, 28, 1), ("a", "b", "c"), ("ink", "light on dark", ("0", "1"))),
    ((8, 9, 3), (), None), ((8, 9, 2), (), "shape"), ((8,), (), "shape"),
])  # fmt: skip
def test_pictures_for_a_model_that_does_not_say_how(shape, classes, wanted, capsys):
    model = xpnn.Model([Flatten(), Dense(2)], shape, seed=0)
    saved = SimpleNamespace(weights="w.npz", classes=classes)
    if wanted == "shape":
        with pytest.raises(UsageError, match=r"w\.npz takes samples of shape"):
            predict_pictures.preparation_of(saved, model)
        return
    found = predict_pictures.preparation_of(saved, model)
    assert (found.height, found.width, found.channels) == shape
    said = capsys.readouterr().err
    if wanted:
        assert (found.crop, found.polarity, found.classes) == wanted
        assert "they are shown in MNIST's form" in said
    else:
        assert found.crop != "ink"
        assert "they are shown as they are" in said


def test_a_class_without_a_name_is_its_number():
    assert [predict_pictures.name_of(i, ("a", "b")) for i in range(3)] == ["a", "b", "2"]
