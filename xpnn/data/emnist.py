"""KMNIST, and EMNIST in its six divisions, as IDX files.

EMNIST's images lie on their side (rows and columns exchanged), its letters are numbered from 1, and its file names
begin with `emnist-DIVISION-`: all of that is corrected here.

Sources: T. Clanuwat et al., "Deep learning for classical Japanese literature", arXiv:1812.01718, 2018; G. Cohen,
S. Afshar, J. Tapson, A. van Schaik, "EMNIST: extending MNIST to handwritten letters", IJCNN 2017.
"""

import os
import shlex
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits

import numpy as np

from xpnn.data.folder import NAMES, Arrays, read_folder
from xpnn.data.idx import cannot_read
from xpnn.errors import DataError, FileError, UsageError
from xpnn.system import user_path

KMNIST_CLASSES = tuple("おきすつなはまやれを")
MERGED = tuple(digits + ascii_uppercase + "abdefghnqrt")
DIVISIONS = {
    "balanced": MERGED,
    "bymerge": MERGED,
    "byclass": tuple(digits + ascii_uppercase + ascii_lowercase),
    "digits": tuple(digits),
    "mnist": tuple(digits),
    "letters": tuple(ascii_uppercase),
}
LARGEST = 1 << 30
"""Bytes of one file, unpacked: byclass has 547 million."""


def kmnist(path: str | os.PathLike[str]) -> Arrays:
    """`x, y, x_test, y_test`: images uint8 (N, 28, 28, 1), labels int64 of 0 to 9, from a folder of four IDX files.

    Raises as `mnist` does.
    """
    arrays = read_folder(user_path(path))
    check_labels(arrays, 10, str(path))
    return arrays


def emnist(path: str | os.PathLike[str]) -> tuple[Arrays, tuple[str, ...]]:
    """`(x, y, x_test, y_test), classes`, upright and numbered from 0.

    `path`: a folder with the files of one division, or of several and the division's name as its last part
    (FOLDER/letters). Raises FileError when they are missing, UsageError when several divisions are there and none is
    named, DataError when they are damaged.
    """
    path = user_path(path)
    folder, division = (path, find_division(path)) if path.is_dir() else (path.parent, path.name)
    division = division.removeprefix("emnist-")
    if division not in DIVISIONS:
        raise FileError(f"{path} is no folder of EMNIST", fix=f"FOLDER, or FOLDER/{', '.join(DIVISIONS)}")
    names = [f"emnist-{division}-{name.replace('t10k', 'test')}" for name in NAMES]
    x, y, x_test, y_test = read_folder(folder, names=names, limit=LARGEST)
    first = 1 if division == "letters" else 0
    arrays = np.swapaxes(x, 1, 2), y - first, np.swapaxes(x_test, 1, 2), y_test - first
    check_labels(arrays, len(DIVISIONS[division]), str(path))
    return arrays, DIVISIONS[division]


def find_division(folder: Path) -> str:
    """The one division that a folder holds."""
    try:
        found = {p.name.split("-")[1] for p in folder.iterdir() if p.name.startswith("emnist-")}
    except OSError as error:
        raise cannot_read(str(folder), error) from error
    known = sorted(found & set(DIVISIONS))
    if not known:
        raise FileError(
            f"{folder} holds no files of EMNIST", why="wanted emnist-DIVISION-train-images-idx3-ubyte ..."
        )
    if len(known) > 1:
        raise UsageError(
            f"{folder} holds several divisions: {', '.join(known)}",
            fix=f"--data {shlex.quote(str(folder / known[0]))}",
        )
    return known[0]


def check_labels(arrays: Arrays, classes: int, name: str) -> None:
    """Raise DataError for a label that no class has."""
    for y in arrays[1::2]:
        bad = (y < 0) | (y >= classes)
        if bad.any():
            i = int(np.argmax(bad))
            raise DataError(f"{name}: label {i} is {y[i]}", why=f"wanted 0 to {classes - 1}")
