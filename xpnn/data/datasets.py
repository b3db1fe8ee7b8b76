"""The datasets known by name, as the command line takes them: `xpnn train mnist --data PATH`."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from xpnn.data.fashion import FASHION_CLASSES, find_fashion
from xpnn.data.folder import read_folder
from xpnn.data.mnist import MNIST_CLASSES, mnist
from xpnn.data.spiral import spiral
from xpnn.data.split import stratified_split
from xpnn.errors import UsageError, did_you_mean
from xpnn.random import host_rng

Location = str | os.PathLike[str] | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples `x` (N, ...) and labels `y` int64 (N,) to train on, and others to test with.

    `classes` names each label, `note` says where the data comes from.
    """

    name: str
    x: NDArray[Any]
    y: NDArray[Any]
    x_test: NDArray[Any]
    y_test: NDArray[Any]
    classes: tuple[str, ...]
    note: str

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.x.shape[1:]


@dataclass(frozen=True)
class Source:
    """A dataset before it is loaded: one line about it, and `read(path, seed)`."""

    title: str
    read: Callable[[Location, int], Dataset]


def load(name: str, path: Location = None, seed: int = 0) -> Dataset:
    """The dataset called `name`, from the folder `path` where one is given.

    `seed` draws what is generated. Raises `UsageError` for an unknown name, and `DataError` or
    `FileError` as `mnist` and `fashion` do.
    """
    if name not in DATASETS:
        raise UsageError(f"unknown dataset {name!r}", fix=did_you_mean(name, DATASETS))
    return DATASETS[name].read(path, seed)


def _mnist(path: Location, seed: int) -> Dataset:
    note = "embedded (sha256 ok)" if path is None else str(path)
    return Dataset("mnist", *mnist(path), MNIST_CLASSES, note)


def _fashion(path: Location, seed: int) -> Dataset:
    arrays, found = find_fashion(path)
    return Dataset("fashion", *arrays, FASHION_CLASSES, f"{found} (sha256 ok)")


def _spiral(path: Location, seed: int) -> Dataset:
    if path is not None:
        raise UsageError("the spiral is generated, it reads no folder", fix="leave --data out")
    x, y = spiral(seed=seed)
    train, held = stratified_split(y, 1 / 3, host_rng(seed, "spiral test"))
    classes = tuple(f"arm {k}" for k in range(1 + y.max()))
    return Dataset(
        "spiral", x[train], y[train], x[held], y[held], classes, f"generated (seed {seed}), a third held out"
    )


def _idx(path: Location, seed: int) -> Dataset:
    if path is None:
        raise UsageError("which folder holds the IDX files?", fix="xpnn train idx --data FOLDER")
    x, y, x_test, y_test = read_folder(Path(path))
    classes = tuple(str(label) for label in range(1 + max(y.max(), y_test.max())))
    return Dataset("idx", x, y, x_test, y_test, classes, str(path))


DATASETS = {
    "mnist": Source("handwritten digits, in the package", _mnist),
    "fashion": Source("clothing, from a folder or downloaded", _fashion),
    "spiral": Source("points in the plane on three interleaved arms, generated", _spiral),
    "idx": Source("any four IDX files of MNIST's layout, from --data", _idx),
}
