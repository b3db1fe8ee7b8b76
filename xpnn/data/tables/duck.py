"""Tables through DuckDB: CSV, TSV, Parquet, JSON lines, packed or not.

DuckDB may read the named files and nothing else: no other path, no network, no extension. Nothing that a file says
becomes SQL unquoted; its memory and threads are bounded.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from xpnn.data.tables.files import TableFile, plainly_named
from xpnn.data.tables.table import MISSING, Table, as_values, make_table
from xpnn.errors import BackendError, DataError, first_line

MEMORY, THREADS = "1GB", 2
WHOLE = re.compile(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?")
LINE = re.compile(r"CSV Error on Line: (\d+)")


def read_files(
    files: list[TableFile], name: str, label: str | int | None = None, as_words: tuple[str, ...] = ()
) -> Table:
    """The files, one below the other, matched by the names of their columns.

    `label` helps to see whether the first line is a header; columns in `as_words` are read as they are written. Raises
    BackendError without DuckDB, DataError for what is no table.
    """
    formats = {file.format for file in files}
    if len(formats) > 1:
        raise DataError(f"{name} holds files of several formats: {', '.join(sorted(formats))}")
    with plainly_named(files) as paths, connected(paths) as db:
        try:
            if formats == {"csv"}:
                return read_csv_files(db, paths, name, label, as_words)
            call = "read_parquet(?, hive_partitioning=false" if formats == {"parquet"} else "read_json(?"
            return fetched(db, f"SELECT * FROM {call}, union_by_name=true)", [paths], name)
        except db_error() as error:
            raise in_words(error, name, dict(zip(paths, files, strict=True))) from error


def read_csv_files(
    db: Any, paths: list[str], name: str, label: str | int | None, as_words: tuple[str, ...]
) -> Table:
    """As read_files, for CSV: the dialect and the types are those that fit the whole of it."""
    options: dict[str, Any] = {"nullstr": sorted(MISSING)}
    found, notes = sniff(db, paths[0], options), []
    delimiter = separator(first_line_of(db, paths[0]))
    if found["skipped"] and comments(paths[0], found["skipped"]):
        notes.append(f"the first {found['skipped']} lines are left out: they begin with #")
        options["skip"] = found["skipped"]
    elif found["skipped"] or (delimiter and len(found["types"]) == 1):
        return strictly(db, paths, name, delimiter or found["delimiter"])  # or lines would be dropped unsaid
    types = found["types"]
    if found["delimiter"] == ";" and "VARCHAR" in types.values():
        commas = sniff(db, paths[0], options | {"decimal_separator": ","})
        if list(commas["types"].values()).count("VARCHAR") < list(types.values()).count("VARCHAR"):
            found, types, options["decimal_separator"] = commas, commas["types"], ","
            notes.append("numbers are read with a decimal comma")
    headed = found["headed"]
    if not headed and (
        numbered(db, paths[0], options, len(types)) or named_in_first(db, paths[0], options, label)
    ):
        headed = True
        found = sniff(db, paths[0], options | {"header": True})
        types = found["types"]
        notes.append("the first line is taken for the names of the columns")
    if found["dates"] and not found["dates"].startswith("%Y"):
        notes.append(f"dates are read as {found['dates']}")
    options["header"] = headed
    spelled = {column: "VARCHAR" for column, kind in types.items() if kind == "BOOLEAN" or column in as_words}
    query = (
        "SELECT * FROM read_csv(?, "
        + ", ".join([*arguments(options), "union_by_name=true", types_of(spelled)])
        + ")"
    )
    try:
        table = fetched(db, query, [paths], name, as_words)
    except db_error() as error:
        if "onver" not in str(error) or types_of(spelled) not in query:
            raise
        table = fetched(
            db, query.replace("union_by_name", "sample_size=-1, union_by_name"), [paths], name, as_words
        )
    columns = dict(table)
    if not headed:
        columns = {str(i): renamed(values, str(i)) for i, values in enumerate(columns.values())}
    return Table(name, columns, headed, tuple(notes))


def strictly(db: Any, paths: list[str], name: str, delimiter: str) -> Table:
    """All lines as words, the first of them the names. Raises DuckDB's error for a line of another length."""
    names = first_line_of(db, paths[0]).split(delimiter)
    if len(set(names)) < len(names):
        raise DataError(f"{name} has two columns of one name in its first line", fix="rename one of them")
    columns = {literal(one.strip().strip('"')): literal("VARCHAR") for one in names}
    inner = ", ".join(f"{key}: {kind}" for key, kind in columns.items())
    how = f"auto_detect=false, delim={literal(delimiter)}, quote='\"', escape='\"', header=true, columns={{{inner}}}"
    return fetched(db, f"SELECT * FROM read_csv(?, {how})", [paths], name)


