"""How files of tables are written: for each form the whole table, its names and what is said of it."""

import gzip
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from xpnn.data import read_table
from xpnn.data.tables import duckdb_files
from xpnn.data.tables.database import in_words
from xpnn.data.tables.dialect import comments
from xpnn.data.tables.files import TableFile, described, expand, is_table, plainly_named, standard_input
from xpnn.data.tables.stored import StoredTable
from xpnn.data.tables.whitespace import separated_by_whitespace, write_with_tabs
from xpnn.errors import DataError, FileError

NAMED = {"a": ["1", "2"], "b": ["x", "y"]}
COMMA = "numbers are read with a decimal comma"
TAKEN = "the first line is taken for the names of the columns"
DAY, DAYS = "2024-04-03T00:00:00.000000", "dates are read as %d/%m/%Y"


def contents(path, **given):
    """({name: words}, whether it has names of its own, notes, how dates are written)."""
    table = read_table(path, **given)
    return {key: one.words().tolist() for key, one in table.items()}, table.headed, table.notes, table.dates


@pytest.mark.parametrize(("text", "columns", "notes"), [
    ("a,b\n1,x\n2,y\n", NAMED, ()),
    ("a|b\n1|x\n2|y\n", NAMED, ()),
    ("a,b\n 1 , x\n 2 , y\n", NAMED, ()),
    ("a\n1\n2\n", {"a": ["1", "2"]}, ()),
    ("a,b\nNA,x\n?,y\n1,\n", {"a": ["", "", "1"], "b": ["x", "y", ""]}, ()),
    ("a^x,b\n1,x\n2,y\n", {"a^x": ["1", "2"], "b": ["x", "y"]}, ()),
    ("a^b\n1^x\n2^y\n", NAMED, ("columns are separated by '^'",)),
    ("a^2~b~c\n1~x~3\n2~y~4\n", {"a^2": ["1", "2"], "b": ["x", "y"], "c": ["3", "4"]},
        ("columns are separated by '~'",)),
    ("a\x01b\n1\x01x\n2\x01y\n", NAMED, ("columns are separated by '\\x01'",)),
    ("sep=,b\n1,x\n2,y\n", {"sep=": ["1", "2"], "b": ["x", "y"]}, ()),
    ("sep=;\na;b\n1,5;x\n2,5;y\n", {"a": ["1.5", "2.5"], "b": ["x", "y"]},
        ("the first line says that columns are separated by ';'", COMMA)),
    ("# one\n\n# two\na,b\n1,x\n2,y\n", NAMED,
        ("3 lines before the names of the columns are left out: comments, or empty",)),
    ("# a\tb\n1\tx\n2\ty\n", NAMED, ("the first line, a comment, is taken for the names of the columns",)),
    ("a;b\n1,5;x\n2,5;y\n", {"a": ["1.5", "2.5"], "b": ["x", "y"]}, (COMMA,)),
    ("a;b;c\n1,5;x;2.5\n2,5;y;3.5\n", {"a": ["1,5", "2,5"], "b": ["x", "y"], "c": ["2.5", "3.5"]}, ()),
    ("A,a,b\n1,2,x\n2,3,y\n", {"A": ["1", "2"], "a_1": ["2", "3"], "b": ["x", "y"]},
        ("columns of the same name get a number: A, a_1, b",)),
    ("0,1,2\n5,6,7\n7,8,9\n", {"0": ["5", "7"], "1": ["6", "8"], "2": ["7", "9"]}, (TAKEN,)),
])  # fmt: skip
def test_a_file_with_names(text, columns, notes, tmp_path):
    pytest.importorskip("duckdb")
    (tmp_path / "t.csv").write_text(text)
    assert contents(tmp_path / "t.csv") == (columns, True, notes, "")


@pytest.mark.parametrize(("text", "columns"), [
    ("1,x\n2,y\n3,x\n", {"0": ["1", "2", "3"], "1": ["x", "y", "x"]}),
    ("1.5,x\n2,y\n3,x\n", {"0": ["1.5", "2", "3"], "1": ["x", "y", "x"]}),
    ("0,1\n5,6\n7,8\n", {"0": ["0", "5", "7"], "1": ["1", "6", "8"]}),  # two columns are too few to count
    ("1,2,3\n5,6,7\n7,8,9\n", {"0": ["1", "5", "7"], "1": ["2", "6", "8"], "2": ["3", "7", "9"]}),
])  # fmt: skip
def test_a_file_without_names(text, columns, tmp_path):
    pytest.importorskip("duckdb")
    (tmp_path / "t.csv").write_text(text)
    assert contents(tmp_path / "t.csv") == (columns, False, (), "")


