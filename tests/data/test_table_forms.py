"""Tables in the forms that people bring: other separators, codes, words for dates, columns of other libraries."""

import datetime

import numpy as np
import pytest

import xpnn
from xpnn.data import load, prepare_table, read_csv, read_table
from xpnn.data.tables.dataset import table_dataset
from xpnn.errors import DataError, UsageError

pytest.importorskip("duckdb")
N = 40
A = [round(float(a), 3) for a in np.random.default_rng(0).normal(size=N)]
KIND = ["cat", "dog", "cat", "cat"] * (N // 4)


def written(folder, line, head="a b label", name="t.csv"):
    path = folder / name
    path.write_text("\n".join([head, *(line(i) for i in range(N))]) + "\n")
    return path


@pytest.mark.parametrize(("head", "line", "note"), [
    ("a b label", "{a} {i} {k}", "columns are separated by white space"),
    ("  a   b label", " {a}    {i}  {k}", "columns are separated by white space"),
    ("# a b label", "{a} {i} {k}", "columns are separated by white space"),
    ("a^b^label", "{a}^{i}^{k}", "columns are separated by '^'"),
    ("a~b~label", "{a}~{i}~{k}", "columns are separated by '~'"),
    ("# a,b,label", "{a},{i},{k}", "the first line, a comment, is taken for the names of the columns"),
])  # fmt: skip
def test_other_separators(head, line, note, tmp_path):
    table = read_table(written(tmp_path, lambda i: line.format(a=A[i], i=i % 5, k=KIND[i]), head))
    assert note in table.notes
    assert list(table) == ["a", "b", "label"]
    assert table["a"].data.tolist() == A
    assert table["label"].data.tolist() == KIND


def test_words_with_blanks_in_quotes_and_names_of_rows(tmp_path):
    path = written(tmp_path, lambda i: f'"row {i}" {A[i]} "New York"', "a city")
    table = read_table(path)
    assert list(table) == ["column0", "a", "city"]
    assert set(table["city"].data) == {"New York"}
    assert table["column0"].data[3] == "row 3"


def test_a_decimal_comma_between_tabs(tmp_path):
    path = written(tmp_path, lambda i: f"{A[i]}\t{KIND[i]}".replace(".", ","), "a\tlabel", "t.tsv")
    assert read_table(path)["a"].data.tolist() == A


@pytest.mark.parametrize("column", ["label", "a"])
def test_codes_keep_their_zeros(column, tmp_path):
    codes = ["01234", "10", "0501", "7"] * (N // 4)
    other = "a" if column == "label" else "label"
    path = written(tmp_path, lambda i: f"{codes[i]},{KIND[i]}", f"{column},{other}")
    for source in (path, {column: codes, other: KIND}):
        *_, preparation = prepare_table(source)
        found = preparation.classes if column == "label" else preparation.columns[0].values
        assert set(found) == set(codes)


def test_a_sign_between_digits_makes_no_number():
    assert read_table({"a": ["1_2", "3_4"], "label": [0, 1]})["a"].kind == "words"


@pytest.mark.parametrize("first", [0, 1, 500])
def test_a_column_that_numbers_the_rows_in_any_order(first, tmp_path):
    path = written(tmp_path, lambda i: f"{first + 7 * i % N},{A[i]},{KIND[i]}", ",a,label")
    *_, preparation = prepare_table(path)
    assert preparation.features == ("a",)
    assert preparation.left_out[0].why == "it numbers the rows"


@pytest.mark.parametrize("date", ["{d}-Jan-2024", "{d} February 2024", '"Mar {d}, 2024"', '"{d}. dec 24"'])
def test_months_by_name_are_left_out_with_advice(date, tmp_path):
    path = written(tmp_path, lambda i: f"{date.format(d=i % 28 + 1)},{A[i]},{KIND[i]}", "day,a,label")
    data = table_dataset("table", path)
    assert any("left out: 'day': dates such as" in note and "2024-05-31" in note for note in data.notes)


@pytest.mark.parametrize(("text", "what"), [
    ("-1 1:0.5 3:2e-1\n+1 2:1\n", "in the form of LIBSVM"),
    ("2 qid:1 1:0.5\n1 qid:1 1:1\n", "in the form of LIBSVM"),
    ("My table\n\na,b,label\n" + "1,2,x\n2,3,y\n" * 20, "begins with 'My table'"),
    ("a,label\n[m],[-]\n" + "1.5,x\n2.5,y\n" * 20, "remove that row, if it repeats the names or gives units"),
])  # fmt: skip
def test_what_is_no_table_is_named(text, what, tmp_path):
    path = tmp_path / "t.txt"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        prepare_table(path)
    assert what in str(caught.value)


@pytest.mark.parametrize("text", [
    '{"a":[1,2,3],"label":["x","y","x"]}', '{"a":{"0":1,"1":2},"label":{"0":"x","1":"y"}}',
    '{"columns":["a","label"],"data":[[1,"x"],[2,"y"]]}',
])  # fmt: skip
def test_json_in_columns_is_refused_with_how_to_write_rows(text, tmp_path):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(DataError, match="orient='records'"):
        read_table(tmp_path / "t.json")


def test_times_with_a_zone_are_read_in_utc_and_said_so(tmp_path):
    path = written(tmp_path, lambda i: f"2024-03-{i % 20 + 10}T01:00:00+02:00,{KIND[i]}", "t,label")
    table = read_table(path)
    assert "times with a zone are read in UTC: 't'" in table.notes
    zone = datetime.timezone(datetime.timedelta(hours=2))
    same = read_table({"t": [datetime.datetime(2024, 3, 10, 1, tzinfo=zone)], "label": ["x"]})
    assert table["t"].dates()[0] == same["t"].dates()[0] == np.datetime64("2024-03-09T23:00")


def test_large_whole_numbers_that_float64_cannot_tell_apart():
    labels = [2**53, 2**53 + 1] * (N // 2)
    *_, y, preparation = prepare_table({"a": A, "label": labels})
    assert preparation.classes == (str(2**53), str(2**53 + 1))
    assert y.tolist() == [0, 1] * (N // 2)


def test_columns_of_a_dict_may_be_arrays_and_a_structured_array_is_a_table():
    torch = pytest.importorskip("torch")
    for a in (np.array(A), torch.tensor(A, dtype=torch.float64), tuple(A)):
        assert read_table({"a": a, "label": KIND})["a"].data.tolist() == A
    rows = np.array(list(zip(A, KIND, strict=True)), dtype=[("a", "f8"), ("label", "U5")])
    assert read_table(rows)["label"].data.tolist() == KIND
    with pytest.raises(DataError, match="a single row"):
        read_table({"a": 1.5, "label": "cat"})


@pytest.mark.oracle
def test_categories_of_pandas_are_names_even_where_they_are_numbers():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": pandas.Categorical([3, 10, None, 3] * (N // 4)), "label": KIND})
    *_, preparation = prepare_table(frame)
    assert preparation.columns[0].values == ("10", "3")
    x = preparation.samples(read_table({"a": [3, 10, 3.0], "label": KIND[:3]}))
    assert x[:, :2].tolist() == [[0, 1], [1, 0], [0, 1]]


def test_classes_that_leave_nothing_to_test_with():
    with pytest.raises(DataError, match="a row of each is trained on") as caught:
        table_dataset("table", {"a": A, "label": [float(i) for i in range(N)]}, task="classification")
    assert "--task regression" in str(caught.value)


def test_what_is_chosen_in_python_is_printed_too(tmp_path, capsys):
    table = {"a": A, "word": KIND, "same": [7] * N, "gap": [None, 1.0, 2.0, 3.0] * (N // 4), "label": KIND}
    prepare_table(table)
    printed = capsys.readouterr()
    assert printed.out == ""
    for line in (
        "label 'label' (by its name): classification (words), classes 'cat', 'dog'",
        "one-hot: 'word'",
        "missing numbers filled with the median, and marked: 'gap' (2)",
        "left out: 'same': constant: 7 in every row",
    ):
        assert line in printed.err.splitlines()
    prepare_table(table, verbose=0)
    path = written(tmp_path, lambda i: f"{i},{A[i]},{KIND[i]}", ",a,kind", "t.csv")
    read_csv(path, verbose=0)
    assert capsys.readouterr().err == ""
    read_csv(path)
    load("table", path, verbose=0)
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first == "label 'kind' (the last column): classification (words)"
    assert second.endswith("it numbers the rows")
    load("table", path)
    first, *others = capsys.readouterr().err.splitlines()
    assert first.endswith("a fifth held out by hash")
    assert any("label 'kind'" in line for line in others)


def test_what_a_prediction_leaves_out_or_fills_is_a_warning():
    *_, preparation = prepare_table({"a": A, "word": KIND, "label": KIND}, verbose=0)
    model = xpnn.Model([xpnn.Dense(2)], preparation.input_shape, seed=0, preparation=preparation)
    for row, line in (
        ({"a": 1.0, "word": "cat", "new": 3}, "'new' is not a column"),
        ({"a": None, "word": "cat"}, "'a': 1 missing, filled"),
        ({"a": 1.0, "word": "cow"}, "value 'cow' not seen in training"),
    ):
        for predict in (model.predict_table, model.predict, model.predict_proba):
            with pytest.warns(UserWarning, match=line) as caught:
                predict([row])
            assert caught[0].filename == __file__


@pytest.mark.oracle
def test_an_index_of_pandas_that_holds_data_is_named():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": A, "label": KIND})
    assert read_table(frame).notes == read_table(frame.sample(frac=1, random_state=0)).notes == ()
    (note,) = read_table(frame.set_index(pandas.Index(range(N), name="id"))).notes
    assert "'id'" in note
    (note,) = read_table(frame.set_index(pandas.Index([f"p{i}" for i in range(N)]))).notes
    assert "'p0'" in note
    with pytest.raises(DataError, match="holds no rows"):
        read_table(pandas.DataFrame({"a": []}, index=[]))
    assert "id" in read_table(frame.set_index(pandas.Index(range(N), name="id")).reset_index())


@pytest.mark.parametrize("form", ["dict", "list of dicts", "Arrow"])
def test_two_columns_of_one_name_are_refused_in_every_form(form):
    """The second would take the place of the first: 1 and "1" are one name."""
    if form == "Arrow":
        pa = pytest.importorskip("pyarrow")
        source = pa.Table.from_arrays([pa.array(A), pa.array(A[::-1]), pa.array(KIND)], ["1", "1", "label"])
    else:
        source = {1: A, "1": A[::-1], "label": KIND}
    if form == "list of dicts":
        source = [dict(zip(source, row, strict=True)) for row in zip(*source.values(), strict=True)]
    with pytest.raises(DataError, match="two columns called '1'"):
        read_table(source)


def test_rows_whose_names_are_numbers():
    table = read_table([{0: a, 1: kind} for a, kind in zip(A, KIND, strict=True)])
    assert table["0"].data.tolist() == A
    assert table["1"].data.tolist() == KIND


def test_of_y_and_capital_y_the_exact_name_is_the_label():
    assert prepare_table({"y": KIND, "Y": A, "x": A})[2].label == "y"


@pytest.mark.parametrize("label", [True, 1.0, ["label"]])
def test_a_label_that_is_no_name_and_no_number(label):
    with pytest.raises(UsageError, match="label="):
        prepare_table({"a": A, "label": KIND}, label)


@pytest.mark.oracle
def test_columns_that_numpy_has_no_type_for():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": pl.Series(range(N)).cast(pl.Int128), "label": KIND})
    assert read_table(frame)["a"].data.tolist() == list(range(N))


def test_a_frame_that_has_not_been_computed():
    lazy = type("DataFrame", (), {"npartitions": 2, "compute": list, "columns": ["a", "label"]})()
    with pytest.raises(DataError, match="has not been computed"):
        read_table(lazy)
