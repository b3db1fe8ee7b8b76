"""Text whose columns are separated by white space, as many as line them up: rewritten with a tab in each gap."""

import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from xpnn.data.tables.files import TableFile
from xpnn.system import open_regular

FIELD = re.compile(r'"[^"]*"|\S+')
OTHERS = re.compile(r"[,;\t|]")
"""Marks that separate columns before a blank does."""
LOOKED_AT, LONGEST = 20, 1 << 20
"""Lines that decide, and characters of a line."""


def separated_by_whitespace(file: TableFile) -> bool:
    """Whether its first lines hold equally many entries, two or more, with nothing but white space in between.

    The first line may hold one less: R gives no name to the column of its rows' names. Packed files are left as they
    are.
    """
    if file.format != "csv" or file.packed:
        return False
    try:
        lines = list(itertools.islice(lines_of(file.path), LOOKED_AT))
    except (UnicodeDecodeError, OSError):
        return False
    if len(lines) < 2 or OTHERS.search(lines[0]):
        return False
    counts = {len(FIELD.findall(line)) for line in lines[1:]}
    (count,) = counts if len(counts) == 1 else (0,)
    return count > 1 and len(FIELD.findall(lines[0])) in (count, count - 1)


def write_with_tabs(source: Path, target: Path) -> None:
    """The same table with tabs; a column of row names is called ""."""
    lines = lines_of(source)
    names, first = (FIELD.findall(line) for line in itertools.islice(lines, 2))
    with target.open("w", encoding="utf-8") as out:
        out.write("\t".join(['""'] * (len(first) - len(names)) + names) + "\n")
        out.write("\t".join(first) + "\n")
        out.writelines("\t".join(FIELD.findall(line)) + "\n" for line in lines)


def lines_of(path: Path) -> Iterator[str]:
    """The lines that are not empty; the first without the mark of a comment, which numpy.savetxt gives it."""
    with io.TextIOWrapper(open_regular(path), encoding="utf-8-sig") as text:
        lines = (line for line in iter(lambda: text.readline(LONGEST), "") if line.strip())
        yield from (line.removeprefix("# ") for line in itertools.islice(lines, 1))
        yield from lines
