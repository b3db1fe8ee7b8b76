"""Which dataset a path holds, judged by the names of files alone."""

import itertools
from pathlib import Path

from xpnn.data.folder import NAMES, find_files
from xpnn.data.images import is_picture
from xpnn.data.tables.files import is_table

SUFFIXES = {".h5": "hdf5", ".hdf5": "hdf5", ".zarr": "zarr"}
LOOKED_AT = 200
"""The most entries of a folder that are looked at."""


def kind_of(path: Path) -> str | None:
    """Return `table`, `npz`, `hdf5`, `zarr`, `idx` or `images`; None if the names do not say."""
    if path.suffix.lower() in SUFFIXES:
        return SUFFIXES[path.suffix.lower()]
    if path.suffix.lower() in (".npz", ".npy"):
        return "npz"
    if is_table(path):
        return "table"
    try:
        inside = list(itertools.islice(path.iterdir(), LOOKED_AT)) if path.is_dir() else []
        if inside and len(find_files(path, NAMES)) == len(NAMES):
            return "idx"
        if any(file.suffix.lower() == ".npy" for file in inside):
            return "npz"
        if any(is_table(file) for file in inside):
            return "table"
        folders = [folder for folder in inside if folder.is_dir()]
        below = (file for folder in folders for file in itertools.islice(folder.rglob("*"), LOOKED_AT))
        return "images" if any(is_picture(file) for file in below) else None
    except OSError:
        return None
