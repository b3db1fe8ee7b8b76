"""Errors for data that is not an array of numbers, each with a fix that works.

Libraries are distinguished by the names of their modules and by what their objects can do; none is imported.
"""

from pathlib import PurePath
from typing import Any

import numpy as np

from xpnn.errors import DataError, first_line
from xpnn.printing import library_of, name_of

REAL = "xpnn takes real numbers: bool, integer or floating point"


def refuse_container(a: Any) -> None:
    """Raise DataError for an object that holds data, but is not an array."""
    name, kind = name_of(a), type(a).__name__
    if library_of(a) in ("scipy", "sparse") and hasattr(a, "nnz"):
        rows, columns = a.shape[0], a.shape[-1]
        raise DataError(
            f"{name} of shape {tuple(a.shape)} is sparse",
            why=f"xpnn computes with dense arrays; this one takes {rows * columns * 4 / 1e6:,.1f} MB as float32",
            fix="x.toarray() if that fits into memory, else fewer columns, such as TruncatedSVD of scikit-learn gives",
        )
    if library_of(a) == "torch" and getattr(a, "layout", None) is not None and "sparse" in str(a.layout):
        raise DataError(f"{name} of shape {tuple(a.shape)} is sparse", why="xpnn computes with dense arrays",
                        fix="x.to_dense()")  # fmt: skip
    if hasattr(a, "collect") and hasattr(a, "collect_schema"):
        raise DataError(f"a {name} is a query that has not run", fix="its collect(), which runs it")
    if library_of(a) == "dask" and hasattr(a, "npartitions") and not hasattr(a, "chunks"):
        raise DataError(f"a {name} has not been computed", fix="its compute(), which runs it")
    if library_of(a) == "torch" and getattr(a, "is_nested", False):
        raise DataError(f"a nested {name} has rows of different lengths", fix=PAD)
    if "DataLoader" in kind:
        raise DataError(
            f"a {name} is no array",
            why="it hands out batches, and fit cuts its own",
            fix="fit(loader) without y, where its batches are (x, y); or fit on the arrays behind it",
        )
    if "tensorflow" in type(a).__module__ and "Dataset" in kind:
        raise DataError(f"a {name} is no array", why="it hands out batches, and fit cuts its own",
                        fix="Trainer.step on each batch of .as_numpy_iterator()")  # fmt: skip
    if library_of(a) == "torch" and "Dataset" in kind:
        raise DataError(f"a {name} is no array", why="its samples come one by one, with their labels",
                        fix="np.stack([np.asarray(x) for x, _ in dataset]), and y in the same way")  # fmt: skip
    if hasattr(a, "__next__"):
        raise DataError(
            f"a {kind} is no array",
            why="it can be gone through once, and training goes through its data every epoch",
            fix="np.array(list(x)) keeps it, if it ends; of batches (x, y): fit(batches, steps_per_epoch=100)",
        )
    if isinstance(a, dict):
        raise DataError(
            f"a dict of {len(a)} entries is no array",
            fix="np.stack(list(x.values()), axis=1) for columns of numbers; xpnn.data.prepare_table for any table; "
            "a tuple of arrays for a model with several inputs",
        )
    if isinstance(a, set | frozenset):
        raise DataError(f"a {kind} is no array", why="it has no order", fix="np.array(sorted(x))")
    if isinstance(a, str | bytes | PurePath):
        path = isinstance(a, PurePath) or PurePath(str(a)).suffix != ""
        readers = (
            "xpnn.data.prepare_table (tables), read_npy, read_npz, or read_images (a folder of pictures)"
        )
        raise DataError(f"{str(a)[:80]!r} is no array", fix=f"read it with {readers}" if path else "")
    if a is None:
        raise DataError("None is no array", why="was a result not returned?")


