"""Tables through DuckDB: CSV, TSV, Parquet, JSON lines, packed or not; in memory, or on the disk if they are large."""

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from xpnn.data.tables.database import connect, db_error, in_words
from xpnn.data.tables.dialect import Query, csv_query, zone_line
from xpnn.data.tables.files import TableFile, plainly_named
from xpnn.data.tables.stored import AnyTable, stored
from xpnn.data.tables.table import Table, as_values, make_table, numbered_columns
from xpnn.data.tables.whitespace import separated_by_whitespace, write_with_tabs
from xpnn.errors import DataError
from xpnn.printing import listed

LARGE = 1 << 29
"""Bytes in memory from which a table is kept on the disk."""
SMALL = 1 << 25
"""Bytes of text up to which rows need not be counted."""
NUMBER, WORD = 8, 64
"""Bytes in memory of an entry."""
SECONDS, SLOWEST = 120, 500_000
"""Files are looked through for so many seconds, and one more for each of so many bytes."""
NESTED = ("STRUCT", "MAP")
"""What the types of columns begin with that hold objects."""
COMPARED = 1000
"""Files up to which the names of their columns are compared."""
FREE, RATIO = 1 << 28, 200
"""A table may take so many bytes in memory whatever the size of its files, and so many for each of their bytes."""


def read_files(
    files: list[TableFile],
    name: str,
    label: str | int | None = None,
    as_words: tuple[str, ...] = (),
    dates: str = "",
) -> AnyTable:
    """The files, one below the other, matched by the names of their columns.

    `label` helps to see whether the first line is a header; columns in `as_words` are read as they are written, and
    dates of a CSV file as `dates` says. Raises BackendError without DuckDB, DataError for what is no table.
    """
    formats = {file.format for file in files}
    if len(formats) > 1:
        raise DataError(f"{name} holds files of several formats: {', '.join(sorted(formats))}")
    with plainly_named(files) as paths:
        notes = respaced(files, paths)
        try:
            with contextlib.closing(connect(paths)) as db:
                with deadline(db, name, files):
                    query = query_of(db, formats, paths, name, label, as_words, dates)
                    query = replace(query, notes=(*notes, *query.notes))
                    wanted = weight(db, query, paths, files)
                check_weight(wanted, name, files)
                if wanted < LARGE:
                    return fetched(db, query, paths, name, as_words)
            return stored(paths, name, query, as_words)
        except db_error() as error:
            raise in_words(error, name, dict(zip(paths, files, strict=True))) from error


def respaced(files: list[TableFile], paths: list[str]) -> list[str]:
    """Puts files whose columns are separated by white space in place with tabs; a note about it."""
    found = [(file, path) for file, path in zip(files, paths, strict=True) if separated_by_whitespace(file)]
    for file, path in found:
        Path(path).unlink()
        write_with_tabs(file.path, Path(path))
    return ["columns are separated by white space"] if found else []


def size_of(files: list[TableFile]) -> int:
    """Bytes on the disk."""
    return sum(os.stat(file.path).st_size for file in files)


def check_weight(wanted: int, name: str, files: list[TableFile]) -> None:
    """Raise DataError for a table that is far larger than its files: they were made to fill the memory."""
    if wanted > FREE + RATIO * size_of(files):
        raise DataError(
            f"{name} would take {wanted:,} bytes, from files of {size_of(files):,}",
            why=f"at most {RATIO} bytes are unpacked for each byte of a file, and {FREE:,} always",
            fix="write the table less packed, such as to Parquet without compression or to CSV",
        )


@contextlib.contextmanager
def deadline(db: Any, name: str, files: list[TableFile]) -> Iterator[None]:
    """Raise DataError where looking through the files takes far longer than their size explains."""
    seconds = SECONDS + size_of(files) / SLOWEST
    done = threading.Event()

    def interrupt() -> None:
        """Interrupt until it is noticed: DuckDB forgets an interrupt that comes between two queries."""
        finished = done.wait(seconds)
        while not finished:
            db.interrupt()
            finished = done.wait(0.05)

    watch = threading.Thread(target=interrupt, daemon=True)
    watch.start()
    try:
        yield
    except db_error() as error:
        if type(error).__name__ != "InterruptException":
            raise
        raise DataError(
            f"{name} takes more than {seconds:.0f} s to look through",
            why="it unpacks to far more than its size, or holds a very long line",
            fix="check how the file was written",
        ) from error
    finally:
        done.set()
        watch.join()


def weight(db: Any, query: Query, paths: list[str], files: list[TableFile]) -> int:
    """About how many bytes the table takes in memory. A small file may stand for a large table where it is packed."""
    size = size_of(files)
    if size < SMALL and all(file.format != "parquet" and not file.packed for file in files):
        return size
    kinds = columns_of(db, query, paths).values()
    (rows,) = db.execute(f"SELECT count(*) FROM ({query.sql})", [paths]).fetchone()
    return int(rows) * sum(WORD if kind == "VARCHAR" else NUMBER for kind in kinds)


def query_of(
    db: Any,
    formats: set[str],
    paths: list[str],
    name: str,
    label: str | int | None,
    as_words: tuple[str, ...],
    dates: str,
) -> Query:
    """What reads the files, with a note of the columns that only some of them have."""
    if formats == {"csv"}:
        query = csv_query(db, paths, name, label, as_words, dates)
    else:
        call = "read_parquet(?, hive_partitioning=false" if formats == {"parquet"} else "read_json(?"
        query = Query(f"SELECT * FROM {call}, union_by_name=true)")
    several, notes = 1 < len(paths) <= COMPARED and query.headed, list(query.notes)
    kinds = columns_of(db, query, paths) if several or formats != {"csv"} else {}
    if formats == {"json"} and all(kind.endswith("]") or kind.startswith(NESTED) for kind in kinds.values()):
        raise DataError(
            f"{name} holds columns or lists, not rows",
            why="wanted an object for each row, one on a line or all in a list",
            fix="of a DataFrame: to_json(path, orient='records', lines=True)",
        )
    if formats != {"csv"}:
        notes += zone_line(kinds)
    if several:
        have = [set(columns_of(db, query, [path])) for path in paths]
        some = [column for column in kinds if not all(column in one for one in have)]
        if some:
            notes.append(f"only some of the {len(paths)} files have {listed(some)}: missing in the others")
    return replace(query, notes=tuple(notes))


def columns_of(db: Any, query: Query, paths: list[str]) -> dict[str, str]:
    """{name: DuckDB's type} of the columns that a query gives for those files."""
    return {name: kind for name, kind, *_ in db.execute(f"DESCRIBE {query.sql}", [paths]).fetchall()}


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
    return Table(name, table.columns, query.headed, query.notes, dates=query.dates)
