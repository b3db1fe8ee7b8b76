"""A file of JSON lines that is appended to; each line carries a checksum."""

import json
import zlib
from collections.abc import Set
from pathlib import Path
from typing import Any

from xpnn.errors import CheckpointError
from xpnn.reading import misfit, read_bounded
from xpnn.training.safetensors_reader import read_json

MOST = 1 << 28
"""Bytes: the rows of a million epochs."""


def line_of(entries: dict[str, Any]) -> str:
    """Return the entries as JSON, followed by "crc32", the CRC-32 of what stands before it."""
    text = json.dumps(entries, allow_nan=False)[:-1]
    return f'{text}, "crc32": "{zlib.crc32(text.encode()):08x}"}}\n'


def read_lines(
    path: Path, schema: dict[str, Any], optional: Set[str] = frozenset()
) -> tuple[list[dict[str, Any]], bool]:
    """Return the entries of each line without checksums, and whether an incomplete last line was left out.

    Every key of `schema` (see `misfit`) has to be there, but for `optional` ones, which earlier versions did not write.
    Lines without a checksum are read too: xpnn 0.1 wrote none.
    Raises CheckpointError for a line that is damaged, FileError.
    """
    lines = read_bounded(path, MOST).split(b"\n")
    found = [_checked(line, schema, optional, f"{path}", i) for i, line in enumerate(lines[:-1], 1)]
    return found, bool(lines[-1])


def _checked(
    line: bytes, schema: dict[str, Any], optional: Set[str], name: str, number: int
) -> dict[str, Any]:
    try:
        entries = read_json(line, "line")
        if not isinstance(entries, dict):
            raise CheckpointError("it is no JSON object")
        written = entries.pop("crc32", None)
        if written is not None and written != f"{zlib.crc32(line.rpartition(b', ')[0]):08x}":
            raise CheckpointError("its checksum does not match")
        if not schema.keys() - optional <= entries.keys() <= schema.keys():
            raise CheckpointError(f"wanted {', '.join(schema)}")
        if found := misfit(entries, schema):
            raise CheckpointError(found)
    except CheckpointError as error:
        raise CheckpointError(
            f"{name} is damaged", why=f"line {number}: {error.why or error.what}"
        ) from error
    return entries
