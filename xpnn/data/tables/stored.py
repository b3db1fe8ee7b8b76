"""Tables larger than memory: kept by DuckDB in a file of their own while they are used, read column by column."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from xpnn.data.tables.database import connect, db_error, identifier, literal
from xpnn.data.tables.dialect import Query
from xpnn.data.tables.table import MISSING, Table, as_values
from xpnn.data.tables.values import Values
from xpnn.errors import DataError
from xpnn.temporary_files import temporary_folder, temporary_place

MANY, FEW = 1 << 20, 1 << 16
"""Rows that are read at a time: of one column, and of all."""
AS_TEXT = ("VARCHAR", "UUID")


@dataclass(frozen=True, eq=False)
class StoredTable(Mapping[str, Values]):
    """{name: column} as `Table`, each read when it is asked for; `part` reads some of the rows.

    expressions: for each name the SQL that gives its column. folder: what is gone with the table.
    """

    name: str
    db: Any
    folder: Any
    expressions: dict[str, str]
    rows: int
    headed: bool = True
    notes: tuple[str, ...] = ()
    pixels: bool = False
    dates: str = ""

    def __getitem__(self, key: str) -> Values:
        pieces = list(self.pieces(key))
        data, missing = (np.concatenate([getattr(one, of) for one in pieces]) for of in ("data", "missing"))
        return Values(key, data, missing)

    @functools.cached_property
    def kinds(self) -> dict[str, str]:
        """{name: kind of the column}."""
        return self.part(slice(0, FEW)).kinds

    def pieces(self, name: str) -> Iterator[Values]:
        """A column, piece by piece."""
        shared: dict[str, str] = {"": ""}  # one object for all rows of one word
        for start in range(0, self.rows, MANY):
            (values,) = self._read((name,), start, start + MANY)
            if values.kind == "words" and len(shared) < MANY:
                data = np.array([shared.setdefault(word, word) for word in values.data], object)
                values = replace(values, data=data)
            yield values

    def parts(self) -> Iterator[tuple[int, Table]]:
        """All rows, part by part, each with the number of its first row."""
        for start in range(0, self.rows, FEW):
            yield start, self.part(slice(start, start + FEW))

    def __iter__(self) -> Iterator[str]:
        return iter(self.expressions)

    def __len__(self) -> int:
        return len(self.expressions)

    def __del__(self) -> None:
        self.db.close()
        self.folder.cleanup()

    def part(self, rows: slice) -> Table:
        """The rows of a slice, in memory."""
        start, stop, _ = rows.indices(self.rows)
        columns = dict(zip(self, self._read(tuple(self), start, stop), strict=True))
        return Table(self.name, columns, self.headed, self.notes, dates=self.dates)

    def _read(self, names: tuple[str, ...], start: int, stop: int) -> list[Values]:
        what = ", ".join(f"{self.expressions[name]} AS c{i}" for i, name in enumerate(names))
        query = f"SELECT {what} FROM entries WHERE rowid >= {start} AND rowid < {stop} ORDER BY rowid"
        arrays = self.db.execute(query).fetchnumpy()
        return [as_values(name, arrays[f"c{i}"], first=start + 1) for i, name in enumerate(names)]


AnyTable: TypeAlias = Table | StoredTable


def stored(paths: list[str], name: str, query: Query, as_words: tuple[str, ...] = ()) -> StoredTable:
    """The result of a query, written to a file in the folder for temporary ones; its words tidied but for `as_words`.

    Raises DuckDB's errors.
    """
    folder = temporary_folder()
    db = connect(paths, Path(folder.name) / "table.duckdb")
    try:
        try:
            db.execute(f"CREATE TABLE entries AS {query.sql}", [paths])
        except db_error() as error:
            if not query.whole or "onver" not in str(error):
                raise
            db.execute(f"CREATE TABLE entries AS {query.whole}", [paths])
        (rows,) = db.execute("SELECT count(*) FROM entries").fetchone()
        if not rows:
            raise DataError(f"{name} holds no rows", why="wanted columns with a row for each sample")
        found = tidied(db, query.headed, as_words)
    except BaseException:
        db.close()
        folder.cleanup()
        raise
    note = (
        f"{name} is large, and kept in {temporary_place()[0]} while it is used (TMPDIR chooses another place)"
    )
    return StoredTable(name, db, folder, found, rows, query.headed, (*query.notes, note), dates=query.dates)


def tidied(db: Any, headed: bool, as_words: tuple[str, ...] = ()) -> dict[str, str]:
    """For each column the SQL of its tidied entries: see `tidy`, of which this is the same for tables on the disk."""
    kinds = db.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'entries'"
    ).fetchall()
    expressions = {}
    for i, (name, kind) in enumerate(kinds):
        sql, known = identifier(name), name if headed else str(i)
        if kind in AS_TEXT and known in as_words:
            sql = f"CAST({sql} AS VARCHAR)"
        elif kind in AS_TEXT:
            sql = f"trim(CAST({sql} AS VARCHAR))"
            sql = f"CASE WHEN {sql} IN ({', '.join(map(literal, sorted(MISSING)))}) THEN NULL ELSE {sql} END"
            number = f"try_cast({sql} AS DOUBLE)"
            code = f"count_if(regexp_full_match({sql}, '0\\d+'))"
            what = f"count({sql}), count({number}), {code}"
            there, numbers, codes = db.execute(f"SELECT {what} FROM entries").fetchone()
            sql = number if there == numbers and there and not codes else sql
        elif kind == "TIME":
            sql = f"DATE '1970-01-01' + {sql}"
        expressions[known] = sql
    return expressions
