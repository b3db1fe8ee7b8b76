"""Which files hold a table, and in which format; names with wildcards, folders, standard input."""

import contextlib
import glob
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xpnn.data.idx import cannot_read
from xpnn.errors import DataError, FileError
from xpnn.system import open_regular
from xpnn.temporary_files import keep, link, temporary_folder

FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".data": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
OTHERS = {
    b"PK\x03\x04": ("a ZIP archive, or a workbook of Excel", "unpack it, or save the sheet as CSV"),
    b"\xd0\xcf\x11\xe0": ("a workbook of Excel", "save the sheet as CSV"),
    b"\xff\xfe": ("text in UTF-16", "save it in UTF-8"),
    b"\xfe\xff": ("text in UTF-16", "save it in UTF-8"),
    b"BZh": ("packed with bzip2", "unpack it"),
    b"\xfd7zXZ": ("packed with xz", "unpack it"),
    b"7z\xbc\xaf": ("a 7z archive", "unpack it"),
    b"SQLite format 3": ("a database of SQLite", "write the table to CSV"),
    b"ARROW1": (
        "a file of Arrow or Feather",
        "pyarrow.parquet.write_table(pyarrow.feather.read_table(path), other)",
    ),
    b"\x89HDF": ("an HDF5 file", "pandas.read_hdf(path).to_parquet(other)"),
    b"\x80\x04": ("a pickle, which is never read", "write the table to CSV or Parquet"),
    b"\x80\x05": ("a pickle, which is never read", "write the table to CSV or Parquet"),
    b"<!doctype html": ("a web page", "download the file itself; it may want a login"),
    b"<html": ("a web page", "download the file itself; it may want a login"),
    b"@relation": ("an ARFF file", "write its rows to CSV, with a first line of names"),
}
"""First bytes, in small letters, of what people take for a table: what it is, and what to do."""
LIBSVM = re.compile(rb"[-+.\d]+(e[-+]?\d+)?( qid:\d+)?( +\d+:[-+.\d]+(e[-+]?\d+)?)+\s", re.IGNORECASE)
"""How a line of a LIBSVM or SVMlight file begins: a label, then number:value pairs."""
PACKED = (".gz", ".zst")
STDIN = "-"


@dataclass(frozen=True)
class TableFile:
    """A file and its format: "csv", "parquet" or "json"."""

    path: Path
    format: str
    packed: str = ""
    name: str = ""
    """What messages call it, where that is not its path."""

    def __str__(self) -> str:
        return self.name or str(self.path)


def is_table(path: Path) -> bool:
    """Whether its name says that it holds a table."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in FORMATS


def expand(pattern: str | os.PathLike[str], what: str = "table") -> list[Path]:
    """The files that a name stands for: itself, what a pattern with wildcards fits, or the tables in a folder.

    A name that exists is taken as it stands, whatever is in it. Raises FileError where there is none.
    """
    path = Path(pattern).expanduser()
    try:
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if is_table(p) and not p.name.startswith("."))
        elif path.exists():
            found = [path]
        else:
            found = (
                sorted(map(Path, glob.glob(str(path), recursive=True))) if glob.has_magic(str(path)) else []
            )
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise cannot_read(str(path), error) from error
    if not found:
        folder = path.is_dir()
        raise FileError(
            f"no {what} in the folder {path}" if folder else f"no {what} at {path}",
            why=f"wanted a file in one of {', '.join(FORMATS)}, also packed as {' or '.join(PACKED)}"
            if folder
            else "No such file or directory",
            fix="name a file, or a folder that holds some" if folder else "check the path",
        )
    return found


def described(path: Path, name: str = "") -> TableFile:
    """The file with its format, by its first bytes where the name says nothing. Raises FileError and DataError."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes.pop() if suffixes and suffixes[-1] in PACKED else ""
    try:
        with open_regular(path) as file:
            head = file.read(64)
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise cannot_read(str(path), error) from error
    shown = name or path
    if not head:
        raise DataError(f"{shown} is empty", why="wanted a table", fix="check how it was written")
    for start, (what, fix) in OTHERS.items():
        if head.lower().startswith(start.lower()):
            raise DataError(f"{shown} is {what}", why="wanted CSV, Parquet or JSON lines", fix=fix)
    if LIBSVM.match(head):
        raise DataError(
            f"{shown} is in the form of LIBSVM: a label, then number:value pairs",
            why="wanted CSV, Parquet or JSON lines",
            fix="x, y = sklearn.datasets.load_svmlight_file(path); then numpy.savez('data.npz', x=x.toarray(), y=y)",
        )
    if head.startswith(b"PAR1"):
        return TableFile(path, "parquet", name=name)
    if head.startswith(b"\x1f\x8b"):
        packed = ".gz"
    elif head.startswith(b"\x28\xb5\x2f\xfd"):
        packed = ".zst"
    known = FORMATS.get(suffixes[-1]) if suffixes else None
    if known == "parquet":
        raise DataError(f"{path} is no Parquet file", why="it does not begin with PAR1", fix="write it again")
    if known is None:
        known = "json" if not packed and head.lstrip()[:1] in (b"{", b"[") else "csv"
    return TableFile(path, known, packed, name)


@contextlib.contextmanager
def plainly_named(files: list[TableFile]) -> Iterator[list[str]]:
    """Paths without wildcards for the same files, in order: links in a folder of our own, copies where there are none.

    DuckDB reads a name such as a[1].csv as a pattern, and would read a1.csv.
    """
    with temporary_folder() as folder:
        paths = []
        for i, file in enumerate(files):
            paths.append(str(Path(folder) / f"{i}.{file.format}{file.packed}"))
            link(file.path, Path(paths[-1]))
        yield paths


@contextlib.contextmanager
def standard_input() -> Iterator[Path]:
    """Standard input as a file, which is gone afterwards. Raises FileError where there is none."""
    with temporary_folder() as folder:
        path = Path(folder) / "stdin"
        try:
            keep(sys.stdin.buffer, path)
        except (OSError, AttributeError, ValueError) as error:
            raise cannot_read("standard input", error) from error
        yield path
