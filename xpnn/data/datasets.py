"""The datasets known by name, as the command line takes them: `xpnn train mnist --data PATH`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.array_store import hdf5_dataset, zarr_dataset
from xpnn.data.dataset import Dataset, Location
from xpnn.data.emnist import KMNIST_CLASSES, emnist, kmnist
from xpnn.data.fashion import FASHION_CLASSES, find_fashion
from xpnn.data.folder import Arrays, read_folder
from xpnn.data.image_folder import image_dataset
from xpnn.data.image_preparation import ImagePreparation, measure
from xpnn.data.images import Watch
from xpnn.data.mnist import MNIST_CLASSES, mnist
from xpnn.data.points import blobs, moons, rings
from xpnn.data.preparation import Preparation
from xpnn.data.spiral import spiral
from xpnn.data.split import stratified_split
from xpnn.data.strokes import strokes
from xpnn.data.tables.dataset import table_dataset
from xpnn.data.tables.preparation import TablePreparation
from xpnn.data.user_data import npz_dataset, required
from xpnn.errors import UsageError, did_you_mean
from xpnn.printing import to_stderr
from xpnn.random import host_rng


@dataclass(frozen=True)
class Source:
    """A dataset before it is loaded: one line about it, and `read(path, seed)`."""

    title: str
    read: Callable[[Location, int], Dataset]


def load(
    name: str,
    path: Location = None,
    seed: int = 0,
    label: str | None = None,
    task: str | None = None,
    known: Preparation | None = None,
    relabel: bool = False,
    resize: tuple[int, int] | None = None,
    watch: Watch | None = None,
    *,
    verbose: int = 1,
) -> Dataset:
    """The dataset called `name`, from the file or folder `path` where one is given.

    `seed` draws what is generated; of a table `label` names the column of the labels, and `task` says whether they are
    classes or numbers; `known` is the preparation of a model that goes on with it, all but its label where `relabel`.
    Of a folder of pictures `resize` is the (H, W) that all are brought to; watch(done, all) counts the files.
    verbose: 1 prints to stderr what was held out, chosen and left out, its `note` and `notes`; 0 prints nothing.
    Raises `UsageError` for an unknown name, and `DataError` or `FileError` as the function that reads it does.
    """
    found = _loaded(name, path, seed, label, task, known, relabel, resize, watch)
    if verbose and (found.held_out or found.notes):
        to_stderr([f"{name}: {found.note}", *found.notes])
    return found


def _loaded(
    name: str,
    path: Location,
    seed: int,
    label: str | None,
    task: str | None,
    known: Preparation | None,
    relabel: bool,
    resize: tuple[int, int] | None,
    watch: Watch | None,
) -> Dataset:
    if name not in DATASETS:
        raise UsageError(f"unknown dataset {name!r}", fix=did_you_mean(name, DATASETS))
    if name in TABLES:
        return table_dataset(
            name,
            required(path, name, "FILE") if path != "-" else path,
            label,
            task,
            known if isinstance(known, TablePreparation) else None,
            relabel,
        )
    for flag, given in (("label", label), ("task", task)):
        if given is not None:
            raise UsageError(
                f"--{flag} {given} with dataset {name!r}", why="it is no table", fix="leave it out"
            )
    if name == "images":
        return image_dataset(path, resize, known if isinstance(known, ImagePreparation) else None, watch)
    if resize is not None:
        raise UsageError(
            f"--resize with dataset {name!r}", why="it is no folder of pictures", fix="leave it out"
        )
    return DATASETS[name].read(path, seed)


def _digits(arrays: Arrays, name: str, classes: tuple[str, ...], note: str) -> Dataset:
    """Pictures in MNIST's form."""
    form = ImagePreparation(28, 28, 1, classes, crop="ink", polarity="light on dark")
    return Dataset(name, *arrays, classes, note, form)


def _mnist(path: Location, seed: int) -> Dataset:
    note = "embedded (sha256 ok)" if path is None else str(path)
    return _digits(mnist(path), "mnist", MNIST_CLASSES, note)


