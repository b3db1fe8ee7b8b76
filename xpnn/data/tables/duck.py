"""Tables through DuckDB: CSV, TSV, Parquet, JSON lines, packed or not; in memory, or on the disk if they are large."""

import contextlib
import os
from typing import Any

from xpnn.data.tables.database import connect, db_error, in_words
from xpnn.data.tables.dialect import Query, csv_query
from xpnn.data.tables.files import TableFile, plainly_named
from xpnn.data.tables.stored import AnyTable, stored
from xpnn.data.tables.table import Table, as_values, make_table, numbered_columns
from xpnn.errors import DataError

LARGE = 1 << 29
"""Bytes from which a table is kept on the disk: of text as it is, of what is packed as it might be unpacked."""
PACKING = {"csv": 1, "json": 1, "parquet": 4}


def read_files(
    files: list[TableFile], name: str, label: str | int | None = None, as_words: tuple[str, ...] = ()
) -> AnyTable:
    """The files, one below the other, matched by the names of their columns.

    `label` helps to see whether the first line is a header; columns in `as_words` are read as they are written. Raises
    BackendError without DuckDB, DataError for what is no table.
    """
    formats = {file.format for file in files}
    if len(formats) > 1:
        raise DataError(f"{name} holds files of several formats: {', '.join(sorted(formats))}")
    with plainly_named(files) as paths:
        try:
            if sum(map(weight, files)) >= LARGE:
                return stored(paths, name, lambda db: query_of(db, formats, paths, name, label, as_words))
            with contextlib.closing(connect(paths)) as db:
                return fetched(db, query_of(db, formats, paths, name, label, as_words), paths, name, as_words)
        except db_error() as error:
            raise in_words(error, name, dict(zip(paths, files, strict=True))) from error


def weight(file: TableFile) -> int:
    """About how many bytes a file takes in memory."""
    return os.stat(file.path).st_size * PACKING[file.format] * (8 if file.packed else 1)


def query_of(
    db: Any,
    formats: set[str],
    paths: list[str],
    name: str,
    label: str | int | None,
    as_words: tuple[str, ...],
) -> Query:
    """What reads the files."""
    if formats == {"csv"}:
        return csv_query(db, paths, name, label, as_words)
    call = "read_parquet(?, hive_partitioning=false" if formats == {"parquet"} else "read_json(?"
    return Query(f"SELECT * FROM {call}, union_by_name=true)")


def fetched(db: Any, query: Query, paths: list[str], name: str, as_words: tuple[str, ...]) -> Table:
    """The result of a query in memory."""
    try:
        arrays = db.execute(query.sql, [paths]).fetchnumpy()
    except db_error() as error:
        if not query.whole or "onver" not in str(error):
            raise
        arrays = db.execute(query.whole, [paths]).fetchnumpy()
    columns = {column: as_values(column, data) for column, data in arrays.items()}
    table = make_table(name, columns if query.headed else numbered_columns(columns), as_words)
    return Table(name, table.columns, query.headed, query.notes)
