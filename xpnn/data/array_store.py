"""Arrays x and y in an HDF5 file or a Zarr store as a dataset whose samples stay there: see `StoredArray`."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from xpnn.backends.base import missing
from xpnn.data.dataset import Dataset, Location
from xpnn.data.folds import row_keys
from xpnn.data.idx import cannot_read
from xpnn.data.user_data import NAMES, check_pair, class_ids, held_out, numbered, only_tested, required
from xpnn.errors import DataError, FileError, first_line
from xpnn.stored_array import WINDOW, StoredArray
from xpnn.system import user_path

Arrays: TypeAlias = tuple[Callable[[str], Any], list[str]]
STORED = (".h5", ".hdf5", ".zarr")
"""Endings of HDF5 files and of folders with a group of Zarr."""
CODECS = {
    "bytes", "transpose", "sharding_indexed", "crc32c", "blosc", "gzip", "zlib", "zstd", "lz4", "bz2", "lzma",
    "shuffle", "delta",
}  # fmt: skip
"""How Zarr's chunks may be packed. Not by pickle, which some of its filters unpack."""


def hdf5_dataset(path: Location) -> Dataset:
    """x and y, or x_train and y_train, with x_test and y_test where they are there, at the top of an HDF5 file.

    Without a part for the test a fifth is held out by hash. Raises FileError, DataError, and BackendError without h5py.
    """
    place = required(path, "hdf5", "FILE")
    return dataset_of("hdf5", *hdf5_arrays(place), place)


def hdf5_arrays(place: Path) -> Arrays:
    """What can be read of each dataset at the top of that file, and the names of all that is there."""
    try:
        import h5py
    except ImportError as error:
        raise missing("hdf5", "h5py", error) from error
    try:
        file = h5py.File(place, "r")
    except OSError as error:
        if error.errno is not None:
            raise cannot_read(str(place), error) from error
        raise DataError(f"{place} is no HDF5 file", why=first_line(error)) from error
    return partial(hdf5_array, file, h5py, path=place), sorted(file)


def hdf5_array(file: Any, h5py: Any, name: str, *, path: Path) -> Any:
    """That dataset. Raises DataError where it is none, or would be read from another file."""
    entry = file[name] if isinstance(file.get(name, getlink=True), h5py.HardLink) else None
    if not isinstance(entry, h5py.Dataset) or entry.is_virtual or entry.external:
        raise DataError(
            f"{path}: {name} is no dataset of the file itself",
            why="links, virtual datasets and external storage lead to other files",
            fix="copy it into one file: h5repack, or file.create_dataset(name, data=...)",
        )
    return entry


def zarr_dataset(path: Location) -> Dataset:
    """The same, of the arrays in a group of Zarr in a folder. Raises BackendError without zarr."""
    place = user_path(required(path, "zarr", "FOLDER"))
    return dataset_of("zarr", *zarr_arrays(place), place)


def zarr_arrays(place: Path) -> Arrays:
    """What can be read of each array of that group, and the names of all arrays."""
    try:
        import zarr
    except ImportError as error:
        raise missing("zarr", "zarr", error) from error
    if not place.is_dir():
        raise FileError(f"{place} is no folder", why="a group of Zarr is one", fix="zarr.open_group(path)")
    try:
        group = zarr.open_group(str(place), mode="r")
        names = sorted(group.array_keys())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{place} is no group of Zarr", why=first_line(error)) from error
    return partial(zarr_array, group, path=place), names


def zarr_array(group: Any, name: str, *, path: Path) -> Any:
    """That array. Raises DataError for chunks that are packed in a way which is not known to be safe."""
    array = group[name]
    used = set(codecs(array.metadata.to_dict()))
    if not used <= CODECS:
        raise DataError(
            f"{path}: the chunks of {name} are packed by {', '.join(sorted(used - CODECS))}",
            why="unknown codecs are not run, and pickles are never read",
            fix="write it again with zstd or blosc",
        )
    return array


def codecs(about: Any) -> Iterator[str]:
    """The names of all codecs in the metadata of an array, those of shards too."""
    for key in ("codecs", "index_codecs", "filters", "compressor"):
        given = about.get(key) or ()
        for codec in [given] if isinstance(given, dict) else given:
            yield str(codec.get("name", codec.get("id", "?")))
            yield from codecs(codec.get("configuration") or {})


def stored_samples(path: Path) -> StoredArray:
    """The samples in an HDF5 file or a group of Zarr: x, x_test, or the only array. They stay there.

    Raises what `hdf5_dataset` and `zarr_dataset` do.
    """
    read, there = zarr_arrays(path) if path.suffix == ".zarr" else hdf5_arrays(path)
    name = next((name for name in ("x", "x_test") if name in there), there[0] if len(there) == 1 else None)
    if name is None:
        raise DataError(
            f"{path} holds {', '.join(there[:20]) or 'no arrays'}", why="wanted an array called x"
        )
    return StoredArray(read(name))


def dataset_of(name: str, read: Callable[[str], Any], there: list[str], path: Path) -> Dataset:
    """The dataset of the arrays that are there: samples where they are, labels in memory."""
    arrays = {key: read(key) for part in NAMES for key in part if key in there}
    names = next((names for names in NAMES if {*names[:2]} <= arrays.keys()), None)
    if names is None:
        raise DataError(
            f"{path} holds {', '.join(there[:20]) or 'no arrays'}",
            why="wanted x and y, or x_train and y_train",
        )
    parts = []
    for samples, labels in (names[:2], names[2:]):
        if {samples, labels} <= arrays.keys():
            x = StoredArray(arrays[samples])
            y = class_ids(np.asarray(arrays[labels][...]), f"{path}, {labels}")
            check_pair(x, y, str(path))
            parts.append((x, y))
    x, y = parts[0]
    notes: tuple[str, ...] = (
        f"x stays in {path}: {x.chunk:,} samples are read at once, {x.chunk * x.window:,} shuffled together",
    )
    if x.dtype != "uint8" and (step := x.some()) > 1:
        notes += (f"x is scaled by one training sample in {step}",)
    if len(parts) == 1:
        made = held_out(name, x, y, numbered(y), keys(x), str(path))
        return Dataset(**vars(made) | {"notes": (*made.notes, *notes)})
    x_test, y_test = parts[1]
    if x.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"{path}: samples of shape {x.shape[1:]} to train on, {x_test.shape[1:]} to test with"
        )
    classes = numbered(np.concatenate([y, y_test]))
    notes = (*only_tested(y, y_test, classes), *notes)
    return Dataset(name, x, y, x_test, y_test, classes, str(path), None, notes)


def keys(x: StoredArray) -> Iterator[bytes]:
    """The bytes of each sample, read a window of chunks at a time."""
    few = x.chunk * max(1, min(x.window, WINDOW // max(1, x.nbytes // len(x) * x.chunk)))
    for start in range(0, len(x), few):
        yield from row_keys(x[start : start + few])