@pytest.mark.parametrize(
    ("label", "headed"), [("1", False), ("-1", False), (1, False), (None, False), ("x", True)]
)
def test_a_first_line_with_the_name_of_the_label_is_no_data(label, headed, tmp_path):
    """A label of digits is the number of a column."""
    pytest.importorskip("duckdb")
    (tmp_path / "t.csv").write_text("1,x,-1\n2,y,7\n3,x,8\n")
    columns, found, notes, _ = contents(tmp_path / "t.csv", label=label)
    assert (list(columns), found, notes) == (
        (["1", "x", "-1"], True, (TAKEN,)) if headed else (["0", "1", "2"], False, ())
    )


@pytest.mark.parametrize(("cell", "given", "words", "notes", "dates"), [
    ("2024-04-03", {}, DAY, (), ""),
    ("03/04/2024", {}, DAY, (DAYS,), "%d/%m/%Y"),
    ("03/04/2024", {"dates": "%d/%m/%Y"}, DAY, (), "%d/%m/%Y"),
    ("04/03/2024", {"dates": "%m/%d/%Y"}, DAY, (), "%m/%d/%Y"),
    ("03/04/2024 10:30", {"dates": "%d/%m/%Y %H:%M"}, "2024-04-03T10:30:00.000000", (), "%d/%m/%Y %H:%M"),
    ("2024-04-03T01:00:00+02:00", {}, "2024-04-02T23:00:00.000000", ("times with a zone are read in UTC: 'd'",), ""),
    ("1.50", {}, "1.5", (), ""),
    ("1.50", {"as_words": ("d",)}, "1.50", (), ""),
    ("1.50", {"as_words": ("label",)}, "1.5", (), ""),
    ("true", {"label": "d"}, "true", (), ""),
])  # fmt: skip
def test_a_column_of_one_kind(cell, given, words, notes, dates, tmp_path):
    pytest.importorskip("duckdb")
    (tmp_path / "t.csv").write_text(f"d,label\n{cell},x\n{cell},y\n")
    columns = {"d": [words] * 2, "label": ["x", "y"]}
    assert contents(tmp_path / "t.csv", **given) == (columns, True, notes, dates)


@pytest.mark.parametrize(("text", "what", "why", "fix"), [
    ("My table\na,b\n1,x\n2,y\n3,x\n", "t.csv begins with 'My table', which is no row of a table",
        "the table itself seems to begin in line 2", "remove the lines before it, or begin each of them with #"),
    ("# one\nno comment\na,b\n1,x\n2,y\n", "t.csv begins with '# one', which is no row of a table",
        "the table itself seems to begin in line 3", "remove the lines before it, or begin each of them with #"),
    ("My, table\na,b,c\n1,x,2\n2,y,3\n", "t.csv, line 2 cannot be read as a table",
        "Expected Number of Columns: 2 Found: 3", "give every column a name in the first line"),
    ("a,b\n1,2,3\n4,5,6\n7,8,9\n", "t.csv, line 2 cannot be read as a table",
        "Expected Number of Columns: 2 Found: 3", "give every column a name in the first line"),
    ('"a", b\n1\n2\n3\n', "t.csv, line 2 cannot be read as a table",
        "Expected Number of Columns: 2 Found: 1", "give every column a name in the first line"),
    ("a,b\n1,2\n3,4\n5\n", "t.csv, line 4 cannot be read as a table",
        "Expected Number of Columns: 2 Found: 1", "correct that line"),
    ("a,a\n1\n2\n3\n", "t.csv has two columns of one name in its first line", "", "rename one of them"),
])  # fmt: skip
def test_lines_that_are_no_rows(text, what, why, fix, tmp_path):
    pytest.importorskip("duckdb")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "t.csv")
    error = caught.value
    assert (error.what, error.why, error.fix) == (f"{tmp_path}/{what}", why, fix)


def test_types_are_read_anew_where_only_the_first_rows_fit(tmp_path):
    """DuckDB looks at 20,480 rows; the word behind them is read, too."""
    pytest.importorskip("duckdb")
    (tmp_path / "t.csv").write_text("a,label\n" + "1,x\n" * 21_000 + "word,y\n")
    words = read_table(tmp_path / "t.csv")["a"].words()
    assert (len(words), words[0], words[-1]) == (21_001, "1", "word")