def unreadable(a: Any, error: Exception) -> DataError:
    """The error for data that NumPy cannot convert to an array."""
    what, why = f"cannot read {name_of(a)} as an array of numbers", first_line(error)
    if isinstance(a, list | tuple) and (lengths := ragged(a)):
        return DataError(what, why=ragged_words(lengths), fix=PAD)
    if "bfloat16" in why.lower() or "bfloat16" in str(getattr(a, "dtype", "")):
        return DataError(
            what, why="NumPy has no bfloat16", fix="x.float() in PyTorch, x.astype('float32') elsewhere"
        )
    return DataError(what, why=why)


PAD = "bring all rows to one length: cut them, or pad them with 0 (ids: one id kept for padding)"


def ragged(a: Any) -> list[int]:
    """The different lengths of its rows, where there are several or some rows have none."""
    lengths = sorted({len(row) if hasattr(row, "__len__") and not isinstance(row, str) else -1 for row in a})
    return lengths if len(lengths) > 1 else []


def ragged_words(lengths: list[int]) -> str:
    """The lengths in words."""
    if lengths[0] < 0:
        return "some of its entries are numbers, others are rows"
    return f"its rows have {len(lengths)} different lengths, from {lengths[0]} to {lengths[-1]}"


def no_numbers(host: np.ndarray[Any, Any]) -> DataError:
    """The error for an array of something else than real numbers."""
    what = f"data of dtype {host.dtype} cannot be trained on"
    kind = host.dtype.kind
    if kind == "c":
        return DataError(
            what, why=REAL, fix="x.real, np.abs(x), or both parts: np.stack([x.real, x.imag], axis=-1)"
        )
    if kind in "Mm":
        unit = "np.timedelta64(1, 'D')"
        return DataError(
            what,
            why=f"{REAL}; these are times",
            fix=f"days as numbers: {'(x - x.min())' if kind == 'M' else 'x'} / {unit}",
        )
    if host.dtype.names:
        return DataError(what, why=f"{REAL}; it has fields: {', '.join(host.dtype.names)[:80]}",
                         fix="numpy.lib.recfunctions.structured_to_unstructured(x)")  # fmt: skip
    if host.dtype.name in ("bfloat16",) or "float8" in host.dtype.name:
        return DataError(what, why="NumPy has no arithmetic for it", fix="x.astype('float32')")
    if kind in "OUST" and host.size:
        return _objects(host, what)
    return DataError(what, why=REAL)


def _objects(host: np.ndarray[Any, Any], what: str) -> DataError:
    """The error for an array of objects: words, rows of different lengths, or numbers."""
    entries = np.asarray(host).reshape(-1)  # a subclass has its own idea of what an entry is
    inner = next(
        (entry for entry in entries if hasattr(entry, "__len__") and not isinstance(entry, str | bytes)), None
    )
    if inner is not None:
        lengths = ragged(list(entries))
        same = "its entries are arrays of their own"
        return DataError(
            what, why=ragged_words(lengths) if lengths else same, fix=PAD if lengths else "np.stack(list(x))"
        )
    try:
        if any(entry is None for entry in entries):  # float(None) fails, but an array of None becomes NaN
            raise TypeError
        entries.astype(float)
    except (ValueError, TypeError):
        at = next((i for i, entry in enumerate(entries) if not _is_number(entry)), 0)
        place = list(map(int, np.unravel_index(at, host.shape)))
        if entries[at] is None or str(entries[at]) == "<NA>":
            return DataError(what, why=f"entry {place} is {entries[at]}", fix="fill or drop such samples")
        if isinstance(entries[at], str | bytes) or host.dtype.kind in "UST":
            return DataError(
                what,
                why=f"entry {place} is the word {str(entries[at])[:40]!r}",
                fix="labels: classes, y = np.unique(y, return_inverse=True); columns of words: xpnn.data.prepare_table",
            )
        return DataError(
            what, why=f"entry {place} is a {type(entries[at]).__name__}", fix="numbers in its place"
        )
    return DataError(
        what,
        why="its entries are numbers, kept as objects or words",
        fix="np.asarray(x, dtype=float); class ids: np.asarray(y, dtype=int)",
    )


def _is_number(entry: Any) -> bool:
    try:
        float(entry)
    except (ValueError, TypeError):
        return False
    return True
