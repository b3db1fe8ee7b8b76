"""A dataset of MNIST's layout: four IDX files in one folder, each raw or packed with gzip or xz.

    train-images-idx3-ubyte   uint8 (N, H, W)        t10k-images-idx3-ubyte   uint8 (M, H, W)
    train-labels-idx1-ubyte   uint8 (N,)             t10k-labels-idx1-ubyte   uint8 (M,)

Fashion-MNIST, KMNIST and others are published so. Names may end in .gz or .xz, and may have a dot
for the second dash ("train-images.idx3-ubyte"), as some copies do.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from xpnn.data.idx import cannot_read, check_pair, parse_idx
from xpnn.errors import DataError, FileError
from xpnn.system import open_regular

if TYPE_CHECKING:  # it imports tempfile, which imports lzma
    from importlib.resources.abc import Traversable

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Arrays = tuple[Images, Labels, Images, Labels]

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def find_files(folder: "Traversable", names: Sequence[str] = NAMES) -> dict[str, "Traversable"]:
    """Those of the four files that the folder holds, by their plain names."""
    found = {}
    try:
        for name in names:
            stems = (name, name.replace("-idx", ".idx"))
            for candidate in (stem + suffix for stem in stems for suffix in ("", ".gz", ".xz")):
                if (file := folder.joinpath(candidate)).is_file():
                    found[name] = file
                    break
    except OSError as error:
        raise cannot_read(str(folder), error) from error
    return found


def read_folder(
    folder: "Traversable",
    sha256: Mapping[str, str] | None = None,
    names: Sequence[str] = NAMES,
    limit: int | None = None,
) -> Arrays:
    """`x, y, x_test, y_test`: images uint8 (N, H, W, 1), labels int64 (N,).

    `sha256` holds by file name the hashes that the unpacked bytes must have; `names`, the four files in
    that order; `limit`, the most bytes that one may declare. Raises `FileError`
    when one of the files is missing or cannot be read, and `DataError` when one is damaged or they
    do not belong together.
    """
    files = find_files(folder, names)
    if isinstance(folder, Path) and not folder.exists():
        raise FileError(f"cannot read {folder}", why="No such file or directory", fix="check the path")
    if missing := [name for name in names if name not in files]:
        raise FileError(
            f"{folder} does not hold the dataset: {len(missing)} of its 4 files are missing",
            why=f"not found: {', '.join(missing)} (also looked for as .gz and .xz)",
            fix="give the folder that holds the four IDX files, or the dataset's name: xpnn train table FILE, "
            "images FOLDER, npz FILE",
        )

    def read(name: str) -> NDArray[Any]:
        found = files[name]
        with open_regular(found) if isinstance(found, Path) else found.open("rb") as file:
            return parse_idx(file, str(files[name]), (sha256 or {}).get(name), limit)

    try:
        with ThreadPoolExecutor() as pool:  # unpacking and hashing run outside the interpreter's lock
            x, y, x_test, y_test = pool.map(read, names)
    except FileError:
        raise
    except OSError as error:
        raise cannot_read(str(folder), error) from error
    return _checked(x, y, x_test, y_test, [str(files[name]) for name in names])


def _checked(
    x: NDArray[Any], y: NDArray[Any], x_test: NDArray[Any], y_test: NDArray[Any], names: list[str]
) -> Arrays:
    check_pair(x, y, (names[0], names[1]))
    check_pair(x_test, y_test, (names[2], names[3]))
    if x.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"{names[0]} holds images of {x.shape[1:]} pixels, but {names[2]} of {x_test.shape[1:]}",
            why="expected images of one size",
            fix="give the four files of one dataset",
        )
    return x[..., np.newaxis], y.astype(np.int64), x_test[..., np.newaxis], y_test.astype(np.int64)