@pytest.mark.parametrize(("lines", "count", "wanted"), [
    (["# a", "b"], 1, True), (["# a", "b"], 2, False), (["", "  ", " # a", "b"], 3, True), (["a"], 3, False),
    (["b", "# a"], 2, False), (["# a"], 3, True),
])  # fmt: skip
def test_lines_that_are_comments(lines, count, wanted, tmp_path):
    (tmp_path / "t.csv").write_text("\n".join(lines))
    assert comments(str(tmp_path / "t.csv"), count) is wanted
    assert comments(str(tmp_path / "none.csv"), count) is False


@pytest.mark.parametrize(("lines", "wanted"), [
    (["a b", "1 2"], True), (["a b"], False), ([], False), (["a", "x 1"], True), (["a b", "x 1 2"], True),
    (["a b", "w x 1 2"], False), (["a b c", "1 2"], False), (["a", "1"], False), (["a b", "1 2", "3"], False),
    (["a b", "1 2"] + ["1 2"] * 17 + ["3"], False), (["a b", "1 2"] + ["1 2"] * 18 + ["3"], True),
    (["a,b c", "1 2"], False), (["a;b c", "1 2"], False), (["a|b c", "1 2"], False), (["a\tb c", "1 2"], False),
    (['"a b" c', "1 2"], True), (['"a b"', '"1 2"'], False), (["", "a b", " ", "1 2"], True),
])  # fmt: skip
def test_what_white_space_separates(lines, wanted, tmp_path):
    path = tmp_path / "t.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    assert separated_by_whitespace(TableFile(path, "csv")) is wanted
    assert not separated_by_whitespace(TableFile(path, "json"))
    assert not separated_by_whitespace(TableFile(path, "csv", ".gz"))
    path.write_bytes(b"a b\n1 \xff\n")
    assert not separated_by_whitespace(TableFile(path, "csv"))


@pytest.mark.parametrize(("text", "wanted"), [
    ("a  b\n1 2\n\n 3   4 \n", "a\tb\n1\t2\n3\t4\n"),
    ("a b\nx 1 2\ny 3 4\n", '""\ta\tb\nx\t1\t2\ny\t3\t4\n'),
    ('\ufeff# a "b c"\n1 "d e"\n', 'a\t"b c"\n1\t"d e"\n'),
    ("a b\n# x 1\n", '""\ta\tb\n#\tx\t1\n'),
])  # fmt: skip
def test_gaps_become_tabs(text, wanted, tmp_path):
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    write_with_tabs(tmp_path / "t.txt", tmp_path / "out.tsv")
    assert (tmp_path / "out.tsv").read_text(encoding="utf-8") == wanted


GZ, ZST, PARQUET = gzip.compress(b"a,b\n1,2\n", mtime=0), b"\x28\xb5\x2f\xfd\0", b"PAR1\0"


