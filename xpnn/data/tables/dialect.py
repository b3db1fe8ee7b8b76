"""How a CSV file is written: what DuckDB finds out, and what it would drop or mistake without a word put right."""

import contextlib
from dataclasses import dataclass
from typing import Any

from xpnn.data.tables.database import db_error, identifier, literal
from xpnn.data.tables.table import MISSING
from xpnn.data.tables.values import is_number
from xpnn.errors import DataError
from xpnn.printing import listed

TEXT = ("VARCHAR", "BOOLEAN", "DATE", "TIMESTAMP", "TIME", "TIMESTAMP WITH TIME ZONE")
"""Types of columns that hold no numbers."""
RARE = ("^", "~", "\x01")
"""What separates columns now and then, and DuckDB does not try."""


@dataclass(frozen=True)
class Query:
    """What reads a table. `whole`: the same with types that fit every row, not the first ones alone.

    headed: whether the columns have names of their own. notes: what a user should hear. dates: how dates are written,
    such as %d/%m/%Y, where it is not as 2024-05-31.
    """

    sql: str
    whole: str = ""
    headed: bool = True
    notes: tuple[str, ...] = ()
    dates: str = ""


def csv_query(
    db: Any, paths: list[str], name: str, label: str | int | None, as_words: tuple[str, ...], dates: str = ""
) -> Query:
    """The query for CSV files of one dialect, that of the first. dates: how they are written, where that is known."""
    path, notes = paths[0], []
    # DuckDB would take # for the start of a comment wherever it stands, and cut such words short
    options: dict[str, Any] = {"nullstr": sorted(MISSING), "comment": ""}
    if dates:  # 03/04/2024 alone does not say which is the day
        options["timestampformat" if "%H" in dates else "dateformat"] = dates
    first = first_line_of(db, path).strip()
    if len(first) == 5 and first.startswith("sep="):  # as Excel reads and writes it
        options |= {"skip": 1, "delim": first[4]}
    found = sniff(db, path, options)
    delimiter = separator(first)
    rare = max(RARE, key=first.count)
    if rare in first and len(found["types"]) == 1:
        with contextlib.suppress(*db_error()):  # where it is a part of the name of a single column
            found = sniff(db, path, options | {"delim": rare})
            options["delim"] = delimiter = rare
            notes.append(f"columns are separated by {rare!r}")
    if "skip" in options:
        notes.append(f"the first line says that columns are separated by {first[4]!r}")
    elif found["skipped"] and comments(path, found["skipped"]):
        notes.append(
            f"{found['skipped']} lines before the names of the columns are left out: comments, or empty"
        )
        options["skip"] = found["skipped"]
    elif found["skipped"] and not delimiter:
        raise DataError(
            f"{name} begins with {first[:40]!r}, which is no row of a table",
            why=f"the table itself seems to begin in line {found['skipped'] + 1}",
            fix="remove the lines before it, or begin each of them with #",
        )
    elif found["skipped"] or (delimiter and len(found["types"]) == 1):
        return strict_query(
            db, path, name, delimiter or found["delimiter"]
        )  # or lines would be dropped unsaid
    entries = first_row(db, path, options)
    if found["headed"] and first_is_data(entries, list(found["types"].values())):
        options["header"] = False
        found = sniff(db, path, options)
    types = found["types"]
    if found["delimiter"] != "," and "VARCHAR" in types.values():
        commas = sniff(db, path, options | {"decimal_separator": ","})
        if list(commas["types"].values()).count("VARCHAR") < list(types.values()).count("VARCHAR"):
            found, types, options["decimal_separator"] = commas, commas["types"], ","
            notes.append("numbers are read with a decimal comma")
    headed = found["headed"]
    if not headed and (numbered(entries, len(types)) or named_first(entries, label)):
        headed = True
        found = sniff(db, path, options | {"header": True})
        types = found["types"]
        notes.append("the first line is taken for the names of the columns")
    if headed and len(set(names := [one.lower() for one in entries])) < len(names):
        notes.append(f"columns of the same name get a number: {', '.join(types)}")
    if (found["dates"] or "%Y").startswith("%Y"):
        found["dates"] = ""
    elif not dates:
        notes.append(f"dates are read as {found['dates']}")
    notes += zone_line(types)
    options["header"] = headed
    spelled = {column: "VARCHAR" for column, kind in types.items() if kind == "BOOLEAN" or column in as_words}
    given = ", ".join([*arguments(options), "union_by_name=true", types_of(spelled)])
    every, marked = "*", next(iter(types))
    if headed and marked.startswith("# "):  # as numpy.savetxt writes it
        every = f"* RENAME ({identifier(marked)} AS {identifier(marked.removeprefix('# '))})"
        notes.append("the first line, a comment, is taken for the names of the columns")
    whole = f"SELECT {every} FROM read_csv(?, sample_size=-1, {given})"
    return Query(f"SELECT {every} FROM read_csv(?, {given})", whole, headed, tuple(notes), found["dates"])


