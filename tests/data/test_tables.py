"""Tables as people have them: the same rows however they are written, columns by name, nothing dropped unsaid."""

import contextlib
import datetime
import gc
import gzip
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import xpnn
from xpnn.data import load, prepare_table, read_csv, read_table
from xpnn.data.tables.columns import CategoryColumn, DateColumn, NumberColumn
from xpnn.data.tables.dialect import first_is_data, separator
from xpnn.data.tables.samples import check_room
from xpnn.data.tables.stored import StoredTable
from xpnn.data.tables.summary import Summary
from xpnn.data.tables.table import as_values
from xpnn.errors import BackendError, DataError, FileError, UsageError
from xpnn.temporary_files import Scratch, release

ROWS = [(1, 2.5, "cat"), (-3, 40.0, "dog"), (5, 6.0, "cat"), (2, 1.0, "dog")]


def write(folder, text, name="t.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


class TestReadCsv:
    @pytest.mark.parametrize(
        ("text", "given"),
        [
            ("a,b,kind\n1,2.5,cat\n-3,4e1,dog\n5,6,cat\n2,1,dog\n", {}),
            ("1,2.5,cat\n-3,4e1,dog\n5,6,cat\n2,1,dog\n", {}),
            ("\ufeffa,Label,b\r\n1,cat,2.5\r\n-3,dog,4e1\r\n5,cat,6\r\n2,dog,1\r\n", {}),
            ('a,b,kind\n1,2.5,"cat"\n-3,4e1,dog\n5,6,cat\n2,1,dog\n', {"label": "kind"}),
            ("cat,1,2.5\ndog,-3,4e1\ncat,5,6\ndog,2,1\n", {"label": 0}),
            ("cat,1,2.5\ndog,-3,4e1\ncat,5,6\ndog,2,1\n", {"label": "0"}),
            ("1,cat,2.5\n-3,dog,4e1\n5,cat,6\n2,dog,1\n", {"label": -2}),
            ("a;b;kind\n1;2,5;cat\n-3;40,0;dog\n5;6,0;cat\n2;1,0;dog\n", {}),
            ("a\tb\tkind\n1\t2.5\tcat\n-3\t40\tdog\n5\t6\tcat\n2\t1\tdog\n", {}),
            (",a,b,kind\n0,1,2.5,cat\n1,-3,40,dog\n2,5,6,cat\n3,2,1,dog\n", {}),
            ("# by hand\na,b,kind\n1,2.5,cat\n-3,40,dog\n5,6,cat\n2,1,dog\n", {}),
            ("sep=;\r\na;b;kind\r\n1;2.5;cat\r\n-3;40;dog\r\n5;6;cat\r\n2;1;dog\r\n", {}),
            ("\n\na|b|kind\n1|2.5|cat\n-3|40|dog\n\n5|6|cat\n2|1|dog\n\n", {}),
            ('"a","b","kind"\n"1","2.5","cat"\n"-3","40","dog"\n"5","6","cat"\n"2","1","dog"\n', {}),
            ("1, 2.5, cat\n-3, 40, dog\n5, 6, cat\n2, 1, dog\n", {}),
            ("1,2.5,cat\n-3,40,dog\n5,6,cat\n2,1,dog\n", {}),
            ("0,1,2\n1,2.5,cat\n-3,40,dog\n5,6,cat\n2,1,dog\n", {}),
        ],
    )
    def test_the_same_table_however_written(self, tmp_path, text, given):
        x, y, classes = read_csv(write(tmp_path, text), **given)
        assert x.tolist() == [[1, 2.5], [-3, 40], [5, 6], [2, 1]]
        assert (y.tolist(), classes) == ([0, 1, 0, 1], ("cat", "dog"))

    def test_numbers_as_classes_keep_their_order(self, tmp_path):
        _, y, classes = read_csv(write(tmp_path, "1,10\n1,9\n1,-2\n" * 4))
        assert (y.tolist()[:3], classes) == ([2, 1, 0], ("-2", "9", "10"))

    def test_real_numbers_are_a_regression(self, tmp_path):
        x, y, classes = read_csv(write(tmp_path, "a,price\n1,2.5\n2,3.5\n3,4.25\n"))
        assert (x.shape, y.tolist(), classes) == ((3, 1), [2.5, 3.5, 4.25], ())
        _, y, classes = read_csv(write(tmp_path, "a,price\n1,2.5\n2,3.5\n3,2.5\n"), task="classification")
        assert (y.tolist(), classes) == ([0, 1, 0], ("2.5", "3.5"))

    @pytest.mark.parametrize(
        ("text", "given", "why"),
        [
            ("a,b,kind\n" + "1,2,cat\n" * 30 + "1,x,dog\n", {}, r"t\.csv, column 'b', row 1: '2'"),
            ("a,b,kind\n1,,cat\n1,2,dog\n", {}, r"column 'b', row 1: nothing"),
            ("a,b,kind\n1,inf,cat\n1,2,dog\n", {}, r"column 'b', row 1: 'inf'"),
            ("a,b,kind\n1,2,cat\n1,2\n1,2,dog\n", {}, r"t\.csv, line 3 cannot be read"),
            ("a,b,kind\n1,2,cat\n1,2, \n", {}, r"'kind' has no label in 1 of 2 rows, first in row 2"),
            ("a,kind\n1,cat\n2,cat\n", {}, r"column 'kind' holds 1 different label in 2 rows"),
            ("a,kind\n" + "".join(f"{i},w{i}\n" for i in range(1001)), {}, r"1,001 different labels"),
            ("a,b\n", {}, r"holds no rows"),
            ("", {}, r"is empty"),
            ("1\n2\n", {}, r"holds one column"),
            ("x^2\n0.1\n0.4\n", {}, r"holds one column"),
            (b"a,b\n1,\xff\n2,x\n", {}, r"not text in UTF-8"),
            ("a,b\n1,2\n3,4\n", {"label": "c"}, r"no column 'c'"),
            ("1,2\n3,4\n", {"label": "c"}, r"no column 'c'\n.*holds no names"),
            ("a,b\n1,2\n3,4\n", {"label": 2}, r"no column 2"),
            ("a,b,kind\n1,2,cat\n# half of it\n3,4,dog\n", {}, r"t\.csv, line 3 cannot be read"),
            (
                "a,kind\n1,1,cat\n2,2,dog\n",
                {},
                r"line 2 cannot .*\n.*\n.*every column a name in the first line",
            ),
            (
                "a,b\n" + "".join(f"{i},w{i}\n" for i in range(30)),
                {},
                r"30 different labels in 30 rows, such as 'w0'",
            ),
            (
                "a,b\n" + "".join(f'{i},"$1,{i + 100}"\n' for i in range(30)),
                {},
                r"(?s)'\$1,100'.*digits and a point",
            ),
            (b"PK\x03\x04 and more", {}, r"ZIP archive, or a workbook of Excel"),
            ("a,b\n1,x\n2,y\n".encode("utf-16"), {}, r"text in UTF-16"),
            ("<!DOCTYPE html>\n<title>Log in</title>\n", {}, r"is a web page"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path, text, given, why):
        with pytest.raises((DataError, UsageError), match=why):
            read_csv(write(tmp_path, text), **given)

    @pytest.mark.parametrize("name", ["label", "class", "target", "y"])
    def test_the_label_is_found_by_rank(self, tmp_path, name):
        """Not by place: y may be a coordinate."""
        ranked = ["label", "class", "target", "y"]
        below = ranked[ranked.index(name) + 1 :]
        head = [*below, "x", name]
        rows = [[*(str(i) for _ in below), str(i), "ab"[i % 2]] for i in range(8)]
        text = "\n".join(",".join(row) for row in [head, *rows]) + "\n"
        assert read_csv(write(tmp_path, text))[2] == ("a", "b")


@pytest.fixture
def written(tmp_path):
    """The same table in every format."""
    import duckdb

    path = write(tmp_path, "a,b,kind\n" + "".join(f"{a},{b},{c}\n" for a, b, c in ROWS))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    (tmp_path / "gzip without a name").write_bytes(gzip.compress(path.read_bytes()))
    db = duckdb.connect()
    for name in ("t.parquet", "t.jsonl", "t.csv.zst", "t.tsv"):
        how = {"t.jsonl": "(FORMAT json)", "t.csv.zst": "(FORMAT csv, COMPRESSION zstd)"}.get(name, "")
        how = "(FORMAT csv, DELIMITER '\t')" if name == "t.tsv" else how
        db.execute(f"COPY (SELECT * FROM read_csv('{path}')) TO '{tmp_path / name}' {how}")
    db.close()
    return tmp_path


def contents(table):
    return {name: values.words().tolist() for name, values in table.items()}


EXPECTED = {"a": ["1", "-3", "5", "2"], "b": ["2.5", "40", "6", "1"], "kind": ["cat", "dog", "cat", "dog"]}


@pytest.mark.parametrize(
    "name", ["t.csv", "t.tsv", "t.csv.gz", "t.csv.zst", "t.parquet", "t.jsonl", "gzip without a name"]
)
def test_every_format_is_the_same_table(written, name):
    assert contents(read_table(written / name)) == EXPECTED


def test_several_files_are_one_table(written):
    folder = written / "parts"
    folder.mkdir()
    write(folder, "a,b,kind\n1,2.5,cat\n-3,40,dog\n", "1.csv")
    write(folder, "kind,b,a\ncat,6,5\ndog,1,2\n", "2.csv")
    assert contents(read_table(str(folder / "*.csv"))) == EXPECTED
    assert contents(read_table(folder)) == EXPECTED
    with pytest.raises(DataError, match="several formats"):
        read_table(str(written / "t.*"))


def test_columns_that_only_some_files_have_are_named(tmp_path):
    write(tmp_path, "a,b,kind\n1,2.5,cat\n", "1.csv")
    write(tmp_path, "kind,a,c\ncat,5,6\n", "2.csv")
    table = read_table(str(tmp_path / "*.csv"))
    assert contents(table)["b"] == ["2.5", ""]
    assert table.notes == ("only some of the 2 files have 'b', 'c': missing in the others",)


def test_a_number_sign_in_a_word_begins_no_comment(tmp_path):
    text = "kind,colour\n" + "# a remark,\n" + "cat,red#1\ndog,#2\n" * 20
    assert contents(read_table(write(tmp_path, text)))["colour"] == ["", *["red#1", "#2"] * 20]


def test_a_name_is_no_pattern(tmp_path):
    """DuckDB would read a1.csv for a[1].csv."""
    write(tmp_path, "a,b\n1,2\n3,4\n", "a1.csv")
    for name in ("a[1].csv", 'it\'s "quoted".csv', "a*.csv"):
        write(tmp_path, "a,b\n5,6\n7,8\n", name)
        assert contents(read_table(tmp_path / name)) == {"a": ["5", "7"], "b": ["6", "8"]}


@pytest.mark.parametrize(
    "name",
    ["x'); ATTACH 'evil.db'; --", '"; DROP TABLE x; --', "a b", "naïve", "SELECT", "'", "\\"],
)
def test_names_of_columns_are_names(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    quoted = name.replace('"', '""')
    path = write(tmp_path, f'"{quoted}",flag,label\n1,true,a\n2,false,b\n3,true,a\n')
    table = read_table(path)
    assert list(table) == [name, "flag", "label"]
    assert table["flag"].words().tolist() == ["true", "false", "true"]
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_nothing_else_can_be_read(tmp_path):
    """A Parquet or JSON file cannot make DuckDB open another one, or load anything."""
    import duckdb

    from xpnn.data.tables.database import connect

    secret = write(tmp_path, "a\n1\n", "secret.csv")
    mine = write(tmp_path, "a\n2\n", "mine.csv")
    with contextlib.closing(connect([str(mine)])) as db:
        assert db.execute("SELECT * FROM read_csv(?)", [str(mine)]).fetchall() == [(2,)]
        for query in (
            f"SELECT * FROM read_csv('{secret}')",
            f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
            "INSTALL httpfs",
            "LOAD httpfs",
            "SET enable_external_access=true",
            f"ATTACH '{tmp_path / 'evil.db'}'",
            "SELECT * FROM read_csv('https://example.com/a.csv')",
        ):
            with pytest.raises(duckdb.Error):
                db.execute(query).fetchall()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.csv", "secret.csv"]


def test_without_duckdb_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(BackendError, match=r"xpnn\[tables\]"):
        read_table(write(tmp_path, "a,b\n1,2\n"))


@pytest.mark.parametrize("head", ["label," + ",".join(f"p{i}" for i in range(80)), None])
def test_small_whole_numbers_are_read_as_bytes(tmp_path, head):
    rng = np.random.default_rng(0)
    pixels = np.c_[rng.integers(0, 3, 50), rng.integers(0, 256, (50, 80))]
    text = "\n".join([*([head] if head else []), *(",".join(map(str, row)) for row in pixels)]) + "\n"
    x, y, classes = read_csv(write(tmp_path, text), label=0)
    assert x.dtype == np.uint8
    assert np.array_equal(np.c_[y, x], pixels)
    assert classes == ("0", "1", "2")
    pixels[30, 40] = 256
    text = "\n".join(",".join(map(str, row)) for row in pixels) + "\n"
    x, _, _ = read_csv(write(tmp_path, text), label=0)
    assert x.dtype == np.float64
    assert np.array_equal(x, pixels[:, 1:])


def test_a_missing_file(tmp_path):
    with pytest.raises(FileError, match=r"none\.csv"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "folder of nothing").mkdir()
    with pytest.raises(FileError, match="folder of nothing"):
        read_table(tmp_path / "folder of nothing")


def column(preparation, name):
    return next(one for one in preparation.columns if one.name == name)


def of(**columns):
    return {name: list(values) for name, values in columns.items()}


class TestColumns:
    Y = ("a", "b") * 30

    def prepared(self, **columns):
        return prepare_table(of(**columns, label=self.Y[: len(next(iter(columns.values())))]))

    def test_times_lose_nothing(self):
        """Differences of a second at 1.6e9 are gone in float32."""
        times = 1.6e9 + np.arange(60)
        x, _, preparation = self.prepared(when=times.tolist())
        expected = (times - times.mean()) / times.std()
        assert x.dtype == np.float32
        np.testing.assert_allclose(x[:, 0], expected, rtol=1e-6)
        assert column(preparation, "when").std == pytest.approx(times.std(), rel=1e-12)

    @pytest.mark.parametrize("value", [0.1, 14.62, 1e300, -7.0, 0.0])
    def test_what_never_changes_is_left_out(self, value):
        x, _, preparation = self.prepared(same=[value] * 60, other=range(60))
        assert x.shape == (60, 1)
        assert [one.name for one in preparation.left_out] == ["same"]
        assert "constant" in preparation.left_out[0].why

    def test_what_only_rounding_changes_has_scale_1(self):
        noisy = [0.1 + 0.2 if i % 2 else 0.3 for i in range(60)]
        _, _, preparation = self.prepared(same=noisy, other=range(60))
        assert column(preparation, "same").std == 1

    def test_missing_numbers_are_the_median_and_marked(self):
        ages = [None if i % 3 == 0 else float(i) for i in range(60)]
        x, _, preparation = self.prepared(age=ages)
        known = [age for age in ages if age is not None]
        found = column(preparation, "age")
        assert found == NumberColumn("age", np.mean(known), found.std, np.median(known), True)
        assert x[:, 1].tolist() == [float(age is None) for age in ages]
        np.testing.assert_allclose(x[::3, 0], (np.median(known) - np.mean(known)) / np.std(known), rtol=1e-6)

    def test_words_and_booleans_are_one_hot(self):
        x, _, preparation = self.prepared(sex=["f", "m", None] * 20, alone=[True, False] * 30, n=range(60))
        assert preparation.features == ("sex=f", "sex=m", "sex missing", "alone=False", "alone=True", "n")
        assert x[:3, :3].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
        assert x[:2, 3:5].tolist() == [[0, 1], [1, 0]]

    def test_many_words_are_embedded(self):
        """30 towns: ids from 1, and 0 for those met once."""
        towns = [f"town{i % 29}" if i else "hamlet" for i in range(60)]
        x, _, preparation = self.prepared(town=towns, n=range(60))
        found = column(preparation, "town")
        assert isinstance(found, CategoryColumn)
        assert found.width > 0
        assert "hamlet" not in found.values
        assert preparation.input_shape == ((1,), ())
        matrix, ids = x
        assert matrix.shape == (60, 1)
        assert ids[0] == 0
        assert [found.values[k - 1] for k in ids[1:]] == towns[1:]

    def test_names_and_ids_are_left_out(self):
        _, _, preparation = self.prepared(
            Name=[f"Mr. {i}" for i in range(60)], PassengerId=range(100, 160), n=[i % 7 for i in range(60)]
        )
        assert [one.name for one in preparation.left_out] == ["Name", "PassengerId"]

    def test_dates_are_split(self):
        days = [np.datetime64("2024-02-28") + i for i in range(60)]
        x, _, preparation = self.prepared(day=[day.item() for day in days])
        found = column(preparation, "day")
        assert isinstance(found, DateColumn)
        assert found.parts == ("month", "day", "weekday")
        back = x * found.stds + found.means
        wanted = [[d.item().month, d.item().day, d.item().weekday()] for d in days]
        np.testing.assert_allclose(back, wanted, atol=1e-4)

    def test_ambiguous_dates_are_left_out_with_advice(self):
        _, _, preparation = self.prepared(
            day=[f"{1 + i % 12}/{1 + i % 11}/2024" for i in range(60)], n=range(60)
        )
        assert "2024-05-31" in preparation.left_out[0].why

    @pytest.mark.parametrize("form", ["{:02d}/{:02d}/2024", "{:02d}/{:02d}/2024 10:00:00"])
    @pytest.mark.parametrize("day_first", [True, False])
    def test_dates_are_read_as_in_training(self, tmp_path, form, day_first):
        """A row such as 03/04/2024 alone does not say which is the day."""
        days = [(1 + i % 28, 1 + i % 12) if day_first else (1 + i % 12, 1 + i % 28) for i in range(60)]
        text = "when,n,label\n" + "".join(f"{form.format(*day)},{i},{i % 2}\n" for i, day in enumerate(days))
        x, _, preparation = prepare_table(write(tmp_path, text))
        model = xpnn.Model([xpnn.Dense(2)], preparation.input_shape, seed=0, preparation=preparation)
        model.save(tmp_path / "m.safetensors")
        again = xpnn.load(tmp_path / "m.safetensors").preparation
        row = write(tmp_path, f"n,when\n29,{form.format(*days[29])}\n", "row.csv")
        assert sorted(days[29]) == [2, 6]
        assert np.array_equal(again.samples(read_table(row, dates=again.dates)), x[29:30])
        assert model.predict_table(row) == model.predict_table(write(tmp_path, text))[29]

    @pytest.mark.parametrize("of_what", ["a file", "objects", "words"])
    def test_times_of_day_are_split(self, tmp_path, of_what):
        times = [datetime.time(i % 24, 7 * i % 60) for i in range(60)]
        if of_what == "a file":
            text = "at,label\n" + "".join(f"{at},{i % 2}\n" for i, at in enumerate(times))
            x, _, preparation = prepare_table(write(tmp_path, text))
        else:
            x, _, preparation = self.prepared(at=times)
        found = column(preparation, "at")
        assert found.parts == ("hour", "minute")
        np.testing.assert_allclose(
            x * found.stds + found.means, [[at.hour, at.minute] for at in times], atol=1e-4
        )
        if of_what == "words":
            rows = [{"at": f"{at.hour}:{at.minute:02d}"} for at in times]
            assert np.array_equal(preparation.inputs(rows), x)

    def test_durations_are_seconds(self):
        hours = [datetime.timedelta(hours=i % 5) for i in range(60)]
        x, _, preparation = self.prepared(took=hours)
        assert column(preparation, "took").mean == 7200
        assert np.array_equal(preparation.inputs([{"took": one} for one in hours]), x)

    def test_mostly_numbers_are_left_out_with_advice(self):
        _, _, preparation = self.prepared(n=["-" if i % 5 == 0 else i / 7 for i in range(60)], m=range(60))
        assert [one.name for one in preparation.left_out] == ["n"]
        assert "numbers, but for 20% such as '-'" in preparation.left_out[0].why

    def test_a_spread_that_is_no_number_is_refused(self):
        with pytest.raises(DataError, match=r"column 'n' holds numbers from 0 to 5.9e\+301"):
            self.prepared(n=[i * 1e300 for i in range(60)])

    @pytest.mark.parametrize("form", ["{}%", "$ {}.00", "1,{}", "{},5"])
    def test_formatted_numbers_are_left_out_with_advice(self, form):
        _, _, preparation = self.prepared(price=[form.format(100 + i) for i in range(60)], n=range(60))
        assert "with digits and a point" in preparation.left_out[0].why

    def test_booleans_in_any_spelling(self, tmp_path):
        """However a file or a frame writes it."""
        x, y, preparation = prepare_table(of(alone=[True, False] * 30, n=range(60), label=[False, True] * 30))
        text = "n,label,alone\n" + "".join(
            f"{i},{'FALSE' if i % 2 == 0 else 'true'},{i % 2 == 0}\n" for i in range(60)
        )
        table = read_table(write(tmp_path, text))
        assert np.array_equal(preparation.samples(table), x)
        assert np.array_equal(preparation.targets(table["label"]), y)

    def test_a_typing_error_among_numbers_is_named(self):
        with pytest.raises(DataError, match=r"column 'n', row 38: 'x7'"):
            self.prepared(n=[str(i) if i != 37 else "x7" for i in range(60)])

    def test_what_is_prepared_twice_is_the_same(self):
        columns = {
            "sex": ["f", "m"] * 30,
            "age": [None, *range(59)],
            "town": [f"t{i % 25}" for i in range(60)],
        }
        x, y, preparation = self.prepared(**columns)
        shuffled = dict(reversed(of(**columns, label=self.Y, more=range(60)).items()))
        with pytest.warns(UserWarning, match="'more' is not a column of the training table"):
            again = preparation.inputs(shuffled)
        for a, b in zip(x, again, strict=True):
            assert np.array_equal(a, b)
        assert preparation.inputs(x) is x
        assert y.tolist() == [0, 1] * 30


class TestLabels:
    @pytest.mark.parametrize(
        ("labels", "task"),
        [
            (["a", "b"] * 30, "classification"),
            ([True, False] * 30, "classification"),
            ([1, 2, 3] * 20, "classification"),
            ([0.5, 1.5, 2.5] * 20, "regression"),
            (list(range(60)), "regression"),
            ([i % 26 for i in range(2600)], "classification"),
            ([17 + i % 60 for i in range(6000)], "regression"),
        ],
    )
    def test_the_task_is_guessed(self, labels, task):
        preparation = prepare_table(of(n=range(len(labels)), label=labels))[2]
        assert preparation.task == task

    @pytest.mark.parametrize("labels", [["a", None, "b"], ["a", "", "b"], [1, None, 2], ["a", "nan", "b"]])
    def test_a_missing_label_is_no_class(self, labels):
        with pytest.raises(DataError, match="no label in 1 of 3 rows, first in row 2"):
            prepare_table(of(n=[1, 2, 3], label=labels))

    def test_a_regression_is_scaled_and_comes_back(self):
        prices = [100.0, 250.0, 175.5, 300.0]
        _, y, preparation = prepare_table(of(n=[1, 2, 3, 4], price=prices))
        np.testing.assert_allclose(y, (np.array(prices) - np.mean(prices)) / np.std(prices))
        np.testing.assert_allclose(preparation.answers(y), prices)

    def test_every_class_is_trained_on(self, tmp_path):
        """One row of each of forty classes: a hash of the rows would hold some of them out."""
        rows = "".join(f"{i},{i * i},{'common' if i % 2 else f'rare{i}'}\n" for i in range(80))
        data = load("table", write(tmp_path, "a,b,kind\n" + rows))
        assert set(data.y) == set(range(len(data.classes)))
        assert len(data.y) + len(data.y_test) == 80
        assert any("held out" in note and "rare" in note for note in data.notes)

    def test_few_rows_that_differ_are_held_out_one_by_one(self, tmp_path):
        """All rows with one hash would be on one side."""
        rows = "".join(f"{i % 2},{'ab'[i % 2]}\n" for i in range(200))
        data = load("table", write(tmp_path, "n,kind\n" + rows))
        assert 20 < len(data.y_test) < 60
        assert any("equal rows are held out one by one" in note for note in data.notes)

    def test_more_rows_move_no_row_to_the_other_side(self, tmp_path):
        lines = [f"{i % 7},{i},{'ab'[i % 2]}" for i in range(600)]
        sides = []
        for n in (300, 600):
            data = load("table", write(tmp_path, "a,b,kind\n" + "\n".join(lines[:n]) + "\n"))
            scale = next(c for c in data.preparation.columns if c.name == "b")
            sides.append({round(v) for v in data.x_test[:, 1] * scale.std + scale.mean})
        assert sides[0] == {v for v in sides[1] if v < 300}


def test_rows_predict_as_samples_do(tmp_path):
    """The one file is enough: names of classes for raw rows, whatever they come in."""
    rng = np.random.default_rng(0)
    age, sex = rng.integers(1, 80, 200), np.where(rng.random(200) < 0.5, "f", "m")
    kept = np.where((sex == "f") | (age < 10), "yes", "no")
    table = {"age": age.tolist(), "sex": sex.tolist(), "kept": kept.tolist()}
    x, y, preparation = prepare_table(table, label="kept")
    layers = [xpnn.Dense(16), xpnn.ReLU(), xpnn.Dense(preparation.outputs)]
    model = xpnn.Model(layers, preparation.input_shape, seed=0, preparation=preparation)
    model.fit(x, y, epochs=60, optimizer=xpnn.Adam(0.01), verbose=0)
    model.save(tmp_path / "m.safetensors")
    again = xpnn.load(tmp_path / "m.safetensors")
    rows = [{"sex": s, "age": a} for s, a in zip(sex.tolist(), age.tolist(), strict=True)]
    names = again.predict_table(rows)
    assert (names == kept).mean() > 0.9
    assert np.array_equal(names, np.array(preparation.classes)[again.predict(x)])
    assert np.array_equal(again.predict_proba(rows), again.predict_proba(x))
    with pytest.raises(DataError, match="no column 'age'"):
        again.predict_table([{"sex": "f"}])
    with pytest.raises(UsageError, match="was not trained on a table"):
        xpnn.Model(layers, (4,), seed=0).predict_table(rows)


@pytest.mark.oracle
class TestLibraries:
    def frame(self):
        import pandas as pd

        frame = pd.DataFrame(
            {
                "n": [1.5, np.nan, 3.0, 4.0],
                "i": pd.array([1, 2, None, 4], dtype="Int64"),
                "w": ["a", "b", None, "a"],
                "c": pd.Categorical(["x", "y", "x", "y"]),
                "f": [True, False, True, True],
                "d": pd.to_datetime(["2024-01-01", "2024-02-01", None, "2024-03-05"]),
                "h": pd.to_timedelta([1, 2, None, 4], unit="h"),
            }
        )
        return frame.sample(frac=1, random_state=1)

    def test_pandas_polars_and_arrow_are_one_table(self):
        import polars as pl
        import pyarrow as pa

        frame = self.frame()
        wanted = {name: values.words().tolist() for name, values in read_table(frame).items()}
        assert wanted["n"].count("") == wanted["i"].count("") == wanted["d"].count("") == 1
        for other in (pl.from_pandas(frame), pa.Table.from_pandas(frame, preserve_index=False)):
            table = read_table(other)
            assert {name: values.words().tolist() for name, values in table.items()} == wanted
            assert [v.kind for v in table.values()] == [v.kind for v in read_table(frame).values()]

    def test_periods_are_dates(self):
        import pandas as pd

        table = read_table(pd.DataFrame({"month": pd.period_range("2024-11", periods=3, freq="M")}))
        assert table["month"].dates().astype("datetime64[M]").astype(str).tolist() == [
            "2024-11",
            "2024-12",
            "2025-01",
        ]

    def test_large_integers_of_polars_stay_whole(self):
        import polars as pl

        table = read_table(pl.DataFrame({"i": [2**60 + 1, 3]}))
        assert table["i"].words().tolist() == [str(2**60 + 1), "3"]

    def test_what_has_no_names_says_so(self):
        import polars as pl
        import scipy.sparse

        with pytest.raises(DataError, match="sparse matrix"):
            read_table(scipy.sparse.csr_matrix(np.eye(3)))
        with pytest.raises(DataError, match="collect"):
            read_table(pl.LazyFrame({"a": [1]}))
        with pytest.raises(DataError, match="two columns called 'a'"):
            read_table(self.frame()[["n", "n"]].set_axis(["a", "a"], axis=1))

    def test_scaling_is_scikit_learns(self):
        from sklearn.preprocessing import StandardScaler

        a = np.random.default_rng(0).normal(size=(100, 3)) * [1e-6, 1, 1e9] + [0, 5, 1e12]
        table = {f"c{i}": a[:, i].tolist() for i in range(3)} | {"label": ["a", "b"] * 50}
        x, _, _ = prepare_table(table)
        np.testing.assert_allclose(x, StandardScaler().fit_transform(a), rtol=1e-5, atol=1e-6)


MEASURED = ("mean", "std", "fill", "means", "stds")


class TestLarge:
    """What is kept on the disk is the same table, the same preparation, the same samples."""

    @pytest.fixture
    def text(self):
        rng = np.random.default_rng(0)
        lines = ["when,town,age,sex,day,same,kept"]
        for i in range(500):
            age = "NA" if i % 7 == 0 else f"{rng.normal(40, 10):.2f}"
            town, sex = f" t{rng.integers(30)}", ["f", "m", "?"][rng.integers(3)]
            lines.append(
                f"{1.6e9 + i:.0f},{town},{age},{sex},2024-01-{1 + i % 28:02d},1,{'yes' if i % 3 else 'no'}"
            )
        return "\n".join(lines) + "\n"

    def test_it_is_the_same_table(self, tmp_path, text, monkeypatch):
        path = write(tmp_path, text)
        small = read_table(path)
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
        monkeypatch.setattr("xpnn.data.tables.stored.MANY", 64)
        large = read_table(path)
        assert type(large) is not type(small)
        assert large.rows == small.rows == 500
        assert contents(large) == contents(small)
        assert [v.kind for v in large.values()] == [v.kind for v in small.values()]
        assert contents(large.part(slice(100, 110))) == contents(small.part(slice(100, 110)))
        assert any("is large" in note for note in large.notes)

    @pytest.mark.parametrize("as_words", [(), ("code", "n", "padded")])
    def test_columns_of_every_kind(self, tmp_path, monkeypatch, as_words):
        lines = ["at,code,n,some,padded,day,yes,empty"]
        for i in range(90):
            some = i if i % 3 else "none"
            day = f"2024-02-{1 + i % 28:02d}"
            lines.append(f"10:{i % 60:02d}:07,{i % 9:03d},{i},{some}, w{i % 4} ,{day},{i % 2 == 0},")
        path = write(tmp_path, "\n".join(lines) + "\n")
        small = read_table(path, as_words=as_words)
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
        large = read_table(path, as_words=as_words)
        assert contents(large) == contents(small)
        assert [v.kind for v in large.values()] == [v.kind for v in small.values()]
        assert small["at"].kind == "dates"
        assert small["code"].data[3] == "003"

    def test_no_rows(self, tmp_path, monkeypatch):
        for large in (1 << 30, 0):
            monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", large)
            with pytest.raises(DataError, match="holds no rows"):
                read_table(write(tmp_path, "a,b\n"))

    def test_samples_that_stay_on_the_disk(self, tmp_path, text, monkeypatch):
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
        kept = load("table", write(tmp_path, text), label="kept")
        monkeypatch.setattr("xpnn.data.tables.samples.KEPT", len(kept.y_test))
        mixed = load("table", write(tmp_path, text), label="kept")
        assert all(a.flags.owndata for a in (*kept.x, kept.y, *mixed.x_test, mixed.y_test))
        assert not any(a.flags.owndata for a in (*mixed.x, mixed.y))
        for a, b in zip((*kept.x, kept.y, *kept.x_test), (*mixed.x, mixed.y, *mixed.x_test), strict=True):
            np.testing.assert_array_equal(a, b)

    @pytest.mark.parametrize("label", ["kept", "age"])
    def test_it_is_the_same_dataset(self, tmp_path, text, monkeypatch, label):
        path = write(tmp_path, text.replace(",NA,", ",33.5,") if label == "age" else text)
        small = load("table", path, label=label)
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
        monkeypatch.setattr("xpnn.data.tables.stored.MANY", 64)
        monkeypatch.setattr("xpnn.data.tables.stored.FEW", 40)
        monkeypatch.setattr("xpnn.data.tables.dataset.KEPT", 1000)
        monkeypatch.setattr("xpnn.data.tables.dataset.VALIDATION", 0.0)
        large = load("table", path, label=label)
        assert large.preparation.features == small.preparation.features
        assert large.preparation.left_out == small.preparation.left_out
        assert large.preparation.classes == small.preparation.classes
        for a, b in zip(large.preparation.columns, small.preparation.columns, strict=True):
            close = {k: pytest.approx(v, rel=1e-13) for k, v in vars(b).items() if k in MEASURED}
            assert vars(a) == vars(b) | close
        for a, b in zip((*large.x, *large.x_test), (*small.x, *small.x_test), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)
        for a, b in ((large.y, small.y), (large.y_test, small.y_test)):
            np.testing.assert_allclose(a, b, rtol=1e-13)
        assert large.validation is None

    def test_three_parts_of_which_two_are_bounded(self, tmp_path, text, monkeypatch):
        """One for the test, one to choose the best epoch by: no row is in two, and none is lost."""
        path = write(tmp_path, text)
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
        data = load("table", path)
        parts = [data.x[0], data.x_test[0], data.validation[0][0]]
        assert sum(map(len, parts)) == 500
        assert len({row.tobytes() for part in parts for row in part}) == 500
        assert len(data.validation[1]) == len(parts[2]) > 10
        monkeypatch.setattr("xpnn.data.tables.dataset.KEPT", 20)
        data = load("table", path)
        assert 0 < len(data.y_test) <= 40
        assert 0 < len(data.validation[1]) <= 40

    def test_a_class_with_one_row_is_trained_on(self, tmp_path, text, monkeypatch):
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
        monkeypatch.setattr("xpnn.data.tables.stored.MANY", 64)
        lines = text.splitlines()
        for i in range(3, 60, 2):
            lines[i] = f"{lines[i].rpartition(',')[0]},rare{i}"
        data = load("table", write(tmp_path, "\n".join(lines) + "\n"))
        assert set(data.y) == set(range(len(data.classes)))
        assert len(data.classes) == 31
        assert any("held out" in note and "rare" in note for note in data.notes)

    def test_medians_are_those_of_a_part(self, tmp_path, monkeypatch):
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
        monkeypatch.setattr("xpnn.data.tables.summary.SAMPLE", 500)
        text = "a,label\n" + "".join(f"{i},{'yn'[i % 2]}\n" for i in range(5000))
        data = load("table", write(tmp_path, text))
        (found,) = data.preparation.columns
        assert found.fill != 2499.5
        assert abs(found.fill - 2499.5) < 500
        assert any("medians are those of about 500 rows" in note for note in data.notes)

    def test_what_is_wrong_is_named(self, tmp_path, text, monkeypatch):
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
        with pytest.raises(DataError, match="line 502"):
            read_table(write(tmp_path, text + "1,2\n"))

    def test_a_small_file_may_be_a_large_table(self, tmp_path, monkeypatch):
        """A few kilobytes of gzip that would take a thousand times as much as words in memory."""
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 1 << 24)
        path = tmp_path / "bomb.csv.gz"
        line = b"x," * 63 + b"y\n"
        path.write_bytes(gzip.compress(b",".join(b"c%d" % i for i in range(64)) + b"\n" + line * 4_200))
        assert path.stat().st_size < 1 << 14
        assert isinstance(read_table(path), StoredTable)

    def test_a_full_disk_is_reported_before_it_is_full(self, monkeypatch):
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=999))
        check_room(999)
        with pytest.raises(FileError, match="TMPDIR"):
            check_room(1000)

    @pytest.mark.parametrize("label", ["kept", "town"])
    def test_the_room_that_is_asked_for_is_what_the_samples_take(self, tmp_path, text, monkeypatch, label):
        asked = []
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
        monkeypatch.setattr("xpnn.data.tables.samples.check_room", asked.append)
        data = load("table", write(tmp_path, text), label=label)
        parts = [data.x, data.x_test, data.y, data.y_test, *(data.validation or ())]
        arrays = [a for part in parts for a in (part if isinstance(part, tuple) else (part,))]
        assert asked == [sum(a.nbytes for a in arrays)]
        assert len(data.preparation.embedded) == (label != "town")

    def test_nothing_is_left_behind(self, tmp_path, text, monkeypatch):
        monkeypatch.setattr("xpnn.data.tables.duckdb_files.LARGE", 0)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
        (tmp_path / "scratch").mkdir()
        data = load("table", write(tmp_path, text))
        gc.collect()
        assert list((tmp_path / "scratch").iterdir()) == []
        assert np.isfinite(data.x[0]).all()

    def test_pages_come_back_from_the_disk(self):
        file = Scratch("float32", (3,))
        rows = np.arange(300, dtype=np.float32).reshape(100, 3)
        for start in range(0, 100, 7):
            file.write(rows[start : start + 7])
        array = file.array()
        release()
        assert np.array_equal(array, rows)
        assert not array.flags.writeable
        assert Scratch("int64").array().shape == (0,)


def test_a_packed_table_that_is_far_larger_than_its_file_is_refused(tmp_path, monkeypatch):
    """Columns of one value take no room in Parquet, however many rows there are; nothing is unpacked."""
    from xpnn.data.tables import duckdb_files

    pq = pytest.importorskip("pyarrow.parquet")
    pa = pytest.importorskip("pyarrow")
    zeros = pa.table({"a": np.zeros(1_000_000), "label": np.zeros(1_000_000, int)})
    path = tmp_path / "bomb.parquet"
    with pq.ParquetWriter(path, zeros.schema, compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(zeros)
    monkeypatch.setattr(duckdb_files, "fetched", None)
    monkeypatch.setattr(duckdb_files, "stored", None)
    with pytest.raises(DataError, match=r"bomb\.parquet would take 320,000,000 bytes, from files of"):
        read_table(path)


def test_a_table_that_keeps_duckdb_busy_is_given_up(tmp_path, monkeypatch):
    from xpnn.data.tables import duckdb_files

    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"a,label\n" + b"1,0\n" * 2_000_000))
    monkeypatch.setattr(duckdb_files, "SECONDS", 0)
    monkeypatch.setattr(duckdb_files, "SLOWEST", 1e12)
    with pytest.raises(DataError, match=r"a\.csv\.gz takes more than 0 s to look through"):
        read_table(path)


