"""Your own arrays as datasets, and how your own data is split where nothing says so.

Where nothing says which samples are for the test, a fifth is taken by a hash of each sample (of a picture: of its
name), so that adding samples moves none from one side to the other.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.arrays import names_in, read_npy, read_npz
from xpnn.data.dataset import Dataset, Location
from xpnn.data.folds import hash_split, keep_classes, row_keys
from xpnn.data.tables.dataset import moved_line
from xpnn.errors import DataError, UsageError
from xpnn.printing import count_of, counted, listed
from xpnn.stored_array import StoredArray
from xpnn.system import user_path
from xpnn.validation import finite_on_host

TEST = 0.2
MOST_CLASSES = 1000
"""Labels up to this may leave out any numbers."""
NAMES = (
    ("x", "y", "x_test", "y_test"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("X", "y", "X_test", "y_test"),
    ("X_train", "y_train", "X_test", "y_test"),
)


def required(path: Location, name: str, what: str) -> Path:
    """`path`, which this dataset cannot do without. Raises UsageError."""
    if path is None:
        raise UsageError(f"which {what.lower()} holds the data?", fix=f"xpnn train {name} --data {what}")
    return user_path(path)


def npz_dataset(path: Location) -> Dataset:
    """x and y, or x_train and y_train, with x_test and y_test where they are there.

    From an .npz archive, or from a folder with a .npy file for each. Labels are class numbers, one for each sample.
    """
    path = required(path, "npz", "PATH")
    arrays = _folder(path) if path.is_dir() else read_npz(path, {name for names in NAMES for name in names})
    names = next((names for names in NAMES if {*names[:2]} <= arrays.keys()), None)
    if names is None:
        there = sorted(p.stem for p in path.glob("*.npy")) if path.is_dir() else sorted(names_in(path))
        raise DataError(
            f"{path} holds {', '.join(there[:20]) or 'no arrays'}",
            why="wanted x and y, or x_train and y_train",
            fix="numpy.savez(path, x=x, y=y)",
        )
    x, y = arrays[names[0]], class_ids(arrays[names[1]], f"{path}, {names[1]}")
    check_pair(x, y, str(path))
    finite_on_host(x, f"{path}, {names[0]}")
    if not {*names[2:]} <= arrays.keys():
        return held_out("npz", x, y, numbered(y), row_keys(x), str(path))
    x_test, y_test = arrays[names[2]], class_ids(arrays[names[3]], f"{path}, {names[3]}")
    check_pair(x_test, y_test, str(path))
    finite_on_host(x_test, f"{path}, {names[2]}")
    if x.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"{path}: samples of shape {x.shape[1:]} to train on, {x_test.shape[1:]} to test with"
        )
    classes = numbered(np.concatenate([y, y_test]))
    return Dataset("npz", x, y, x_test, y_test, classes, str(path), None, only_tested(y, y_test, classes))


def only_tested(y: NDArray[Any], y_test: NDArray[Any], classes: tuple[str, ...]) -> tuple[str, ...]:
    """A line about classes that nothing is trained on."""
    names = [classes[k] for k in np.setdiff1d(y_test, y)]
    return (
        (f"{count_of(names, 'class')} {listed(names)} only in the test part: never trained on",)
        if names
        else ()
    )


def _folder(path: Path) -> dict[str, NDArray[Any]]:
    known = {name for names in NAMES for name in names}
    return {p.stem: read_npy(p) for p in sorted(path.glob("*.npy")) if p.stem in known}


def class_ids(y: NDArray[Any], name: str) -> NDArray[np.int64]:
    """Class numbers int64 (N,), from whole numbers (N,) or (N, 1). Raises DataError for anything else."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    fix = ""
    if y.ndim != 1:
        fix = "of one-hot rows: y.argmax(axis=1)" if y.ndim == 2 else "an array of shape (N,)"
    elif y.dtype.kind == "f" and not np.array_equal(y, np.floor(y)):
        fix = "for numbers that are no classes: xpnn train table, or Model.fit in Python"
    elif y.dtype.kind not in "biuf" or (len(y) and y.min() < 0):
        fix = "numpy.unique(y, return_inverse=True)[1], which numbers the classes from 0"
    if fix:
        raise DataError(
            f"{name} is {y.dtype} of shape {y.shape}"
            + (f", the lowest {y.min()}" if y.ndim == 1 and y.dtype.kind in "if" and len(y) else ""),
            why="wanted one class number for each sample, 0 or more",
            fix=fix,
        )
    return np.array(y, np.int64)


def check_pair(x: Any, y: NDArray[Any], name: str) -> None:
    """Raise DataError unless there is a label for each sample, and a sample."""
    if x.ndim < 2:
        raise DataError(
            f"{name}: samples of shape {x.shape}",
            why="wanted (N, ...): the numbers of each sample in a row",
            fix="x.reshape(-1, 1), where each number is a sample",
        )
    if len(x) != len(y) or not len(y):
        raise DataError(
            f"{name}: {len(x):,} samples and {len(y):,} labels", why="wanted a label for each, N at least 1"
        )


def numbered(y: NDArray[np.int64]) -> tuple[str, ...]:
    """A name for each class number up to the largest. Raises DataError where most of them do not occur."""
    largest, different = int(y.max()), len(np.unique(y))
    if not largest:
        raise DataError("all labels are 0", why="wanted two classes or more")
    if largest >= MOST_CLASSES and largest >= 10 * different:
        raise DataError(
            f"the largest label is {largest:,}, and {different:,} different ones occur",
            why="labels number the classes from 0; a network has an output for each number up to the largest",
            fix="numpy.unique(y, return_inverse=True)[1], which numbers them without gaps",
        )
    return tuple(str(k) for k in range(1 + largest))


def held_out(
    name: str, x: Any, y: NDArray[Any], classes: tuple[str, ...], keys: Iterable[Any], path: str
) -> Dataset:
    """The dataset with a fifth of the samples held out by a hash of their keys. Raises DataError for too few."""
    train, held, moved = keep_classes(y, *hash_split(keys, TEST))
    if not len(held) or not len(train):
        share = "none" if len(train) else "all"
        raise DataError(
            f"{share} of the {counted(len(y), 'sample')} of {path} would be held out to test with",
            why="a fifth is chosen by a hash of each sample, and equal ones stay together",
            fix="more samples, or a part for the test",
        )
    note = f"{path}, a fifth held out by hash"
    notes = tuple(moved_line([classes[int(k)] for k in moved]))
    some = x.subset if isinstance(x, StoredArray) else x.__getitem__
    return Dataset(
        name, some(train), y[train], some(held), y[held], classes, note, None, notes, held_out=True
    )