@pytest.mark.parametrize(("name", "content", "wanted"), [
    ("a.csv", b"x", ("csv", "")), ("a.TSV", b"x", ("csv", "")), ("a.data", b"{", ("csv", "")), ("a", b"x", ("csv", "")),
    ("a", b"{", ("json", "")), ("a", b" \n[", ("json", "")), ("a.b", b"[", ("json", "")),
    ("a.jsonl", b"x", ("json", "")),
    ("a", GZ, ("csv", ".gz")), ("a.csv", GZ, ("csv", ".gz")), ("a.json.gz", GZ, ("json", ".gz")),
    ("a.csv", ZST, ("csv", ".zst")), ("a.ndjson.ZST", ZST, ("json", ".zst")), ("a.zst", GZ, ("csv", ".gz")),
    ("a.gz", b"{", ("csv", ".gz")), ("a.csv.zst", b"x", ("csv", ".zst")),
    ("a.parquet", PARQUET, ("parquet", "")), ("a.csv", PARQUET, ("parquet", "")),
    ("a.csv.gz", PARQUET, ("parquet", "")),
])  # fmt: skip
def test_the_format_of_a_file(name, content, wanted, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    assert described(path) == TableFile(path, *wanted)
    found = described(path, "standard input")
    assert (str(found), found.path) == ("standard input", path)
    assert str(described(path)) == str(path)


@pytest.mark.parametrize(("name", "content", "words"), [
    ("a.csv", b"", "a.csv is empty"), ("a.pq", b"PAR2", "a.pq is no Parquet file"),
    ("a.parquet", GZ, "a.parquet is no Parquet file"), ("a.csv", b"BZh9", "packed with bzip2"),
    ("a.csv", b"\xfd7zXZ\0", "packed with xz"), ("a.csv", b"7z\xbc\xaf", "a 7z archive"),
    ("a.csv", b"\xd0\xcf\x11\xe0", "a workbook of Excel"), ("a.csv", b"SQLite format 3\0", "a database of SQLite"),
    ("a.csv", b"ARROW1", "a file of Arrow or Feather"), ("a.csv", b"\x89HDF", "an HDF5 file"),
    ("a.csv", b"\x80\x04x", "a pickle"), ("a.csv", b"\x80\x05x", "a pickle"), ("a.csv", b"<HTML>", "a web page"),
    ("a.csv", b"@RELATION x", "an ARFF file"), ("a.csv", b"\xfe\xff\0a", "text in UTF-16"),
    ("a.csv", b"1 1:2 3:.5\n", "the form of LIBSVM"), ("a.csv", b"-1e3 qid:7 4:-1E-2\n", "the form of LIBSVM"),
])  # fmt: skip
def test_the_first_bytes_of_what_is_no_table(name, content, words, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        described(tmp_path / name)


@pytest.mark.parametrize(("name", "wanted"), [
    ("a.csv", True), ("a.CSV.GZ", True), ("a.pq.zst", True), ("a.gz", False), ("a", False), ("a.png", False),
    ("a.csv.png", False), (".csv", False), ("a.csv.gz.gz", False),
])  # fmt: skip
def test_which_names_are_those_of_tables(name, wanted):
    assert is_table(Path(name)) is wanted


def test_the_files_that_a_name_stands_for(tmp_path, monkeypatch):
    for name in (
        "b.csv",
        "a.csv",
        ".hidden.csv",
        "c.png",
        "sub/d.csv",
        "sub/deep/e.csv",
        "x[1].csv",
        "x1.csv",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    def names(pattern):
        return [str(path.relative_to(tmp_path)) for path in expand(pattern)]

    assert names(tmp_path) == ["a.csv", "b.csv", "x1.csv", "x[1].csv"]
    assert names(f"{tmp_path}/?.csv") == ["a.csv", "b.csv"]
    assert names(tmp_path / "x[1].csv") == ["x[1].csv"]
    assert names(tmp_path / "x[12].csv") == ["x1.csv"]
    assert names(tmp_path / "c.png") == ["c.png"]
    assert names(tmp_path / "sub" / "**" / "*.csv") == ["sub/d.csv", "sub/deep/e.csv"]
    monkeypatch.setenv("HOME", str(tmp_path))
    assert names("~/a.csv") == ["a.csv"]


@pytest.mark.parametrize(("name", "what", "why", "fix"), [
    ("none.csv", "no sheet at {}/none.csv", "No such file or directory", "check the path"),
    ("*.pq", "no sheet at {}/*.pq", "No such file or directory", "check the path"),
    ("empty", "no sheet in the folder {}/empty", "wanted a file in one of .csv, .tsv, .txt, .data, .parquet, .pq, "
        ".json, .jsonl, .ndjson, also packed as .gz or .zst", "name a file, or a folder that holds some"),
    ("a\0.csv", "no sheet at {}/a\0.csv", "No such file or directory", "check the path"),
])  # fmt: skip
def test_names_that_stand_for_no_file(name, what, why, fix, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileError) as caught:
        expand(tmp_path / name, "sheet")
    assert (caught.value.what, caught.value.why, caught.value.fix) == (what.format(tmp_path), why, fix)
    with pytest.raises(FileError, match="no table"):
        expand(tmp_path / name)


def test_files_get_plain_names_for_a_while(tmp_path):
    files = []
    for name, form, packed in (("a[1].csv", "csv", ""), ("b*", "json", ".gz")):
        (tmp_path / name).write_text(name)
        files.append(TableFile(tmp_path / name, form, packed))
    with plainly_named(files) as paths:
        assert [Path(path).name for path in paths] == ["0.csv", "1.json.gz"]
        assert [Path(path).read_text() for path in paths] == ["a[1].csv", "b*"]
    assert not any(Path(path).exists() for path in paths)
    assert (tmp_path / "b*").read_text() == "b*"


def test_standard_input_is_a_file_for_a_while(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a,b\n")))
    with standard_input() as path:
        assert path.read_bytes() == b"a,b\n"
    assert not path.exists()
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(FileError, match="cannot read standard input"), standard_input():
        pass


def test_several_formats_are_named_in_order(tmp_path):
    for name, text in (("b.json", "{}"), ("a.csv", "a,b\n1,2\n")):
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match="holds files of several formats: csv, json"):
        read_table(tmp_path)


ROWS = b"n,w\n1,x\n2,y\n3,z\n"


def weighed(path, monkeypatch):
    """How many bytes a table is said to take in memory, and whether it is kept on the disk."""
    found = []
    monkeypatch.setattr(duckdb_files, "check_weight", lambda wanted, name, files: found.append(wanted))
    return found, isinstance(read_table(path), StoredTable)


@pytest.mark.parametrize(("name", "small", "wanted"), [
    ("t.csv", 17, 16), ("t.csv", 16, 3 * 72), ("t.csv.gz", 1 << 25, 3 * 72), ("t.parquet", 1 << 25, 3 * 72),
    ("t.jsonl", 1 << 25, 48), ("t.jsonl", 0, 3 * 72),
])  # fmt: skip
def test_the_estimated_size_of_a_table_in_memory(name, small, wanted, tmp_path, monkeypatch):
    """The bytes of a small text; else 8 for a number and 64 for a word of each row. A large table is not in memory."""
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / name
    data = {"t.csv": ROWS, "t.csv.gz": gzip.compress(ROWS), "t.parquet": b"",
            "t.jsonl": b"".join(b'{"n":%d,"w":"x"}\n' % i for i in range(3))}[name]  # fmt: skip
    path.write_bytes(data)
    if name == "t.parquet":
        duckdb.sql(f"COPY (SELECT 1::BIGINT n, 'x' w FROM range(3)) TO '{path}'")
    monkeypatch.setattr(duckdb_files, "SMALL", small)
    monkeypatch.setattr(duckdb_files, "LARGE", wanted + 1)
    assert weighed(path, monkeypatch) == ([wanted], False)
    monkeypatch.setattr(duckdb_files, "LARGE", wanted)
    assert weighed(path, monkeypatch) == ([wanted], True)


def test_a_file_with_blanks_stays_as_it_is(tmp_path):
    """What is read is a copy with tabs."""
    pytest.importorskip("duckdb")
    (tmp_path / "t.txt").write_text("a b\n1 x\n2 y\n")
    assert contents(tmp_path / "t.txt") == (NAMED, True, ("columns are separated by white space",), "")
    assert (tmp_path / "t.txt").read_text() == "a b\n1 x\n2 y\n"


def test_columns_of_several_files_are_compared_up_to_a_thousand(tmp_path, monkeypatch):
    pytest.importorskip("duckdb")
    for name, text in (("1.csv", "a,b\n1,x\n"), ("2.csv", "b,a\ny,2\n"), ("3.csv", "a,c\n3,z\n")):
        (tmp_path / name).write_text(text)
    columns = {"a": ["1", "2", "3"], "b": ["x", "y", ""], "c": ["", "", "z"]}
    note = "only some of the 3 files have 'b', 'c': missing in the others"
    assert contents(tmp_path) == (columns, True, (note,), "")
    assert contents(tmp_path / "[12].csv") == (NAMED, True, (), "")
    monkeypatch.setattr(duckdb_files, "COMPARED", 3)
    assert contents(tmp_path)[2] == (note,)
    monkeypatch.setattr(duckdb_files, "COMPARED", 2)
    assert contents(tmp_path)[2] == ()


def test_times_with_a_zone_in_a_file_of_types(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    db = duckdb.connect()
    db.execute("SET timezone = 'UTC'")
    db.execute(f"COPY (SELECT TIMESTAMPTZ '2024-03-10 01:00:00+02' t, 1 n) TO '{tmp_path}/t.parquet'")
    columns = {"t": ["2024-03-09T23:00:00.000000"], "n": ["1"]}
    assert contents(tmp_path / "t.parquet") == (
        columns,
        True,
        ("times with a zone are read in UTC: 't'",),
        "",
    )


@pytest.mark.parametrize(("row", "fine"), [
    ('{"a":[1,2],"b":[3]}', False), ('{"a":{"x":1}}', False), ('{"a":[1],"b":{"x":1}}', False),
    ('{"a":1,"b":"x"}', True),
])  # fmt: skip
def test_json_of_columns(row, fine, tmp_path):
    pytest.importorskip("duckdb")
    (tmp_path / "t.json").write_text(row)
    if fine:
        assert contents(tmp_path / "t.json")[0] == {"a": ["1"], "b": ["x"]}
        return
    with pytest.raises(DataError, match=r"t\.json holds columns or lists, not rows"):
        read_table(tmp_path / "t.json")


def test_a_table_that_takes_too_long_says_how_long(tmp_path, monkeypatch):
    """So many seconds, and one more for each of so many bytes."""
    pytest.importorskip("duckdb")
    (tmp_path / "t.csv").write_bytes(ROWS)
    stopped, Stopped = [], type("InterruptException", (Exception,), {})
    monkeypatch.setattr(duckdb_files, "db_error", lambda: (Stopped,))
    monkeypatch.setattr(duckdb_files, "SLOWEST", 4)
    files = [TableFile(tmp_path / "t.csv", "csv")]
    database = SimpleNamespace(interrupt=lambda: stopped.append(1))
    with pytest.raises(DataError) as caught, duckdb_files.deadline(database, "t", files):
        raise Stopped
    assert (caught.value.what, stopped) == ("t takes more than 124 s to look through", [])
    Stopped.__name__ = "OtherException"
    with pytest.raises(Stopped), duckdb_files.deadline(database, "t", files):
        raise Stopped
    monkeypatch.setattr(duckdb_files, "SECONDS", -4)
    with duckdb_files.deadline(database, "t", files):
        while len(stopped) < 2:
            pass
    assert len(stopped) >= 2


COPIES = {
    "/x/0.csv": TableFile(Path("a.csv"), "csv"),
    "/x/1.csv": TableFile(Path("stdin"), "csv", name="input"),
}
COUNTED = "Expected Number of Columns: 2 Found: 3"


@pytest.mark.parametrize(("text", "what", "why", "fix"), [
    (f"Invalid Input Error: CSV Error on Line: 1234\n {COUNTED} \nfile = /x/1.csv",
        "input, line 1,234 cannot be read as a table", COUNTED, "correct that line"),
    (f"Invalid Input Error: CSV Error on Line: 2\nOriginal Line: a\n{COUNTED}", "t, line 2 cannot be read as a table",
        COUNTED, "give every column a name in the first line"),
    ("Invalid Input Error: CSV Error on Line: 2\nError when converting /x/0.csv to /x/1.csv",
        "a.csv, line 2 cannot be read as a table", "Error when converting a.csv to input", "correct that line"),
    ("IO Error: Could not read /x/0.csv\nInvalid something", "a.csv cannot be read as a table", "Invalid something",
        "check how the file was written"),
    ("Invalid Input Error: Malformed\n\n other", "t cannot be read as a table", "Malformed",
        "check how the file was written"),
    ("IO Error: " + 300 * "x", "t cannot be read as a table", 200 * "x", "check how the file was written"),
    ("Invalid Input Error: bad unicode in /x/0.csv", "a.csv is not text in UTF-8", "bad unicode in a.csv",
        "save it in UTF-8"),
    ("Invalid Input Error: Error when sniffing file.\nThe search space used was:\nEncoding: utf-8",
        "t cannot be read as a table", "Error when sniffing file.", "check how the file was written"),
    ("Error: CSV Error on Line: 7\nCould not: Utf-8", "t, line 7 is not text in UTF-8", "Could not: Utf-8",
        "save it in UTF-8"),
])  # fmt: skip
def test_what_duckdb_says_of_a_file(text, what, why, fix):
    found = in_words(RuntimeError(text), "t", COPIES)
    assert (found.what, found.why, found.fix) == (what, why, fix)


@pytest.mark.parametrize(("text", "given", "columns"), [
    ("true,x\nfalse,a\ntrue,b\nfalse,a\n", {}, {"true": ["false", "true", "false"], "x": ["a", "b", "a"]}),
    ("1,x\n2.50,a\n3.50,b\n", {"as_words": ("1",)}, {"1": ["2.50", "3.50"], "x": ["a", "b"]}),
    ("1,x\n2.50,a\n3.50,b\n", {}, {"1": ["2.5", "3.5"], "x": ["a", "b"]}),
])  # fmt: skip
def test_types_are_those_below_a_first_line_that_the_label_names(text, given, columns, tmp_path):
    pytest.importorskip("duckdb")
    (tmp_path / "t.csv").write_text(text)
    assert contents(tmp_path / "t.csv", label="x", **given) == (columns, True, (TAKEN,), "")