def first_line_of(db: Any, path: str) -> str:
    """The first line as it stands, of a packed file too."""
    how = "auto_detect=false, delim='\x1f', quote='', header=false, columns={'line': 'VARCHAR'}"
    row = db.execute(f"SELECT * FROM read_csv(?, {how}) LIMIT 1", [path]).fetchone()
    return str(row[0] or "") if row else ""


def separator(line: str) -> str:
    """What a line of names seems to be separated by; nothing where that is one name."""
    counts = {mark: line.count(mark) for mark in (",", ";", "\t", "|")}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ""


def renamed(values: Any, name: str) -> Any:
    """The column under another name."""
    from dataclasses import replace

    return replace(values, name=name)


def sniff(db: Any, path: str, options: dict[str, Any]) -> dict[str, Any]:
    """What DuckDB finds out about a CSV file."""
    columns = "Delimiter, SkipRows, HasHeader, Columns, coalesce(DateFormat, TimestampFormat)"
    query = f"SELECT {columns} FROM sniff_csv(?, {', '.join(arguments(options))})"
    delimiter, skipped, headed, found, dates = db.execute(query, [path]).fetchone()
    types = {column["name"]: column["type"] for column in found}
    return {"delimiter": delimiter, "skipped": skipped, "headed": headed, "types": types, "dates": dates}


def arguments(options: dict[str, Any]) -> list[str]:
    """Options of ours as SQL: words quoted, lists of them, numbers, yes and no."""
    return [f"{name}={literal(value)}" for name, value in options.items()]


def literal(value: Any) -> str:
    """A value as SQL."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def types_of(types: dict[str, str]) -> str:
    """`types={'a': 'VARCHAR'}`."""
    inner = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items())
    return f"types={{{inner}}}" if types else "auto_detect=true"


def first_row(db: Any, path: str, options: dict[str, Any]) -> list[str]:
    """The entries of the first line."""
    given = ", ".join(arguments(options | {"header": False, "all_varchar": True}))
    row = db.execute(f"SELECT * FROM read_csv(?, {given}) LIMIT 1", [path]).fetchone()
    return ["" if entry is None else str(entry).strip() for entry in row or ()]


def numbered(db: Any, path: str, options: dict[str, Any], count: int) -> bool:
    """Is the first line 0, 1, 2, ..., as a data frame without names writes it?"""
    return count > 2 and first_row(db, path, options) == list(map(str, range(count)))


def named_in_first(db: Any, path: str, options: dict[str, Any], label: str | int | None) -> bool:
    """Does the first line hold the label's name?"""
    return (
        isinstance(label, str) and not label.lstrip("-").isdecimal() and label in first_row(db, path, options)
    )


def comments(path: str, count: int) -> bool:
    """Do so many first lines begin with # or are empty?"""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [next(file, "").strip() for _ in range(count)]
    except (UnicodeDecodeError, OSError):
        return False
    return all(not line or line.startswith("#") for line in lines)


def fetched(db: Any, query: str, given: list[Any], name: str, as_words: tuple[str, ...] = ()) -> Table:
    """The result of a query as a table."""
    arrays = db.execute(query, given).fetchnumpy()
    return make_table(name, {column: as_values(column, data) for column, data in arrays.items()}, as_words)


@contextlib.contextmanager
def connected(paths: list[str]) -> Iterator[Any]:
    """A database in memory that may read those files alone. Raises BackendError where DuckDB is not installed."""
    try:
        import duckdb
    except ImportError as error:
        raise BackendError(
            "reading this table needs DuckDB, which is not installed", fix="pip install 'xpnn[tables]'"
        ) from error
    settings: dict[str, Any] = {
        "memory_limit": MEMORY,
        "threads": THREADS,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "temp_directory": "",
    }
    db = duckdb.connect(":memory:", config=settings)
    try:
        db.execute(f"SET allowed_paths={literal(paths)}")
        db.execute("SET enable_external_access=false")
        db.execute("SET lock_configuration=true")
        yield db
    finally:
        db.close()


def db_error() -> type[Exception]:
    """What DuckDB raises."""
    import duckdb

    found: type[Exception] = duckdb.Error
    return found


def in_words(error: Exception, name: str, files: dict[str, TableFile]) -> DataError:
    """DuckDB's complaint about a file, by the file's own name and line."""
    text = str(error)
    file = next((str(one.path) for path, one in files.items() if path in text), name)
    line = LINE.search(text)
    where = f"{file}, line {int(line[1]):,}" if line else file
    lines = [one.strip() for one in text.splitlines() if one.strip()]
    detail = next(
        (one for one in lines if one.startswith(("Expected", "Error when", "Invalid", "Could not"))), ""
    )
    why = detail or re.sub(r"^[\w ]*Error: ", "", first_line(error))
    for path, one in files.items():
        why = why.replace(path, str(one.path))
    fix = "correct that line" if line else "check how the file was written"
    if "unicode" in text or "utf-8" in text.lower():
        return DataError(f"{where} is no text in UTF-8", why=why[:200], fix="save it in UTF-8")
    return DataError(f"{where} cannot be read as a table", why=why[:200], fix=fix)