def zone_line(types: dict[str, str]) -> list[str]:
    """The line about times with a zone."""
    zoned = [column for column, kind in types.items() if kind.endswith("TIME ZONE")]
    return [f"times with a zone are read in UTC: {listed(zoned)}"] if zoned else []


def strict_query(db: Any, path: str, name: str, delimiter: str) -> Query:
    """All lines as words, the first of them the names; DuckDB's error names a line of another length."""
    names = first_line_of(db, path).split(delimiter)
    if len(set(names)) < len(names):
        raise DataError(f"{name} has two columns of one name in its first line", fix="rename one of them")
    columns = {literal(one.strip().strip('"')): literal("VARCHAR") for one in names}
    inner = ", ".join(f"{key}: {kind}" for key, kind in columns.items())
    how = f"auto_detect=false, delim={literal(delimiter)}, quote='\"', escape='\"', header=true, columns={{{inner}}}"
    return Query(f"SELECT * FROM read_csv(?, {how})")


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


def types_of(types: dict[str, str]) -> str:
    """Return the option `types={'a': 'VARCHAR'}`."""
    inner = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in types.items())
    return f"types={{{inner}}}" if types else "auto_detect=true"


def first_row(db: Any, path: str, options: dict[str, Any]) -> list[str]:
    """The entries of the first line."""
    given = ", ".join(arguments(options | {"header": False, "all_varchar": True}))
    row = db.execute(f"SELECT * FROM read_csv(?, {given}) LIMIT 1", [path]).fetchone()
    return ["" if entry is None else str(entry).strip() for entry in row or ()]


def numbered(first: list[str], count: int) -> bool:
    """Is the first line 0, 1, 2, ..., as a data frame without names writes it?"""
    return count > 2 and first == list(map(str, range(count)))


def first_is_data(first: list[str], types: list[str]) -> bool:
    """Whether a first line that DuckDB takes for names holds numbers where the columns do, as 2.5 above 1, 2, 3.

    A data frame without names of its own writes 0, 1, 2, ..., which are names.
    """
    numbers = [entry for entry, kind in zip(first, types, strict=False) if kind not in TEXT]
    if not numbers or len(first) != len(types) or not all(map(is_number, numbers)):
        return False
    return numbers not in ([str(i) for i in range(k, k + len(numbers))] for k in (0, 1)) or len(numbers) < 2


def named_first(first: list[str], label: str | int | None) -> bool:
    """Does the first line hold the label's name?"""
    return isinstance(label, str) and not label.lstrip("-").isdecimal() and label in first


def comments(path: str, count: int) -> bool:
    """Do so many first lines begin with # or are empty?"""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = [next(file, "").strip() for _ in range(count)]
    except (UnicodeDecodeError, OSError):
        return False
    return all(not line or line.startswith("#") for line in lines)