@pytest.mark.parametrize(("first", "types", "data"), [
    (["2.5", "1.5"], ["DOUBLE", "DOUBLE"], True), (["7", "8", "a"], ["BIGINT", "BIGINT", "VARCHAR"], True),
    (["0", "1", "2"], ["DOUBLE"] * 3, False), (["1", "2", "3"], ["DOUBLE"] * 3, False),
    (["2", "3", "4"], ["DOUBLE"] * 3, True), (["0", "2", "4"], ["DOUBLE"] * 3, True),
    (["a", "b"], ["DOUBLE", "DOUBLE"], False), (["1", "b"], ["DOUBLE", "DOUBLE"], False),
    (["a", "b"], ["VARCHAR", "VARCHAR"], False), (["1", "2.5"], ["DOUBLE"] * 3, False),
    (["0", "b"], ["DOUBLE", "VARCHAR"], True),
])  # fmt: skip
def test_a_first_line_of_numbers_is_data_unless_it_counts_the_columns(first, types, data):
    assert first_is_data(first, types) is data


@pytest.mark.parametrize(
    ("line", "mark"), [("a,b;c,d", ","), ("a;b;c,d", ";"), ("a\tb", "\t"), ("a|b|c,d", "|"), ("ab", "")]
)
def test_what_separates_the_names(line, mark):
    assert separator(line) == mark


@pytest.mark.parametrize("entry", ["[[]]", '[["-1.5e300",{"a":null}]]', "[]", "[1,[]]", '{"a":[[1],[2,3]]}'])
def test_lists_of_lists_are_refused_with_the_column(tmp_path, entry):
    pytest.importorskip("duckdb")
    (tmp_path / "t.jsonl").write_text(f'{{"c":{entry},"label":1}}\n' * 20)
    with pytest.raises(DataError, match=r"column 'c' holds|no column"):
        prepare_table(tmp_path / "t.jsonl")


def test_only_so_many_words_are_counted(monkeypatch):
    """Those that came first, all their rows; of the others nothing."""
    monkeypatch.setattr("xpnn.data.tables.summary.MOST_WORDS", 3)
    found = Summary("c")
    for words in (["a", "b", "a"], ["c", "d", "a"], ["d", "c", "e"]):
        found.add(as_values("c", words))
    assert dict(found.words) == {"a": 3, "b": 1, "c": 2}
    assert found.how_many() == "over 3"