def _fashion(path: Location, seed: int) -> Dataset:
    arrays, found = find_fashion(path)
    form = ImagePreparation(28, 28, 1, FASHION_CLASSES, polarity="light on dark")
    return Dataset("fashion", *arrays, FASHION_CLASSES, f"{found} (sha256 ok)", form)


def generated(
    name: str, make: Callable[..., tuple[NDArray[Any], NDArray[Any]]], word: str
) -> Callable[[Location, int], Dataset]:
    """A third is held out; class k is called `word k`."""

    def read(path: Location, seed: int) -> Dataset:
        if path is not None:
            raise UsageError(f"the {name} is generated, it reads no folder", fix="leave --data out")
        x, y = make(seed=seed)
        train, held = stratified_split(y, 1 / 3, host_rng(seed, f"{name} test"))
        classes = tuple(f"{word} {k}".strip() for k in range(1 + y.max()))
        note = f"generated (seed {seed}), a third held out"
        form = _form(x[train], classes)
        return Dataset(name, x[train], y[train], x[held], y[held], classes, note, form)

    return read


def _table(name: str) -> Callable[[Location, int], Dataset]:
    """A table under either of its names."""
    return lambda path, seed: table_dataset(name, required(path, name, "FILE"))


def _idx(path: Location, seed: int) -> Dataset:
    folder = required(path, "idx", "FOLDER")
    x, y, x_test, y_test = read_folder(folder)
    classes = tuple(str(label) for label in range(1 + max(y.max(), y_test.max())))
    return Dataset("idx", x, y, x_test, y_test, classes, str(path), _form(x, classes))


def _form(x: NDArray[Any], classes: tuple[str, ...]) -> ImagePreparation | None:
    """How pictures were prepared, measured; None for what is none."""
    return measure(x, classes) if x.ndim == 4 and x.dtype == np.uint8 and x.shape[-1] in (1, 3) else None


def _kmnist(path: Location, seed: int) -> Dataset:
    form = ImagePreparation(28, 28, 1, KMNIST_CLASSES, polarity="light on dark")
    return Dataset("kmnist", *kmnist(required(path, "kmnist", "FOLDER")), KMNIST_CLASSES, str(path), form)


def _emnist(path: Location, seed: int) -> Dataset:
    arrays, classes = emnist(required(path, "emnist", "FOLDER"))
    return _digits(arrays, "emnist", classes, str(path))


TABLES = ("table", "csv")
"""The datasets that are tables."""
DATASETS = {
    "mnist": Source("handwritten digits, in the package", _mnist),
    "fashion": Source("clothing, from a folder or downloaded", _fashion),
    "kmnist": Source("Japanese letters, four IDX files in --data", _kmnist),
    "emnist": Source("letters and digits, the IDX files of a division in --data", _emnist),
    "strokes": Source("digits drawn by rule, generated", generated("strokes", strokes, "")),
    "spiral": Source(
        "points in the plane on three interleaved arms, generated", generated("spiral", spiral, "arm")
    ),
    "moons": Source("points in the plane on two half-circles, generated", generated("moons", moons, "moon")),
    "rings": Source("points in the plane on three circles, generated", generated("rings", rings, "ring")),
    "blobs": Source("points in the plane in three clouds, generated", generated("blobs", blobs, "blob")),
    "idx": Source("any four IDX files of MNIST's layout, from --data", _idx),
    "table": Source("a table with a column of labels: CSV, Parquet, JSON lines", _table("table")),
    "csv": Source("the same as table", _table("csv")),
    "images": Source(
        "a folder of pictures for each class, in --data", lambda path, seed: image_dataset(path)
    ),
    "npz": Source(
        "arrays x and y, in an .npz archive or a folder of .npy files", lambda path, seed: npz_dataset(path)
    ),
    "hdf5": Source("datasets x and y in an HDF5 file, read in chunks", lambda path, seed: hdf5_dataset(path)),
    "zarr": Source(
        "arrays x and y in a group of Zarr, read in chunks", lambda path, seed: zarr_dataset(path)
    ),
}
