"""A DuckDB that may read the named files and nothing else: no other path, no network, no extension.

Nothing that a file says becomes SQL unquoted; memory and threads are bounded.
"""

import re
from pathlib import Path
from typing import Any

from xpnn.data.tables.files import TableFile
from xpnn.errors import BackendError, DataError, first_line

MEMORY, THREADS = "500MB", 2
LINE = re.compile(r"CSV Error on Line: (\d+)")


def connect(paths: list[str], file: Path | None = None) -> Any:
    """A database in memory, or in `file`, that may read `paths` alone. Raises BackendError without DuckDB."""
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
        "temp_directory": ""
        if file is None
        else str(file.parent),  # where it may put what exceeds its memory
    }
    db = duckdb.connect(":memory:" if file is None else str(file), config=settings)
    try:
        db.execute(f"SET allowed_paths={literal(paths)}")
        db.execute("SET enable_external_access=false")
        db.execute("SET lock_configuration=true")
    except BaseException:
        db.close()
        raise
    return db


def literal(value: Any) -> str:
    """A value as SQL."""
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """The name of a column as SQL."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def db_error() -> tuple[type[Exception], ...]:
    """What DuckDB raises, for an `except`; nothing where it is not installed."""
    try:
        import duckdb
    except ImportError:
        return ()
    return (duckdb.Error,)


def in_words(error: Exception, name: str, files: dict[str, TableFile]) -> DataError:
    """DuckDB's complaint about a file, by the file's own name and line."""
    text = str(error)
    file = next((str(one) for path, one in files.items() if path in text), name)
    line = LINE.search(text)
    where = f"{file}, line {int(line[1]):,}" if line else file
    lines = [one.strip() for one in text.splitlines()[1:] if one.strip()]
    detail = next(
        (one for one in lines if one.startswith(("Expected", "Error when", "Invalid", "Could not"))), ""
    )
    why = detail or re.sub(r"^[\w ]*Error: ", "", first_line(error))
    for path, one in files.items():
        why = why.replace(path, str(one))
    fix = "correct that line" if line else "check how the file was written"
    if line and int(line[1]) == 2 and "Number of Columns" in why:
        fix = "give every column a name in the first line"
    complaint = text.replace("Encoding: utf-8", "")  # which it tried, whatever it complains of
    if "unicode" in complaint or "utf-8" in complaint.lower():
        return DataError(f"{where} is not text in UTF-8", why=why[:200], fix="save it in UTF-8")
    return DataError(f"{where} cannot be read as a table", why=why[:200], fix=fix)
